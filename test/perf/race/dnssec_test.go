package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// TestMain is the asker where the race has started this program as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == signedAsker {
		if err := askSigned(os.Args[2:]); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// What a signed answer costs is measured: every answer of names that are there, aren't, or are below a wildcard has a signature.
func TestSignedIsMeasured(t *testing.T) {
	program, err := server.Binary()
	if err != nil {
		t.Fatal(err)
	}
	field, err := pick("fedns")
	if err != nil {
		t.Fatal(err)
	}
	r := &race{root: vector.Root(), dir: t.TempDir(), program: program, field: field, seconds: 1, fed: generate(minServices, 2000, existing)}
	if r.taskset, err = find("taskset", "util-linux"); err != nil {
		t.Skip(err)
	}
	if err := r.sign(); err != nil {
		t.Fatal(err)
	}
	if err := r.fed.write(r.dir); err != nil {
		t.Fatal(err)
	}
	laps := map[string][]signedLap{}
	if err := r.signedRound(t.Context(), field[0], 1, laps); err != nil {
		t.Fatal(err)
	}
	for _, k := range signedKinds {
		if len(laps[k.name]) != 1 {
			t.Fatalf("%s: %d laps", k.name, len(laps[k.name]))
		}
		if l := laps[k.name][0]; l.signed < 1 || l.truncated > 0 || l.qps == 0 || l.bytes < 100 {
			t.Errorf("%s: %+v", k.name, l)
		}
	}
	if table := signedTable(laps, field); strings.Contains(table, "-\n") || strings.Count(table, "100.0%") != len(signedKinds) {
		t.Errorf("the table is\n%s", table)
	}
}

func TestSignedQuestions(t *testing.T) {
	next := numbered("r" + zeros + ".wild." + domain)
	seen := map[string]bool{}
	for i := range 100 {
		m := new(dns.Msg)
		if err := m.Unpack(next(i)); err != nil {
			t.Fatal(err)
		}
		if e := m.IsEdns0(); e == nil || !e.Do() || e.UDPSize() != 1232 {
			t.Fatalf("a question without DO: %v", m)
		}
		seen[m.Question[0].Name] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d names in 100 questions", len(seen))
	}
}

func TestTally(t *testing.T) {
	pack := func(rrs ...string) []byte {
		m := new(dns.Msg).SetQuestion("a.example.com.", dns.TypeA)
		for _, text := range rrs {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		m.Truncated = len(rrs) == 0
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var got tally
	got.count(pack("a.example.com. 5 A 192.0.2.1"))
	got.count(pack("a.example.com. 5 A 192.0.2.1", "a.example.com. 5 RRSIG A 13 3 5 20300101000000 20260101000000 1 example.com. AAAA"))
	got.count(pack())
	if got.answers.Load() != 3 || got.signed.Load() != 1 || got.truncated.Load() != 1 {
		t.Errorf("%d answers, %d with signatures, %d truncated", got.answers.Load(), got.signed.Load(), got.truncated.Load())
	}
}

// Every kind that is measured has its row in docs/performance.md, and each server its column.
func TestSignedIsTold(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(vector.Root(), "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Signed answers, beside other name servers\n")
	if !ok {
		t.Fatal("docs/performance.md: there is no such section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			rows = append(rows, strings.TrimSpace(cells[1]))
			if rows[0] == "" && len(rows) == 1 {
				for _, name := range []string{"fedns", "Knot", "PowerDNS", "CoreDNS"} {
					if !strings.Contains(line, name) {
						t.Errorf("there is no column of %s", name)
					}
				}
			}
		}
	}
	for _, k := range signedKinds {
		if !slices.Contains(rows, k.name) {
			t.Errorf("there is no row of %q", k.name)
		}
	}
}
