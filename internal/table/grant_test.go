package table_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
)

func exports(t *testing.T, list ...string) (out []shard.ExportPattern) {
	t.Helper()
	for _, s := range list {
		p, err := shard.ParseExport(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func claimable(t *testing.T, list ...string) (out []shard.HostPattern) {
	t.Helper()
	for _, s := range list {
		p, err := shard.ParseHost(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestPatterns(t *testing.T) {
	for _, bad := range []string{"", "/", "shop/", "/web", "a/b/c", "Shop", "shop/[a]", "shop/we?"} {
		if p, err := shard.ParseExport(bad); err == nil {
			t.Errorf("%q is %q", bad, p)
		}
	}
	for _, bad := range []string{"", "**", ".", "*.", "**.a", "a.*.b", "*a.b", "a b", strings.Repeat("a", 64) + ".b"} {
		if p, err := shard.ParseHost(bad); err == nil {
			t.Errorf("%q is %q", bad, p)
		}
	}
	for _, tt := range []struct{ pattern, yes, no string }{
		{"shop.example.com", "shop.example.com", "a.shop.example.com *.shop.example.com xshop.example.com example.com"},
		{"Shop.Example.com.", "shop.example.com", "example.com"},
		{".example.com", "shop.example.com a.b.example.com", "example.com *.example.com *.b.example.com badexample.com"},
		{"*", "shop.example.com example.org *.example.com", ""},
		{"*.example.com", "shop.example.com a.b.example.com *.example.com *.b.example.com", "example.com badexample.com"},
	} {
		c := shard.Cluster{Name: "eu", Region: "eu", Hosts: claimable(t, tt.pattern)}
		for host, want := range map[string]bool{tt.yes: true, tt.no: false} {
			for _, h := range strings.Fields(host) {
				b := newBed(t, c)
				b.table.Serve("fed", func(string, bool) (bool, string) { return true, "" }, table.NewArbiter())
				b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: ingress("shop", "x", 1, "192.0.2.1", claim(h))})
				if got := b.hosts() != ""; got != want {
					t.Errorf("%s may be claimed by %s: %v", h, tt.pattern, got)
				}
			}
		}
	}
}

// What a member may not export or claim is as if it weren't there: it has no name, no say in how
// others' are answered, and no host; it is noticed and explained; and it comes and goes with what the
// federation says.
func TestGrants(t *testing.T) {
	cs := []shard.Cluster{{Name: "eu", Region: "eu"}, {Name: "us", Region: "us", Exports: exports(t, "mail", "shop/api*"), Hosts: claimable(t, "mail.example.com", ".us.example.com")}}
	b, arbiter := newBed(t, cs...), table.NewArbiter()
	b.table.Serve("fed", under("example.com"), arbiter)
	api, other := snapshot.Key{Namespace: "shop", Name: "api-2"}, snapshot.Key{Namespace: "kube-system", Name: "dns"}
	for i := range cs {
		b.apply(i, lists()...)
	}
	own := claimed("192.0.2.1", 2_000_000_000, "nearest", 60)
	b.apply(0, shard.ServiceSet{Service: own}, shard.SliceSet{Slice: slice(web, ready(""))})
	b.apply(1, shard.ServiceSet{Service: claimed("198.51.100.1", 1, "weighted 1", 86400)}, shard.SliceSet{Slice: slice(web, ready(""))},
		shard.ServiceSet{Service: service(api, "198.51.100.2")}, shard.SliceSet{Slice: slice(api, ready(""))},
		shard.ServiceSet{Service: service(other, "198.51.100.3")}, shard.SliceSet{Slice: slice(other, ready(""))},
		shard.ServiceSet{Service: ingress("mail", "x", 1, "198.51.100.4", claim(host), claim("mail.example.com"), claim("a.us.example.com"), claim("*.us.example.com"))},
	)
	check := func(t *testing.T) {
		t.Helper()
		b.want(web, "eu/ 192.0.2.1")
		b.want(api, "us/ 198.51.100.2")
		b.want(other, "unknown")
		b.wantHosts("a.us.example.com mail 198.51.100.4; mail.example.com mail 198.51.100.4")
		if s := b.fed.Service(web); s.TTL != 60 || s.Policy.String() != "nearest" {
			t.Errorf("TTL %d, policy %v", s.TTL, s.Policy)
		}
	}
	check(t)
	var said []string
	for _, n := range b.table.Notices() {
		if n.Kind == shard.Ungranted && n.Cluster == "us" {
			said = append(said, n.Text)
		}
	}
	for _, want := range []string{
		`service shop/web: cluster "us" may not export it; left out`, `service kube-system/dns: cluster "us" may not export it`,
		`claims host shop.example.com, which cluster "us" may not`, `claims host *.us.example.com, which cluster "us" may not`,
	} {
		if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, strings.TrimPrefix(want, "service ")) }) {
			t.Errorf("nobody says %q: %q", want, said)
		}
	}
	if e := b.table.Explain(web, b.now, nil); !slices.Equal(e.Ungranted, []string{"cluster us has it, and may not export it (exports)"}) || len(e.Shards) != 1 {
		t.Errorf("%q, %d shards", e.Ungranted, len(e.Shards))
	}
	wanted := snapshot.Key{Namespace: "mail", Name: host, Kind: snapshot.Host}
	if e := b.table.Explain(wanted, b.now, nil); len(e.Ungranted) != 1 || !strings.Contains(e.Ungranted[0], "in cluster us claims it, which that cluster may not (hosts)") {
		t.Errorf("%q", e.Ungranted)
	}
	if c := arbiter.Claims(host); len(c) > 0 {
		t.Errorf("claims: %v", c)
	}
	// The federation changes its mind, and back.
	b.table.Change(1, shard.Cluster{Name: "us", Region: "us"})
	b.want(web, "eu/ 192.0.2.1, us/ 198.51.100.1")
	b.want(other, "us/ 198.51.100.3")
	b.wantHosts("a.us.example.com mail 198.51.100.4; mail.example.com mail 198.51.100.4; shop.example.com mail 198.51.100.4") // wildcards have to be allowed
	b.table.Change(1, shard.Cluster{Name: "us", Region: "us", Hosts: claimable(t, "*")})
	b.wantHosts("*.us.example.com mail 198.51.100.4; a.us.example.com mail 198.51.100.4; mail.example.com mail 198.51.100.4; shop.example.com mail 198.51.100.4")
	b.table.Change(1, cs[1])
	check(t)
}

// What objects say of their TTL holds within the federation's bounds, and of the rest what the federation
// lets them say.
func TestSay(t *testing.T) {
	for _, tt := range []struct {
		what         string
		min, max     uint32
		mute         shard.Mute
		ttl          uint32
		policy       string // ""; as configured
		weight       uint16
		said, remark string
	}{
		{"all of it", 0, 0, shard.Mute{}, 86400, "weighted 1", 65535, "", ""},
		{"a TTL within bounds", 1, 86400, shard.Mute{}, 86400, "weighted 1", 65535, "", ""},
		{"a long one", 5, 3600, shard.Mute{}, 3600, "weighted 1", 65535, "fedns.io/ttl of 86400 s is beyond the federation's bounds, and is 3600 s", "cluster us says fedns.io/ttl of 86400 s, beyond the federation's bounds (ttl)"},
		{"no TTL", 5, 3600, shard.Mute{TTL: true}, 0, "weighted 1", 65535, `fedns.io/ttl of cluster "us" doesn't count`, "cluster us says fedns.io/ttl, which doesn't count (annotations)"},
		{"no policy", 0, 0, shard.Mute{Policy: true}, 86400, "", 65535, `fedns.io/policy of cluster "us" doesn't count`, "cluster us says fedns.io/policy, which doesn't count (annotations)"},
		{"no weight", 0, 0, shard.Mute{Weight: true}, 86400, "weighted 1", 1, `fedns.io/weight of cluster "us" doesn't count`, "cluster us says fedns.io/weight, which doesn't count (annotations)"},
		{"nothing", 0, 0, shard.Mute{TTL: true, Policy: true, Weight: true}, 0, "", 1, `fedns.io/ttl, fedns.io/policy, fedns.io/weight of cluster "us" doesn't count`, "cluster us says fedns.io/weight, which doesn't count (annotations)"},
	} {
		p := policy
		p.TTL.Min, p.TTL.Max, p.Mute = tt.min, tt.max, tt.mute
		b := newBedWith(t, p, shard.Cluster{Name: "us", Region: "us"})
		o := claimed("198.51.100.1", 1, "weighted 1", 86400)
		o.Weight = 65535
		b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: o}, shard.SliceSet{Slice: slice(web, ready(""))})
		s := b.publish().fed.Service(web)
		got := ""
		if s.Policy != nil {
			got = s.Policy.String()
		}
		if s.TTL != tt.ttl || got != tt.policy || s.Shards[0].Weight != tt.weight {
			t.Errorf("%s: TTL %d, policy %q, weight %d", tt.what, s.TTL, got, s.Shards[0].Weight)
		}
		if tt.said != "" {
			b.wantNotice(tt.said)
		} else if n := b.table.Notices(); len(n) > 0 {
			t.Errorf("%s: %v", tt.what, n)
		}
		if e := b.table.Explain(web, b.now, nil); tt.remark != "" && !slices.Contains(e.Ungranted, tt.remark) || tt.remark == "" && len(e.Ungranted) > 0 {
			t.Errorf("%s: %q", tt.what, e.Ungranted)
		}
	}
}

