package table_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

const now = time.Hour

var policy = shard.Policy{Hold: 5 * time.Minute}

var web = snapshot.Key{Namespace: "shop", Name: "web"}

// A bed is a table with the federation it has published.
type bed struct {
	t     *testing.T
	now   time.Duration
	table *table.Table
	fed   *snapshot.Federation
	moved []string
}

func newBed(t *testing.T, clusters ...shard.Cluster) *bed {
	return newBedWith(t, policy, clusters...)
}

func newBedWith(t *testing.T, p shard.Policy, clusters ...shard.Cluster) *bed {
	return &bed{t: t, now: now, table: table.New(clusters, p), fed: snapshot.NewFederation("fed")}
}

func (b *bed) apply(cluster int, changes ...shard.Change) *bed {
	for _, c := range changes {
		b.table.Apply(cluster, c)
	}
	return b
}

func (b *bed) publish() *bed {
	fed, moved := b.table.Publish(b.fed, b.now)
	b.fed, b.moved = fed, nil
	for _, m := range moved {
		b.moved = append(b.moved, m.String())
	}
	return b
}

// up says where the service is answered: "region/zone address ..." sorted.
func (b *bed) up(k snapshot.Key) string {
	s := b.fed.Service(k)
	if s == nil {
		return "unknown"
	}
	var out []string
	for _, sh := range s.Shards {
		out = append(out, sh.Place.Region+"/"+sh.Place.Zone+" "+sh.Addr.String())
	}
	return strings.Join(out, ", ")
}

func (b *bed) want(k snapshot.Key, want string) {
	b.t.Helper()
	if got := b.publish().up(k); got != want {
		b.t.Errorf("%v is answered as %q, want %q", k, got, want)
	}
}

func (b *bed) wantNotice(text string) {
	b.t.Helper()
	ns := b.table.Notices()
	if !slices.ContainsFunc(ns, func(n shard.Notice) bool { return strings.Contains(n.Text, text) }) {
		b.t.Errorf("no notice says %q: %v", text, ns)
	}
}

func service(k snapshot.Key, addrs ...string) *shard.Service {
	s := &shard.Service{Key: k, Balancer: true}
	for _, a := range addrs {
		s.Addrs = append(s.Addrs, netip.MustParseAddr(a))
	}
	return s
}

func slice(k snapshot.Key, es ...shard.Endpoint) *shard.Slice {
	return &shard.Slice{Key: shard.SliceKey{Namespace: k.Namespace, Name: k.Name + "-x"}, Service: k.Name, Endpoints: es}
}

func ready(zone string) shard.Endpoint  { return shard.Endpoint{Zone: zone, Ready: true} }
func onNode(node string) shard.Endpoint { return shard.Endpoint{Node: node, Ready: true} }

// lists makes a cluster listed with nothing in it but its nodes.
func lists(nodes ...shard.Node) []shard.Change {
	return []shard.Change{
		shard.ServiceList{Kind: snapshot.Svc}, shard.ServiceList{Kind: snapshot.Ing}, shard.SliceList{}, shard.NodeList{Nodes: nodes},
	}
}

