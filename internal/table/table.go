// Package table holds the working state of a federation: each service's shard in each cluster.
//
// A Table has one owner, who applies what sources report (Apply, Silence, Override) and takes the
// next state of the federation from it (Publish). It has no locks, starts nothing and asks
// nobody: the time is an argument. evaluation.go says what a shard comes to, guard.go what may be
// withdrawn at once, explain.go why.
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

// A Table is the working state of one federation.
type Table struct {
	policy   shard.Policy
	members  []*member
	services map[snapshot.Key]*service
	hosts    map[string]*host
	checks   map[shard.Check]*check
	orders   []override.Order
	name     string // of the federation
	arbiter  *Arbiter
	admits   Admits
	refused  int // claims on hosts that are refused
	isolated bool
	cried    bool // isolation has been said
	guard    guard
	panics   map[snapshot.Key]bool // services of which probes are ignored
	crowded  map[snapshot.Key]bool // services with more addresses than an answer may have
	labels   map[string]string     // value of a topology label to its part of a name

	recents   recents
	wakes     map[snapshot.Key]time.Duration   // when time alone may change the leads of a service
	inherited map[snapshot.Key]shard.Failovers // of a table before this one: where leads begin
	releads   map[snapshot.Key]bool            // services whose leads have changed
	heeded    map[string][]snapshot.Key        // orders to go back, and who has gone back by them, until it is said
	judged    map[snapshot.Key]bool            // services whose own policy may mean less than it says, and has to be looked at

	dirty         map[snapshot.Key]bool
	scopes        bool // the places of a member have changed
	memberChanged bool // a member has been listed for the first time, had its time, or is silent, or no more

	remembers bool  // what was there before; see sight.go
	sighted   int64 // when the youngest object was seen first
	// heldBefore are the hosts that were held against others when that was asked for last.
	heldBefore map[string]string

	starting       // see begin.go
	expecting bool // more members may come whose names aren't known yet
	// unlistedRegistry is set where these have had their time, and may come all the same.
	unlistedRegistry bool
	exempted         map[int]bool // members of which something goes by an order
	unchecked        bool         // whether the orders are about members

	rehost  bool // hosts has gained or lost a name
	recheck bool // checks has gained or lost one

	changed []Changed // by the last publication
	said    []string  // changes of state of the table as a whole, for the log
	told    map[shard.Notice]bool
	notices []shard.Notice
	tally   map[CountKey]int

	verdicts map[health.Verdict]*health.Verdict   // those that pieces have
	places   map[topology.Place]*[]topology.Place // lists of one place, which are those of most pieces
}

// A CountKey is what shards are counted by.
type CountKey struct {
	Cluster topology.ClusterName
	State   health.State
	Why     health.Reason
	Stale   bool
}

// A service is one row: its piece in each cluster, by index.
type service struct {
	key    snapshot.Key
	pieces []*piece
	recent []snapshot.Recent
	led    *shard.Failovers // nil: nothing is decided
}

func (s *service) lead() shard.Failovers { return value(s.led) }

func (s *service) setLead(l shard.Failovers) {
	if s.led = nil; l.Decided() {
		s.led = &l
	}
}

// A piece is a shard with what it rests on. Slices may come before their Service. There are as many as shards: what most of
// them have alike, or haven't, is behind pointers.
type piece struct {
	object  *shard.Service // nil where the cluster has slices only
	slices  []*shard.Slice
	checks  *[]shard.Check    // the probes it is judged by; nil: none
	judged  *health.Verdict   // shared by all that have it, without how long it holds; nil: it hasn't been
	places  *[]topology.Place // where it was up at the last publication, shared, too; nil: nowhere
	since   time.Duration     // when the verdict and its reason became what they are
	carried bool              // it was answered before this table began
	lived   bool              // it has been up
}

// verdict is what it was judged last.
func (p *piece) verdict() health.Verdict { return value(p.judged) }

// value is what a pointer points to; of nil, nothing.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// A host is the name of a load balancer.
type host struct {
	addrs  []netip.Addr
	looked bool // up, by this process
	users  map[snapshot.Key]int
}

