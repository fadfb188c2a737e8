package table

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// Silence notes that nothing can be learned of a cluster since a moment.
func (t *Table) Silence(cluster int, since time.Duration) {
	m := t.members[cluster]
	if m.silent {
		since = min(since, m.since) // what was heard since then was not worth much
	} else {
		t.memberChanged = true
	}
	m.silent, m.since, m.counts, m.expired = true, since, since, false
	t.touchAll(cluster)
	t.isolate(since)
}

// Refresh notes that what is known of a cluster is its present state, now.
func (t *Table) Refresh(cluster int, now time.Duration) {
	m := t.members[cluster]
	if m.doubted {
		m.doubted, t.memberChanged = false, true
		t.touchAll(cluster)
	}
	if !m.silent {
		return
	}
	m.silent, m.expired, t.memberChanged = false, false, true
	t.touchAll(cluster)
	t.isolate(now)
}

// Silent says whether a cluster is silent, and since when.
func (t *Table) Silent(cluster int) (since time.Duration, silent bool) {
	return t.members[cluster].since, t.members[cluster].silent
}

// Places are where a cluster is.
func (t *Table) Places(cluster int) []topology.Place { return slices.Clone(t.members[cluster].places) }

// Isolated says whether so many members are silent at once that it must be this
// server that is cut off.
func (t *Table) Isolated() bool { return t.isolated }

// isolate counts the silent members: more than half of them is isolation. One
// that was never listed, though it had its time, is silent too. When isolation
// ends, the others are likely to be heard next: their holds begin then.
func (t *Table) isolate(now time.Duration) {
	n, all := 0, 0
	for _, m := range t.members {
		if m.vacant {
			continue
		}
		all++
		if m.silent || m.waived && !m.complete() {
			n++
		}
	}
	isolated := 2*n > all
	if isolated == t.isolated {
		return
	}
	t.isolated = isolated
	if isolated {
		t.cried = true
		t.say("isolated: %d of %d clusters are silent at once; all that is known stays", n, all)
	} else if t.cried {
		t.cried = false
		t.say("no longer isolated: %d of %d clusters are silent", n, all)
	}
	for i, m := range t.members {
		if m.silent {
			if !isolated {
				m.counts, m.expired = now, false
			}
			t.touchAll(i)
		}
	}
}

// Advance follows what time alone changes: holds that are over, and withdrawals
// that have waited long enough.
func (t *Table) Advance(now time.Duration) {
	for i, m := range t.members {
		if m.silent && !m.expired && now-m.counts >= t.policy.Hold {
			m.expired = true
			t.touchAll(i)
		}
	}
	for k, since := range t.guard.held {
		if now-since >= t.policy.Guard.Time {
			t.dirty[k] = true
		}
	}
	for k, at := range t.wakes {
		if now >= at {
			t.dirty[k] = true
		}
	}
}

// Deadline is when Advance has something to do next.
func (t *Table) Deadline() (at time.Duration, ok bool) {
	sooner := func(d time.Duration) {
		if !ok || d < at {
			at, ok = d, true
		}
	}
	for _, m := range t.members {
		if m.silent && !m.expired {
			sooner(m.counts + t.policy.Hold)
		}
	}
	for _, since := range t.guard.held {
		sooner(since + t.policy.Guard.Time)
	}
	for _, at := range t.wakes {
		sooner(at)
	}
	return at, ok
}

// Override sets the orders that hold now. Those that name no member are noticed
// with the next publication.
func (t *Table) Override(orders []override.Order) {
	if slices.Equal(orders, t.orders) {
		return
	}
	t.orders, t.unchecked = slices.Clone(orders), true
	t.memberChanged = true // they are about members that have not been listed, too
	for i := range t.members {
		t.touchAll(i)
	}
}

// order is what the last order says of a shard at a place.
func (t *Table) order(k snapshot.Key, m *member, p topology.Place) health.Order {
	at := override.ClusterPlace{Cluster: string(m.Name), Region: p.Region, Zone: p.Zone}
	for _, o := range slices.Backward(t.orders) {
		if o.Action == override.Failback {
			continue // about regions among each other
		}
		if o.Subject.Of(k.Namespace, k.Name, at) {
			return map[override.Action]health.Order{override.Drain: health.Drain, override.Down: health.ForceDown, override.Up: health.ForceUp}[o.Action]
		}
	}
	return health.NoOrder
}

// A check is what has become of a Check.
type check struct {
	state health.Probe
	idle  bool   // nothing is to be expected of it
	note  string // what keeps it from being probed, or from being probed as it says
	users map[snapshot.Key]int
}

