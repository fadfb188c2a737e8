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

// three is a federation of three listed clusters, c0 to c2 in regions r0 to r2,
// with one shard of web in each: 192.0.2.0 to .2.
func three(t *testing.T, p shard.Policy) *bed {
	var cs []shard.Cluster
	for i := range 3 {
		cs = append(cs, shard.Cluster{Name: topology.ClusterName(fmt.Sprint("c", i)), Region: fmt.Sprint("r", i), Zones: []string{fmt.Sprint("z", i)}})
	}
	b := newBedWith(t, p, cs...)
	for i := range 3 {
		b.apply(i, lists()...)
		b.apply(i, shard.ServiceSet{Service: service(web, fmt.Sprint("192.0.2.", i))}, shard.SliceSet{Slice: slice(web, ready(fmt.Sprint("z", i)))})
	}
	b.publish()
	return b
}

// addrs are the last bytes of what is answered, and a mark for what is stale.
func (b *bed) addrs() string {
	s := b.fed.Service(web)
	if s == nil {
		return "unknown"
	}
	var out []string
	for _, sh := range s.Shards {
		a := fmt.Sprint(sh.Addr.As4()[3])
		if slices.ContainsFunc(s.Silent, func(q snapshot.Silent) bool { return q.Stale && q.Place == sh.Place }) {
			a += "~"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}

// at moves the clock, lets time do its work, and publishes.
func (b *bed) at(d time.Duration) *bed {
	b.now = now + d
	b.table.Advance(b.now)
	return b.publish()
}

func (b *bed) wantAddrs(when, want string) {
	b.t.Helper()
	if got := b.addrs(); got != want {
		b.t.Errorf("%s: answered with %q, want %q", when, got, want)
	}
}

func (b *bed) wantSaid(text string) {
	b.t.Helper()
	if said := b.table.Announcements(); !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, text) }) {
		b.t.Errorf("nobody says %q: %q", text, said)
	}
}

func TestSilence(t *testing.T) {
	for _, keep := range []bool{false, true} {
		b := three(t, shard.Policy{Hold: 5 * time.Minute, Keep: keep})
		b.table.Silence(0, now)
		b.at(0).wantAddrs("at once", "0~ 1 2")
		if at, ok := b.table.Deadline(); !ok || at != now+5*time.Minute {
			t.Errorf("the deadline is %v, %v", at, ok)
		}
		b.at(5*time.Minute-1).wantAddrs("within the hold", "0~ 1 2")
		want := "1 2"
		if keep {
			want = "0~ 1 2"
		}
		b.at(5*time.Minute).wantAddrs(fmt.Sprintf("after the hold, keep %v", keep), want)
		if _, ok := b.table.Deadline(); ok {
			t.Error("there is a deadline still")
		}
		b.table.Refresh(0, b.now)
		b.at(6*time.Minute).wantAddrs("fresh again", "0 1 2")
	}
}

// Silence that is told of twice began when it began.
func TestSilenceGoesOn(t *testing.T) {
	b := three(t, policy)
	b.table.Silence(0, now)
	b.table.Silence(0, now+4*time.Minute)
	b.at(5*time.Minute).wantAddrs("five minutes after the first word of it", "1 2")
}

// When most clusters are silent at once, it is this server that is cut off.
func TestIsolation(t *testing.T) {
	b := three(t, policy)
	b.table.Silence(0, now)
	b.at(time.Second)
	if b.table.Isolated() {
		t.Error("one of three is no isolation")
	}
	b.table.Silence(1, now+time.Second)
	b.at(2 * time.Second)
	b.wantSaid("isolated: 2 of 3")
	b.at(time.Hour).wantAddrs("long after the hold", "0~ 1~ 2")
	b.table.Refresh(0, b.now)
	b.at(time.Hour)
	b.wantSaid("no longer isolated")
	b.wantAddrs("when the isolation is over", "0 1~ 2")
	b.at(time.Hour+5*time.Minute).wantAddrs("when the other's hold is over too, counted from then", "0 2")
	b.table.Refresh(1, b.now)
	b.at(2*time.Hour).wantAddrs("all back", "0 1 2")
}

