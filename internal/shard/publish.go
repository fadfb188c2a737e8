package shard

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/topology"
)

// Settling is how long, in seconds, answers stay short-lived after a shard came
// or went: one that just changed is the likeliest to change again.
const Settling = 30 * 60

// A Change of state of a shard, for the log.
type Transition struct {
	Key      names.Key
	Cluster  topology.ClusterName
	From, To health.Verdict
}

func (c Transition) String() string {
	return fmt.Sprintf("%s in %s: %s (%s)", c.Key, c.Cluster, c.To.State, c.To.Why)
}

// Publish gives the state after f with all that has changed since the last call,
// and which shards came up or went down. now is in Unix seconds. f stays as it is.
func (t *Table) Publish(f *names.Federation, now int64) (*names.Federation, []Transition) {
	e := f.Edit()
	var moved []Transition
	for k := range t.dirty {
		s := t.services[k]
		if s == nil {
			e.Remove(k)
			continue
		}
		if frozen := t.judge(s, now, &moved); frozen != nil {
			e.Set(frozen)
		} else {
			e.Remove(k)
		}
		for i := range t.members {
			t.forget(s, i)
		}
	}
	clear(t.dirty)
	if t.scopes {
		e.Topology(t.atlas())
	}
	if t.scopes || t.standing {
		heard := slices.ContainsFunc(t.members, (*member).complete)
		e.Standing(heard, t.Settled())
	}
	t.scopes, t.standing = false, false
	for _, m := range t.members {
		m.settled = m.complete()
	}
	slices.SortFunc(moved, func(a, b Transition) int {
		return cmp.Or(cmp.Compare(a.Key.String(), b.Key.String()), cmp.Compare(a.Cluster, b.Cluster))
	})
	return e.Done(), moved
}

// atlas is the map of all members' places. A member that has not been listed
// counts with what the configuration says of it.
func (t *Table) atlas() *topology.Map {
	var places []topology.Place
	for _, m := range t.members {
		places = append(places, m.places...)
	}
	a := topology.New(places)
	for _, name := range a.Clashes() {
		t.notice("", ScopeClash, fmt.Sprintf("%q is a zone and a region; the short name is the region's", name))
	}
	return a
}

// judge works out what is answered for a service, nil if no member has it.
func (t *Table) judge(s *service, now int64, moved *[]Transition) *names.Service {
	out := &names.Service{Key: s.key}
	known := false
	reasons := map[health.Reason]int{}
	ports := map[Port][]topology.Place{}
	ups := map[topology.Place]bool{}
	for i, p := range s.pieces {
		m := t.members[i]
		if p == nil || !m.complete() {
			continue
		}
		var v health.Verdict
		var places []topology.Place
		if p.object != nil {
			known = true
			addrs, e := t.evidence(i, p)
			v = health.Judge(e.Evidence)
			reasons[v.Why]++
			if v.State == health.Up {
				places = e.places
				for _, place := range places {
					ups[place] = true
					for _, a := range addrs {
						out.Shards = append(out.Shards, names.Shard{Place: place, Addr: a})
					}
				}
			}
			for _, port := range p.object.Ports {
				ports[port] = append(ports[port], places...)
			}
		}
		if m.settled && (v.State == health.Up || p.verdict.State == health.Up) {
			s.note(p.places, places, now)
		}
		if m.settled && v.State != p.verdict.State && (v != health.Verdict{} || p.verdict.State == health.Up) {
			to := v
			if to == (health.Verdict{}) {
				to = health.Verdict{State: health.Down, Why: "gone"}
			}
			*moved = append(*moved, Transition{s.key, m.Name, p.verdict, to})
		}
		t.count(i, p, v)
		p.places = places
	}
	if !known {
		s.recent = nil
		return nil
	}
	s.recent = slices.DeleteFunc(s.recent, func(r names.Recent) bool { return r.Until <= now })
	out.Recent = slices.Clone(s.recent)
	out.Ports = freezePorts(ports, ups)
	out.TTL = t.ttl(s)
	if len(out.Shards) == 0 {
		out.Down = excuse(reasons)
	}
	return out.Freeze()
}

// note remembers the places where a shard came or went.
func (s *service) note(before, after []topology.Place, now int64) {
	for _, lists := range [2][2][]topology.Place{{before, after}, {after, before}} {
		for _, p := range lists[0] {
			if slices.Contains(lists[1], p) {
				continue
			}
			s.recent = slices.DeleteFunc(s.recent, func(r names.Recent) bool { return r.Place == p })
			s.recent = append(s.recent, names.Recent{Place: p, Until: now + Settling})
		}
	}
}

type evidence struct {
	health.Evidence
	places []topology.Place
}

