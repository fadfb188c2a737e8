package table_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// said is a Service of a member that says how answers are chosen.
type said struct {
	created int64
	policy  string
	weight  uint16
}

// lasting is a TTL for each policy, and none for none.
func lasting(policy string) (ttl uint32) {
	for _, b := range []byte(policy) {
		ttl = 7*ttl%1000 + uint32(b)
	}
	return ttl
}

// What members say of the policy counts if they agree, those that say anything; else the federation's does. Every
// shard has a weight of its own.
func TestChoiceOfMembers(t *testing.T) {
	const differ = `disagree on fedns.io/policy; that of the federation counts`
	for _, tt := range []struct {
		name    string
		members []said
		want    string // the service's own policy; "": the federation's
		active  string // under a federation's failover r1 r0
		notice  string // "": none
	}{
		{"nobody says anything", []said{{100, "", 1}, {200, "", 1}}, "", "r1", ""},
		{"one says it", []said{{100, "", 1}, {200, "nearest within 5%", 1}}, "nearest within 5%", "", ""},
		{"all say the same", []said{{100, "weighted 2", 1}, {200, "weighted 2", 9}}, "weighted 2", "", ""},
		{"they differ", []said{{200, "nearest", 1}, {100, "weighted", 1}}, "", "r1", `clusters "c0" and "c1" ` + differ},
		{"those that say anything differ", []said{{100, "", 1}, {300, "nearest", 1}, {200, "weighted", 1}}, "", "r1", `clusters "c1" and "c2" ` + differ},
		{"all but one say the same", []said{{100, "nearest 2", 1}, {300, "nearest 2", 1}, {200, "nearest 3", 1}}, "", "r1", `clusters "c0" and "c2" ` + differ},
		{"all, where the federation says otherwise", []said{{100, "all", 1}, {200, "", 1}}, "all", "", ""},
		{"another failover", []said{{100, "failover r0 r1", 1}, {200, "", 1}}, "failover r0 r1", "r0", ""},
		{"a failover to nowhere", []said{{100, "failover mars", 1}, {200, "", 1}}, "failover mars", "", "policy failover mars: there is no region mars in the federation now"},
		{"nearest, where nobody can be placed", []said{{100, "nearest 2", 1}, {200, "", 1}}, "nearest 2", "", "policy nearest 2: there is neither geo nor nets, so nobody knows where clients are: everybody gets every shard"},
		{"weights", []said{{100, "weighted", 0}, {200, "", 65535}, {300, "", 7}}, "weighted", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cs []shard.Cluster
			for i := range tt.members {
				cs = append(cs, shard.Cluster{Name: topology.ClusterName(fmt.Sprint("c", i)), Region: fmt.Sprint("r", i), Zones: []string{fmt.Sprint("z", i)}})
			}
			choice, err := snapshot.ParsePolicy([]string{"failover", "r1", "r0"})
			if err != nil {
				t.Fatal(err)
			}
			b := newBedWith(t, shard.Policy{Choice: choice, Placeless: strings.Contains(tt.notice, "geo")}, cs...)
			r := rand.New(rand.NewPCG(5, 6))
			for _, i := range r.Perm(len(tt.members)) {
				m := tt.members[i]
				o := service(web, fmt.Sprint("192.0.2.", i))
				o.Extend(shard.Extras{Policy: m.policy})
				o.Created, o.Weight = m.created, m.weight
				o.TTL = lasting(m.policy)
				b.apply(i, lists()...).apply(i, shard.ServiceSet{Service: o}, shard.SliceSet{Slice: slice(web, ready(fmt.Sprint("z", i)))})
			}
			s := b.publish().fed.Service(web)
			got := ""
			if s.Policy != nil {
				got = s.Policy.String()
			}
			if got != tt.want || s.Active != [2]string{tt.active, ""} {
				t.Errorf("policy %q, active %q; want %q, %q", got, s.Active, tt.want, tt.active)
			}
			if s.TTL != lasting(tt.want) {
				t.Errorf("TTL %d, want that of the same member, %d", s.TTL, lasting(tt.want))
			}
			for _, sh := range s.Shards {
				if want := tt.members[sh.Cluster].weight; sh.Weight != want {
					t.Errorf("%s weighs %d, want %d", cs[sh.Cluster].Name, sh.Weight, want)
				}
			}
			if tt.notice != "" {
				b.wantNotice(tt.notice)
			} else if n := b.table.Notices(); len(n) > 0 {
				t.Errorf("there is something to notice: %v", n)
			}
		})
	}
}

// A policy that is taken back gives way to the federation's, and the tolerance that
// it knew is known no longer.
func TestChoiceTakenBack(t *testing.T) {
	b := three(t, policy)
	say := func(policy string) {
		o := service(web, "192.0.2.0")
		o.Extend(shard.Extras{Policy: policy})
		b.apply(0, shard.ServiceSet{Service: o}).publish()
	}
	for _, tt := range []struct {
		policy     string
		tolerances []int
	}{{"nearest within 7%", []int{7}}, {"nearest within 9% 2", []int{9}}, {"nearest", nil}, {"", nil}, {"nearest within 7%", []int{7}}} {
		say(tt.policy)
		if got := b.fed.Tolerances(); !slices.Equal(got, tt.tolerances) {
			t.Errorf("%q: the tolerances are %v, want %v", tt.policy, got, tt.tolerances)
		}
		if p := b.fed.Service(web).Policy; (p == nil) != (tt.policy == "") || p != nil && p.String() != tt.policy {
			t.Errorf("the policy is %v, want %q", p, tt.policy)
		}
	}
	b.apply(0, shard.ServiceGone{Key: web}).apply(1, shard.ServiceGone{Key: web}).apply(2, shard.ServiceGone{Key: web}).publish()
	if got := b.fed.Tolerances(); len(got) > 0 {
		t.Errorf("the tolerances of nothing are %v", got)
	}
}
