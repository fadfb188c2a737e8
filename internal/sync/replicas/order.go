package replicas

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// rank orders clusters of equal weight for one object: each object has an order
// of its own, so that what cannot be split evenly is spread evenly over many
// objects, and a cluster that comes or goes changes nothing between the others.
//
// FNV hardly mixes what the last letters change, and the names of clusters and
// objects differ there: v1, with FNV-1, put 740 of 1,000 single replicas into one
// cluster of three. The finalizer of MurmurHash3 mixes what FNV left.
func rank(cluster, key string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(cluster))
	h.Write([]byte{0}) // in no name, so that "a"+"bc" isn't "ab"+"c"
	h.Write([]byte(key))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// order sorts by weight, the heaviest first, then by rank.
func order(cells []*cell, key string) {
	for _, c := range cells {
		c.rank = rank(c.Name, key)
	}
	slices.SortFunc(cells, func(a, b *cell) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.rank, b.rank), cmp.Compare(a.Name, b.Name))
	})
}