func TestPlaces(t *testing.T) {
	n1, n2 := shard.Node{Name: "n1", Region: "us", Zone: "us-a"}, shard.Node{Name: "n2", Region: "us", Zone: "us-b"}
	for _, tt := range []struct {
		name    string
		cluster shard.Cluster
		nodes   []shard.Node
		es      []shard.Endpoint
		want    string
	}{
		{"zones of its ready endpoints", shard.Cluster{}, []shard.Node{n1, n2}, []shard.Endpoint{ready("us-a")}, "us/us-a 192.0.2.1"},
		{"both", shard.Cluster{}, []shard.Node{n1, n2}, []shard.Endpoint{ready("us-a"), ready("us-b")}, "us/us-a 192.0.2.1, us/us-b 192.0.2.1"},
		{"not of those that aren't ready", shard.Cluster{}, []shard.Node{n1, n2}, []shard.Endpoint{{Zone: "us-a"}, ready("us-b")}, "us/us-b 192.0.2.1"},
		{"their node's", shard.Cluster{}, []shard.Node{n1, n2}, []shard.Endpoint{onNode("n2")}, "us/us-b 192.0.2.1"},
		{"none known: the cluster's own", shard.Cluster{}, []shard.Node{n1, n2}, []shard.Endpoint{ready("")}, "us/us-a 192.0.2.1, us/us-b 192.0.2.1"},
		{"no node at all, region configured", shard.Cluster{Region: "us"}, nil, []shard.Endpoint{ready("us-a")}, "us/us-a 192.0.2.1"},
		{"nothing known", shard.Cluster{}, nil, []shard.Endpoint{ready("")}, "/ 192.0.2.1"},
		{"a zone without a region", shard.Cluster{}, nil, []shard.Endpoint{ready("us-a")}, "/ 192.0.2.1"},
		{"region without zone", shard.Cluster{}, []shard.Node{{Name: "n", Region: "us"}}, []shard.Endpoint{ready("")}, "us/ 192.0.2.1"},
		{"configured region wins", shard.Cluster{Region: "eu"}, []shard.Node{n1}, []shard.Endpoint{ready("us-a")}, "eu/us-a 192.0.2.1"},
		{"configured zones win", shard.Cluster{Region: "eu", Zones: []string{"x"}}, []shard.Node{n1}, []shard.Endpoint{ready("us-a")}, "eu/x 192.0.2.1"},
		{"and are told apart", shard.Cluster{Region: "eu", Zones: []string{"x", "y"}}, nil, []shard.Endpoint{ready("y")}, "eu/y 192.0.2.1"},
		{"zones configured, region of the nodes", shard.Cluster{Zones: []string{"x"}}, []shard.Node{n1}, []shard.Endpoint{ready("")}, "us/x 192.0.2.1"},
		{"upper case is lowered", shard.Cluster{}, []shard.Node{{Name: "n", Region: "US", Zone: "US-A"}}, []shard.Endpoint{ready("US-A")}, "us/us-a 192.0.2.1"},
		{"a zone that can't be named is none of the others", shard.Cluster{}, []shard.Node{n1}, []shard.Endpoint{ready("us.a")}, "us/ 192.0.2.1"},
		{"a node without a region, of the only one", shard.Cluster{}, []shard.Node{n1, {Name: "m", Zone: "us-b"}}, []shard.Endpoint{onNode("m")}, "us/us-b 192.0.2.1"},
		{"a node without a region, of no other", shard.Cluster{}, []shard.Node{{Name: "m", Zone: "us-b"}}, []shard.Endpoint{ready("us-b")}, "/ 192.0.2.1"},
		{"a node without a region, of one of two", shard.Cluster{}, []shard.Node{n1, {Name: "e", Region: "eu", Zone: "eu-a"}, {Name: "m", Zone: "x"}}, []shard.Endpoint{onNode("m")}, "/ 192.0.2.1"},
		{"its zone, of one of two", shard.Cluster{}, []shard.Node{n1, {Name: "e", Region: "eu", Zone: "eu-a"}, {Name: "m", Zone: "x"}}, []shard.Endpoint{ready("x")}, "/ 192.0.2.1"},
		{"beside one that is known", shard.Cluster{}, []shard.Node{n1, {Name: "e", Region: "eu", Zone: "eu-a"}, {Name: "m", Zone: "x"}}, []shard.Endpoint{ready("x"), ready("us-a")}, "/ 192.0.2.1, us/us-a 192.0.2.1"},
		{"no endpoint ready", shard.Cluster{}, []shard.Node{n1}, []shard.Endpoint{{Zone: "us-a"}}, ""},
		{"stretched over two regions", shard.Cluster{}, []shard.Node{n1, {Name: "e", Region: "eu", Zone: "eu-a"}}, []shard.Endpoint{ready("us-a"), ready("eu-a")}, "eu/eu-a 192.0.2.1, us/us-a 192.0.2.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cluster.Name = "c"
			b := newBed(t, tt.cluster).apply(0, lists(tt.nodes...)...)
			b.apply(0, shard.ServiceSet{Service: service(web, "192.0.2.1")}, shard.SliceSet{Slice: slice(web, tt.es...)})
			b.want(web, tt.want)
		})
	}
}

