package publish

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
)

func TestRoute53(t *testing.T) {
	shards := func(of ...Shard) map[netip.Addr]Shard {
		out := map[netip.Addr]Shard{}
		for i, s := range of {
			out[netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})] = s
		}
		return out
	}
	paris, lyon := Shard{1, "eu-west-3", "eu-west-3a", 3}, Shard{2, "eu-west-3", "eu-west-3a", 1}
	york := Shard{3, "us-east-1", "us-east-1b", 0}
	all := []Endpoint{{Name: "web.example.com", Type: "A", Targets: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}}}
	for _, tt := range []struct {
		what   string
		by     Choice
		of     map[netip.Addr]Shard
		want   []string // ID, key and value, health check, targets
		unable string
	}{
		{"to everybody", All, shards(paris, lyon, york), []string{"  [192.0.2.1 192.0.2.2 192.0.2.3]"}, ""},
		{"by weight, two clusters at one place", Weight, shards(paris, lyon, york), []string{
			"eu-west-3a.eu-west-3 aws/weight=3 hc-eu [192.0.2.1]", "eu-west-3a.eu-west-3-2 aws/weight=1 hc-eu [192.0.2.2]", "us-east-1b.us-east-1 aws/weight=0  [192.0.2.3]"}, ""},
		{"two addresses of a cluster", Weight, shards(paris, paris, york), []string{
			"eu-west-3a.eu-west-3 aws/weight=3 hc-eu [192.0.2.1 192.0.2.2]", "us-east-1b.us-east-1 aws/weight=0  [192.0.2.3]"}, ""},
		{"large weights", Weight, shards(Shard{1, "a", "", 1000}, Shard{2, "b", "", 500}, Shard{3, "c", "", 1}), []string{
			"a aws/weight=255  [192.0.2.1]", "b aws/weight=127  [192.0.2.2]", "c aws/weight=1  [192.0.2.3]"}, ""},
		{"by region", Latency, shards(paris, lyon, york), []string{
			"eu-west-3 aws/region=eu-west-3 hc-eu [192.0.2.1 192.0.2.2]", "us-east-1 aws/region=us-east-1  [192.0.2.3]"}, ""},
		{"a region of one's own", Latency, shards(paris, lyon, Shard{3, "basement", "", 1}), []string{"  [192.0.2.1 192.0.2.2 192.0.2.3]"},
			"region basement isn't one of AWS: Route 53 can't know how far it is"},
		{"one that sounds like it", Latency, shards(paris, lyon, Shard{3, "us-north-9", "", 1}), []string{"  [192.0.2.1 192.0.2.2 192.0.2.3]"},
			"region us-north-9 isn't one of AWS: Route 53 can't know how far it is"},
		{"one of Google's", Latency, shards(paris, lyon, Shard{3, "us-central1", "us-central1-a", 1}), []string{"  [192.0.2.1 192.0.2.2 192.0.2.3]"},
			"region us-central1 isn't one of AWS: Route 53 can't know how far it is"},
	} {
		r := Routing{By: tt.by, Shards: tt.of}
		if got := r.Unable(); got != tt.unable {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.unable)
		}
		var got []string
		for _, e := range r.Route53(all, map[string]string{"eu-west-3": "hc-eu"}) {
			by := ""
			if e.Key != "" {
				by = e.Key + "=" + e.Value
			}
			got = append(got, fmt.Sprintf("%s %s %s %v", e.ID, by, e.HealthCheck, e.Targets))
			if by == "" {
				got[len(got)-1] = fmt.Sprintf("  %v", e.Targets)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%q, want\n%q", tt.what, got, tt.want)
		}
	}
}

