package ctl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/override"
)

// order is one of a report, by its line.
func orderOf(t *testing.T, line, object string, by ...string) report.Order {
	t.Helper()
	read, err := override.Parse(line)
	if err != nil || len(read) != 1 {
		t.Fatal(line, err)
	}
	o := report.OrderOf(read[0], noon)
	o.Line, o.Object, o.OverruledBy = line, object, by
	o.Source = "overrides"
	if object != "" {
		o.Source = "registry"
	}
	return o
}

// What a server alone knows: the orders of the API that it goes by, and its own file's,
// wherever that is.
func TestOverridesOfServer(t *testing.T) {
	const (
		fire  = `down zone/eu-a reason "fire (Order fire)"`
		drain = `drain cluster/paris until 2026-01-31T13:00:00Z reason "kernel upgrade (spec.drain of Cluster paris)"`
		bare  = `drain cluster/oslo reason "spec.drain of Cluster oslo"`
		lift  = `up region/eu reason "lift (by hand)"`
		late  = `drain zone/x reason "late"`
	)
	for _, tt := range []struct {
		name   string
		change func(*report.Federation)
		want   string
	}{
		{"all is in force", func(f *report.Federation) {
			f.InForce = []report.Order{orderOf(t, drain, "cluster/paris"), orderOf(t, bare, "cluster/oslo"), orderOf(t, lift, "")}
			f.Overrides = []report.Order{orderOf(t, lift, "")}
		}, `SUBJECT        ORDER  UNTIL                 IN FORCE  SERVERS  FROM
cluster/paris  drain  2026-01-31T13:00:00Z  yes       1 of 1   cluster/paris
    reason: kernel upgrade
cluster/oslo   drain  taken back            yes       1 of 1   cluster/oslo
region/eu      up     taken back            yes       1 of 1
    from file /o on fedns-0
    reason: lift (by hand)
`},
		{"one is overruled, one isn't taken in yet", func(f *report.Federation) {
			f.InForce = []report.Order{orderOf(t, fire, "order/fire", lift), orderOf(t, lift, "")}
			f.Overrides = []report.Order{orderOf(t, lift, ""), orderOf(t, late, "")}
		}, `SUBJECT    ORDER  UNTIL       IN FORCE   SERVERS  FROM
zone/eu-a  down   taken back  overruled  0 of 1   order/fire
    reason: fire
    a later order counts: up region/eu reason "lift (by hand)"
region/eu  up     taken back  yes        1 of 1   file /o on fedns-0
    reason: lift (by hand)
zone/x     drain  taken back  no         0 of 1   file /o on fedns-0
    reason: late
    it hasn't taken it in yet
`},
		{"its file can't be read", func(f *report.Federation) {
			f.InForce = []report.Order{orderOf(t, lift, "")}
			f.OverridesError = "line 3: what?"
		}, `SUBJECT    ORDER  UNTIL       IN FORCE  SERVERS  FROM
region/eu  up     taken back  yes       1 of 1   file /o on fedns-0
    reason: lift (by hand)
    the file can't be read any more, and what it said before holds: line 3:
    what?
`},
		{"no file at all", func(f *report.Federation) {
			f.OverridesFile, f.InForce = "", []report.Order{orderOf(t, bare, "cluster/oslo")}
		}, `SUBJECT       ORDER  UNTIL       IN FORCE  SERVERS  FROM
cluster/oslo  drain  taken back  yes       1 of 1   cluster/oslo
`},
		{"nothing", func(*report.Federation) {}, "no orders in file /o on fedns-0\n"},
		{"nothing, and no file", func(f *report.Federation) { f.OverridesFile = "" }, "no orders in server fedns-0\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			f := report.Federation{Federation: "fed", Server: "fedns-0", OverridesFile: "/o", OverridesDigest: "another's", InForce: []report.Order{}}
			tt.change(&f)
			d.answers["snapshot"] = report.Snapshot{Federations: []report.Federation{f}, Host: "pod-7"}
			out, stderr, code := d.run("overrides")
			if out != tt.want || code != 0 || stderr != "" {
				t.Errorf("exit %d, %s%swant\n%s", code, stderr, out, tt.want)
			}
			var all []standing
			if out, _, _ := d.run("overrides", "-o", "json"); json.Unmarshal([]byte(out), &all) != nil || len(all) != strings.Count(tt.want, " of 1") || out == "null\n" {
				t.Errorf("as data: %s", out)
			}
		})
	}
}

