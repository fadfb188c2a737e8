package snapshot

import (
	"iter"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/fedns/fedns/internal/topology"
)

// A Snapshot is all that is answered at one moment. It never changes.
type Snapshot struct {
	Version
	Federations []*Federation // in the order of the configuration

	own int // see Own
}

// Next is the snapshot after s with some federations replaced: those of changed that
// aren't nil, by index. It is of the same version.
func (s *Snapshot) Next(changed []*Federation) *Snapshot {
	next := &Snapshot{Federations: make([]*Federation, len(changed))}
	if s != nil {
		next.Version = s.Version
	}
	for i, f := range changed {
		switch {
		case f != nil:
			next.own += f.own
		case s != nil:
			f = s.Federations[i]
		}
		next.Federations[i] = f
	}
	return next
}

// Of is s, of another version.
func (s *Snapshot) Of(v Version) *Snapshot {
	return &Snapshot{Version: v, Federations: s.Federations}
}

// Own is about how many bytes s has for itself, beside what it shares with the one that it is next to.
func (s *Snapshot) Own() int { return s.own }

// Size is the number of services in all federations.
func (s *Snapshot) Size() int {
	n := 0
	for _, f := range s.Federations {
		n += f.Size()
	}
	return n
}

// A Federation is what is answered of one federation: its known scopes and its
// known services. It never changes; Edit makes the next one.
type Federation struct {
	Name string
	Map  *topology.Map
	// Heard is set once a member has been listed; before, nothing is known and
	// nothing can be said to be missing.
	Heard bool
	// Settled is set once every member has been listed or had its time; only
	// then is an unknown name an unknown name.
	Settled bool
	// Unlisted are the places of members that have not been listed yet. One of which it
	// isn't known where it is counts for the whole federation.
	Unlisted []Await

	// Home is where the cluster stands whose own domain is answered here.
	Home Home

	tolerances map[int]int // how many services have a policy with each; never changed

	services   trie[Key, *Service]
	namespaces trie[space, *number[space]] // how many services each has
	kinds      [len(Kinds)]int             // how many services of each kind

	hosts, unsure hosts // these, if they turn out to be claimed

	answered uint64 // the sums of all services, added up
	scopes   uint64 // the sum of Map
	own      int    // what the edit that it comes from has made, in bytes
}

// A Home is a cluster that some names speak of.
type Home struct {
	Scope topology.Scope // whose name is the closest to all of the cluster
	Known bool           // it has been listed, or had its time
}

// A space is a namespace in names of one kind.
type space struct {
	namespace string
	kind      Kind
}

func (s space) hash() uint32 { return hashIn(s.kind, s.namespace, "") }

// NewFederation is a federation of which nothing is known.
func NewFederation(name string) *Federation {
	return &Federation{Name: name, Map: topology.New(nil)}
}

// Service finds a known service, or nil.
func (f *Federation) Service(k Key) *Service {
	if k.Kind == Host {
		if s := f.Host(k.Name); s != nil && s.Key == k {
			return s
		}
		return nil
	}
	s, _ := f.services.get(k.hash(), k)
	return s
}

// Namespace says whether a namespace has a known service of the kind.
func (f *Federation) Namespace(k Kind, namespace string) bool {
	s := space{namespace, k}
	return counted(&f.namespaces, s.hash(), s) > 0
}

// Kind says whether there is a known service of the kind.
func (f *Federation) Kind(k Kind) bool { return f.kinds[k] > 0 }

// Size is the number of known services.
func (f *Federation) Size() int { return f.services.size }

// Services lists the known services, in no order.
func (f *Federation) Services() iter.Seq[*Service] { return f.services.all }