// New is the table of a federation's members, by index.
func New(clusters []shard.Cluster, policy shard.Policy) *Table {
	t := &Table{
		policy:        policy,
		checks:        map[shard.Check]*check{},
		panics:        map[snapshot.Key]bool{},
		crowded:       map[snapshot.Key]bool{},
		recents:       newRecents(),
		wakes:         map[snapshot.Key]time.Duration{},
		inherited:     map[snapshot.Key]shard.Failovers{},
		releads:       map[snapshot.Key]bool{},
		heeded:        map[string][]snapshot.Key{},
		judged:        map[snapshot.Key]bool{},
		guard:         guard{held: map[snapshot.Key]time.Duration{}, recent: map[gone]time.Duration{}, down: map[snapshot.Key]time.Duration{}},
		services:      map[snapshot.Key]*service{},
		hosts:         map[string]*host{},
		labels:        map[string]string{},
		dirty:         map[snapshot.Key]bool{},
		told:          map[shard.Notice]bool{},
		exempted:      map[int]bool{},
		tally:         map[CountKey]int{},
		verdicts:      map[health.Verdict]*health.Verdict{},
		places:        map[topology.Place]*[]topology.Place{},
		arbiter:       NewArbiter(),
		scopes:        true,
		memberChanged: true,
		starting:      begin(),
	}
	for _, c := range clusters {
		m := newMember(c)
		m.waits = t.beginning
		t.members = append(t.members, m)
	}
	return t
}

// Apply takes in a change of a cluster.
func (t *Table) Apply(cluster int, c shard.Change) {
	m := t.members[cluster]
	switch c := c.(type) {
	case shard.ServiceSet:
		t.noteSight(c.Service)
		if c.Service.Key.Kind == snapshot.Ing {
			t.setIngress(cluster, c.Service)
		} else {
			t.setService(cluster, c.Service)
		}
	case shard.ServiceGone:
		if c.Key.Kind == snapshot.Ing {
			t.dropIngress(cluster, c.Key)
		} else {
			t.dropService(cluster, c.Key)
		}
	case shard.ServiceList:
		for _, o := range c.Services {
			t.noteSight(o)
		}
		if c.Kind == snapshot.Ing {
			t.listIngresses(cluster, c.Services)
		} else {
			t.listServices(cluster, c.Services)
		}
	case shard.FrontendSet:
		t.noteSight(c.Frontend.Object)
		t.setFront(cluster, c.Frontend)
	case shard.FrontendGone:
		t.dropFront(cluster, c.Key)
	case shard.FrontendList:
		for _, f := range c.Frontends {
			t.noteSight(f.Object)
		}
		t.listFronts(cluster, c)
	case shard.Awaited:
		if !m.complete() {
			m.needed |= listGatewayAPI
			if c.Frontends {
				m.needed |= listStandby | listIngressClasses | listGatewayClasses | listTLSRoutes | listListenerSets | listXListenerSets
			}
		}
	case shard.ListUnavailable:
		t.heard(cluster, listOf[c.Kind])
	case shard.StandbySet:
		t.setStandby(cluster, c.Service)
	case shard.StandbyGone:
		t.dropStandby(cluster, c.Key)
	case shard.StandbyList:
		t.listStandby(cluster, c.Services)
	case shard.ClassSet:
		t.setClass(cluster, c.Class)
	case shard.ClassGone:
		t.dropClass(cluster, c.Key)
	case shard.ClassList:
		t.listClasses(cluster, c)
	case shard.SliceSet:
		t.setSlice(cluster, c.Slice)
	case shard.SliceGone:
		t.dropSlice(cluster, c.Key)
	case shard.SliceList:
		t.listSlices(cluster, c.Slices)
	case shard.NodeSet:
		t.setNodes(cluster, func(nodes map[string]node) { nodes[c.Name] = t.standsAt(m, c.Node) })
	case shard.NodeGone:
		t.setNodes(cluster, func(nodes map[string]node) { delete(nodes, c.Name) })
	case shard.NodeList:
		t.setNodes(cluster, func(nodes map[string]node) {
			clear(nodes)
			for _, n := range c.Nodes {
				nodes[n.Name] = t.standsAt(m, n)
			}
		})
		t.heard(cluster, listNodes)
	case shard.SourceNotice:
		t.notice(m.Name, c.Kind, c.Text)
	case shard.Shadowed:
		m.shadow = c.Is
		t.noteShadowing(cluster)
	}
	t.rebuildStale(cluster)
}