func check(i int) shard.Check { return checkOf(fmt.Sprint("c", i), i) }

func checkOf(cluster string, i int) shard.Check {
	return shard.Check{
		Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 0), Spec: "tcp",
		Cluster: topology.ClusterName(cluster), Namespace: "shop",
	}
}

func TestProbes(t *testing.T) {
	b := three(t, shard.Policy{Hold: 5 * time.Minute, Probe: "tcp"})
	if got := b.table.Checks(); len(got) != 3 || !b.table.ChecksChanged() {
		t.Fatalf("checks: %v", got)
	}
	b.wantAddrs("before the first results", "0 1 2")
	b.table.Checked(check(0), health.Failing)
	b.at(0).wantAddrs("one fails", "1 2")
	b.table.Checked(check(1), health.Passing)
	b.table.Silence(1, now)
	b.at(time.Hour).wantAddrs("a silent one passes, long after the hold", "1~ 2")
	b.table.Checked(check(1), health.Failing)
	b.at(time.Hour).wantAddrs("a silent one fails", "2")
	b.table.Checked(check(0), health.Passing)
	b.at(time.Hour).wantAddrs("the first recovers", "0 2")
	b.apply(2, shard.ServiceGone{Key: web})
	b.at(time.Hour)
	if got := b.table.Checks(); len(got) != 2 || !b.table.ChecksChanged() {
		t.Errorf("checks of a shard that is gone: %v", got)
	}
}

// Of several addresses of one shard, those that fail are left out; two services
// that share an address share its probe.
func TestProbesShared(t *testing.T) {
	b := newBedWith(t, shard.Policy{Probe: "tcp"}, shard.Cluster{Name: "c"}).apply(0, lists()...)
	api := snapshot.Key{Namespace: "shop", Name: "api"}
	for _, k := range []snapshot.Key{web, api} {
		b.apply(0, shard.ServiceSet{Service: service(k, "192.0.2.1", "192.0.2.2")}, shard.SliceSet{Slice: slice(k, ready(""))})
	}
	b.publish()
	if got := b.table.Checks(); len(got) != 2 {
		t.Errorf("checks: %v", got)
	}
	b.table.Checked(checkOf("c", 1), health.Failing)
	b.table.Checked(checkOf("c", 2), health.Passing)
	b.want(web, "/ 192.0.2.2")
	b.want(api, "/ 192.0.2.2")
	b.apply(0, shard.ServiceGone{Key: web})
	b.publish()
	b.table.Checked(checkOf("c", 1), health.Passing)
	b.want(api, "/ 192.0.2.1, / 192.0.2.2")
}

// Annotations say how a shard is probed where they count, and are noticed where they don't.
func TestProbesAnnotated(t *testing.T) {
	at := netip.MustParseAddrPort("198.51.100.9:81")
	for _, tt := range []struct {
		annotations  bool
		probe        string
		at           netip.AddrPort
		want, notice string
	}{
		{false, "", netip.AddrPort{}, "192.0.2.1:80 tcp false", ""},
		{false, "http /x 200-399", netip.AddrPort{}, "192.0.2.1:80 tcp false", "annotations"},
		{false, "none", netip.AddrPort{}, "192.0.2.1:80 tcp false", "annotations"},
		{false, "", at, "192.0.2.1:80 tcp false", "annotations"},
		{true, "http /x 200-399", at, "198.51.100.9:81 http /x 200-399 true", ""},
		{true, "", netip.AddrPortFrom(at.Addr(), 0), "198.51.100.9:80 tcp false", ""},
		{true, "none", at, "", ""},
	} {
		b := newBedWith(t, shard.Policy{Probe: "tcp", Annotations: tt.annotations}, shard.Cluster{Name: "c"}).apply(0, lists()...)
		s := service(web, "192.0.2.1")
		s.Extend(shard.Extras{Probe: tt.probe, ProbeAt: tt.at}).Port = 80
		b.apply(0, shard.ServiceSet{Service: s}, shard.SliceSet{Slice: slice(web, ready(""))})
		b.publish()
		var got []string
		for _, c := range b.table.Checks() {
			got = append(got, fmt.Sprint(c.Addr, " ", c.Spec, " ", c.Annotated))
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%+v: probed are %q", tt, got)
		}
		var said []string
		for _, n := range b.table.Notices() {
			if n.Kind == shard.BadProbe {
				said = append(said, n.Text)
			}
		}
		if all := strings.Join(said, ", "); !strings.Contains(all, tt.notice) || (all == "") != (tt.notice == "") {
			t.Errorf("%+v: noticed is %q", tt, all)
		}
		explained := ""
		for _, c := range b.table.Explain(web, 0, nil).Shards[0].Checks {
			explained += c.Note
		}
		if (explained == "") != (tt.notice == "") {
			t.Errorf("%+v: explained by %q", tt, explained)
		}
	}
}

