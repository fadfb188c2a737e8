package table_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
)

const host = "shop.example.com"

// under is a domain that a federation's hosts are answered in, with names that
// belong to others.
func under(domain string, taken ...string) table.Admits {
	return func(host string, _ bool) (bool, string) {
		if !strings.HasSuffix(host, "."+domain) {
			return false, ""
		}
		if slices.Contains(taken, host) {
			return true, "static records stand there"
		}
		return true, ""
	}
}

func hosting(t *testing.T, clusters ...shard.Cluster) *bed {
	b := newBed(t, clusters...)
	b.table.Serve("fed", under("example.com"), table.NewArbiter())
	return b
}

func ingress(namespace, name string, created int64, addr string, claims ...shard.Claim) *shard.Service {
	s := service(snapshot.Key{Namespace: namespace, Name: name, Kind: snapshot.Ing})
	if addr != "" {
		s = service(s.Key, addr)
	}
	s.Created = created
	its := shard.Routing{Claims: claims}
	for _, c := range claims {
		its.Backends = append(its.Backends, c.Backends...)
	}
	return s.Route(its)
}

func claim(host string, backends ...string) shard.Claim {
	c := shard.Claim{Host: host}
	for _, b := range backends {
		c.Backends = append(c.Backends, snapshot.Key{Namespace: "shop", Name: b})
	}
	return c
}

func gateway(namespace, name, addr string, listeners ...shard.Listener) *shard.Frontend {
	o := service(snapshot.Key{Namespace: namespace, Name: name, Kind: snapshot.Ing}, addr)
	return &shard.Frontend{Key: shard.FrontendKey{Kind: shard.Gateway, Namespace: namespace, Name: name}, Object: o, Listeners: listeners}
}

func route(kind shard.FrontendKind, namespace, name string, parents []shard.Parent, hostnames []string, backends ...string) *shard.Frontend {
	o := &shard.Service{Key: snapshot.Key{Namespace: namespace, Name: name, Kind: snapshot.Ing}, Created: 1}
	o.Route(shard.Routing{Backends: claim("", backends...).Backends})
	return &shard.Frontend{Key: shard.FrontendKey{Kind: kind, Namespace: namespace, Name: name}, Object: o, Parents: parents, Hostnames: hostnames}
}

func to(namespace, name string) []shard.Parent {
	return []shard.Parent{{Namespace: namespace, Name: name}}
}

