package answer

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// DefaultAnswers is how many addresses of one family an answer has at most, unless the
// operator says otherwise. Eight IPv6 addresses, the question and the three CNAMEs that can
// lead to them fit into 512 bytes, which is what a client without EDNS takes over
// UDP: a resolver's own (musl's, which knew no TCP before 1.2.4) as well as what a resolver hands
// on to it.
const DefaultAnswers = 8

// MaxAnswers is the most that an operator may ask for: so many IPv6 addresses fit into
// the 65,535 bytes of an answer over TCP.
const MaxAnswers = 2000

// A stretch is a part of a run.
type stretch struct {
	from, to int
	n        int // addresses of the family in it that haven't come before
}

// Addrs are the addresses of one family that an answer gives, each once: of those that
// were chosen, as many as it may have. They begin with another one as turn
// grows; where closer regions come first, those of each region do.
//
// Where there are more, each answer has another part of them, as evenly spread over all of them, and
// so over shards and places, as can be; over many turns every one is given equally
// often. Of shards that were picked one by one, by weight or by distance, each gets
// as many places in the answer as the others, the first of them first.
func (a *Answer) Addrs(v4 bool, turn uint32) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		f := family(v4)
		p := &a.picks[f]
		if p.n == 0 {
			whole := [1]stretch{{to: len(a.run)}}
			a.deal(f, whole[:], turn, yield)
			return
		}
		var some [maxPick]stretch
		a.deal(f, a.stretches(f, &some), turn, yield)
	}
}

func family(v4 bool) snapshot.Family {
	if v4 {
		return snapshot.IPv4
	}
	return snapshot.IPv6
}

// stretches are the parts of the run that were picked.
func (a *Answer) stretches(f snapshot.Family, into *[maxPick]stretch) []stretch {
	p := &a.picks[f]
	if p.n == 0 {
		into[0] = stretch{to: len(a.run)}
		return into[:1]
	}
	regions := a.Service.Regions()
	for i, r := range p.regions[:p.n] {
		into[i] = stretch{from: regions[r].From, to: regions[r].To}
	}
	return into[:p.n]
}

// Held says how many addresses of one family an answer has, and how many there are to choose
// them from.
func (a *Answer) Held(v4 bool) (n, of int) {
	f := family(v4)
	var some [maxPick]stretch
	of = a.tally(f, a.stretches(f, &some))
	if a.limit > 0 {
		return min(of, a.limit), of
	}
	return of, of
}

// Both is an answer of which addresses of both families are chosen, whatever was asked.
func (a *Answer) Both() Answer {
	both := *a
	both.typ = TypeANY
	return both
}

// Every is Addrs without a bound: all that were chosen.
func (a *Answer) Every(v4 bool) iter.Seq[netip.Addr] {
	whole := *a
	whole.limit = 0
	return whole.Addrs(v4, 0)
}

// tally counts the addresses of each stretch, and of all.
func (a *Answer) tally(f snapshot.Family, sts []stretch) (all int) {
	for at := range sts {
		st := &sts[at]
		for i := st.from; i < st.to; i++ {
			if a.counts(f, sts[:at+1], i) {
				st.n++
			}
		}
		all += st.n
	}
	return all
}

// deal yields the addresses of the stretches.
func (a *Answer) deal(f snapshot.Family, sts []stretch, turn uint32, yield func(netip.Addr) bool) {
	if list, ok := a.listed(f, sts); ok {
		a.dealListed(list, turn, yield)
		return
	}
	if all := a.tally(f, sts); a.limit > 0 && all > a.limit {
		a.cut(f, sts, turn, yield)
		return
	}
	for at := range sts {
		st := &sts[at]
		if st.n == 0 {
			continue
		}
		skip := int(turn % uint32(st.n))
		// The first pass gives those from skip on, the second the others.
		for pass := range 2 {
			k := 0
			for i := st.from; i < st.to; i++ {
				if !a.counts(f, sts[:at+1], i) {
					continue
				}
				if (k >= skip) == (pass == 0) && !yield(a.run[i].Addr) {
					return
				}
				k++
			}
		}
	}
}

// listed are the addresses of the stretches, where they are known without looking at
// each entry: of a service with thousands of addresses, an answer costs what it has.
func (a *Answer) listed(f snapshot.Family, sts []stretch) (list []int32, ok bool) {
	p := &a.picks[f]
	if len(a.run) == 0 || !a.Service.Indexed() || p.shards > 0 || len(sts) > 1 || a.width == topology.Zonal {
		return nil, false
	}
	switch {
	case p.n == 1:
		return a.Service.Firsts(f, topology.Regional, sts[0].from, sts[0].to)
	case a.width == topology.Worldwide:
		return a.Service.Firsts(f, a.width, 0, len(a.Service.Shards))
	}
	region := a.End().Region
	for _, r := range a.Service.Regions() {
		if r.Region == region {
			return a.Service.Firsts(f, a.width, r.From, r.To)
		}
	}
	return nil, false
}

