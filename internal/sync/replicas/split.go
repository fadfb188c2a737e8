package replicas

import (
	"fmt"
	"math/bits"
	"slices"
)

// A Cluster is one that an object may go to.
type Cluster struct {
	Name     string
	Current  int64  // what it holds now: Estimate.Held
	Capacity *int64 // what has room there: Estimate.Capacity, or what Limit remembers; nil: no bound is known
	Ceiling  *int64 // more it must not get, nor be asked for; nil: no such bound
}

// A Share is what one cluster gets. It is asked for both: the overflow waits there
// for room, which is how room is noticed.
type Share struct {
	Replicas int64
	Overflow int64
	Why      string
}

// Asked is what is applied.
func (s Share) Asked() int64 { return s.Replicas + s.Overflow }

// A Plan is each cluster's share, by name.
type Plan map[string]Share

// Sum is how many replicas have a place.
func (p Plan) Sum() int64 {
	var n int64
	for _, s := range p {
		n += s.Replicas
	}
	return n
}

// Split shares out total replicas of the object that key names.
//
// Minimums come first; by weight goes what is left after them. A cluster without
// weight gets its minimum, one without preference nothing. No bound is broken: if
// minimums exceed the total, the heaviest clusters get theirs.
//
// Without rebalance, what runs stays where it is if its bounds and the others'
// minimums permit: clusters get more in such a way that shares come nearest to the
// weights, and when the total falls, each loses by its weight and those without
// weight first. So 5, 5 and 5 become 4, 3 and 3, but 10 and 70 become 0 and 50.
//
// What has no room is planned for the others. With rebalance a full cluster is
// still asked for the share it would have, and gets it as soon as there is room.
// Without, the others' replicas would not come back, so only what has no place
// anywhere waits, and the sum of what is asked is exact, too.
func Split(p Preferences, total int64, clusters []Cluster, key string) Plan {
	return split(p, total, 0, clusters, key)
}

// split is Split where each cluster that the preferences speak of gets floor before
// any gets the rest of its minimum.
func split(p Preferences, total, floor int64, clusters []Cluster, key string) Plan {
	total = clamp(total)
	plan := make(Plan, len(clusters))
	cells := make([]*cell, 0, len(clusters))
	for _, c := range clusters {
		if _, twice := plan[c.Name]; twice {
			panic(fmt.Sprintf("replica: cluster %q is there twice", c.Name))
		}
		pref, ok := p.Of(c.Name)
		plan[c.Name] = Share{Why: "not in the preferences"}
		if ok {
			cells = append(cells, newCell(c, pref))
		}
	}
	order(cells, key)

	minimums(cells, total, floor, !p.Rebalance)
	kept := int64(0)
	for _, c := range cells {
		c.keep = c.least
		if !p.Rebalance {
			c.keep = max(c.least, min(c.current, c.room))
		}
		kept += c.keep
	}
	if kept > total {
		shrink(cells, kept-total)
	} else {
		fill(cells, total, func(c *cell) slot { return slot{base: c.least, low: c.keep, high: c.room} })
		for _, c := range cells {
			c.n = c.slot.n
		}
	}
	if p.Rebalance {
		desired(cells, total)
	} else {
		waiting(cells, total)
	}
	for _, c := range cells {
		plan[c.Name] = Share{Replicas: c.n, Overflow: c.overflow, Why: c.why(!p.Rebalance)}
	}
	return plan
}

// A cell is a cluster while it is planned.
type cell struct {
	Cluster
	weight, min, max, current int64
	room                      int64 // the least of max and capacity
	rank                      uint64
	least                     int64 // its minimum, as far as it can be met
	keep                      int64 // what it doesn't give away while the total permits
	n, overflow               int64
	slot                      slot
}

func newCell(c Cluster, p ClusterPreference) *cell {
	out := &cell{Cluster: c, weight: clamp(p.Weight), min: clamp(p.Min), max: limit, current: clamp(c.Current)}
	for _, bound := range []*int64{p.Max, c.Ceiling} {
		if bound != nil {
			out.max = min(out.max, clamp(*bound))
		}
	}
	out.room = out.max
	if c.Capacity != nil {
		out.room = min(out.room, clamp(*c.Capacity))
	}
	return out
}

func clamp(n int64) int64 { return min(max(n, 0), limit) }

