package table_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// awaits prints what isn't known of web, "region/zone what" each, and an exclamation
// mark where nothing is answered before it is.
func (b *bed) awaits() string {
	var out []string
	print := func(list []snapshot.Await) {
		for _, w := range list {
			hold := ""
			if w.Hold {
				hold = "!"
			}
			out = append(out, fmt.Sprintf("%s/%s %s%s", w.Place.Region, w.Place.Zone, w.What, hold))
		}
	}
	if s := b.fed.Service(web); s != nil {
		print(s.Awaits)
	}
	print(b.fed.Unlisted)
	return strings.Join(out, "; ")
}

// What has to be known before a server that has just started answers: what a shard's
// verdict or addresses depend on, and nothing else. Once it is known, or had its time,
// that is over for good.
func TestBeginning(t *testing.T) {
	const lookup, probe, listing = "load-balancer hostname not looked up yet", "no result of a probe yet", "a cluster has not been listed yet"
	lb := []netip.Addr{netip.MustParseAddr("192.0.2.7")}
	balanced := func(addrs ...string) shard.Change {
		s := service(web, addrs...)
		s.Extend(shard.Extras{Hosts: []string{"lb.example"}})
		return shard.ServiceSet{Service: s}
	}
	down := shard.Endpoint{Zone: "a"}
	order := func(action override.Action, kind override.Kind, name string) override.Order {
		return override.Order{Action: action, Subject: override.Subject{Kind: kind, Name: name}}
	}
	for _, tt := range []struct {
		name    string
		probe   string
		changes []shard.Change
		orders  []override.Order
		want    string // with StartupOver's opposite: what is waited for
		begun   bool
		later   string // the same after its time
	}{
		{"nothing", "", nil, nil, "", true, ""},
		{"an address that the cluster says itself", "", []shard.Change{shard.ServiceSet{Service: service(web, "192.0.2.1")}, shard.SliceSet{Slice: slice(web, ready("a"))}}, nil, "", true, ""},
		{"a hostname", "", []shard.Change{balanced(), shard.SliceSet{Slice: slice(web, ready("a"))}}, nil, "r/a " + lookup + "!", false, "r/a " + lookup},
		{"a hostname, with pods in two zones", "", []shard.Change{balanced(), shard.SliceSet{Slice: slice(web, ready("a"), ready("b"))}}, nil, "r/a " + lookup + "!; r/b " + lookup + "!", false, "r/a " + lookup + "; r/b " + lookup},
		{"a hostname beside an address", "", []shard.Change{balanced("192.0.2.1"), shard.SliceSet{Slice: slice(web, ready("a"))}}, nil, "r/a " + lookup + "!", false, "r/a " + lookup},
		{"a hostname without pods", "", []shard.Change{balanced(), shard.SliceSet{Slice: slice(web, down)}}, nil, "", true, ""},
		{"a hostname in a cluster that is drained", "", []shard.Change{balanced(), shard.SliceSet{Slice: slice(web, ready("a"))}}, []override.Order{order(override.Drain, override.Cluster, "c")}, "", true, ""},
		{"a hostname, one of its zones drained", "", []shard.Change{balanced(), shard.SliceSet{Slice: slice(web, ready("a"), ready("b"))}}, []override.Order{order(override.Drain, override.Zone, "a")}, "r/b " + lookup + "!", false, "r/b " + lookup},
		{"a hostname without pods, by order", "", []shard.Change{balanced(), shard.SliceSet{Slice: slice(web, down)}}, []override.Order{order(override.Up, override.Zone, "a")}, "r/a " + lookup + "!", false, "r/a " + lookup},
		{"a probe", "tcp", []shard.Change{shard.ServiceSet{Service: service(web, "192.0.2.1")}, shard.SliceSet{Slice: slice(web, ready("a"))}}, nil, "r/a " + probe + "!", false, "r/a " + probe},
		{"a probe of a shard without pods", "tcp", []shard.Change{shard.ServiceSet{Service: service(web, "192.0.2.1")}, shard.SliceSet{Slice: slice(web, down)}}, nil, "", true, ""},
		{"a probe of a shard that is up by order", "tcp", []shard.Change{shard.ServiceSet{Service: service(web, "192.0.2.1")}, shard.SliceSet{Slice: slice(web, ready("a"))}}, []override.Order{order(override.Up, override.Zone, "a")}, "", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBedWith(t, shard.Policy{Hold: time.Minute, Probe: tt.probe}, shard.Cluster{Name: "c", Region: "r", Zones: []string{"a", "b"}})
			b.table.Override(tt.orders)
			if b.publish(); b.table.StartupOver() {
				t.Error("begun before anything has been listed")
			}
			if got := b.awaits(); len(tt.orders) == 0 && got != "r/a "+listing+"!; r/b "+listing+"!" {
				t.Errorf("before it is listed: %q", got)
			}
			b.apply(0, lists()...).apply(0, tt.changes...).publish()
			if got := b.awaits(); got != tt.want || b.table.StartupOver() != tt.begun {
				t.Errorf("waits for %q, begun %v; want %q, %v", got, b.table.StartupOver(), tt.want, tt.begun)
			}
			b.table.EndStartup()
			if b.publish(); b.awaits() != tt.later || !b.table.StartupOver() || b.table.Waiting() > 0 {
				t.Errorf("after its time: %q, begun %v, want %q", b.awaits(), b.table.StartupOver(), tt.later)
			}
			b.table.Resolved("lb.example", lb)
			b.table.Checked(checkOf("c", 1), health.Passing)
			b.table.Checked(checkOf("c", 7), health.Passing)
			if b.publish(); b.awaits() != "" {
				t.Errorf("still waits for %q", b.awaits())
			}
		})
	}
}