// The story of one shard: pods go and come, the balancer moves, the node is
// relabelled, a second zone comes up, the Service goes.
func TestLife(t *testing.T) {
	node := shard.Node{Name: "n1", Region: "us", Zone: "us-a"}
	b := newBed(t, shard.Cluster{Name: "c"}).apply(0, lists(node)...)
	b.want(web, "unknown")
	b.apply(0, shard.SliceSet{Slice: slice(web, ready("us-a"))})
	b.want(web, "unknown") // slices come before their Service
	b.apply(0, shard.ServiceSet{Service: service(web, "192.0.2.1")})
	b.want(web, "us/us-a 192.0.2.1")
	b.apply(0, shard.SliceSet{Slice: slice(web, shard.Endpoint{Zone: "us-a"})})
	b.want(web, "")
	if got := b.fed.Service(web).Down; got != "no shard is up: no ready endpoint in 1 cluster" {
		t.Errorf("the reason is %q", got)
	}
	b.apply(0, shard.SliceSet{Slice: slice(web, ready("us-a"))}, shard.ServiceSet{Service: service(web, "192.0.2.9")})
	b.want(web, "us/us-a 192.0.2.9")
	b.apply(0, shard.NodeSet{Node: shard.Node{Name: "n1", Region: "us", Zone: "us-z"}}, shard.SliceSet{Slice: slice(web, ready("us-z"))})
	b.want(web, "us/us-z 192.0.2.9")
	if _, ok := b.fed.Map.Scope("us-a", "us"); ok {
		t.Error("the zone that the node left is still known")
	}
	b.apply(0, shard.NodeSet{Node: shard.Node{Name: "n2", Region: "us", Zone: "us-b"}}, shard.SliceSet{Slice: slice(web, ready("us-z"), ready("us-b"))})
	b.want(web, "us/us-b 192.0.2.9, us/us-z 192.0.2.9")
	b.apply(0, shard.ServiceGone{Key: web})
	b.want(web, "unknown")
	b.apply(0, shard.SliceGone{Key: shard.SliceKey{Namespace: "shop", Name: "web-x"}})
	b.want(web, "unknown")
	if b.table.Dirty() {
		t.Error("something is left to publish")
	}
}

// A new list is complete: what it lacks is gone, what it has is followed.
func TestRelist(t *testing.T) {
	node := shard.Node{Name: "n1", Region: "us", Zone: "us-a"}
	other := snapshot.Key{Namespace: "shop", Name: "api"}
	b := newBed(t, shard.Cluster{Name: "c"}).apply(0, lists(node)...)
	b.apply(0,
		shard.ServiceList{Services: []*shard.Service{service(web, "192.0.2.1"), service(other, "192.0.2.2")}},
		shard.SliceList{Slices: []*shard.Slice{slice(web, ready("us-a")), slice(other, ready("us-a"))}})
	b.want(other, "us/us-a 192.0.2.2")
	b.apply(0, shard.ServiceList{Services: []*shard.Service{service(web, "192.0.2.1")}}, shard.SliceList{Slices: []*shard.Slice{slice(web, ready("us-a"))}})
	b.want(other, "unknown")
	b.want(web, "us/us-a 192.0.2.1")
	// The same list again changes nothing.
	b.apply(0, shard.ServiceList{Services: []*shard.Service{service(web, "192.0.2.1")}}, shard.SliceList{Slices: []*shard.Slice{slice(web, ready("us-a"))}}, shard.NodeList{Nodes: []shard.Node{node}})
	if b.table.Dirty() {
		t.Error("a list without news is published")
	}
}

