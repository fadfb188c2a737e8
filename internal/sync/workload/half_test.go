package workload

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fedns/fedns/internal/sync/replicas"
)

// A plan of which a part has been carried out is the same plan still: what is left to do is
// what was left, in whichever order the clusters come to it.
func TestPlanHalfDone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, "a", "b", "c")
		w.Surge, _ = replicas.ParseSurge("100") // nobody waits for anybody
		number := func(what string, most int64) int64 { return rapid.Int64Range(0, most).Draw(rt, what) }
		want := func() Key {
			return w.want("Deployment", "ns", "web", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/preferences":%q}},"spec":{"replicas":%d}}`,
				fmt.Sprintf(`{"rebalance":%v,"clusters":{"*":{"weight":1},"a":{"weight":%d}}}`, rapid.Bool().Draw(rt, "rebalance"), 1+number("weight", 2)), number("replicas", 12)))
		}
		k := want()
		w.run()
		record := Record{}.Next("uid-web", w.Plan(k).Standings, string(Applied), "", time.Time{})
		if rapid.Bool().Draw(rt, "fedsync is another one") { // which has seen nothing but what is there
			w.editAll(k, func(e *Entry) { *e = Entry{Have: e.Have} })
		}
		want()
		w.Desired(k).Record = record
		p := w.Plan(k)
		w.Planned(k, p)
		left := slices.Clone(p.Steps)
		if len(left) > 1 {
			left = rapid.Permutation(left).Draw(rt, "order")
		}
		for len(left) > 0 {
			w.do(left[0])
			left = left[1:]
			again := w.Plan(k)
			w.Planned(k, again)
			if len(again.Steps) != len(left) {
				rt.Fatalf("%d steps are left, were %d: %v", len(again.Steps), len(left), again.Steps)
			}
			for _, s := range left {
				if i := slices.IndexFunc(again.Steps, func(o Step) bool { return o.Cluster == s.Cluster }); i < 0 || again.Steps[i].Scale.String() != s.Scale.String() {
					rt.Fatalf("%s was to have %s: %v", s.Cluster, s.Scale, again.Steps)
				}
			}
		}
	})
}