// hosts lists what is answered, "HOST NAMESPACE ADDRESS..." sorted.
func (b *bed) hosts() string {
	b.publish()
	var out []string
	for s := range b.fed.Hosts() {
		line := s.Key.Name + " " + s.Key.Namespace
		for _, sh := range s.Shards {
			line += " " + sh.Addr.String()
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func (b *bed) wantHosts(want string) {
	b.t.Helper()
	if got := b.hosts(); got != want {
		b.t.Errorf("hosts: %q, want %q", got, want)
	}
}

// A host is up where a Service of its own rules is.
func TestHostHealth(t *testing.T) {
	b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"}, shard.Cluster{Name: "us", Region: "us"})
	api := snapshot.Key{Namespace: "shop", Name: "api"}
	for i, addr := range []string{"192.0.2.1", "192.0.2.2"} {
		b.apply(i, lists()...).apply(i,
			shard.ServiceSet{Service: service(web)}, shard.ServiceSet{Service: service(api)},
			shard.SliceSet{Slice: slice(web, ready(""))}, shard.SliceSet{Slice: slice(api, ready(""))},
			shard.ServiceSet{Service: ingress("shop", "front", 1, addr, claim(host, "web", "gone"), claim("api.example.com", "api"), claim("free.example.com", "unknown"), claim("www.example.net", "web"))})
	}
	b.wantHosts("api.example.com shop 192.0.2.1 192.0.2.2; free.example.com shop 192.0.2.1 192.0.2.2; shop.example.com shop 192.0.2.1 192.0.2.2")
	if s := b.fed.Host(host); s.Policy == nil || s.Policy.Choice != snapshot.Nearest {
		t.Errorf("policy %v", s.Policy)
	}
	b.apply(0, shard.SliceSet{Slice: slice(web)})
	b.wantHosts("api.example.com shop 192.0.2.1 192.0.2.2; free.example.com shop 192.0.2.1 192.0.2.2; shop.example.com shop 192.0.2.2")
	b.apply(1, shard.SliceSet{Slice: slice(web)})
	b.wantHosts("api.example.com shop 192.0.2.1 192.0.2.2; free.example.com shop 192.0.2.1 192.0.2.2; shop.example.com shop")
	// "gone" isn't exported: it may well have endpoints, which nobody looks at.
	if s := b.fed.Host(host); s.Down != "no shard is up: no ready endpoint in the exported Services behind it in 2 clusters" {
		t.Error(s.Down)
	}
	for i := range 2 {
		b.apply(i, shard.ServiceSet{Service: service(snapshot.Key{Namespace: "shop", Name: "gone"})})
	}
	if s := b.publish().fed.Host(host); s.Down != "no shard is up: no ready endpoint in 2 clusters" {
		t.Error(s.Down)
	}
	for i := range 2 {
		b.apply(i, shard.ServiceGone{Key: snapshot.Key{Namespace: "shop", Name: "gone"}})
	}
	b.apply(0, shard.SliceSet{Slice: slice(web, ready(""))})
	// The policy and the TTL are the oldest object's that says any.
	o := ingress("shop", "second", 9, "192.0.2.3", claim(host, "web"))
	o.Extend(shard.Extras{Policy: "all"}).TTL = 7
	b.apply(0, shard.ServiceSet{Service: o}, shard.ServiceGone{Key: snapshot.Key{Namespace: "shop", Name: "front", Kind: snapshot.Ing}})
	b.wantHosts("api.example.com shop 192.0.2.2; free.example.com shop 192.0.2.2; shop.example.com shop 192.0.2.3")
	if s := b.fed.Host(host); s.Policy.Choice != snapshot.All || s.TTL != 7 {
		t.Errorf("policy %v, TTL %d", s.Policy, s.TTL)
	}
	// Several Ingresses of one namespace serve a host together.
	b.apply(1, shard.ServiceSet{Service: o}, shard.SliceSet{Slice: slice(web, ready(""))})
	b.wantHosts("api.example.com shop 192.0.2.2; free.example.com shop 192.0.2.2; shop.example.com shop 192.0.2.3 192.0.2.2 192.0.2.3")
}

// Who holds a host at the beginning doesn't depend on the order of events; later, the holder stays while it is there.
func TestHostConflict(t *testing.T) {
	a := table.NewArbiter()
	tables := [2]*bed{newBed(t, shard.Cluster{Name: "eu", Region: "eu"}, shard.Cluster{Name: "us", Region: "us"}), newBed(t, shard.Cluster{Name: "lab", Region: "lab"})}
	for i, b := range tables {
		b.table.Serve([]string{"fed", "lab"}[i], under("example.com"), a)
		for c := range 2 - i {
			b.apply(c, lists()...)
		}
	}
	fed, lab := tables[0], tables[1]
	check := func(step, wantFed, wantLab string, refused [2]int) {
		t.Helper()
		for range 2 { // an order to publish in
			for i, want := range []string{wantFed, wantLab} {
				tables[i].table.Dirty()
				if got := tables[i].hosts(); got != want {
					t.Errorf("%s: %q, want %q", step, got, want)
				}
			}
		}
		if got := [2]int{fed.table.Refused(), lab.table.Refused()}; got != refused {
			t.Errorf("%s: %v refused, want %v", step, got, refused)
		}
	}
	said := func(b *bed, want ...string) {
		t.Helper()
		if got := b.table.Announcements(); !slices.Equal(got, want) {
			t.Errorf("said %q, want %q", got, want)
		}
	}
	set := func(b *bed, cluster int, o *shard.Service) { b.apply(cluster, shard.ServiceSet{Service: o}) }
	gone := func(b *bed, cluster int, namespace, name string) {
		b.apply(cluster, shard.ServiceGone{Key: snapshot.Key{Namespace: namespace, Name: name, Kind: snapshot.Ing}})
	}

	// At the beginning all are seen at once, in whatever order.
	set(fed, 0, ingress("young", "x", 50, "192.0.2.1", claim(host)))
	set(fed, 1, ingress("old", "x", 20, "192.0.2.2", claim(host)))
	set(fed, 0, ingress("undated", "x", 0, "192.0.2.9", claim(host)))
	set(fed, 1, ingress("young", "y", 60, "192.0.2.3", claim(host)))
	set(lab, 0, ingress("far", "x", 10, "192.0.2.4", claim(host)))
	check("the oldest", "", "shop.example.com far 192.0.2.4", [2]int{3, 0})
	said(fed,
		"host shop.example.com of namespace old: refused: namespace far of federation lab holds it, and is older",
		"host shop.example.com of namespace young: refused: namespace far of federation lab holds it, and is older",
		"host shop.example.com of namespace undated: refused: namespace far of federation lab holds it, and is older")
	if got := fmt.Sprint(a.Claims(host)); got != "[{lab far 10 } {fed old 20 namespace far of federation lab holds it, and is older} {fed young 50 namespace far of federation lab holds it, and is older} {fed undated 0 namespace far of federation lab holds it, and is older}]" {
		t.Error(got)
	}
	gone(lab, 0, "far", "x")
	check("it goes", "shop.example.com old 192.0.2.2", "", [2]int{2, 0})
	fed.table.Announcements()
	set(lab, 0, ingress("far", "x", 10, "192.0.2.4", claim(host)))
	check("it comes back", "shop.example.com old 192.0.2.2", "", [2]int{2, 1})
	said(fed)
	said(lab, "host shop.example.com of namespace far: refused: namespace old of federation fed holds it, and has claimed it first")
	gone(lab, 0, "far", "x")
	gone(fed, 1, "old", "x")
	check("and the next", "shop.example.com young 192.0.2.1 192.0.2.3", "", [2]int{1, 0})
	said(fed, "host shop.example.com of namespace young: holds it now", "host shop.example.com of namespace undated: refused: namespace young holds it, and is older")
	set(fed, 1, ingress("undated", "x", 40, "192.0.2.9", claim(host)))
	check("an object that is older", "shop.example.com young 192.0.2.1 192.0.2.3", "", [2]int{1, 0})
	gone(fed, 0, "young", "x")
	check("a part of the holder goes", "shop.example.com young 192.0.2.3", "", [2]int{1, 0})
	gone(fed, 1, "young", "y")
	check("all of it", "shop.example.com undated 192.0.2.9 192.0.2.9", "", [2]int{})
	gone(fed, 0, "undated", "x")
	gone(fed, 1, "undated", "x")
	check("all gone", "", "", [2]int{})
	if len(a.Claims(host)) > 0 {
		t.Error("claims are left")
	}

	// Of the same age, the name decides.
	set(fed, 0, ingress("b", "x", 5, "192.0.2.2", claim(host)))
	set(fed, 0, ingress("a", "x", 5, "192.0.2.1", claim(host)))
	check("twins", "shop.example.com a 192.0.2.1", "", [2]int{1, 0})
}

// What stands beside a host can come and go.
func TestHostBesideOthers(t *testing.T) {
	b := newBed(t, shard.Cluster{Name: "eu", Region: "eu", Hosts: claimable(t, "*")})
	a := table.NewArbiter()
	taken := []string{host}
	b.table.Serve("fed", func(h string, own bool) (bool, string) { return under("example.com", taken...)(h, own) }, a)
	b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: ingress("shop", "x", 1, "192.0.2.1", claim(host), claim("*.example.com"))})
	b.wantHosts("*.example.com shop 192.0.2.1")
	if said := b.table.Announcements(); len(said) != 1 || said[0] != "host shop.example.com of namespace shop: refused: static records stand there" || b.table.Refused() != 1 {
		t.Errorf("%q", said)
	}
	taken = nil
	a.Reevaluate()
	if !b.table.Dirty() {
		t.Error("nothing to publish")
	}
	b.wantHosts("*.example.com shop 192.0.2.1; shop.example.com shop 192.0.2.1")
}

// How routes, Gateways and listeners come together (Gateway API, "Hostname").
func TestAttachment(t *testing.T) {
	https := func(host string) shard.Listener { return shard.Listener{Name: "https", Port: 443, Host: host} }
	with := func(l shard.Listener, change func(*shard.Listener)) shard.Listener { change(&l); return l }
	for _, tt := range []struct {
		what      string
		listener  shard.Listener
		hostnames string
		change    func(*shard.Frontend) // of the route
		want      string
	}{
		{"any host", https(""), "shop.example.com a.example.com", nil, "a.example.com shop.example.com"},
		{"the same", https("shop.example.com"), "shop.example.com other.example.com", nil, "shop.example.com"},
		{"below a wildcard", https("*.example.com"), "shop.example.com a.b.example.com www.example.net", nil, "a.b.example.com shop.example.com"},
		{"not the wildcard's parent", https("*.shop.example.com"), "shop.example.com", nil, ""},
		{"above the listener's", https("shop.example.com"), "*.example.com", nil, "shop.example.com"},
		{"the narrower wildcard", https("*.shop.example.com"), "*.example.com", nil, "*.shop.example.com"},
		{"the route's narrower wildcard", https("*.example.com"), "*.shop.example.com", nil, "*.shop.example.com"},
		{"the listener's alone", https("shop.example.com"), "", nil, "shop.example.com"},
		{"nobody's", https(""), "", nil, ""},
		{"another section", https(""), "shop.example.com", func(r *shard.Frontend) { r.Parents[0].Section = "http" }, ""},
		{"the right section and port", https(""), "shop.example.com", func(r *shard.Frontend) { r.Parents[0].Section, r.Parents[0].Port = "https", 443 }, "shop.example.com"},
		{"another port", https(""), "shop.example.com", func(r *shard.Frontend) { r.Parents[0].Port = 80 }, ""},
		{"rejected", https(""), "shop.example.com", func(r *shard.Frontend) { r.Parents[0].Status = shard.Rejected }, ""},
		{"another kind", with(https(""), func(l *shard.Listener) { l.Only = []shard.FrontendKind{shard.GRPCRoute} }), "shop.example.com", nil, ""},
		{"a TLSRoute where HTTP is spoken", https(""), "shop.example.com", func(r *shard.Frontend) { r.Key.Kind = shard.TLSRoute }, ""},
		{"a TLSRoute", with(https("*.example.com"), func(l *shard.Listener) { l.Only = []shard.FrontendKind{shard.TLSRoute} }), "shop.example.com", func(r *shard.Frontend) { r.Key.Kind = shard.TLSRoute }, "shop.example.com"},
		{"a GRPCRoute", https(""), "shop.example.com", func(r *shard.Frontend) { r.Key.Kind = shard.GRPCRoute }, "shop.example.com"},
		{"an HTTPRoute where TLS is passed through", with(https(""), func(l *shard.Listener) { l.Only = []shard.FrontendKind{shard.TLSRoute} }), "shop.example.com", nil, ""},
		{"another namespace", https(""), "shop.example.com", func(r *shard.Frontend) { r.Key.Namespace = "other" }, ""},
		{"from all", with(https(""), func(l *shard.Listener) { l.From = shard.AnyWhere }), "shop.example.com", func(r *shard.Frontend) { r.Key.Namespace = "other" }, "shop.example.com"},
		{"by label, unsaid", with(https(""), func(l *shard.Listener) { l.From = shard.Selected }), "shop.example.com", nil, ""},
		{"by label, accepted", with(https(""), func(l *shard.Listener) { l.From = shard.Selected }), "shop.example.com", func(r *shard.Frontend) { r.Parents[0].Status = shard.Accepted }, "shop.example.com"},
		{"from nowhere", with(https(""), func(l *shard.Listener) { l.From = shard.Nowhere }), "shop.example.com", nil, ""},
		{"another Gateway", https(""), "shop.example.com", func(r *shard.Frontend) { r.Parents[0].Name = "none" }, ""},
	} {
		b := hosting(t, shard.Cluster{Name: "eu", Region: "eu", Hosts: claimable(t, "*")})
		r := route(shard.HTTPRoute, "shop", "r", to("shop", "gw"), strings.Fields(tt.hostnames))
		if tt.change != nil {
			tt.change(r)
		}
		b.apply(0, lists()...).apply(0, shard.FrontendSet{Frontend: gateway("shop", "gw", "192.0.2.1", tt.listener)}, shard.FrontendSet{Frontend: r})
		var got []string
		for h := range strings.SplitSeq(b.hosts(), "; ") {
			if h != "" {
				got = append(got, strings.Fields(h)[0])
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
}

func listenerSet(kind shard.FrontendKind, namespace, name string, gateway shard.Parent, listeners ...shard.Listener) *shard.Frontend {
	o := &shard.Service{Key: snapshot.Key{Namespace: namespace, Name: name, Kind: snapshot.Ing}}
	return &shard.Frontend{Key: shard.FrontendKey{Kind: kind, Namespace: namespace, Name: name}, Object: o, Parents: []shard.Parent{gateway}, Listeners: listeners}
}

// How routes come to a Gateway through a set of listeners.
func TestListenerSet(t *testing.T) {
	const served = "shop.example.com shop 192.0.2.1"
	for _, tt := range []struct {
		what         string
		change       func(gw, set, r *shard.Frontend)
		want, wantTo string
	}{
		{"from all", nil, served, "eu/ 192.0.2.1"},
		{"on trial", func(_, set, r *shard.Frontend) {
			set.Key.Kind, r.Parents[0].Kind = shard.XListenerSet, shard.XListenerSet
		}, served, "eu/ 192.0.2.1"},
		{"by its kind", func(_, _, r *shard.Frontend) { r.Parents[0].Kind = shard.XListenerSet }, "", "eu/ 192.0.2.1"},
		{"the Gateway's own listeners aren't the set's", func(_, set, r *shard.Frontend) {
			set.Listeners[0].Host, r.Hostnames = host, []string{"own.example.com"}
		}, "", "eu/ 192.0.2.1"},
		{"the set's aren't the Gateway's own", func(_, _, r *shard.Frontend) { r.Parents[0] = shard.Parent{Namespace: "infra", Name: "gw"} }, "", "eu/ 192.0.2.1"},
		{"from none", func(gw, _, _ *shard.Frontend) { gw.Sets = shard.Nowhere }, "", "eu/ 192.0.2.1"},
		{"from another namespace", func(gw, _, _ *shard.Frontend) { gw.Sets = shard.Same }, "", "eu/ 192.0.2.1"},
		{"from its own", func(gw, set, r *shard.Frontend) {
			gw.Sets, set.Key.Namespace, set.Listeners[0].From, r.Parents[0].Namespace = shard.Same, "infra", shard.AnyWhere, "infra"
		}, served, "eu/ 192.0.2.1"},
		{"by label, unsaid", func(gw, _, _ *shard.Frontend) { gw.Sets = shard.Selected }, "", "eu/ 192.0.2.1"},
		{"by label, accepted", func(gw, set, _ *shard.Frontend) { gw.Sets, set.Parents[0].Status = shard.Selected, shard.Accepted }, served, "eu/ 192.0.2.1"},
		{"rejected", func(_, set, _ *shard.Frontend) { set.Parents[0].Status = shard.Rejected }, "", "eu/ 192.0.2.1"},
		{"the route is rejected", func(_, _, r *shard.Frontend) { r.Parents[0].Status = shard.Rejected }, "", "eu/ 192.0.2.1"},
		{"the route's namespace is not the set's", func(_, _, r *shard.Frontend) { r.Key.Namespace = "other" }, "", "eu/ 192.0.2.1"},
		{"another Gateway", func(_, set, _ *shard.Frontend) { set.Parents[0].Name = "none" }, "", "eu/ 192.0.2.1"},
		{"a set of a set", func(_, set, _ *shard.Frontend) {
			set.Parents[0] = shard.Parent{Kind: shard.ListenerSet, Namespace: "shop", Name: "set"}
		}, "", "eu/ 192.0.2.1"},
		{"another section", func(_, _, r *shard.Frontend) { r.Parents[0].Section = "own" }, "", "eu/ 192.0.2.1"},
		{"the right section", func(_, _, r *shard.Frontend) { r.Parents[0].Section = "tls" }, served, "eu/ 192.0.2.1"},
		{"a listener that isn't ready", func(_, set, _ *shard.Frontend) { set.Listeners[0].NotReady = true }, "shop.example.com shop", "eu/ 192.0.2.1"},
		{"only the Gateway's own aren't", func(gw, _, _ *shard.Frontend) { gw.Object.Route(shard.Routing{Blocked: health.NotListening}) }, served, ""},
		{"no endpoint", func(_, _, r *shard.Frontend) {
			r.Object.Route(shard.Routing{Backends: []snapshot.Key{{Namespace: "shop", Name: "api"}}})
		}, "shop.example.com shop", ""},
	} {
		b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
		gw := gateway("infra", "gw", "192.0.2.1", shard.Listener{Name: "own", Host: "own.example.com", Only: []shard.FrontendKind{shard.TLSRoute}})
		gw.Sets = shard.AnyWhere
		set := listenerSet(shard.ListenerSet, "shop", "set", shard.Parent{Namespace: "infra", Name: "gw"}, shard.Listener{Name: "tls", Only: []shard.FrontendKind{shard.TLSRoute}})
		r := route(shard.TLSRoute, "shop", "r", []shard.Parent{{Kind: shard.ListenerSet, Namespace: "shop", Name: "set"}}, []string{host}, "web")
		if tt.change != nil {
			tt.change(gw, set, r)
		}
		b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: service(web)}, shard.ServiceSet{Service: service(snapshot.Key{Namespace: "shop", Name: "api"})}, shard.SliceSet{Slice: slice(web, ready(""))})
		sets := []shard.Change{shard.FrontendSet{Frontend: gw}, shard.FrontendSet{Frontend: set}, shard.FrontendSet{Frontend: r}}
		for range 3 { // whichever comes last
			sets = append(sets[1:], sets[0])
			b.apply(0, sets...)
			if got, to := b.hosts(), b.up(gw.Object.Key); got != tt.want || to != tt.wantTo {
				t.Errorf("%s: %q at %q, want %q at %q", tt.what, got, to, tt.want, tt.wantTo)
			}
			heir := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
			if got := heir.apply(0, b.table.Export(0)...).hosts(); got != tt.want {
				t.Errorf("%s: an heir says %q, want %q", tt.what, got, tt.want)
			}
			// Each is needed.
			for _, c := range sets {
				k := c.(shard.FrontendSet).Frontend.Key
				b.apply(0, shard.FrontendGone{Key: k})
				b.wantHosts("")
				b.apply(0, c)
				if got := b.hosts(); got != tt.want {
					t.Errorf("%s: %q after %v has come back, want %q", tt.what, got, k, tt.want)
				}
			}
			for _, c := range sets {
				b.apply(0, shard.FrontendGone{Key: c.(shard.FrontendSet).Frontend.Key})
			}
		}
	}
}

// A change of a set, or of which a Gateway takes, is one of its routes.
func TestListenerSetChanges(t *testing.T) {
	b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
	any := shard.Listener{Name: "any"}
	one, two := gateway("shop", "one", "192.0.2.1"), gateway("shop", "two", "192.0.2.2")
	set := listenerSet(shard.ListenerSet, "shop", "set", shard.Parent{Namespace: "shop", Name: "one"}, any)
	b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: service(web)}, shard.FrontendSet{Frontend: one}, shard.FrontendSet{Frontend: two}, shard.FrontendSet{Frontend: set},
		shard.FrontendSet{Frontend: route(shard.HTTPRoute, "shop", "r", []shard.Parent{{Kind: shard.ListenerSet, Namespace: "shop", Name: "set"}, {Namespace: "shop", Name: "two"}}, []string{host}, "web")})
	b.want(one.Object.Key, "") // by its only route, whose Service is down
	b.want(two.Object.Key, "eu/ 192.0.2.2")
	b.wantHosts("shop.example.com shop")
	moved := *set
	moved.Parents = []shard.Parent{{Namespace: "shop", Name: "two"}}
	b.apply(0, shard.FrontendSet{Frontend: &moved})
	b.want(one.Object.Key, "eu/ 192.0.2.1")
	b.want(two.Object.Key, "")
	b.apply(0, shard.SliceSet{Slice: slice(web, ready(""))})
	b.wantHosts("shop.example.com shop 192.0.2.2")
	closed := *two
	closed.Sets = shard.Nowhere
	b.apply(0, shard.FrontendSet{Frontend: &closed})
	b.wantHosts("")
	b.apply(0, shard.FrontendSet{Frontend: two})
	narrow := moved
	narrow.Listeners = []shard.Listener{{Name: "any", Host: "a.example.com"}}
	b.apply(0, shard.FrontendSet{Frontend: &narrow})
	b.wantHosts("")
	b.apply(0, shard.FrontendList{Kind: shard.ListenerSet, Frontends: []*shard.Frontend{&moved}})
	b.wantHosts("shop.example.com shop 192.0.2.2")
	b.apply(0, shard.FrontendList{Kind: shard.ListenerSet})
	b.wantHosts("")
}

