package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/lease"
	"github.com/fedns/fedns/internal/sync/workload"
)

// holdTime is how long fedsync stays away from a restore that was killed, if its mark didn't
// keep it away.
const holdTime = 15 * time.Second

// A Result is what a restore has done.
type Result struct {
	Objects  int
	Clusters int
	Deleted  int // that were being deleted, and are again
	// Unsaid are statuses that the API doesn't take; fedsync tells them anew.
	Unsaid int
}

// A restore is one that is under way.
type restore struct {
	*File
	api   *kube.API
	whose v1alpha1.Settings
	kept  []*workload.FederatedKind
	kinds map[string]kube.Kind    // as the API serves them, by apiVersion and kind
	uids  map[types.UID]types.UID // of before, and now
	made  map[*kube.Object]*kube.Object
	res   Result
}

func unfinished(whose v1alpha1.Settings) error {
	return advice.Errorf("fedctl restore of the same file goes on with it", "a restore into the API of federation %s has begun, and isn't whole", whose.Federation)
}

// Check says why a backup can't be restored into an API.
func (f *File) Check(ctx context.Context, api *kube.API) error {
	_, err := f.check(ctx, api)
	return err
}

func (f *File) check(ctx context.Context, api *kube.API) (whose v1alpha1.Settings, err error) {
	if whose, err = bootstrap.Read(ctx, api); err != nil {
		return whose, err
	}
	switch {
	case whose.Federation != f.Federation:
		return whose, advice.Errorf("--context says which federation is meant", "it is a backup of federation %s, and %s is the API of %s", f.Federation, api.Server, whose.Federation)
	case whose.Domain != f.Domain:
		return whose, advice.Errorf("fedctl init "+f.Federation+" --dns-zone-name "+f.Domain, "it is a backup of federation %s of domain %s, and this one is of %s", f.Federation, f.Domain, whose.Domain)
	case whose.Restoring == f.Digest:
		return whose, nil
	case whose.Restoring != "":
		return whose, advice.Errorf("fedctl restore of that file goes on with it", "a restore of another file has begun there, and isn't whole")
	}
	held, err := f.held(ctx, api, whose)
	if err == nil && len(held) > 0 {
		err = advice.Errorf("fedctl init sets up an empty one", "the API of federation %s holds something already: %s", whose.Federation, apply.Some(held))
	}
	return whose, err
}

// held is what a federation's API has that fedctl init doesn't make.
func (f *File) held(ctx context.Context, api *kube.API, whose v1alpha1.Settings) (out []string, err error) {
	kinds := []kube.Kind{v1alpha1.Clusters, v1alpha1.Orders}
	federated := kept(whose)
	for _, s := range federated {
		kinds = append(kinds, s.Kind)
	}
	for _, k := range kinds {
		if k.Resource == "" {
			if k, err = api.Find(ctx, k.Group, k.Version, k.Name); errors.Is(err, kube.ErrNoKind) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		all, err := api.List(ctx, k, "", "")
		if kube.Missing(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.Resource, err)
		}
		s := kindOf(federated, k)
		for i := range all {
			o := &all[i]
			if s == nil || workload.Federated(workload.Key{FederatedKind: s, Namespace: o.GetNamespace(), Name: o.GetName()}, o.Object) {
				out = append(out, kube.TitleOf(o))
			}
		}
	}
	return out, nil
}

