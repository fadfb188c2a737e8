package controller

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

var sorts0 = workload.Kinds()

func step(sort int, name string, verb workload.Verb) workload.Step {
	return workload.Step{Cluster: "paris", Key: workload.Key{FederatedKind: sorts0[sort], Name: name}, Verb: verb}
}

// TestQueue is that a worker gets what others need first, and of each object what was
// planned last.
func TestQueue(t *testing.T) {
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
	c := newCluster(u, "paris", nil)
	u.members["paris"] = c
	now := time.Now()
	for _, s := range []workload.Step{step(5, "deployment", workload.Create), step(1, "b", workload.Create), step(0, "namespace", workload.Create), step(1, "a", workload.Create), step(1, "dropped", workload.Create), step(1, "goes", workload.Create)} {
		u.start(s, now)
	}
	u.start(step(1, "a", workload.Update), now)
	u.cancel(step(1, "dropped", "").Key, nil)
	u.start(step(1, "goes", workload.Delete), now)
	// No plan takes the place of a look: it was made without what that finds.
	u.launch(step(1, "looked at", look))
	u.start(step(1, "looked at", workload.Update), now)
	u.cancel(step(1, "looked at", "").Key, nil)
	if f := (objectInCluster{"paris", step(1, "goes", "").Key}); u.busy(f) || u.deletions.waiting[f].step.Verb != workload.Delete {
		t.Error("a deletion doesn't wait at the gate in place of what was planned before")
	}
	var got []string
	for c.queue.Len() > 0 {
		k, _ := c.queue.Get()
		if s, ok := u.take(c, k, now); ok {
			got = append(got, string(s.Verb)+" "+s.Name)
		}
		c.queue.Done(k)
	}
	if want := []string{"create namespace", "create b", "update a", "look looked at", "create deployment"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	k := step(1, "a", "").Key
	if u.start(step(1, "a", workload.Create), now); u.drop(objectInCluster{"paris", k}) || c.queue.Len() != 0 {
		t.Error("one that is being done was planned again, or dropped")
	}
	if _, ok := u.take(newCluster(u, "paris", nil), k, now); ok {
		t.Error("a cluster that was let go gets steps")
	}
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		ended := false
		go func() { _, ended = q.Get() }()
		synctest.Wait()
		q.ShutDown()
		synctest.Wait()
		if !ended {
			t.Error("who waits isn't told of the end")
		}
	})
}

// recorded are the annotations of an object that is on its way to clusters.
func recorded(clusters ...string) map[string]any {
	r := workload.Record{UID: "u"}
	for _, c := range clusters {
		r.Clusters = append(r.Clusters, workload.Propagation{Cluster: c, State: workload.Pending})
	}
	return map[string]any{v1alpha1.StatusOf: r.String()}
}