// A Gateway is up while a route through it is; an Ingress of the same name shares
// that.
func TestGatewayHealth(t *testing.T) {
	b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
	front := snapshot.Key{Namespace: "shop", Name: "front", Kind: snapshot.Ing}
	any := shard.Listener{Name: "any"}
	b.apply(0, lists()...).apply(0, shard.FrontendSet{Frontend: gateway("shop", "front", "192.0.2.1", any)})
	b.want(front, "eu/ 192.0.2.1") // with no route, the address is enough
	b.apply(0, shard.ServiceSet{Service: service(web)}, shard.FrontendSet{Frontend: route(shard.GRPCRoute, "shop", "r", to("shop", "front"), []string{host}, "web")})
	b.want(front, "")
	b.wantHosts("shop.example.com shop")
	b.apply(0, shard.SliceSet{Slice: slice(web, ready(""))})
	b.want(front, "eu/ 192.0.2.1")
	b.wantHosts("shop.example.com shop 192.0.2.1")
	b.apply(0, shard.ServiceSet{Service: ingress("shop", "front", 3, "192.0.2.2")})
	b.want(front, "eu/ 192.0.2.1, eu/ 192.0.2.2")
	b.apply(0, shard.FrontendGone{Key: shard.FrontendKey{Kind: shard.Gateway, Namespace: "shop", Name: "front"}})
	b.want(front, "eu/ 192.0.2.2")
	b.wantHosts("")
	b.apply(0, shard.ServiceList{Kind: snapshot.Ing})
	b.want(front, "unknown")
}

