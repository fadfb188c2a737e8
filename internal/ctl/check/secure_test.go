package check

import (
	"testing"
	"time"
)

// What a parent says of a domain is compared with each of its servers.
func TestSecure(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	long := now.AddDate(0, 0, 10)
	for _, tt := range []struct {
		name    string
		ds      []string
		servers []Signed
		want    Level // the worst; "": nothing is said
	}{
		{"neither", nil, []Signed{{Addr: "a"}}, ""},
		{"all is well", []string{"x", "old"}, []Signed{{"a", []string{"x"}, long}, {"b", []string{"y", "x"}, long}}, OK},
		{"the parent hasn't got it", nil, []Signed{{"a", []string{"x"}, long}}, Warning},
		{"the parent has another", []string{"old"}, []Signed{{"a", []string{"x"}, long}}, Error},
		{"one server isn't signed", []string{"x"}, []Signed{{"a", []string{"x"}, long}, {Addr: "b"}}, Error},
		{"a server has another key", []string{"x"}, []Signed{{"a", []string{"x"}, long}, {"b", []string{"y"}, long}}, Error},
		{"no signature", []string{"x"}, []Signed{{"a", []string{"x"}, time.Time{}}}, Error},
		{"signatures end", []string{"x"}, []Signed{{"a", []string{"x"}, now.AddDate(0, 0, 1)}}, Error},
	} {
		all := Secure(Anchors{Domain: "example.com", Records: tt.ds}, tt.servers, now)
		if len(all) == 0 && tt.want == "" {
			continue
		}
		if len(all) == 0 || Worst(all) != tt.want {
			t.Errorf("%s: %+v, want %s", tt.name, all, tt.want)
		}
	}
	if all := Secure(Anchors{Domain: "example.com", Error: "timeout"}, []Signed{{"a", []string{"x"}, long}}, now); Worst(all) != Warning {
		t.Errorf("%+v", all)
	}
}