// No data is not no endpoints: a cluster counts only when it has been listed
// completely, and what happens before that is no change of state.
func TestFirstListing(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "c"}, shard.Cluster{Name: "d"})
	b.apply(0, shard.ServiceList{Services: []*shard.Service{service(web, "192.0.2.1")}})
	b.apply(0, shard.ServiceList{Kind: snapshot.Ing}, shard.NodeList{})
	b.want(web, "unknown")
	if b.fed.Heard || b.fed.Settled {
		t.Error("half a list has been heard")
	}
	b.apply(0, shard.SliceList{Slices: []*shard.Slice{slice(web, ready(""))}})
	b.want(web, "/ 192.0.2.1")
	if len(b.moved) > 0 || len(b.fed.Service(web).Recent) > 0 {
		t.Errorf("the first listing is news: %v %v", b.moved, b.fed.Service(web).Recent)
	}
	if !b.fed.Heard || b.fed.Settled {
		t.Errorf("heard %v, settled %v; one of two has been listed", b.fed.Heard, b.fed.Settled)
	}
	b.table.EndWait()
	if b.publish(); !b.fed.Settled {
		t.Error("not settled after all had their time")
	}
}

// A node that says its zone and no region is noticed, once for the zone, unless the
// configuration says the region.
func TestAstray(t *testing.T) {
	nodes := []shard.Node{{Name: "n1", Region: "us", Zone: "us-a"}, {Name: "m1", Zone: "us-b"}, {Name: "m2", Zone: "us-b"}}
	b := newBed(t, shard.Cluster{Name: "c"}, shard.Cluster{Name: "d", Region: "us"}).apply(0, lists(nodes...)...).apply(1, lists(nodes...)...)
	ns := b.table.Notices()
	if len(ns) != 1 || ns[0].Cluster != "c" || ns[0].Kind != shard.BadLabel || !strings.Contains(ns[0].Text, `node m1 is in zone "us-b" and has no label topology.kubernetes.io/region`) {
		t.Errorf("noticed: %v", ns)
	}
	if _, ok := b.publish().fed.Map.Scope("us-b", "us"); !ok {
		t.Error("the zone isn't in the cluster's only region")
	}
	b.apply(0, shard.NodeSet{Node: shard.Node{Name: "m1", Region: "us", Zone: "us-b"}}, shard.NodeSet{Node: nodes[2]})
	if ns := b.table.Notices(); len(ns) > 0 {
		t.Errorf("noticed again: %v", ns)
	}
}

func TestAddresses(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "c", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}).apply(0, lists()...)
	b.apply(0, shard.SliceSet{Slice: slice(web, ready(""))}, shard.ServiceSet{Service: service(web, "192.0.2.1", "198.51.100.1")})
	b.want(web, "/ 192.0.2.1")
	b.wantNotice("shop/web announces 198.51.100.1, outside the addresses of cluster \"c\"")
	b.apply(0, shard.ServiceSet{Service: service(web, "198.51.100.1")})
	b.want(web, "")
	if ns := b.table.Notices(); len(ns) > 0 {
		t.Errorf("said twice: %v", ns)
	}
	if got := b.fed.Service(web).Down; !strings.Contains(got, "outside the cluster's range") {
		t.Errorf("the reason is %q", got)
	}
}