// EndWait stops waiting for members that have not been listed yet, and for those
// that may come.
func (t *Table) EndWait() {
	t.ExpectMembers(false)
	for i := range t.members {
		t.EndWaitFor(i)
	}
}

// EndWaitFor stops waiting for one member.
func (t *Table) EndWaitFor(cluster int) {
	if m := t.members[cluster]; m.awaited() {
		m.waived, t.memberChanged = true, true
	}
}

// MarkPartial notes that some of what was known of a cluster was lost, until it is refreshed:
// what is known to be up is, and of the rest nothing is known.
func (t *Table) MarkPartial(cluster int) {
	t.members[cluster].doubted = true
	t.memberChanged = true
	t.touchAll(cluster)
}

// Partial says whether that is so.
func (t *Table) Partial(cluster int) bool { return t.members[cluster].doubted }

// Complete says whether a cluster has been listed.
func (t *Table) Complete(cluster int) bool { return t.members[cluster].complete() }

// Settled says whether every member has been listed or had its time.
func (t *Table) Settled() bool {
	return !t.expecting && !slices.ContainsFunc(t.members, (*member).awaited)
}

// Export is all the table holds of a cluster, as the lists that would make it
// so. A table that applies them knows what this one does.
func (t *Table) Export(cluster int) []shard.Change {
	var services []*shard.Service
	var endpoints []*shard.Slice
	for _, s := range t.services {
		p := s.pieces[cluster]
		if p == nil {
			continue
		}
		if p.object != nil && s.key.Kind == snapshot.Svc {
			services = append(services, p.object)
		}
		endpoints = append(endpoints, p.slices...)
	}
	m := t.members[cluster]
	nodes := make([]shard.Node, 0, len(m.nodes))
	for name, n := range m.nodes {
		nodes = append(nodes, shard.Node{Name: name, Region: n.Region, Zone: n.Zone, NotReady: n.lost})
	}
	out := []shard.Change{
		shard.NodeList{Nodes: nodes}, shard.SliceList{Slices: endpoints}, shard.ServiceList{Kind: snapshot.Svc, Services: services},
		shard.ServiceList{Kind: snapshot.Ing, Services: slices.Collect(maps.Values(m.ingresses))},
	}
	if len(m.standby) > 0 {
		out = append(out, shard.StandbyList{Services: slices.Collect(maps.Values(m.standby))})
	}
	for _, k := range [...]shard.FrontendKind{shard.Ingress, shard.Gateway} {
		if list := m.classList(k); len(list) > 0 {
			out = append(out, shard.ClassList{Kind: k, Classes: list})
		}
	}
	for _, k := range shard.GatewayAPI {
		var list []*shard.Frontend
		for _, f := range m.objects {
			if f.Key.Kind == k {
				list = append(list, f)
			}
		}
		if len(list) > 0 { // without, the lists above say it all
			out = append(out, shard.FrontendList{Kind: k, Frontends: list})
		}
	}
	return out
}

// Dirty says whether there is something to publish.
func (t *Table) Dirty() bool {
	t.arbiter.settle()
	return len(t.dirty) > 0 || t.scopes || t.memberChanged
}

// Announcements gives the changes of state of the table as a whole since the last call.
func (t *Table) Announcements() []string {
	s := t.said
	t.said = nil
	return s
}

// DropAnnouncements forgets what Announcements would give: what a table begins with is no news.
func (t *Table) DropAnnouncements() { t.said, t.cried = nil, false }

func (t *Table) say(format string, v ...any) { t.said = append(t.said, fmt.Sprintf(format, v...)) }

// Notices gives what has to be said since the last call.
func (t *Table) Notices() []shard.Notice {
	n := t.notices
	t.notices = nil
	return n
}

// Counts counts the shards by cluster and verdict.
func (t *Table) Counts() map[CountKey]int { return maps.Clone(t.tally) }

