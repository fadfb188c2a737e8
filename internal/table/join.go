package table

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// Members come and go in place: an index keeps its member for as long as that is
// one, so that nothing that is known of the others has to be carried anywhere.

func newMember(c shard.Cluster) *member {
	m := &member{
		Cluster:      c,
		nodes:        map[string]node{},
		fronts:       map[snapshot.Key][]snapshot.Key{},
		seen:         map[string]int{},
		astray:       map[string]bool{},
		outside:      map[string]bool{},
		needed:       listAll,
		gatewayIndex: newGatewayIndex(),

		standby:   map[snapshot.Key]*shard.Service{},
		classes:   map[shard.ClassKey]snapshot.Key{},
		defaults:  map[shard.FrontendKind]string{},
		announced: map[shard.Entry][]snapshot.Key{},
		named:     map[snapshot.Key][]snapshot.Key{},
	}
	m.locate()
	return m
}

// Join adds a member of which nothing is known yet, and gives its index: that of
// one that has left, if there is.
func (t *Table) Join(c shard.Cluster) int {
	m := newMember(c)
	m.waits = t.beginning
	t.scopes, t.memberChanged, t.unchecked = true, true, true
	for i, o := range t.members {
		if o.vacant && !t.exempted[i] { // else what is published still speaks of the one before
			t.members[i] = m
			return i
		}
	}
	t.members = append(t.members, m)
	for _, s := range t.services {
		s.pieces = append(s.pieces, nil)
	}
	return len(t.members) - 1
}

// Leave takes a member out, with all that is known of it. That is an operator's
// order: the guard doesn't hold it up.
func (t *Table) Leave(cluster int, now time.Duration) {
	m := t.members[cluster]
	for k, s := range t.services {
		p := s.pieces[cluster]
		if p == nil {
			continue
		}
		if m.settled {
			t.note(s, value(p.places), nil, now)
		}
		if p.object != nil {
			t.unlink(cluster, p.object)
		}
		t.count(cluster, p, health.Verdict{})
		t.relink(k, p, nil)
		s.pieces[cluster] = nil
		t.dirty[k] = true
		if k.Kind == snapshot.Host {
			t.arbiter.contest(t, k)
		}
	}
	maps.DeleteFunc(t.told, func(n shard.Notice, _ bool) bool { return n.Cluster == m.Name })
	t.members[cluster] = &member{vacant: true, needed: listAll}
	t.exempt(cluster)
	t.scopes, t.memberChanged, t.unchecked = true, true, true
	t.isolate(now)
}

// Change takes in that the configuration says something else of a member. What
// goes by that is an operator's order too.
func (t *Table) Change(cluster int, c shard.Cluster) {
	m := t.members[cluster]
	m.Cluster = c
	t.scopes = m.locate() || t.scopes
	t.recheck = true // it may have had addresses probed that it no longer may
	for k := range m.ingresses {
		t.claim(cluster, shard.FrontendKey{Kind: shard.Ingress, Namespace: k.Namespace, Name: k.Name})
	}
	for k := range m.objects {
		t.claim(cluster, k)
	}
	for k := range m.naming {
		t.claim(cluster, shard.FrontendKey{Kind: shard.NamedService, Namespace: k.Namespace, Name: k.Name})
	}
	t.rebuildStale(cluster)
	t.touchAll(cluster)
	t.exempt(cluster)
}

// exempt lets what goes of a cluster in the next publication go unguarded, and what
// the guard has kept of it.
func (t *Table) exempt(cluster int) {
	t.exempted[cluster] = true
	for k := range t.guard.held {
		t.dirty[k] = true
	}
}

// noteExempted notes in a decision which addresses go by an order about their cluster.
func (t *Table) noteExempted(d *decision) {
	if len(t.exempted) == 0 || d.old == nil {
		return
	}
	for _, s := range d.old.Shards {
		if t.exempted[int(s.Cluster)] {
			d.ordered = append(d.ordered, s.Addr)
		}
	}
}

// ExpectMembers says whether more members may come whose names aren't known yet: until
// then, the table isn't settled.
func (t *Table) ExpectMembers(more bool) {
	if t.expecting != more || t.unlistedRegistry {
		t.expecting, t.unlistedRegistry, t.memberChanged = more, false, true
	}
}

// EndMemberWait goes on without the members that may come. As long as they may, what is answered is short-lived.
func (t *Table) EndMemberWait() { t.expecting, t.unlistedRegistry, t.memberChanged = false, true, true }

// ExpectsMembers says whether more members may come.
func (t *Table) ExpectsMembers() bool { return t.expecting }

// noticeVainOrders notices orders that change nothing, once it is known who is a member: those that
// name none, and those that are futile.
func (t *Table) noticeVainOrders(f *snapshot.Federation) {
	if !t.unchecked || !t.Settled() {
		return
	}
	t.unchecked = false
	for _, o := range t.orders {
		if o.Subject.Kind == override.Cluster && !slices.ContainsFunc(t.members, func(m *member) bool { return string(m.Name) == o.Subject.Name }) {
			t.notice("", shard.UnknownOverride, fmt.Sprintf("override %q: there is no cluster of this name", o.Subject))
		}
		if why := shard.NoEffect(f, t.policy.Choice, o); why != "" {
			t.notice("", shard.UnknownOverride, fmt.Sprintf("override %q changes nothing: %s", fmt.Sprintf("%s %s", o.Action, o.Subject), why))
		}
	}
}
