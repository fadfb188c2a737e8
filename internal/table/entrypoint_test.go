package table_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

var controller = snapshot.Key{Namespace: "ingress", Name: "controller"}

// What stands between clients and pods counts, where the cluster knows of it.
func TestInFront(t *testing.T) {
	const up, down = "shop.example.com shop 192.0.2.1 192.0.2.2", "shop.example.com shop 192.0.2.2"
	front := func(addrs ...string) *shard.Service { return service(controller, addrs...) }
	web2 := snapshot.Key{Namespace: "shop", Name: "web"}
	shop := func(change func(*shard.Routing)) *shard.Service {
		o := ingress("shop", "front", 1, "192.0.2.1", claim(host, "web"))
		its := o.Routing()
		if change != nil {
			change(&its)
		}
		return o.Route(its)
	}
	absent := shard.StandbySet{Service: (&shard.Service{Key: controller}).Route(shard.Routing{Absent: true})}
	on := func(node string, is bool) shard.Endpoint { return shard.Endpoint{Node: node, Ready: is} }
	for _, tt := range []struct {
		name    string
		changes []shard.Change
		want    string
		why     health.Reason
	}{
		{"nothing is known of it", nil, up, health.Ready},
		{"exported, ready", []shard.Change{shard.ServiceSet{Service: front("192.0.2.1")}, shard.SliceSet{Slice: slice(controller, ready(""))}}, up, health.Ready},
		{"exported, none ready", []shard.Change{shard.ServiceSet{Service: front("192.0.2.1")}, shard.SliceSet{Slice: slice(controller, on("n", false))}}, down, health.FrontDown},
		{"exported, no slice", []shard.Change{shard.ServiceSet{Service: front("192.0.2.1")}}, down, health.FrontDown},
		{"exported, at another address", []shard.Change{shard.ServiceSet{Service: front("192.0.2.7")}}, up, health.Ready},
		{"found by its address, none ready", []shard.Change{shard.StandbyList{Services: []*shard.Service{front("192.0.2.1")}}}, down, health.FrontDown},
		{"found by its address, ready", []shard.Change{shard.SliceSet{Slice: slice(controller, ready(""))}, shard.StandbySet{Service: front("192.0.2.1")}}, up, health.Ready},
		{"gone again", []shard.Change{shard.StandbySet{Service: front("192.0.2.1")}, shard.StandbyGone{Key: controller}}, up, health.Ready},
		{"not in the next list", []shard.Change{shard.StandbySet{Service: front("192.0.2.1")}, shard.StandbyList{}}, up, health.Ready},
		{"named, none ready", []shard.Change{shard.StandbySet{Service: front("10.0.0.1")}, shard.ServiceSet{Service: shop(func(r *shard.Routing) { r.Front = controller })}}, down, health.FrontDown},
		{"named, and nothing is known of it", []shard.Change{shard.ServiceSet{Service: shop(func(r *shard.Routing) { r.Front = controller })}}, up, health.Ready},
		{"named, and not there", []shard.Change{absent, shard.ServiceSet{Service: shop(func(r *shard.Routing) { r.Front = controller })}}, down, health.FrontMissing},
		{"named, ready; the address is another's that isn't", []shard.Change{
			shard.StandbySet{Service: front("10.0.0.1")}, shard.SliceSet{Slice: slice(controller, ready(""))},
			shard.ServiceSet{Service: service(snapshot.Key{Namespace: "ingress", Name: "other"}, "192.0.2.1")},
			shard.ServiceSet{Service: shop(func(r *shard.Routing) { r.Front = controller })},
		}, up, health.Ready},
		{"named by its class", []shard.Change{absent,
			shard.ClassSet{Class: shard.Class{Key: shard.ClassKey{Kind: shard.Ingress, Name: "nginx"}, Front: controller}},
			shard.ServiceSet{Service: shop(func(r *shard.Routing) { r.Class = "nginx" })},
		}, down, health.FrontMissing},
		{"named by the class that counts for all, later", []shard.Change{absent,
			shard.ClassSet{Class: shard.Class{Key: shard.ClassKey{Kind: shard.Ingress, Name: "nginx"}, Default: true, Front: controller}},
		}, down, health.FrontMissing},
		{"the class doesn't name it any more", []shard.Change{absent,
			shard.ClassSet{Class: shard.Class{Key: shard.ClassKey{Kind: shard.Ingress, Name: "nginx"}, Default: true, Front: controller}},
			shard.ClassList{Kind: shard.Ingress, Classes: []shard.Class{{Key: shard.ClassKey{Kind: shard.Ingress, Name: "nginx"}, Default: true}}},
		}, up, health.Ready},
		{"a class of another kind", []shard.Change{
			shard.ClassSet{Class: shard.Class{Key: shard.ClassKey{Kind: shard.Gateway, Name: "nginx"}, Default: true, Front: controller}},
		}, up, health.Ready},
		{"Local: an endpoint that is on no node", []shard.Change{
			shard.ServiceSet{Service: func() *shard.Service { o := front("192.0.2.1"); o.Spread = true; return o }()}, shard.SliceSet{Slice: slice(controller, on("", true))},
		}, down, health.FrontDown},
		{"Local: an endpoint on a node", []shard.Change{
			shard.ServiceSet{Service: func() *shard.Service { o := front("192.0.2.1"); o.Spread = true; return o }()}, shard.SliceSet{Slice: slice(controller, on("n", true))},
		}, up, health.Ready},
		{"its node is lost", []shard.Change{
			shard.ServiceSet{Service: front("192.0.2.1")}, shard.SliceSet{Slice: slice(controller, on("n", true))}, shard.NodeSet{Node: shard.Node{Name: "n", NotReady: true}},
		}, down, health.FrontDown},
		{"its node is back", []shard.Change{
			shard.ServiceSet{Service: front("192.0.2.1")}, shard.SliceSet{Slice: slice(controller, on("n", true))}, shard.NodeSet{Node: shard.Node{Name: "n", NotReady: true}},
			shard.NodeSet{Node: shard.Node{Name: "n"}},
		}, up, health.Ready},
		{"the nodes of the pods are lost", []shard.Change{
			shard.SliceSet{Slice: slice(web2, on("n", true))}, shard.NodeSet{Node: shard.Node{Name: "n", NotReady: true}},
		}, down, health.NodesNotReady},
		{"one node of two", []shard.Change{
			shard.SliceSet{Slice: slice(web2, on("m", true), on("n", true))}, shard.NodeSet{Node: shard.Node{Name: "n", NotReady: true}},
		}, up, health.Ready},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"}, shard.Cluster{Name: "us", Region: "us"})
			for i, addr := range []string{"192.0.2.1", "192.0.2.2"} {
				b.apply(i, lists()...).apply(i, shard.ServiceSet{Service: service(web2)}, shard.SliceSet{Slice: slice(web2, ready(""))},
					shard.ServiceSet{Service: ingress("shop", "front", 1, addr, claim(host, "web"))})
			}
			b.wantHosts(up)
			b.apply(0, tt.changes...)
			b.wantHosts(tt.want)
			check := func(b *bed) {
				t.Helper()
				for _, x := range b.table.Explain(snapshot.Key{Namespace: "shop", Name: host, Kind: snapshot.Host}, 0, nil).Shards {
					if x.Cluster == "eu" && x.Verdict.Why != tt.why {
						t.Errorf("why: %q, want %q", x.Verdict.Why, tt.why)
					}
				}
			}
			check(b)
			// Who learns it all at once comes to the same.
			again := hosting(t, shard.Cluster{Name: "eu", Region: "eu"}, shard.Cluster{Name: "us", Region: "us"})
			for i := range 2 {
				again.apply(i, b.table.Export(i)...)
			}
			again.wantHosts(tt.want)
			check(again)
		})
	}
}