// An address at which nobody can reach anything isn't announced, wherever it comes
// from; one that somebody may reach is.
func TestUnusable(t *testing.T) {
	for _, tt := range []struct{ addr, what string }{
		{"0.0.0.0", "an unspecified address"}, {"0.1.2.3", "an unspecified address"}, {"::", "an unspecified address"},
		{"127.0.0.1", "the loopback address"}, {"127.255.255.254", ""}, {"::1", "the loopback address"},
		{"224.0.0.1", "a multicast address"}, {"239.255.255.250", "a multicast address"}, {"ff02::1", "a multicast address"}, {"ff0e::1", "a multicast address"},
		{"169.254.0.1", "a link-local address"}, {"169.254.169.254", "a link-local address"}, {"fe80::1", "a link-local address"}, {"febf::1", "a link-local address"},
		{"255.255.255.255", "the broadcast address"},
		{"::ffff:127.0.0.1", "the loopback address"}, {"::ffff:0.0.0.0", "an unspecified address"}, {"::ffff:169.254.1.1", "a link-local address"},
		{"1.0.0.1", ""}, {"126.255.255.255", ""}, {"128.0.0.1", ""}, {"169.253.255.255", ""}, {"169.255.0.1", ""}, {"223.255.255.255", ""}, {"240.0.0.1", ""},
		{"255.255.255.254", ""}, {"10.0.0.1", ""}, {"172.16.0.1", ""}, {"192.168.1.1", ""}, {"100.64.0.1", ""}, {"192.0.2.1", ""},
		{"::2", ""}, {"fc00::1", ""}, {"fec0::1", ""}, {"2001:db8::1", ""},
	} {
		announced := service(web)
		announced.Addrs = []netip.Addr{netip.MustParseAddr(tt.addr)}
		resolved := service(web)
		resolved.Extend(shard.Extras{Hosts: []string{"lb.example.net"}})
		for from, s := range map[string]*shard.Service{"said": announced, "resolved": resolved} {
			b := newBed(t, shard.Cluster{Name: "c"}).apply(0, lists()...)
			b.apply(0, shard.SliceSet{Slice: slice(web, ready(""))}, shard.ServiceSet{Service: s})
			b.table.Resolved("lb.example.net", announced.Addrs)
			if tt.what == "" {
				b.want(web, "/ "+tt.addr)
				continue
			}
			b.want(web, "")
			b.wantNotice("shop/web announces " + tt.addr + ", " + tt.what + ", where nobody can reach it; left out")
			if got := b.fed.Service(web).Down; got != "no shard is up: addresses that nobody can use in 1 cluster" {
				t.Errorf("%s, %s: the reason is %q", tt.addr, from, got)
			}
			if got := b.table.Explain(web, 0, nil).Shards[0].Evidence.Unusable; got != 1 {
				t.Errorf("%s, %s: explained as %d unusable addresses", tt.addr, from, got)
			}
		}
	}
	b := newBed(t, shard.Cluster{Name: "c"}).apply(0, lists()...)
	b.apply(0, shard.SliceSet{Slice: slice(web, ready(""))}, shard.ServiceSet{Service: service(web, "127.0.0.1", "192.0.2.1")})
	b.want(web, "/ 192.0.2.1") // it takes only itself out
}

func TestHosts(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "c"}).apply(0, lists()...)
	s := service(web, "192.0.2.1")
	s.Extend(shard.Extras{Hosts: []string{"lb.example.net"}})
	b.apply(0, shard.SliceSet{Slice: slice(web, ready(""))}, shard.ServiceSet{Service: s})
	b.want(web, "/ 192.0.2.1") // one that doesn't resolve takes only itself out
	if got := b.table.Hosts(); !slices.Equal(got, []string{"lb.example.net"}) || !b.table.HostsChanged() {
		t.Errorf("hosts: %v", got)
	}
	b.table.Resolved("lb.example.net", []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")})
	b.want(web, "/ 192.0.2.1, / 192.0.2.7, / 2001:db8::7")
	b.table.Resolved("lb.example.net", []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")})
	if b.table.Dirty() {
		t.Error("the same addresses again are published")
	}
	b.table.Resolved("lb.example.net", nil)
	b.want(web, "/ 192.0.2.1")
	b.apply(0, shard.ServiceSet{Service: service(web, "192.0.2.1")})
	b.want(web, "/ 192.0.2.1")
	if len(b.table.Hosts()) > 0 || !b.table.HostsChanged() {
		t.Error("the hostname is still looked up")
	}
	b.table.Resolved("lb.example.net", []netip.Addr{netip.MustParseAddr("192.0.2.7")})
	if b.table.Dirty() {
		t.Error("a late resolver's word counts")
	}
}

// An Ingress follows the Services it leads to; one whose Services aren't exported
// is spoken for by its address.
func TestIngress(t *testing.T) {
	front := snapshot.Key{Namespace: "shop", Name: "front", Kind: snapshot.Ing}
	b := newBed(t, shard.Cluster{Name: "c"}).apply(0, lists(shard.Node{Name: "n", Region: "us", Zone: "us-a"})...)
	ing := service(front, "192.0.2.1")
	ing.Route(shard.Routing{Backends: []snapshot.Key{web}})
	b.apply(0, shard.ServiceSet{Service: ing})
	b.want(front, "us/us-a 192.0.2.1")
	b.apply(0, shard.ServiceSet{Service: service(web)})
	b.want(front, "")
	b.apply(0, shard.SliceSet{Slice: slice(web, ready("us-b"))})
	b.want(front, "us/us-b 192.0.2.1")
	b.apply(0, shard.ServiceGone{Key: front})
	b.want(front, "unknown")
}

func TestDisagreement(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "c"}, shard.Cluster{Name: "d"}).apply(0, lists()...).apply(1, lists()...)
	for i, s := range []struct{ ttl, created int64 }{{60, 200}, {90, 100}} {
		o := service(web)
		o.TTL, o.Created = uint32(s.ttl), s.created
		b.apply(i, shard.ServiceSet{Service: o})
	}
	b.publish()
	if got := b.fed.Service(web).TTL; got != 0 {
		t.Errorf("TTL %d, want the federation's", got)
	}
	b.wantNotice(`clusters "c" and "d" disagree on fedns.io/ttl; that of the federation counts`)
}

