package workload

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// A rehearsal is a federation and its clusters in memory: what a preview foresees there is compared
// with what a run comes to.
type rehearsal struct {
	*rapid.T
	tb       testing.TB // in which the kinds are
	clusters []string
	fed      map[Key]Object            // what is wanted
	real     map[string]map[Key]Object // what is there, whosever it is
	applied  map[string]map[Key]Object // and what fedsync has applied there last
	version  int
	did      []string
}

func newRehearsal(t *rapid.T, tb testing.TB, clusters ...string) *rehearsal {
	r := &rehearsal{T: t, tb: tb, clusters: clusters, fed: map[Key]Object{}, real: map[string]map[Key]Object{}, applied: map[string]map[Key]Object{}}
	for _, c := range clusters {
		r.real[c], r.applied[c] = map[Key]Object{}, map[Key]Object{}
	}
	r.wish(r.key("Namespace", "ns"), Object{})
	return r
}

func (r *rehearsal) key(kindName, name string) Key {
	k := Key{FederatedKind: kind(r.tb, kindName), Name: name}
	if k.Namespaced {
		k.Namespace = "ns"
	}
	return k
}

// stamp gives an object what an API server gives it when it is written.
func (r *rehearsal) stamp(k Key, o Object) Object {
	r.version++
	stamped := map[string]any{"name": k.Name, "resourceVersion": fmt.Sprint(r.version)}
	if k.Namespaced {
		stamped["namespace"] = k.Namespace
	}
	if text(o, "metadata", "uid") == "" {
		stamped["uid"] = fmt.Sprint("uid-", r.version)
	}
	return merge(o, Object{"metadata": stamped})
}

// patched merges over an object as an API server does: null takes a field away.
func patched(o, by Object) Object {
	out := maps.Clone(o)
	if out == nil {
		out = Object{}
	}
	for f, v := range by {
		m, is := v.(map[string]any)
		switch {
		case v == nil:
			delete(out, f)
		case is:
			out[f] = patched(object(out, f), m)
		default:
			out[f] = v
		}
	}
	return out
}

func (r *rehearsal) wish(k Key, by Object) {
	r.fed[k] = r.stamp(k, patched(clone(r.fed[k]).(Object), clone(by).(Object)))
}

func (r *rehearsal) desired(k Key) *Desired { return NewDesired(k, clone(r.fed[k]).(Object), "prod") }

// applies is a server-side apply: what was applied before and isn't any more goes.
func applies(there, before, now Object) Object {
	out := patched(clone(there).(Object), nil)
	var drop func(out, before, now map[string]any)
	drop = func(out, before, now map[string]any) {
		for f, v := range before {
			m, is := v.(map[string]any)
			if _, said := now[f]; !said && !is {
				delete(out, f)
			} else if o := object(out, f); is && o != nil {
				drop(o, m, object(now, f))
			}
		}
	}
	drop(out, before, now)
	return patched(out, clone(now).(Object))
}

// do does what a step says, as a cluster would.
func (r *rehearsal) do(real, applied map[string]map[Key]Object, s Step) (got Object, taken bool) {
	there := real[s.Cluster][s.Key]
	switch {
	case s.Verb == Create && there != nil:
		return there, true
	case s.Verb == Delete && s.Contains && inhabits(real[s.Cluster], s.Name):
		return there, true // which would be lost
	case s.Verb == Delete:
		delete(real[s.Cluster], s.Key)
		delete(applied[s.Cluster], s.Key)
		return nil, false
	case s.Verb == Release:
		got = r.stamp(s.Key, patched(there, Object{"metadata": map[string]any{
			"labels": map[string]any{v1alpha1.ManagedBy: nil}, "annotations": map[string]any{v1alpha1.Federation: nil, v1alpha1.Applied: nil},
		}}))
	default:
		got = r.stamp(s.Key, applies(there, applied[s.Cluster][s.Key], s.Object))
		applied[s.Cluster][s.Key] = clone(s.Object).(Object)
	}
	real[s.Cluster][s.Key] = got
	return got, false
}

// inhabits says whether anything is in a namespace.
func inhabits(all map[Key]Object, namespace string) bool {
	for k := range all {
		if k.Namespace == namespace {
			return true
		}
	}
	return false
}

