package table

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// A gatewayIndex is all objects of one cluster that lead to Services, and what is looked
// up among them.
type gatewayIndex struct {
	ingresses map[snapshot.Key]*shard.Service
	naming    map[snapshot.Key]*shard.Service // Services that have hosts of their own
	objects   map[shard.FrontendKey]*shard.Frontend
	through   map[shard.FrontendKey][]shard.FrontendKey // parent to what wants to be attached
	claimed   map[shard.FrontendKey][]string            // object to the hosts that it claims
	claiming  map[snapshot.Key][]shard.FrontendKey      // host to the objects that claim it
	barred    map[shard.FrontendKey][]string            // hosts that it claims, and may not
	stale     map[snapshot.Key]bool                     // Gateways whose routes have changed
	unsaid    map[shard.FrontendKey]bool                // routes that may yet turn out to be attached
	waits     bool                                      // for that
	late      map[shard.FrontendKey][]string            // those that were waited for in vain, and the hosts that they may serve
}

func newGatewayIndex() gatewayIndex {
	return gatewayIndex{
		ingresses: map[snapshot.Key]*shard.Service{}, naming: map[snapshot.Key]*shard.Service{}, objects: map[shard.FrontendKey]*shard.Frontend{}, through: map[shard.FrontendKey][]shard.FrontendKey{},
		claimed: map[shard.FrontendKey][]string{}, claiming: map[snapshot.Key][]shard.FrontendKey{}, barred: map[shard.FrontendKey][]string{}, stale: map[snapshot.Key]bool{}, unsaid: map[shard.FrontendKey]bool{},
		late: map[shard.FrontendKey][]string{},
	}
}

// ing is the key of the name that a Gateway has, which an Ingress may share.
func ing(namespace, name string) snapshot.Key {
	return snapshot.Key{Namespace: namespace, Name: name, Kind: snapshot.Ing}
}

func frontOf(k snapshot.Key) shard.FrontendKey {
	return shard.FrontendKey{Kind: shard.Ingress, Namespace: k.Namespace, Name: k.Name}
}

func (t *Table) setIngress(cluster int, o *shard.Service) {
	m := t.members[cluster]
	if was := m.ingresses[o.Key]; was != nil && was.Equal(o) {
		return
	}
	m.ingresses[o.Key] = o
	m.stale[o.Key] = true
	t.claim(cluster, frontOf(o.Key))
}

func (t *Table) dropIngress(cluster int, k snapshot.Key) {
	m := t.members[cluster]
	if m.ingresses[k] == nil {
		return
	}
	delete(m.ingresses, k)
	m.stale[k] = true
	t.claim(cluster, frontOf(k))
}

// nameService follows which hosts a Service has for its own; nil: it has gone.
func (t *Table) nameService(cluster int, k snapshot.Key, o *shard.Service) {
	m := t.members[cluster]
	if o != nil {
		o = t.aliased(o)
	}
	switch {
	case o != nil && len(o.Routing().Claims) > 0:
		m.naming[k] = o
	case m.naming[k] != nil:
		delete(m.naming, k)
	default:
		return
	}
	t.claim(cluster, shard.FrontendKey{Kind: shard.NamedService, Namespace: k.Namespace, Name: k.Name})
}

// aliased is a Service with the hosts that count: its own, and those that the configuration gives it.
func (t *Table) aliased(o *shard.Service) *shard.Service {
	var claims []shard.Claim
	for _, a := range t.policy.Aliases {
		if a.Key == o.Key {
			claims = append(claims, shard.Claim{Host: a.Host, Region: a.Region})
		}
	}
	its := o.Routing()
	for _, c := range its.Claims {
		if (!c.Foreign || t.policy.Foreign) && !slices.ContainsFunc(claims, func(o shard.Claim) bool { return o.Host == c.Host }) {
			claims = append(claims, c)
		}
	}
	out := *o
	its.Claims = claims
	out.Route(its)
	return &out
}

