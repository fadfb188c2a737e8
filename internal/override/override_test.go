package override

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	got, err := Parse(`
# the rack moves
drain cluster/gce-us until 2026-11-20T12:00:00Z reason "rack moves"
up service/shop/web reason "probe \"lies\""
  down  zone/us-a   reason "fire"
drain region/eu until 2026-11-20T12:00:00+02:00 reason "x"
`)
	if err != nil || len(got) != 4 {
		t.Fatal(got, err)
	}
	if o := got[0]; o.Action != Drain || o.Subject != (Subject{Kind: Cluster, Name: "gce-us"}) || o.Reason != "rack moves" ||
		!o.Until.Equal(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", o)
	}
	if o := got[1]; o.Action != Up || o.Subject != (Subject{Kind: Service, Namespace: "shop", Name: "web"}) || o.Reason != `probe "lies"` || !o.Until.IsZero() {
		t.Errorf("%+v", o)
	}
	if !got[0].Expired(got[0].Until) || got[0].Expired(got[0].Until.Add(-1)) || got[1].Expired(time.Unix(1<<40, 0)) {
		t.Error("expiry")
	}
	var lines []string
	for _, o := range got {
		lines = append(lines, o.String())
	}
	again, err := Parse(strings.Join(lines, "\n"))
	if err != nil || len(again) != 4 || again[3].String() != got[3].String() {
		t.Error(again, err)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		`kill cluster/a reason "x"`:                    `line 1: "kill" is none of drain, down, up`,
		"\n\ndrain planet/a reason \"x\"":              `line 3: "planet/a" is none of cluster/NAME`,
		`drain service/a reason "x"`:                   "service/NAMESPACE/NAME",
		`drain cluster/a/b reason "x"`:                 "cluster/NAME",
		`drain cluster/a`:                              `"nothing" stands where`,
		`drain cluster/a until tomorrow reason "x"`:    `"tomorrow" is not a time`,
		`drain cluster/a reason x`:                     "text in quotes",
		`drain cluster/a reason ""`:                    "text in quotes",
		`drain cluster/a because "x"`:                  `"because" stands where`,
		"drain cluster/a reason \"x\"\nfly zone/b\nup": `line 2: "fly" is none of drain, down, up, failback; line 3: "" is none`,
		strings.Repeat("nonsense\n", 7):                "line 5: \"nonsense\" is none of drain, down, up, failback; and 2 more lines",
	} {
		if got, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%q: %v, error %v, want %q", text, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`drain cluster/a until 2026-11-20T12:00:00Z reason "x"`)
	f.Fuzz(func(t *testing.T, s string) {
		orders, err := Parse(s)
		if err != nil {
			return
		}
		for _, o := range orders {
			again, err := Parse(o.String())
			if err != nil || len(again) != 1 || again[0].String() != o.String() {
				t.Fatalf("%q is written as %q, which reads as %v, %v", s, o, again, err)
			}
		}
	})
}
