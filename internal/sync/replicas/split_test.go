package replicas

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// clusters reads "a=5 b=70/10 c!3": what each holds, /its capacity, !its ceiling.
func clusters(t *testing.T, s string) []Cluster {
	t.Helper()
	var out []Cluster
	for word := range strings.FieldsSeq(s) {
		name := word[:1]
		c := Cluster{Name: name}
		for rest := word[1:]; rest != ""; {
			end := 1 + len(rest[1:])
			if i := strings.IndexAny(rest[1:], "=/!"); i >= 0 {
				end = 1 + i
			}
			var n int64
			if _, err := fmt.Sscan(rest[1:end], &n); err != nil {
				t.Fatalf("%q: %v", word, err)
			}
			switch rest[0] {
			case '=':
				c.Current = n
			case '/':
				c.Capacity = &n
			case '!':
				c.Ceiling = &n
			default:
				t.Fatalf("%q: %q", word, rest[:1])
			}
			rest = rest[end:]
		}
		out = append(out, c)
	}
	return out
}

// unchecked reads the clusters of preferences, right or wrong.
func unchecked(t *testing.T, s string) map[string]ClusterPreference {
	t.Helper()
	var out map[string]ClusterPreference
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// words are a plan as "a 5 (keeps what it has), b 3+2 (...)".
func words(p Plan) string {
	var out []string
	for name, s := range p {
		n := fmt.Sprint(s.Replicas)
		if s.Overflow > 0 {
			n += fmt.Sprint("+", s.Overflow)
		}
		out = append(out, fmt.Sprintf("%s %s (%s)", name, n, s.Why))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		name     string
		prefs    string // "" is the default, R: with rebalance
		total    int64
		clusters string
		want     string
	}{
		{"shares by what is left: v1 gave 4, 4 and 2", "", 10, "a b c", "a 3 (by weight 1), b 4 (by weight 1), c 3 (by weight 1)"},
		{"a new cluster gets nothing of what runs", "", 6, "a=3 b=3 c", "a 3 (keeps what it has), b 3 (keeps what it has), c 0 (by weight 1)"},
		{"unless there is more", "", 8, "a=3 b=3 c", "a 3 (keeps what it has), b 3 (keeps what it has), c 2 (by weight 1)"},
		{"or rebalance", "R", 6, "a=3 b=3 c", "a 2 (by weight 1), b 2 (by weight 1), c 2 (by weight 1)"},
		{"shrinks evenly", "", 10, "a=5 b=5 c=5", "a 3 (gives 2 back), b 4 (gives 1 back), c 3 (gives 2 back)"},
		{"shrinks where there is most", "", 79, "a=10 b=70", "a 10 (keeps what it has), b 69 (gives 1 back)"},
		{"shrinks by weight", `{"a": {"weight": 3}, "b": {"weight": 1}}`, 20, "a=30 b=10", "a 15 (gives 15 back), b 5 (gives 5 back)"},
		{"shrinks first where nothing is wanted", `{"a": {"weight": 1}, "b": {}}`, 10, "a=8 b=4", "a 8 (keeps what it has), b 2 (gives 2 back)"},
		{"not below minimums", `{"*": {"weight": 1, "minReplicas": 3}}`, 10, "a=4 b=20", "a 3 (minReplicas 3), b 7 (gives 13 back)"},
		{"10 and 70 to 20", "", 20, "a=10 b=70", "a 0 (gives 10 back), b 20 (gives 50 back)"},
		{"minimums come before what runs", `{"*": {"weight": 1, "minReplicas": 3}}`, 10, "a=10 b", "a 7 (gives 3 back), b 3 (minReplicas 3)"},
		{"minimums of those that have them", `{"*": {"minReplicas": 4}}`, 8, "a=4 b c=4", "a 4 (minReplicas 4), b 0 (weight 0), c 4 (minReplicas 4)"},
		{"a minimum above the maximum", `{"a": {"minReplicas": 9, "maxReplicas": 4, "weight": 1}}`, 20, "a", "a 4 (maxReplicas 4)"},
		{"not in the preferences", `{"a": {"weight": 1}}`, 4, "a b=4", "a 4 (by weight 1), b 0 (not in the preferences)"},
		{"in the preferences without weight keeps what it has", `{"a": {"weight": 1}, "b": {}}`, 4, "a b=4", "a 0 (by weight 1), b 4 (keeps what it has)"},
		{"no weight anywhere", `{"*": {}}`, 4, "a b", "a 0 (weight 0), b 0 (weight 0)"},
		{"no room", "", 10, "a/0 b", "a 0 (room for 0), b 10 (by weight 1)"},
		{"no room anywhere", "", 9, "a/1 b/2", "a 1+3 (room for 1, 3 more wait for it), b 2+3 (room for 2, 3 more wait for it)"},
		{"what waits adds up: v1 asked for 16 of 12", `{"a": {"weight": 1}, "b": {"weight": 1}, "c": {"maxReplicas": 8, "weight": 1}}`, 12, "a/0 b/0 c",
			"a 0+2 (room for 0, 2 more wait for it), b 0+2 (room for 0, 2 more wait for it), c 8 (maxReplicas 8)"},
		{"what waits comes on top of minimums, as what runs does", `{"a": {"minReplicas": 4, "weight": 1}, "b": {"weight": 1}}`, 10, "a/4 b/0", "a 4+3 (room for 4, 3 more wait for it), b 0+3 (room for 0, 3 more wait for it)"},
		{"a minimum waits", `{"a": {"minReplicas": 6}, "b": {"maxReplicas": 3, "weight": 1}}`, 10, "a/1 b", "a 1+5 (room for 1, 5 more wait for it), b 3 (maxReplicas 3)"},
		{"a minimum waits with rebalance", `R{"a": {"minReplicas": 6}, "b": {"weight": 1}}`, 10, "a/1 b", "a 1+5 (room for 1, 5 more wait for it), b 9 (by weight 1)"},
		{"nothing waits past a maximum", `{"a": {"maxReplicas": 3, "weight": 1}}`, 10, "a/1", "a 1+2 (room for 1, 2 more wait for it)"},
		{"nothing waits past a ceiling", "R", 10, "a/1!2 b", "a 1+1 (room for 1, 1 more wait for it), b 9 (by weight 1)"},
		{"must not grow", "", 10, "a=2!2 b=2", "a 2 (must not grow past 2), b 8 (by weight 1)"},
		{"evacuated", "", 10, "a=5!0 b=5", "a 0 (takes no replicas), b 10 (by weight 1)"},
		{"evacuated, minimum or not", `{"*": {"minReplicas": 5}}`, 10, "a=5!0 b=5", "a 0 (takes no replicas), b 5 (minReplicas 5)"},
		{"less than nothing", "", -3, "a=5/-1 b=-5", "a 0 (room for 0), b 0 (by weight 1)"},
		{"more than there are", "", 1 << 40, "a b", "a 1073741823 (by weight 1), b 1073741824 (by weight 1)"},
		{"great weights", `{"a": {"weight": 9223372036854775807}, "b": {"weight": 2147483647}}`, 1 << 31, "a b", "a 1073741823 (by weight 2147483647), b 1073741824 (by weight 2147483647)"},
	} {
		p := Default()
		tt.prefs, p.Rebalance = strings.CutPrefix(tt.prefs, "R")
		if tt.prefs != "" {
			p.Clusters = unchecked(t, tt.prefs)
		}
		if got := words(Split(p, tt.total, clusters(t, tt.clusters), "shop/web")); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestSplitTwice(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the same cluster twice has a plan")
		}
	}()
	Split(Default(), 1, clusters(t, "a a"), "")
}

// What doesn't divide is spread over the clusters, however alike names are.
func TestSpread(t *testing.T) {
	for _, names := range [][]string{
		{"gce-us-central1", "gce-europe-west1", "gce-asia-east1"},
		{"gce-1", "gce-2", "gce-3"},
		{"us", "eu", "asia"},
	} {
		for _, key := range []string{"default/app-%03d", "ns-%03d/web", "%d"} {
			for _, total := range []int64{1, 2, 10, 11} {
				sums := map[string]int64{}
				for i := range 1000 {
					var in []Cluster
					for _, name := range names {
						in = append(in, Cluster{Name: name})
					}
					for name, s := range Split(Default(), total, in, fmt.Sprintf(key, i)) {
						sums[name] += s.Replicas
					}
				}
				// The standard deviation of who gets the odd one of 1,000 is 15.
				even := 1000 * float64(total) / 3
				for name, n := range sums {
					if d := float64(n) - even; d < -55 || d > 55 {
						t.Errorf("%s, %d replicas each: %s has %d: %v", key, total, name, n, sums)
					}
				}
			}
		}
	}
}

// A cluster that comes takes single replicas from the others, and gives none of
// theirs to one another.
func TestRankIsStable(t *testing.T) {
	moved := 0
	for i := range 1000 {
		key := fmt.Sprint("default/app-", i)
		p := Preferences{Rebalance: true, Clusters: Default().Clusters}
		three, four := Split(p, 1, clusters(t, "a b c"), key), Split(p, 1, clusters(t, "a b c d"), key)
		for _, name := range []string{"a", "b", "c"} {
			if four[name].Replicas > three[name].Replicas {
				t.Errorf("%s: %s gains by d: %v, then %v", key, name, three, four)
			}
		}
		moved += int(four["d"].Replicas)
	}
	if moved < 195 || moved > 305 {
		t.Errorf("%d of 1,000 move to the fourth", moved)
	}
}
