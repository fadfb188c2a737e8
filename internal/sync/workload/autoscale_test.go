package workload

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// An autoscaled is a Deployment and its federated HorizontalPodAutoscaler in some clusters,
// each with a controller that scales between the bounds of what is there.
type autoscaled struct {
	*world
	t           *rapid.T
	web, scaler Key
	least, most int64
}

func newAutoscaled(t *rapid.T, tb testing.TB) *autoscaled {
	var names []string
	for i := range rapid.IntRange(1, 4).Draw(t, "clusters") {
		names = append(names, string(rune('a'+i)))
	}
	return &autoscaled{world: newWorld(tb, names...), t: t}
}

func (a *autoscaled) wantWeb(n int64) {
	a.web = a.want("Deployment", "ns", "web", fmt.Sprintf(`{"spec":{"replicas":%d}}`, n))
}

func (a *autoscaled) wantScaler(least, most int64, rebalance bool) {
	a.least, a.most = least, most
	a.scaler = a.want("HorizontalPodAutoscaler", "ns", "web", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/preferences":%q}},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"},"minReplicas":%d,"maxReplicas":%d}}`,
		fmt.Sprintf(`{"rebalance":%v,"clusters":{"*":{"weight":1}}}`, rebalance), least, most))
}

// replicas are how many there are in a cluster, and what an autoscaler has to say of it.
func (a *autoscaled) replicas(cluster string) (n int64, within Scale) {
	if h := a.Observed(cluster, a.web); h != nil {
		n = h.Scale["replicas"]
	}
	if h := a.Observed(cluster, a.scaler); h != nil {
		within = h.Scale
	}
	return n, within
}

// scale has the controller of a cluster do what it may; n says what it would like.
func (a *autoscaled) scale(cluster string, n int64) {
	have, within := a.replicas(cluster)
	if h := a.Observed(cluster, a.web); within == nil || have == 0 || h == nil {
		return // paused
	}
	a.copied(cluster, a.web, fmt.Sprintf(`{"spec":{"replicas":%d}}`, between(n, within)))
}

// reach is how many there may be in all.
func (a *autoscaled) reach() (sum int64) {
	for _, m := range a.members {
		if n, within := a.replicas(m.Name); !m.Lost {
			sum += max(n, within["maxReplicas"])
		}
	}
	return sum
}

// step does one step of one plan, if there is any.
func (a *autoscaled) step(which int) bool {
	var all []Step
	for _, k := range []Key{a.web, a.scaler} {
		if a.Desired(k) != nil {
			p := a.Plan(k)
			a.Planned(k, p)
			all = append(all, p.Steps...)
		}
	}
	if len(all) == 0 {
		return false
	}
	s := all[which%len(all)]
	a.do(s)
	return true
}

// settle is that nothing is left to be done by anybody.
func (a *autoscaled) settle() {
	for i := range 200 {
		for _, m := range a.members {
			n, _ := a.replicas(m.Name)
			if m.Reachable {
				a.scale(m.Name, n)
			}
		}
		if !a.step(i) {
			return
		}
	}
	a.t.Fatalf("steps without an end: %v %v", a.Plan(a.web).Steps, a.Plan(a.scaler).Steps)
}

// The replicas of all clusters add up to no more than the autoscaler's maximum and to its
// minimum at least, whatever comes in whichever order; and no step gives one cluster what
// another one may still have.
func TestAutoscaledProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := newAutoscaled(rt, t)
		number := func(what string, least, most int64) int64 { return rapid.Int64Range(least, most).Draw(rt, what) }
		cluster := func() *Member { return a.members[rapid.IntRange(0, len(a.members)-1).Draw(rt, "cluster")] }
		span := func() (int64, int64) {
			least := number("least", 1, 6)
			return least, number("most", least, 12)
		}
		a.wantWeb(number("replicas", 1, 12))
		if rapid.Bool().Draw(rt, "runs before it is scaled") {
			a.run()
		}
		least, most := span()
		a.wantScaler(least, most, rapid.Bool().Draw(rt, "rebalance"))
		for range rapid.IntRange(0, 30).Draw(rt, "events") {
			before := a.reach()
			switch rapid.IntRange(0, 9).Draw(rt, "event") {
			default:
				a.step(rapid.IntRange(0, 20).Draw(rt, "which"))
				if now := a.reach(); now > max(before, a.most) {
					rt.Fatalf("a step lets there be %d, after %d, of at most %d", now, before, a.most)
				}
			case 0, 1:
				a.scale(cluster().Name, number("wish", 1, 12))
				if now := a.reach(); now > max(before, a.most) {
					rt.Fatalf("scaled to %d, after %d, of at most %d", now, before, a.most)
				}
			case 2:
				least, most := span()
				a.wantScaler(least, most, rapid.Bool().Draw(rt, "rebalance"))
			case 3:
				a.wantWeb(number("replicas", 1, 12))
			case 4:
				m := cluster()
				m.Evacuated = !m.Evacuated
				a.SetMembers(a.members)
			case 5:
				m := cluster()
				m.Reachable, m.Lost = !m.Reachable, m.Reachable
				a.SetMembers(a.members)
			case 6:
				a.Gone(cluster().Name, rapid.SampledFrom([]Key{a.web, a.scaler}).Draw(rt, "deleted by hand"))
			case 7:
				if m := cluster().Name; a.Observed(m, a.web) != nil {
					a.copied(m, a.web, fmt.Sprintf(`{"spec":{"replicas":%d}}`, number("by hand", 0, 12)))
				}
			}
		}
		a.settle()
		sum, open := int64(0), false
		for _, m := range a.members {
			if m.Lost {
				continue
			}
			n, within := a.replicas(m.Name)
			sum, open = sum+n, open || !m.Evacuated
			if within == nil && n > 0 || within != nil && n != between(n, within) {
				rt.Errorf("%s has %d replicas, within %v", m.Name, n, within)
			}
		}
		if sum > a.most || open && sum < a.least {
			rt.Errorf("%d replicas, of %d to %d", sum, a.least, a.most)
		}
	})
}

// One replica over two clusters is one.
func TestPlanOfAutoscaled(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.want("Deployment", "ns", "web", `{"spec":{"replicas":6}}`)
	w.run()
	const scaler = `"spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"},"minReplicas":1,"maxReplicas":%d}`
	s := w.want("HorizontalPodAutoscaler", "ns", "web", fmt.Sprintf(`{`+scaler+`}`, 1))
	if got := w.run(); got != "a: update Deployment ns/web 1 replica\nb: update Deployment ns/web 0 replicas\na: create HorizontalPodAutoscaler ns/web 1 minReplica, 1 maxReplica" &&
		got != "a: update Deployment ns/web 0 replicas\nb: update Deployment ns/web 1 replica\nb: create HorizontalPodAutoscaler ns/web 1 minReplica, 1 maxReplica" {
		t.Errorf("one of six: %s", got)
	}
	w.want("HorizontalPodAutoscaler", "ns", "web", fmt.Sprintf(`{`+scaler+`}`, 8))
	w.run()
	for _, c := range []string{"a", "b"} {
		if n, high := w.Observed(c, k).Scale["replicas"], w.Observed(c, s).Scale["maxReplicas"]; n != 1 || high != 4 {
			t.Errorf("%s has %d replicas, at most %d", c, n, high)
		}
	}
	// What is paused is paused everywhere.
	w.want("Deployment", "ns", "web", `{"spec":{"replicas":0}}`)
	w.check("paused", w.run(), "a: update Deployment ns/web 0 replicas\nb: update Deployment ns/web 0 replicas")

	// It is where its target is, and as its target's replicas are preferred.
	w.want("Deployment", "ns", "web", `{"metadata":{"annotations":{"fedns.io/preferences":"{\"clusters\":{\"a\":{\"weight\":1}}}"}},"spec":{"replicas":6}}`)
	w.run()
	if w.Observed("b", s) != nil || w.Observed("a", s).Scale["maxReplicas"] != 8 || w.Observed("b", k).Scale["replicas"] != 0 {
		t.Errorf("a has %v, b %v", w.Observed("a", s), w.Observed("b", s))
	}
	w.want("Deployment", "ns", "web", `{"metadata":{"annotations":{"fedns.io/cluster-selector":"[{\"key\":\"name\",\"operator\":\"in\",\"values\":[\"b\"]}]"}},"spec":{"replicas":6}}`)
	w.run()
	if w.Observed("a", s) != nil || w.Observed("b", s) == nil || w.Observed("b", s).Scale["maxReplicas"] != 8 {
		t.Errorf("a has %v, b %v", w.Observed("a", s), w.Observed("b", s))
	}
}
