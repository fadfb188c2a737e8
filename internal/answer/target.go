package answer

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A Target is what an SRV record leads to.
type Target struct {
	Port uint16
	Pod  *snapshot.Target // a pod, whose label stands before the name behind the port's; nil: that name itself
	// Narrow says that it leads to the service's name in the scope At instead: where the port
	// isn't the same everywhere, each record leads to where it is so.
	Narrow bool
	At     topology.Scope
}

// Targets are those of the SRV records, at most as many as an answer may have: of more,
// each answer has others, as Addrs has them.
func (a *Answer) Targets(turn uint32) iter.Seq[Target] {
	return func(yield func(Target) bool) {
		if a.Outcome != Found || !a.Target || a.Path.Port == "" {
			return
		}
		var spare bool
		parted := a.Parted() // these two once, since they look at every shard
		if parted {
			spare = !a.choosesPort()
		}
		slots := a.slots(parted)
		n := 0
		for i := range slots {
			if _, ok := a.slot(i, parted, spare); ok {
				n++
			}
		}
		r := room{size: n, of: n}
		if a.limit > 0 {
			r.size = min(n, a.limit)
		}
		if n == 0 {
			return
		}
		skip := 0
		if r.size < n {
			skip = spread(turn, n)
		}
		for pass := range 2 {
			k := 0
			for i := range slots {
				t, ok := a.slot(i, parted, spare)
				if !ok {
					continue
				}
				if (k >= skip) == (pass == 0) && (r.size == n || r.gives(k, turn)) && !yield(t) {
					return
				}
				k++
			}
		}
	}
}

// Pods says whether the SRV records lead to pods, each with its own name.
func (a *Answer) Pods() bool {
	return a.Inside && !a.LeavesCluster && a.Path.Port != "" && a.Service.Local != nil && a.Service.Local.Targets != nil
}

// slots is how many targets there could be.
func (a *Answer) slots(parted bool) int {
	switch {
	case a.Pods():
		return len(a.Service.Local.Targets)
	case a.Inside && !a.LeavesCluster:
		return len(a.Service.Local.Ports)
	}
	if parted {
		return len(a.Service.Ports) * len(a.run)
	}
	return len(a.Service.Ports)
}

// Parted says whether the port has several numbers in the scope, or isn't ready in all of
// its places. A name of the whole scope would lead to addresses at which nothing takes what
// comes for the port; those of a zone are as narrow as names are.
func (a *Answer) Parted() bool {
	if a.Path.Port == "" || a.Service == nil || a.Inside && !a.LeavesCluster || a.width == topology.Zonal {
		return false
	}
	port, proto, end := a.Path.Port[1:], a.Path.Proto[1:], a.End()
	found := 0
	for i := range a.Service.Ports {
		p := &a.Service.Ports[i]
		if p.Name != port || p.Proto != proto || !p.In(end) {
			continue
		}
		if found++; found > 1 {
			return true
		}
		for i := range a.run {
			if p.Places != nil && a.leads(i) && !slices.Contains(p.Places, a.run[i].Place) {
				return true
			}
		}
	}
	return false
}

// leads says whether entry i of the run is the first of its place: those of one stand
// together.
func (a *Answer) leads(i int) bool { return i == 0 || a.run[i-1].Place != a.run[i].Place }

// part is slot of an answer that is parted: a port in one place. Where the policy has
// chosen no shard that has the port, all that have it are: spare.
func (a *Answer) part(i int, spare bool) (t Target, ok bool) {
	p, i := &a.Service.Ports[i/len(a.run)], i%len(a.run)
	at := a.run[i].Place
	if !a.leads(i) || p.Name != a.Path.Port[1:] || p.Proto != a.Path.Proto[1:] || p.Places != nil && !slices.Contains(p.Places, at) {
		return t, false
	}
	for chosen := spare; !chosen; i++ {
		if i == len(a.run) || a.run[i].Place != at {
			return t, false
		}
		chosen = a.picked(i)
	}
	t = Target{Port: p.Number, At: topology.Scope(at)}
	t.Narrow = t.At != a.End() && t.At != topology.Global // where no place is known, there is no narrower name
	return t, true
}

// choosesPort says whether the policy has chosen a shard in a place that has the port.
func (a *Answer) choosesPort() bool {
	for i := range a.run {
		if a.picked(i) && a.ported(a.run[i].Place) {
			return true
		}
	}
	return false
}

// ported says whether a place has the port, by any number.
func (a *Answer) ported(at topology.Place) bool {
	return slices.ContainsFunc(a.Service.Ports, func(p snapshot.Port) bool {
		return p.Name == a.Path.Port[1:] && p.Proto == a.Path.Proto[1:] && (p.Places == nil || slices.Contains(p.Places, at))
	})
}

// picked says whether entry i of the run is of those that were chosen.
func (a *Answer) picked(i int) bool {
	s := &a.run[i]
	p := &a.picks[snapshot.FamilyOf(s.Addr)]
	if p.shards > 0 && !p.has(s.Cluster) {
		return false
	}
	if p.n == 0 {
		return true
	}
	regions := a.Service.Regions()
	return slices.ContainsFunc(p.regions[:p.n], func(r uint16) bool { return regions[r].From <= i && i < regions[r].To })
}

// Behind are the addresses of targets whose name is that of a narrower scope, as many of each family as an
// answer may have. A service's shards of one place stand together, each address once.
func (a *Answer) Behind(at topology.Scope) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		var n [snapshot.Families]int
		first := slices.IndexFunc(a.run, func(s snapshot.Shard) bool { return topology.Scope(s.Place) == at })
		for i := first; i >= 0 && i < len(a.run) && topology.Scope(a.run[i].Place) == at; i++ {
			s := &a.run[i]
			if s.Widest == topology.Nowhere {
				continue
			}
			f := snapshot.FamilyOf(s.Addr)
			if n[f]++; (a.limit == 0 || n[f] <= a.limit) && !yield(s.Addr) {
				return
			}
		}
	}
}

// slot is one of them; false: it hasn't got the port. Both labels were read when the
// answer was resolved.
func (a *Answer) slot(i int, parted, spare bool) (t Target, ok bool) {
	port, proto := a.Path.Port[1:], a.Path.Proto[1:]
	var p *snapshot.Port
	switch local := a.Inside && !a.LeavesCluster; {
	case parted:
		return a.part(i, spare)
	case a.Pods():
		t.Pod = &a.Service.Local.Targets[i]
		for j := range t.Pod.Ports {
			if q := &t.Pod.Ports[j]; q.Name == port && q.Proto == proto {
				return Target{Port: q.Number, Pod: t.Pod}, true
			}
		}
		return t, false
	case local:
		p = &a.Service.Local.Ports[i]
	default:
		if p = &a.Service.Ports[i]; !p.In(a.End()) {
			return t, false
		}
	}
	return Target{Port: p.Number}, p.Name == port && p.Proto == proto
}
