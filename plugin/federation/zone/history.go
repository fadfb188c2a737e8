package zone

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/snapshot"
)

// A Secondary is who has zones transferred, as far as it can be told from others.
type Secondary struct {
	Addr netip.Addr
	Key  string // of its TSIG; "": it doesn't sign
}

const (
	// maxEditions and maxHistory, in bytes, bound what is kept for differences: a quarter of an hour
	// of a zone that changes in every second. A secondary that was away for longer gets all of it.
	maxEditions = 1000
	maxHistory  = 16 << 20
	// maxSecondaries bounds of how many it is remembered what they were given.
	maxSecondaries = 256

	// What an edition keeps from the garbage collector, about: the paths that were copied for it,
	// and a service and an address of it as they were before.
	pathsSize   = 4 << 10
	serviceSize = 512
	shardSize   = 64
)

// A history is what of a domain was transferred, so that who has an edition of it may be given the
// difference (RFC 1995). It is of this configuration of this process only. Another server, or this one
// after a restart, may have shown other records with the same serial: to whom they weren't given here, no
// difference is.
type history struct {
	mu       sync.Mutex // guards the rest
	editions []*edition // by serial, the last is the newest
	cost     int
	has      map[netip.Addr]uint32 // which serial secondaries have, as they say: nothing is given to anybody for that
}

// An edition is the domain with one serial. In the second of a change, what is answered may change
// again under its serial; transfers have what it was first, and all of it under the next.
type edition struct {
	serial   uint32
	static   *Static
	snapshot *snapshot.Snapshot
	now      time.Duration // when its TTLs were worked out
	cost     int
	given    map[Secondary]bool
}

// latest is the edition that is transferred now.
func (h *history) latest(d *Domain, b *Block) *edition {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &edition{static: d.Static.Load(), snapshot: b.Current.Load(), now: pipeline.Now(), given: map[Secondary]bool{}}
	e.serial = e.snapshot.Serial
	if n := len(h.editions); n > 0 {
		last := h.editions[n-1]
		if last.serial == e.serial {
			return last
		}
		if int32(e.serial-last.serial) < 0 {
			h.editions, h.cost = nil, 0 // no difference leads back
		} else {
			last.cost = e.replaces(last, d)
			h.cost += last.cost
		}
	}
	h.editions = append(h.editions, e)
	for len(h.editions) > maxEditions || h.cost > maxHistory {
		h.cost -= h.editions[0].cost
		h.editions = slices.Delete(h.editions, 0, 1)
	}
	return e
}

// replaces is about how many bytes of an edition are kept only for it, once e has followed it.
func (e *edition) replaces(last *edition, d *Domain) int {
	n := pathsSize
	for _, m := range d.Members {
		was := last.snapshot.Federations[m.Index]
		for k := range e.snapshot.Federations[m.Index].Changes(was) {
			n += serviceSize
			if svc := was.Service(k); svc != nil {
				n += shardSize * len(svc.Shards)
			}
		}
	}
	return n
}

// given is the edition of a serial, if a secondary was given it here.
func (h *history) given(s Secondary, serial uint32) *edition {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, ok := slices.BinarySearchFunc(h.editions, serial, func(e *edition, serial uint32) int { return int(int32(e.serial - serial)) })
	if !ok || !h.editions[i].given[s] {
		return nil
	}
	return h.editions[i]
}

// give notes that a secondary has an edition.
func (h *history) give(s Secondary, e *edition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(e.given) < maxSecondaries {
		e.given[s] = true
	}
	h.note(s.Addr, e.serial)
}

// met notes that a secondary says it has a serial.
func (h *history) met(s Secondary, serial uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(s.Addr, serial)
}

// note is what both have in common. mu is held.
func (h *history) note(at netip.Addr, serial uint32) {
	if h.has == nil {
		h.has = map[netip.Addr]uint32{}
	}
	if _, known := h.has[at]; known || len(h.has) < maxSecondaries {
		h.has[at] = serial
	}
}