// What is learned in the beginning of what hasn't been answered is no change: no answer
// is short-lived for it, and no line says so. Addresses that turn up are probed before
// they are answered.
func TestBeginningIsNoNews(t *testing.T) {
	b := newBedWith(t, shard.Policy{Probe: "tcp"}, shard.Cluster{Name: "c", Region: "r", Zones: []string{"a"}}).apply(0, lists()...)
	s := service(web)
	s.Extend(shard.Extras{Hosts: []string{"lb.example"}})
	b.apply(0, shard.ServiceSet{Service: s}, shard.SliceSet{Slice: slice(web, ready("a"))}).publish()
	b.table.Resolved("lb.example", []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")})
	if b.publish(); b.table.StartupOver() || b.awaits() != "r/a no result of a probe yet!" {
		t.Errorf("resolved: begun %v, waits for %q", b.table.StartupOver(), b.awaits())
	}
	b.table.Checked(checkOf("c", 1), health.Failing)
	b.table.Checked(checkOf("c", 2), health.Passing)
	b.want(web, "r/a 192.0.2.2")
	if !b.table.StartupOver() || len(b.moved) > 0 || len(b.fed.Service(web).Recent) > 0 {
		t.Errorf("begun %v, moved %q, recent %v", b.table.StartupOver(), b.moved, b.fed.Service(web).Recent)
	}
	// Later it is one.
	b.table.Checked(checkOf("c", 2), health.Failing)
	if b.publish(); !slices.Equal(b.moved, []string{"shop/web in c: down (probe fails)"}) || len(b.fed.Service(web).Recent) == 0 {
		t.Errorf("moved %q, recent %v", b.moved, b.fed.Service(web).Recent)
	}
}

// Once begun, nothing is held up: not by a member that joins, by a new hostname or by a
// new address to be probed. What is known is answered.
func TestBegunForGood(t *testing.T) {
	b := three(t, shard.Policy{Hold: time.Minute})
	if !b.table.StartupOver() {
		t.Fatal("not begun")
	}
	i := b.table.Join(shard.Cluster{Name: "c3", Region: "r0", Zones: []string{"z0"}})
	if b.publish(); !b.table.StartupOver() || b.table.Settled() || b.awaits() != "r0/z0 a cluster has not been listed yet" {
		t.Errorf("one joins: begun %v, waits for %q", b.table.StartupOver(), b.awaits())
	}
	s := service(web)
	s.Extend(shard.Extras{Hosts: []string{"lb.example"}})
	b.apply(i, lists()...).apply(i, shard.ServiceSet{Service: s}, shard.SliceSet{Slice: slice(web, ready("z0"))})
	if b.publish(); !b.table.StartupOver() || b.awaits() != "r0/z0 load-balancer hostname not looked up yet" || len(b.moved) > 0 {
		t.Errorf("it has a hostname: begun %v, waits for %q, moved %q", b.table.StartupOver(), b.awaits(), b.moved)
	}
	b.table.Resolved("lb.example", nil)
	if b.publish(); b.awaits() != "" || len(b.moved) > 0 {
		t.Errorf("it doesn't resolve: waits for %q, moved %q", b.awaits(), b.moved)
	}
}

// A table that takes over what another has answered goes on answering, whatever it
// doesn't know itself; what is new waits.
func TestCarried(t *testing.T) {
	p := shard.Policy{Hold: time.Minute, Probe: "tcp"}
	b := newBedWith(t, p, shard.Cluster{Name: "c", Region: "r", Zones: []string{"a"}}).apply(0, lists()...)
	s := service(web)
	s.Extend(shard.Extras{Hosts: []string{"lb.example"}})
	b.apply(0, shard.ServiceSet{Service: s}, shard.SliceSet{Slice: slice(web, ready("a"))})
	b.table.RestoreResolution("lb.example", []netip.Addr{netip.MustParseAddr("192.0.2.1")})
	b.table.MarkAnswered(0)
	b.want(web, "r/a 192.0.2.1")
	if b.awaits() != "r/a load-balancer hostname not looked up yet" || !b.table.StartupOver() {
		t.Errorf("begun %v, waits for %q", b.table.StartupOver(), b.awaits())
	}
	b.table.Resolved("lb.example", []netip.Addr{netip.MustParseAddr("192.0.2.1")})
	if b.publish(); b.awaits() != "r/a no result of a probe yet" {
		t.Errorf("confirmed: waits for %q", b.awaits())
	}
	b.table.Checked(checkOf("c", 1), health.Failing)
	b.want(web, "")

	heir := newBedWith(t, p, shard.Cluster{Name: "c", Region: "r", Zones: []string{"a"}}).apply(0, b.table.Export(0)...)
	heir.table.RestoreProbes(b.table.Probed())
	for name, addrs := range b.table.Resolutions() {
		heir.table.Resolved(name, addrs)
	}
	heir.table.MarkAnswered(0)
	heir.want(web, "") // what fails its probes doesn't come back by a reload
	if heir.awaits() != "" || !heir.table.StartupOver() {
		t.Errorf("the heir: begun %v, waits for %q", heir.table.StartupOver(), heir.awaits())
	}
}

// Where a failover policy answers from isn't decided by who is listed first.
func TestBeginningOfLead(t *testing.T) {
	manual := snapshot.Policy{Choice: snapshot.Failover, Regions: []string{"r1", "r0"}, Failback: snapshot.Failback{Manual: true}}
	var cs []shard.Cluster
	for i := range 2 {
		cs = append(cs, shard.Cluster{Name: topology.ClusterName(fmt.Sprint("c", i)), Region: fmt.Sprint("r", i), Zones: []string{fmt.Sprint("z", i)}})
	}
	b := newBedWith(t, shard.Policy{Hold: time.Minute, Choice: manual}, cs...)
	active := func(when, want string) {
		t.Helper()
		if got := b.publish().fed.Service(web).Active[0]; got != want {
			t.Errorf("%s: answered from %q, want %q", when, got, want)
		}
	}
	list := func(i int, e shard.Endpoint) {
		b.apply(i, lists()...).apply(i, shard.ServiceSet{Service: service(web, fmt.Sprint("192.0.2.", i))}, shard.SliceSet{Slice: slice(web, e)})
	}
	list(0, ready("z0"))
	active("the second is listed first", "r0")
	list(1, ready("z1"))
	active("the first is listed", "r1")
	b.apply(1, shard.SliceSet{Slice: slice(web, shard.Endpoint{Zone: "z1"})})
	active("the first goes", "r0")
	b.apply(1, shard.SliceSet{Slice: slice(web, ready("z1"))})
	active("it is back, and nobody has said so", "r0")
}

// Whether a route is let in where namespaces are chosen by their labels is known by the
// word of its cluster's controller. It is waited for in the beginning; then what it would change has
// the degraded TTL, for a while.
func TestBeginningOfRoutes(t *testing.T) {
	const waits = "route not accepted by its gateway's controller yet"
	byLabel := shard.Listener{Name: "https", Port: 443, From: shard.Selected}
	gw := gateway("shop", "gw", "192.0.2.1", byLabel)
	routed := func(word shard.ParentStatus, change func(*shard.Frontend)) shard.Change {
		r := route(shard.HTTPRoute, "shop", "r", to("shop", "gw"), []string{host}, "web")
		r.Object.Created = 2
		r.Parents[0].Status = word
		if change != nil {
			change(r)
		}
		return shard.FrontendSet{Frontend: r}
	}
	inSet := func(r *shard.Frontend) {
		r.Parents[0].Kind, r.Parents[0].Name, r.Parents[0].Status = shard.ListenerSet, "set", shard.Accepted
	}
	set := func(word shard.ParentStatus) shard.Change {
		s := listenerSet(shard.ListenerSet, "shop", "set", shard.Parent{Namespace: "shop", Name: "gw", Status: word}, shard.Listener{Name: "tls", Port: 443})
		return shard.FrontendSet{Frontend: s}
	}
	other := shard.ServiceSet{Service: ingress("shop", "ing", 1, "192.0.2.2", claim(host, "web"))}
	others := shard.ServiceSet{Service: ingress("else", "ing", 9, "192.0.2.3", claim(host))}
	older := shard.ServiceSet{Service: ingress("else", "ing", 1, "192.0.2.3", claim(host))}
	const routes, both, theirs = host + " shop 192.0.2.1", host + " shop 192.0.2.1 192.0.2.2", host + " else 192.0.2.3"
	for _, tt := range []struct {
		name    string
		changes []shard.Change
		waits   bool
		hosts   string       // while it is waited for, or at once
		late    string       // after the time for it
		short   string       // of which answer the TTL is the degraded one then: that of the host, or of what stands for it
		heard   shard.Change // in time
		then    string
	}{
		{"unheard", []shard.Change{routed(shard.AwaitingController, nil)}, true, host + " shop", "", "unsure", routed(shard.Accepted, nil), routes},
		{"unheard, then rejected", []shard.Change{routed(shard.AwaitingController, nil)}, true, host + " shop", "", "unsure", routed(shard.Rejected, nil), ""},
		{"of a manifest", []shard.Change{routed(shard.Unstated, nil)}, false, "", "", "", routed(shard.Accepted, nil), routes},
		{"accepted", []shard.Change{routed(shard.Accepted, nil)}, false, routes, routes, "", routed(shard.Rejected, nil), ""},
		{"at another section", []shard.Change{routed(shard.AwaitingController, func(r *shard.Frontend) { r.Parents[0].Section = "http" })}, false, "", "", "", routed(shard.Accepted, nil), routes},
		{"beside an Ingress", []shard.Change{routed(shard.AwaitingController, nil), other}, true, host + " shop 192.0.2.2", host + " shop 192.0.2.2", "host", routed(shard.Accepted, nil), both},
		{"beside another namespace's, which is younger", []shard.Change{routed(shard.AwaitingController, nil), others}, true, theirs, theirs, "host", routed(shard.Accepted, nil), routes},
		{"beside another namespace's, which is older", []shard.Change{routed(shard.AwaitingController, nil), older}, false, theirs, theirs, "", routed(shard.Accepted, nil), theirs},
		{"through a set that is unheard of", []shard.Change{routed(shard.Unstated, inSet), set(shard.AwaitingController)}, true, host + " shop", "", "unsure", set(shard.Accepted), routes},
		{"through a set that is accepted", []shard.Change{routed(shard.Unstated, inSet), set(shard.Accepted)}, false, routes, routes, "", set(shard.Rejected), ""},
		{"to a Gateway that isn't there", []shard.Change{routed(shard.AwaitingController, func(r *shard.Frontend) { r.Parents[0].Name = "none" })}, false, "", "", "", routed(shard.Accepted, nil), routes},
	} {
		for _, inTime := range []bool{true, false} {
			b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
			g := *gw
			g.Sets = shard.Selected
			b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: service(web)}, shard.SliceSet{Slice: slice(web, ready(""))}, shard.FrontendSet{Frontend: &g}).apply(0, tt.changes...)
			b.wantHosts(tt.hosts)
			held := ""
			for s := range b.fed.Hosts() {
				for _, w := range s.Awaits {
					if w.Hold {
						held = w.What
					}
				}
			}
			if (held == waits) != tt.waits || b.table.StartupOver() && held != "" {
				t.Errorf("%s: waits for %q, begun %v", tt.name, held, b.table.StartupOver())
			}
			if inTime {
				b.apply(0, tt.heard)
				b.wantHosts(tt.then)
				if !b.table.StartupOver() {
					t.Errorf("%s: not begun when it has been heard", tt.name)
				}
				continue
			}
			short := func() (out string) {
				for s := range b.fed.Hosts() {
					if len(s.Awaits) > 0 && s.Awaits[0].What == waits && !s.Awaits[0].Hold {
						out = "host"
					}
				}
				if b.fed.Unsure(host, "example.com") {
					out += "unsure"
				}
				return out
			}
			b.table.EndStartup()
			b.wantHosts(tt.late)
			if got := short(); got != tt.short || (b.table.AwaitedRoutes() > 0) != (tt.waits || tt.short != "" || strings.HasSuffix(tt.name, "older")) {
				t.Errorf("%s: late, %q is short-lived, not %q; %d routes unheard", tt.name, got, tt.short, b.table.AwaitedRoutes())
			}
			if tt.short != "" { // nobody says anything for too long
				b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
				b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: service(web)}, shard.SliceSet{Slice: slice(web, ready(""))}, shard.FrontendSet{Frontend: &g}).apply(0, tt.changes...).publish()
				b.table.EndStartup()
				b.publish()
				b.table.EndRouteWait()
				b.wantHosts(tt.late)
				if b.table.AwaitedRoutes() > 0 || b.fed.Unsure(host, "example.com") || strings.Contains(fmt.Sprint(b.fed.Host(host)), waits) {
					t.Errorf("%s: it is still waited for", tt.name)
				}
			}
			b.apply(0, tt.heard)
			b.wantHosts(tt.then)
			if got := short(); got != "" || b.table.AwaitedRoutes() > 0 && !strings.Contains(tt.name, "set that is unheard") {
				t.Errorf("%s: %q is short-lived when it has been heard; %d routes unheard", tt.name, got, b.table.AwaitedRoutes())
			}
			b.apply(0, routed(shard.AwaitingController, nil), set(shard.AwaitingController)) // what comes now holds up nothing
			b.publish()
			if s := b.fed.Service(snapshot.Key{Namespace: "shop", Name: host, Kind: snapshot.Host}); s != nil && len(s.Awaits) > 0 {
				t.Errorf("%s: %v is waited for later", tt.name, s.Awaits)
			}
		}
	}
}