func labelled(o Object) bool {
	return text(o, "metadata", "labels", v1alpha1.ManagedBy) == v1alpha1.Fedsync
}

// table is that of a fedsync which begins, and has heard of no cluster.
func (r *rehearsal) table(heard map[string]bool) *Table {
	t := NewTable("prod")
	t.Kinds = sorts
	for _, k := range slices.SortedFunc(maps.Keys(r.fed), compareKeys) {
		t.SetDesired(r.desired(k))
	}
	r.members(t, heard)
	return t
}

func (r *rehearsal) members(t *Table, heard map[string]bool) {
	var all []*Member
	for _, c := range r.clusters {
		all = append(all, &Member{
			Name: c, Labels: map[string]string{"name": c}, Reachable: true,
			Lists: func(*FederatedKind) bool { return heard[c] }, Lacks: func(*FederatedKind) bool { return false },
		})
	}
	t.SetMembers(all)
}

// hear has a fedsync hear what a cluster has of fedsync's.
func (r *rehearsal) hear(t *Table, heard map[string]bool, c string) {
	by := map[*FederatedKind]map[Key]Object{}
	for k, o := range r.real[c] {
		if by[k.FederatedKind] == nil {
			by[k.FederatedKind] = map[Key]Object{}
		}
		if labelled(o) {
			by[k.FederatedKind][k] = clone(o).(Object)
		}
	}
	heard[c] = true
	r.members(t, heard)
	for s, all := range by {
		t.Listed(c, s, all)
	}
}

// foresee is what the clusters have when all steps of a preview have been done.
func (r *rehearsal) foresee() (after map[string]map[Key]Object, said []string) {
	heard := map[string]bool{}
	t := r.table(heard)
	t.Keep = true
	for _, c := range r.clusters {
		r.hear(t, heard, c)
	}
	var steps []Step
	for found := true; found; {
		steps, found = nil, false
		look := func(c string, k Key) {
			if o := r.real[c][k]; o != nil {
				t.SetObserved(c, k, clone(o).(Object))
				found = true
			}
		}
		for _, k := range t.KeysOf(nil) {
			w := *t.Desired(k)
			w.Finalizer, w.Unsaid = true, false
			p := t.PlanOf(&w)
			steps = append(steps, p.Steps...)
			for _, c := range t.Unseen(&w, p) {
				look(c, k)
			}
		}
		for _, s := range steps {
			if s.Verb == Create {
				look(s.Cluster, s.Key)
			}
		}
	}
	after, applied := map[string]map[Key]Object{}, map[string]map[Key]Object{}
	for _, c := range r.clusters {
		after[c], applied[c] = maps.Clone(r.real[c]), maps.Clone(r.applied[c])
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(last(a), last(b)) })
	for _, s := range steps {
		said = append(said, fmt.Sprintf("%s: %s %s: %s", s.Cluster, s.Verb, s.Key, s.Why))
		r.do(after, applied, s)
	}
	return after, said
}

// last is 1 for what goes when what is in it has gone.
func last(s Step) int {
	if s.Verb == Delete && s.Contains {
		return 1
	}
	return 0
}

// A performance is a run, step by step, in an order that nobody has chosen.
type performance struct {
	*rehearsal
	*Table
	heard   map[string]bool
	steps   map[string]map[Key]Step
	sought  map[string]map[Key]bool
	refused map[string]bool // clusters that don't let their namespace go
	plans   map[Key]Plan
	going   []Key // that are about to be deleted, with their Namespace
	said    []string
}