// What is refused isn't waited for, is forgotten if it was probed before, and explained.
func TestProbesRefused(t *testing.T) {
	b := three(t, shard.Policy{Hold: time.Minute, Probe: "tcp"})
	b.table.Checked(check(0), health.Failing)
	b.at(0).wantAddrs("one fails", "1 2")
	b.table.NotProbed(check(0), "a loopback address")
	b.at(0).wantAddrs("it isn't probed any more", "0 1 2")
	if x := b.table.Explain(web, 0, nil).Shards[0]; len(x.Checks) != 1 || x.Checks[0].Note != "a loopback address" || x.Evidence.Unasked {
		t.Errorf("explained as %+v", x)
	}
	b.wantNotice("namespace shop has 192.0.2.0:0 probed, a loopback address; it isn't")
	b.table.BeingProbed(check(1), "every 1m0s only")
	b.wantNotice("namespace shop asks for more probes")
}

func TestPanic(t *testing.T) {
	b := three(t, shard.Policy{Probe: "tcp", Panic: 50})
	b.table.Checked(check(0), health.Failing)
	b.at(0).wantAddrs("one of three fails", "1 2")
	b.table.Checked(check(1), health.Failing)
	b.at(0).wantAddrs("two of three fail", "0 1 2")
	if note := b.fed.Service(web).Note; !strings.Contains(note, "panic: probes fail for 2 of 3") || b.table.Panics() != 1 {
		t.Errorf("the note is %q; %d services in panic", note, b.table.Panics())
	}
	b.wantSaid("shop/web: panic: probes fail for 2 of 3")
	b.table.Checked(check(1), health.Passing)
	b.at(0).wantAddrs("calm again", "1 2")
	if b.fed.Service(web).Note != "" {
		t.Error("the note stays")
	}
	b.wantSaid("no panic any more")
}

func TestOverrides(t *testing.T) {
	for _, tt := range []struct{ orders, want string }{
		{"", "0 1 2"},
		{`drain cluster/c0 reason "x"`, "1 2"},
		{`drain region/r1 reason "x"`, "0 2"},
		{`down zone/z2 reason "x"`, "0 1"},
		{`drain service/shop/web reason "x"`, ""},
		{`drain service/shop/api reason "x"`, "0 1 2"},
		{"drain region/r0 reason \"x\"\nup cluster/c0 reason \"not this one\"", "0 1 2"},
		{"drain service/shop/web reason \"x\"\nup cluster/c1 reason \"but here\"", "1"},
		{`drain cluster/nowhere reason "x"`, "0 1 2"},
	} {
		b := three(t, policy)
		orders, err := override.Parse(tt.orders)
		if err != nil {
			t.Fatal(err)
		}
		b.table.Override(orders)
		b.at(0).wantAddrs(tt.orders, tt.want)
		if strings.Contains(tt.orders, "nowhere") {
			b.wantNotice("there is no cluster of this name")
		}
		b.table.Override(nil)
		b.at(0).wantAddrs("taken back", "0 1 2")
	}
	b := three(t, policy)
	b.apply(0, shard.SliceSet{Slice: slice(web, shard.Endpoint{Zone: "z0"})})
	b.at(0).wantAddrs("no pods", "1 2")
	orders, err := override.Parse(`up cluster/c0 reason "the readiness check lies"`)
	if err != nil {
		t.Fatal(err)
	}
	b.table.Override(orders)
	b.at(0).wantAddrs("forced up", "0 1 2")
}

