package table_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A cluster that joins counts once it has been listed; one that leaves takes its
// shards and its names along, and nothing else.
func TestJoinAndLeave(t *testing.T) {
	b := three(t, policy)
	b.table.Silence(1, now-time.Minute)
	api := snapshot.Key{Namespace: "shop", Name: "api"}

	at := b.table.Join(shard.Cluster{Name: "d", Region: "r3", Zones: []string{"z3"}})
	b.publish().wantAddrs("one has joined, and said nothing", "0 1~ 2")
	if b.fed.Settled {
		t.Error("settled, though nobody knows what the new one has")
	}
	if _, ok := b.fed.Map.Scope("z3", "r3"); !ok {
		t.Error("its zone isn't known")
	}
	b.apply(at, shard.ServiceSet{Service: service(web, "192.0.2.3")}, shard.SliceSet{Slice: slice(web, ready("z3"))}, shard.ServiceSet{Service: service(api, "192.0.2.4")})
	b.publish().wantAddrs("half a list", "0 1~ 2")
	b.apply(at, shard.ServiceList{Kind: snapshot.Svc, Services: []*shard.Service{service(web, "192.0.2.3"), service(api, "192.0.2.4")}})
	b.apply(at, lists()[1], shard.SliceList{Slices: []*shard.Slice{slice(web, ready("z3"))}}, shard.NodeList{})
	b.publish().wantAddrs("listed", "0 1~ 2 3")
	if !b.fed.Settled {
		t.Error("not settled")
	}
	if since, silent := b.table.Silent(1); !silent || since != now-time.Minute {
		t.Errorf("the silence of another: %v %v", since, silent)
	}

	b.table.Leave(0, b.now)
	b.publish().wantAddrs("the first has left", "1~ 2 3")
	if _, ok := b.fed.Map.Scope("z0", "r0"); ok {
		t.Error("its zone is still known")
	}
	if ttl := b.fed.Service(web).Recent; !slices.ContainsFunc(ttl, func(r snapshot.Recent) bool { return r.Place.Zone == "z0" }) {
		t.Errorf("answers don't know that something has just gone: %v", ttl)
	}
	b.table.Leave(at, b.now)
	b.publish().wantAddrs("and the last", "1~ 2")
	b.want(api, "unknown")
	for s, n := range b.table.Counts() {
		if s.Cluster != "c1" && s.Cluster != "c2" {
			t.Errorf("%d are still counted of %s", n, s.Cluster)
		}
	}
	if got := b.table.Join(shard.Cluster{Name: "e"}); got != 0 {
		t.Errorf("index %d; the first is free", got)
	}
}

// Leaving isn't what the guard is for, and neither are what it has kept of the one
// that leaves, nor another word about where a cluster is.
func TestGuardOrdered(t *testing.T) {
	p := shard.Policy{Guard: shard.Guard{Percent: 50, Time: 10 * time.Second, Min: 20}}
	b := many(t, 100, p)
	b.table.Leave(0, b.now)
	if b.at(0); b.answered() != 0 || b.fed.Size() != 0 || b.table.Held() != 0 {
		t.Errorf("it has left: %d addresses, %d names, %d held", b.answered(), b.fed.Size(), b.table.Held())
	}

	b = many(t, 100, p)
	b.apply(0, lists()...)
	if b.at(0); b.answered() != 100 {
		t.Fatalf("the guard keeps %d", b.answered())
	}
	b.table.Leave(0, b.now)
	if b.at(time.Second); b.answered() != 0 || b.table.Held() != 0 {
		t.Errorf("it has left while the guard kept it: %d addresses, %d held", b.answered(), b.table.Held())
	}

	b = many(t, 100, p)
	b.table.Change(0, shard.Cluster{Name: "c", Region: "eu", Zones: []string{"eu-a"}})
	if b.at(0); b.table.Held() != 0 || b.up(snapshot.Key{Namespace: "shop", Name: "s7"}) != "eu/eu-a 192.0.2.7" {
		t.Errorf("it is said to be elsewhere: %d held, %s", b.table.Held(), b.up(snapshot.Key{Namespace: "shop", Name: "s7"}))
	}
	b.table.Change(0, shard.Cluster{Name: "c", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}})
	if b.at(0); b.answered() != 1 {
		t.Errorf("it may announce one address: %d are", b.answered())
	}
	// What goes by itself after that is guarded as ever.
	b.table.Change(0, shard.Cluster{Name: "c"})
	b.at(0)
	b.apply(0, lists()...)
	if b.at(0); b.answered() != 100 {
		t.Errorf("%d addresses", b.answered())
	}
}

