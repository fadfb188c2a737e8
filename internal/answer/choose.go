package answer

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/topology"
)

// A Client is who asks, as far as an answer is chosen by it.
type Client struct {
	Ranking geo.Ranking // of the regions; zero: where it is isn't known
	Regions []string    // that the ranking speaks of
	Within  []int       // percent: the tolerances that it knows
	Draw    uint64      // by chance
}

// A pick is a part of a run: some stretches of it, one after the other, and in them
// the entries of some clusters. The zero pick is the whole run.
type pick struct {
	stretches [maxPick]stretch
	n         int
	clusters  [maxPick]uint16
	shards    int // how many clusters there are; 0: every one
}

// maxPick bounds what a policy can pick without a place in the heap for it.
const maxPick = names.MaxCount

type stretch struct{ from, to uint16 }

// Policy is what the answer is chosen by: the service's policy, or the
// federation's. Names of a region hold its shards, whatever its distance, and those of a zone all of
// them.
func (a *Answer) Policy() names.Policy {
	if a.Service == nil || a.width == topology.Zonal {
		return names.Policy{}
	}
	p := a.rule
	if a.Service.Policy != nil {
		p = *a.Service.Policy
	}
	if a.width == topology.Regional && p.Choice != names.Weighted {
		return names.Policy{}
	}
	return p
}

// Choose picks the shards that a client gets, as the policy says. Without it, it gets
// them all.
func (a *Answer) Choose(c *Client) {
	a.pick = pick{}
	switch p := a.Policy(); p.Choice {
	case names.All:
		return
	case names.Nearest:
		a.nearest(c, p)
	case names.Weighted:
		a.weighted(c.Draw, max(1, p.Count))
	case names.Failover:
		for _, r := range a.Service.Regions() {
			if r.Region == a.Service.Active {
				a.pick.add(r)
			}
		}
	}
	if a.Outcome == Found && (a.typ == TypeA || a.typ == TypeAAAA) && !a.Has(a.typ == TypeA) {
		a.Outcome, a.Why = NoData, "no shard that was chosen has an address of this family"
	}
}

func (p *pick) add(r names.Run) {
	if p.n < maxPick {
		p.stretches[p.n] = stretch{uint16(r.From), uint16(r.To)}
		p.n++
	}
}

// suits says whether an entry has an address of the family that was asked for. To
// choose by it keeps one family from being denied where another shard has it.
func (a *Answer) suits(s *names.Shard) bool {
	return a.typ != TypeA && a.typ != TypeAAAA || s.Addr.Is4() == (a.typ == TypeA)
}

// suited says whether one of the entries from one to before another suits.
func (a *Answer) suited(from, to int) bool {
	for i := from; i < to; i++ {
		if a.suits(&a.run[i]) {
			return true
		}
	}
	return false
}

// candidate says whether entry i of a stretch is the first of a shard that could be
// picked.
func (a *Answer) candidate(from, i int) bool {
	s := &a.run[i]
	if !a.suits(s) || a.pick.has(s.Cluster) {
		return false
	}
	for j := from; j < i; j++ {
		if o := &a.run[j]; o.Cluster == s.Cluster && a.suits(o) {
			return false
		}
	}
	return true
}

// nearest picks the closest region that has a shard, with those that are hardly
// farther, and if a number is asked for the next ones until it is reached.
func (a *Answer) nearest(c *Client, p names.Policy) {
	reach := -1 // the last place in the order that counts as the closest
	for i, index := range c.Ranking.Order() {
		if reach >= 0 && i > reach && (p.Count == 0 || a.pick.shards >= p.Count) {
			return
		}
		at := slices.IndexFunc(a.Service.Regions(), func(r names.Run) bool { return r.Region == c.Regions[index] })
		if at < 0 {
			continue
		}
		run := a.Service.Regions()[at]
		if !a.suited(run.From, run.To) {
			continue
		}
		if reach < 0 {
			reach = i
			if slices.Contains(c.Within, p.Within) { // else it is new, and soon will be known
				reach = c.Ranking.Reach(i, p.Within)
			}
		}
		a.pick.add(run)
		for j := run.From; p.Count > 0 && j < run.To && a.pick.shards < p.Count; j++ {
			if a.candidate(run.From, j) {
				a.pick.clusters[a.pick.shards] = a.run[j].Cluster
				a.pick.shards++
			}
		}
	}
}