// dealListed is deal of such a list, and gives the same.
func (a *Answer) dealListed(list []int32, turn uint32, yield func(netip.Addr) bool) {
	n, skip := len(list), 0
	switch {
	case n == 0:
		return
	case a.limit > 0 && n > a.limit:
		n, skip = a.limit, spread(turn, n)
	default:
		skip = int(turn % uint32(n))
	}
	for i := range n {
		k := skip + i*len(list)/n
		if k >= len(list) {
			k -= len(list)
		}
		if !yield(a.Service.Shards[list[k]].Addr) {
			return
		}
	}
}

// cut is deal where there are more addresses than an answer may have.
func (a *Answer) cut(f snapshot.Family, sts []stretch, turn uint32, yield func(netip.Addr) bool) {
	var rs rooms
	for at := range sts {
		for i := sts[at].from; i < sts[at].to; i++ {
			if a.counts(f, sts[:at+1], i) {
				rs[a.room(f, i)].of++
			}
		}
	}
	rs.share(a.limit)
	var met [maxPick]int // addresses of each room so far
	for at := range sts {
		st, before := &sts[at], met
		skip := spread(turn, st.n)
		for pass := range 2 {
			k := 0
			met = before
			for i := st.from; i < st.to; i++ {
				if !a.counts(f, sts[:at+1], i) {
					continue
				}
				r := a.room(f, i)
				given := rs[r].gives(met[r], turn)
				met[r]++
				if given && (k >= skip) == (pass == 0) && !yield(a.run[i].Addr) {
					return
				}
				k++
			}
		}
	}
}

// A room is the part of an answer that a shard has which was picked by itself; one
// room is for all of them where shards weren't.
type room struct{ size, of int }

type rooms [maxPick]room

// room is that of an entry, by index.
func (a *Answer) room(f snapshot.Family, i int) int {
	p := &a.picks[f]
	return max(0, slices.Index(p.clusters[:p.shards], a.run[i].Cluster))
}

// share gives n places away, one after the other to each room that has addresses for
// them.
func (rs *rooms) share(n int) {
	for given := true; given; {
		given = false
		for i := range rs {
			if r := &rs[i]; n > 0 && r.size < r.of {
				r.size++
				n--
				given = true
			}
		}
	}
}

// gives says whether address k of a room is in the answer of a turn: they are as far
// from each other as from the last to the first, and all move on with the turn.
func (r *room) gives(k int, turn uint32) bool {
	if r.size == 0 {
		return false
	}
	k -= spread(turn, r.of)
	if k < 0 {
		k += r.of
	}
	nth := (k*r.size + r.of - 1) / r.of
	return nth < r.size && nth*r.of/r.size == k
}

// spread makes of a turn a number below n. Whoever sees only some of the turns, say
// every other one, sees each number equally often nevertheless: multiples of the golden
// ratio are spread evenly, and so are multiples of these.
func spread(turn uint32, n int) int {
	return int(uint64(turn*0x9e3779b9) * uint64(n) >> 32)
}

// counts says whether entry i, of the last of some stretches, has an address that
// counts: of the family, of a shard that was picked, and none that has come before.
func (a *Answer) counts(f snapshot.Family, sts []stretch, i int) bool {
	s := &a.run[i]
	if snapshot.FamilyOf(s.Addr) != f {
		return false
	}
	p := &a.picks[f]
	if p.shards == 0 {
		if p.n == 0 {
			return s.Widest <= a.width
		}
		if s.Widest > topology.Regional { // the region has it already
			return false
		}
		return len(sts) == 1 || s.Only || !a.repeated(f, sts, i)
	}
	return p.has(s.Cluster) && (s.Only || !a.repeated(f, sts, i))
}

// repeated says whether entry i of the last stretch has an address that one before
// it has, in that or in another.
func (a *Answer) repeated(f snapshot.Family, sts []stretch, i int) bool {
	last := len(sts) - 1
	addr := a.run[i].Addr
	for _, st := range sts[:last] {
		if a.given(f, addr, st.from, st.to) {
			return true
		}
	}
	return a.given(f, addr, sts[last].from, i)
}

// given says whether one of the entries from one to before another has an address,
// and is of a shard that was picked.
func (a *Answer) given(f snapshot.Family, addr netip.Addr, from, to int) bool {
	p := &a.picks[f]
	for i := from; i < to; i++ {
		if s := &a.run[i]; s.Addr == addr && (p.shards == 0 || p.has(s.Cluster)) {
			return true
		}
	}
	return false
}

// Has says whether there is an address of a family in the answer.
func (a *Answer) Has(v4 bool) bool {
	f := family(v4)
	if a.picks[f].n == 0 { // of shards that were picked, every one has
		return a.suited(f, 0, len(a.run))
	}
	regions := a.Service.Regions()
	return slices.ContainsFunc(a.picks[f].regions[:a.picks[f].n], func(r uint16) bool { return a.suited(f, regions[r].From, regions[r].To) })
}
