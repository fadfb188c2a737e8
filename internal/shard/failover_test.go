package shard

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/snapshot"
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
			var l lead
			for _, s := range tt.steps {
				in := func(list string) func(string) bool {
					return func(r string) bool { return slices.Contains(strings.Fields(list), r) }
				}
				var wake time.Duration
				l, wake = l.next(p, in(s.up), in(s.back), s.at)
				if l.active != s.want || wake != s.wake {
					t.Errorf("at %v with %q up: %q, again at %v; want %q, %v", s.at, s.up, l.active, wake, s.want, s.wake)
				}
			}
		})
	}
}

// A region is up for the family that it has addresses of. The way back of one family is
// no affair of the other.
func TestLeadByFamily(t *testing.T) {
	clusters := []Cluster{{Name: "us", Region: "us", Zones: []string{"us-a"}}, {Name: "eu", Region: "eu", Zones: []string{"eu-a"}}, {Name: "as", Region: "as", Zones: []string{"as-a"}}}
	p, err := snapshot.ParsePolicy(strings.Fields("failover us eu failback delayed 10s"))
	if err != nil {
		t.Fatal(err)
	}
	table := NewTable(clusters, Policy{Choice: p})
	for i := range clusters {
		for _, c := range []Change{ServiceList{Kind: snapshot.Svc}, ServiceList{Kind: snapshot.Ing}, SliceList{}, NodeList{}} {
			table.Apply(i, c)
		}
	}
	key := snapshot.Key{Namespace: "shop", Name: "web"}
	set := func(cluster int, addrs ...string) {
		o := &Service{Key: key, Balancer: true}
		for _, a := range addrs {
			o.Addrs = append(o.Addrs, netip.MustParseAddr(a))
		}
		table.Apply(cluster, ServiceSet{o})
		table.Apply(cluster, SliceSet{&Slice{Key: SliceKey{"shop", "web-x"}, Service: "web", Endpoints: []Endpoint{{Ready: true}}}})
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

	next := NewTable(clusters, Policy{Choice: p})
	next.Follow(table.Leads())
	if got := next.inherited[key]; got != [snapshot.Families]string{"us", ""} {
		t.Errorf("a reload goes on from %q", got)
	}
}
