package controller

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// deployments is one Sort: keys of two are never equal.
var deployments = func() *workload.Sort {
	all := workload.Kinds()
	return all[slices.IndexFunc(all, func(s *workload.Sort) bool { return s.Kind.Name == "Deployment" })]
}()

func deployment(name string) workload.Key {
	return workload.Key{Sort: deployments, Namespace: "shop", Name: name}
}

// TestCensus is that counts are those of the last plans, whatever was counted before.
func TestCensus(t *testing.T) {
	c := newCensus()
	c.set(deployment("moved"), 9, []part{{"eu", workload.Pending, 9, 9, 9}, {"oslo", workload.Applied, 1, 1, 1}})
	c.set(deployment("gone"), 2, []part{{"oslo", workload.Applied, 2, 2, 2}})
	c.set(deployment("moved"), 3, []part{{"eu", workload.Applied, 0, 0, 0}, {"us", workload.Applied, 3, 3, 3}})
	c.set(deployment("going"), 4, []part{{"eu", workload.Pending, 0, 2, 2}, {"us", workload.Applied, 4, 4, 1}})
	c.set(deployment("pinned"), 2, []part{{"eu", workload.Applied, 0, 1, 0}})
	c.set(deployment("refused"), 1, []part{{"us", workload.Failed, 1, 0, 0}})
	c.set(deployment("taken"), 1, []part{{"us", workload.NameTaken, 0, 0, 0}, {"dark", workload.Unreachable, 1, 1, 0}})
	c.drop(deployment("gone"))
	want := map[string]v1alpha1.Tally{
		"eu":   {Desired: 0, Current: 3, Ready: 0, Pending: 2},
		"us":   {Desired: 8, Current: 7, Ready: 4, Pending: 1},
		"dark": {Desired: 1, Current: 1},
	}
	if !reflect.DeepEqual(c.in, want) {
		t.Errorf("%+v, want %+v", c.in, want)
	}
	unplaced := []v1alpha1.Unplaced{{Kind: "Deployment", Namespace: "shop", Name: "pinned", Replicas: 2, Placed: 0}}
	if e := c.elsewhere([]string{"us", "none"}); e.Tally != want["us"] || !reflect.DeepEqual(e.Unplaced, unplaced) || e.More != 0 {
		t.Errorf("%+v", e)
	}
	for i := range longestUnplaced {
		c.set(deployment(fmt.Sprint("zz", i)), 1, nil)
	}
	if e := c.elsewhere(nil); len(e.Unplaced) != longestUnplaced || e.More != 1 || e.Unplaced[0] != unplaced[0] || e.Tally != (v1alpha1.Tally{}) {
		t.Errorf("of many: %d and %d more, %+v", len(e.Unplaced), e.More, e.Tally)
	}
}