// All lists the services and the hosts, in no order.
func (f *Federation) All() iter.Seq[*Service] {
	return func(yield func(*Service) bool) {
		for _, list := range [...]iter.Seq[*Service]{f.Services(), f.Hosts()} {
			for s := range list {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// Tolerances lists the percentages within which services count regions as equally
// close, sorted.
func (f *Federation) Tolerances() []int { return slices.Sorted(maps.Keys(f.tolerances)) }

// Changes lists the services and hosts that aren't the same in f as they were, at an earlier or
// later moment, in was: in no order, and at the cost of what has changed.
func (f *Federation) Changes(was *Federation) iter.Seq[Key] {
	return func(yield func(Key) bool) {
		of := func(a, b *Service) bool {
			if a == nil {
				a = b
			}
			return yield(a.Key)
		}
		byName := func(a, b hosted) bool {
			if a.Service != nil && b.Service != nil && a.Key != b.Key && !yield(b.Key) {
				return false // another namespace holds it
			}
			return of(a.Service, b.Service)
		}
		_ = f.services.changes(&was.services, of) && f.hosts.exact.changes(&was.hosts.exact, byName) && f.hosts.wild.changes(&was.hosts.wild, byName)
	}
}

// SameScopes says whether the names of f, those of one service, are the ones they were in was.
func (f *Federation) SameScopes(was *Federation) bool { return f.scopes == was.scopes }

// An Edit puts the next state of a federation together beside the current one.
type Edit struct {
	next  Federation
	owner *owner
}

// Edit begins the next state. f stays as it is.
func (f *Federation) Edit() *Edit {
	return &Edit{next: *f, owner: new(owner)}
}

// Set puts a frozen service in, in place of the one of its key.
func (e *Edit) Set(s *Service) {
	if s.Key.Kind == Host {
		e.setHost(s)
		return
	}
	h := s.Key.hash()
	old, ok := e.next.services.get(h, s.Key)
	if !ok {
		e.count(s.Key, 1)
	}
	e.add(old, s)
	e.tolerate(old, s)
	e.next.services.set(e.owner, h, s)
}

// Remove takes a service out, if it is there.
func (e *Edit) Remove(k Key) {
	if k.Kind == Host {
		e.removeHost(k)
		return
	}
	h := k.hash()
	old, ok := e.next.services.get(h, k)
	if !ok {
		return
	}
	e.tolerate(old, nil)
	e.add(old, nil)
	e.count(k, -1)
	e.next.services.remove(e.owner, h, k)
}

// add takes a service, before and after, into the digest.
func (e *Edit) add(before, after *Service) {
	if after != nil {
		e.owner.made += after.size()
		after.digest = after.sum()
		e.next.answered += after.digest
	}
	if before != nil {
		e.next.answered -= before.digest
	}
}

// tolerate counts what the policies of a service, before and after, tolerate.
func (e *Edit) tolerate(before, after *Service) {
	was, is := before.within(), after.within()
	if was == is {
		return
	}
	next := maps.Clone(e.next.tolerances)
	if next == nil {
		next = map[int]int{}
	}
	if is > 0 {
		next[is]++
	}
	if was > 0 {
		if next[was]--; next[was] == 0 {
			delete(next, was)
		}
	}
	e.next.tolerances = next
}

func (s *Service) within() int {
	if s == nil || s.Policy == nil || s.Policy.Choice != Nearest {
		return 0
	}
	return s.Policy.Within
}

// Topology sets the known scopes.
func (e *Edit) Topology(m *topology.Map) {
	all := m.Scopes()
	e.next.Map, e.next.scopes = m, scopes(m, all)
	e.owner.made += len(all) * scopeSize
}

// scopeSize is about what a map takes for a scope: itself, sorted, and where it is found by its name, and its names.
const scopeSize = 256

// Home sets where the cluster stands whose own domain is answered here.
func (e *Edit) Home(h Home) { e.next.Home = h }

// SetListed sets how far the members are known.
func (e *Edit) SetListed(heard, settled bool, unlisted []Await) {
	e.next.Heard, e.next.Settled, e.next.Unlisted = heard, settled, unlisted
}

// Done gives the federation. The edit is over with it.
func (e *Edit) Done() *Federation {
	f := e.next
	f.own, e.owner = e.owner.made, nil
	return &f
}

func (e *Edit) count(k Key, by int) {
	e.next.kinds[k.Kind] += by
	s := space{k.Namespace, k.Kind}
	raise(&e.next.namespaces, e.owner, s.hash(), s, by)
}

// A Current shows the current snapshot to any number of readers, without a lock.
type Current struct {
	p    atomic.Pointer[Snapshot]
	next atomic.Pointer[chan struct{}] // closed with the next publication; nil: nobody waits for it
}

// Load returns the snapshot last shown, or nil before the first.
func (b *Current) Load() *Snapshot { return b.p.Load() }

// Publish makes s the current snapshot.
func (b *Current) Publish(s *Snapshot) {
	b.p.Store(s)
	if c := b.next.Swap(nil); c != nil {
		close(*c)
	}
}

// Changed is closed with the next publication. Whoever loads a snapshot after asking for it misses none.
func (b *Current) Changed() <-chan struct{} {
	for {
		if c := b.next.Load(); c != nil {
			return *c
		}
		if c := make(chan struct{}); b.next.CompareAndSwap(nil, &c) {
			return c
		}
	}
}
