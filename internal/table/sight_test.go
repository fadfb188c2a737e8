package table_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

// hear is apply, as a pipeline does it: with when objects were seen first.
func (b *bed) hear(cluster int, changes ...shard.Change) *bed {
	for _, c := range changes {
		b.table.Apply(cluster, b.table.Sighted(cluster, c, time.Unix(1_800_000_000, int64(b.now))))
	}
	return b
}

// trio are members, each with places of its own.
func trio() (out []shard.Cluster) {
	for _, n := range []string{"a", "b", "c"} {
		out = append(out, shard.Cluster{Name: topology.ClusterName(n), Region: "r-" + n, Zones: []string{"z-" + n}})
	}
	return out
}

// claimed is a Service that says how it is to be answered, and how old it is.
func claimed(addr string, created int64, policy string, ttl uint32) *shard.Service {
	s := service(web, addr)
	s.Created, s.TTL = created, ttl
	return s.Extend(shard.Extras{Policy: policy})
}

// What a member's objects say of their own age counts for nothing, once anything is known:
// neither a new object of 1990 nor one that becomes so later takes a host; not after a restart with
// what was kept, nor through a reload. Of a name's policy and TTL it can say no more than that it disagrees.
func TestSeenFirst(t *testing.T) {
	b := hosting(t, trio()...)
	check := func(when string) {
		t.Helper()
		b.wantHosts("shop.example.com shop 192.0.2.1")
		s := b.publish().fed.Service(web)
		if alone := when == "at first"; alone && (s.TTL != 60 || s.Policy == nil || s.Policy.String() != "nearest") || !alone && (s.TTL != 0 || s.Policy != nil) {
			t.Errorf("%s: TTL %d, policy %v", when, s.TTL, s.Policy)
		}
	}
	for i := range trio() {
		b.hear(i, lists()...)
	}
	b.hear(0, shard.ServiceSet{Service: claimed("192.0.2.11", 1_700_000_000, "nearest", 60)}, shard.SliceSet{Slice: slice(web, ready(""))},
		shard.ServiceSet{Service: ingress("shop", "x", 1_700_000_000, "192.0.2.1", claim(host))})
	b.hear(2, shard.ServiceSet{Service: service(web, "192.0.2.13")}, shard.SliceSet{Slice: slice(web, ready(""))})
	b.publish()
	b.table.StartupOver()
	check("at first")
	if !b.table.StartupOver() {
		t.Fatal("it is still beginning")
	}
	b.now += time.Second
	b.hear(1, shard.ServiceSet{Service: claimed("192.0.2.12", 631152000, "weighted 1", 86400)}, shard.SliceSet{Slice: slice(web, ready(""))},
		shard.ServiceSet{Service: ingress("evil", "x", 631152000, "192.0.2.66", claim(host))})
	check("a new object of 1990")
	// One that was there says later that it is older, and has something to say.
	b.hear(2, shard.ServiceSet{Service: claimed("192.0.2.13", 631152000, "weighted 1", 86400)}, shard.ServiceSet{Service: ingress("evil", "y", 631152000, "192.0.2.67", claim(host))})
	b.wantHosts("shop.example.com shop 192.0.2.1")
	b.hear(2, shard.ServiceSet{Service: service(web, "192.0.2.13")})
	check("one that becomes older")

	// A reload, or a restart with the state: in whatever order it is told.
	heir := hosting(t, trio()...)
	heir.now = b.now
	heir.table.Remember()
	heir.table.RestoreHolders(b.table.Holders())
	for _, i := range []int{1, 2, 0} {
		heir.apply(i, b.table.Export(i)...)
	}
	held := b.table.Holders()
	b = heir
	check("through a reload")
	if !maps.Equal(held, map[string]string{host: "shop"}) || !maps.Equal(b.table.Holders(), held) || !maps.Equal(b.table.ChangedHolders(), held) || len(b.table.ChangedHolders()) > 0 {
		t.Errorf("held are %v, and %v", held, b.table.Holders())
	}
	for _, i := range []int{1, 2, 0} { // and what the APIs say again
		objects := b.table.Export(i)
		for n, c := range objects {
			if l, ok := c.(shard.ServiceList); ok {
				for k, o := range l.Services {
					again := *o
					again.Seen = 0
					l.Services[k] = &again
				}
				objects[n] = l
			}
		}
		b.hear(i, objects...)
	}
	check("listed again")
	// One that appears while that lasts is new, too.
	late := hosting(t, trio()...)
	late.table.Remember()
	late.apply(0, b.table.Export(0)...)
	late.hear(1, append(lists(), shard.ServiceSet{Service: claimed("192.0.2.12", 1, "weighted 1", 86400)}, shard.SliceSet{Slice: slice(web, ready(""))}, shard.ServiceSet{Service: ingress("evil", "x", 1, "192.0.2.66", claim(host))})...)
	late.hear(2, lists()...)
	b = late
	check("what came while nobody looked")

	// The holder goes: then the next who was seen.
	b.hear(0, shard.ServiceList{Kind: snapshot.Svc}, shard.ServiceList{Kind: snapshot.Ing})
	b.wantHosts("shop.example.com evil 192.0.2.66")
	if s := b.publish().fed.Service(web); s.TTL != 86400 {
		t.Errorf("TTL %d", s.TTL)
	}
	// It comes back, and has to wait.
	b.now += time.Second
	b.hear(0, shard.ServiceSet{Service: ingress("shop", "x", 1, "192.0.2.1", claim(host))})
	b.wantHosts("shop.example.com evil 192.0.2.66")
}