// TestReplicas is when counts are written: as soon as all is known, again when they have
// changed, and not twice within a second.
func TestReplicas(t *testing.T) {
	now := time.Now()
	eu, us := &v1alpha1.Cluster{}, &v1alpha1.Cluster{}
	eu.Name, us.Name = "eu", "us"
	u := newHub(Config{}, acts{}, nil, kube.Origin{})
	u.clusters = map[string]*v1alpha1.Cluster{"eu": eu, "us": us}
	u.planned = map[string]view{"eu": {generation: 3, reachable: true, evacuated: true}, "us": {generation: 1, reachable: true}}
	here := v1alpha1.Tally{Desired: 1, Current: 1, Ready: 1}
	u.census.set(deployment("web"), 3, []part{{"eu", workload.Applied, 1, 1, 1}, {"us", workload.Applied, 2, 2, 2}})
	add := func(name string) *cluster {
		m := newCluster(u, name, nil)
		m.pulse = pulse{heard: true, find: findings{version: "v1"}}
		u.members[name] = m
		return m
	}
	if r := u.replicas(eu, now); r != nil {
		t.Errorf("nobody has been asked, and %+v", r)
	}
	add("eu")
	if r := u.replicas(eu, now); r != nil {
		t.Errorf("us hasn't been asked, and %+v", r)
	}
	m := add("us")
	want := &v1alpha1.Replicas{ObservedGeneration: 3, Tally: here, Elsewhere: &v1alpha1.Elsewhere{Tally: v1alpha1.Tally{Desired: 2, Current: 2, Ready: 2}}}
	r := u.replicas(eu, now)
	if !reflect.DeepEqual(r, want) {
		t.Fatalf("%+v, want %+v", r, want)
	}
	eu.Status.Replicas = r
	if u.replicas(eu, now) != r {
		t.Error("nothing has changed, and it is written")
	}
	if r := u.replicas(us, now); r == nil || r.Elsewhere != nil || r.Desired != 2 || r.ObservedGeneration != 1 {
		t.Errorf("of one that isn't drained: %+v", r)
	}
	m.pulse.missed, m.pulse.why = misses, "no route"
	u.counted["eu"] = now
	if u.replicas(eu, now.Add(countEvery-1)) != r {
		t.Error("written twice within a second")
	}
	if r := u.replicas(eu, now.Add(countEvery)); r == nil || r.Elsewhere.Tally != (v1alpha1.Tally{}) || r.Message != "" {
		t.Errorf("without the others: %+v", r)
	}
	if r := u.replicas(us, now); r == nil || r.Message != "no route" || r.Desired != 2 {
		t.Errorf("out of reach: %+v", r)
	}
	m.pulse.missed = 1 // in reach again, and the plans don't know it yet
	u.planned["us"] = view{generation: 1}
	us.Status.Replicas = &v1alpha1.Replicas{Message: "no route"}
	if r := u.replicas(us, now); r != us.Status.Replicas {
		t.Errorf("not planned with: %+v", r)
	}
	delete(u.members, "us")
	u.troubles["us"] = trouble{why: "no Secret"}
	if r := u.replicas(us, now); r == nil || r.Message != "no Secret" {
		t.Errorf("without credentials: %+v", r)
	}
	u.undeclared = now
	if r := u.replicas(us, now.Add(recheck-1)); r != nil {
		t.Errorf("the API has no such field: %+v", r)
	}
	if u.replicas(us, now.Add(recheck)) == nil {
		t.Error("it isn't tried again")
	}
	if a, b := (v1alpha1.ClusterStatus{Replicas: r}), (v1alpha1.ClusterStatus{}); equalStatus(a, b) || !equalStatus(a, a) {
		t.Error("statuses are compared without them")
	}
}

// TestCountsRefused is that what a cluster refuses is waited for: who drains another one
// has to hear that its pods have no place yet.
func TestCountsRefused(t *testing.T) {
	k := deployment("web")
	u := newHub(Config{Federation: "prod"}, acts{}, nil, kube.Origin{})
	u.tries[flight{"us", k}] = &try{err: kube.Refusal("over quota")}
	want := &workload.Want{Key: k, Total: workload.Scale{"replicas": 3}}
	plan := workload.Plan{Standings: []workload.Standing{{Cluster: "us", State: workload.Pending, Scale: workload.Scale{"replicas": 3}}}}
	u.count(want, plan)
	if got := u.census.in["us"]; got != (v1alpha1.Tally{Desired: 3, Pending: 1}) {
		t.Errorf("%+v", got)
	}
	// Where an autoscaler says how many there are, that is how many are waited for.
	u.count(want, workload.Plan{Standings: []workload.Standing{{Cluster: "eu", State: workload.Applied, Scale: workload.Scale{"replicas": 3}, Asked: workload.Scale{"replicas": 0}}}})
	if got := u.census.in["eu"]; got != (v1alpha1.Tally{}) || len(u.census.short) != 0 {
		t.Errorf("autoscaled: %+v, %+v", got, u.census.short)
	}
	want.Deleting = true
	u.count(want, plan)
	if len(u.census.in) != 0 || len(u.census.parts) != 0 {
		t.Errorf("of one that is being deleted: %+v", u.census)
	}
	other := workload.Key{Sort: workload.Other(v1alpha1.Kind{Version: "v1", Name: "LimitRange"}), Namespace: "shop", Name: "web"}
	u.count(&workload.Want{Key: other}, plan)
	if len(u.census.parts) != 0 {
		t.Error("a kind without replicas is counted")
	}
}