// An order to go back where there is nothing to go back to changes nothing, and that is
// said.
func TestFutile(t *testing.T) {
	choice := func(text string) snapshot.Policy {
		if text == "" {
			return snapshot.Policy{}
		}
		p, err := snapshot.ParsePolicy(strings.Fields(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tt := range []struct{ usual, own, order, want string }{
		{"", "", "service/shop/web", "its policy is all; only failover has a region to go back to"},
		{"nearest", "", "service/shop/web", "its policy is nearest; only failover"},
		{"failover r0 r1", "weighted 2", "service/shop/web", "its policy is weighted 2; only failover"},
		{"failover r0 r1", "", "service/shop/web", "its policy, failover r0 r1, goes back by itself"},
		{"failover r0 r1 failback manual", "", "service/shop/web", ""},
		{"", "failover r0 r1 failback delayed 1m", "service/shop/web", ""},
		{"", "failover r0 r1 failback manual", "service/shop/web", ""},
		{"", "", "service/shop/unknown", ""}, // which is another matter
		{"", "", "region/r0", "no service has the policy failover"},
		{"", "failover r0 r1", "region/r0", "every policy failover that has the region r0 goes back by itself"},
		{"", "failover r0 r1 failback manual", "region/r0", ""},
		{"", "failover r0 r1", "region/r2", "no policy failover has the region r2"},
		{"failover r2 r1", "nearest", "region/r2", "every policy failover that has the region r2 goes back by itself"},
		{"failover r2 r1 failback manual", "nearest", "region/r2", ""},
		{"failover r2 r1", "nearest", "region/r0", "no service has the policy failover"},
	} {
		b := three(t, shard.Policy{Choice: choice(tt.usual)})
		s := service(web, "192.0.2.0")
		s.Extend(shard.Extras{Policy: tt.own})
		b.apply(0, shard.ServiceSet{Service: s}).publish()
		orders, err := override.Parse("failback " + tt.order + ` reason "x"`)
		if err != nil {
			t.Fatal(err)
		}
		if got := shard.NoEffect(b.fed, choice(tt.usual), orders[0]); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("usually %q, own %q: failback %s: %q, want %q", tt.usual, tt.own, tt.order, got, tt.want)
		}
		b.table.Override(orders)
		b.publish()
		if tt.want != "" {
			b.wantNotice(fmt.Sprintf(`override "failback %s" changes nothing: %s`, tt.order, tt.want))
		} else if n := b.table.Notices(); len(n) > 0 {
			t.Errorf("usually %q, own %q: failback %s: %v", tt.usual, tt.own, tt.order, n)
		}
		orders[0].Action = override.Drain
		if got := shard.NoEffect(b.fed, choice(tt.usual), orders[0]); got != "" {
			t.Errorf("drain %s: %q", tt.order, got)
		}
	}
}

// many is a federation of one cluster with n services.
func many(t *testing.T, n int, p shard.Policy) *bed {
	b := newBedWith(t, p, shard.Cluster{Name: "c"}, shard.Cluster{Name: "d"}, shard.Cluster{Name: "e"})
	for c := range 3 {
		b.apply(c, lists()...)
	}
	for i := range n {
		k := snapshot.Key{Namespace: "shop", Name: fmt.Sprint("s", i)}
		b.apply(0, shard.ServiceSet{Service: service(k, fmt.Sprint("192.0.2.", i))}, shard.SliceSet{Slice: slice(k, ready(""))})
	}
	return b.publish()
}

func (b *bed) answered() int {
	n := 0
	for s := range b.fed.Services() {
		n += len(s.Shards)
	}
	return n
}

func TestGuard(t *testing.T) {
	p := shard.Policy{Guard: shard.Guard{Percent: 50, Time: 10 * time.Second, Min: 20}}
	// An API server that comes back empty: all that it held is gone at once.
	b := many(t, 100, p)
	b.apply(0, lists()...)
	if b.at(0); b.answered() != 100 || b.table.Held() != 100 {
		t.Errorf("%d addresses are answered, %d services held", b.answered(), b.table.Held())
	}
	b.wantSaid("guard: 100 of 100 addresses would go")
	if note := b.fed.Service(snapshot.Key{Namespace: "shop", Name: "s1"}).Note; !strings.Contains(note, "guard") {
		t.Errorf("the note is %q", note)
	}
	if b.at(9 * time.Second); b.answered() != 100 {
		t.Errorf("%d addresses before the time is over", b.answered())
	}
	if b.at(10 * time.Second); b.answered() != 0 || b.fed.Size() != 0 {
		t.Errorf("%d addresses after it; the truth is to be served", b.answered())
	}
	b.wantSaid("nothing is held back")

	// It was a mistake: they are back before the time is over, and never went.
	b = many(t, 100, p)
	world := b.table.Export(0)
	b.apply(0, lists()...)
	b.at(0)
	b.apply(0, world...)
	if b.at(5 * time.Second); b.answered() != 100 || b.table.Held() != 0 {
		t.Errorf("%d addresses, %d held", b.answered(), b.table.Held())
	}
	if b.at(time.Minute); b.answered() != 100 {
		t.Errorf("%d addresses in the end", b.answered())
	}

	// In small steps within the time: the step that goes too far waits.
	b = many(t, 100, p)
	for i := range 100 {
		b.apply(0, shard.ServiceGone{Key: snapshot.Key{Namespace: "shop", Name: fmt.Sprint("s", i)}})
		b.at(time.Duration(i) * 10 * time.Millisecond)
	}
	if n := b.answered(); n != 50 {
		t.Errorf("%d addresses are left, want 50", n)
	}

	// Less than the least number is nobody's business.
	b = many(t, 20, p)
	b.apply(0, lists()...)
	if b.at(0); b.answered() != 0 {
		t.Errorf("%d addresses of a small federation stay", b.answered())
	}

	// All nodes vanish, and with them where everything is: no address goes, but the
	// names of its zone would.
	b = newBedWith(t, p, shard.Cluster{Name: "c"})
	b.apply(0, lists(shard.Node{Name: "n", Region: "us", Zone: "us-a"})...)
	for i := range 100 {
		k := snapshot.Key{Namespace: "shop", Name: fmt.Sprint("s", i)}
		b.apply(0, shard.ServiceSet{Service: service(k, fmt.Sprint("192.0.2.", i))}, shard.SliceSet{Slice: slice(k, ready(""))})
	}
	b.publish()
	b.apply(0, shard.NodeList{})
	zone := topology.Scope{Region: "us", Zone: "us-a"}
	zonal := func() int {
		if _, ok := b.fed.Map.Scope("us-a", "us"); !ok {
			return -1
		}
		return len(b.fed.Service(snapshot.Key{Namespace: "shop", Name: "s7"}).In(zone))
	}
	if b.at(0); zonal() != 1 {
		t.Errorf("the zone has %d addresses", zonal())
	}
	if b.at(10 * time.Second); zonal() != -1 {
		t.Errorf("the zone has %d addresses after the guard's time", zonal())
	}

	// One that comes and goes is not many that go.
	b = many(t, 1, p)
	only := snapshot.Key{Namespace: "shop", Name: "s0"}
	for i := range 100 {
		b.apply(0, shard.SliceSet{Slice: slice(only, shard.Endpoint{Ready: i%2 == 1})})
		if b.at(time.Duration(i) * 30 * time.Millisecond); b.answered() != i%2 {
			t.Fatalf("flap %d: %d addresses are answered", i, b.answered())
		}
	}

	// An operator's order is obeyed at once.
	b = many(t, 100, p)
	orders, err := override.Parse(`drain cluster/c reason "it is what we want"`)
	if err != nil {
		t.Fatal(err)
	}
	b.table.Override(orders)
	if b.at(0); b.answered() != 0 || b.table.Held() != 0 {
		t.Errorf("%d addresses stay in spite of an order", b.answered())
	}
}