// Route 53 has two roles, takes no primary set without a health check, and none beside a set of another kind.
func TestRoute53Failover(t *testing.T) {
	const name = "web.example.com"
	paris, york, tokyo := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	six := netip.MustParseAddr("2001:db8::2")
	shards := map[netip.Addr]Shard{paris: {1, "eu", "", 1}, york: {2, "us", "", 1}, six: {2, "us", "", 1}, tokyo: {3, "jp", "", 1}}
	without := func(of ...netip.Addr) map[netip.Addr]Shard {
		out := maps.Clone(shards)
		for _, a := range of {
			delete(out, a)
		}
		return out
	}
	both := map[string]string{"eu": "hc-eu", "us": "hc-us"}
	for _, tt := range []struct {
		what    string
		of      map[netip.Addr]Shard
		checks  map[string]string
		regions []string
		active  string
		rtype   string
		answer  []string
		want    []string
	}{
		{"the first region is up", shards, both, []string{"eu", "us", "jp"}, "eu", "A", []string{"192.0.2.1"},
			[]string{"primary PRIMARY hc-eu [192.0.2.1]", "secondary SECONDARY hc-us [192.0.2.2]"}},
		{"the first region is down", without(paris), both, []string{"eu", "us", "jp"}, "us", "A", []string{"192.0.2.2"},
			[]string{"primary PRIMARY hc-us [192.0.2.2]", "secondary SECONDARY  [192.0.2.3]"}},
		{"one waits to be gone back to", shards, both, []string{"eu", "us", "jp"}, "us", "A", []string{"192.0.2.2"},
			[]string{"primary PRIMARY hc-us [192.0.2.2]", "secondary SECONDARY hc-eu [192.0.2.1]"}},
		{"only one region is up", without(york, tokyo), both, []string{"eu", "us"}, "eu", "A", []string{"192.0.2.1"},
			[]string{"primary PRIMARY hc-eu [192.0.2.1]"}},
		{"no other of the list is up", without(york), both, []string{"eu", "us"}, "eu", "A", []string{"192.0.2.1"},
			[]string{"primary PRIMARY hc-eu [192.0.2.1]", "secondary SECONDARY  [192.0.2.3]"}},
		{"none of the list is up", without(paris), both, []string{"eu"}, "", "A", []string{"192.0.2.2", "192.0.2.3"},
			[]string{"primary PRIMARY hc-eu [192.0.2.2 192.0.2.3]"}},
		{"the active one has no check", without(paris), map[string]string{"eu": "hc-eu"}, []string{"eu", "us", "jp"}, "us", "A", []string{"192.0.2.2"},
			[]string{"primary PRIMARY hc-eu [192.0.2.2]"}},
		{"none has a check", shards, map[string]string{"mars": "hc-mars"}, []string{"eu", "us"}, "eu", "A", []string{"192.0.2.1"},
			[]string{"   [192.0.2.1]"}},
		{"of the other family", shards, both, []string{"eu", "us"}, "us", "AAAA", []string{"2001:db8::2"},
			[]string{"primary PRIMARY hc-us [2001:db8::2]"}},
		{"an address that both have", map[netip.Addr]Shard{paris: {1, "eu", "", 1}, york: {2, "us", "", 1}}, both, []string{"eu", "us"}, "eu", "A", []string{"192.0.2.1", "192.0.2.2"},
			[]string{"primary PRIMARY hc-eu [192.0.2.1 192.0.2.2]"}},
	} {
		r := Routing{By: Failover, Shards: tt.of, Name: name, Regions: tt.regions, Active: map[string]string{tt.rtype: tt.active}}
		regional := Endpoint{Name: "web.eu.example.com", Type: tt.rtype, Targets: tt.answer}
		all := r.Route53([]Endpoint{{Name: name, Type: tt.rtype, Targets: tt.answer}, regional}, tt.checks)
		var got []string
		for _, e := range all {
			if e.Name == name {
				got = append(got, fmt.Sprintf("%s %s %s %v", e.ID, e.Value, e.HealthCheck, e.Targets))
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%q, want\n%q", tt.what, got, tt.want)
		}
		if last := all[len(all)-1]; last.ID != "" || last.Name != regional.Name {
			t.Errorf("%s: the region's own name is chosen for: %v", tt.what, last)
		}
	}
}