// given says whether the configuration gives a host to a Service.
func (t *Table) given(k shard.FrontendKey, host string) bool {
	return k.Kind == shard.NamedService && slices.ContainsFunc(t.policy.Aliases, func(a shard.Alias) bool {
		return a.Host == host && a.Key.Namespace == k.Namespace && a.Key.Name == k.Name
	})
}

func (t *Table) setFront(cluster int, f *shard.Frontend) {
	m := t.members[cluster]
	was := m.objects[f.Key]
	if was != nil && was.Equal(f) {
		return
	}
	m.objects[f.Key] = f
	t.frontendChanged(cluster, f.Key, was, f)
}

func (t *Table) dropFront(cluster int, k shard.FrontendKey) {
	m := t.members[cluster]
	was := m.objects[k]
	if was == nil {
		return
	}
	delete(m.objects, k)
	delete(m.late, k)
	t.frontendChanged(cluster, k, was, nil)
}

// frontendChanged follows a change of a front: nil where it wasn't there, or isn't.
func (t *Table) frontendChanged(cluster int, k shard.FrontendKey, was, is *shard.Frontend) {
	m := t.members[cluster]
	for _, f := range [...]*shard.Frontend{was, is} {
		if f == nil {
			continue
		}
		for _, p := range f.Parents {
			at := p.Ref()
			m.outdate(at)
			unindex(m.through, at, k)
			if f == is {
				m.through[at] = append(m.through[at], k)
			}
		}
	}
	if !k.Kind.Listens() {
		t.claim(cluster, k)
		return
	}
	m.outdate(k)
	for _, r := range m.routes(k) {
		t.claim(cluster, r)
	}
}

// outdateParents does so with what a route wants to be attached to.
func (m *member) outdateParents(route shard.FrontendKey) {
	if r := m.objects[route]; r != nil {
		for _, p := range r.Parents {
			m.outdate(p.Ref())
		}
	}
}

// outdate has the name of a Gateway put together anew, or of that of a set.
func (m *member) outdate(k shard.FrontendKey) {
	if k.Kind == shard.Gateway {
		m.stale[ing(k.Namespace, k.Name)] = true
	} else if s := m.objects[k]; s != nil && k.Kind.IsSet() {
		for _, p := range s.Parents {
			m.stale[ing(p.Ref().Namespace, p.Ref().Name)] = true
		}
	}
}

// routes are those that want to be attached to a Gateway or a set: to the Gateway's
// sets, too.
func (m *member) routes(k shard.FrontendKey) []shard.FrontendKey {
	var out []shard.FrontendKey
	for _, c := range m.through[k] {
		if c.Kind.IsSet() {
			out = append(out, m.through[c]...)
		} else {
			out = append(out, c)
		}
	}
	return out
}

// claim follows which hosts an object claims, and has all of them put together anew.
func (t *Table) claim(cluster int, k shard.FrontendKey) {
	m := t.members[cluster]
	was, is := m.claimed[k], t.claims(m, k)
	key := func(host string) snapshot.Key {
		return snapshot.Key{Namespace: k.Namespace, Name: host, Kind: snapshot.Host}
	}
	for _, h := range was {
		if !slices.Contains(is, h) {
			at := key(h)
			unindex(m.claiming, at, k)
			m.stale[at] = true
		}
	}
	for _, h := range is {
		at := key(h)
		if !slices.Contains(was, h) {
			m.claiming[at] = append(m.claiming[at], k)
		}
		m.stale[at] = true
	}
	if len(is) == 0 {
		delete(m.claimed, k)
	} else {
		m.claimed[k] = is
	}
}