// A route is as old as it is itself, through however old a Gateway it comes.
func TestSeenFirstOfRoutes(t *testing.T) {
	b := hosting(t, trio()...)
	for i := range trio() {
		b.hear(i, lists()...)
	}
	any := shard.Listener{Name: "any", From: shard.AnyWhere}
	b.hear(1, shard.FrontendSet{Frontend: gateway("infra", "g", "192.0.2.66", any)})
	b.publish()
	b.now += time.Second
	b.hear(0, shard.ServiceSet{Service: ingress("shop", "x", 1_700_000_000, "192.0.2.1", claim(host))})
	b.now += time.Second
	b.hear(1, shard.FrontendSet{Frontend: route(shard.HTTPRoute, "evil", "r", to("infra", "g"), []string{host}, "web")})
	b.wantHosts("shop.example.com shop 192.0.2.1")
	for range 2 { // both are told again, at once
		heir := hosting(t, trio()...)
		heir.table.Remember()
		for i := range trio() {
			heir.apply(i, b.table.Export(i)...)
		}
		b = heir
		b.wantHosts("shop.example.com shop 192.0.2.1")
	}
}

// In whatever way objects come, change and go: who holds a host, holds it for as long as one
// of its objects claims it.
func TestHostsStay(t *testing.T) {
	namespaces, hosts := []string{"n1", "n2", "n3"}, []string{"x.example.com", "y.example.com"}
	rapid.Check(t, func(rt *rapid.T) {
		b, arbiter := newBed(t, trio()...), table.NewArbiter()
		b.table.Serve("fed", under("example.com"), arbiter)
		for i := range trio() {
			b.hear(i, lists()...)
		}
		b.publish()
		type object struct {
			cluster         int
			namespace, name string
		}
		there := map[object][]string{} // what claims which hosts
		holders := func() map[string]string {
			out := map[string]string{}
			for _, h := range hosts {
				for _, c := range arbiter.Claims(h) {
					if c.Refused == "" {
						out[h] = c.Namespace
					}
				}
			}
			return out
		}
		claims := func(namespace, h string) bool {
			for o, has := range there {
				if o.namespace == namespace && slices.Contains(has, h) {
					return true
				}
			}
			return false
		}
		for step := range rapid.IntRange(2, 25).Draw(rt, "steps") {
			o := object{rapid.IntRange(0, 2).Draw(rt, "cluster"), rapid.SampledFrom(namespaces).Draw(rt, "namespace"), rapid.SampledFrom([]string{"i", "j"}).Draw(rt, "name")}
			before := holders()
			b.now += time.Second
			if there[o] != nil && rapid.Bool().Draw(rt, "goes") {
				delete(there, o)
				b.hear(o.cluster, shard.ServiceGone{Key: snapshot.Key{Namespace: o.namespace, Name: o.name, Kind: snapshot.Ing}})
			} else {
				has := rapid.SliceOfNDistinct(rapid.SampledFrom(hosts), 1, 2, rapid.ID).Draw(rt, "hosts")
				there[o] = has
				var of []shard.Claim
				for _, h := range has {
					of = append(of, claim(h))
				}
				b.hear(o.cluster, shard.ServiceSet{Service: ingress(o.namespace, o.name, rapid.Int64Range(0, 100).Draw(rt, "created"), fmt.Sprintf("192.0.2.%d", step+1), of...)})
			}
			if rapid.Bool().Draw(rt, "looked at") {
				b.publish()
			}
			after := holders()
			for _, h := range hosts {
				if was := before[h]; was != "" && claims(was, h) && after[h] != was {
					rt.Fatalf("%s went from %s to %q", h, was, after[h])
				}
				if after[h] == "" && slices.ContainsFunc(namespaces, func(n string) bool { return claims(n, h) }) {
					rt.Fatalf("%s is nobody's", h)
				}
			}
		}
	})
}