// TestForetold is that an object is brought to a cluster only when that is written on it: a fedsync
// that ends just then, and a cluster that can't be asked, would leave a copy behind.
func TestForetold(t *testing.T) {
	yes, no := func(*workload.FederatedKind) bool { return true }, func(*workload.FederatedKind) bool { return false }
	for _, tt := range []struct {
		name, record, there string
		verb                workload.Verb // that is to be done at once; "": nothing before it is written
	}{
		{"one that was in paris only", `{"uid":"u","clusters":[{"name":"paris","state":"Applied"}]}`, "", ""},
		{"one that is on its way there", `{"uid":"u","clusters":[{"name":"tokyo","state":"Pending"}]}`, "", workload.Create},
		{"one that is gone from there", `{"uid":"u","clusters":[{"name":"tokyo","state":"Applied"}]}`, "", workload.Create},
		{"where there was no such kind", `{"uid":"u","clusters":[{"name":"tokyo","state":"NotServed"}]}`, "", ""},
		{"where its name was taken", `{"uid":"u","clusters":[{"name":"tokyo","state":"NameTaken"}]}`, "", look},
		{"where it is to be taken over", `{"uid":"u","clusters":[{"name":"tokyo","state":"NameTaken"}]}`, `{}`, ""},
		{"where it was taken over, and isn't marked", `{"uid":"u","clusters":[{"name":"tokyo","state":"Pending"}]}`, `{}`, workload.Adopt},
	} {
		u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, sorts0, kube.Origin{})
		c := newCluster(u, "tokyo", nil)
		u.members["tokyo"] = c
		c.liveness.heard, c.listed[sorts0[0]] = true, true
		u.table.SetMembers([]*workload.Member{{Name: "tokyo", Reachable: true, Lists: yes, Lacks: no}})
		k := workload.Key{FederatedKind: sorts0[0], Name: "shop"}
		if tt.there != "" {
			u.table.SetObserved("tokyo", k, workload.Object{"metadata": map[string]any{"name": "shop", "uid": "v"}})
		}
		u.table.SetDesired(workload.NewDesired(k, workload.Object{"metadata": map[string]any{
			"name": "shop", "uid": "u", "finalizers": []any{v1alpha1.Finalizer}, "annotations": map[string]any{v1alpha1.StatusOf: tt.record, v1alpha1.Adopt: "true"},
		}}, "prod"))
		now := time.Now()
		u.plan(now)
		tokyo, writes := objectInCluster{"tokyo", k}, u.inFlight[objectInCluster{"", k}]
		if u.steps[tokyo].Verb != tt.verb || writes != (tt.verb == "") {
			t.Errorf("%s: %q is to be done, and that it may be there is written: %v", tt.name, u.steps[tokyo].Verb, writes)
		}
		if tt.verb != look {
			continue
		}
		// If it isn't any more, that is written first, too.
		s, _ := u.take(c, k, now)
		u.finish(c, s, result{})
		if u.plan(now); u.busy(tokyo) || !u.inFlight[objectInCluster{"", k}] {
			t.Errorf("%s, and isn't any more: %q is to be done", tt.name, u.steps[tokyo].Verb)
		}
	}
}