// weighted draws n shards by weight, each at most once. Where none weighs anything,
// all weigh the same.
func (a *Answer) weighted(draw uint64, n int) {
	even := false // nothing weighs anything
	for range min(n, maxPick) {
		total, count := uint64(0), uint64(0)
		for i := range a.run {
			if a.candidate(0, i) {
				total += uint64(a.run[i].Weight)
				count++
			}
		}
		if a.pick.shards == 0 {
			even = total == 0
		}
		if count == 0 || total == 0 && !even {
			return // what weighs nothing is drawn only if all do
		}
		if even {
			total = count
		}
		draw = mix(draw)
		at := draw % total // total is far below 2^63: the bias is far below what could be measured
		for i := range a.run {
			if !a.candidate(0, i) {
				continue
			}
			weight := uint64(a.run[i].Weight)
			if even {
				weight = 1
			}
			if at < weight {
				a.pick.clusters[a.pick.shards] = a.run[i].Cluster
				a.pick.shards++
				break
			}
			at -= weight
		}
	}
}

// mix spreads a number over all its bits, so that the next ones of a row have nothing
// in common: SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// has says whether a cluster was picked already; of none, none was.
func (p *pick) has(cluster uint16) bool {
	return slices.Contains(p.clusters[:p.shards], cluster)
}

// Addrs are the addresses of one family that were chosen, each once. They begin with
// another one as turn grows; where closer regions come first, those of each region do.
func (a *Answer) Addrs(v4 bool, turn uint32) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		if a.pick.n == 0 && a.pick.shards == 0 {
			a.rotate(a.all(), turn, yield, func(s *names.Shard, _ int) bool {
				return s.Widest <= a.width && s.Addr.Is4() == v4
			})
			return
		}
		whole := [1]stretch{a.all()}
		stretches := a.pick.stretches[:a.pick.n]
		if len(stretches) == 0 {
			stretches = whole[:]
		}
		for at, st := range stretches {
			if !a.rotate(st, turn, yield, func(s *names.Shard, i int) bool {
				return s.Addr.Is4() == v4 && a.picked(s) && !a.repeated(stretches[:at+1], i)
			}) {
				return
			}
		}
	}
}

// rotate yields the addresses of a stretch that are ok, from one on that depends on
// turn; it is false once yield is.
func (a *Answer) rotate(st stretch, turn uint32, yield func(netip.Addr) bool, ok func(s *names.Shard, i int) bool) bool {
	n := 0
	run := a.run[st.from:st.to]
	for i := range run {
		if ok(&run[i], i) {
			n++
		}
	}
	if n == 0 {
		return true
	}
	skip := int(turn % uint32(n))
	// The first pass gives those from skip on, the second the others.
	for pass := range 2 {
		k := 0
		for i := range run {
			if !ok(&run[i], i) {
				continue
			}
			if (k >= skip) == (pass == 0) && !yield(run[i].Addr) {
				return false
			}
			k++
		}
	}
	return true
}

// picked says whether an entry is of a shard that was picked.
func (a *Answer) picked(s *names.Shard) bool {
	return a.pick.shards == 0 || a.pick.has(s.Cluster)
}

// repeated says whether entry i of the last stretch has an address that one before
// it has, in that or in another.
func (a *Answer) repeated(stretches []stretch, i int) bool {
	last := len(stretches) - 1
	from := int(stretches[last].from)
	addr := a.run[from+i].Addr
	for _, st := range stretches[:last] {
		if a.given(addr, int(st.from), int(st.to)) {
			return true
		}
	}
	return a.given(addr, from, from+i)
}

// given says whether one of the entries from one to before another has an address,
// and is of a shard that was picked.
func (a *Answer) given(addr netip.Addr, from, to int) bool {
	for i := from; i < to; i++ {
		if s := &a.run[i]; s.Addr == addr && a.picked(s) {
			return true
		}
	}
	return false
}

// all is the stretch of the whole run.
func (a *Answer) all() stretch { return stretch{0, uint16(len(a.run))} }

// Has says whether there is an address of a family among those that were chosen.
func (a *Answer) Has(v4 bool) bool {
	if a.pick.n == 0 {
		return a.has(a.all(), v4)
	}
	return slices.ContainsFunc(a.pick.stretches[:a.pick.n], func(st stretch) bool { return a.has(st, v4) })
}

// has is Has of a stretch. Entries that repeat an address are as good as any here.
func (a *Answer) has(st stretch, v4 bool) bool {
	for i := st.from; i < st.to; i++ {
		if s := &a.run[i]; s.Addr.Is4() == v4 && a.picked(s) {
			return true
		}
	}
	return false
}