// Of several addresses, those that nobody stands behind are left out.
func TestInFrontOfSome(t *testing.T) {
	b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
	o := ingress("shop", "front", 1, "192.0.2.1", claim(host, "web"))
	o.Addrs = append(o.Addrs, netip.MustParseAddr("192.0.2.2"))
	dns := service(snapshot.Key{Namespace: "ingress", Name: "dns"}, "192.0.2.1") // shares the address, at port 53
	dns.Port = 53
	other := service(controller, "192.0.2.1")
	other.Port = 443
	b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: o}, shard.StandbySet{Service: other}, shard.StandbySet{Service: dns}, shard.SliceSet{Slice: slice(dns.Key, ready(""))})
	b.wantHosts("shop.example.com shop 192.0.2.2")
	b.apply(0, shard.SliceSet{Slice: slice(controller, ready(""))})
	b.wantHosts("shop.example.com shop 192.0.2.1 192.0.2.2")
	b.apply(0, shard.StandbyGone{Key: controller})
	b.apply(0, shard.SliceSet{Slice: slice(dns.Key)})
	b.wantHosts("shop.example.com shop 192.0.2.2") // then dns is all that is known there
	if s := b.fed.Host(host); strings.Contains(s.Down, "front") {
		t.Error(s.Down)
	}
}

