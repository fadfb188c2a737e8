package ctl

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/report"
)

// A table fits its terminal: first its text is cut, the widest first, and where that doesn't
// do, each cell gets a line. What isn't a terminal gets all of it.
func TestTable(t *testing.T) {
	members := table{
		head: []string{"CLUSTER", "STATE", "SHARDS", "NOTE"}, free: []string{"SHARDS", "NOTE"},
		rows: [][]string{
			{"eu", "listed", "3 up (ready), 1 down (no endpoint)", "all is well"},
			{"us", "silent for 1m", "", "a note that is as long as can be, and longer"},
			{"ünï", "", "", ""},
		},
	}
	for _, tt := range []struct {
		columns int
		want    string
	}{
		{0, `
CLUSTER  STATE          SHARDS                              NOTE
eu       listed         3 up (ready), 1 down (no endpoint)  all is well
us       silent for 1m                                      a note that is as long as can be, and longer
ünï
`},
		{80, `
CLUSTER  STATE          SHARDS                       NOTE
eu       listed         3 up (ready), 1 down (no...  all is well
us       silent for 1m                               a note that is as long a...
ünï
`},
		{50, `
CLUSTER  STATE          SHARDS        NOTE
eu       listed         3 up (rea...  all is well
us       silent for 1m                a note th...
ünï
`},
		{40, `
CLUSTER: eu
STATE: listed
SHARDS: 3 up (ready), 1 down (no
  endpoint)
NOTE: all is well

CLUSTER: us
STATE: silent for 1m
NOTE: a note that is as long as can
  be, and longer

CLUSTER: ünï
`},
	} {
		var out bytes.Buffer
		c := &call{Env: Env{Stdout: &out, Columns: tt.columns, Getenv: func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }}}
		c.tabulate(members)
		if got := out.String(); got != tt.want[1:] {
			t.Errorf("in %d columns:\n%s\nwant%s", tt.columns, got, tt.want)
		}
		for line := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); tt.columns > 0 && n > tt.columns {
				t.Errorf("in %d columns, %d wide: %s", tt.columns, n, line)
			}
		}
	}
}

// What says the same in each row goes first, and of long names the middle last.
func TestTableNames(t *testing.T) {
	services := table{
		head: []string{"FEDERATION", "SERVICE", "CLUSTER", "VERDICT"}, same: []string{"FEDERATION"}, names: []string{"SERVICE", "CLUSTER"},
		rows: [][]string{
			{"myfederation", "mynamespace/a-service-of-a-long-name", "gce-us-central1-a", "up"},
			{"", "", "gce-us-central1-b", "down"},
			{"myfederation", "mynamespace/nginx", "gce-europe-west1-b", "up"},
		},
	}
	for _, tt := range []struct {
		columns int
		want    string
	}{
		{90, `
FEDERATION    SERVICE                               CLUSTER             VERDICT
myfederation  mynamespace/a-service-of-a-long-name  gce-us-central1-a   up
                                                    gce-us-central1-b   down
myfederation  mynamespace/nginx                     gce-europe-west1-b  up
`},
		{70, `
SERVICE                               CLUSTER             VERDICT
mynamespace/a-service-of-a-long-name  gce-us-central1-a   up
                                      gce-us-central1-b   down
mynamespace/nginx                     gce-europe-west1-b  up
`},
		{55, `
SERVICE                     CLUSTER             VERDICT
mynamespace/...a-long-name  gce-us-central1-a   up
                            gce-us-central1-b   down
mynamespace/nginx           gce-europe-west1-b  up
`},
		{45, `
FEDERATION: myfederation
SERVICE:
  mynamespace/a-service-of-a-long-name
CLUSTER: gce-us-central1-a
VERDICT: up
  CLUSTER: gce-us-central1-b
  VERDICT: down

FEDERATION: myfederation
SERVICE: mynamespace/nginx
CLUSTER: gce-europe-west1-b
VERDICT: up
`},
	} {
		var out bytes.Buffer
		c := &call{Env: Env{Stdout: &out, Columns: tt.columns, Getenv: func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }}}
		c.tabulate(services)
		if got := out.String(); got != tt.want[1:] {
			t.Errorf("in %d columns:\n%s\nwant%s", tt.columns, got, tt.want)
		}
	}
	other := services
	other.rows = append(other.rows[:2:2], []string{"other", "mynamespace/nginx", "gce-europe-west1-b", "up"})
	if left := other.without(other.same); len(left.head) != 4 {
		t.Errorf("two federations are shown as one: %q", left.head)
	}
}

