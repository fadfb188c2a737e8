package dnskey_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/dnskey"
)

// What dnssec-keygen (BIND 9.18) has written, and dnssec-dsfromkey says of it.
const (
	public = `; This is a key-signing key, keyid 63525, for example.com.
; Created: 20261130085532 (Mon Nov 30 08:55:32 2026)
; Publish: 20261130085532 (Mon Nov 30 08:55:32 2026)
; Activate: 20261130085532 (Mon Nov 30 08:55:32 2026)
example.com. 5 IN DNSKEY 257 3 13 EDq2s9u892FPQ2mtkezokbT1TKaZ4pC6/2ZtJa/V1GTNmbQa03TVlEoi sxMxhkrN9vI3FXXYb7yBtrHUmpyDjw==
`
	private = `Private-key-format: v1.3
Algorithm: 13 (ECDSAP256SHA256)
PrivateKey: 6EmNp7RtwM0E+nm4PK2PJoSTVdfDAHzPMDopwV4PBnU=
Created: 20261130085532
Publish: 20261130085532
Activate: 20261130085532
`
	tag = 63525
)

var began = time.Date(2026, 11, 30, 8, 55, 32, 0, time.UTC)

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "Kexample.com.+013+63525.key"), public, 0o644)
	put(t, filepath.Join(dir, "Kexample.com.+013+63525.private"), private, 0o600)
	keys, err := dnskey.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	k := keys[0]
	if len(keys) != 1 || k.Tag() != tag || !k.Entry() || k.TTL != 5 || k.Zone != "example.com." || !k.Dates.Activate.Equal(began) || k.Signer == nil {
		t.Errorf("%+v", k)
	}
	if k.FileName() != "Kexample.com.+013+63525" {
		t.Error(k.FileName())
	}
	for _, path := range []string{k.Path, k.Path + ".key", k.Path + ".private"} {
		if again, err := dnskey.Load(path, dir); err != nil || len(again) != 1 {
			t.Error(path, again, err)
		}
	}
}