func (p *performance) plan(k Key) {
	w := p.Desired(k)
	if w == nil {
		for c := range p.steps {
			delete(p.steps[c], k)
		}
		return
	}
	plan := p.Plan(k)
	if plan.Hold {
		ready := *w
		ready.Finalizer, ready.Unsaid = true, false
		if plan = p.PlanOf(&ready); w.Deleting {
			plan.Standings = w.Record.Clusters
		} else if p.seeks(k, plan) {
			return
		}
		p.record(&ready, plan)
		return
	}
	if p.seeks(k, plan) || p.misses(w, plan) {
		return
	}
	p.Planned(k, plan)
	p.plans[k] = plan
	for _, c := range p.clusters {
		delete(p.steps[c], k)
	}
	for _, s := range plan.Steps {
		if last(s) == 0 || !p.refused[s.Cluster] {
			p.steps[s.Cluster][k] = s
		}
	}
	if k.Contains && w.Deleting {
		for _, in := range p.InNamespace(k.Name) {
			if !p.Desired(in).Deleting && !slices.Contains(p.going, in) {
				p.going = append(p.going, in)
			}
		}
	}
	if !plan.Done || len(plan.Steps) > 0 {
		return
	}
	if w.Deleting {
		delete(p.fed, k)
		p.RemoveDesired(k)
	}
}

// seeks asks for what is split by its name, before shares are given.
func (p *performance) seeks(k Key, plan Plan) (waits bool) {
	if len(k.Scale) == 0 {
		return false
	}
	waits = len(p.heard) < len(p.clusters)
	for _, s := range plan.Steps {
		if s.Verb == Create && !p.sought[s.Cluster][k] {
			p.sought[s.Cluster][k], waits = true, true
			if o := p.real[s.Cluster][k]; o != nil {
				p.SetObserved(s.Cluster, k, clone(o).(Object))
			}
		}
	}
	if waits {
		p.Touch(k)
	}
	return waits
}

// misses asks for copies that aren't shown where they were put.
func (p *performance) misses(w *Desired, plan Plan) (waits bool) {
	for _, c := range p.Unseen(w, plan) {
		if p.sought[c][w.Key] {
			continue
		}
		p.sought[c][w.Key], waits = true, true
		if o := p.real[c][w.Key]; o != nil {
			p.SetObserved(c, w.Key, clone(o).(Object))
		}
	}
	if waits {
		p.Touch(w.Key)
	}
	return waits
}

// record writes on an object what has become of it.
func (p *performance) record(w *Desired, plan Plan) {
	if p.fed[w.Key] == nil {
		return
	}
	text := w.Record.Next(w.UID, plan.Standings, string(Applied), "", time.Time{}).Short().String()
	if o := p.fed[w.Key]; slices.Contains(finalizers(o), any(v1alpha1.Finalizer)) && texts(o, "metadata", "annotations")[v1alpha1.StatusOf] == text {
		return
	}
	all := finalizers(p.fed[w.Key])
	if !slices.Contains(all, any(v1alpha1.Finalizer)) {
		all = append(all, v1alpha1.Finalizer)
	}
	p.wish(w.Key, Object{"metadata": map[string]any{"finalizers": all, "annotations": map[string]any{v1alpha1.StatusOf: text}}})
	p.SetDesired(p.desired(w.Key))
}

func finalizers(o Object) []any { all, _ := at(o, "metadata", "finalizers").([]any); return all }

// take does the step that waits for a cluster under a key, by a plan that is up to date.
func (p *performance) take(c string, k Key) {
	if p.Clean(k) {
		p.plan(k)
	}
	s, ok := p.steps[c][k]
	if !ok {
		return
	}
	delete(p.steps[c], k)
	p.said = append(p.said, fmt.Sprintf("%s: %s %s: %s", s.Cluster, s.Verb, s.Key, s.Why))
	got, taken := p.do(p.real, p.applied, s)
	switch {
	case got == nil || s.Verb == Release:
		p.sought[c][k] = true
		p.Gone(c, k)
	case taken && s.Verb == Delete:
		p.refused[c] = true // and tried again for as long as that is so
	case taken:
		p.SetObserved(c, k, clone(got).(Object))
	default:
		p.Wrote(s, clone(got).(Object))
	}
	p.Touch(k)
}