// claims are the hosts that an object claims, of those that could be served.
func (t *Table) claims(m *member, k shard.FrontendKey) []string {
	var out []string
	delete(m.barred, k)
	add := func(host string) {
		ours, _ := t.admit(host, false)
		switch {
		case !ours || slices.Contains(out, host) || slices.Contains(m.barred[k], host):
		case !m.Cluster.MayClaim(host) && !t.given(k, host):
			m.barred[k] = append(m.barred[k], host)
			t.notice(m.Name, shard.Ungranted, fmt.Sprintf("%s claims host %s, which cluster %q may not; left out", k, host, m.Name))
		default:
			out = append(out, host)
		}
	}
	switch k.Kind {
	case shard.Ingress:
		if o := m.ingresses[ing(k.Namespace, k.Name)]; o != nil {
			for _, c := range o.Routing().Claims {
				add(c.Host)
			}
		}
		return out
	case shard.NamedService:
		if o := m.naming[snapshot.Key{Namespace: k.Namespace, Name: k.Name}]; o != nil && m.MayExport(o.Key) {
			for _, c := range o.Routing().Claims {
				add(c.Host)
			}
		}
		return out
	}
	delete(m.unsaid, k)
	for _, a := range m.attachments(m.objects[k]) {
		if a.unsaid {
			m.unsaid[k] = true
		}
		for _, h := range a.hosts {
			add(h)
		}
	}
	if !m.unsaid[k] { // it has been heard, and isn't waited for a second time
		delete(m.late, k)
	}
	return out
}

// rebuildStale puts together anew what has become stale: the names of Ingresses and
// Gateways, and hosts. It is done once for a change, which may be of a thousand
// routes through one Gateway.
func (t *Table) rebuildStale(cluster int) {
	m := t.members[cluster]
	if len(m.stale) == 0 {
		return
	}
	for k := range m.stale {
		o := m.front(k)
		if k.Kind == snapshot.Host {
			o = m.host(k)
		}
		if o != nil {
			t.setService(cluster, o)
		} else {
			t.dropService(cluster, k)
		}
	}
	m.stale = map[snapshot.Key]bool{}
}

// front is what is announced by the name of an Ingress, a Gateway or both; nil: there
// is neither.
func (m *member) front(k snapshot.Key) *shard.Service {
	var parts []*shard.Service
	if o := m.ingresses[k]; o != nil {
		if ways := m.ways(shard.Ingress, o); len(ways) > 0 {
			named, its := *o, o.Routing()
			its.Ways = ways
			named.Route(its)
			o = &named
		}
		parts = append(parts, o)
	}
	if g := m.objects[shard.FrontendKey{Kind: shard.Gateway, Namespace: k.Namespace, Name: k.Name}]; g != nil {
		o := g.Object
		backends, unsaid := m.behind(g)
		if ways := m.ways(shard.Gateway, o); len(backends) > 0 || len(ways) > 0 || unsaid != shard.None {
			its := o.Routing()
			its.Backends, its.Ways, its.Unsaid = backends, ways, unsaid
			led := *o
			led.Route(its)
			o = &led
		}
		parts = append(parts, o)
	}
	return merged(k, parts)
}

// behind are the Services that the routes attached to a Gateway lead to, and whether more
// of them may turn out to be attached.
func (m *member) behind(g *shard.Frontend) (out []snapshot.Key, unsaid shard.Share) {
	for _, k := range m.routes(g.Key) {
		attached := false
		for _, a := range m.attachments(m.objects[k]) {
			switch {
			case a.gateway != g:
			case a.unsaid:
				unsaid = shard.Partly
			default:
				attached = true
			}
		}
		if attached {
			out = append(out, m.objects[k].Object.Routing().Backends...)
		}
	}
	return snapshot.SortedKeys(out), unsaid
}

