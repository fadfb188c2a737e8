// Package snapshot holds all that is answered at one moment: the frozen Snapshot,
// and Current, which shows the current one.
//
// A snapshot has one entry a service, not one a name: the addresses of a service
// are sorted by region, then zone, so that every scope is a run of them. The
// package holds what is answered; how a question is turned into an answer is
// package answer's, why a shard is up or down is package health's.
package snapshot

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/fedns/fedns/internal/topology"
)

// A Kind is the label that stands between a federation and the scope.
type Kind uint8

// The kinds of names.
const (
	Svc  Kind = iota // Services
	Ing              // Ingresses and Gateways
	Host             // hosts that Ingresses and routes claim: no label, the name is their own
)

// Kinds lists every kind that is a label.
var Kinds = [...]Kind{Svc, Ing}

func (k Kind) String() string { return [...]string{"svc", "ing", "host"}[k] }

// KindOf gives the kind that a label spells.
func KindOf(label string) (Kind, bool) {
	switch label {
	case "svc":
		return Svc, true
	case "ing":
		return Ing, true
	}
	return 0, false
}

// A Key names a service within a federation. That of a host has the whole name,
// without the last dot, and the namespace that holds it.
type Key struct {
	Namespace, Name string
	Kind            Kind
}

// SortedKeys sorts keys by their names, and leaves each there once.
func SortedKeys(ks []Key) []Key {
	slices.SortFunc(ks, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(ks)
}

func (k Key) String() string {
	switch k.Kind {
	case Ing:
		return "ingress " + k.Namespace + "/" + k.Name
	case Host:
		return "host " + k.Name + " of namespace " + k.Namespace
	}
	return k.Namespace + "/" + k.Name
}

// A Service is what is answered for one service: an entry of a snapshot. It is
// never changed after Freeze.
//
// What nearly every question looks at stands together at the beginning: each line of memory more that it looks at costs more
// than all that is done with it.
type Service struct {
	Key     Key
	Shards  []Shard  // addresses of the shards that are up, sorted by Freeze
	TTL     uint32   // seconds; 0 means the federation's
	Policy  *Policy  // nil means the federation's
	many    *index   // of Shards, where there are many; nil: there are few
	regions []Run    // of Shards, by Freeze
	Note    string   // what else was decided about it, for whoever asks why; mostly ""
	Recent  []Recent // shards that came up or went down lately
	Silent  []Silent // shards of clusters that have gone silent
	Awaits  []Await  // shards of which something isn't known yet
	Ports   []Port   // named ports of any member
	// Local is the shard of the cluster whose own domain is answered here, as the pods
	// there reach it; nil where that isn't up, or there is no such cluster.
	Local *Local
	// Active is the region that addresses of each family are answered from under a
	// failover policy; "" where there is no such policy, or no region of its list has one.
	Active [Families]string
	Down   string // why no shard is up; "" while one is
	// Unsure says of a host that nobody may claim it. It is answered as if it weren't there, for a
	// shorter time.
	Unsure bool

	digest uint64 // of what is answered, by Edit
}

func (s *Service) key() Key { return s.Key }

// An index spares who looks for some of many shards looking at all of them: by family.
type index struct {
	// firsts are the indexes of those that are the first with their address in the world, or in
	// their region.
	firsts [Families][2][]int32
	// heads are the indexes of those that are the first of their cluster in their region.
	heads [Families][]int32
}

// A Family is one of addresses.
type Family uint8

// The families, and how many there are.
const (
	IPv4 Family = iota
	IPv6
	Families = 2
)

// FamilyOf is that of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

func (f Family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

// A Local is a shard as the pods of its own cluster reach it.
type Local struct {
	Shards  []Shard // an entry for each address, no matter where
	Ports   []Port
	Targets []Target // the pods of a headless Service, by their labels; nil for others
	Stale   bool     // it is only last known to be so
	Await   string   // what has to be known before it is answered; "": nothing
}

// A Target is a pod with a name of its own, below its Service's (Kubernetes
// DNS-Based Service Discovery, section 2.4).
type Target struct {
	Label  string
	Shards []Shard // its addresses
	Ports  []Port  // that can be reached at these
}

// Target finds the pod of a label, or nil.
func (l *Local) Target(label string) *Target {
	i, ok := slices.BinarySearchFunc(l.Targets, label, func(t Target, label string) int { return strings.Compare(t.Label, label) })
	if !ok {
		return nil
	}
	return &l.Targets[i]
}

// Port says whether the shard has a port, if one is asked.
func (l *Local) Port(name, proto string) bool {
	return name == "" || slices.ContainsFunc(l.Ports, func(p Port) bool { return p.Name == name && p.Proto == proto })
}

// A Run is the part of a service's shards that stands in one region.
type Run struct {
	Region   string
	From, To int
}

// HasAddress says whether an address of a family is up in a region.
func (s *Service) HasAddress(f Family, region string) bool {
	return slices.ContainsFunc(s.Shards, func(sh Shard) bool { return sh.Place.Region == region && FamilyOf(sh.Addr) == f })
}

// Regions lists the regions where a shard is up, with their parts of Shards.
func (s *Service) Regions() []Run { return s.regions }

// A Shard is one address of a shard that is up, at one place. A shard at several
// places, or with several addresses, has an entry for each.
type Shard struct {
	Place topology.Place
	Addr  netip.Addr
	// Widest is the widest scope in which this entry is the first with its
	// address, so that wider scopes count an address once; narrower than any where another
	// cluster has it at the same place. Each has its own weight.
	Widest  topology.Width
	Only    bool   // no other entry has its address
	Cluster uint16 // entries of one cluster are one shard
	Weight  uint16 // of the shard
}

// A Port is a named port of a service.
type Port struct {
	Name, Proto string // as in a name, without the underscores, lower case
	Number      uint16
	Places      []topology.Place // where shards that are up have it; nil: wherever one is up
}

// In says whether a shard that is up in the scope has the port.
func (p *Port) In(s topology.Scope) bool {
	return p.Places == nil || slices.ContainsFunc(p.Places, s.Holds)
}

// A Recent is a shard that came up or went down.
type Recent struct {
	Place topology.Place
	Until time.Duration // on the program's own clock; answers it may be in are short-lived until then
}

// A Silent is a place of a shard whose cluster has gone silent.
type Silent struct {
	Place topology.Place
	Stale bool // its last known state is answered still
}

// An Await is something that isn't known yet, where answers depend on it.
type Await struct {
	Place topology.Place
	What  string // for whoever asks why
	// Hold says that nothing is answered in its place before it is known: the server
	// has only just started. Later, what is known is answered, for a short time.
	Hold bool
}

// Freeze sorts what a builder has put together. Inputs in any order give the
// same service.
func (s *Service) Freeze() *Service {
	for i := range s.Shards {
		s.Shards[i].Place = s.Shards[i].Place.Canonical()
	}
	slices.SortFunc(s.Shards, func(a, b Shard) int {
		return cmp.Or(a.Place.Compare(b.Place), a.Addr.Compare(b.Addr), cmp.Compare(a.Cluster, b.Cluster))
	})
	s.Shards = slices.CompactFunc(s.Shards, func(a, b Shard) bool { return a.Place == b.Place && a.Addr == b.Addr && a.Cluster == b.Cluster })
	s.repetitions()
	var regions []Run
	for i := range s.Shards {
		if region := s.Shards[i].Place.Region; len(regions) == 0 || regions[len(regions)-1].Region != region {
			regions = append(regions, Run{Region: region, From: i})
		}
		regions[len(regions)-1].To = i + 1
	}
	s.regions = slices.Clip(regions)
	s.index()
	return s
}

// size is about what s takes, in bytes. Its key, places and names are its table's.
func (s *Service) size() int {
	n := int(unsafe.Sizeof(*s)) + size(s.Shards) + size(s.Ports) + size(s.Recent) + size(s.Silent) + size(s.Awaits) + size(s.regions) + len(s.Note) + len(s.Down)
	for i := range s.Ports {
		n += size(s.Ports[i].Places)
	}
	if s.many != nil {
		n += len(s.Shards) * 3 * int(unsafe.Sizeof(int32(0))) // each is in three lists at most
	}
	if l := s.Local; l != nil {
		n += int(unsafe.Sizeof(*l)) + size(l.Shards) + size(l.Ports) + size(l.Targets)
		for i := range l.Targets {
			n += size(l.Targets[i].Shards) + size(l.Targets[i].Ports)
		}
	}
	return n
}

func size[T any](list []T) int {
	var of T
	return cap(list) * int(unsafe.Sizeof(of))
}

// few is up to how many entries a scan is cheaper than what would spare it.
const few = 32

// repetitions finds entries with one address.
func (s *Service) repetitions() {
	type met struct{ first, last int }
	var seen map[netip.Addr]met
	if len(s.Shards) > few {
		seen = make(map[netip.Addr]met, len(s.Shards))
	}
	find := func(i int) (m met, ok bool) {
		if seen != nil {
			m, ok = seen[s.Shards[i].Addr]
			return m, ok
		}
		for j := range s.Shards[:i] {
			if s.Shards[j].Addr != s.Shards[i].Addr {
				continue
			}
			if m.last = j; !ok {
				m.first, ok = j, true
			}
		}
		return m, ok
	}
	for i := range s.Shards {
		sh := &s.Shards[i]
		m, again := find(i)
		sh.Only, sh.Widest = !again, topology.Worldwide
		if !again {
			m.first = i
		} else {
			s.Shards[m.first].Only = false
			switch last := s.Shards[m.last].Place; { // they are sorted by it
			case last == sh.Place:
				sh.Widest = topology.Nowhere
			case last.Region == sh.Place.Region:
				sh.Widest = topology.Zonal
			default:
				sh.Widest = topology.Regional
			}
		}
		if m.last = i; seen != nil {
			seen[sh.Addr] = m
		}
	}
}

// index lists the entries that come first with their addresses, if there are many.
func (s *Service) index() {
	s.many = nil
	if len(s.Shards) <= few {
		return
	}
	s.many = &index{}
	type member struct {
		family  Family
		cluster uint16
		region  string
	}
	met := map[member]bool{}
	for i := range s.Shards {
		sh := &s.Shards[i]
		f := FamilyOf(sh.Addr)
		if m := (member{f, sh.Cluster, sh.Place.Region}); !met[m] {
			met[m] = true
			s.many.heads[f] = append(s.many.heads[f], int32(i))
		}
		for w := sh.Widest; w <= topology.Regional; w++ {
			list := &s.many.firsts[f][w]
			*list = append(*list, int32(i))
		}
	}
}

// Indexed says whether there are so many shards that looking at each isn't as good as Firsts.
func (s *Service) Indexed() bool { return s.many != nil }

// Firsts lists which of the shards in a region, or in all of them, are the first there
// with their address, of one family: indexes of Shards, from one to before another. It
// is false for a zone, where shards are few, and where they aren't Indexed.
func (s *Service) Firsts(f Family, w topology.Width, from, to int) (list []int32, ok bool) {
	if s.many == nil || w > topology.Regional {
		return nil, false
	}
	return between(s.many.firsts[f][w], from, to), true
}

// between is the part of a sorted list from one number to before another.
func between(list []int32, from, to int) []int32 {
	i, _ := slices.BinarySearch(list, int32(from))
	j, _ := slices.BinarySearch(list, int32(to))
	return list[i:j]
}

// Few is the most shards that a service has of which Heads needs room for a list.
const Few = few

// Heads lists which of the shards in a region are the first there of their clusters,
// of one family: an index of Shards for each cluster. It is made in the room that is
// given, or was made before.
func (s *Service) Heads(f Family, in Run, room *[Few]int32) []int32 {
	if s.many != nil {
		return between(s.many.heads[f], in.From, in.To)
	}
	n := 0
next:
	for i := in.From; i < in.To; i++ {
		sh := &s.Shards[i]
		if FamilyOf(sh.Addr) != f {
			continue
		}
		for _, h := range room[:n] {
			if s.Shards[h].Cluster == sh.Cluster {
				continue next
			}
		}
		room[n] = int32(i)
		n++
	}
	return room[:n]
}

// In is the run of entries whose places the scope holds. Entries whose Widest is
// narrower than the scope are repetitions within it.
//
// The regions' runs come first, as a question for one of them then doesn't look at the entries of others.
func (s *Service) In(scope topology.Scope) []Shard {
	if scope == topology.Global {
		return s.Shards
	}
	in := s.Shards
	if scope.Region != "" {
		in = nil
		for i := range s.regions {
			if r := &s.regions[i]; r.Region == scope.Region {
				in = s.Shards[r.From:r.To]
				break
			}
		}
	}
	if scope.Zone == "" {
		return in
	}
	from := 0
	for from < len(in) && in[from].Place.Zone != scope.Zone {
		from++
	}
	to := from
	for to < len(in) && in[to].Place.Zone == scope.Zone {
		to++
	}
	return in[from:to]
}

// Port says whether any member has a port of this name and protocol.
func (s *Service) Port(name, proto string) bool {
	return slices.ContainsFunc(s.Ports, func(p Port) bool { return p.Name == name && p.Proto == proto })
}

// Proto says whether any member has a named port of this protocol.
func (s *Service) Proto(proto string) bool {
	return slices.ContainsFunc(s.Ports, func(p Port) bool { return p.Proto == proto })
}