// run has a fedsync do all that there is to do.
func (r *rehearsal) run() (said []string) {
	p := &performance{rehearsal: r, heard: map[string]bool{}, steps: map[string]map[Key]Step{}, sought: map[string]map[Key]bool{}, plans: map[Key]Plan{}, refused: map[string]bool{}}
	p.Table = r.table(p.heard)
	for _, c := range r.clusters {
		p.steps[c], p.sought[c] = map[Key]Step{}, map[Key]bool{}
	}
	unheard := rapid.Permutation(r.clusters).Draw(r.T, "heard")
	for n := range 500 {
		if len(unheard) > 0 && (n%10 == 9 || rapid.Bool().Draw(r.T, "hear")) {
			r.hear(p.Table, p.heard, unheard[0])
			unheard = unheard[1:]
		}
		dirty := p.Dirty()
		for _, k := range dirty {
			p.plan(k)
		}
		var waiting []Step
		for _, c := range r.clusters {
			for _, k := range slices.SortedFunc(maps.Keys(p.steps[c]), compareKeys) {
				waiting = append(waiting, p.steps[c][k])
			}
		}
		if n := len(p.going); n > 0 && (len(waiting) == 0 || rapid.Bool().Draw(r.T, "goes")) {
			k := p.going[rapid.IntRange(0, n-1).Draw(r.T, "going")]
			p.going = slices.DeleteFunc(p.going, func(o Key) bool { return o == k })
			p.remove(k, "")
			if p.fed[k] == nil {
				p.RemoveDesired(k)
			} else {
				p.SetDesired(p.desired(k))
			}
			continue
		}
		if len(dirty) == 0 && len(waiting) == 0 && len(unheard) == 0 {
			for k, plan := range p.plans {
				if w := p.Desired(k); w != nil {
					p.record(w, plan)
				}
			}
			if len(p.dirty) == 0 {
				return p.said
			}
			continue
		}
		if len(waiting) > 0 {
			s := waiting[rapid.IntRange(0, len(waiting)-1).Draw(r.T, "step")]
			p.take(s.Cluster, s.Key)
		}
	}
	r.Fatalf("steps without an end:\n%s\nafter\n%s", strings.Join(p.said, "\n"), strings.Join(r.did, "\n"))
	return nil
}

func (r *rehearsal) pick(what string, words ...string) string {
	return rapid.SampledFrom(words).Draw(r.T, what)
}

// content is what a random object holds.
func (r *rehearsal) content(k Key) Object {
	switch k.Kind.Name {
	case "Deployment":
		config := map[string]any{"name": r.pick("config", "c1", "c2")}
		return Object{"spec": map[string]any{
			"replicas": rapid.Int64Range(0, 8).Draw(r.T, "replicas"),
			"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": r.pick("image", "1", "2"), "envFrom": []any{map[string]any{"configMapRef": config}}}}}},
		}}
	default:
		return Object{"data": map[string]any{r.pick("field", "k1", "k2"): r.pick("value", "x", "y", "z")}}
	}
}

func annotated(name string, value any) Object {
	return Object{"metadata": map[string]any{"annotations": map[string]any{name: value}}}
}

// remove deletes a federated object, as kubectl delete --cascade=HOW does.
func (r *rehearsal) remove(k Key, how string) {
	all := finalizers(r.fed[k])
	if how == orphan && !slices.Contains(all, any(orphan)) {
		all = append(all, orphan)
	}
	if len(all) == 0 {
		delete(r.fed, k)
		return
	}
	r.wish(k, Object{"metadata": map[string]any{"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": all}})
}

