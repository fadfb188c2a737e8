package table

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A step of a story: which regions are up, or are ordered back to, and which is
// answered from then.
func TestLead(t *testing.T) {
	type step struct {
		at   time.Duration
		up   string
		back string
		want string
		wake time.Duration
	}
	for _, tt := range []struct {
		name, policy string
		steps        []step
	}{
		{"in order", "failover a b c", []step{
			{0, "a b c", "", "a", 0}, {1, "b c", "", "b", 0}, {2, "c", "", "c", 0}, {3, "b c", "", "b", 0}, {4, "a b c", "", "a", 0},
		}},
		{"none of the list", "failover a b", []step{{0, "x y", "", "", 0}, {1, "b x", "", "b", 0}, {2, "x", "", "", 0}, {3, "a b", "", "a", 0}}},
		{"delayed", "failover a b failback delayed 10s", []step{
			{0, "a b", "", "a", 0},
			{1 * time.Second, "b", "", "b", 0},
			{2 * time.Second, "a b", "", "b", 12 * time.Second},
			{5 * time.Second, "a b", "", "b", 12 * time.Second},
			{6 * time.Second, "b", "", "b", 0}, // it went again: the time begins anew
			{7 * time.Second, "a b", "", "b", 17 * time.Second},
			{17 * time.Second, "a b", "", "a", 0},
		}},
		{"delayed, but the other goes", "failover a b failback delayed 10s", []step{
			{0, "b", "", "b", 0}, {1, "a b", "", "b", 1 + 10*time.Second}, {2, "a", "", "a", 0},
		}},
		{"delayed, step by step", "failover a b c failback delayed 10s", []step{
			{0, "c", "", "c", 0}, {1, "b c", "", "c", 1 + 10*time.Second}, {2, "a b c", "", "c", 1 + 10*time.Second},
			{1 + 10*time.Second, "a b c", "", "b", 2 + 10*time.Second}, {2 + 10*time.Second, "a b c", "", "a", 0},
		}},
		{"manual", "failover a b failback manual", []step{
			{0, "a b", "", "a", 0}, {1, "b", "", "b", 0}, {time.Hour, "a b", "", "b", 0}, {2 * time.Hour, "a b", "a", "a", 0}, {3 * time.Hour, "b", "a", "b", 0},
		}},
		{"delayed and ordered", "failover a b failback delayed 1h", []step{{0, "b", "", "b", 0}, {1, "a b", "a", "a", 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := snapshot.ParsePolicy(strings.Fields(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			var l shard.Failover
			for _, s := range tt.steps {
				in := func(list string) func(string) bool {
					return func(r string) bool { return slices.Contains(strings.Fields(list), r) }
				}
				var wake time.Duration
				l, wake = l.Next(p, in(s.up), in(s.back), s.at)
				if l.Active != s.want || wake != s.wake {
					t.Errorf("at %v with %q up: %q, again at %v; want %q, %v", s.at, s.up, l.Active, wake, s.want, s.wake)
				}
			}
		})
	}
}

// A region is up for the family that it has addresses of. The way back of one family is
// no affair of the other.
func TestLeadByFamily(t *testing.T) {
	clusters := []shard.Cluster{{Name: "us", Region: "us", Zones: []string{"us-a"}}, {Name: "eu", Region: "eu", Zones: []string{"eu-a"}}, {Name: "as", Region: "as", Zones: []string{"as-a"}}}
	p, err := snapshot.ParsePolicy(strings.Fields("failover us eu failback delayed 10s"))
	if err != nil {
		t.Fatal(err)
	}
	table := New(clusters, shard.Policy{Choice: p})
	for i := range clusters {
		for _, c := range []shard.Change{shard.ServiceList{Kind: snapshot.Svc}, shard.ServiceList{Kind: snapshot.Ing}, shard.SliceList{}, shard.NodeList{}} {
			table.Apply(i, c)
		}
	}
	key := snapshot.Key{Namespace: "shop", Name: "web"}
	set := func(cluster int, addrs ...string) {
		o := &shard.Service{Key: key, Balancer: true}
		for _, a := range addrs {
			o.Addrs = append(o.Addrs, netip.MustParseAddr(a))
		}
		table.Apply(cluster, shard.ServiceSet{Service: o})
		table.Apply(cluster, shard.SliceSet{Slice: &shard.Slice{Key: shard.SliceKey{Namespace: "shop", Name: "web-x"}, Service: "web", Endpoints: []shard.Endpoint{{Ready: true}}}})
	}
	f, second := snapshot.NewFederation("fed"), time.Second
	want := func(at time.Duration, v4, v6 string) {
		t.Helper()
		f, _ = table.Publish(f, at)
		if got := f.Service(key).Active; got != [snapshot.Families]string{v4, v6} {
			t.Errorf("after %v: %q, want %q", at, got, []string{v4, v6})
		}
	}
	set(0, "2001:db8::1")
	set(1, "192.0.2.2")
	set(2, "192.0.2.3", "2001:db8::3")
	want(second, "eu", "us")
	set(0, "2001:db8::1", "192.0.2.1") // it gets the other family: a region that has come back
	want(2*second, "eu", "us")
	set(1, "2001:db8::2")
	want(3*second, "us", "us") // and the one that was answered from has lost it
	set(0, "192.0.2.1")
	want(4*second, "us", "eu")
	set(0, "192.0.2.1", "2001:db8::1")
	want(5*second, "us", "eu")
	if at, ok := table.Deadline(); !ok || at != 15*second {
		t.Errorf("it is to be looked at again at %v, %v; want when the time is over", at, ok)
	}
	table.Advance(15 * second)
	want(15*second, "us", "us")
	set(0, "192.0.2.1")
	set(1, "192.0.2.2")
	want(16*second, "us", "") // none of the list: everybody who has it

	next := New(clusters, shard.Policy{Choice: p})
	next.RestoreFailovers(table.Failovers())
	if got := next.inherited[key]; got[IPv4].Active != "us" || got[IPv6].Active != "" {
		t.Errorf("a reload goes on from %q", got)
	}
}

const IPv4, IPv6 = snapshot.IPv4, snapshot.IPv6

// A leading is a table in which a service has one shard in each of some regions, and fails
// over among them.
type leading struct {
	t     *testing.T
	table *Table
	fed   *snapshot.Federation
	names []string
}

var followed = snapshot.Key{Namespace: "shop", Name: "web"}

func newLeading(t *testing.T, policy string, regions ...string) *leading {
	t.Helper()
	p, err := snapshot.ParsePolicy(strings.Fields(policy))
	if err != nil {
		t.Fatal(err)
	}
	var clusters []shard.Cluster
	for _, r := range regions {
		clusters = append(clusters, shard.Cluster{Name: topology.ClusterName(r), Region: r, Zones: []string{r + "-a"}})
	}
	return &leading{t, New(clusters, shard.Policy{Choice: p}), snapshot.NewFederation("fed"), regions}
}

// list has a cluster be listed, with a shard that is up or not.
func (l *leading) list(region string, up bool) *leading {
	i := slices.Index(l.names, region)
	o := &shard.Service{Key: followed, Balancer: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}}
	for _, c := range []shard.Change{
		shard.ServiceList{Kind: snapshot.Svc, Services: []*shard.Service{o}}, shard.ServiceList{Kind: snapshot.Ing}, shard.NodeList{},
		shard.SliceList{Slices: []*shard.Slice{{Key: shard.SliceKey{Namespace: "shop", Name: "web-x"}, Service: "web", Endpoints: []shard.Endpoint{{Ready: up}}}}},
	} {
		l.table.Apply(i, c)
	}
	return l
}

func (l *leading) order(lines ...string) *leading {
	orders, err := override.Parse(strings.Join(lines, "\n"))
	if err != nil {
		l.t.Fatal(err)
	}
	l.table.Override(orders)
	return l
}

// at publishes at a time, and wants a region to be answered from.
func (l *leading) at(now time.Duration, want string) *leading {
	l.t.Helper()
	l.table.Advance(now)
	l.fed, _ = l.table.Publish(l.fed, now)
	if got := l.fed.Service(followed).Active[IPv4]; got != want {
		l.t.Errorf("after %v it is answered from %q, want %q", now, got, want)
	}
	return l
}

// restarted is another table, that knows of this one what is kept.
func (l *leading) restarted() *leading {
	next := newLeading(l.t, l.table.policy.Choice.String(), l.names...)
	next.table.RestoreFailovers(l.table.Failovers())
	return next
}

// The same history gives the same place, restarts or none, whichever cluster is listed
// first then.
func TestLeadAfterRestart(t *testing.T) {
	const s = time.Second
	l := newLeading(t, "failover a b c failback manual", "a", "b", "c").list("a", true).list("b", true).list("c", true).at(s, "a")
	l.list("a", false).at(2*s, "b").list("a", true).at(3*s, "b")
	for _, order := range [][]string{{"a", "b", "c"}, {"c", "a", "b"}, {"b", "a", "c"}} {
		n := l.restarted()
		for _, r := range order {
			n.list(r, true)
			want := ""
			switch {
			case n.table.Complete(1):
				want = "b"
			case n.table.Complete(0):
				want = "a" // which isn't for long, and nothing that is kept
			default:
				want = "c"
			}
			n.at(4*s, want)
		}
		n.at(5*s, "b").list("b", false).at(6*s, "a").list("b", true).at(7*s, "a")
		// And what is kept while not all is listed is what was.
		half := n.restarted().list("c", true).at(8*s, "c")
		half.restarted().list("a", true).list("b", true).list("c", true).at(9*s, "a")
	}
	// The time since when a region is up goes on.
	d := newLeading(t, "failover a b failback delayed 10s", "a", "b").list("a", true).list("b", true).at(s, "a").list("a", false).at(2*s, "b").list("a", true).at(3*s, "b")
	d.restarted().list("b", true).at(6*s, "b").list("a", true).at(7*s, "b").at(12*s, "b").at(13*s, "a")
	d.restarted().list("a", false).list("b", true).at(7*s, "b").list("a", true).at(8*s, "b").at(17*s, "b").at(18*s, "a")
	// What is gone is forgotten.
	d.table.Apply(0, shard.ServiceGone{Key: followed})
	d.table.Apply(1, shard.ServiceGone{Key: followed})
	d.table.Publish(d.fed, 20*s)
	if leads, changed := d.table.Failovers(), d.table.ChangedFailovers(); len(leads) > 0 || len(changed) != 1 || changed[followed].Decided() {
		t.Errorf("of what is gone stays %v, and %v is said of it", leads, changed)
	}
}

// An order to go back has its effect once, also across a restart: the next failover is another
// matter.
func TestFailbackEnds(t *testing.T) {
	const s = time.Second
	for _, order := range []string{`failback service/shop/web reason "quiet"`, `failback region/a reason "quiet"`} {
		l := newLeading(t, "failover a b failback manual", "a", "b").list("a", true).list("b", true).at(s, "a")
		l.list("a", false).at(2*s, "b").order(order).at(3*s, "b") // there is nothing to go back to yet
		if said := l.table.Announcements(); len(said) > 0 {
			t.Errorf("%s: it has no effect yet, and it says %q", order, said)
		}
		l.list("a", true).at(4*s, "a")
		if said := l.table.Announcements(); len(said) != 1 || !strings.Contains(said[0], "has had its effect: shop/web is answered from there. It has no other, and can be taken back") {
			t.Errorf("%s: it says %q", order, said)
		}
		l.list("a", false).at(5*s, "b").list("a", true).at(6*s, "b")
		r := l.restarted().order(order).list("a", true).list("b", true).at(7*s, "b")
		// Given once more beside the one that had its effect, it is a new one; then that is gone.
		twice := l.restarted().order(order).list("a", true).list("b", true).at(7*s, "b").order(order, order).at(8*s, "a")
		twice.order(order).at(9*s, "a").list("a", false).at(10*s, "b").list("a", true).at(11*s, "b")
		// Taken back and given again, it is a new one.
		r.order().at(8*s, "b").order(order).at(9*s, "a")
		// One of where it is already has nothing to do, then or later.
		r.order(strings.Replace(order, "quiet", "again", 1)).at(10*s, "a").list("a", false).at(11*s, "b").list("a", true).at(12*s, "b")
	}
}
