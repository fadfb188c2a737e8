package answer_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// Hosts stand beside federated names and static records as RFC 4592 and RFC 8020
// have it.
func TestHost(t *testing.T) {
	host := func(name, addr string) *snapshot.Service {
		s := &snapshot.Service{Key: snapshot.Key{Namespace: "shop", Name: name, Kind: snapshot.Host}, Policy: &snapshot.Policy{Choice: snapshot.Nearest}}
		if addr == "" {
			s.Down = "no shard is up"
		} else {
			s.Shards = []snapshot.Shard{{Addr: netip.MustParseAddr(addr), Place: topology.Place{Region: "eu"}}}
		}
		return s.Freeze()
	}
	federation := func(name string, settled bool, services ...*snapshot.Service) *snapshot.Federation {
		e := snapshot.NewFederation(name).Edit()
		for _, s := range services {
			e.Set(s)
		}
		e.Topology(topology.New([]topology.Place{{Region: "eu", Zone: "eu-a"}}))
		e.SetListed(true, settled, nil)
		return e.Done()
	}
	web := (&snapshot.Service{Key: snapshot.Key{Namespace: "shop", Name: "web"}, Down: "it isn't up"}).Freeze()
	hosts := []*snapshot.Service{
		host("shop.example.com", "192.0.2.1"), host("down.example.com", ""), host("a.deep.er.example.com", "192.0.2.2"),
		host("*.wild.example.com", "192.0.2.3"), host("sub.wild.example.com", "192.0.2.4"), host("*.all.example.com", "2001:db8::1"), host("eu.example.com", "192.0.2.5"), web,
	}
	for _, tt := range []struct {
		name    string
		static  int // labels that exist in static records
		settled bool
		t       answer.Type
		want    string
	}{
		{"shop", 0, true, answer.TypeA, "success 192.0.2.1"},
		{"shop", 0, false, answer.TypeA, "success 192.0.2.1"},
		{"shop", 0, true, answer.TypeAAAA, "nodata: no shard has an address of this family"},
		{"shop", 0, true, 16, "nodata: services have addresses only"},
		{"shop", 0, true, answer.TypeCNAME, "nodata: services have addresses only"},
		{"shop", 0, true, answer.TypeSRV, "nodata: services have addresses only"},
		{"shop", 1, true, answer.TypeA, "success 192.0.2.1"}, // static records stand below
		{"x.shop", 0, true, answer.TypeA, "nxdomain depth 1"},
		{"down", 0, true, answer.TypeA, "nodata: no shard is up"},
		{"er", 0, true, answer.TypeA, "nodata: empty non-terminal"},
		{"deep.er", 0, false, answer.TypeA, "nodata: empty non-terminal"},
		{"b.deep.er", 0, true, answer.TypeA, "nxdomain depth 2"},
		{"a.deep.er", 0, true, answer.TypeA, "success 192.0.2.2"},
		{"wild", 0, true, answer.TypeA, "nodata: empty non-terminal"},
		{"x.wild", 0, true, answer.TypeA, "success 192.0.2.3"},
		{"y.x.wild", 0, true, answer.TypeA, "success 192.0.2.3"},
		{"*.wild", 0, true, answer.TypeA, "success 192.0.2.3"},
		{"x.*.wild", 0, true, answer.TypeA, "nxdomain depth 2"},
		{"sub.wild", 0, true, answer.TypeA, "success 192.0.2.4"},
		{"x.sub.wild", 0, true, answer.TypeA, "nxdomain depth 2"},
		{"x.wild", 0, false, answer.TypeA, "notready"}, // a host may turn out to stand there
		{"x.wild", 1, true, answer.TypeA, "success 192.0.2.3"},
		{"y.x.wild", 2, true, answer.TypeA, "nxdomain depth 1"}, // a static name is closer
		{"x.wild", 2, true, answer.TypeA, "nxdomain depth 1"},
		{"x.all", 0, true, answer.TypeA, "nodata: no shard has an address of this family"},
		{"eu", 0, true, answer.TypeA, "success 192.0.2.5"}, // where a region's names stand below
		{"web.shop.fed.svc", 0, true, answer.TypeA, "nodata: it isn't up"},
		{"none", 0, true, answer.TypeA, "nxdomain depth 0"},
		{"x.svc", 0, true, answer.TypeA, "nxdomain depth 1"},
		{"none", 0, false, answer.TypeA, "notready"},
	} {
		s := &snapshot.Snapshot{Federations: []*snapshot.Federation{federation("two", true), federation("fed", tt.settled, hosts...)}}
		members := []answer.Member{{Index: 0, TTL: 60, Degraded: 30}, {Index: 1, TTL: 180, Degraded: 30}}
		rel := labels(tt.name)
		a := answer.Resolve(s, members, rel, tt.t, now)
		if a.Federation == nil {
			a.OrHost(s, members, tt.name+".example.com.", rel, tt.static, tt.t, now)
		}
		got := a.Outcome.String()
		switch a.Outcome {
		case answer.Found:
			for addr := range a.Addrs(tt.t == answer.TypeA, 0) {
				got += " " + addr.String()
			}
			if a.TTL != 180 || a.Index != 1 || a.Policy().Choice != snapshot.Nearest {
				t.Errorf("%s: TTL %d of federation %d", tt.name, a.TTL, a.Index)
			}
		case answer.NoData:
			got += ": " + a.Why
		case answer.NameError:
			got += fmt.Sprint(" depth ", a.Depth)
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	// What a route may yet turn out to claim is answered as it is without it, for a shorter time.
	mayBe := func(name string) *snapshot.Service {
		s := host(name, "")
		s.Unsure = true
		return s
	}
	all := append(slices.Clone(hosts), mayBe("u.wild.example.com"), mayBe("deep.down.wild.example.com"), mayBe("*.part.wild.example.com"), mayBe("new.example.com"), mayBe("*.deep.er.example.com"))
	for name, want := range map[string]string{
		"x.wild": "success 180", "u.wild": "success 30", "x.u.wild": "success 30", "y.down.wild": "success 30", "down.wild": "success 30", "deep.down.wild": "success 30",
		"part.wild": "success 30", "x.part.wild": "success 30", "sub.wild": "success 180", "new": "nxdomain 0", "x.new": "nxdomain 0", "b.deep.er": "nxdomain 0", "shop": "success 180",
	} {
		s := &snapshot.Snapshot{Federations: []*snapshot.Federation{federation("fed", true, all...)}}
		rel := labels(name)
		a := answer.Resolve(s, []answer.Member{{TTL: 180, Degraded: 30}}, rel, answer.TypeA, now)
		a.OrHost(s, []answer.Member{{TTL: 180, Degraded: 30}}, name+".example.com.", rel, 0, answer.TypeA, now)
		if got := fmt.Sprint(a.Outcome, " ", a.TTL); got != want || (a.Awaits != "") != (a.TTL == 30) {
			t.Errorf("%s: %s, not %s; waits for %q", name, got, want, a.Awaits)
		}
	}
	// Once it is claimed, or isn't, that is over.
	f := federation("fed", true, all...)
	e := f.Edit()
	e.Remove(snapshot.Key{Namespace: "another", Name: "u.wild.example.com", Kind: snapshot.Host})
	e.Remove(snapshot.Key{Namespace: "shop", Name: "deep.down.wild.example.com", Kind: snapshot.Host})
	e.Set(host("*.part.wild.example.com", "192.0.2.8"))
	after := e.Done()
	for name, want := range map[string][2]bool{"u.wild": {true, true}, "down.wild": {true, false}, "x.part.wild": {true, false}, "x.wild": {}} {
		if got := [2]bool{f.Unsure(name+".example.com", "wild.example.com"), after.Unsure(name+".example.com", "wild.example.com")}; got != want {
			t.Errorf("%s: unsure %v, not %v", name, got, want)
		}
	}
	if f.HostCount() != len(hosts)-1 || after.HostCount() != len(hosts) || f.Hosted("new.example.com") {
		t.Errorf("%d hosts, then %d", f.HostCount(), after.HostCount())
	}
	if none := (&snapshot.Snapshot{Federations: []*snapshot.Federation{federation("fed", true, web)}}); answer.Hosting(none, plain) {
		t.Error("hosts where there is none")
	}
}