// TestUnlabelled is that an object which goes, from a cluster or from the federation, is looked for by name
// where it was put and isn't shown: it may be there without its label, and nobody would tell of it.
func TestUnlabelled(t *testing.T) {
	yes, no := func(*workload.FederatedKind) bool { return true }, func(*workload.FederatedKind) bool { return false }
	there := &kube.Object{Object: workload.Object{"metadata": map[string]any{"name": "web", "namespace": "default", "uid": "v", "annotations": map[string]any{v1alpha1.Federation: "prod"}}}}
	for _, tt := range []struct {
		name     string
		metadata workload.Object
		released string
		result   result
		verb     workload.Verb // that is to be done then
		done     bool          // it is let go, or what is written on it
	}{
		{"deleted, and there", workload.Object{"deletionTimestamp": "2026-01-01T00:00:00Z"}, "", result{got: there}, workload.Delete, false},
		{"deleted, and not there", workload.Object{"deletionTimestamp": "2026-01-01T00:00:00Z"}, "", result{}, "", true},
		{"deleted, and nobody knows", workload.Object{"deletionTimestamp": "2026-01-01T00:00:00Z"}, "", result{err: context.DeadlineExceeded}, "", false},
		{"not for it, and there", workload.Object{}, "", result{got: there}, workload.Delete, true},
		{"not for it, and nobody knows", workload.Object{}, "", result{err: context.DeadlineExceeded}, "", true},
		{"deleted, and not to be waited for", workload.Object{"deletionTimestamp": "2026-01-01T00:00:00Z"}, "paris", result{}, "", true},
	} {
		u := newHub(Config{Federation: "prod", MaxDeletes: 9, Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
		c := newCluster(u, "paris", nil)
		c.liveness.heard, c.listed[deployments] = true, true
		u.members["paris"] = c
		u.table.SetMembers([]*workload.Member{{Name: "paris", Reachable: true, Lists: yes, Lacks: no}})
		k := workload.Key{FederatedKind: deployments, Namespace: "default", Name: "web"}
		annotations := recorded("paris")
		annotations[v1alpha1.Selector], annotations[v1alpha1.Release] = `[{"key":"name","operator":"=","values":["tokyo"]}]`, tt.released
		metadata := workload.Object{"name": "web", "namespace": "default", "uid": "u", "finalizers": []any{v1alpha1.Finalizer}, "annotations": annotations}
		maps.Copy(metadata, tt.metadata)
		u.table.SetDesired(workload.NewDesired(k, workload.Object{"metadata": metadata, "spec": map[string]any{"replicas": int64(2), "template": map[string]any{"spec": map[string]any{}}}}, "prod"))
		now := time.Now()
		u.plan(now)
		paris := objectInCluster{"paris", k}
		if tt.released == "" {
			s, ok := u.take(c, k, now)
			if !ok || s.Verb != look || u.reports[k] != nil {
				t.Fatalf("%s: first, %q is to be done, and %v told", tt.name, s.Verb, u.reports[k])
			}
			u.finish(c, s, tt.result)
			u.plan(now)
		}
		if verb := u.deletions.waiting[paris].step.Verb; verb != tt.verb {
			t.Errorf("%s: then, it is to %q", tt.name, verb)
		}
		if tt.verb == workload.Delete {
			u.deletions.pass(now.Add(2 * gather))
			s, _ := u.take(c, k, now)
			if u.finish(c, s, result{}); s.Verb != workload.Delete || u.steps[paris].Verb != look {
				t.Errorf("%s: it is to %s, and then to %q", tt.name, s.Verb, u.steps[paris].Verb)
			}
		}
		if told := u.reports[k] != nil; told != (tt.done || tt.verb != "") {
			t.Errorf("%s: what became of it is told: %v", tt.name, told)
		}
		if letGo := u.inFlight[objectInCluster{"", k}]; letGo != (tt.done && tt.metadata["deletionTimestamp"] != nil) {
			t.Errorf("%s: it is let go: %v", tt.name, letGo)
		}
	}
}

// TestDeletedIsNotSought is that what fedsync has deleted isn't looked for, also if the watch tells of its
// end before the deletion is answered.
func TestDeletedIsNotSought(t *testing.T) {
	yes, no := func(*workload.FederatedKind) bool { return true }, func(*workload.FederatedKind) bool { return false }
	for _, early := range []bool{true, false} {
		u := newHub(Config{Federation: "prod", MaxDeletes: 9, Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
		c := newCluster(u, "paris", nil)
		c.liveness.heard, c.listed[deployments] = true, true
		u.members["paris"] = c
		u.table.SetMembers([]*workload.Member{{Name: "paris", Reachable: true, Lists: yes, Lacks: no}})
		k := workload.Key{FederatedKind: deployments, Namespace: "default", Name: "web"}
		u.table.SetObserved("paris", k, workload.Object{"metadata": map[string]any{"name": "web", "namespace": "default", "uid": "v", "labels": map[string]any{v1alpha1.ManagedBy: v1alpha1.Fedsync}, "annotations": map[string]any{v1alpha1.Federation: "prod"}}})
		u.table.SetDesired(workload.NewDesired(k, workload.Object{"metadata": map[string]any{
			"name": "web", "namespace": "default", "uid": "u", "finalizers": []any{v1alpha1.Finalizer}, "annotations": recorded("paris"), "deletionTimestamp": "2026-01-01T00:00:00Z",
		}}, "prod"))
		now := time.Now()
		u.plan(now)
		u.deletions.pass(now.Add(2 * gather))
		s, ok := u.take(c, k, now)
		if !ok || s.Verb != workload.Delete {
			t.Fatalf("%q is to be done", s.Verb)
		}
		if early {
			u.lost(u.members["paris"], k)
			u.plan(now)
		}
		u.finish(c, s, result{})
		if !early {
			u.lost(u.members["paris"], k)
		}
		u.plan(now)
		if u.busy(objectInCluster{"paris", k}) || !u.inFlight[objectInCluster{"", k}] {
			t.Errorf("told early %v: %q is to be done, and it isn't let go", early, u.steps[objectInCluster{"paris", k}].Verb)
		}
	}
}

// TestTake is that plans are made when a worker has time: what was planned before the
// object changed, or went, isn't done.
func TestTake(t *testing.T) {
	namespaces := sorts0[0]
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, sorts0, kube.Origin{})
	c := newCluster(u, "paris", nil)
	u.members["paris"] = c
	yes, no := func(*workload.FederatedKind) bool { return true }, func(*workload.FederatedKind) bool { return false }
	u.table.SetMembers([]*workload.Member{{Name: "paris", Reachable: true, Lists: yes, Lacks: no}})
	k := workload.Key{FederatedKind: namespaces, Name: "shop"}
	want := func(color string) {
		u.table.SetDesired(workload.NewDesired(k, workload.Object{"metadata": map[string]any{
			"name": "shop", "uid": "u", "finalizers": []any{v1alpha1.Finalizer}, "annotations": recorded("paris"), "labels": map[string]any{"color": color},
		}}, "prod"))
	}
	now := time.Now()
	want("blue")
	u.plan(now)
	want("green")
	s, ok := u.take(c, k, now)
	if labels, _ := s.Object["metadata"].(map[string]any)["labels"].(map[string]any); !ok || s.Verb != workload.Create || labels["color"] != "green" {
		t.Fatalf("%v: %s %v", ok, s.Verb, s.Object)
	}
	u.finish(c, s, result{err: kube.Refusal("no")})
	delete(u.retries, objectInCluster{"paris", k}) // it may be tried again
	u.plan(now)
	if !u.busy(objectInCluster{"paris", k}) {
		t.Fatal("it isn't planned again")
	}
	u.table.RemoveDesired(k)
	if s, ok := u.take(c, k, now); ok {
		t.Errorf("nobody wants it, and it is to %s it", s.Verb)
	}
}

// TestVanished is that what is taken away just after it was written is made again: the watch may
// tell of that before the write is answered.
func TestVanished(t *testing.T) {
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, sorts0, kube.Origin{})
	c := newCluster(u, "paris", nil)
	u.members["paris"] = c
	c.liveness.heard = true
	for _, s := range sorts0 {
		c.listed[s] = true
	}
	yes, no := func(*workload.FederatedKind) bool { return true }, func(*workload.FederatedKind) bool { return false }
	u.table.SetMembers([]*workload.Member{{Name: "paris", Reachable: true, Lists: yes, Lacks: no}})
	k := workload.Key{FederatedKind: sorts0[0], Name: "shop"}
	u.table.SetDesired(workload.NewDesired(k, workload.Object{"metadata": map[string]any{"name": "shop", "uid": "u", "finalizers": []any{v1alpha1.Finalizer}, "annotations": recorded("paris")}}, "prod"))
	now := time.Now()
	u.plan(now)
	for _, want := range []workload.Verb{workload.Create, look, workload.Create} {
		s, ok := u.take(c, k, now)
		if !ok || s.Verb != want {
			t.Fatalf("%s is to be done, want %s", s.Verb, want)
		}
		r := result{}
		if want != look {
			r.got = &kube.Object{Object: s.Object}
			r.got.SetUID("v")
			u.lost(u.members["paris"], k) // which has come to be and gone before the answer is heard
		}
		u.finish(c, s, r)
		u.plan(now)
	}
}

// TestSought is that an object which is split gets no shares before it is known what clusters have
// that lack it by the watch: there may be a copy without its label.
func TestSought(t *testing.T) {
	kind := deployments
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
	yes, no := func(*workload.FederatedKind) bool { return true }, func(*workload.FederatedKind) bool { return false }
	var members []*workload.Member
	for _, name := range []string{"paris", "tokyo"} {
		c := newCluster(u, name, nil)
		c.liveness.heard, c.listed[kind] = true, true
		u.members[name] = c
		members = append(members, &workload.Member{Name: name, Reachable: true, Lists: yes, Lacks: no})
	}
	u.table.SetMembers(members)
	spec := map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}}, "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web"}}}}
	want := func(replicas int64, record string) *workload.Desired {
		o := workload.Object{"metadata": map[string]any{"name": "web", "namespace": "default", "uid": "u", "finalizers": []any{v1alpha1.Finalizer}, "annotations": map[string]any{v1alpha1.StatusOf: record}}, "spec": maps.Clone(spec)}
		o["spec"].(map[string]any)["replicas"] = replicas
		return workload.NewDesired(workload.Key{FederatedKind: kind, Namespace: "default", Name: "web"}, o, "prod")
	}
	w := want(4, `{"uid":"u","clusters":[{"name":"paris","state":"Applied","applied":"x","scale":{"replicas":4}},{"name":"tokyo","state":"Pending"}]}`)
	u.table.SetDesired(w)
	now := time.Now()
	u.plan(now)
	paris, tokyo := objectInCluster{"paris", w.Key}, objectInCluster{"tokyo", w.Key}
	if u.steps[paris].Verb != look || u.steps[tokyo].Verb != look {
		t.Fatalf("first, %q in paris and %q in tokyo", u.steps[paris].Verb, u.steps[tokyo].Verb)
	}
	var s workload.Step
	for _, name := range []string{"paris", "tokyo"} {
		s, _ = u.take(u.members[name], w.Key, now)
		u.finish(u.members[name], s, result{})
		u.plan(now)
	}
	if a, b := u.steps[paris], u.steps[tokyo]; a.Verb != workload.Create || b.Verb != workload.Create || a.Scale["replicas"]+b.Scale["replicas"] != 4 {
		t.Fatalf("then, %s %v in paris, and %s %v in tokyo", a.Verb, a.Scale, b.Verb, b.Scale)
	}
	// What goes once more may be there without its label once more.
	s, _ = u.take(u.members["paris"], w.Key, now)
	made := &kube.Object{Object: s.Object}
	made.SetUID("v")
	u.finish(u.members["paris"], s, result{got: made})
	u.lost(u.members["paris"], w.Key)
	u.plan(now)
	if u.steps[paris].Verb != look {
		t.Errorf("it has gone again, and %q is to be done", u.steps[paris].Verb)
	}
}

