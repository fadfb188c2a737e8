package table

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A evaluation is what is known of one shard, and what follows from it.
type evaluation struct {
	cluster  int
	evidence health.Evidence
	verdict  health.Verdict
	places   []topology.Place // where it is answered, if it is up
	addrs    []netip.Addr     // that are answered for it then
	ordered  []netip.Addr     // addresses that an operator's order takes out
	closed   []snapshot.Key   // Services in front that let nobody in
	checks   []shard.Check
	unheeded []Checked        // that annotations ask for, which don't count
	near     *near            // of the cluster whose own domain is answered here
	open     []topology.Place // where it matters what the verdict awaits
	hold     bool             // nothing is answered there before that is known
}

// evaluate judges the shards of a service in the clusters that count, and says
// what was decided about the service as a whole.
func (t *Table) evaluate(s *service, now time.Duration) (fs []evaluation, note string) {
	if !t.arbiter.holds(t, s.key) {
		return nil, ""
	}
	ready, failing := 0, 0
	fs = make([]evaluation, 0, len(s.pieces)) // they are large: not to be moved as it grows
	for i, p := range s.pieces {
		if p == nil || p.object == nil || !t.members[i].complete() || !t.counts(t.members[i], s.key) {
			continue
		}
		f := t.collect(i, p, now)
		if calm := f.evidence; calm.Endpoints > 0 && calm.Addresses > 0 && !calm.Deleting {
			ready++
			if calm.Probe == health.Failing {
				failing++
			}
		}
		fs = append(fs, f)
	}
	panicking := ready > 0 && failing > 0 && (ready-failing)*100 < t.policy.Panic*ready
	if panicking {
		note = fmt.Sprintf("panic: probes fail for %d of %d ready shards, and are ignored", failing, ready)
	}
	doubted := t.arbiter.doubted(t, s.key)
	for i := range fs {
		fs[i].evidence.Unsaid = fs[i].evidence.Unsaid || doubted
		t.judgeShard(&fs[i], s.key, panicking)
	}
	return fs, note
}

// notePanic follows for which services there is panic, and says so.
func (t *Table) notePanic(k snapshot.Key, note string) {
	switch was := t.panics[k]; {
	case note != "" && !was:
		t.panics[k] = true
		t.say("%s: %s", k, note)
	case note == "" && was:
		delete(t.panics, k)
		t.say("%s: no panic any more; probes count again", k)
	}
}

// Panics counts the services of which probes are ignored.
func (t *Table) Panics() int { return len(t.panics) }

// collect collects the evidence of one shard.
func (t *Table) collect(cluster int, p *piece, now time.Duration) evaluation {
	m, o := t.members[cluster], p.object
	f := evaluation{cluster: cluster}
	f.evidence = health.Evidence{Listed: true, Deleting: o.Deleting, Balancer: o.Balancer, Silent: m.silent}
	if m.silent {
		f.evidence.Quiet = now - m.counts
	}
	take := func(list []netip.Addr, by func(netip.Addr) shard.Entry) {
		for _, a := range list {
			state, front := t.entryState(cluster, o, by(a))
			switch what := unusable(a); {
			case what != "":
				f.evidence.Unusable++
				t.notice(m.Name, shard.BadAddress, fmt.Sprintf("%s announces %s, %s, where nobody can reach it; left out", o.Key, a, what))
			case !m.MayAnnounce(a):
				f.evidence.Refused++
				t.notice(m.Name, shard.BadAddress, fmt.Sprintf("%s announces %s, outside the addresses of cluster %q; left out", o.Key, a, m.Name))
			case state != open:
				f.evidence.Behind++
				if state == missing {
					f.evidence.Missing++
				}
				if !slices.Contains(f.closed, front) {
					f.closed = append(f.closed, front)
				}
			case !slices.Contains(f.addrs, a):
				f.addrs = append(f.addrs, a)
			}
		}
	}
	take(o.Addrs, func(a netip.Addr) shard.Entry { return shard.Entry{Addr: a} })
	for _, name := range o.Extras().Hosts {
		h := t.hosts[name]
		switch {
		case len(h.addrs) == 0 && !h.looked:
			f.evidence.Unlooked++
		case len(h.addrs) == 0:
			f.evidence.Unresolved++
		case !h.looked:
			f.evidence.Recalled++
		}
		take(h.addrs, func(netip.Addr) shard.Entry { return shard.Entry{Host: name} })
	}
	f.evidence.Addresses = len(f.addrs)
	its := o.Routing()
	f.evidence.Blocked = its.Blocked
	f.evidence.Unsaid, f.evidence.Unattached = its.Unsaid != shard.None, its.Unsaid == shard.Wholly
	r := t.endpoints(cluster, p)
	f.evidence.Endpoints, f.evidence.Unreached, f.places = r.n, r.why(), r.places
	f.evidence.Hidden = slices.ContainsFunc(its.Backends, func(b snapshot.Key) bool { return t.piece(cluster, b) == nil })
	f.evidence.Probe, f.evidence.Unasked = t.probe(&f, o)
	return f
}

