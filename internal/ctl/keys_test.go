package ctl

import (
	"bytes"
	"context"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// keysAt runs fedctl at a moment.
func keysAt(t *testing.T, now time.Time, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	env := Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: func() time.Time { return now }}
	code = Run(context.Background(), env, args)
	return out.String(), errs.String(), code
}

var keysNow = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// A key that is made is listed as it was asked for, with the DS record that was printed.
func TestKeys(t *testing.T) {
	dir := t.TempDir()
	made, errs, code := keysAt(t, keysNow, "keys", "generate", "example.com", "--dir", dir, "--ttl", "1m")
	ds := regexp.MustCompile(`example\.com\. IN DS (\d+) 13 2 [0-9A-F]{64}`).FindStringSubmatch(made)
	if code != 0 || errs != "" || ds == nil {
		t.Fatalf("exit %d: %s%s", code, made, errs)
	}
	info, err := os.Stat(strings.Split(made, "\n")[1])
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Error(info, err)
	}
	out, errs, code := keysAt(t, keysNow, "keys", dir)
	if code != 0 || !strings.Contains(out, ds[0]) || !regexp.MustCompile(`example\.com +`+ds[1]+` +13 +CSK +active +-`).MatchString(out) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	for _, tt := range []struct {
		args string
		want string // on stdout or stderr
		code int
	}{
		{"generate example.com --dir DIR --type zsk --algorithm 15 --activate +48h", "K", 0},
		{"DIR", "until", 0},
		{"generate example.com --type ksks", `--type "ksks" is none of csk, ksk and zsk`, 2},
		{"generate example.com --algorithm 8", "13 (ECDSAP256SHA256) or 15", 2},
		{"generate example.com --activate tomorrow", "tomorrow is no time: now, never, +36h or", 2},
		{"generate example..com", "label", 2},
		{"generate example.com --dir DIR/none", "can't be written", 1},
		{"generate", "an argument is missing", 2},
		{"DIR/none", "none.key", 1},
		{"DIR --parent 192.0.2.1", "are for --ds", 2},
		{"", "an argument is missing", 2},
	} {
		out, errs, code := keysAt(t, keysNow, strings.Fields("keys "+strings.ReplaceAll(tt.args, "DIR", dir))...)
		if code != tt.code || !strings.Contains(strings.ToLower(out+errs), strings.ToLower(tt.want)) {
			t.Errorf("keys %s: exit %d, %s%s", tt.args, code, out, errs)
		}
	}
}

// That nothing signs soon, or any more, is said.
func TestKeysEnd(t *testing.T) {
	dir := t.TempDir()
	if out, errs, code := keysAt(t, keysNow, "keys", "generate", "example.com", "--dir", dir, "--inactive", "+240h"); code != 0 {
		t.Fatal(out, errs)
	}
	for days, want := range map[int]string{0: "", 4: "warning: example.com: from 2026-12-10T12:00:00Z on no key signs", 11: "error: no key of example.com. is active"} {
		out, errs, code := keysAt(t, keysNow.AddDate(0, 0, days), "keys", dir)
		if !strings.Contains(out, want) || want == "" && strings.Contains(out, "fix") || (code != 0) != (days == 11) {
			t.Errorf("after %d days: exit %d, %s%s", days, code, out, errs)
		}
	}
}

// A parent that can't be asked is said so, and is no error of the keys.
func TestKeysParent(t *testing.T) {
	dir := t.TempDir()
	if out, errs, code := keysAt(t, keysNow, "keys", "generate", "example.com", "--dir", dir); code != 0 {
		t.Fatal(out, errs)
	}
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.LocalAddr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	out, errs, code := keysAt(t, keysNow, "keys", dir, "--ds", "--parent", at, "--resolver", at)
	if code != 0 || !strings.Contains(out, "what DS records its parent has can't be found out: "+at) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