// What a Gateway's controller says counts: of the Gateway, and of each listener.
func TestGatewayStatus(t *testing.T) {
	listener := func(name string, notReady bool) shard.Listener {
		return shard.Listener{Name: name, From: shard.AnyWhere, NotReady: notReady}
	}
	for _, tt := range []struct {
		name    string
		blocked health.Reason
		listen  []shard.Listener
		want    string
		down    string
	}{
		{"well", "", []shard.Listener{listener("http", false)}, "shop.example.com shop 192.0.2.1", ""},
		{"not programmed", health.NotProgrammed, []shard.Listener{listener("http", false)}, "shop.example.com shop", "no shard is up: gateway not programmed in 1 cluster"},
		{"its only listener isn't ready", "", []shard.Listener{listener("http", true)}, "shop.example.com shop", "no shard is up: listener not ready in 1 cluster"},
		{"one of two isn't ready", "", []shard.Listener{listener("https", true), listener("http", false)}, "shop.example.com shop 192.0.2.1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
			g := gateway("infra", "gw", "192.0.2.1", tt.listen...)
			g.Object.Route(shard.Routing{Blocked: tt.blocked})
			b.apply(0, lists()...).apply(0, shard.FrontendSet{Frontend: g}, shard.FrontendSet{Frontend: route(shard.HTTPRoute, "shop", "r", to("infra", "gw"), []string{host})})
			b.wantHosts(tt.want)
			if s := b.fed.Host(host); s.Down != tt.down {
				t.Errorf("%q, want %q", s.Down, tt.down)
			}
			// An Ingress for the same host goes on where the Gateway doesn't.
			b.apply(0, shard.ServiceSet{Service: ingress("shop", "old", 9, "192.0.2.9", claim(host))})
			if want := strings.TrimSuffix(tt.want, " 192.0.2.1") + " 192.0.2.9"; tt.down != "" {
				b.wantHosts(want)
			}
		})
	}
}

// A Service of which only the nodes' own endpoints are reached.
func TestLocalTrafficPolicy(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "eu", Region: "eu"})
	o := service(web, "192.0.2.1")
	o.Spread = true
	b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: o}, shard.SliceSet{Slice: slice(web, shard.Endpoint{Ready: true})})
	b.publish()
	if s := b.fed.Service(web); s.Down != "no shard is up: externalTrafficPolicy Local without an endpoint on a node in 1 cluster" {
		t.Error(s.Down)
	}
	b.apply(0, shard.SliceSet{Slice: slice(web, shard.Endpoint{Node: "n", Ready: true})})
	b.publish()
	if s := b.fed.Service(web); len(s.Shards) != 1 {
		t.Error(s.Down)
	}
}