func TestPorts(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "c", Region: "us"}, shard.Cluster{Name: "d", Region: "eu"}).apply(0, lists()...).apply(1, lists()...)
	for i, ports := range [][]shard.Port{{{Name: "http", Proto: "tcp", Number: 80}, {Name: "dns", Proto: "udp", Number: 53}}, {{Name: "http", Proto: "tcp", Number: 80}}} {
		s := service(web, fmt.Sprint("192.0.2.", i+1))
		s.Ports = ports
		b.apply(i, shard.ServiceSet{Service: s}, shard.SliceSet{Slice: slice(web, ready(""))})
	}
	b.publish()
	want := []snapshot.Port{
		{Name: "dns", Proto: "udp", Number: 53, Places: []topology.Place{{Region: "us"}}},
		{Name: "http", Proto: "tcp", Number: 80},
	}
	if got := b.fed.Service(web).Ports; !reflect.DeepEqual(got, want) {
		t.Errorf("ports %v, want %v", got, want)
	}
}

func TestNotices(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "c"}).apply(0, lists(
		shard.Node{Name: "n", Region: "us", Zone: "a.b"}, shard.Node{Name: "o", Region: "eu", Zone: "us"})...)
	b.publish()
	b.wantNotice(`"a.b" is not one DNS label`)
	b = newBed(t, shard.Cluster{Name: "c"}).apply(0, lists(shard.Node{Name: "o", Region: "eu", Zone: "us"}, shard.Node{Name: "p", Region: "us", Zone: "x"})...)
	b.publish()
	b.wantNotice(`"us" is a zone and a region`)
}

func TestTally(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "c"}).apply(0, lists()...)
	api := snapshot.Key{Namespace: "shop", Name: "api"}
	b.apply(0, shard.ServiceSet{Service: service(web, "192.0.2.1")}, shard.ServiceSet{Service: service(api, "192.0.2.2")}, shard.SliceSet{Slice: slice(web, ready(""))})
	b.publish()
	want := map[table.CountKey]int{
		{Cluster: "c", State: health.Up, Why: health.Ready}:        1,
		{Cluster: "c", State: health.Down, Why: health.NoEndpoint}: 1,
	}
	if got := b.table.Counts(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	b.apply(0, lists()...).publish()
	if got := b.table.Counts(); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}

