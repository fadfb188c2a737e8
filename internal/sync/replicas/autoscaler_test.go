package replicas

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAutoscaler(t *testing.T) {
	for _, tt := range []struct {
		name        string
		prefs       string
		least, most int64
		clusters    string
		there       map[string]int64 // minReplicas of those that are there
		want        string
	}{
		{"evenly", "", 6, 30, "a b c", nil, "a 2-10, b 2-10, c 2-10"},
		{"each has one at least", "", 1, 30, "a b c", nil, "a 1-10, b 1-10, c 1-10"},
		{"none asked for", "", 0, 30, "a b c", nil, "a 1-10, b 1-10, c 1-10"},
		{"fewer than clusters", "", 1, 2, "a b c", nil, "a 0-0, b 1-1, c 1-1"},
		{"none", "", 0, 0, "a b", nil, "a 0-0, b 0-0"},
		{"by weight, past the one that each has", `{"a": {"weight": 3}, "b": {"weight": 1}}`, 6, 22, "a b", nil, "a 4-16, b 2-6"},
		{"small weights have one", `{"a": {"weight": 1000}, "b": {"weight": 1}, "c": {"weight": 1}}`, 3, 3, "a b c", nil, "a 1-1, b 1-1, c 1-1"},
		{"bounds", `{"a": {"minReplicas": 4, "maxReplicas": 6, "weight": 1}, "b": {"weight": 1}}`, 6, 30, "a b", nil, "a 4-6, b 2-24"},
		{"a minimum leaves each its one", `{"a": {"minReplicas": 4, "weight": 2}, "b": {"weight": 1}}`, 2, 30, "a b", nil, "a 1-21, b 1-9"},
		{"not in the preferences", `{"a": {"weight": 1}}`, 2, 30, "a b", nil, "a 2-30, b 0-0"},
		{"neither weight nor minimum", `{"a": {"weight": 1}, "b": {}}`, 2, 30, "a b", nil, "a 2-30, b 0-0"},
		{"what is there stays", "", 6, 30, "a=20 b=10 c", map[string]int64{"a": 4, "b": 2}, "a 3-19, b 2-10, c 1-1"},
		{"full", "", 4, 30, "a/0 b", nil, "a 1-1, b 3-29"},
		{"evacuated", "", 4, 30, "a=15!0 b=15", map[string]int64{"a": 2, "b": 2}, "a 0-0, b 4-30"},
		{"upside down", "", 30, 4, "a b", nil, "a 2-2, b 2-2"},
	} {
		p := Default()
		if tt.prefs != "" {
			p.Clusters = unchecked(t, tt.prefs)
		}
		var in []AutoscalerCluster
		for _, c := range clusters(t, tt.clusters) {
			in = append(in, AutoscalerCluster{Cluster: c, Min: tt.there[c.Name]})
		}
		var out []string
		for name, r := range Autoscaler(p, tt.least, tt.most, in, "shop/web") {
			if r.Why == "" {
				t.Errorf("%s: %s has no reason", tt.name, name)
			}
			out = append(out, fmt.Sprintf("%s %d-%d", name, r.Min, r.Max))
		}
		slices.Sort(out)
		if got := strings.Join(out, ", "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