// Hosts lists the load balancers' names that the table needs addresses of.
func (t *Table) Hosts() []string {
	return slices.Sorted(maps.Keys(t.hosts))
}

// HostsChanged says whether Hosts has changed since the last call.
func (t *Table) HostsChanged() bool {
	changed := t.rehost
	t.rehost = false
	return changed
}

// Resolutions are the addresses of the load balancers' names of which something is
// known: that one has none, perhaps.
func (t *Table) Resolutions() map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for name, h := range t.hosts {
		if h.looked || len(h.addrs) > 0 {
			out[name] = h.addrs
		}
	}
	return out
}

// Resolution is what is known of a load balancer's name.
func (t *Table) Resolution(name string) []netip.Addr {
	if h := t.hosts[name]; h != nil {
		return h.addrs
	}
	return nil
}

// Resolved takes in the addresses of a load balancer's name; none: it has none.
func (t *Table) Resolved(name string, addrs []netip.Addr) {
	h := t.hosts[name]
	if h == nil || h.looked && slices.Equal(h.addrs, addrs) {
		return
	}
	h.addrs, h.looked = slices.Clone(addrs), true
	for k := range h.users {
		t.dirty[k] = true
	}
}

// maxTold bounds the notices that are remembered so as not to be said twice: a few for
// each object of the largest federations.
const maxTold = 100_000

func (t *Table) notice(c topology.ClusterName, kind shard.NoticeKind, text string) {
	n := shard.Notice{Cluster: c, Kind: kind, Text: text}
	if len(t.told) >= maxTold { // said again is better than kept for ever, of what anybody can change
		clear(t.told)
	}
	if !t.told[n] {
		t.told[n] = true
		t.notices = append(t.notices, n)
	}
}

// heard notes that a list of a cluster has come. With the last of them all it
// has is known, and judged together.
func (t *Table) heard(cluster, list int) {
	m := t.members[cluster]
	if m.listed&list != 0 {
		return
	}
	m.listed |= list
	if m.complete() {
		t.memberChanged, t.scopes = true, true
		t.touchAll(cluster)
		for k := range m.claiming {
			t.arbiter.contest(t, k)
		}
	}
}

// touch marks a service for the next publication, unless its cluster's word
// doesn't count yet, and the Ingresses that lead to it.
func (t *Table) touch(cluster int, k snapshot.Key) {
	m := t.members[cluster]
	if !m.complete() {
		return
	}
	t.dirty[k] = true
	for _, front := range m.fronts[k] {
		t.dirty[front] = true
	}
	if o := t.inFront(cluster, k); o != nil {
		t.markReached(m, o)
	}
}

func (t *Table) touchAll(cluster int) {
	for k, s := range t.services {
		if s.pieces[cluster] != nil {
			t.dirty[k] = true
		}
	}
}

// setNodes changes the nodes of a cluster and follows where it is now. Nodes are
// written all the time; only a change of place, and of readiness, counts.
func (t *Table) setNodes(cluster int, change func(map[string]node)) {
	m := t.members[cluster]
	next := maps.Clone(m.nodes)
	change(next)
	if maps.Equal(next, m.nodes) {
		return
	}
	m.nodes = next
	located := m.locate()
	if !m.complete() {
		return
	}
	t.scopes = t.scopes || located
	// A node's zone may stand for its endpoints', whether or not the cluster as
	// a whole has moved; and what is on a node that is lost doesn't count.
	t.touchAll(cluster)
}

func (t *Table) standsAt(m *member, n shard.Node) node {
	p := topology.Place{
		Region: t.label(m, "region of node "+n.Name, n.Region),
		Zone:   t.label(m, "zone of node "+n.Name, n.Zone),
	}
	if p.Region == "" && p.Zone != "" && n.Region == "" && m.Region == "" && !m.astray[p.Zone] {
		m.astray[p.Zone] = true // once for a zone, which may have a thousand nodes
		t.notice(m.Name, shard.BadLabel, fmt.Sprintf("node %s is in zone %q and has no label topology.kubernetes.io/region: the zone has no names unless the cluster's other nodes are all in one region; `region` of the cluster says it, too", n.Name, p.Zone))
	}
	if at := (topology.Place{Region: cmp.Or(m.Region, p.Region), Zone: p.Zone}); m.allowed(at) != at {
		if what := at.Region + "/" + at.Zone; !m.outside[what] {
			m.outside[what] = true
			t.notice(m.Name, shard.Ungranted, fmt.Sprintf("node %s is in zone %q of region %q, where cluster %q may not be (places); it has no names there", n.Name, at.Zone, at.Region, m.Name))
		}
		if p.Zone = ""; m.allowed(at).Region == "" {
			p.Region = ""
		}
	}
	return node{Place: p, lost: n.NotReady}
}

