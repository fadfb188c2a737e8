package replicas

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestWhole(t *testing.T) {
	for _, tt := range []struct {
		name      string
		prefs     string
		rebalance bool
		n         int64
		clusters  string
		holder    string
		want      string
	}{
		{"one of them", "", false, 4, "a b c", "", "a 4"},
		{"the heaviest", `{"a": {"weight": 1}, "b": {"weight": 3}}`, false, 4, "a b c", "", "b 4"},
		{"who has it keeps it", "", false, 4, "a b c", "a", "a 4"},
		{"also if another is heavier", `{"a": {"weight": 1}, "b": {"weight": 3}}`, false, 4, "a b", "a", "a 4"},
		{"but with rebalance", `{"a": {"weight": 1}, "b": {"weight": 3}}`, true, 4, "a b", "a", "b 4"},
		{"of equals none moves", "", true, 4, "a b c", "a", "a 4"},
		{"where there is room", "", false, 4, "a/3 b c/0", "", "b 4"},
		{"who has it and has no room", "", false, 4, "a/0 b c", "a", "b 4"},
		{"nobody has room for all", "", false, 4, "a/2 b/3 c/0", "", "b 4"},
		{"nobody has any", "", false, 4, "a/0 b/0 c/0", "a", "a 4"},
		{"fewer at once", `{"a": {"maxReplicas": 2, "weight": 1}}`, false, 4, "a b", "", "a 2"},
		{"a maximum that is wide enough comes first", `{"a": {"maxReplicas": 2, "weight": 9}, "b": {"weight": 1}}`, false, 4, "a b", "", "b 4"},
		{"paused", "", false, 0, "a b", "b", "b 0"},
		{"a minimum is as good as a weight", `{"a": {"minReplicas": 1}}`, false, 4, "a b", "", "a 4"},
		{"drained", "", false, 4, "a=4!0 b", "a", "b 4"},
		{"nobody may", `{"a": {"maxReplicas": 0, "weight": 1}, "b": {"weight": 0}}`, false, 4, "a b c", "", " 0"},
	} {
		p := Default()
		if tt.prefs != "" {
			p.Clusters = unchecked(t, tt.prefs)
		}
		p.Rebalance = tt.rebalance
		name, n := Whole(p, tt.n, clusters(t, tt.clusters), tt.holder, "shop/batch")
		if got := fmt.Sprintf("%s %d", name, n); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// There is one wherever there may be one, it stays once it is there, and the order of the
// clusters is no matter.
func TestWholeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := draw(t, 5, 20)
		name, n := Whole(p.Preferences, p.Total, p.Clusters, "", p.Key)
		may := false
		for _, c := range p.Clusters {
			pref, ok := p.Preferences.Of(c.Name)
			most, _ := p.bounds(c)
			able := ok && (pref.Weight > 0 || pref.Min > 0) && most > 0
			may = may || able
			if c.Name == name && (!able || n > most || n > p.Total) {
				t.Fatalf("%s gets %d of %d, and may have %d", name, n, p.Total, most)
			}
		}
		if may != (name != "") {
			t.Fatalf("it is in %q, though it may be somewhere: %v", name, may)
		}
		if again, m := Whole(p.Preferences, p.Total, p.Clusters, name, p.Key); again != name || m != n {
			t.Fatalf("carried out: %s %d, was %s %d", again, m, name, n)
		}
		other := rapid.Permutation(p.Clusters).Draw(t, "another order")
		if again, m := Whole(p.Preferences, p.Total, other, "", p.Key); again != name || m != n {
			t.Fatalf("in another order: %s %d, was %s %d", again, m, name, n)
		}
	})
}