// What is awaited holds a cluster back, until it has come or is forgone.
func TestAwaited(t *testing.T) {
	b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
	b.apply(0, shard.Awaited{}).apply(0, lists()...)
	if b.table.Complete(0) {
		t.Error("complete before it is")
	}
	b.apply(0, shard.FrontendList{Kind: shard.Gateway}, shard.FrontendList{Kind: shard.HTTPRoute})
	if b.table.Complete(0) {
		t.Error("complete before it is")
	}
	b.apply(0, shard.ListUnavailable{Kind: shard.GRPCRoute})
	if !b.table.Complete(0) {
		t.Error("not complete")
	}
	if b.apply(0, shard.Awaited{}); !b.table.Complete(0) {
		t.Error("what was known isn't any more")
	}
	// A source that asks for all that may be in front has TLSRoutes and ListenerSets, too.
	b = hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
	b.apply(0, shard.Awaited{Frontends: true}).apply(0, lists()...)
	b.apply(0, shard.StandbyList{}, shard.ClassList{Kind: shard.Ingress}, shard.ClassList{Kind: shard.Gateway})
	for _, k := range shard.GatewayAPI {
		if b.table.Complete(0) {
			t.Errorf("complete before the list of each %s", k)
		}
		b.apply(0, shard.FrontendList{Kind: k})
	}
	if !b.table.Complete(0) {
		t.Error("not complete")
	}
}

