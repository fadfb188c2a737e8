package table

import (
	"cmp"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// Who came first is decided by who was seen first, not by what objects say of their age:
// that is what the API of their cluster says, and whoever operates that can say anything.
// What is there when a table begins that remembers nothing was seen at once, so that
// there the first word about ages has to be believed; it stays as it was.

// Remember notes that the table knows from before what there was: what it doesn't know is new.
func (t *Table) Remember() { t.remembers = true }

// Sighted is a change of a cluster's with when its objects were seen first: those that are
// known, then; the others now, on the wall clock.
func (t *Table) Sighted(cluster int, c shard.Change, now time.Time) shard.Change {
	m := t.members[cluster]
	switch c := c.(type) {
	case shard.ServiceSet:
		return shard.ServiceSet{Service: t.sight(c.Service, t.known(cluster, c.Service.Key), now)}
	case shard.ServiceList:
		list := shard.ServiceList{Kind: c.Kind, Services: make([]*shard.Service, len(c.Services))}
		for i, o := range c.Services {
			list.Services[i] = t.sight(o, t.known(cluster, o.Key), now)
		}
		return list
	case shard.FrontendSet:
		return shard.FrontendSet{Frontend: t.sightFront(c.Frontend, m.objects[c.Frontend.Key], now)}
	case shard.FrontendList:
		list := shard.FrontendList{Kind: c.Kind, Frontends: make([]*shard.Frontend, len(c.Frontends))}
		for i, f := range c.Frontends {
			list.Frontends[i] = t.sightFront(f, m.objects[f.Key], now)
		}
		return list
	}
	return c
}

// known is what a cluster has under a name by now; nil: nothing.
func (t *Table) known(cluster int, k snapshot.Key) *shard.Service {
	if k.Kind == snapshot.Ing {
		return t.members[cluster].ingresses[k]
	}
	if p := t.piece(cluster, k); p != nil {
		return p.object
	}
	return nil
}

func (t *Table) sight(o, was *shard.Service, now time.Time) *shard.Service {
	seen, created := int64(0), o.Created
	switch {
	case was != nil:
		seen, created = was.Seen, was.Created
	case !t.beginning || t.remembers:
		// None is as old as one before it, whatever has become of the clock.
		t.sighted = max(t.sighted+1, now.UnixNano())
		seen = t.sighted
	}
	switch {
	case seen == o.Seen && created == o.Created:
		return o
	case o.Seen == 0 && created == o.Created:
		// Whoever has reported it keeps it, too: of all that is listed after the start there would be two.
		o.Seen = seen
		return o
	}
	out := *o // which others share
	out.Seen, out.Created = seen, created
	return &out
}

func (t *Table) sightFront(f, was *shard.Frontend, now time.Time) *shard.Frontend {
	var known *shard.Service
	if was != nil {
		known = was.Object
	}
	o := t.sight(f.Object, known, now)
	if o == f.Object {
		return f
	}
	out := *f
	out.Object = o
	return &out
}

// noteSight keeps what is seen later younger than what another table, or process, has seen.
func (t *Table) noteSight(o *shard.Service) { t.sighted = max(t.sighted, o.Seen) }

// compareSight sorts objects by when they were seen first, and those that were there at the
// beginning by their age.
func compareSight(a, b *shard.Service) int {
	return cmp.Or(cmp.Compare(a.Seen, b.Seen), compareAge(a.Created, b.Created))
}

// ChangedHolders are those of Holders that have changed since the last call; of a host that isn't held
// against others any more, "".
func (t *Table) ChangedHolders() map[string]string {
	now, out := t.Holders(), map[string]string{}
	for host, namespace := range now {
		if t.heldBefore[host] != namespace {
			out[host] = namespace
		}
	}
	for host := range t.heldBefore {
		if now[host] == "" {
			out[host] = ""
		}
	}
	t.heldBefore = now
	return out
}

// Holders are the hosts that are held against others' claims, by whom: a namespace of this federation.
func (t *Table) Holders() map[string]string {
	out := map[string]string{}
	for host, c := range t.arbiter.contests {
		if len(c.claims) < 2 {
			continue
		}
		if i := slices.IndexFunc(c.claims, (*claimant).holds); i >= 0 && c.claims[i].table == t {
			out[host] = c.claims[i].key.Namespace
		}
	}
	return out
}

// RestoreHolders has hosts held by those that an earlier process, or table, knew as holders,
// for as long as they claim them.
func (t *Table) RestoreHolders(holders map[string]string) {
	for host, namespace := range holders {
		k := snapshot.Key{Namespace: namespace, Name: host, Kind: snapshot.Host}
		t.arbiter.restore(t, k)
	}
}

// AdoptHolders is RestoreHolders for what others know better than this table and those before it.
func (t *Table) AdoptHolders(holders map[string]string) {
	for host, namespace := range holders {
		k := snapshot.Key{Namespace: namespace, Name: host, Kind: snapshot.Host}
		t.arbiter.forget(t, k)
		t.arbiter.restore(t, k)
	}
}
