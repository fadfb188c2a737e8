package ctl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/override"
)

// goes has the server go by a file, as fedns does: what is in force is what the last
// look at it found.
func (d *desk) goes(path string, change func(*report.Federation)) {
	d.answers["snapshot"] = func() report.Snapshot {
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			d.t.Error(err)
		}
		sum, err := digest(path)
		if err != nil {
			d.t.Error(err)
		}
		f := report.Federation{Federation: "fed", OverridesFile: d.file(), OverridesDigest: sum, Overrides: []report.Order{}, InForce: []report.Order{}}
		list, err := override.Parse(string(text))
		if err != nil {
			d.t.Error(err)
		}
		for _, o := range list {
			r := report.OrderOf(o, noon)
			f.Overrides = append(f.Overrides, r)
			r.Line, r.Source = o.String(), "overrides"
			f.InForce = append(f.InForce, r)
		}
		change(&f)
		return report.Snapshot{Federations: []report.Federation{f}, Host: "pod-7"}
	}
}

// What is written is reported as done when the server goes by it, and not before; what
// it can't go by isn't left behind as if it did.
func TestInForce(t *testing.T) {
	t.Cleanup(func() { inForceTime, mistakenTime = 10*time.Second, 3*time.Second })
	const drain = "drain cluster/a reason \"x\"\n"
	looks := 0
	for _, tt := range []struct {
		name   string
		here   string // in the file before
		there  string // in the server's, if it is another one
		change func(*report.Federation)
		args   []string
		code   int
		want   string
		left   string
	}{
		{"the same file", "", "", func(*report.Federation) {}, nil, 0, "2 services change", drain},
		{"looked at a moment later", "", "", func(f *report.Federation) {
			if looks++; looks < 5 {
				f.InForce = []report.Order{}
			}
		}, nil, 0, "2 services change", drain},
		{"another file, seen at once", "", "drain zone/z reason \"theirs\"\n", func(*report.Federation) {}, nil, 1,
			"nothing is written: %[1]s isn't the file that the server reads: server %[2]s has %[1]s on host pod-7, which holds something else\nfedctl: hint: run fedctl there", ""},
		{"another file, even if forced", "# here\n", "", func(*report.Federation) {}, []string{"--force"}, 1, "nothing is written", "# here\n"},
		{"another file that looks alike", "", "", nil, nil, 1, "drain cluster/a: taken back: %[1]s isn't the file", ""},
		{"another file that looks alike, and was full", "# kept\ndown cluster/a reason \"y\"", "# kept\ndown cluster/a reason \"y\"", nil, nil, 1, "taken back", "# kept\ndown cluster/a reason \"y\"\n"},
		{"not read", "", "", func(f *report.Federation) { f.InForce = []report.Order{} }, nil, 1, "drain cluster/a: it stands in %[1]s: server %[2]s doesn't go by it", drain},
		{"unreadable", "", "", func(f *report.Federation) { f.OverridesError = "permission denied" }, nil, 1, "it stands in %[1]s: server %[2]s can't read it: permission denied", drain},
		{"an older server", "", "", func(f *report.Federation) { f.InForce, f.OverridesDigest = nil, "" }, nil, 0, "2 services change", drain},
		{"an older server elsewhere", "", "# there\n", func(f *report.Federation) { f.InForce, f.OverridesDigest = nil, "" }, nil, 1, "it stands in", drain},
		{"no file at all", "", "", func(f *report.Federation) { f.OverridesFile = "" }, []string{"--file", "FILE"}, 1, "has none\nfedctl: hint: give the federation one", ""},
		{"the same under another path", "# one\n", "", func(f *report.Federation) { f.OverridesFile = "/in/the/pod" }, []string{"--file", "FILE"}, 0, "2 services change", "# one\n" + drain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Only what comes to nothing waits for all of it.
			if inForceTime, mistakenTime = time.Minute, time.Minute; tt.code != 0 {
				inForceTime, mistakenTime = 600*time.Millisecond, 300*time.Millisecond
			}
			d := newDesk(t)
			looks = 0
			if tt.here != "" {
				d.write(tt.here)
			}
			path := d.file()
			if tt.there != "" || tt.change == nil || strings.Contains(tt.name, "forced") {
				path = filepath.Join(d.dir, "theirs")
				if err := os.WriteFile(path, []byte(tt.there), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			change := tt.change
			if change == nil {
				change = func(*report.Federation) {}
			}
			d.goes(path, change)
			args := []string{"drain", "cluster/a", "--reason", "x"}
			for _, a := range tt.args {
				args = append(args, strings.ReplaceAll(a, "FILE", d.file()))
			}
			out, stderr, code := d.run(args...)
			want := tt.want
			if strings.Contains(want, "%") {
				want = fmt.Sprintf(want+"%[3]s", d.file(), d.server, "")
			}
			if code != tt.code || !strings.Contains(out+stderr, want) {
				t.Errorf("exit %d\n%s%swant %d, %q", code, out, stderr, tt.code, want)
			}
			d.want(tt.left)
		})
	}
}

// An order is taken back when the server doesn't go by it any more.
func TestUndrainInForce(t *testing.T) {
	inForceTime = 600 * time.Millisecond
	t.Cleanup(func() { inForceTime = 10 * time.Second })
	d := newDesk(t)
	const text = "drain cluster/a reason \"x\"\n"
	d.write(text)
	stuck := false
	d.goes(d.file(), func(f *report.Federation) {
		if stuck {
			f.InForce = []report.Order{{Line: strings.TrimSpace(text)}}
		}
	})
	if out, stderr, code := d.run("undrain", "cluster/a"); code != 0 || !strings.Contains(out, "taken back") {
		t.Errorf("exit %d, %s%s", code, out, stderr)
	}
	d.write(text)
	stuck = true
	if _, stderr, code := d.run("undrain", "cluster/a"); code != 1 || !strings.Contains(stderr, "undrain cluster/a: taken out of "+d.file()+": server "+d.server+" doesn't go by it") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	d.want("")
}