// Restore puts a backup into the API of the federation that it is of. While it does, no
// fedsync writes anywhere: it finds the mark in the federation's settings, and restore
// holds its Lease. One that fails can be run again, and goes on; until it has come to its
// end, fedsync stays away.
func (f *File) Restore(ctx context.Context, api *kube.API, holder string, say Waiter) (Result, error) {
	whose, err := f.check(ctx, api)
	if err != nil {
		return Result{}, err
	}
	r := &restore{File: f, api: api, whose: whose, kinds: map[string]kube.Kind{}, uids: map[types.UID]types.UID{}, made: map[*kube.Object]*kube.Object{}}
	began := whose.Restoring == ""
	r.whose.Restoring = f.Digest
	if err := r.mark(ctx); err != nil {
		return r.res, err
	}
	say("the fedsync that leads to stand back")
	l := lease.Lease{Namespace: v1alpha1.System, Name: v1alpha1.LeaseOf(f.Federation), Holder: holder, Duration: holdTime}
	led, failed := false, error(nil)
	err = lease.Lead(ctx, api, l, func(ctx context.Context) {
		led = true
		failed = r.all(ctx, say)
	})
	if led || err != nil {
		return r.res, errors.Join(err, failed)
	}
	err = advice.Errorf("end it; those of this version stand back by themselves", "a fedsync leads in the API of federation %s, and doesn't stand back", f.Federation)
	if began { // nothing was written: it is as it was
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), holdTime)
		defer cancel()
		r.whose.Restoring = ""
		if left := r.mark(ctx); left != nil {
			err = fmt.Errorf("%w; and fedsync can't be told to go on: %w", err, left)
		}
	}
	return r.res, err
}

// mark writes the settings, with the word that a restore is under way or without it.
func (r *restore) mark(ctx context.Context) error {
	o := builtin.ConfigMaps.New(v1alpha1.System, v1alpha1.ConfigName)
	o.Object["data"] = r.whose.Data()
	apply.Mark(o, r.Federation)
	if _, _, err := r.api.Apply(ctx, builtin.ConfigMaps, o, kube.How{Manager: apply.Manager, Force: true}); err != nil {
		return fmt.Errorf("ConfigMap %s/%s: %w", v1alpha1.System, v1alpha1.ConfigName, err)
	}
	return nil
}

// all is what is done while fedsync stands back.
func (r *restore) all(ctx context.Context, say Waiter) (err error) {
	defer func() {
		if err != nil {
			err = advice.Errorf("run it again with the same file: it goes on; fedsync stays away until it is whole", "%w", err)
		}
	}()
	if err := r.settings(ctx, say); err != nil {
		return err
	}
	r.kept = kept(r.whose)
	var done *kube.Object
	rest := r.Objects
	for _, last := range []int{definitions, bounds, refusing, orders, clusters} {
		var now []*kube.Object
		for len(rest) > 0 && rank(rest[0]) <= last {
			now, rest = append(now, rest[0]), rest[1:]
		}
		for _, o := range now {
			say(kube.TitleOf(o))
			if err := r.spaced(ctx, done, o); err != nil {
				return err
			}
			if err := r.create(ctx, o); err != nil {
				return fmt.Errorf("%s: %w", kube.TitleOf(o), err)
			}
			done = o
		}
		for _, o := range now {
			if err := r.finish(ctx, o); err != nil {
				return fmt.Errorf("%s: %w", kube.TitleOf(o), err)
			}
		}
	}
	for _, o := range slices.Backward(r.Objects) { // namespaces behind what is in them
		if err := r.remove(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", kube.TitleOf(o), err)
		}
	}
	r.whose.Restoring = ""
	return r.mark(ctx)
}

// settings brings the federation the kinds that it had beside the usual ones, and what its
// fedsync has to do with still. Their definitions have to be there for that.
func (r *restore) settings(ctx context.Context, say Waiter) error {
	for _, o := range r.Objects {
		if rank(o) != definitions {
			break
		}
		if err := r.create(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", kube.TitleOf(o), err)
		}
	}
	o := builtin.ConfigMaps.New(v1alpha1.System, v1alpha1.ConfigName)
	data := map[string]any{}
	for k, v := range r.Settings {
		data[k] = v
	}
	o.Object["data"] = data
	was, err := v1alpha1.SettingsOf(o)
	if err != nil {
		return err
	}
	if was.Fedsync != nil {
		o := builtin.ConfigMaps.New(v1alpha1.System, v1alpha1.ConfigName)
		o.Object["data"] = was.Fedsync.Data()
		if _, _, err := r.api.Apply(ctx, builtin.ConfigMaps, o, kube.How{Manager: v1alpha1.Fedsync, Force: true}); err != nil {
			return fmt.Errorf("ConfigMap %s/%s: %w", v1alpha1.System, v1alpha1.ConfigName, err)
		}
		r.whose.Fedsync = was.Fedsync
	}
	for _, k := range was.Kinds {
		found, err := r.served(ctx, k, say)
		if err != nil {
			return err
		}
		if !slices.Contains(r.whose.Kinds, found) {
			r.whose.Kinds = append(r.whose.Kinds, found)
		}
	}
	if was.Surge != "" {
		r.whose.Surge = was.Surge
	}
	law := bootstrap.Settings(r.whose)
	law.Fedsync = nil
	_, err = law.Install(ctx, &apply.Applied{API: r.api, Federation: r.Federation}, say)
	return err
}

