package replicas

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestJob(t *testing.T) {
	for _, tt := range []struct {
		name        string
		prefs       string
		parallelism int64
		completions int64 // -1: none
		clusters    string
		there       map[string]int64 // completions of Jobs that are there
		want        string           // parallelism/completions
	}{
		{"evenly", "", 6, 60, "a b c", nil, "a 2/20, b 2/20, c 2/20"},
		{"completions follow parallelism", `{"a": {"maxReplicas": 1, "weight": 1}, "b": {"weight": 1}}`, 6, 60, "a b", nil, "a 1/10, b 5/50"},
		{"one at a time is in one cluster", "", 1, 60, "a b c", nil, "a 1/60, b 0/0, c 0/0"},
		{"fewer completions than clusters", "", 5, 2, "a b c", nil, "a 3/1, b 2/1, c 0/0"},
		{"more at once than there is work", "", 10, 4, "a b", nil, "a 5/2, b 5/2"},
		{"paused", "", 0, 6, "a b c", nil, "a 0/2, b 0/2, c 0/2"},
		{"nothing to do", "", 5, 0, "a b", nil, "a 0/0, b 0/0"},
		{"no completions", "", 5, -1, "a b c", nil, "a 2/-, b 2/-, c 1/-"},
		{"not in the preferences", `{"a": {"weight": 1}}`, 4, 8, "a b", nil, "a 4/8, b 0/0"},
		{"no room", "", 4, 8, "a/0 b", nil, "a 0/0, b 4/8"},
		{"room for little", "", 8, 16, "a/1 b", nil, "a 1/2, b 7/14"},
		{"a cluster comes: all completions are given away", "", 4, 8, "a=2 b=2 c", map[string]int64{"a": 4, "b": 4}, "a 2/4, b 2/4, c 0/0"},
		{"one went, one comes", "", 4, 8, "a=2 c", map[string]int64{"a": 4}, "a 2/4, c 2/4"},
		{"one went: its completions can't be done", "", 4, 8, "a=2", map[string]int64{"a": 4}, "a 4/4"},
		{"less at once than Jobs", "", 1, 9, "a=1 b=1 c=1", map[string]int64{"a": 3, "b": 3, "c": 3}, "a 1/3, b 1/3, c 1/3"},
		{"more at once than the Job that is there has to do", "", 4, 8, "a=4 c", map[string]int64{"a": 2}, "a 2/2, c 2/6"},
		{"a minimum leaves the others their one", `{"a": {"minReplicas": 3, "weight": 1}, "b": {"weight": 1}}`, 3, 10, "a b", map[string]int64{"a": 5, "b": 5}, "a 2/5, b 1/5"},
		{"evacuated", "", 4, 8, "a=2!0 b=2", map[string]int64{"a": 4, "b": 4}, "a 0/4, b 4/4"},
		{"nothing left to do there", "", 4, 8, "a b=4", map[string]int64{"a": 0, "b": 8}, "a 0/0, b 4/8"},
	} {
		p := Default()
		if tt.prefs != "" {
			p.Clusters = unchecked(t, tt.prefs)
		}
		var in []JobCluster
		for _, c := range clusters(t, tt.clusters) {
			j := JobCluster{Cluster: c}
			if n, ok := tt.there[c.Name]; ok {
				j.Completions = &n
			}
			in = append(in, j)
		}
		var completions *int64
		if tt.completions >= 0 {
			completions = &tt.completions
		}
		var out []string
		for name, s := range Job(p, tt.parallelism, completions, in, "shop/batch") {
			done := "-"
			if s.Completions != nil {
				done = fmt.Sprint(*s.Completions)
			}
			if s.Why == "" {
				t.Errorf("%s: %s has no reason", tt.name, name)
			}
			out = append(out, fmt.Sprintf("%s %d/%s", name, s.Parallelism, done))
		}
		slices.Sort(out)
		if got := strings.Join(out, ", "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