// probe sums up the probes of a shard's addresses: one that passes is enough, and
// it takes all of them to fail. unasked is set while some have come to nothing yet.
func (t *Table) probe(f *evaluation, o *shard.Service) (sum health.Probe, unasked bool) {
	if c, ok := t.ignoredProbe(t.members[f.cluster], o); ok {
		f.unheeded = append(f.unheeded, c)
	}
	failing, passing := 0, 0
	for _, a := range f.addrs {
		c, ok := t.check(t.members[f.cluster], o, a)
		if !ok {
			return health.Unprobed, false
		}
		if !slices.Contains(f.checks, c) {
			f.checks = append(f.checks, c)
		}
		switch t.checked(c) {
		case health.Failing:
			failing++
		case health.Passing:
			passing++
		default:
			known := t.checks[c]
			unasked = unasked || known == nil || !known.idle
		}
	}
	switch {
	case passing > 0:
		return health.Passing, unasked
	case failing > 0 && failing == len(f.addrs):
		return health.Failing, unasked
	}
	return health.Unprobed, unasked
}

func (t *Table) checked(c shard.Check) health.Probe {
	if known := t.checks[c]; known != nil {
		return known.state
	}
	return t.probed[c]
}

// judgeShard judges a finding, in the order of what may overrule what: readiness
// and silence, probes unless there is panic, an operator's orders.
func (t *Table) judgeShard(f *evaluation, k snapshot.Key, panicking bool) {
	m := t.members[f.cluster]
	if panicking {
		f.evidence.Probe, f.evidence.Unasked = health.Unprobed, false
	} else if f.evidence.Probe == health.Passing {
		// Of several addresses, those that fail are left out.
		o := t.piece(f.cluster, k).object
		f.addrs = slices.DeleteFunc(f.addrs, func(a netip.Addr) bool {
			c, ok := t.check(m, o, a)
			return ok && t.checked(c) == health.Failing
		})
	}
	policy := health.Policy{Hold: t.policy.Hold, Keep: t.policy.Keep, Isolated: t.isolated}
	if m.Name == t.policy.Local.Cluster && k.Kind == snapshot.Svc {
		f.near = t.judgeInside(f, k, policy)
	}
	base := health.Judge(f.evidence, policy)
	if m.doubted && base.State != health.Up && base.Why != health.ProbeFails && base.Why != health.ClusterGone {
		f.evidence.Listed = false // what it lacks may be what was lost
		base = health.Judge(f.evidence, policy)
	}
	stay, order := t.ordered(f, k, base)
	switch f.evidence.Order = order; order {
	case health.Drain, health.ForceDown:
		f.ordered = f.addrs
	}
	f.verdict = base
	if f.evidence.Order != health.NoOrder {
		f.verdict = health.Judge(f.evidence, policy)
	}
	if f.verdict.State == health.Up || f.verdict.Awaits != "" {
		f.places = stay
	}
	for _, p := range stay {
		if a := f.verdict.Awaits; a != "" && !(a == health.NotProbed && t.order(k, m, p) == health.ForceUp) {
			f.open = append(f.open, p)
		}
	}
	f.hold = t.holds(f, t.piece(f.cluster, k))
}