// Whatever objects a member has, or takes away: which shards of the others are answered doesn't
// change by it.
func TestOthersStay(t *testing.T) {
	names := []snapshot.Key{web, {Namespace: "shop", Name: "api"}, {Namespace: "mail", Name: "web"}}
	rapid.Check(t, func(rt *rapid.T) {
		b := hosting(t, trio()...)
		for i := range trio() {
			b.hear(i, lists()...)
		}
		draw := func(cluster int) {
			k := rapid.SampledFrom(names).Draw(rt, "name")
			b.now += time.Second
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				b.hear(cluster, shard.ServiceGone{Key: k})
			case 1:
				b.hear(cluster, shard.SliceGone{Key: slice(k).Key})
			case 2:
				b.hear(cluster, shard.SliceSet{Slice: slice(k, shard.Endpoint{Zone: fmt.Sprint("z-", rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "zone")), Ready: rapid.Bool().Draw(rt, "ready")})})
			default:
				o := service(k, fmt.Sprintf("192.0.2.%d", rapid.IntRange(1, 20).Draw(rt, "address")+20*cluster))
				o.Created, o.TTL, o.Weight = rapid.Int64Range(0, 9).Draw(rt, "created"), rapid.SampledFrom([]uint32{0, 1, 86400}).Draw(rt, "ttl"), uint16(rapid.IntRange(0, 65535).Draw(rt, "weight"))
				o.Extend(shard.Extras{Policy: rapid.SampledFrom([]string{"", "all", "nearest", "weighted 1", "failover r-a r-b"}).Draw(rt, "policy")})
				b.hear(cluster, shard.ServiceSet{Service: o})
			}
		}
		others := func(cluster int) (out []string) {
			b.publish()
			for _, k := range names {
				if s := b.fed.Service(k); s != nil {
					for _, sh := range s.Shards {
						if int(sh.Cluster) != cluster {
							out = append(out, fmt.Sprint(k, sh))
						}
					}
				}
			}
			slices.Sort(out)
			return out
		}
		for range rapid.IntRange(1, 15).Draw(rt, "before") {
			draw(rapid.IntRange(0, 2).Draw(rt, "cluster"))
		}
		member := rapid.IntRange(0, 2).Draw(rt, "member")
		was := others(member)
		for range rapid.IntRange(1, 8).Draw(rt, "changes") {
			draw(member)
			if is := others(member); !slices.Equal(is, was) {
				rt.Fatalf("the others' shards were %q, and are %q", was, is)
			}
		}
	})
}

// What servers hold that have been there all the while counts for one that starts, whatever it knows of earlier, or
// objects say; but where nobody claims that any more, and of federations beside it, it changes nothing.
func TestAdoptHolders(t *testing.T) {
	for _, test := range []struct {
		name         string
		known, peers map[string]string
		want         string
	}{
		{"nobody knows", nil, nil, "evil 192.0.2.66"},
		{"others do", nil, map[string]string{host: "shop"}, "shop 192.0.2.1"},
		{"others know better", map[string]string{host: "evil"}, map[string]string{host: "shop"}, "shop 192.0.2.1"},
		{"others know of others", map[string]string{host: "shop"}, map[string]string{"other.example.com": "evil"}, "shop 192.0.2.1"},
		{"one that is gone", map[string]string{host: "shop"}, map[string]string{host: "gone"}, "evil 192.0.2.66"},
	} {
		for _, late := range []bool{false, true} { // the members are heard before others are, or after
			b := hosting(t, trio()...)
			b.t = t
			b.table.RestoreHolders(test.known)
			if !late {
				b.table.AdoptHolders(test.peers)
			}
			b.hear(0, lists()...).hear(0, shard.ServiceSet{Service: ingress("shop", "x", 1_700_000_000, "192.0.2.1", claim(host))})
			b.hear(1, lists()...).hear(1, shard.ServiceSet{Service: ingress("evil", "x", 631152000, "192.0.2.66", claim(host))})
			if late {
				b.publish()
				b.table.AdoptHolders(test.peers)
			}
			b.hear(2, lists()...)
			if b.publish(); !b.table.StartupOver() {
				t.Fatalf("%s: it is still beginning", test.name)
			}
			if got := b.hosts(); got != host+" "+test.want {
				t.Errorf("%s, late %v: %s, want %s", test.name, late, got, test.want)
			}
		}
	}
}
