package replicas

import (
	"cmp"
	"maps"
	"slices"
)

// Portions shares n out by weight, exactly: a number that speaks of all pods of an object,
// by how many of them each cluster has. What doesn't divide goes to those that come off
// worst, so that no portion is off by one; none exceeds its weight unless n exceeds their
// sum, and one without weight is none.
func Portions(n int64, weights map[string]int64, key string) map[string]int64 {
	out := make(map[string]int64, len(weights))
	n = clamp(n)
	var total int64
	for _, w := range weights {
		total += clamp(w)
	}
	if total == 0 {
		return out
	}
	rest := n
	for name, w := range weights {
		out[name] = n * clamp(w) / total // each fits 31 bits
		rest -= out[name]
	}
	lost := func(name string) int64 { return n * clamp(weights[name]) % total }
	worst := slices.SortedFunc(maps.Keys(weights), func(a, b string) int {
		return cmp.Or(cmp.Compare(lost(b), lost(a)), cmp.Compare(rank(a, key), rank(b, key)), cmp.Compare(a, b))
	})
	for _, name := range worst[:rest] {
		out[name]++
	}
	return out
}