// ordered gives the places where a shard stays, and the order that says otherwise than
// a verdict on it, if one does. An order is about places: one that speaks of some of
// them only leaves the others. A shard that may yet turn out to be up counts as one.
func (t *Table) ordered(f *evaluation, k snapshot.Key, base health.Verdict) (stay []topology.Place, order health.Order) {
	m := t.members[f.cluster]
	out := health.NoOrder
	alive := base.State == health.Up || base.State == health.Unknown && base.Awaits != ""
	if len(t.orders) == 0 && alive && len(f.places) > 0 {
		return f.places, health.NoOrder
	}
	for _, p := range t.orderPlaces(f, m) {
		switch o := t.order(k, m, p); {
		case o == health.ForceUp:
			stay = append(stay, p)
		case o != health.NoOrder:
			out = o
		case alive && slices.Contains(f.places, p):
			stay = append(stay, p)
		}
	}
	switch {
	case alive && len(stay) == 0:
		return stay, out
	case !alive && len(stay) > 0:
		return stay, health.ForceUp
	}
	return stay, health.NoOrder
}

// orderPlaces are the places that an order may be about: where the shard is, and
// where its cluster is.
func (t *Table) orderPlaces(f *evaluation, m *member) []topology.Place {
	if len(t.orders) == 0 {
		return f.places
	}
	all := slices.Clone(f.places)
	for _, p := range m.own() {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// A reach is the endpoints of a shard that clients reach.
type reach struct {
	n         int
	places    []topology.Place
	lost      int // ready endpoints on nodes that aren't
	elsewhere int // ready endpoints that are on no node, where only nodes' own are reached
}

// why says why ready endpoints don't count, where none does.
func (r *reach) why() health.Reason {
	switch {
	case r.n > 0:
		return ""
	case r.lost > 0:
		return health.NodesNotReady
	case r.elsewhere > 0:
		return health.NotLocal
	}
	return ""
}

// add counts the endpoints of a piece: notReady, those that aren't ready, too;
// spread, those on nodes only.
func (t *Table) add(r *reach, m *member, p *piece, notReady, spread bool) {
	for i := range p.slices {
		for _, e := range p.slices[i].Endpoints {
			switch {
			case !e.Ready && !notReady:
				continue
			case !m.takes(&e, notReady):
				r.lost++
				continue
			case spread && e.Node == "":
				r.elsewhere++
				continue
			}
			r.n++
			if place, ok := t.where(m, e); ok && !slices.Contains(r.places, place) {
				r.places = append(r.places, place)
			}
		}
	}
}

// reached counts the endpoints of a Service.
func (t *Table) reached(cluster int, p *piece, notReady, spread bool) reach {
	var r reach
	t.add(&r, t.members[cluster], p, notReady, spread)
	return r
}

// endpoints counts the endpoints of a shard that count, and says where they are.
func (t *Table) endpoints(cluster int, p *piece) reach {
	m := t.members[cluster]
	var r reach
	if p.object.Key.Kind != snapshot.Svc {
		visible, its := false, p.object.Routing()
		for _, b := range its.Backends {
			if bp := t.piece(cluster, b); bp != nil {
				visible = true
				o := bp.object
				t.add(&r, m, bp, o != nil && o.NotReady, o != nil && its.Alias != "" && o.Spread)
			}
		}
		if !visible {
			r.n = 1 // its Services aren't exported, so that only its address can speak for it
		}
	} else {
		t.add(&r, m, p, p.object.NotReady, p.object.Spread)
	}
	if len(r.places) == 0 {
		r.places = slices.Clone(m.own())
	}
	slices.SortFunc(r.places, topology.Place.Compare)
	return r
}

// where finds the place of an endpoint: by its zone, else by its node's.
func (t *Table) where(m *member, e shard.Endpoint) (topology.Place, bool) {
	if z := t.label(m, "zone of an endpoint", e.Zone); z != "" {
		return m.place(z)
	}
	if e.Zone != "" {
		// A zone that can't be named is still not one of the others.
		return topology.Place{Region: m.region}, true
	}
	if n, ok := m.nodes[e.Node]; ok && n.Zone != "" {
		return m.place(n.Zone)
	}
	return topology.Place{}, false
}
