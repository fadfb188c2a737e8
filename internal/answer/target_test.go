package answer_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// Where a port isn't the same everywhere, each record leads to where it is so, and no
// record to an address at which nothing takes what comes.
func TestPartedPorts(t *testing.T) {
	at := func(zone, region string) topology.Place { return topology.Place{Zone: zone, Region: region} }
	usA, usB, eu, nowhere := at("us-a", "us"), at("us-b", "us"), at("eu-a", "eu"), topology.Place{}
	shard := func(p topology.Place, cluster uint16, addr string) snapshot.Shard {
		return snapshot.Shard{Place: p, Cluster: cluster, Addr: netip.MustParseAddr(addr)}
	}
	all := []snapshot.Shard{shard(usA, 0, "192.0.2.1"), shard(usA, 0, "2001:db8::1"), shard(usB, 1, "192.0.2.2"), shard(eu, 2, "192.0.2.3")}
	four := slices.DeleteFunc(slices.Clone(all), func(s snapshot.Shard) bool { return s.Addr.Is6() })
	port := func(n uint16, places ...topology.Place) snapshot.Port {
		return snapshot.Port{Name: "web", Proto: "tcp", Number: n, Places: places}
	}
	for _, tt := range []struct {
		name   string
		shards []snapshot.Shard
		ports  []snapshot.Port
		policy string
		active string
		asked  string
		want   string
	}{
		{"the same everywhere", all, []snapshot.Port{port(80)}, "all", "", "", "80"},
		{"listed everywhere", all, []snapshot.Port{port(80, usA, usB, eu)}, "all", "", "", "80"},
		{"not in us-a", all, []snapshot.Port{port(80, usB, eu)}, "all", "", "", "80 eu-a.eu 192.0.2.3, 80 us-b.us 192.0.2.2"},
		{"not in us-a, of the region", all, []snapshot.Port{port(80, usB, eu)}, "all", "", "us", "80 us-b.us 192.0.2.2"},
		{"in one place of the region, and it is asked", all, []snapshot.Port{port(80, usB, eu)}, "all", "", "us-b.us", "80"},
		{"two numbers", all, []snapshot.Port{port(80, usA, usB), port(8080, eu)}, "all", "", "", "80 us-a.us 192.0.2.1 2001:db8::1, 80 us-b.us 192.0.2.2, 8080 eu-a.eu 192.0.2.3"},
		{"two numbers, one in the region", all, []snapshot.Port{port(80, usA, usB), port(8080, eu)}, "all", "", "us", "80"},
		{"failover to one region", four, []snapshot.Port{port(80, usA, usB), port(8080, eu)}, "failover eu us", "eu", "", "8080 eu-a.eu 192.0.2.3"},
		{"failover to one that hasn't got it", four, []snapshot.Port{port(80, usB)}, "failover eu us", "eu", "", "80 us-b.us 192.0.2.2"},
		{"of no known place", []snapshot.Shard{shard(nowhere, 0, "192.0.2.1"), shard(eu, 1, "192.0.2.3")}, []snapshot.Port{port(80, eu), port(81, nowhere)}, "all", "", "", "80 eu-a.eu 192.0.2.3, 81"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := snapshot.ParsePolicy(strings.Fields(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			svc := &snapshot.Service{Key: snapshot.Key{Namespace: "shop", Name: "multi"}, Shards: slices.Clone(tt.shards), Ports: tt.ports, Policy: &p, Active: [snapshot.Families]string{tt.active, tt.active}}
			e := snapshot.NewFederation("fed").Edit()
			e.Topology(topology.New([]topology.Place{usA, usB, eu}))
			e.SetListed(true, true, nil)
			e.Set(svc.Freeze())
			var s *snapshot.Snapshot
			s = s.Next([]*snapshot.Federation{e.Done()})
			name := strings.TrimSuffix("_web._tcp.multi.shop.fed.svc."+tt.asked, ".")
			a := answer.Resolve(s, plain, labels(name), answer.TypeSRV, now)
			a.Choose(&answer.Client{})
			var got []string
			for target := range a.Targets(0) {
				line := fmt.Sprint(target.Port)
				if target.Narrow {
					line += " " + strings.TrimPrefix(a.Path.Host(target.At), "multi.shop.fed.svc.")
					for addr := range a.Behind(target.At) {
						line += " " + addr.String()
					}
				}
				got = append(got, line)
			}
			slices.Sort(got)
			if text := strings.Join(got, ", "); text != tt.want {
				t.Errorf("%s, want %s", text, tt.want)
			}
		})
	}
}

// BenchmarkTargets is what an SRV answer costs whose port isn't in every place of many
// shards.
func BenchmarkTargets(b *testing.B) {
	for _, n := range []int{8, 257, 4200} {
		var places []topology.Place
		for i := range 18 {
			places = append(places, topology.Place{Zone: fmt.Sprint("z", i), Region: fmt.Sprint("r", i/3)})
		}
		svc := &snapshot.Service{Key: snapshot.Key{Namespace: "shop", Name: "multi"}, Policy: &snapshot.Policy{}, Ports: []snapshot.Port{{Name: "web", Proto: "tcp", Number: 80, Places: places[1:]}}}
		for i := range n {
			svc.Shards = append(svc.Shards, snapshot.Shard{Place: places[i%len(places)], Cluster: uint16(i % len(places)), Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
		}
		e := snapshot.NewFederation("fed").Edit()
		e.Topology(topology.New(places))
		e.SetListed(true, true, nil)
		e.Set(svc.Freeze())
		var s *snapshot.Snapshot
		s = s.Next([]*snapshot.Federation{e.Done()})
		path := labels("_web._tcp.multi.shop.fed.svc")
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for turn := uint32(0); b.Loop(); turn++ {
				a := answer.Resolve(s, plain, path, answer.TypeSRV, now)
				for t := range a.Targets(turn) {
					for addr := range a.Behind(t.At) {
						sink += addr.BitLen()
					}
				}
			}
		})
	}
}

// Of any shards and ports, the records lead to each place that has the port, with the
// addresses there, each once.
func TestTargetsOfAny(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var places []topology.Place
		for i := range 1 + r.IntN(6) {
			places = append(places, topology.Place{Zone: fmt.Sprint("z", i), Region: fmt.Sprint("r", i/2)})
		}
		svc := &snapshot.Service{Key: snapshot.Key{Namespace: "shop", Name: "multi"}, Policy: &snapshot.Policy{}}
		at := map[topology.Place]map[string]bool{}
		for range 1 + r.IntN(30) {
			p, addr := places[r.IntN(len(places))], netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(12))})
			if r.IntN(4) == 0 {
				addr = netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: byte(r.IntN(4))})
			}
			svc.Shards = append(svc.Shards, snapshot.Shard{Place: p, Cluster: uint16(r.IntN(3)), Addr: addr})
			if at[p] == nil {
				at[p] = map[string]bool{}
			}
			at[p][addr.String()] = true
		}
		for n := range 2 {
			of := slices.Clone(places)
			r.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
			if of = of[:r.IntN(len(of)+1)]; len(of) > 0 {
				svc.Ports = append(svc.Ports, snapshot.Port{Name: "web", Proto: "tcp", Number: uint16(80 + n), Places: of})
			}
		}
		var want []string
		for _, p := range svc.Ports {
			for _, place := range p.Places {
				if len(at[place]) > 0 {
					want = append(want, fmt.Sprint(p.Number, " ", place.Zone, " ", slices.Sorted(maps.Keys(at[place]))))
				}
			}
		}
		e := snapshot.NewFederation("fed").Edit()
		e.Topology(topology.New(places))
		e.SetListed(true, true, nil)
		e.Set(svc.Freeze())
		var s *snapshot.Snapshot
		s = s.Next([]*snapshot.Federation{e.Done()})
		a := answer.Resolve(s, plain, labels("_web._tcp.multi.shop.fed.svc"), answer.TypeSRV, now)
		if !a.Parted() {
			continue
		}
		var got []string
		for target := range a.Targets(r.Uint32()) {
			var addrs []string
			for addr := range a.Behind(target.At) {
				addrs = append(addrs, addr.String())
			}
			slices.Sort(addrs)
			got = append(got, fmt.Sprint(target.Port, " ", target.At.Zone, " ", addrs))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%v of %v: %q, want %q", svc.Ports, svc.Shards, got, want)
		}
	}
}