// What is wrong with files is said with the file and what would be right.
func TestWrong(t *testing.T) {
	for _, tt := range []struct {
		name, public, private string
		mode                  os.FileMode
		want                  string
	}{
		{"readable by all", public, private, 0o644, "its mode 0644 lets everybody read it: chmod 0400"},
		{"readable by its group", public, private, 0o440, ""},
		{"public only", public, "", 0, ""},
		{"another key's", public, strings.Replace(private, "6EmN", "6EmM", 1), 0o600, "isn't the private part"},
		{"another algorithm's", public, strings.Replace(private, "13 (", "15 (", 1), 0o600, `algorithm "15"`},
		{"not base64", public, strings.Replace(private, "6EmN", "6E*N", 1), 0o600, "no PrivateKey in base64"},
		{"short", public, strings.Replace(private, "6EmNp7RtwM0E+nm4", "", 1), 0o600, "PrivateKey that is none"},
		{"no key at all", public, "hello\n", 0o600, "isn't a key as dnssec-keygen writes it"},
		{"no record", "; hello\n", private, 0o600, "has no DNSKEY record"},
		{"a damaged record", "example.com. IN DNSKEY 257 3\n", private, 0o600, "has no DNSKEY record, such as"},
		{"two records", public + public, private, 0o600, "more than one record"},
		{"RSA", strings.Replace(public, "257 3 13", "257 3 8", 1), private, 0o600, `algorithm "8" isn't one that is signed with here: 13 (ECDSAP256SHA256) or 15`},
		{"no zone's key", strings.Replace(public, "257 3 13", "1 3 13", 1), private, 0o600, "256 or 257"},
		{"protocol", strings.Replace(public, "257 3 13", "257 2 13", 1), private, 0o600, `protocol "2"`},
		{"cut off", strings.Replace(public, "sxMxhkrN9vI3FXXYb7yBtrHUmpyDjw==", "", 1), private, 0o600, "not base64|isn't base64|has 42 bytes"},
		{"no date", public, strings.Replace(private, "Activate: 2026", "Activate: x", 1), 0o600, "Activate"},
		{"a digit too many", public, strings.Replace(private, "Activate: 2026", "Activate: 20266", 1), 0o600, `Activate: "202661130085532" is no date`},
		{"no number", strings.Replace(public, "com. 5 IN", "com. five IN", 1), private, 0o600, `"five" is no TTL`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, filepath.Join(dir, "k.key"), tt.public, 0o644)
			if tt.private != "" {
				put(t, filepath.Join(dir, "k.private"), tt.private, tt.mode)
			}
			_, err := dnskey.Load(dir)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !slices.ContainsFunc(strings.Split(tt.want, "|"), func(w string) bool { return strings.Contains(err.Error(), w) }) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	dir := t.TempDir()
	if _, err := dnskey.Load(dir); err == nil || !strings.Contains(err.Error(), "no key in it") {
		t.Error(err)
	}
	if _, err := dnskey.Load(filepath.Join(dir, "nothing")); err == nil || !strings.Contains(err.Error(), "nothing.key") {
		t.Error(err)
	}
	put(t, filepath.Join(dir, "k.private"), private, 0o600)
	if _, err := dnskey.Load(dir); err == nil || !strings.Contains(err.Error(), "no k.key beside it") {
		t.Error(err)
	}
}

// A key that is made is read again as it was, and never written over.
func TestGenerate(t *testing.T) {
	for _, a := range []dnskey.Algorithm{dnskey.ECDSAP256SHA256, dnskey.ED25519} {
		dir := t.TempDir()
		k, err := dnskey.Generate("example.com.", a, true, 60, dnskey.Dates{Created: began, Publish: began, Activate: began, SyncPublish: began.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Write(dir); err != nil {
			t.Fatal(err)
		}
		back, err := dnskey.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := back[0]; got.Record() != k.Record() || got.Dates != k.Dates || got.DSText() != k.DSText() || got.Path != k.Path {
			t.Errorf("%+v\n%+v", got, k)
		}
		if _, err := k.Write(dir); err == nil {
			t.Error("written over")
		}
	}
	if _, err := dnskey.Generate("example.com.", 8, true, 0, dnskey.Dates{}); err == nil {
		t.Error("algorithm 8")
	}
}

// key makes one with dates in seconds after the beginning; 0: never. Each has its own public part.
func key(t *testing.T, a dnskey.Algorithm, entry bool, publish, activate, inactive, remove int) *dnskey.Key {
	t.Helper()
	at := func(n int) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return began.Add(time.Duration(n) * time.Second)
	}
	k, err := dnskey.Generate("example.com.", a, entry, 0, dnskey.Dates{Created: began, Publish: at(publish), Activate: at(activate), Inactive: at(inactive), Delete: at(remove), SyncPublish: at(activate)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What keys are for follows their dates.
func TestPlan(t *testing.T) {
	const p256, ed = dnskey.ECDSAP256SHA256, dnskey.ED25519
	csk := []*dnskey.Key{key(t, p256, true, 1, 1, 0, 0)}
	split := []*dnskey.Key{key(t, p256, true, 1, 1, 0, 0), key(t, p256, false, 1, 1, 20, 30), key(t, p256, false, 10, 20, 0, 0)}
	roll := []*dnskey.Key{key(t, p256, true, 1, 1, 20, 30), key(t, p256, true, 10, 20, 0, 0)}
	algorithms := []*dnskey.Key{key(t, p256, true, 1, 1, 30, 30), key(t, ed, true, 20, 10, 0, 0)}
	ending := []*dnskey.Key{key(t, p256, true, 1, 1, 20, 30)}
	for _, tt := range []struct {
		name string
		keys []*dnskey.Key
		at   int
		want string // published | sign keys | sign data | CDS, each by index, and whether something is wrong
	}{
		{"csk", csk, 5, "0|0|0|0"},
		{"ksk and zsk", split, 5, "0 1|0|1|0"},
		{"zsk published", split, 15, "0 1 2|0|1|0"},
		{"zsk activated", split, 20, "0 1 2|0|2|0"},
		{"zsk removed", split, 31, "0 2|0|2|0"},
		{"csk published", roll, 15, "0 1|0 1|0|0"},
		{"csk activated", roll, 20, "0 1|0 1|1|0 1"},
		{"csk removed", roll, 30, "1|1|1|1"},
		{"another algorithm signs first", algorithms, 15, "0|0|0 1|0"},
		{"and is published then", algorithms, 20, "0 1|0 1|0 1|0 1"},
		{"the old one goes", algorithms, 30, "1|1|1|1"},
		{"none is active", ending, 25, "0|0|0|0 wrong"},
		{"nor published", ending, 35, "0|0|0| wrong"},
		{"a ksk only for a zsk", []*dnskey.Key{key(t, p256, false, 1, 1, 0, 0)}, 5, "0|0|0| wrong"},
	} {
		p, err := dnskey.PlanAt("example.com.", tt.keys, began.Add(time.Duration(tt.at)*time.Second))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var sets []string
		for _, set := range [][]*dnskey.Key{p.Publish, p.Keys, p.Data, p.Sync} {
			var is []string
			for _, k := range set {
				is = append(is, fmt.Sprint(slices.Index(tt.keys, k)))
			}
			sets = append(sets, strings.Join(is, " "))
		}
		got := strings.Join(sets, "|")
		if p.Problem != "" {
			got += " wrong"
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s (%s)", tt.name, got, tt.want, p.Problem)
		}
	}
	at := func(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }
	if p, _ := dnskey.PlanAt("example.com.", split, at(5)); !p.Next.Equal(at(10)) || !p.Ends.IsZero() || p.TTL() != 3600 {
		t.Errorf("%+v", p)
	}
	if p, _ := dnskey.PlanAt("example.com.", ending, at(5)); !p.Ends.Equal(at(20)) {
		t.Errorf("%+v", p)
	}
	for name, keys := range map[string][]*dnskey.Key{"there is no key of example.com.": nil, "no key of example.com. signs yet": {key(t, p256, true, 10, 10, 0, 0)}} {
		if _, err := dnskey.PlanAt("example.com.", keys, at(5)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
	if _, err := dnskey.PlanAt("example.org.", csk, at(5)); err == nil || !strings.Contains(err.Error(), "only of [example.com.]") {
		t.Error(err)
	}
}
