package replicas

import "math/bits"

// A slot is what share fills. low <= high, and base <= low.
type slot struct {
	weight    int64
	base      int64 // what the shares by weight come on top of
	low, high int64
	n         int64 // the outcome
	fixed     bool
}

// share gives slots n so that they add up to total, or as near as their bounds
// permit, and lie as near as they can to base plus a share by weight. What doesn't
// divide goes to the slots that come first. A slot without weight gets its low.
// The lows don't exceed the total.
//
// It is the way CSS lays out flexible boxes: share what is left among the slots
// that are open; where some come out below their low and some above their high,
// fix the side that is further off, for that side stays so whatever the other
// does. Each round fixes a slot, and every round's sum is exact.
func share(slots []*slot, total int64) {
	open := 0
	for _, s := range slots {
		s.n, s.fixed = s.low, s.weight == 0
		if !s.fixed {
			open++
		}
	}
	for open > 0 {
		left, weights := total, int64(0)
		for _, s := range slots {
			if s.fixed {
				left -= s.n
			} else {
				left -= s.base
				weights += s.weight
			}
		}
		var short, over int64
		for _, s := range slots {
			if s.fixed {
				continue
			}
			n := portion(left, s.weight, weights)
			left, weights = left-n, weights-s.weight
			s.n = s.base + n
			short += max(0, s.low-s.n)
			over += max(0, s.n-s.high)
		}
		if short == 0 && over == 0 {
			return
		}
		for _, s := range slots {
			if s.fixed {
				continue
			}
			if s.n < s.low && short >= over {
				s.n, s.fixed = s.low, true
				open--
			} else if s.n > s.high && over >= short {
				s.n, s.fixed = s.high, true
				open--
			}
		}
	}
}

// portion is n*weight/weights, rounded up. One portion after another, each of what
// is left by the weights that are left, uses up n: 10 among three is 4, 3 and 3,
// where v1, which rounded up the portions of the whole, gave 4, 4 and 2.
func portion(n, weight, weights int64) int64 {
	high, low := bits.Mul64(uint64(n), uint64(weight))
	low, carry := bits.Add64(low, uint64(weights-1), 0)
	q, _ := bits.Div64(high+carry, low, uint64(weights))
	return int64(q)
}
