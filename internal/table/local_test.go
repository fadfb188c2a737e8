package table_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

var local = shard.Policy{Hold: 5 * time.Minute, Local: shard.Local{Cluster: "gce-us", Namespace: "fed"}}

// inside is what is answered to the cluster's own pods.
func (b *bed) inside(k snapshot.Key) string {
	s := b.fed.Service(k)
	if s == nil || s.Local == nil {
		return "-"
	}
	var out []any
	for _, sh := range s.Local.Shards {
		out = append(out, sh.Addr)
	}
	for _, p := range s.Local.Ports {
		out = append(out, fmt.Sprint(p.Name, "/", p.Number))
	}
	if s.Local.Stale {
		out = append(out, "stale")
	}
	return strings.TrimSpace(fmt.Sprintln(out...))
}

// here is a cluster with a Service of its pods, in zone us-a.
func here(t *testing.T, p shard.Policy, change func(*shard.Service), es ...shard.Endpoint) *bed {
	b := newBedWith(t, p, shard.Cluster{Name: "gce-us"}, shard.Cluster{Name: "gce-eu"})
	o := (&shard.Service{Key: web, Ports: []shard.Port{{Name: "http", Proto: "tcp", Number: 80}}}).Extend(shard.Extras{Inside: []netip.Addr{netip.MustParseAddr("10.0.0.1")}})
	if change != nil {
		change(o)
	}
	n := shard.Node{Name: "n1", Region: "us", Zone: "us-a"}
	slices := []*shard.Slice{{Key: shard.SliceKey{Namespace: "shop", Name: "web-1"}, Service: "web", Endpoints: es, Ports: []shard.Port{{Name: "http", Proto: "tcp", Number: 8080}}}}
	b.apply(0, shard.NodeList{Nodes: []shard.Node{n}}, shard.ServiceList{Services: []*shard.Service{o}}, shard.ServiceList{Kind: snapshot.Ing}, shard.SliceList{Slices: slices})
	return b.apply(1, shard.NodeList{}, shard.ServiceList{}, shard.ServiceList{Kind: snapshot.Ing}, shard.SliceList{}).publish()
}