// TestSoughtInVain is that a cluster which doesn't say what it has holds the others up for a while
// only.
func TestSoughtInVain(t *testing.T) {
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
	yes, no := func(*workload.FederatedKind) bool { return true }, func(*workload.FederatedKind) bool { return false }
	var members []*workload.Member
	for _, name := range []string{"paris", "tokyo"} {
		c := newCluster(u, name, nil)
		c.liveness.heard, c.listed[deployments] = true, true
		u.members[name] = c
		members = append(members, &workload.Member{Name: name, Reachable: true, Lists: yes, Lacks: no})
	}
	u.table.SetMembers(members)
	k := workload.Key{FederatedKind: deployments, Namespace: "default", Name: "web"}
	u.table.SetDesired(workload.NewDesired(k, workload.Object{
		"metadata": map[string]any{"name": "web", "namespace": "default", "uid": "u", "finalizers": []any{v1alpha1.Finalizer}, "annotations": recorded("paris", "tokyo")},
		"spec":     map[string]any{"replicas": int64(4), "template": map[string]any{"spec": map[string]any{}}},
	}, "prod"))
	now := time.Now()
	u.plan(now)
	u.take(u.members["paris"], k, now) // which hangs
	s, _ := u.take(u.members["tokyo"], k, now)
	u.finish(u.members["tokyo"], s, result{})
	u.plan(now)
	if tokyo := (objectInCluster{"tokyo", k}); u.busy(tokyo) {
		t.Errorf("tokyo is to %s before paris has said what it has", u.steps[tokyo].Verb)
	}
	now = now.Add(seekFor)
	u.giveUp(now)
	u.plan(now)
	if verb := u.steps[objectInCluster{"tokyo", k}].Verb; verb != workload.Create {
		t.Errorf("paris still says nothing, and tokyo is to %q", verb)
	}
	if u.giveUp(now.Add(seekFor)); u.table.Clean(k) {
		t.Error("it is planned again and again while paris says nothing")
	}
}

