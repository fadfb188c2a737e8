package controller

import (
	"encoding/json"
	"errors"
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
var deployments = sortNamed("Deployment")

func sortNamed(name string) *workload.FederatedKind {
	all := workload.Kinds()
	return all[slices.IndexFunc(all, func(s *workload.FederatedKind) bool { return s.Kind.Name == name })]
}

func deployment(name string) workload.Key {
	return workload.Key{FederatedKind: deployments, Namespace: "shop", Name: name}
}

// TestCensus is that counts are those of the last plans, whatever was counted before.
func TestCensus(t *testing.T) {
	now := time.Now()
	c := newPodCounts()
	c.set(deployment("moved"), 9, []part{{cluster: "eu", state: workload.Pending, wanted: 9, there: 9, ready: 9}, {cluster: "oslo", state: workload.Applied, wanted: 1, there: 1, ready: 1}}, now)
	c.set(deployment("gone"), 2, []part{{cluster: "oslo", state: workload.Applied, wanted: 2, there: 2, ready: 2}}, now)
	c.set(deployment("moved"), 3, []part{{cluster: "eu", state: workload.Applied, wanted: 0, there: 0, ready: 0}, {cluster: "us", state: workload.Applied, wanted: 3, there: 3, ready: 3}}, now)
	c.set(deployment("going"), 4, []part{{cluster: "eu", state: workload.Pending, wanted: 0, there: 2, ready: 2}, {cluster: "us", state: workload.Applied, wanted: 4, there: 4, ready: 1}}, now)
	c.set(deployment("pinned"), 2, []part{{cluster: "eu", state: workload.Applied, wanted: 0, there: 1, ready: 0}}, now)
	c.set(deployment("refused"), 1, []part{{cluster: "us", state: workload.Failed, wanted: 1, there: 0, ready: 0}}, now)
	c.set(deployment("taken"), 1, []part{{cluster: "us", state: workload.NameTaken, wanted: 0, there: 0, ready: 0}, {cluster: "dark", state: workload.Unreachable, wanted: 1, there: 1, ready: 0}}, now)
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
		c.set(deployment(fmt.Sprint("zz", i)), 1, nil, now)
	}
	if e := c.elsewhere(nil); len(e.Unplaced) != longestUnplaced || e.More != 1 || e.Unplaced[0] != unplaced[0] || e.Tally != (v1alpha1.Tally{}) {
		t.Errorf("of many: %d and %d more, %+v", len(e.Unplaced), e.More, e.Tally)
	}
}

// TestFailuresAreOfNow is that failures which were named once are those of now, whatever comes
// and goes.
func TestFailuresAreOfNow(t *testing.T) {
	now := time.Now()
	c := newPodCounts()
	named := func() (out string) {
		for _, f := range c.failures("eu") {
			out += f.Name + ": " + f.Message + "; "
		}
		return out
	}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, ""},
		{func() {
			c.set(deployment("a"), 1, []part{{cluster: "eu", fails: "x"}, {cluster: "us", fails: "of us"}}, now)
		}, "a: x; "},
		{func() { c.set(deployment("b"), 1, []part{{cluster: "eu", state: workload.Applied}}, now) }, "a: x; "},
		{func() { c.set(deployment("b"), 1, []part{{cluster: "eu", fails: "y"}}, now) }, "a: x; b: y; "},
		{func() { c.set(deployment("a"), 1, []part{{cluster: "eu", fails: "z"}}, now) }, "a: z; b: y; "},
		{func() { c.set(deployment("a"), 1, []part{{cluster: "eu", state: workload.Applied}}, now) }, "b: y; "},
		{func() { c.drop(deployment("b")) }, ""},
	} {
		if step.do(); named() != step.want {
			t.Errorf("%q, want %q", named(), step.want)
		}
	}
}