// Nobody can have a host's answers be short-lived by a route that is put up later, or that claims
// more than it did.
func TestLateRoutes(t *testing.T) {
	const other = "other.example.com"
	gw := gateway("shop", "gw", "192.0.2.1", shard.Listener{Name: "https", Port: 443, From: shard.Selected})
	routed := func(name string, word shard.ParentStatus, hosts ...string) shard.Change {
		r := route(shard.HTTPRoute, "tenant", name, to("shop", "gw"), hosts)
		r.Parents[0].Status = word
		return shard.FrontendSet{Frontend: r}
	}
	b := hosting(t, shard.Cluster{Name: "eu", Region: "eu"})
	ours := ingress("shop", "ing", 9, "192.0.2.2", claim(host, "web"), claim(other, "web"), claim("*.example.com", "web"))
	b.apply(0, lists()...).apply(0, shard.ServiceSet{Service: service(web)}, shard.SliceSet{Slice: slice(web, ready(""))}, shard.FrontendSet{Frontend: gw}, shard.ServiceSet{Service: ours},
		routed("a", shard.AwaitingController, host), routed("w", shard.AwaitingController, "below.example.com")).publish()
	b.table.EndStartup()
	short := func() string {
		b.publish()
		var out []string
		for _, h := range []string{host, other} {
			if s := b.fed.Host(h); len(s.Shards) != 1 || len(s.Awaits) > 0 {
				out = append(out, h)
			}
		}
		for _, h := range []string{"below.example.com", "x.below.example.com", "beside.example.com"} {
			if b.fed.Unsure(h, "example.com") {
				out = append(out, h)
			}
		}
		return strings.Join(out, " ")
	}
	const below = " below.example.com x.below.example.com"
	for _, step := range []struct {
		name   string
		change shard.Change
		want   string
	}{
		{"what was there", nil, host + below},
		{"a route that is put up later", routed("b", shard.AwaitingController, other, "beside.example.com"), host + below},
		{"a route that claims more", routed("a", shard.AwaitingController, host, other, "*.example.com"), host + below},
		{"a route that claims less", routed("a", shard.AwaitingController, other), strings.TrimSpace(below)},
		{"and what it claimed", routed("a", shard.AwaitingController, host), strings.TrimSpace(below)},
		{"a route that goes", shard.FrontendGone{Key: shard.FrontendKey{Kind: shard.HTTPRoute, Namespace: "tenant", Name: "a"}}, strings.TrimSpace(below)},
		{"and comes back", routed("a", shard.AwaitingController, host), strings.TrimSpace(below)},
		{"a route that is rejected", routed("w", shard.Rejected, "below.example.com"), ""},
		{"and forgotten", routed("w", shard.AwaitingController, "below.example.com"), ""},
	} {
		if step.change != nil {
			b.apply(0, step.change)
		}
		if got := short(); got != step.want {
			t.Errorf("%s: %q, not %q", step.name, got, step.want)
		}
	}
	if n := b.table.AwaitedRoutes(); n > 0 {
		t.Errorf("%d routes are waited for", n)
	}
}