// row finds a service's row, or makes it.
func (t *Table) row(k snapshot.Key) *service {
	s := t.services[k]
	if s == nil {
		s = &service{key: k, pieces: make([]*piece, len(t.members)), recent: t.recents.restored[k]}
		delete(t.recents.restored, k)
		t.services[k] = s
	}
	return s
}

// piece finds a service's piece in a cluster, or makes it.
func (s *service) piece(cluster int) *piece {
	if s.pieces[cluster] == nil {
		s.pieces[cluster] = &piece{}
	}
	return s.pieces[cluster]
}

func (t *Table) piece(cluster int, k snapshot.Key) *piece {
	if s := t.services[k]; s != nil {
		return s.pieces[cluster]
	}
	return nil
}

func (t *Table) setService(cluster int, o *shard.Service) {
	s := t.row(o.Key)
	p := s.piece(cluster)
	if p.object != nil {
		if p.object.Equal(o) {
			return
		}
		t.markReached(t.members[cluster], p.object)
		t.unlink(cluster, p.object)
	}
	p.object = o
	t.link(cluster, p.object)
	t.touch(cluster, s.key)
	if o.Key.Kind == snapshot.Svc {
		t.nameService(cluster, o.Key, o)
	}
	t.reevaluateHost(cluster, s.key)
}

func (t *Table) dropService(cluster int, k snapshot.Key) {
	p := t.piece(cluster, k)
	if p == nil || p.object == nil {
		return
	}
	t.markReached(t.members[cluster], p.object)
	t.unlink(cluster, p.object)
	p.object = nil
	t.touch(cluster, k)
	if k.Kind == snapshot.Svc {
		t.nameService(cluster, k, nil)
	}
	t.reevaluateHost(cluster, k)
	t.sweep(cluster, k)
}

// reevaluateHost has it decided anew who holds a host, if it is one.
func (t *Table) reevaluateHost(cluster int, k snapshot.Key) {
	if k.Kind == snapshot.Host && t.members[cluster].complete() {
		t.arbiter.contest(t, k)
	}
}

// link and unlink keep what is looked up by a service's hosts and backends.
func (t *Table) link(cluster int, o *shard.Service) {
	for _, name := range o.Extras().Hosts {
		h := t.hosts[name]
		if h == nil {
			h = &host{users: map[snapshot.Key]int{}}
			t.hosts[name] = h
			t.rehost = true
		}
		h.users[o.Key]++
	}
	m := t.members[cluster]
	m.announce(o, 1)
	its := o.Routing()
	for _, b := range its.Backends {
		m.fronts[b] = append(m.fronts[b], o.Key)
	}
	for _, w := range its.Ways {
		m.named[w.Front] = append(m.named[w.Front], o.Key)
	}
	if o.Key.Namespace == t.policy.Local.Namespace {
		m.shadows++
		t.noteShadowing(cluster)
	}
}

func (t *Table) unlink(cluster int, o *shard.Service) {
	for _, name := range o.Extras().Hosts {
		h := t.hosts[name]
		if h.users[o.Key]--; h.users[o.Key] == 0 {
			delete(h.users, o.Key)
		}
		if len(h.users) == 0 {
			delete(t.hosts, name)
			t.rehost = true
		}
	}
	m := t.members[cluster]
	m.announce(o, -1)
	its := o.Routing()
	for _, b := range its.Backends {
		unindex(m.fronts, b, o.Key)
	}
	for _, w := range its.Ways {
		unindex(m.named, w.Front, o.Key)
	}
	if o.Key.Namespace == t.policy.Local.Namespace {
		m.shadows--
	}
}

