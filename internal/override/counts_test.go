package override

import (
	"strings"
	"testing"
)

// Paris stands in two zones of eu, lyon in one of them; nobody knows yet where oslo is.
var spots = []ClusterPlace{{"paris", "eu", "eu-a"}, {"paris", "eu", "eu-b"}, {"lyon", "eu", "eu-b"}, {"oslo", "", ""}}

func list(t *testing.T, text string) []Order {
	t.Helper()
	var lines []string
	for l := range strings.SplitSeq(text, ",") {
		lines = append(lines, strings.TrimSpace(l)+` reason "x"`)
	}
	all, err := Parse(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func short(all []Order) string {
	var out []string
	for _, o := range all {
		out = append(out, string(o.Action)+" "+o.Subject.String())
	}
	return strings.Join(out, ", ")
}

// An order is overruled if a later one says otherwise wherever it speaks of anything.
func TestOverruled(t *testing.T) {
	for _, tt := range []struct{ orders, want string }{ // of the first
		{"drain cluster/paris", ""},
		{"drain cluster/paris, up cluster/paris", "up cluster/paris"},
		{"drain cluster/paris, up cluster/paris, drain cluster/paris", ""},
		{"drain cluster/paris, down cluster/paris", ""}, // they agree
		{"up cluster/paris, down cluster/paris", "down cluster/paris"},
		{"down cluster/paris, drain region/eu", ""},
		{"drain cluster/paris, up cluster/lyon", ""},
		{"drain cluster/paris, up region/eu", "up region/eu"},
		{"drain cluster/paris, up zone/eu-a", ""},
		{"drain cluster/paris, up zone/eu-a, up zone/eu-b", "up zone/eu-a, up zone/eu-b"},
		{"drain cluster/paris, up service/shop/web", ""},
		{"drain cluster/lyon, up zone/eu-b", "up zone/eu-b"},
		{"drain region/eu, up cluster/paris", ""},
		{"drain region/eu, up cluster/paris, up cluster/lyon", "up cluster/paris, up cluster/lyon"},
		{"drain zone/eu-b, up region/eu", "up region/eu"},
		{"drain zone/eu-b, drain region/eu", ""},
		{"drain service/shop/web, up service/shop/web", "up service/shop/web"},
		{"drain service/shop/web, up service/shop/api", ""},
		{"drain service/shop/web, up region/eu", ""}, // it counts in oslo
		{"drain service/shop/web, up region/eu, up cluster/oslo", "up region/eu, up cluster/oslo"},
		{"drain cluster/oslo, up region/eu", ""},
		{"drain zone/nowhere, up zone/nowhere", "up zone/nowhere"},
		{"drain zone/nowhere, up region/eu", ""},
		{"failback region/eu, failback region/eu", ""},
		{"drain region/eu, failback region/eu", ""},
		{"up region/eu, drain cluster/paris, up cluster/paris", ""},
	} {
		if got := short(Overruled(list(t, tt.orders), 0, spots)); got != tt.want {
			t.Errorf("%s: the first is overruled by %q, want %q", tt.orders, got, tt.want)
		}
	}
}

// The order about a cluster that counts is the last that speaks of all of it.
func TestOn(t *testing.T) {
	for _, tt := range []struct{ orders, want string }{ // of paris
		{"drain cluster/paris", "drain cluster/paris"},
		{"drain cluster/paris, up region/eu", "up region/eu"},
		{"down region/eu", "down region/eu"},
		{"down region/eu, up zone/eu-a", "down region/eu"},
		{"down region/eu, failback region/eu", "down region/eu"},
		{"down zone/eu-b", ""},
		{"drain cluster/lyon, drain service/shop/web", ""},
	} {
		o, ok := On(list(t, tt.orders), spots[:2])
		if got := strings.TrimSpace(string(o.Action) + " " + strings.TrimPrefix(o.Subject.String(), "/")); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %v, want %q", tt.orders, got, ok, tt.want)
		}
	}
	if o, ok := On(list(t, "drain cluster/paris"), nil); ok {
		t.Errorf("of nothing: %v", o)
	}
}

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		subject string
		want    bool
	}{
		{"cluster/paris", true}, {"cluster/eu", false}, {"region/eu", true}, {"region/eu-a", false}, {"zone/eu-a", true}, {"zone/eu-b", false},
		{"service/shop/web", true}, {"service/shop/api", false}, {"service/web/shop", false},
	} {
		s, err := ParseSubject(tt.subject)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Of("shop", "web", spots[0]); got != tt.want {
			t.Errorf("%s: %v", tt.subject, got)
		}
	}
}
