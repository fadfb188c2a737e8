package table

import (
	"cmp"
	"slices"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// What an Ingress or a Gateway announces is the address of something that has to be
// there for clients to come in: the controller's own Service. It is named by an
// annotation, on the object or on its class; or it is a Service of the same cluster
// that announces the same address.

// classList lists the classes that name a Service, for who knows nothing yet.
func (m *member) classList(kind shard.FrontendKind) []shard.Class {
	var out []shard.Class
	for k, front := range m.classes {
		if k.Kind == kind && k.Name != "" {
			out = append(out, shard.Class{Key: k, Default: m.defaults[kind] == k.Name, Front: front})
		}
	}
	return out
}

// ways gives what an object announces with the Service that is named to stand in
// front of it, by itself or by its class.
func (m *member) ways(kind shard.FrontendKind, o *shard.Service) []shard.Way {
	its := o.Routing()
	front := its.Front
	if front == (snapshot.Key{}) {
		front = m.classes[shard.ClassKey{Kind: kind, Name: its.Class}]
	}
	if front == (snapshot.Key{}) {
		return nil
	}
	var out []shard.Way
	for _, e := range o.Entries() {
		out = append(out, shard.Way{Entry: e, Front: front})
	}
	return out
}

// setClass follows which Service a class names.
func (t *Table) setClass(cluster int, c shard.Class) {
	m := t.members[cluster]
	m.class(c.Key, c.Front)
	byDefault := shard.ClassKey{Kind: c.Key.Kind}
	switch {
	case c.Default:
		m.defaults[c.Key.Kind] = c.Key.Name
		m.class(byDefault, c.Front)
	case m.defaults[c.Key.Kind] == c.Key.Name:
		delete(m.defaults, c.Key.Kind)
		m.class(byDefault, snapshot.Key{})
	}
}

func (t *Table) dropClass(cluster int, k shard.ClassKey) { t.setClass(cluster, shard.Class{Key: k}) }

// class notes which Service a class names, and has the names of its objects put
// together anew.
func (m *member) class(k shard.ClassKey, front snapshot.Key) {
	if m.classes[k] == front {
		return
	}
	if front == (snapshot.Key{}) {
		delete(m.classes, k)
	} else {
		m.classes[k] = front
	}
	renew := func(o shard.FrontendKey) {
		m.stale[ing(o.Namespace, o.Name)] = true
		for _, h := range m.claimed[o] {
			m.stale[snapshot.Key{Namespace: o.Namespace, Name: h, Kind: snapshot.Host}] = true
		}
	}
	if k.Kind == shard.Ingress {
		for key, o := range m.ingresses {
			if o.Routing().Class == k.Name {
				renew(frontOf(key))
			}
		}
		return
	}
	for key, g := range m.objects {
		if key.Kind == shard.Gateway && g.Object.Routing().Class == k.Name {
			renew(key)
			for _, r := range m.routes(key) {
				renew(r)
			}
		}
	}
}

// setStandby takes in a Service that isn't exported.
func (t *Table) setStandby(cluster int, o *shard.Service) {
	m := t.members[cluster]
	was := m.standby[o.Key]
	if was != nil && was.Equal(o) {
		return
	}
	if was != nil {
		t.markReached(m, was)
		m.announce(was, -1)
	}
	m.standby[o.Key] = o
	m.announce(o, 1)
	t.markReached(m, o)
}

func (t *Table) dropStandby(cluster int, k snapshot.Key) {
	m := t.members[cluster]
	was := m.standby[k]
	if was == nil {
		return
	}
	delete(m.standby, k)
	t.markReached(m, was)
	m.announce(was, -1)
}

// announce keeps what is looked up by what objects announce.
func (m *member) announce(o *shard.Service, by int) {
	index := m.announced
	if o.Key.Kind == snapshot.Svc {
		index = m.doors
	}
	if index == nil {
		return
	}
	for _, e := range o.Entries() {
		if by > 0 {
			index[e] = append(index[e], o.Key)
			continue
		}
		i := slices.Index(index[e], o.Key)
		if index[e] = slices.Delete(index[e], i, i+1); len(index[e]) == 0 {
			delete(index, e)
		}
	}
}

// behindDoor lists the Services of a cluster that announce something. Most clusters have thousands of Services and nothing that
// asks for this, so that it is indexed when that is asked first.
func (t *Table) behindDoor(cluster int, e shard.Entry) []snapshot.Key {
	m := t.members[cluster]
	if m.doors == nil {
		m.doors = map[shard.Entry][]snapshot.Key{}
		for _, s := range t.services {
			if p := s.pieces[cluster]; p != nil && p.object != nil && s.key.Kind == snapshot.Svc {
				m.announce(p.object, 1)
			}
		}
		for _, o := range m.standby {
			m.announce(o, 1)
		}
	}
	return m.doors[e]
}

// markReached marks what clients reach through a Service, which has changed.
func (t *Table) markReached(m *member, o *shard.Service) {
	if !m.complete() || o.Key.Kind != snapshot.Svc {
		return
	}
	for _, e := range o.Entries() {
		for _, k := range m.announced[e] {
			t.dirty[k] = true
		}
	}
	for _, k := range m.named[o.Key] {
		t.dirty[k] = true
	}
}

// A gate is what became of the Service in front of an entry.
type gate uint8

const (
	open    gate = iota // or nothing is known
	closed              // no ready endpoint
	missing             // it is named, and isn't there
)

// entryState says whether clients come in at an entry of an Ingress, a Gateway or a host,
// and by which Service.
func (t *Table) entryState(cluster int, o *shard.Service, e shard.Entry) (gate, snapshot.Key) {
	if o.Key.Kind == snapshot.Svc {
		return open, snapshot.Key{}
	}
	state, by := open, snapshot.Key{}
	for _, w := range o.Routing().Ways {
		if w.Entry != e {
			continue
		}
		switch s := t.inFront(cluster, w.Front); {
		case s == nil: // nothing is known of it
			return open, w.Front
		case s.Routing().Absent:
			state, by = missing, w.Front
		case !t.takes(cluster, s):
			state, by = closed, w.Front
		default:
			return open, w.Front
		}
	}
	if state != open {
		return state, by
	}
	var found []*shard.Service
	entering := false // some of them are at the ports that the object is reached at
	for _, k := range t.behindDoor(cluster, e) {
		s := t.inFront(cluster, k)
		if s == nil {
			continue
		}
		found = append(found, s)
		entering = entering || o.EnteredBy(s)
	}
	for _, s := range found {
		// Others may share the address, for other ports.
		if (!entering || o.EnteredBy(s)) && t.takes(cluster, s) {
			return open, s.Key
		}
	}
	if len(found) == 0 {
		return open, snapshot.Key{}
	}
	first := slices.MinFunc(found, func(a, b *shard.Service) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
	return closed, first.Key
}

// inFront finds a Service of a cluster, exported or not; nil: it isn't there.
func (t *Table) inFront(cluster int, k snapshot.Key) *shard.Service {
	if p := t.piece(cluster, k); p != nil && p.object != nil {
		return p.object
	}
	return t.members[cluster].standby[k]
}

// takes says whether something is there to take what comes in for a Service.
func (t *Table) takes(cluster int, s *shard.Service) bool {
	if s.Deleting {
		return false
	}
	p := t.piece(cluster, s.Key)
	if p == nil {
		return false
	}
	counted := t.reached(cluster, p, s.NotReady, s.Spread)
	return counted.n > 0
}