// unindex takes something away from what is known under a key.
func unindex[K, V comparable](index map[K][]V, k K, v V) {
	index[k] = slices.DeleteFunc(index[k], func(o V) bool { return o == v })
	if len(index[k]) == 0 {
		delete(index, k)
	}
}

func (t *Table) setSlice(cluster int, sl *shard.Slice) {
	m := t.members[cluster]
	k := sl.Of()
	if was := m.slices.get(sl.Key); was != nil && was.Of() != k {
		t.dropSlice(cluster, sl.Key) // it has been given to another Service
	}
	s := t.row(k)
	p := s.piece(cluster)
	i := slices.IndexFunc(p.slices, func(o *shard.Slice) bool { return o.Key == sl.Key })
	switch {
	case i < 0:
		p.slices = append(p.slices, sl)
	case p.slices[i].Equal(sl):
		return
	default:
		t.countZones(cluster, p.slices[i].Endpoints, -1)
		p.slices[i] = sl
	}
	m.slices.set(sl)
	t.countZones(cluster, sl.Endpoints, 1)
	t.touch(cluster, s.key)
}

func (t *Table) dropSlice(cluster int, key shard.SliceKey) {
	m := t.members[cluster]
	sl := m.slices.get(key)
	if sl == nil {
		return
	}
	m.slices.remove(key)
	s := t.services[sl.Of()]
	p := s.pieces[cluster]
	i := slices.IndexFunc(p.slices, func(o *shard.Slice) bool { return o.Key == key })
	t.countZones(cluster, p.slices[i].Endpoints, -1)
	p.slices = slices.Delete(p.slices, i, i+1)
	t.touch(cluster, s.key)
	t.sweep(cluster, s.key)
}

// countZones counts the zones that endpoints tell of: a zone with endpoints is one of
// the cluster's, whatever became of the node.
func (t *Table) countZones(cluster int, es []shard.Endpoint, by int) {
	m := t.members[cluster]
	news := false
	for _, e := range es {
		z := t.label(m, "zone of an endpoint", e.Zone)
		if z == "" {
			continue
		}
		n := m.seen[z]
		if n+by == 0 {
			delete(m.seen, z)
		} else {
			m.seen[z] = n + by
		}
		news = news || n == 0 || n+by == 0
	}
	if news && m.locate() && m.complete() {
		t.scopes = true
		t.touchAll(cluster)
	}
}

// sweep forgets a piece that has become empty, once it has been published as
// gone, and a row without pieces. Rows that are dirty are swept when published.
func (t *Table) sweep(cluster int, k snapshot.Key) {
	if t.dirty[k] {
		return
	}
	t.forget(t.services[k], cluster)
}

func (t *Table) forget(s *service, cluster int) {
	if p := s.pieces[cluster]; p != nil && p.object == nil && len(p.slices) == 0 {
		t.count(cluster, p, health.Verdict{})
		t.relink(s.key, p, nil)
		s.pieces[cluster] = nil
	}
	if !slices.ContainsFunc(s.pieces, func(p *piece) bool { return p != nil }) {
		delete(t.services, s.key)
	}
}

// count moves a piece from one verdict to another in the tally.
func (t *Table) count(cluster int, p *piece, v health.Verdict) {
	standing := func(v health.Verdict) CountKey {
		return CountKey{t.members[cluster].Name, v.State, v.Why, v.Stale}
	}
	if was := p.verdict(); was != (health.Verdict{}) {
		old := standing(was)
		if t.tally[old]--; t.tally[old] == 0 {
			delete(t.tally, old)
		}
	}
	v.Hold = 0 // it goes down all the time
	switch {
	case v == (health.Verdict{}):
		p.judged = nil
		return
	case p.verdict() != v:
		p.judged = share(t.verdicts, v, v)
	}
	t.tally[standing(v)]++
}

// maxShared bounds how many are kept to be shared. There are a few reasons and some hundreds of places; but members name the
// latter.
const maxShared = 10_000

// share gives the one copy of something.
func share[K comparable, V any](all map[K]*V, k K, v V) *V {
	if all[k] == nil {
		if len(all) >= maxShared {
			clear(all)
		}
		all[k] = &v
	}
	return all[k]
}
