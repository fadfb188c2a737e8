package answer

import (
	"net/netip"
	"slices"

	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A Client is who asks, as far as an answer is chosen by it.
type Client struct {
	Ranking geo.Ranking // of the regions; zero: where it is isn't known
	Regions []string    // that the ranking speaks of
	Within  []int       // percent: the tolerances that it knows
	Draw    uint64      // by chance: which shards, where a policy gives only some of those that are as good
}

// A pick is a part of the shards, for one family of addresses: those in some regions,
// one after the other, and in them those of some clusters. The zero pick is all of
// them.
type pick struct {
	regions  [maxPick]uint16 // of the service, by index
	clusters [maxPick]uint16
	n        uint8 // how many regions there are; 0: every one
	shards   uint8 // how many clusters there are; 0: every one
}

// maxPick bounds what a policy can pick without a place in the heap for it.
const maxPick = snapshot.MaxCount

// every is the policy of names that hold all of their shards.
var every snapshot.Policy

// Policy is what the answer is chosen by: the service's policy, or the
// federation's. Names of a region hold its shards, whatever its distance, and those of a zone all of
// them. It isn't the caller's to change.
func (a *Answer) Policy() *snapshot.Policy {
	if a.Service == nil || a.width == topology.Zonal {
		return &every
	}
	p := a.rule
	if a.Service.Policy != nil {
		p = a.Service.Policy
	}
	if a.width == topology.Regional && p.Choice != snapshot.Weighted {
		return &every
	}
	return p
}

// AnyType says whether no type in particular was asked for: the answer is that there is
// something (RFC 8482), whichever shards that is.
func (a *Answer) AnyType() bool { return a.typ == TypeANY }

// Choose picks the shards that a client gets, as the policy says. Without it, it gets
// them all. What is picked has addresses of the family that is asked for, where there
// are any; where both are asked for, each is picked on its own.
func (a *Answer) Choose(c *Client) {
	a.picks = [snapshot.Families]pick{}
	p := a.Policy()
	if p.Choice == snapshot.All {
		return
	}
	for f := range snapshot.Family(snapshot.Families) {
		if a.typ == TypeA && f != snapshot.IPv4 || a.typ == TypeAAAA && f != snapshot.IPv6 {
			continue
		}
		switch p.Choice {
		case snapshot.Nearest:
			a.nearest(f, c, p)
		case snapshot.Weighted:
			a.weighted(f, c.Draw, max(1, p.Count))
		case snapshot.Failover:
			for i, r := range a.Service.Regions() {
				if r.Region == a.Service.Active[f] && a.suited(f, r.From, r.To) {
					a.picks[f].add(i)
				}
			}
		}
	}
}

// add picks a region, by index.
func (p *pick) add(region int) {
	if p.n < maxPick {
		p.regions[p.n] = uint16(region)
		p.n++
	}
}

// take picks a cluster.
func (p *pick) take(cluster uint16) {
	p.clusters[p.shards] = cluster
	p.shards++
}

// suited says whether one of the entries from one to before another is of a family.
func (a *Answer) suited(f snapshot.Family, from, to int) bool {
	for i := from; i < to; i++ {
		if snapshot.FamilyOf(a.run[i].Addr) == f {
			return true
		}
	}
	return false
}

// candidate says whether entry i of a stretch is the first of a shard that could be
// picked.
func (a *Answer) candidate(f snapshot.Family, from, i int) bool {
	s := &a.run[i]
	if snapshot.FamilyOf(s.Addr) != f || a.picks[f].has(s.Cluster) {
		return false
	}
	for j := from; j < i; j++ {
		if o := &a.run[j]; o.Cluster == s.Cluster && snapshot.FamilyOf(o.Addr) == f {
			return false
		}
	}
	return true
}

// nearest picks the closest region that has a shard, with those that are hardly
// farther, and if a number is asked for the next ones until it is reached.
func (a *Answer) nearest(f snapshot.Family, c *Client, p *snapshot.Policy) {
	reach := -1 // the last place in the order that counts as the closest
	picked := &a.picks[f]
	for i, index := range c.Ranking.Order() {
		if reach >= 0 && i > reach && (p.Count == 0 || int(picked.shards) >= p.Count) {
			return
		}
		at := slices.IndexFunc(a.Service.Regions(), func(r snapshot.Run) bool { return r.Region == c.Regions[index] })
		if at < 0 {
			continue
		}
		run := a.Service.Regions()[at]
		if !a.suited(f, run.From, run.To) {
			continue
		}
		if reach < 0 {
			reach = i
			if slices.Contains(c.Within, p.Within) { // else it is new, and soon will be known
				reach = c.Ranking.Reach(i, p.Within)
			}
		}
		picked.add(at)
		if p.Count > int(picked.shards) {
			a.round(f, run, p.Count-int(picked.shards), c.Draw)
		}
	}
}

// round picks n shards of a region that haven't been picked: as they follow each other, from
// another one with each draw. So each has its turn equally often, and there are only as many
// sets as there are shards: what signs or keeps answers has few of them.
func (a *Answer) round(f snapshot.Family, in snapshot.Run, n int, draw uint64) {
	var room [snapshot.Few]int32
	heads := a.Service.Heads(f, in, &room)
	before := a.picks[f] // of other regions
	count := len(heads)
	if before.shards > 0 {
		count = 0
		for _, h := range heads {
			if !before.has(a.Service.Shards[h].Cluster) {
				count++
			}
		}
	}
	if count == 0 {
		return
	}
	skip := 0
	if n < count {
		skip = int(draw % uint64(count))
	}
	// The first pass gives those from skip on, the second the others.
	for pass := range 2 {
		k := 0
		for _, h := range heads {
			cluster := a.Service.Shards[h].Cluster
			if before.shards > 0 && before.has(cluster) {
				continue
			}
			if (k >= skip) == (pass == 0) {
				if n == 0 {
					return
				}
				a.picks[f].take(cluster)
				n--
			}
			k++
		}
	}
}

// weighted draws n shards, each into as many of all answers as its share of the weight says, n times that;
// whose share is more than one of n parts is in all of them. Where none weighs anything, all weigh the same.
//
// One number decides, as where on a wheel n spokes stand that are equally far from each other (Madow's
// systematic sampling): so there are no more sets than shards, and what signs or keeps answers has few of them.
func (a *Answer) weighted(f snapshot.Family, draw uint64, n int) {
	total, count := uint64(0), 0
	first := uint64(0) // which of the first entries are candidates, a bit each
	for i := range a.run {
		if a.candidate(f, 0, i) {
			total += uint64(a.run[i].Weight)
			count++
			first |= 1 << i // none, from 64 on
		}
	}
	if count == 0 {
		return
	}
	even := total == 0
	weight := func(i int) uint64 {
		if i < 64 && first&(1<<i) == 0 || a.picks[f].has(a.run[i].Cluster) || i >= 64 && !a.candidate(f, 0, i) {
			return 0
		}
		if even {
			return 1
		}
		return uint64(a.run[i].Weight) // what weighs nothing is drawn only if all do
	}
	if even {
		total = uint64(count)
	}
	left := uint64(min(n, maxPick))
	for more := left > 1; more && left > 0; { // each is the share of the others more
		more = false
		for i := range a.run {
			if w := weight(i); w > 0 && left > 0 && w*left >= total {
				a.picks[f].take(a.run[i].Cluster)
				total, left, more = total-w, left-1, true
			}
		}
	}
	if total == 0 || left == 0 {
		return
	}
	spoke := mix(draw) % total // total is far below 2^63: the bias is far below what could be measured
	at := uint64(0)
	for i := range a.run {
		w := weight(i)
		if at += w * left; w > 0 && spoke < at {
			a.picks[f].take(a.run[i].Cluster)
			spoke += total
		}
	}
}

// Possible are the addresses of one family that a client may get, each once and sorted, whatever
// chance and the bound of answers leave out.
func (a *Answer) Possible(c Client, v4 bool) (out []netip.Addr) {
	b := a.Both()
	f := family(v4)
	switch p := b.Policy(); {
	case p.Choice == snapshot.Weighted:
		drawn := func(s *snapshot.Shard) bool { return snapshot.FamilyOf(s.Addr) == f && s.Weight > 0 }
		if !slices.ContainsFunc(b.run, func(s snapshot.Shard) bool { return drawn(&s) }) {
			drawn = func(s *snapshot.Shard) bool { return snapshot.FamilyOf(s.Addr) == f }
		}
		for i := range b.run {
			if s := &b.run[i]; drawn(s) {
				out = append(out, s.Addr)
			}
		}
	case p.Choice == snapshot.Nearest && p.Count > 0:
		for c.Draw = range uint64(max(1, len(b.run))) { // no region has more shards, and so turns
			b.Choose(&c)
			out = slices.AppendSeq(out, b.Every(v4))
		}
	default:
		b.Choose(&c)
		out = slices.Collect(b.Every(v4))
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
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