// step is between two looks whether a new kind is served.
const step = 100 * time.Millisecond

// served finds how the API serves a kind, whose definition may just have been made.
func (r *restore) served(ctx context.Context, k kube.Kind, say Waiter) (found kube.Kind, err error) {
	defined := slices.ContainsFunc(r.Objects, func(o *kube.Object) bool {
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
		return rank(o) == definitions && group == k.Group && kind == k.Name
	})
	over := wait.PollUntilContextCancel(ctx, step, true, func(ctx context.Context) (bool, error) {
		found, err = r.api.Find(ctx, k.Group, k.Version, k.Name)
		if errors.Is(err, kube.ErrNoKind) && defined {
			say("the kind " + k.String() + " to be served")
			return false, nil
		}
		return true, nil
	})
	if over != nil {
		return k, fmt.Errorf("%s isn't served yet: %w", k, context.Cause(ctx))
	}
	return found, err
}

func (r *restore) kind(ctx context.Context, o *kube.Object) (kube.Kind, error) {
	id := o.GetAPIVersion() + " " + o.GetKind()
	if k, ok := r.kinds[id]; ok {
		return k, nil
	}
	gv := o.GroupVersionKind()
	k, err := r.served(ctx, kube.Kind{Group: gv.Group, Version: gv.Version, Name: gv.Kind}, func(string) {})
	if err == nil {
		r.kinds[id] = k
	}
	return k, err
}

// spaced has an Order be younger than the one before it where names would turn them round:
// API servers note whole seconds.
func (r *restore) spaced(ctx context.Context, last, next *kube.Object) error {
	if last == nil || last.GetKind() != v1alpha1.Orders.Name || next.GetKind() != v1alpha1.Orders.Name ||
		last.GetName() < next.GetName() || !incomplete(r.made[last]) {
		return nil
	}
	if !kube.Pause(ctx, time.Second) {
		return context.Cause(ctx)
	}
	return nil
}

// incomplete says whether an object was made by a restore, and not given all yet.
func incomplete(o *kube.Object) bool { return o.GetAnnotations()[v1alpha1.Restoring] != "" }

// create makes an object without what another one would have to be there for, or what an
// API server gives. What is there is Kubernetes's, fedctl init's, or of a restore that was
// broken off.
func (r *restore) create(ctx context.Context, o *kube.Object) error {
	k, err := r.kind(ctx, o)
	if err != nil {
		return err
	}
	c := o.DeepCopy()
	for _, f := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "ownerReferences", "selfLink"} {
		unstructured.RemoveNestedField(c.Object, "metadata", f)
	}
	delete(c.Object, "status")
	if s := kindOf(r.keptKinds(), k); s != nil {
		s.Strip(c.Object)
	}
	notes := c.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	notes[v1alpha1.Restoring] = r.Digest
	c.SetAnnotations(notes)
	live, err := r.api.Create(ctx, k, c, apply.Manager)
	if kube.Conflict(err) {
		live, err = r.api.Get(ctx, k, o.GetNamespace(), o.GetName())
	}
	if err != nil {
		return err
	}
	if _, again := r.made[o]; !again && incomplete(live) {
		r.res.Objects++
		if k == v1alpha1.Clusters {
			r.res.Clusters++
		}
	}
	r.made[o], r.uids[o.GetUID()] = live, live.GetUID()
	return nil
}

func (r *restore) keptKinds() []*workload.FederatedKind {
	if r.kept == nil {
		r.kept = kept(r.whose)
	}
	return r.kept
}

