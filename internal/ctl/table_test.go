package ctl

import (
	"bytes"
	"strings"
	"testing"
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