// Checks lists what the table wants probed.
func (t *Table) Checks() []shard.Check {
	return slices.AppendSeq(make([]shard.Check, 0, len(t.checks)), maps.Keys(t.checks))
}

// ChecksChanged says whether Checks has changed since the last call.
func (t *Table) ChecksChanged() bool {
	changed := t.recheck
	t.recheck = false
	return changed
}

// MayAnnounce says whether a member may announce an address, and so have it probed.
func (t *Table) MayAnnounce(c topology.ClusterName, a netip.Addr) bool {
	i := slices.IndexFunc(t.members, func(m *member) bool { return m.Name == c })
	return i >= 0 && t.members[i].MayAnnounce(a)
}

// BeingProbed notes that something that the table wants probed is, and what keeps it from being
// probed as often as it says; "": nothing.
func (t *Table) BeingProbed(c shard.Check, why string) {
	known := t.checks[c]
	if known == nil {
		return
	}
	known.idle = false
	if known.note = why; why != "" {
		t.notice(c.Cluster, shard.BadProbe, fmt.Sprintf("%s asks for more probes than are made of a namespace, a member or an address, or in all: they are made less often (rates)", asker(c.Namespace)))
	}
}

// asker names those who have something probed.
func asker(namespace string) string { return "namespace " + namespace }

// NotProbed notes that something that the table wants probed isn't, and why, if that is for
// somebody to know.
func (t *Table) NotProbed(c shard.Check, why string) {
	known := t.checks[c]
	if known == nil {
		return
	}
	if known.note = why; why != "" {
		t.notice(c.Cluster, shard.BadProbe, fmt.Sprintf("%s has %s probed, %s; it isn't", asker(c.Namespace), c.Addr, why))
	}
	if known.idle && known.state == health.Unprobed {
		return
	}
	known.idle, known.state = true, health.Unprobed // what it came to before is nothing to go by
	for k := range known.users {
		t.dirty[k] = true
	}
}

// Checked takes in what a probe has come to.
func (t *Table) Checked(c shard.Check, state health.Probe) {
	known := t.checks[c]
	if known == nil || known.state == state {
		return
	}
	known.state = state
	for k := range known.users {
		t.dirty[k] = true
	}
}

// check gives the probe of an address of a shard of a member, if it is to be probed.
func (t *Table) check(m *member, o *shard.Service, a netip.Addr) (c shard.Check, ok bool) {
	c = shard.Check{Addr: netip.AddrPortFrom(a, o.Port), Spec: t.policy.Probe, Cluster: m.Name, Namespace: asks(o)}
	if t.policy.Annotations {
		own := o.Extras()
		if own.Probe != "" {
			c.Spec, c.Annotated = own.Probe, true
		}
		if own.ProbeAt.IsValid() {
			c.Addr = netip.AddrPortFrom(own.ProbeAt.Addr(), cmp.Or(own.ProbeAt.Port(), o.Port))
		}
	}
	return c, c.Spec != "" && c.Spec != "none"
}

// ignoredProbe is what an object says of how it is to be probed where that doesn't count.
func (t *Table) ignoredProbe(m *member, o *shard.Service) (c Checked, ok bool) {
	own := o.Extras()
	if t.policy.Annotations || own.Probe == "" && !own.ProbeAt.IsValid() {
		return c, false
	}
	c.Check = shard.Check{Addr: own.ProbeAt, Spec: cmp.Or(own.Probe, t.policy.Probe), Cluster: m.Name, Namespace: asks(o), Annotated: true}
	c.Note = "annotations don't count (probe ... annotations on)"
	t.notice(m.Name, shard.BadProbe, fmt.Sprintf("%s says by annotations how it is to be probed, which don't count; left out (probe ... annotations on)", o.Key))
	return c, true
}

// relink makes the checks of a piece those that it is judged by now.
func (t *Table) relink(k snapshot.Key, p *piece, checks []shard.Check) {
	had := value(p.checks)
	if slices.Equal(had, checks) {
		return
	}
	for _, c := range checks {
		known := t.checks[c]
		if known == nil {
			known = &check{state: t.probed[c], users: map[snapshot.Key]int{}}
			t.checks[c] = known
			t.recheck = true
		}
		known.users[k]++
	}
	for _, c := range had {
		known := t.checks[c]
		if known.users[k]--; known.users[k] == 0 {
			delete(known.users, k)
		}
		if len(known.users) == 0 {
			delete(t.checks, c)
			t.recheck = true
		}
	}
	if p.checks = nil; len(checks) > 0 {
		p.checks = &checks
	}
}