// finish gives an object the rest: its status, its owners, what fedsync remembers of it, and
// who has said which of its fields. That counts: clusters get what people have said, and not
// what an API server has filled in.
func (r *restore) finish(ctx context.Context, o *kube.Object) error {
	live := r.made[o]
	k, err := r.kind(ctx, o)
	if err != nil {
		return err
	}
	if !incomplete(live) {
		if k != builtin.Namespaces || !builtin.Permanent(o.GetName()) {
			return nil
		}
		// Every API has it, and people may have written on it.
		_, err := r.api.Merge(ctx, k, "", o.GetName(), map[string]any{"metadata": map[string]any{"labels": o.GetLabels(), "annotations": r.notes(o, live)}}, apply.Manager, "")
		return err
	}
	if status, has := o.Object["status"]; has && k.Group != v1alpha1.Group && k != builtin.Namespaces && k != builtin.Definitions {
		c := live.DeepCopy()
		c.Object["status"] = status
		switch got, err := r.api.Put(ctx, k, c, "status"); {
		case err == nil:
			live = got
		case kube.Missing(err): // the kind has no status of its own: it is a field like others
			live.Object["status"] = status
		case kube.Refused(err):
			r.res.Unsaid++
		default:
			return err
		}
	}
	notes, owners := r.notes(o, live), r.owners(o)
	if len(owners) > 0 || notes[v1alpha1.StatusOf] != o.GetAnnotations()[v1alpha1.StatusOf] {
		// By itself: of a change nobody can say that somebody else has made it.
		now := maps.Clone(notes)
		now[v1alpha1.Restoring] = r.Digest
		live.SetAnnotations(now)
		live.SetOwnerReferences(owners)
		if live, err = r.api.Put(ctx, k, live, ""); err != nil {
			return err
		}
	}
	live.SetAnnotations(notes)
	if live.SetManagedFields(o.GetManagedFields()); len(o.GetManagedFields()) == 0 {
		live.SetManagedFields([]metav1.ManagedFieldsEntry{{}}) // none at all would be taken for "as they were"
	}
	_, err = r.api.Put(ctx, k, live, "")
	return err
}

// notes are the annotations of an object, in which fedsync's record speaks of what it is now.
func (r *restore) notes(o, live *kube.Object) map[string]string {
	notes := maps.Clone(o.GetAnnotations())
	if notes == nil {
		notes = map[string]string{}
	}
	text := notes[v1alpha1.StatusOf]
	if text == "" {
		return notes
	}
	var record map[string]json.RawMessage
	var of types.UID
	if json.Unmarshal([]byte(text), &record) != nil || json.Unmarshal(record["uid"], &of) != nil || of != o.GetUID() {
		return notes // somebody's scribble, which fedsync doesn't go by either
	}
	id, err := json.Marshal(live.GetUID())
	if err == nil {
		record["uid"] = id
		var next []byte
		if next, err = json.Marshal(record); err == nil {
			notes[v1alpha1.StatusOf] = string(next)
		}
	}
	if err != nil {
		panic("what was JSON isn't: " + err.Error())
	}
	return notes
}

// owners are those that are in the backup, too. What had another one stands by itself: with
// an owner that isn't there it would be collected.
func (r *restore) owners(o *kube.Object) (out []metav1.OwnerReference) {
	for _, ref := range o.GetOwnerReferences() {
		if uid, ok := r.uids[ref.UID]; ok {
			ref.UID = uid
			out = append(out, ref)
		}
	}
	return out
}

// remove has an object that was being deleted be so again, in the way that was said.
func (r *restore) remove(ctx context.Context, o *kube.Object) error {
	if o.GetDeletionTimestamp() == nil {
		return nil
	}
	k, err := r.kind(ctx, o)
	if err != nil {
		return err
	}
	how := metav1.DeletePropagationBackground
	for _, f := range o.GetFinalizers() {
		switch f {
		case metav1.FinalizerOrphanDependents:
			how = metav1.DeletePropagationOrphan
		case metav1.FinalizerDeleteDependents:
			how = metav1.DeletePropagationForeground
		}
	}
	r.res.Deleted++
	return r.api.DeleteAs(ctx, k, o.GetNamespace(), o.GetName(), r.made[o].GetUID(), how)
}