// An order may name a cluster that is still to come.
func TestStrangers(t *testing.T) {
	b := newBed(t)
	b.table.ExpectMembers(true)
	b.table.Override([]override.Order{{Action: override.Drain, Subject: override.Subject{Kind: override.Cluster, Name: "c"}}})
	b.publish()
	b.table.ExpectMembers(false)
	b.apply(b.table.Join(shard.Cluster{Name: "c"}), lists()...)
	if b.publish(); len(b.table.Notices()) != 0 {
		t.Error("it is there")
	}
	b.table.Leave(0, b.now)
	b.publish().wantNotice("there is no cluster of this name")
}

// Whoever came and went, what is left is answered as if it had always been alone.
func TestMembersHaveNoHistory(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const clusters = 6
	has := func(c, i int) bool { return (c+i)%3 > 0 }
	load := func(b *bed, at, c int) {
		var services []*shard.Service
		var endpoints []*shard.Slice
		for i := range 12 {
			if k := (snapshot.Key{Namespace: "ns", Name: fmt.Sprint("s", i)}); has(c, i) {
				s := service(k, fmt.Sprintf("192.0.%d.%d", c, i))
				s.Extend(shard.Extras{Hosts: []string{fmt.Sprint("lb", i%2)}})
				services, endpoints = append(services, s), append(endpoints, slice(k, ready("")))
			}
		}
		b.apply(at, shard.ServiceList{Kind: snapshot.Svc, Services: services}, lists()[1], shard.SliceList{Slices: endpoints}, shard.NodeList{})
	}
	config := func(c int) shard.Cluster {
		return shard.Cluster{Name: topology.ClusterName(fmt.Sprint("c", c)), Region: fmt.Sprint("r", c), Zones: []string{fmt.Sprint("z", c)}}
	}
	for range 50 {
		b := newBed(t)
		member := map[int]int{} // cluster to index
		for range 30 {
			c := r.IntN(clusters)
			if at, ok := member[c]; ok {
				b.table.Leave(at, b.now)
				delete(member, c)
			} else {
				at := b.table.Join(config(c))
				load(b, at, c)
				member[c] = at
			}
			if r.IntN(2) == 0 {
				b.publish()
			}
		}
		fresh := newBed(t)
		for _, c := range slices.Sorted(maps.Keys(member)) {
			load(fresh, fresh.table.Join(config(c)), c)
		}
		got, want := bare(b.publish().fed), bare(fresh.publish().fed)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(b.table.Hosts(), fresh.table.Hosts()) || !reflect.DeepEqual(b.table.Counts(), fresh.table.Counts()) {
			t.Fatalf("members %v:\n got %v\nwant %v", member, got, want)
		}
	}
}

// bare is what is answered, without the indexes of clusters.
func bare(f *snapshot.Federation) map[snapshot.Key][]string {
	out := map[snapshot.Key][]string{{}: {fmt.Sprint(f.Map.Scopes(), f.Settled, f.Heard)}}
	for s := range f.Services() {
		out[s.Key] = []string{s.Down}
		for _, sh := range s.Shards {
			out[s.Key] = append(out[s.Key], fmt.Sprint(sh.Place, sh.Addr))
		}
	}
	return out
}
