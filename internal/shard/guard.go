package shard

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/topology"
)

// A guard keeps withdrawals from being believed too fast: a federation that loses
// most of its addresses at once has rather lost its sources than its shards.
type guard struct {
	held   map[names.Key]time.Duration // services of which addresses stay for now, and since when
	recent map[gone]time.Duration      // what went lately and is not back, and when
	total  int                         // addresses that are answered
}

// A gone is an address of a service that isn't answered at a place any more.
type gone struct {
	key   names.Key
	addr  netip.Addr
	place topology.Place
}

// lately counts the addresses that went, each once wherever it went.
func (g *guard) lately() int {
	if len(g.recent) == 0 {
		return 0
	}
	seen := make(map[gone]bool, len(g.recent))
	for x := range g.recent {
		x.place = topology.Place{}
		seen[x] = true
	}
	return len(seen)
}

// A decision is what judging a service has come to, before the guard.
type decision struct {
	key      names.Key
	old, new *names.Service // nil: not known
	ordered  []netip.Addr   // addresses that go by an operator's order
}

// lost are the entries that would go, and not by an order: an address that is
// answered elsewhere still is lost to the names of its place.
func (d *decision) lost() []names.Shard {
	var out []names.Shard
	if d.old == nil {
		return nil
	}
	for _, s := range d.old.Shards {
		if !slices.Contains(d.ordered, s.Addr) && (d.new == nil || !slices.ContainsFunc(d.new.Shards, func(n names.Shard) bool { return n.Addr == s.Addr && n.Place == s.Place })) {
			out = append(out, s)
		}
	}
	return out
}

// addresses counts the addresses of a service.
func addresses(s *names.Service) int {
	if s == nil {
		return 0
	}
	return distinct(s.Shards)
}

func distinct(shards []names.Shard) int {
	n := 0
	for i, s := range shards {
		if !slices.ContainsFunc(shards[:i], func(o names.Shard) bool { return o.Addr == s.Addr }) {
			n++
		}
	}
	return n
}

// watch decides which withdrawals wait, and gives for each decision what is
// published of it.
func (t *Table) watch(ds []decision, now time.Duration) []*names.Service {
	g, p := &t.guard, t.policy.Guard
	maps.DeleteFunc(g.recent, func(_ gone, at time.Duration) bool { return now-at >= p.Time })
	pending := 0
	for i := range ds {
		if _, held := g.held[ds[i].key]; !held {
			pending += distinct(ds[i].lost())
		}
	}
	// Of services that are held, at least one address each would go; exactly how
	// many doesn't matter any more.
	lately := g.lately()
	going := pending + lately + len(g.held)
	trips := p.Percent > 0 && going > p.Min && going*100 > p.Percent*(g.total+lately)

	out := make([]*names.Service, len(ds))
	held, waited := 0, len(g.held)
	for i := range ds {
		d := &ds[i]
		out[i] = d.new
		lost := d.lost()
		since, holding := g.held[d.key]
		switch {
		case len(lost) == 0:
			delete(g.held, d.key)
		case holding && now-since >= p.Time:
			delete(g.held, d.key)
		case holding || trips:
			if !holding {
				g.held[d.key] = now
				held += distinct(lost)
			}
			out[i] = d.keep(lost)
		case p.Percent > 0:
			for _, l := range lost {
				g.recent[gone{d.key, l.Addr, l.Place}] = now
			}
		}
		if len(g.recent) > 0 && out[i] != nil {
			for _, s := range out[i].Shards { // one that comes and goes isn't many that go
				delete(g.recent, gone{d.key, s.Addr, s.Place})
			}
		}
		g.total += addresses(out[i]) - addresses(d.old)
	}
	if held > 0 {
		t.say("guard: %d of %d addresses would go within %s; they stay until they have been gone for that long", held, g.total, p.Time)
	}
	if waited > 0 && len(g.held) == 0 {
		t.scopes = true // those that were kept can go
		t.say("guard: nothing is held back any more")
	}
	return out
}

// keep is what is published of a service whose losses wait.
func (d *decision) keep(lost []names.Shard) *names.Service {
	s := &names.Service{Key: d.key}
	if d.new != nil {
		*s = *d.new
	} else {
		*s = *d.old
		s.Shards, s.Local = nil, nil
	}
	s.Shards = append(slices.Clone(s.Shards), lost...)
	s.Down = ""
	s.Note = "guard: too much would go at once; addresses that went are answered still"
	for _, l := range lost {
		if !slices.ContainsFunc(s.Silent, func(q names.Silent) bool { return q.Place == l.Place }) {
			s.Silent = append(slices.Clone(s.Silent), names.Silent{Place: l.Place, Stale: true})
		}
	}
	return s.Freeze()
}

// Held counts the services of which the guard holds withdrawals back.
func (t *Table) Held() int { return len(t.guard.held) }