// TestReplicas is when counts are written: as soon as all is known, again when they have
// changed, and not twice within a second.
func TestReplicas(t *testing.T) {
	now := time.Now()
	eu, us := &v1alpha1.Cluster{}, &v1alpha1.Cluster{}
	eu.Name, us.Name = "eu", "us"
	u := newHub(Config{}, actions{}, nil, kube.Origin{})
	u.clusters = map[string]*v1alpha1.Cluster{"eu": eu, "us": us}
	u.planned = map[string]view{"eu": {generation: 3, reachable: true, evacuated: true}, "us": {generation: 1, reachable: true}}
	here := v1alpha1.Tally{Desired: 1, Current: 1, Ready: 1}
	u.podCounts.set(deployment("web"), 3, []part{{cluster: "eu", state: workload.Applied, wanted: 1, there: 1, ready: 1}, {cluster: "us", state: workload.Applied, wanted: 2, there: 2, ready: 2}}, now)
	add := func(name string) *cluster {
		m := newCluster(u, name, nil)
		m.liveness = liveness{heard: true, find: findings{version: "v1"}}
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
	m.liveness.missed, m.liveness.why = misses, "no route"
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
	m.liveness.missed = 1 // in reach again, and the plans don't know it yet
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

// TestFails is what isn't waited for, since it fails for reasons of its own: who drains a
// cluster, or lets it come back, hears of it by its name.
func TestFails(t *testing.T) {
	k := deployment("web")
	namespaces := workload.Kinds()[0]
	shop := workload.Key{FederatedKind: namespaces, Name: "shop"}
	us, home := objectInCluster{"us", k}, objectInCluster{"us", shop}
	share := workload.Scale{"replicas": 3}
	pending := workload.Propagation{Cluster: "us", State: workload.Pending, Scale: share}
	here := func(status string, deleting bool) map[string]any {
		o := map[string]any{}
		text := fmt.Sprintf(`{"metadata": {"uid": "u", "generation": 1, "annotations": {"fedns.io/federation": "prod"}, "labels": {"fedns.io/managed-by": "fedsync"}}, "spec": {"replicas": 3}, "status": %s}`, status)
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		if deleting {
			o["metadata"].(map[string]any)["deletionTimestamp"] = "2030-01-01T00:00:00Z"
		}
		return o
	}
	const unready = `{"observedGeneration": 1, "replicas": 3, "readyReplicas": 1}`
	for _, tt := range []struct {
		name     string
		standing workload.Propagation
		do       func(u *hub)
		want     v1alpha1.Tally
		fails    string
	}{
		{"on its way", pending, func(*hub) {}, v1alpha1.Tally{Desired: 3, Pending: 1}, ""},
		{"refused", pending, func(u *hub) { u.retries[us] = &retry{err: kube.Refusal("over quota")} }, v1alpha1.Tally{Desired: 3, Failing: 1}, "over quota"},
		{"an error that may pass", pending, func(u *hub) { u.retries[us] = &retry{err: errors.New("webhook"), count: sure - 1} }, v1alpha1.Tally{Desired: 3, Pending: 1}, ""},
		{"an error again and again", pending, func(u *hub) { u.retries[us] = &retry{err: errors.New("webhook"), count: sure} }, v1alpha1.Tally{Desired: 3, Failing: 1}, "webhook"},
		{"of one that isn't in reach", pending, func(u *hub) {
			u.retries[us] = &retry{err: errors.New("no route"), count: sure}
			u.members["us"].liveness.missed = misses
		}, v1alpha1.Tally{Desired: 3, Pending: 1}, ""},
		{"its name is taken", workload.Propagation{Cluster: "us", State: workload.NameTaken, Error: "somebody's"}, func(*hub) {}, v1alpha1.Tally{Failing: 1}, "somebody's"},
		{"it may not be listed", workload.Propagation{Cluster: "us", State: workload.Failed, Error: "forbidden"}, func(*hub) {}, v1alpha1.Tally{Failing: 1}, "forbidden"},
		{"contested", pending, func(u *hub) { u.conflicts[us] = &conflict{until: time.Now()} }, v1alpha1.Tally{Desired: 3, Failing: 1}, "somebody else changes it again and again"},
		{"its namespace isn't there yet", workload.Propagation{Cluster: "us", State: workload.Pending, Error: "not yet"}, func(*hub) {}, v1alpha1.Tally{Pending: 1}, ""},
		{"its namespace is refused", workload.Propagation{Cluster: "us", State: workload.Pending, Error: "not yet"}, func(u *hub) { u.retries[home] = &retry{err: kube.Refusal("no such name")} }, v1alpha1.Tally{Failing: 1}, "its namespace: no such name"},
		{"its namespace is going", workload.Propagation{Cluster: "us", State: workload.Pending, Error: "it is being deleted"}, func(u *hub) {
			u.table.SetObserved("us", shop, here(`{}`, true))
		}, v1alpha1.Tally{Failing: 1}, "it is being deleted"},
		{"its deletion is to be confirmed", workload.Propagation{Cluster: "us", State: workload.Deleting}, func(u *hub) { u.deletions.waiting[us] = waiting{held: true} }, v1alpha1.Tally{Failing: 1}, "its deletion waits for an operator: fedctl confirm"},
		{"its deletion is on its way", workload.Propagation{Cluster: "us", State: workload.Deleting}, func(*hub) {}, v1alpha1.Tally{Pending: 1}, ""},
		{"an autoscaler of the cluster", workload.Propagation{Cluster: "us", State: workload.Applied, Scale: workload.Scale{"replicas": 0}, Asked: share}, func(u *hub) {
			u.table.SetObserved("us", k, here(unready, false))
		}, v1alpha1.Tally{Desired: 3, Current: 3, Ready: 1, Failing: 1, Held: 3}, "a HorizontalPodAutoscaler there asks for 3"},
		{"pods that aren't ready yet", workload.Propagation{Cluster: "us", State: workload.Applied, Scale: share}, func(u *hub) {
			u.table.SetObserved("us", k, here(unready, false))
		}, v1alpha1.Tally{Desired: 3, Current: 3, Ready: 1, Pending: 1}, ""},
		{"pods that don't come to be ready", workload.Propagation{Cluster: "us", State: workload.Applied, Scale: share}, func(u *hub) {
			u.table.SetObserved("us", k, here(`{"observedGeneration": 1, "replicas": 3, "readyReplicas": 1, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "it timed out"}]}`, false))
		}, v1alpha1.Tally{Desired: 3, Current: 3, Ready: 1, Failing: 1, Held: 3}, "ProgressDeadlineExceeded: it timed out"},
		{"pods that are refused", workload.Propagation{Cluster: "us", State: workload.Applied, Scale: share}, func(u *hub) {
			u.table.SetObserved("us", k, here(`{"observedGeneration": 1, "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}]}`, false))
		}, v1alpha1.Tally{Desired: 3, Current: 3, Failing: 1, Held: 3}, "FailedCreate"},
		{"trouble that is over", workload.Propagation{Cluster: "us", State: workload.Applied, Scale: share}, func(u *hub) {
			u.table.SetObserved("us", k, here(`{"observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "conditions": [{"type": "Progressing", "status": "False"}]}`, false))
		}, v1alpha1.Tally{Desired: 3, Current: 3, Ready: 3}, ""},
	} {
		u := newHub(Config{Federation: "prod"}, actions{}, nil, kube.Origin{})
		m := newCluster(u, "us", nil)
		m.liveness = liveness{heard: true, find: findings{version: "v1"}}
		u.members["us"] = m
		u.table.SetDesired(workload.NewDesired(shop, map[string]any{"metadata": map[string]any{"name": "shop", "uid": "n"}}, "prod"))
		u.table.SetDesired(workload.NewDesired(k, map[string]any{"metadata": map[string]any{"name": "web", "namespace": "shop", "uid": "w"}}, "prod"))
		tt.do(u)
		u.count(&workload.Desired{Key: k, Total: share}, workload.Plan{Standings: []workload.Propagation{tt.standing}}, time.Now())
		got := u.podCounts.failures("us")
		if u.podCounts.in["us"] != tt.want || (len(got) > 0) != (tt.fails != "") || len(got) > 0 && got[0].Message != tt.fails {
			t.Errorf("%s: %+v %+v, want %+v %q", tt.name, u.podCounts.in["us"], got, tt.want, tt.fails)
		}
	}
}

// TestStalls is that what gets no better for long isn't waited for any more, until it does.
func TestStalls(t *testing.T) {
	c, k, now := newPodCounts(), deployment("web"), time.Now()
	look := func(after time.Duration, wanted, there, ready int64) string {
		now = now.Add(after)
		c.set(k, wanted, []part{{cluster: "us", state: workload.Applied, wanted: wanted, there: there, ready: ready}}, now)
		if got := c.failures("us"); len(got) > 0 {
			return got[0].Message
		}
		return fmt.Sprint("pending ", c.in["us"].Pending)
	}
	overdue := func(want int) {
		t.Helper()
		if n := len(c.overdue(now)); n != want {
			t.Errorf("%d are overdue, not %d", n, want)
		}
	}
	for _, tt := range []struct {
		after                time.Duration
		wanted, there, ready int64
		want                 string
	}{
		{0, 3, 3, 0, "pending 1"},
		{stalled - 1, 3, 3, 1, "pending 1"}, // it gets better
		{stalled - 1, 3, 3, 0, "pending 1"}, // and worse: a crash is no news
		{1, 3, 3, 1, "1 of 3 replicas are ready, and nothing has changed for 2m0s"},
		{time.Hour, 3, 3, 1, "1 of 3 replicas are ready, and nothing has changed for 2m0s"},
		{0, 3, 3, 2, "pending 1"},
		{0, 3, 3, 3, "pending 0"},
		{stalled, 3, 3, 2, "pending 1"}, // it was well until now
		{stalled, 0, 2, 2, "pending 1"}, // another plan
		{stalled, 0, 2, 2, "2 replicas are there instead of 0, and nothing has changed for 2m0s"},
	} {
		if got := look(tt.after, tt.wanted, tt.there, tt.ready); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
	look(0, 3, 0, 0)
	overdue(0)
	now = now.Add(stalled)
	overdue(1) // and is counted anew
	look(0, 3, 0, 0)
	overdue(0)
	c.drop(k)
	if len(c.waits)+len(c.fails)+len(c.parts)+len(c.in) > 0 {
		t.Errorf("something is left: %+v", c)
	}
}

// TestCountsNot is what isn't counted.
func TestCountsNot(t *testing.T) {
	k := deployment("web")
	u := newHub(Config{Federation: "prod"}, actions{}, nil, kube.Origin{})
	plan := workload.Plan{Standings: []workload.Propagation{{Cluster: "us", State: workload.Pending, Scale: workload.Scale{"replicas": 3}}}}
	u.count(&workload.Desired{Key: k, Deleting: true}, plan, time.Now())
	if len(u.podCounts.in) != 0 || len(u.podCounts.parts) != 0 {
		t.Errorf("of one that is being deleted: %+v", u.podCounts)
	}
	other := workload.Key{FederatedKind: workload.Other(v1alpha1.Kind{Version: "v1", Name: "LimitRange"}), Namespace: "shop", Name: "web"}
	u.count(&workload.Desired{Key: other}, plan, time.Now())
	if len(u.podCounts.parts) != 0 {
		t.Error("a kind without replicas is counted")
	}
}