// A shard is local if an endpoint is ready and it has an address inside; what it has
// outside doesn't matter.
func TestLocal(t *testing.T) {
	pod := func(addr string, ready bool) shard.Endpoint {
		return shard.Endpoint{Zone: "us-a", Ready: ready, Addr: netip.MustParseAddr(addr)}
	}
	up, down := shard.Endpoint{Zone: "us-a", Ready: true}, shard.Endpoint{Zone: "us-a"}
	headless := func(o *shard.Service) { o.Extend(shard.Extras{}).Headless = true }
	for _, tt := range []struct {
		name   string
		change func(*shard.Service)
		es     []shard.Endpoint
		want   string
		why    string
	}{
		{"ready", nil, []shard.Endpoint{up}, "10.0.0.1 http/80", "ready"},
		{"a balancer without an address", func(o *shard.Service) { o.Balancer = true }, []shard.Endpoint{up}, "10.0.0.1 http/80", "ready"},
		{"an address outside", func(o *shard.Service) { o.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }, []shard.Endpoint{up, down}, "10.0.0.1 http/80", "ready"},
		{"not ready", nil, []shard.Endpoint{down}, "-", "no ready endpoint"},
		{"no endpoint", nil, nil, "-", "no ready endpoint"},
		{"which all count", func(o *shard.Service) { o.NotReady = true }, []shard.Endpoint{down}, "10.0.0.1 http/80", "ready"},
		{"no address", func(o *shard.Service) { o.Extend(shard.Extras{}) }, []shard.Endpoint{up}, "-", "no address inside the cluster"},
		{"being deleted", func(o *shard.Service) { o.Deleting = true }, []shard.Endpoint{up}, "-", "being deleted"},
		{"headless", headless, []shard.Endpoint{pod("10.1.0.2", true), pod("10.1.0.1", true), pod("10.1.0.3", false)}, "10.1.0.1 10.1.0.2 http/8080", "ready"},
		{"headless, not ready", headless, []shard.Endpoint{pod("10.1.0.3", false)}, "-", "no ready endpoint"},
		{"headless, which all count", func(o *shard.Service) { headless(o); o.NotReady = true }, []shard.Endpoint{pod("10.1.0.3", false)}, "10.1.0.3 http/8080", "ready"},
		{"nobody can use it", func(o *shard.Service) {
			o.Extend(shard.Extras{Inside: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
		}, []shard.Endpoint{up}, "-", "addresses that nobody can use"},
		{"headless, some that nobody can use", headless, []shard.Endpoint{pod("169.254.1.1", true), pod("10.1.0.1", true)}, "10.1.0.1 http/8080", "ready"},
		{"headless, without addresses", headless, []shard.Endpoint{up}, "-", "no address inside the cluster"},
	} {
		b := here(t, local, tt.change, tt.es...)
		if got := b.inside(web); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if got := b.table.Explain(web, now, nil).Shards[0].Inside.Verdict.Why; string(got) != tt.why {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.why)
		}
	}
	if got := here(t, policy, nil, up).inside(web); got != "-" {
		t.Errorf("without a local cluster: %s", got)
	}
}

// Silence, isolation, holds and orders are what they are for the shard's addresses
// outside.
func TestLocalTrouble(t *testing.T) {
	up := shard.Endpoint{Zone: "us-a", Ready: true}
	b := here(t, local, nil, up)
	step := func(what, want string) {
		t.Helper()
		if got := b.publish().inside(web); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	b.table.Silence(0, b.now)
	step("silent", "10.0.0.1 http/80 stale")
	b.now += local.Hold
	b.table.Advance(b.now)
	step("beyond the hold", "-")
	b.table.Refresh(0, b.now)
	step("heard again", "10.0.0.1 http/80")
	order := func(action override.Action, s override.Subject) []override.Order {
		return []override.Order{{Action: action, Subject: s, Reason: "r"}}
	}
	b.table.Override(order(override.Drain, override.Subject{Kind: override.Cluster, Name: "gce-us"}))
	step("drained", "-")
	b.table.Override(order(override.Drain, override.Subject{Kind: override.Cluster, Name: "gce-eu"}))
	step("another is drained", "10.0.0.1 http/80")
	b.apply(0, shard.SliceGone{Key: shard.SliceKey{Namespace: "shop", Name: "web-1"}})
	step("without endpoints", "-")
	b.table.Override(order(override.Up, override.Subject{Kind: override.Service, Namespace: "shop", Name: "web"}))
	step("forced up", "10.0.0.1 http/80")
	lost := b.table.Explain(web, b.now, func(c topology.ClusterName) bool { return c == "gce-us" })
	if lost.Answered.Local != nil {
		t.Error("a cluster that is lost is local still")
	}
}

// The cluster stands in the narrowest scope that holds all of its places.
func TestHome(t *testing.T) {
	node := func(name, region, zone string) shard.Node { return shard.Node{Name: name, Region: region, Zone: zone} }
	for _, tt := range []struct {
		name  string
		nodes []shard.Node
		want  topology.Scope
	}{
		{"one zone", []shard.Node{node("a", "us", "us-a"), node("b", "us", "us-a")}, topology.Scope{Region: "us", Zone: "us-a"}},
		{"two zones", []shard.Node{node("a", "us", "us-a"), node("b", "us", "us-b")}, topology.Scope{Region: "us"}},
		{"a region", []shard.Node{node("a", "us", "")}, topology.Scope{Region: "us"}},
		{"two regions", []shard.Node{node("a", "us", "us-a"), node("b", "eu", "eu-b")}, topology.Global},
		{"nothing known", []shard.Node{node("a", "", "")}, topology.Global},
	} {
		b := newBedWith(t, local, shard.Cluster{Name: "gce-eu"}, shard.Cluster{Name: "gce-us"}).publish()
		if b.fed.Home.Known {
			t.Errorf("%s: known before it was listed", tt.name)
		}
		b.apply(1, shard.NodeList{Nodes: tt.nodes}, shard.ServiceList{}, shard.ServiceList{Kind: snapshot.Ing}, shard.SliceList{}).publish()
		if want := (snapshot.Home{Scope: tt.want, Known: true}); b.fed.Home != want {
			t.Errorf("%s: %+v, want %+v", tt.name, b.fed.Home, want)
		}
	}
	b := newBedWith(t, local, shard.Cluster{Name: "gce-us"}).publish()
	if b.table.EndWait(); !b.publish().fed.Home.Known {
		t.Error("it has had its time")
	}
	other := local
	other.Local.Cluster = "gone"
	if b = here(t, other, nil); b.fed.Home != (snapshot.Home{Known: true}) {
		t.Errorf("of no member: %+v", b.fed.Home)
	}
}

// A namespace with the federation's name is said once, and known for as long as it is
// there.
func TestNamesake(t *testing.T) {
	b := here(t, local, nil)
	in := snapshot.Key{Namespace: "fed", Name: "web"}
	for i, tt := range []struct {
		change shard.Change
		want   bool
		said   int
	}{
		{shard.Shadowed{}, false, 0},
		{shard.Shadowed{Is: true}, true, 1},
		{shard.ServiceSet{Service: &shard.Service{Key: in}}, true, 0},
		{shard.Shadowed{}, true, 0}, // whoever may not list namespaces still has its Services
		{shard.ServiceGone{Key: in}, false, 0},
	} {
		b.apply(0, tt.change)
		if got := b.table.Shadowed(0); got != tt.want {
			t.Errorf("step %d: %v", i, got)
		}
		if tt.said > 0 && !b.table.Dirty() {
			t.Errorf("step %d: it waits for something else to be published", i)
		}
		if n := b.table.Notices(); len(n) != tt.said || tt.said > 0 && n[0].Kind != shard.NameClash {
			t.Errorf("step %d: %v", i, n)
		}
		b.publish()
	}
	b.apply(1, shard.Shadowed{Is: true})
	if b.table.Shadowed(1) || len(b.table.Notices()) > 0 {
		t.Error("nobody asks for another cluster's names here")
	}
}