// minimums gives the heaviest their minimum first, until the total is gone. With
// stay, those that have some of theirs keep it before others get any: else a
// minimum that cannot be met would be tried anew with every plan.
func minimums(cells []*cell, total, floor int64, stay bool) {
	raise := func(c *cell, to int64) {
		more := min(max(0, min(to, c.room)-c.least), total)
		c.least += more
		total -= more
	}
	for _, c := range cells {
		c.min = max(c.min, floor)
	}
	for _, want := range []int64{floor, limit} {
		if stay {
			for _, c := range cells {
				raise(c, min(want, c.min, c.current))
			}
		}
		for _, c := range cells {
			raise(c, min(want, c.min))
		}
	}
}

// fill shares the total out among cells, in slots that have their weights.
func fill(cells []*cell, total int64, of func(*cell) slot) {
	slots := make([]*slot, len(cells))
	for i, c := range cells {
		c.slot = of(c)
		c.slot.weight = c.weight
		slots[i] = &c.slot
	}
	share(slots, total)
}

// shrink takes away from what cells keep, down to their minimums: first where
// nothing is wanted, then by weight. What doesn't divide is taken from those that
// have most for their weight, so that shares grow more even by it.
func shrink(cells []*cell, away int64) {
	byWeight := slices.Clone(cells)
	slices.Reverse(byWeight) // who was last to get is first to give
	for _, c := range byWeight {
		c.n = c.keep
		if c.weight == 0 {
			less := min(c.keep-c.least, away)
			c.n -= less
			away -= less
		}
	}
	byWeight = slices.DeleteFunc(byWeight, func(c *cell) bool { return c.weight == 0 })
	slices.SortStableFunc(byWeight, func(a, b *cell) int {
		return compareProducts(b.keep-b.least, a.weight, a.keep-a.least, b.weight)
	})
	fill(byWeight, away, func(c *cell) slot { return slot{high: c.keep - c.least} })
	for _, c := range byWeight {
		c.n -= c.slot.n
	}
}

// compareProducts compares a*b with c*d.
func compareProducts(a, b, c, d int64) int {
	high1, low1 := bits.Mul64(uint64(a), uint64(b))
	high2, low2 := bits.Mul64(uint64(c), uint64(d))
	switch {
	case high1 < high2 || high1 == high2 && low1 < low2:
		return -1
	case high1 == high2 && low1 == low2:
		return 0
	}
	return 1
}

// desired asks full clusters for what they would have if everything had room
// beyond what minimums found. Of equals, the full ones come first: one pod more
// that waits costs nothing, one less may leave room unnoticed.
func desired(cells []*cell, total int64) {
	fullFirst := slices.Clone(cells)
	slices.SortStableFunc(fullFirst, func(a, b *cell) int {
		if a.weight != b.weight || a.full() == b.full() {
			return 0
		}
		if a.full() {
			return -1
		}
		return 1
	})
	fill(fullFirst, total, func(c *cell) slot { return slot{base: c.least, low: c.least, high: c.max} })
	for _, c := range cells {
		least := min(c.min, c.max, total)
		total -= least
		if c.full() {
			c.overflow = max(0, c.slot.n-c.n, least-c.n)
		}
	}
}

// waiting asks full clusters for what has no place: minimums first, then by weight.
func waiting(cells []*cell, total int64) {
	unplaced := total
	for _, c := range cells {
		unplaced -= c.n
	}
	fill(cells, total, func(c *cell) slot {
		more := max(0, min(min(c.min, c.max)-c.n, unplaced))
		unplaced -= more
		return slot{base: c.least, low: c.n + more, high: c.max}
	})
	for _, c := range cells {
		c.overflow = c.slot.n - c.n
	}
}

// full says that a cluster has no room for more, though it might be given more.
func (c *cell) full() bool { return c.n == c.room && c.room < c.max }

// why says what made it this many, in the words of the preferences.
func (c *cell) why(stays bool) string {
	switch {
	case c.Ceiling != nil && c.n == clamp(*c.Ceiling) && c.n == c.max:
		if c.n == 0 {
			return "takes no replicas"
		}
		return fmt.Sprintf("must not grow past %d", c.n)
	case c.overflow > 0:
		return fmt.Sprintf("room for %d, %d more wait for it", c.n, c.overflow)
	case c.full():
		return fmt.Sprintf("room for %d", c.n)
	case c.n == c.max:
		return fmt.Sprintf("maxReplicas %d", c.n)
	case c.n > 0 && c.n == c.least:
		return fmt.Sprintf("minReplicas %d", c.min)
	case stays && c.n > 0 && c.n == c.current:
		return "keeps what it has"
	case stays && c.n < c.keep:
		return fmt.Sprintf("gives %d back", c.keep-c.n)
	case c.weight == 0:
		return "weight 0"
	}
	return fmt.Sprintf("by weight %d", c.weight)
}