// host is what is announced by a host; nil: nobody claims it.
func (m *member) host(k snapshot.Key) *shard.Service {
	var parts []*shard.Service
	for _, f := range slices.SortedFunc(slices.Values(m.claiming[k]), func(a, b shard.FrontendKey) int { return cmp.Compare(a.String(), b.String()) }) {
		if f.Kind == shard.Ingress {
			o := *m.ingresses[ing(f.Namespace, f.Name)]
			its := o.Routing()
			its.Backends, its.Ways = nil, m.ways(shard.Ingress, &o)
			for _, c := range its.Claims {
				if c.Host == k.Name {
					its.Backends = c.Backends
				}
			}
			o.Route(its)
			parts = append(parts, &o)
			continue
		}
		if f.Kind == shard.NamedService {
			o := *m.naming[snapshot.Key{Namespace: f.Namespace, Name: f.Name}]
			its := o.Routing()
			for _, c := range its.Claims {
				if c.Host == k.Name {
					its.Alias = cmp.Or(c.Region, shard.AnyRegion)
				}
			}
			its.Backends, its.Ways = []snapshot.Key{o.Key}, nil
			own := o.Extras()
			own.Inside = nil
			o.Extend(own).Route(its)
			parts = append(parts, &o)
			continue
		}
		r := m.objects[f]
		for _, a := range m.attachments(r) {
			if !slices.Contains(a.hosts, k.Name) {
				continue
			}
			o := *a.gateway.Object
			its := o.Routing()
			if a.unsaid {
				its.Unsaid = shard.Wholly
			}
			its.Ways = m.ways(shard.Gateway, &o)
			if its.Blocked == health.NotListening { // of all its own: that of the host counts
				its.Blocked = ""
			}
			if its.Blocked == "" && slices.Contains(a.shut, k.Name) {
				its.Blocked = health.NotListening
			}
			its.Backends = r.Object.Routing().Backends
			own, route := o.Extras(), r.Object.Extras()
			own.Policy, own.Probe, own.Asker = cmp.Or(route.Policy, own.Policy), cmp.Or(route.Probe, own.Probe), r.Object.Key.Namespace
			o.Extend(own).Route(its)
			o.Created, o.Seen = r.Object.Created, r.Object.Seen
			o.Deleting = o.Deleting || r.Object.Deleting
			o.TTL = cmp.Or(r.Object.TTL, o.TTL)
			if r.Weighs {
				o.Weight = r.Object.Weight
			}
			parts = append(parts, &o)
		}
	}
	return merged(k, parts)
}

// asks is the namespace that has an object probed.
func asks(o *shard.Service) string { return cmp.Or(o.Extras().Asker, o.Key.Namespace) }

