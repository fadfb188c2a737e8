package shard

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/fedns/fedns/internal/snapshot"
)

// What an Ingress or a Gateway announces is the address of something that has to be
// there for clients to come in: the controller's own Service. It is named by an
// annotation, on the object or on its class; or it is a Service of the same cluster
// that announces the same address.

// A Way is an address, or a load balancer's hostname, with the Service that clients
// come in by there.
type Way struct {
	Entry
	Front snapshot.Key
}

// An Entry is where clients come in: one of the two is set.
type Entry struct {
	Addr netip.Addr `json:",omitzero"`
	Host string     `json:",omitempty"`
}

func compareEntries(a, b Entry) int {
	return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Host, b.Host))
}

// A ClassKey names a class of Ingresses or of Gateways within a cluster.
type ClassKey struct {
	Kind FrontendKind // Ingress or Gateway
	Name string       // "": of the Ingresses that name none
}

// A Class is what is kept of an IngressClass or a GatewayClass.
type Class struct {
	Key     ClassKey
	Default bool         // also of the objects that name none
	Front   snapshot.Key // zero: none is named
}

// classList lists the classes that name a Service, for who knows nothing yet.
func (m *member) classList(kind FrontendKind) []Class {
	var out []Class
	for k, front := range m.classes {
		if k.Kind == kind && k.Name != "" {
			out = append(out, Class{Key: k, Default: m.defaults[kind] == k.Name, Front: front})
		}
	}
	return out
}

// entries are those that an object announces.
func (s *Service) entries() []Entry {
	out := make([]Entry, 0, len(s.Addrs)+len(s.Hosts))
	for _, a := range s.Addrs {
		out = append(out, Entry{Addr: a})
	}
	for _, h := range s.Hosts {
		out = append(out, Entry{Host: h})
	}
	return out
}

// listens says whether a Service takes what comes in for a port over TCP.
func (s *Service) listens(port uint16) bool {
	return s.Port == port || slices.ContainsFunc(s.Ports, func(p Port) bool { return p.Number == port && p.Proto == "tcp" })
}

// ways gives what an object announces with the Service that is named to stand in
// front of it, by itself or by its class.
func (m *member) ways(kind FrontendKind, o *Service) []Way {
	front := o.Front
	if front == (snapshot.Key{}) {
		front = m.classes[ClassKey{kind, o.Class}]
	}
	if front == (snapshot.Key{}) {
		return nil
	}
	var out []Way
	for _, e := range o.entries() {
		out = append(out, Way{e, front})
	}
	return out
}

// setClass follows which Service a class names.
func (t *Table) setClass(cluster int, c Class) {
	m := t.members[cluster]
	m.class(c.Key, c.Front)
	byDefault := ClassKey{Kind: c.Key.Kind}
	switch {
	case c.Default:
		m.defaults[c.Key.Kind] = c.Key.Name
		m.class(byDefault, c.Front)
	case m.defaults[c.Key.Kind] == c.Key.Name:
		delete(m.defaults, c.Key.Kind)
		m.class(byDefault, snapshot.Key{})
	}
}

func (t *Table) dropClass(cluster int, k ClassKey) { t.setClass(cluster, Class{Key: k}) }

// class notes which Service a class names, and has the names of its objects put
// together anew.
func (m *member) class(k ClassKey, front snapshot.Key) {
	if m.classes[k] == front {
		return
	}
	if front == (snapshot.Key{}) {
		delete(m.classes, k)
	} else {
		m.classes[k] = front
	}
	renew := func(o FrontendKey) {
		m.stale[o.asIng()] = true
		for _, h := range m.claimed[o] {
			m.stale[snapshot.Key{Namespace: o.Namespace, Name: h, Kind: snapshot.Host}] = true
		}
	}
	if k.Kind == Ingress {
		for key, o := range m.ingresses {
			if o.Class == k.Name {
				renew(frontOf(key))
			}
		}
		return
	}
	for key, g := range m.objects {
		if key.Kind == Gateway && g.Object.Class == k.Name {
			renew(key)
			for _, r := range m.routes(key) {
				renew(r)
			}
		}
	}
}

// setStandby takes in a Service that isn't exported.
func (t *Table) setStandby(cluster int, o *Service) {
	m := t.members[cluster]
	was := m.standby[o.Key]
	if was != nil && was.equal(o) {
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
func (m *member) announce(o *Service, by int) {
	for _, e := range o.entries() {
		if by > 0 {
			m.announced[e] = append(m.announced[e], o.Key)
			continue
		}
		i := slices.Index(m.announced[e], o.Key)
		if m.announced[e] = slices.Delete(m.announced[e], i, i+1); len(m.announced[e]) == 0 {
			delete(m.announced, e)
		}
	}
}

// markReached marks what clients reach through a Service, which has changed.
func (t *Table) markReached(m *member, o *Service) {
	if !m.complete() || o.Key.Kind != snapshot.Svc {
		return
	}
	for _, e := range o.entries() {
		for _, k := range m.announced[e] {
			if k.Kind != snapshot.Svc {
				t.dirty[k] = true
			}
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
func (t *Table) entryState(cluster int, o *Service, e Entry) (gate, snapshot.Key) {
	if o.Key.Kind == snapshot.Svc {
		return open, snapshot.Key{}
	}
	m := t.members[cluster]
	state, by := open, snapshot.Key{}
	for _, w := range o.Ways {
		if w.Entry != e {
			continue
		}
		switch s := t.inFront(cluster, w.Front); {
		case s == nil: // nothing is known of it
			return open, w.Front
		case s.Absent:
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
	var found []*Service
	entering := false // some of them are at the ports that the object is reached at
	for _, k := range m.announced[e] {
		s := t.inFront(cluster, k)
		if k.Kind != snapshot.Svc || s == nil {
			continue
		}
		found = append(found, s)
		entering = entering || o.enteredBy(s)
	}
	for _, s := range found {
		// Others may share the address, for other ports.
		if (!entering || o.enteredBy(s)) && t.takes(cluster, s) {
			return open, s.Key
		}
	}
	if len(found) == 0 {
		return open, snapshot.Key{}
	}
	return closed, found[0].Key
}

// enteredBy says whether the Service in front is at a port that clients of an Ingress or a
// Gateway use.
func (s *Service) enteredBy(front *Service) bool {
	return front.listens(httpPort) || front.listens(httpsPort) || s.Port != 0 && front.listens(s.Port)
}

// Where clients of hosts come in, whatever a Gateway's first listener is.
const (
	httpPort  = 80
	httpsPort = 443
)

// inFront finds a Service of a cluster, exported or not; nil: it isn't there.
func (t *Table) inFront(cluster int, k snapshot.Key) *Service {
	if p := t.piece(cluster, k); p != nil && p.object != nil {
		return p.object
	}
	return t.members[cluster].standby[k]
}

// takes says whether something is there to take what comes in for a Service.
func (t *Table) takes(cluster int, s *Service) bool {
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