// TestHeard is that a fedsync that starts gives no shares before all clusters have said what they
// have, if they say so soon.
func TestHeard(t *testing.T) {
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
	heard := map[string]bool{"paris": true}
	var members []*workload.Member
	for _, name := range []string{"paris", "tokyo"} {
		c := newCluster(u, name, nil)
		c.liveness.heard, c.listed[deployments] = heard[name], heard[name]
		u.members[name], u.sought[objectInCluster{name, workload.Key{FederatedKind: deployments, Namespace: "default", Name: "web"}}] = c, true
		members = append(members, &workload.Member{Name: name, Reachable: heard[name], Lists: func(*workload.FederatedKind) bool { return heard[name] }, Lacks: func(*workload.FederatedKind) bool { return false }})
	}
	u.table.SetMembers(members)
	k := workload.Key{FederatedKind: deployments, Namespace: "default", Name: "web"}
	u.table.SetDesired(workload.NewDesired(k, workload.Object{
		"metadata": map[string]any{"name": "web", "namespace": "default", "uid": "u", "finalizers": []any{v1alpha1.Finalizer}, "annotations": recorded("paris", "tokyo")},
		"spec":     map[string]any{"replicas": int64(4), "template": map[string]any{"spec": map[string]any{}}},
	}, "prod"))
	now := u.members["tokyo"].began
	paris := objectInCluster{"paris", k}
	if u.plan(now); u.busy(paris) {
		t.Errorf("paris is to %s before tokyo is heard", u.steps[paris].Verb)
	}
	u.table.Touch(k)
	if u.plan(now.Add(seekFor)); u.steps[paris].Verb != workload.Create {
		t.Error("tokyo says nothing, and paris has to wait for it")
	}

	// Nor are any written on one that is new: what is written is kept to.
	o := workload.Object{"metadata": map[string]any{"name": "web", "namespace": "default", "uid": "u"}, "spec": map[string]any{"replicas": int64(4), "template": map[string]any{"spec": map[string]any{}}}}
	u.table.SetDesired(workload.NewDesired(k, o, "prod"))
	u.seeking = map[workload.Key]time.Time{}
	if u.plan(now); u.inFlight[objectInCluster{"", k}] {
		t.Error("its shares are written before tokyo is heard")
	}
	u.table.Touch(k)
	if u.plan(now.Add(seekFor)); !u.inFlight[objectInCluster{"", k}] {
		t.Error("tokyo says nothing, and the object isn't marked")
	}
}