// step does one random thing to the federation or to a cluster.
func (r *rehearsal) step() {
	which := r.pick("object", "Deployment d1", "Deployment d2", "Secret s1", "ConfigMap c1", "ConfigMap c2", "ConfigMap c3")
	kindName, name, _ := strings.Cut(which, " ")
	k := r.key(kindName, name)
	where := r.pick("where", append([]string{"", "", ""}, r.clusters...)...)
	r.did = append(r.did, "")
	note := func(what ...any) {
		r.did[len(r.did)-1] = where + ": " + which + " " + strings.TrimSpace(fmt.Sprintln(what...))
	}
	verb := r.pick("what", "make", "make", "remove", "select", "adopt", "orphan", "follow", "propagate", "overrides", "label", "adopt all")
	if where != "" {
		there := r.real[where][k]
		switch {
		case verb == "remove":
			delete(r.real[where], k)
			delete(r.applied[where], k)
			note("remove")
			return
		case verb == "make":
			content := r.content(k)
			note("make", jsonOf(content))
			if there == nil {
				content = merge(content, Object{"metadata": map[string]any{"creationTimestamp": "2025-01-01T00:00:00Z"}})
			}
			r.real[where][k] = r.stamp(k, patched(there, content))
			return
		case there == nil:
			return
		}
		var by Object
		switch verb {
		case "select":
			by = Object{"metadata": map[string]any{"labels": map[string]any{v1alpha1.ManagedBy: nil}}}
		case "adopt":
			by = annotated(v1alpha1.Federation, nil)
		case "label":
			by = Object{"metadata": map[string]any{"labels": map[string]any{"l1": r.pick("label", "x", "y")}}}
		default:
			return
		}
		note(jsonOf(by))
		r.real[where][k] = r.stamp(k, patched(there, by))
		return
	}
	there := r.fed[k]
	if verb == "make" {
		content := r.content(k)
		note("make", jsonOf(content))
		if there == nil && k.Secret {
			content = merge(content, annotated(v1alpha1.Selector, "[]"))
		}
		r.wish(k, content)
		return
	}
	if there == nil {
		return
	}
	var by Object
	switch verb {
	case "remove":
		how := r.pick("cascade", "", "", orphan)
		note("remove", how)
		r.remove(k, how)
		return
	case "select":
		if by = annotated(v1alpha1.Selector, nil); rapid.Bool().Draw(r.T, "said") {
			by = annotated(v1alpha1.Selector, `[{"key":"name","operator":"!=","values":["`+r.pick("cluster", r.clusters...)+`"]}]`)
		}
	case "adopt":
		by = annotated(v1alpha1.Adopt, r.pick("bool", "true", "false"))
	case "orphan":
		by = annotated(v1alpha1.Orphan, r.pick("bool", "true", "false"))
	case "follow":
		if k.Kind.Name != "Deployment" {
			return
		}
		by = annotated(v1alpha1.Follow, r.pick("follow", "dependencies", "dependencies", "none"))
	case "propagate":
		by = annotated(v1alpha1.Propagate, r.pick("bool", "false", "false", "true"))
	case "overrides":
		by = annotated(v1alpha1.Overrides, r.pick("overrides",
			`[{"clusters":["`+r.pick("cluster", r.clusters...)+`"],"merge":{"metadata":{"labels":{"l1":"z"}}}}]`,
			`[{"clusters":["a"],"patch":[{"op":"remove","path":"/data/k1"}]}]`, `[{"clusters":["b"],"merge":{"metadata":{"name":"other"}}}]`, `[]`))
	case "label":
		by = Object{"metadata": map[string]any{"labels": map[string]any{r.pick("label", "l1", "l2"): r.pick("value", "x", "y")}}}
	case "adopt all":
		which, k, by = "Namespace", r.key("Namespace", "ns"), annotated(v1alpha1.Adopt, r.pick("bool", "true", "false"))
	}
	note(jsonOf(by))
	r.wish(k, by)
}

// held is what clusters have, by "cluster Kind namespace/name", without what is counted.
func held(real map[string]map[Key]Object) map[string]Object {
	out := map[string]Object{}
	for c, all := range real {
		for k, o := range all {
			o = clone(o).(Object)
			delete(object(o, "metadata"), "resourceVersion")
			out[c+" "+k.String()] = o
		}
	}
	return out
}

// compare has a run be made, and what it comes to be what a preview has foreseen, and nothing be left
// that nobody wants.
func (r *rehearsal) compare() {
	before := held(r.real)
	foreseen, planned := r.foresee()
	want := held(foreseen)
	done := r.run()
	got := held(r.real)
	names := maps.Clone(want)
	maps.Copy(names, got)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		// What is made has a UID that nobody foresees.
		if text(before[name], "metadata", "uid") == "" {
			for _, o := range []Object{want[name], got[name]} {
				delete(object(o, "metadata"), "uid")
			}
		}
		if changes := Compare(want[name], got[name]); len(changes) > 0 || (want[name] == nil) != (got[name] == nil) {
			r.Fatalf("%s: foreseen\n%s\nand has come to\n%s\nthe plan was\n  %s\nand was done\n  %s\nafter\n  %s", name, jsonOf(want[name]), jsonOf(got[name]),
				strings.Join(planned, "\n  "), strings.Join(done, "\n  "), strings.Join(slices.DeleteFunc(r.did, func(s string) bool { return s == "" }), "\n  "))
		}
	}
	for c, all := range r.real {
		for k, o := range all {
			h := Observe(k, o, nil, Base{}, "prod")
			if (h.Ours || h.Marked) && r.fed[k] == nil {
				r.Fatalf("%s of %s is left behind: %s\nwas done\n  %s\nafter\n  %s", k, c, jsonOf(o), strings.Join(done, "\n  "), strings.Join(r.did, "\n  "))
			}
		}
	}
	r.did = append(r.did, "run")
}