// What is explained fits a terminal, too, but for what has no space in it.
func TestExplainFits(t *testing.T) {
	raw, err := os.ReadFile("testdata/explain.json")
	if err != nil {
		t.Fatal(err)
	}
	var e report.Explanation
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	d.answers["explain"] = e
	piped, _, _ := d.run("explain", "x")
	words := strings.Fields(piped)
	for _, columns := range []int{40, 60, 80, 200} {
		d.columns, d.env = columns, map[string]string{"NO_COLOR": "1"}
		out, _, _ := d.run("explain", "x")
		for line := range strings.Lines(out) {
			if len(line)-1 > columns && len(strings.Fields(line)) > 2 {
				t.Errorf("in %d columns: %s", columns, line)
			}
		}
		if got := strings.Fields(out); !slices.Equal(got, words) {
			t.Errorf("in %d columns it says something else:\n%s\nthan\n%s", columns, out, piped)
		}
	}
}

// Colors are for terminals, and not for who doesn't want them; they take no room.
func TestColor(t *testing.T) {
	const esc = "\x1b["
	for _, tt := range []struct {
		name                string
		columns, errColumns int
		env                 map[string]string
		out, err            bool // in colors
	}{
		{"piped", 0, 0, nil, false, false},
		{"terminal", 100, 100, nil, true, true},
		{"narrow", 30, 30, nil, true, true},
		{"only stdout piped", 0, 100, nil, false, true},
		{"only stderr piped", 100, 0, nil, true, false},
		{"NO_COLOR", 100, 100, map[string]string{"NO_COLOR": "1"}, false, false},
		{"NO_COLOR, empty", 100, 100, map[string]string{"NO_COLOR": ""}, true, true},
		{"dumb", 100, 100, map[string]string{"TERM": "dumb"}, false, false},
		{"xterm", 100, 100, map[string]string{"TERM": "xterm"}, true, true},
	} {
		d := asked(t)
		plainly, _, _ := d.run("services")
		d.columns, d.errColumns, d.env = tt.columns, tt.errColumns, tt.env
		out, _, _ := d.run("services")
		if strings.Contains(out, esc) != tt.out {
			t.Errorf("%s:\n%q", tt.name, out)
		}
		if bare := strings.NewReplacer(esc+"31m", "", esc+"32m", "", esc+"0m", "").Replace(out); tt.columns != 30 && bare != plainly {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, bare, plainly)
		}
		if tt.out && (!strings.Contains(out, esc+"32mup"+esc+"0m") || !strings.Contains(out, esc+"31mdown"+esc+"0m")) {
			t.Errorf("%s:\n%q", tt.name, out)
		}
		_, stderr, _ := d.run("servces")
		if strings.HasPrefix(stderr, "fedctl: "+esc+"31merror:"+esc+"0m there is no command") != tt.err || strings.Contains(stderr, esc) != tt.err {
			t.Errorf("%s: %q", tt.name, stderr)
		}
	}
}

// A terminal in which orders don't fit in lines gets them cell by cell, whole.
func TestNarrowOrders(t *testing.T) {
	d := newDesk(t)
	d.write("drain service/mynamespace/nginx reason \"a reason that has more words than a line has room for\"\n")
	d.columns, d.env = 40, map[string]string{"NO_COLOR": "1"}
	out, stderr, code := d.run("overrides")
	if code != 0 || !strings.HasPrefix(out, "SUBJECT: service/mynamespace/nginx\nORDER: drain\nUNTIL: taken back\n") || !strings.Contains(out, "REASON: a reason that has more words\n  than a line has room for\n") {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
}