// TestBackoff is that what fails is tried more and more seldom, and never given up.
func TestBackoff(t *testing.T) {
	u := &hub{retries: map[objectInCluster]*retry{}}
	f := objectInCluster{cluster: "paris"}
	var last time.Duration
	for range 30 {
		tr, _ := u.failed(f, context.DeadlineExceeded, longest, "x")
		wait := time.Until(tr.until)
		if wait > longest || wait < min(last, longest-time.Second) {
			t.Fatalf("after %v it waits %v", last, wait)
		}
		last = wait
	}
	// What is refused waits for a minute, also where the rest doesn't.
	g := objectInCluster{}
	for range 30 {
		u.failed(g, context.DeadlineExceeded, soonest, "x")
	}
	if wait := time.Until(u.retries[g].until); wait > soonest {
		t.Errorf("a write to the federation's API waits %v", wait)
	}
	for range 30 {
		u.failed(g, kube.Refusal("no"), soonest, "x")
	}
	if wait := time.Until(u.retries[g].until); wait < longest-time.Second || wait > longest {
		t.Errorf("one that is refused waits %v", wait)
	}
	if _, news := u.failed(f, context.DeadlineExceeded, longest, "x"); news {
		t.Error("the same error is news")
	}
	if tr, news := u.failed(f, context.DeadlineExceeded, longest, "another step"); !news || tr.count != 1 {
		t.Error("another step waits for the last one")
	}
}

func TestContest(t *testing.T) {
	u := &hub{conflicts: map[objectInCluster]*conflict{}, table: workload.NewTable("prod")}
	s := step(1, "a", workload.Update)
	now := time.Now()
	if u.inConflict(s, now) {
		t.Error("a change of the federated object is no contest")
	}
	s.Drift = true
	done := 0
	for i := range 600 { // a minute of somebody who writes ten times a second
		if !u.inConflict(s, now.Add(time.Duration(i)*100*time.Millisecond)) {
			done++
		}
		u.calm(now.Add(time.Duration(i) * 100 * time.Millisecond))
	}
	if done < patient || done > 2*patient+3 {
		t.Errorf("it was put right %d times within a minute", done)
	}
	u.calm(now.Add(2 * peace))
	if len(u.conflicts) != 0 {
		t.Error("it is never forgotten")
	}
}
