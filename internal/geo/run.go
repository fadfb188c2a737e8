package geo

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
)

// A run is the addresses from start to before that of the next run, or the last one.
type run struct {
	start num
	id    RankingID
}

// runs are the addresses of a family: the first one starts at 0, and neighbours differ.
type runs []run

// put lets an id begin at an address, not before that of the call before.
func (r *runs) put(start num, id RankingID) {
	if n := len(*r) - 1; n >= 0 && (*r)[n].start == start {
		*r = (*r)[:n]
	}
	if n := len(*r) - 1; n < 0 || (*r)[n].id != id {
		if len(*r) == cap(*r) {
			*r = slices.Grow(*r, len(*r)+64) // append's steps of a quarter would leave five times as much behind
		}
		*r = append(*r, run{start, id})
	}
}

// find finds the run of an address and the length of the widest block around it in that run.
func (r runs) find(v num) (RankingID, int) {
	i, found := slices.BinarySearchFunc(r, v, func(r run, v num) int { return r.start.compare(v) })
	if !found {
		i--
	}
	length := 0
	if r[i].start != (num{}) {
		length = 1 + v.common(r[i].start.prev())
	}
	if i+1 < len(r) {
		length = max(length, 1+v.common(r[i+1].start))
	}
	return r[i].id, length
}

// split takes what is within one /64 out of the runs: upper halves are enough to search
// the rest, where an id says of these that they are divided.
func (r runs) split() (upper, deep runs) {
	for i := 0; i < len(r); i++ {
		hi := r[i].start.hi
		if r[i].start.lo == 0 && (i+1 == len(r) || r[i+1].start.hi != hi) {
			upper.put(num{hi: hi}, r[i].id)
			continue
		}
		upper.put(num{hi: hi}, divided)
		if r[i].start.lo != 0 {
			deep = append(deep, run{num{hi: hi}, r[i-1].id})
		}
		for ; i < len(r) && r[i].start.hi == hi; i++ {
			deep = append(deep, r[i])
		}
		i--
		if after := (num{hi: hi + 1}); hi+1 != 0 {
			upper.put(after, r[i].id)
		}
	}
	return upper, deep
}

// overlay lays runs over others, which are seen where the upper ones are absent. It may
// use the memory of the upper ones.
func overlay(lower, upper runs) runs {
	if len(upper) == 1 && upper[0].id == absent {
		return lower
	}
	var out runs
	if len(lower) == 1 { // nearly always: the first layer over nothing
		out = upper[:0]
	}
	for start := (num{}); ; {
		id := upper[0].id
		if id == absent {
			id = lower[0].id
		}
		out.put(start, id)
		order := -1 // of the next start of lower and that of upper
		switch {
		case len(lower) == 1 && len(upper) == 1:
			return out
		case len(lower) == 1:
			order = 1
		case len(upper) > 1:
			order = lower[1].start.compare(upper[1].start)
		}
		if order >= 0 {
			upper = upper[1:]
			start = upper[0].start
		}
		if order <= 0 {
			lower = lower[1:]
			start = lower[0].start
		}
	}
}

// A network is a prefix and what is said of it.
type network struct {
	start  num
	length int
	id     RankingID
}

func (n network) compare(m network) int {
	return cmp.Or(n.start.compare(m.start), cmp.Compare(n.length, m.length))
}

// sweep makes runs of the networks of both families.
func sweep(layer iter.Seq2[netip.Prefix, RankingID]) (v4, v6 runs) {
	families := [2]*sweeper{newSweeper(), newSweeper()}
	inOrder := true
	for prefix, id := range layer {
		family, n := networkOf(prefix, id)
		if inOrder = families[family].add(n); !inOrder {
			break
		}
	}
	if !inOrder {
		var networks [2][]network
		for prefix, id := range layer {
			family, n := networkOf(prefix, id)
			networks[family] = append(networks[family], n)
		}
		for family, list := range networks {
			slices.SortStableFunc(list, network.compare)
			families[family] = newSweeper()
			for _, n := range list {
				families[family].add(n)
			}
		}
	}
	return families[0].close(), families[1].close()
}

func networkOf(p netip.Prefix, id RankingID) (family int, n network) {
	p = unmap(p).Masked()
	if p.Addr().Is6() {
		family = 1
	}
	return family, network{numOf(p.Addr()), p.Bits(), id}
}

// A sweeper goes over networks in order, each after those around it, and notes where
// what is said changes.
type sweeper struct {
	runs runs
	open []opened // around where it is, the innermost last
	last network
}

type opened struct {
	last num
	id   RankingID
}

func newSweeper() *sweeper {
	return &sweeper{runs: runs{{id: absent}}}
}

// add goes on to a network. It says false if that should have come earlier.
func (s *sweeper) add(n network) bool {
	if n.compare(s.last) < 0 {
		return false
	}
	s.last = n // the same network again is one within itself: the later word counts
	for len(s.open) > 0 && s.open[len(s.open)-1].last.compare(n.start) < 0 {
		s.leave()
	}
	s.open = append(s.open, opened{n.start.last(n.length), n.id})
	s.runs.put(n.start, n.id)
	return true
}

// leave goes to after the innermost network.
func (s *sweeper) leave() {
	end := s.open[len(s.open)-1].last.next()
	s.open = s.open[:len(s.open)-1]
	id := absent
	if len(s.open) > 0 {
		id = s.open[len(s.open)-1].id
	}
	if end != (num{}) { // else there is nothing after it
		s.runs.put(end, id)
	}
}

// close goes to the end and gives the runs, of which absent ones are between the networks.
func (s *sweeper) close() runs {
	for len(s.open) > 0 {
		s.leave()
	}
	return s.runs
}
