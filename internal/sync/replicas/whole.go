package replicas

import (
	"cmp"
	"slices"
)

// Whole chooses the one cluster for an object of n that can't be split, and says how many
// it gets there: all, unless the preferences have a maximum. holder is who has it now; "":
// nobody. name is "" where no cluster may have it.
//
// Who has room for all comes before who hasn't, then, without rebalance, who has it, then
// the heaviest. The order of equals is each object's own, so that many objects are spread.
func Whole(p Preferences, n int64, clusters []Cluster, holder, key string) (name string, share int64) {
	need := max(clamp(n), 1) // one that is paused still has to have a place
	var cells []*cell
	for _, c := range clusters {
		pref, ok := p.Of(c.Name)
		if !ok || pref.Weight == 0 && pref.Min == 0 {
			continue
		}
		if x := newCell(c, pref); x.max > 0 {
			cells = append(cells, x)
		}
	}
	if len(cells) == 0 {
		return "", 0
	}
	order(cells, key)
	stays := func(c *cell) int {
		if c.Name == holder {
			return 1
		}
		return 0
	}
	best := slices.MinFunc(cells, func(a, b *cell) int {
		if c := cmp.Compare(min(b.room, need), min(a.room, need)); c != 0 {
			return c
		}
		if p.Rebalance {
			return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(stays(b), stays(a)))
		}
		return cmp.Compare(stays(b), stays(a))
	})
	return best.Name, min(clamp(n), best.max)
}

// Least is n within the bounds of a cluster that keeps what it has, whatever the
// preferences would choose now.
func Least(p Preferences, n int64, c Cluster) int64 {
	pref, _ := p.Of(c.Name)
	return min(clamp(n), newCell(c, pref).max)
}
