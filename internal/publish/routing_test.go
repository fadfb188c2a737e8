package publish

import (
	"fmt"
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
		r := Routing{tt.by, tt.of}
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
