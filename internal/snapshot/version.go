package snapshot

import (
	"net/netip"

	"github.com/fedns/fedns/internal/topology"
)

// A Version is how far what is answered is. Its serial is a function of what is
// answered and of when that changed, not of how often a server has published: servers
// that learn the same history say the same (RFC 1982).
type Version struct {
	Serial uint32 // of the SOA record, as it is answered now
	// Due is what Serial becomes when the second of the last change is over for all. What
	// else changes in that second shares it: a secondary that came in between comes again.
	Due         uint32
	Digest      uint64 // of what is answered; 0: not known
	Publication uint64 // counts those of this process
}

// Next is the version after v, of what has the digest. It was changed at a moment (Unix
// seconds; 0: nobody knows), which is learned now.
func (v Version) Next(digest uint64, made, now int64) Version {
	v.Publication++
	if v = v.At(now); digest == v.Digest && v.Due != 0 {
		return v
	}
	if made == 0 || made > now {
		made = now
	}
	due := uint32(made) + 1
	switch {
	case v.Due == 0: // nobody has been there yet
		v.Serial = due
	case later(due, v.Due):
	case v.Pending(): // whoever has been there comes again
		due = v.Due
	case later(uint32(now)+1, v.Due):
		due = uint32(now) + 1 // it was told late, or is older than what it takes the place of
	default:
		due = v.Due + 1 // it is shown already, or the clock was set back
	}
	if later(due-1, v.Serial) {
		v.Serial = due - 1
	}
	v.Due, v.Digest = nonzero(due), digest
	return v.At(now)
}

// At is v as it is at a later moment. A second is over for us when whoever learns of it a
// second after us has heard of all that happened in it.
func (v Version) At(now int64) Version {
	if v.Due == 0 {
		return v // nothing is answered yet
	}
	if until := int32(v.Due + grace - uint32(now)); until <= 0 || until > setBack {
		v.Serial = v.Due
	}
	v.Serial = nonzero(v.Serial)
	return v
}

// Until is when Serial becomes Due, in Unix seconds.
func (v Version) Until() int64 { return int64(v.Due) + grace }

const (
	// grace, in seconds, is how much later than others a server may learn of a change.
	grace = 1
	// setBack, in seconds, is farther ahead than a serial can be of a clock that goes on.
	setBack = 5
)

// Latest is the later of two versions that were shown.
func (v Version) Latest(o Version) Version {
	if v.Due == 0 || o.Due != 0 && later(o.Due, v.Due) {
		return o
	}
	return v
}

// Pending says whether Serial is still to become Due.
func (v Version) Pending() bool { return v.Due != 0 && v.Serial != v.Due }

// nonzero leaves out 0, which asks for a whole transfer in CoreDNS's transfer plugin.
func nonzero(serial uint32) uint32 { return max(serial, 1) }

// later compares serials (RFC 1982, section 3.2).
func later(a, b uint32) bool { return int32(a-b) > 0 }

// A sum is a digest in the making (FNV-1a). It guards against nobody: it tells what
// is answered from what was.
type sum uint64

const (
	sumBasis sum = 14695981039346656037
	sumPrime sum = 1099511628211
)

func (h *sum) byte(b byte) { *h = (*h ^ sum(b)) * sumPrime }

func (h *sum) number(n uint64) {
	for range 8 {
		h.byte(byte(n))
		n >>= 8
	}
}

func (h *sum) text(s string) {
	h.number(uint64(len(s)))
	for i := range len(s) {
		h.byte(s[i])
	}
}

func (h *sum) flag(is bool) {
	if is {
		h.byte(1)
	} else {
		h.byte(0)
	}
}

func (h *sum) addr(a netip.Addr) {
	b := a.As16()
	h.flag(a.Is4())
	for _, b := range b {
		h.byte(b)
	}
}

func (h *sum) place(p topology.Place) {
	h.text(p.Region)
	h.text(p.Zone)
}

// each takes in a list in whatever order.
func each[T any](h *sum, list []T, of func(*sum, T)) {
	all := uint64(0)
	for _, x := range list {
		one := sumBasis
		of(&one, x)
		all += uint64(one)
	}
	h.number(all)
}

func (h *sum) shards(list []Shard) {
	each(h, list, func(h *sum, s Shard) {
		h.place(s.Place)
		h.addr(s.Addr)
		h.number(uint64(s.Weight))
	})
}

func (h *sum) ports(list []Port) {
	each(h, list, func(h *sum, p Port) {
		h.text(p.Name)
		h.text(p.Proto)
		h.number(uint64(p.Number))
		h.flag(p.Places == nil)
		each(h, p.Places, (*sum).place)
	})
}

// sum is a number for all that is answered for s: not why, nor for how long a client
// may keep what changed lately.
func (s *Service) sum() uint64 {
	h := sumBasis
	h.text(s.Key.Namespace)
	h.text(s.Key.Name)
	h.number(uint64(s.Key.Kind))
	h.shards(s.Shards)
	h.ports(s.Ports)
	h.number(uint64(s.TTL))
	if p := s.Policy; p != nil {
		h.text(p.String())
	}
	each(&h, s.Silent, func(h *sum, s Silent) {
		h.place(s.Place)
		h.flag(s.Stale)
	})
	for _, region := range s.Active {
		h.text(region)
	}
	if l := s.Local; l != nil {
		h.shards(l.Shards)
		h.ports(l.Ports)
		h.flag(l.Stale)
		each(&h, l.Targets, func(h *sum, t Target) {
			h.text(t.Label)
			h.shards(t.Shards)
			h.ports(t.Ports)
		})
	}
	return uint64(h)
}

// scopes is a number for the names that a federation has.
func scopes(m *topology.Map, all []topology.Scope) uint64 {
	h := sumBasis
	each(&h, all, func(h *sum, s topology.Scope) {
		h.text(s.Region)
		h.text(s.Zone)
		h.flag(m.Short(s))
	})
	return uint64(h)
}

// Sum is a number for what is answered of f, never 0, whatever stands beside it: servers whose
// configurations are spelled otherwise have the same.
func (f *Federation) Sum() uint64 {
	h := sumBasis
	h.number(f.answered)
	h.number(f.scopes)
	return max(uint64(h), 1)
}

// Sum is a number for all that is answered, never 0: from s, and from what stands beside it.
func (s *Snapshot) Sum(beside uint64) uint64 {
	h := sumBasis
	h.number(beside)
	for _, f := range s.Federations {
		h.text(f.Name)
		h.number(f.answered)
		h.number(f.scopes)
	}
	return max(uint64(h), 1)
}