// merged makes one of what several objects announce by one name: all of their
// addresses and all of their backends. Of the rest, what the first by name says, of those that say anything: other servers
// may have seen them in another order. Only whose a host is goes by who was seen first.
func merged(k snapshot.Key, parts []*shard.Service) *shard.Service {
	if len(parts) == 0 {
		return nil
	}
	if len(parts) == 1 && parts[0].Key == k {
		return parts[0]
	}
	slices.SortStableFunc(parts, func(a, b *shard.Service) int {
		return cmp.Or(cmp.Compare(a.Key.Namespace, b.Key.Namespace), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	unsaid := parts[0].Routing().Unsaid
	if known := func(o *shard.Service) bool { return o.Routing().Unsaid != shard.Wholly }; slices.ContainsFunc(parts, known) {
		all := len(parts)
		if parts = slices.DeleteFunc(parts, func(o *shard.Service) bool { return !known(o) }); len(parts) < all {
			unsaid = shard.Partly
		}
	}
	oldest := slices.MinFunc(parts, compareSight) // whoever may come in: that decides whose a host is
	blocked := func(o *shard.Service) bool { return o.Routing().Blocked != "" }
	if slices.ContainsFunc(parts, func(o *shard.Service) bool { return !blocked(o) }) {
		parts = slices.DeleteFunc(parts, blocked)
	}
	out, own, its := *parts[0], parts[0].Extras(), parts[0].Routing()
	out.Created, out.Seen, own.Asker = oldest.Created, oldest.Seen, asks(parts[0])
	out.Key, out.Ports = k, nil
	out.Addrs, own.Hosts = slices.Clone(out.Addrs), slices.Clone(own.Hosts)
	its.Unsaid, its.Claims, its.Backends, its.Ways = unsaid, nil, slices.Clone(its.Backends), slices.Clone(its.Ways)
	for _, p := range parts[1:] {
		extras, more := p.Extras(), p.Routing()
		its.Ways, its.Backends = append(its.Ways, more.Ways...), append(its.Backends, more.Backends...)
		out.Addrs, own.Hosts = append(out.Addrs, p.Addrs...), append(own.Hosts, extras.Hosts...)
		out.Deleting = out.Deleting && p.Deleting
		if own.Probe == "" && extras.Probe != "" {
			own.Asker = asks(p)
		}
		out.TTL, own.Policy, own.Probe = cmp.Or(out.TTL, p.TTL), cmp.Or(own.Policy, extras.Policy), cmp.Or(own.Probe, extras.Probe)
	}
	slices.SortFunc(out.Addrs, netip.Addr.Compare)
	slices.Sort(own.Hosts)
	out.Addrs, own.Hosts, its.Backends = slices.Compact(out.Addrs), slices.Compact(own.Hosts), snapshot.SortedKeys(its.Backends)
	slices.SortFunc(its.Ways, func(a, b shard.Way) int {
		return cmp.Or(shard.CompareEntries(a.Entry, b.Entry), cmp.Compare(a.Front.String(), b.Front.String()))
	})
	its.Ways = slices.Compact(its.Ways)
	out.Extend(own).Route(its)
	return &out
}

// compareAge sorts by when something was created, in Unix seconds. What doesn't say
// it is taken for the youngest: to leave a date out must not be a way to the front.
func compareAge(a, b int64) int {
	return cmp.Compare(uint64(a-1), uint64(b-1))
}

// An attachment is of a route to a Gateway, with the hosts that it serves there.
type attachment struct {
	gateway *shard.Frontend
	hosts   []string
	shut    []string // of these, those that only listeners serve which aren't ready
	unsaid  bool     // it isn't known yet whether it is one
}

// gateway is the Gateway that listeners are of, which may be their own object, and whether
// it takes them; nil: there is none.
func (m *member) gateway(listening *shard.Frontend) (*shard.Frontend, shard.Admission) {
	if listening == nil || listening.Key.Kind == shard.Gateway {
		return listening, shard.Admitted
	}
	for _, p := range listening.Parents {
		if g := m.objects[p.Ref()]; g != nil && g.Key.Kind == shard.Gateway {
			if its := g.Sets.Admits(g.Key.Namespace, listening.Key.Namespace, p.Status); its != shard.NotAdmitted {
				return g, its
			}
		}
	}
	return nil, shard.NotAdmitted
}

// waited gives those of a route's hosts of which the word of its controller is waited for; false: it
// isn't. After the beginning, what it was waited for then stays, and nothing comes to it: what is
// put up later, or claims more, can make nobody wait.
func (m *member) waited(r *shard.Frontend, hosts []string) ([]string, bool) {
	if m.waits {
		return hosts, true
	}
	was, ok := m.late[r.Key]
	if !ok || len(hosts) == 0 {
		return nil, ok
	}
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return !slices.Contains(was, h) })
	return hosts, len(hosts) > 0
}

// attachments are those of a route; none of what is no route. Each Gateway comes once, or
// once more with what isn't known yet to be attached, as long as that is waited for.
func (m *member) attachments(r *shard.Frontend) []attachment {
	var out []attachment
	if r == nil || r.Key.Kind.Listens() {
		return nil
	}
	for _, p := range r.Parents {
		listening := m.objects[p.Ref()]
		g, taken := m.gateway(listening)
		if g == nil {
			continue
		}
		for i := range listening.Listeners {
			l := &listening.Listeners[i]
			hosts, ok := l.Serves(r.Hostnames)
			if !ok {
				continue
			}
			its := min(taken, l.Admits(listening, r, p))
			unsaid := its == shard.MayBeAdmitted
			if unsaid {
				hosts, ok = m.waited(r, hosts)
			}
			if its == shard.NotAdmitted || !ok {
				continue
			}
			at := slices.IndexFunc(out, func(a attachment) bool { return a.gateway == g && a.unsaid == unsaid })
			if at < 0 {
				at = len(out)
				out = append(out, attachment{gateway: g, unsaid: unsaid})
			}
			out[at].add(hosts, l.NotReady)
		}
	}
	return out
}

// add notes that a listener serves hosts.
func (a *attachment) add(hosts []string, notReady bool) {
	for _, h := range hosts {
		first := !slices.Contains(a.hosts, h)
		if first {
			a.hosts = append(a.hosts, h)
		}
		switch {
		case !notReady:
			a.shut = slices.DeleteFunc(a.shut, func(s string) bool { return s == h })
		case first:
			a.shut = append(a.shut, h)
		}
	}
}