// squeezed is a text without the spaces that only fill columns.
func squeezed(text string) string {
	var out []string
	for l := range strings.Lines(text) {
		out = append(out, strings.Join(strings.Fields(l), " "))
	}
	return strings.Join(out, "\n")
}

// Several servers that are asked: each order says in how many it is in force.
func TestOverridesOfServers(t *testing.T) {
	const fire = `down zone/eu-a reason "fire (Order fire)"`
	one, two := newDesk(t), newDesk(t)
	of := func(d *desk, server string, orders ...report.Order) {
		d.answers["snapshot"] = report.Snapshot{Federations: []report.Federation{{Federation: "fed", Server: server, InForce: append([]report.Order{}, orders...)}, {Federation: "other", Server: server + "-2"}}}
	}
	of(one, "a", orderOf(t, fire, "order/fire"))
	of(two, "b", orderOf(t, fire, "order/fire", `up zone/eu-a reason "x"`))
	out, stderr, code := one.run("overrides", "--server", one.server, "--server", two.server)
	if want := "SUBJECT ORDER UNTIL IN FORCE SERVERS FROM\nzone/eu-a down taken back partly 1 of 4 order/fire\nreason: fire\nb: a later order counts: up zone/eu-a reason \"x\""; squeezed(out) != want || code != 0 {
		t.Errorf("exit %d, %s%s\nwant\n%s", code, stderr, out, want)
	}
	// Who can't be asked doesn't keep the others' orders back.
	for _, args := range [][]string{
		{"--server", "127.0.0.1:1", "--server", one.server},
		{"--server", one.server, "--kubeconfig", filepath.Join(t.TempDir(), "none"), "--context", "fed"},
	} {
		out, stderr, code := one.run(append([]string{"overrides"}, args...)...)
		if code != 1 || !strings.Contains(out, "order/fire") || !strings.Contains(stderr, "server 127.0.0.1:1 can't be asked") && !strings.Contains(stderr, "none") {
			t.Errorf("%q: exit %d, %s%s", args, code, out, stderr)
		}
	}
}

// A file by itself is listed, whoever reads it; whether it is in force isn't known.
func TestOverridesOfFile(t *testing.T) {
	d := newDesk(t)
	path := filepath.Join(t.TempDir(), "o")
	if err := os.WriteFile(path, []byte("drain zone/x reason \"y\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.server = "http://127.0.0.1:1"
	out, _, code := d.run("overrides", "--file", path)
	if want := "SUBJECT ORDER UNTIL IN FORCE SERVERS FROM\nzone/x drain taken back unknown 0 of 0"; !strings.HasPrefix(squeezed(out), want) || !strings.Contains(out, "file "+path) || !strings.Contains(out, "no server says what it goes by") || code != 0 {
		t.Errorf("exit %d, %s", code, out)
	}
}

func TestFolded(t *testing.T) {
	for _, tt := range []struct {
		text string
		want string
	}{
		{"", ""}, {"a", "a"}, {"aa bb cc", "aa bb|cc"}, {"aaaaaaaa b", "aaaaaaaa|b"}, {" a  b ", "a b"},
	} {
		if got := strings.Join(folded(tt.text, 5), "|"); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

// A server that says nothing at all is told from one that is only busy.
func TestMute(t *testing.T) {
	s := v1alpha1.Server{Name: "a", Renewed: noon, Duration: 45 * time.Second}
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{
		{time.Second, "server a is late"},
		{30 * time.Second, "server a is late; it has said nothing at all since 12:00:00Z, and is given up at 12:00:45Z"},
	} {
		if got := mute(s, "is late", noon.Add(tt.after)); got != tt.want {
			t.Errorf("after %s: %s", tt.after, got)
		}
	}
}
