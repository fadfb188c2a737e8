package shard

import (
	"slices"
	"time"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/snapshot"
)

// A lead is what a failover policy remembers of the addresses of one family that a
// service has: which region is answered from, and since when those preferred to it are
// up. Each family goes its own way: a region without an address of the one that is
// asked for has nothing to answer with.
type lead struct {
	active string
	policy snapshot.Policy
	since  []time.Duration // by the policy's regions; never while it isn't up
}

const never = time.Duration(-1)

// next is what becomes of a lead now. up says of a region whether a shard is up in
// it, back whether an operator wants it gone back to. wake is when time alone may
// change it; 0: never.
//
// When the region that is answered from has no shard any more, the first of the list
// that has one takes its place at once. The way back to one that is preferred is what
// the policy's Failback says.
func (l lead) next(p snapshot.Policy, up, back func(region string) bool, now time.Duration) (n lead, wake time.Duration) {
	n = lead{active: l.active, policy: p, since: slices.Repeat([]time.Duration{never}, len(p.Regions))}
	first := -1
	for i, r := range p.Regions {
		if !up(r) {
			continue
		}
		n.since[i] = now
		if l.policy.Equal(p) && l.since[i] != never {
			n.since[i] = l.since[i]
		}
		if first < 0 {
			first = i
		}
	}
	if first < 0 {
		n.active = ""
		return n, 0
	}
	current := slices.Index(p.Regions, l.active)
	if current < 0 || n.since[current] == never {
		n.active = p.Regions[first]
		return n, 0
	}
	for i, r := range p.Regions[:current] {
		switch {
		case n.since[i] == never:
			continue
		case back(r), !p.Failback.Manual && now-n.since[i] >= p.Failback.After:
			n.active = r
			return n, wake
		case !p.Failback.Manual:
			if at := n.since[i] + p.Failback.After; wake == 0 || at < wake {
				wake = at
			}
		}
	}
	return n, wake
}

// lead decides for a service that is about to be answered so, and says so in it.
func (t *Table) lead(s *service, out *snapshot.Service, now time.Duration) (l [snapshot.Families]lead, wake time.Duration) {
	p := t.policy.Choice
	if out.Policy != nil {
		p = *out.Policy
	}
	if p.Choice != snapshot.Failover {
		return l, 0
	}
	back := func(region string) bool {
		return slices.ContainsFunc(t.orders, func(o override.Order) bool {
			return o.Action == override.Failback && (o.Subject.Kind == override.Region && o.Subject.Name == region ||
				o.Subject.Kind == override.Service && o.Subject.Namespace == s.key.Namespace && o.Subject.Name == s.key.Name)
		})
	}
	for f := range l {
		up := func(region string) bool { return out.Stands(snapshot.Family(f), region) }
		var at time.Duration
		if l[f], at = s.lead[f].next(p, up, back, now); at > 0 && (wake == 0 || at < wake) {
			wake = at
		}
		out.Active[f] = l[f].active
	}
	return l, wake
}

// Leads are the regions that failover policies have come to, by service and family: a new table
// goes on from there.
func (t *Table) Leads() map[snapshot.Key][snapshot.Families]string {
	out := map[snapshot.Key][snapshot.Families]string{}
	for k, s := range t.services {
		var active [snapshot.Families]string
		for f := range active {
			active[f] = s.lead[f].active
		}
		if active != ([snapshot.Families]string{}) {
			out[k] = active
		}
	}
	return out
}

// Follow takes over what another table had come to.
func (t *Table) Follow(leads map[snapshot.Key][snapshot.Families]string) {
	for k, active := range leads {
		t.inherited[k] = active
	}
}