// What a preview foresees is what a run comes to, in whichever order that hears of the clusters and
// does what there is to do.
func TestForeseeProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRehearsal(rt, t, "a", "b", "c")
		r.run()
		for range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			for range rapid.IntRange(1, 25).Draw(rt, "steps") {
				r.step()
			}
			r.compare()
		}
		if rapid.IntRange(0, 3).Draw(rt, "the namespace goes") == 0 {
			for range rapid.IntRange(0, 9).Draw(rt, "steps") {
				r.step()
			}
			how, home := r.pick("cascade", "", orphan), r.key("Namespace", "ns")
			if rapid.Bool().Draw(rt, "all that is in it is left") {
				r.wish(home, annotated(v1alpha1.Orphan, "true"))
			}
			r.did = append(r.did, "the namespace goes "+how)
			r.remove(home, how)
			r.compare()
		}
	})
}

// States in which it once wasn't.
func TestForesee(t *testing.T) {
	web := func(replicas int64, config string) Object {
		return Object{"spec": map[string]any{"replicas": replicas, "template": map[string]any{"spec": map[string]any{"containers": []any{
			map[string]any{"name": "web", "envFrom": []any{map[string]any{"configMapRef": map[string]any{"name": config}}}},
		}}}}}
	}
	replicas := func(n int64) Object { return Object{"spec": map[string]any{"replicas": n}} }
	unlabelled := Object{"metadata": map[string]any{"labels": map[string]any{v1alpha1.ManagedBy: nil}}}
	deleted := Object{"metadata": map[string]any{"deletionTimestamp": "2026-01-01T00:00:00Z"}}
	for name, row := range map[string]func(r *rehearsal, web, conf Key, somebody func(cluster string, by Object)){
		"replicas that can't be put right": func(r *rehearsal, d, _ Key, somebody func(string, Object)) {
			r.wish(d, annotated(v1alpha1.Overrides, `[{"clusters":["a"],"patch":[{"op":"remove","path":"/data/none"}]}]`))
			r.wish(d, web(6, "c2"))
			somebody("a", replicas(7))
		},
		"a copy without its label of one that was made anew": func(r *rehearsal, d, _ Key, somebody func(string, Object)) {
			somebody("a", unlabelled)
			somebody("a", replicas(7))
			r.wish(d, deleted)
			r.run()
			r.wish(d, web(1, "c1"))
		},
		"what is left with a workload": func(r *rehearsal, d, conf Key, _ func(string, Object)) {
			r.wish(conf, annotated(v1alpha1.Propagate, "false"))
			r.wish(d, annotated(v1alpha1.Orphan, "true"))
			r.wish(d, annotated(v1alpha1.Follow, "dependencies"))
			r.run()
			r.wish(conf, Object{"data": map[string]any{"k": "changed"}})
			r.wish(d, deleted)
		},
		"what is left with its Namespace": func(r *rehearsal, _, conf Key, somebody func(string, Object)) {
			r.wish(conf, Object{"data": map[string]any{"k": "changed"}})
			somebody("b", replicas(7))
			r.remove(r.key("Namespace", "ns"), orphan)
		},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				r := newRehearsal(rt, t, "a", "b", "c")
				d, conf := r.key("Deployment", "web"), r.key("ConfigMap", "c1")
				r.wish(conf, Object{"data": map[string]any{"k": "v"}})
				r.wish(d, web(3, "c1"))
				r.run()
				row(r, d, conf, func(cluster string, by Object) { r.real[cluster][d] = r.stamp(d, patched(r.real[cluster][d], by)) })
				r.compare()
			})
		})
	}
}