// The guard is for sources that are lost, and not for rules.
func TestHostGuard(t *testing.T) {
	p := policy
	p.Guard = shard.Guard{Percent: 50, Time: 10 * time.Second}
	b := newBedWith(t, p, shard.Cluster{Name: "eu", Region: "eu"})
	b.table.Serve("fed", under("example.com"), table.NewArbiter())
	b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: ingress("young", "x", 50, "192.0.2.1", claim(host), claim("a.example.com"), claim("b.example.com"))})
	b.wantHosts("a.example.com young 192.0.2.1; b.example.com young 192.0.2.1; shop.example.com young 192.0.2.1")
	b.apply(0, shard.ServiceSet{Service: ingress("old", "x", 5, "192.0.2.2", claim(host), claim("a.example.com"), claim("b.example.com"))})
	b.wantHosts("a.example.com old 192.0.2.2; b.example.com old 192.0.2.2; shop.example.com old 192.0.2.2")
	b.apply(0, shard.ServiceList{Kind: snapshot.Ing})
	b.wantHosts("a.example.com old 192.0.2.2; b.example.com old 192.0.2.2; shop.example.com old 192.0.2.2")
	b.now += 10 * time.Second
	b.table.Advance(b.now)
	b.wantHosts("")
}

// The same objects in any order, through changes and back, give the same answers; and
// so do the lists that the table gives of itself.
func TestFrontsInAnyOrder(t *testing.T) {
	any := shard.Listener{Name: "any", From: shard.AnyWhere}
	var changes []shard.Change
	for i := range 6 {
		changes = append(changes,
			shard.ServiceSet{Service: ingress("shop", fmt.Sprint("i", i), int64(i), fmt.Sprint("192.0.2.", i+1), claim(host, "web"), claim(fmt.Sprintf("h%d.example.com", i%2), "api"))},
			shard.FrontendSet{Frontend: gateway("infra", fmt.Sprint("g", i), fmt.Sprint("192.0.2.", i+101), any)},
			shard.FrontendSet{Frontend: route(shard.HTTPRoute, "shop", fmt.Sprint("r", i), append(to("infra", fmt.Sprint("g", i)), to("infra", fmt.Sprint("g", (i+1)%6))...), []string{host, fmt.Sprintf("h%d.example.com", i)}, "web")},
		)
	}
	changes = append(changes, shard.ServiceSet{Service: service(web)}, shard.SliceSet{Slice: slice(web, ready(""))})
	var want, wantGateway string
	for try := range 50 {
		b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
		b.apply(0, lists()...)
		rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
		b.apply(0, changes...)
		for _, c := range changes[:8] { // some come again
			switch c := c.(type) {
			case shard.FrontendSet:
				b.apply(0, shard.FrontendGone{Key: c.Frontend.Key})
			case shard.ServiceSet:
				b.apply(0, shard.ServiceGone{Key: c.Service.Key})
			}
			if try%2 == 0 {
				b.publish()
			}
			b.apply(0, c)
		}
		key := snapshot.Key{Namespace: "infra", Name: "g1", Kind: snapshot.Ing}
		got, gotGateway := b.hosts(), b.up(key)
		if try == 0 {
			want, wantGateway = got, gotGateway
		}
		if got != want || gotGateway != wantGateway {
			t.Fatalf("%q\n%q\nnot\n%q\n%q", got, gotGateway, want, wantGateway)
		}
		heir := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
		heir.apply(0, b.table.Export(0)...)
		if got := heir.hosts(); got != want || heir.up(key) != wantGateway {
			t.Fatalf("an heir says %q, not %q", got, want)
		}
	}
	if !strings.Contains(want, "h5.example.com shop 192.0.2.101 192.0.2.106") || wantGateway != "eu/ 192.0.2.102" {
		t.Errorf("%q, %q", want, wantGateway)
	}
}