// evidence gathers what is known of one shard, and the addresses it may announce.
func (t *Table) evidence(cluster int, p *piece) ([]netip.Addr, evidence) {
	m, o := t.members[cluster], p.object
	e := evidence{Evidence: health.Evidence{Listed: true, Deleting: o.Deleting, Balancer: o.Balancer}}
	addrs := make([]netip.Addr, 0, len(o.Addrs))
	take := func(list []netip.Addr) {
		for _, a := range list {
			switch {
			case !m.may(a):
				e.Refused++
				t.notice(m.Name, BadAddress, fmt.Sprintf("%s announces %s, outside the addresses of cluster %q; left out", o.Key, a, m.Name))
			case !slices.Contains(addrs, a):
				addrs = append(addrs, a)
			}
		}
	}
	take(o.Addrs)
	for _, name := range o.Hosts {
		h := t.hosts[name]
		if len(h.addrs) == 0 {
			e.Unresolved++
		}
		take(h.addrs)
	}
	e.Addresses = len(addrs)
	e.Endpoints, e.places = t.endpoints(cluster, p)
	return addrs, e
}

// endpoints counts the endpoints of a shard that count, and says where they are.
func (t *Table) endpoints(cluster int, p *piece) (n int, places []topology.Place) {
	m := t.members[cluster]
	add := func(p *piece, notReady bool) {
		for i := range p.slices {
			for _, e := range p.slices[i].Endpoints {
				if !e.Ready && !notReady {
					continue
				}
				n++
				if place, ok := t.where(m, e); ok && !slices.Contains(places, place) {
					places = append(places, place)
				}
			}
		}
	}
	if p.object.Key.Kind == names.Ing {
		visible := false
		for _, b := range p.object.Backends {
			if bp := t.piece(cluster, b); bp != nil {
				visible = true
				add(bp, bp.object != nil && bp.object.NotReady)
			}
		}
		if !visible {
			n = 1 // its Services aren't exported, so that only its address can speak for it
		}
	} else {
		add(p, p.object.NotReady)
	}
	if len(places) == 0 {
		places = m.own()
	}
	slices.SortFunc(places, topology.Place.Compare)
	return n, places
}

// where finds the place of an endpoint: by its zone, else by its node's.
func (t *Table) where(m *member, e Endpoint) (topology.Place, bool) {
	if z := t.label(m, "zone of an endpoint", e.Zone); z != "" {
		return m.place(z)
	}
	if n, ok := m.nodes[e.Node]; ok && n.Zone != "" {
		return m.place(n.Zone)
	}
	return topology.Place{}, false
}

// freezePorts sorts the ports, and says of each where it is only if that isn't
// wherever a shard is up.
func freezePorts(ports map[Port][]topology.Place, ups map[topology.Place]bool) []names.Port {
	if len(ports) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(ports), func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Number, b.Number))
	})
	out := make([]names.Port, 0, len(keys))
	for _, k := range keys {
		places := slices.Clone(ports[k])
		slices.SortFunc(places, topology.Place.Compare)
		places = slices.Compact(places)
		if len(places) == len(ups) {
			places = nil
		} else if places == nil {
			places = []topology.Place{}
		}
		out = append(out, names.Port{Name: k.Name, Proto: k.Proto, Number: k.Number, Places: places})
	}
	return out
}

// ttl is what the members' Services say of the TTL; the oldest that says
// anything wins.
func (t *Table) ttl(s *service) uint32 {
	var oldest *Service
	var from topology.ClusterName
	for i, p := range s.pieces {
		if p == nil || p.object == nil || p.object.TTL == 0 || !t.members[i].complete() {
			continue
		}
		o, name := p.object, t.members[i].Name
		if oldest == nil {
			oldest, from = o, name
			continue
		}
		if o.TTL != oldest.TTL {
			t.notice("", Disagreement, fmt.Sprintf("%s: clusters %q and %q disagree on fedns.io/ttl; the oldest Service's is taken", s.key, min(from, name), max(from, name)))
		}
		if o.Created < oldest.Created || o.Created == oldest.Created && name < from {
			oldest, from = o, name
		}
	}
	if oldest == nil {
		return 0
	}
	return oldest.TTL
}

// excuse says why no shard is up, the commonest reason first.
func excuse(reasons map[health.Reason]int) string {
	list := slices.SortedFunc(maps.Keys(reasons), func(a, b health.Reason) int {
		return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(list))
	for i, r := range list {
		parts[i] = fmt.Sprintf("%s in %d", r, reasons[r])
	}
	if len(parts) == 1 && reasons[list[0]] == 1 {
		return "no shard is up: " + string(list[0]) + " in 1 cluster"
	}
	return "no shard is up: " + strings.Join(parts, ", ") + " clusters"
}