// Whatever order the world reports in, the same world is answered the same way;
// and a table that takes over another's holdings answers as it does.
func TestNoHistory(t *testing.T) {
	clusters := []shard.Cluster{{Name: "c"}, {Name: "d", Region: "eu", Zones: []string{"eu-a", "eu-b"}}}
	var world [][]shard.Change
	for c := range clusters {
		var changes []shard.Change
		for i := range 20 {
			k := snapshot.Key{Namespace: "ns", Name: fmt.Sprint("s", i)}
			s := service(k, fmt.Sprintf("192.0.%d.%d", c, i))
			s.Ports = []shard.Port{{Name: fmt.Sprint("p", i%3), Proto: "tcp", Number: uint16(c)}}
			changes = append(changes, shard.ServiceSet{Service: s})
			if i%4 > 0 {
				changes = append(changes, shard.SliceSet{Slice: slice(k, ready("eu-a"), onNode("n1"))})
			}
		}
		changes = append(changes, shard.NodeSet{Node: shard.Node{Name: "n1", Region: "us", Zone: "us-a"}})
		world = append(world, changes)
	}
	play := func(noise bool) (*table.Table, map[snapshot.Key]*snapshot.Service) {
		b := newBed(t, clusters...)
		for c, changes := range world {
			b.apply(c, lists()...)
			if noise { // things that come and go again leave no trace
				for i := range 20 {
					k := snapshot.Key{Namespace: "ns", Name: fmt.Sprint("s", i)}
					b.apply(c, shard.ServiceSet{Service: service(k, "203.0.113.1")}, shard.SliceSet{Slice: slice(k, ready("zz"))})
				}
				b.apply(c, lists()...)
			}
			shuffled := slices.Clone(changes)
			rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			b.apply(c, shuffled...)
		}
		b.publish()
		return b.table, answered(b.fed)
	}
	table, want := play(false)
	for i := range 30 {
		if _, got := play(i%2 == 0); !reflect.DeepEqual(got, want) {
			t.Fatalf("run %d: history shows:\n got %v\nwant %v", i, got, want)
		}
	}
	heir := newBed(t, clusters...)
	for c := range clusters {
		heir.apply(c, table.Export(c)...)
	}
	if got := answered(heir.publish().fed); !reflect.DeepEqual(got, want) {
		t.Errorf("the heir answers otherwise:\n got %v\nwant %v", got, want)
	}
}

func answered(f *snapshot.Federation) map[snapshot.Key]*snapshot.Service {
	out := map[snapshot.Key]*snapshot.Service{}
	for s := range f.Services() {
		s := *s
		s.Recent = nil // when something changed is history, and meant to be
		out[s.Key] = &s
	}
	return out
}

func BenchmarkChange(b *testing.B) {
	for _, of := range []struct{ clusters, services int }{{8, 10}, {8, 1000}, {8, 10_000}, {8, 100_000}, {100, 1000}, {100, 10_000}} {
		n := of.services
		b.Run(fmt.Sprint(n, "_services_in_", of.clusters), func(b *testing.B) {
			var clusters []shard.Cluster
			for c := range of.clusters {
				clusters = append(clusters, shard.Cluster{Name: topology.ClusterName(fmt.Sprint("c", c)), Region: fmt.Sprint("r", c/2), Zones: []string{fmt.Sprint("z", c)}})
			}
			t := table.New(clusters, policy)
			key := func(i int) snapshot.Key {
				return snapshot.Key{Namespace: fmt.Sprint("ns", i%20), Name: fmt.Sprint("svc", i)}
			}
			for c := range clusters {
				for _, l := range lists() {
					t.Apply(c, l)
				}
				for i := range n {
					t.Apply(c, shard.ServiceSet{Service: service(key(i), fmt.Sprintf("10.%d.%d.%d", c, i>>8&255, i&255))})
					t.Apply(c, shard.SliceSet{Slice: slice(key(i), ready(fmt.Sprint("z", c)))})
				}
			}
			f, _ := t.Publish(snapshot.NewFederation("fed"), now)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k := key(i / 2 % n)
				t.Apply(3, shard.SliceSet{Slice: slice(k, shard.Endpoint{Zone: "z3", Ready: i%2 == 1})})
				f, _ = t.Publish(f, now)
			}
		})
	}
}