// TestForeignPlaces is that a cluster has no names in places that it may not be in, whatever its nodes say, and that what it has there
// counts in the wider ones that it may.
func TestForeignPlaces(t *testing.T) {
	places := func(patterns ...string) (out []shard.PlacePattern) {
		for _, s := range patterns {
			p, err := shard.ParsePlace(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
		}
		return out
	}
	for _, bad := range []string{"", "/", "eu/", "/a", "eu/a/b", "EU", "eu/a.b"} {
		if p, err := shard.ParsePlace(bad); err == nil {
			t.Errorf("%q is %q", bad, p)
		}
	}
	for _, tt := range []struct {
		name    string
		allowed []string
		cluster shard.Cluster
		want    string // places of the shard
		refused bool
	}{
		{"anywhere", nil, shard.Cluster{}, "eu/eu-a 192.0.2.1", false},
		{"its region", []string{"eu"}, shard.Cluster{}, "eu/eu-a 192.0.2.1", false},
		{"its zone", []string{"eu/eu-*"}, shard.Cluster{}, "eu/eu-a 192.0.2.1", false},
		{"another zone of its region", []string{"eu/eu-b"}, shard.Cluster{}, "eu/ 192.0.2.1", true},
		{"another region", []string{"us", "ap*/*"}, shard.Cluster{}, "/ 192.0.2.1", true},
		{"another region than that which the federation says", []string{"us"}, shard.Cluster{Region: "us"}, "us/eu-a 192.0.2.1", false},
		{"what the federation says, it means", []string{"ap"}, shard.Cluster{Region: "eu", Zones: []string{"eu-a"}}, "eu/eu-a 192.0.2.1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.cluster
			c.Name, c.Places = "one", places(tt.allowed...)
			b := newBed(t, c)
			b.apply(0, lists(shard.Node{Name: "n", Region: "eu", Zone: "eu-a"})...)
			b.apply(0, shard.ServiceSet{Service: service(web, "192.0.2.1")}, shard.SliceSet{Slice: slice(web, shard.Endpoint{Node: "n", Zone: "eu-a", Ready: true})})
			b.want(web, tt.want)
			said := slices.ContainsFunc(b.table.Notices(), func(n shard.Notice) bool {
				return n.Kind == shard.Ungranted && strings.Contains(n.Text, `in zone "eu-a" of region "eu"`)
			})
			if e := b.table.Explain(web, b.now, nil); said != tt.refused || (len(e.Ungranted) > 0) != tt.refused {
				t.Errorf("it is said: %v, and explained %q", said, e.Ungranted)
			}
		})
	}
}
