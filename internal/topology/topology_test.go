package topology

import (
	"slices"
	"strings"
	"testing"
)

func TestScope(t *testing.T) {
	m := New([]Place{
		{"us", "us-a"}, {"us", "us-b"}, {"us", "us-a"}, {"eu", "eu-a"}, {"eu", "az1"}, {"us", "az1"},
		{"asia", ""}, {"", ""}, {"", "lost"}, {"us", "eu"},
	})
	for _, tt := range []struct {
		name string
		want Scope
		ok   bool
	}{
		{"", Global, true},
		{"us", Scope{Region: "us"}, true},
		{"asia", Scope{Region: "asia"}, true},
		{"us-a.us", Scope{"us", "us-a"}, true},
		{"us-a", Scope{"us", "us-a"}, true},
		{"eu-a", Scope{"eu", "eu-a"}, true},
		{"az1.eu", Scope{"eu", "az1"}, true},
		{"az1.us", Scope{"us", "az1"}, true},
		{"az1", Scope{}, false},            // two regions have it: no short form
		{"eu", Scope{Region: "eu"}, true},  // the region wins over the zone of its name
		{"eu.us", Scope{"us", "eu"}, true}, // which keeps its long form
		{"us-a.eu", Scope{}, false},        // not in that region
		{"lost", Scope{}, false},           // a zone without region has no name
		{"nowhere", Scope{}, false},
		{"x.us-a.us", Scope{}, false},
	} {
		var labels []string
		if tt.name != "" {
			labels = strings.Split(tt.name, ".")
		}
		got, ok := m.Scope(labels...)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("Scope(%q) = %v, %v, want %v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
	if got := m.Clashes(); !slices.Equal(got, []string{"eu"}) {
		t.Errorf("Clashes() = %q, want eu", got)
	}
	if got := len(m.Scopes()); got != 1+3+6 {
		t.Errorf("%d scopes: %v", got, m.Scopes())
	}
}

func TestUp(t *testing.T) {
	s := Scope{"us", "us-a"}
	var widths []string
	for range 4 {
		widths = append(widths, s.Width().String())
		s = s.Up()
	}
	if got := strings.Join(widths, " "); got != "zonal regional global global" {
		t.Error(got)
	}
}

func TestLabel(t *testing.T) {
	for in, want := range map[string]string{"US-East1": "us-east1", "a.b": "", "a_b": "", "svc": "", "Ing": ""} {
		got, err := Label(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Label(%q) = %q, %v", in, got, err)
		}
	}
}
