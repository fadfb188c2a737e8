package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// placements are the Placement objects, which tell people how each federated object stands.
// Nothing is decided by them: what has to be remembered is in the object's own annotation.
type placements struct {
	known  bool // whether the federation's API has such objects
	served bool
	there  map[placementKey]placed
	due    map[workload.Key]v1alpha1.PlacementStatus // to be written, if it is news
	doubt  map[placementKey]bool                     // whose object may be gone
	under  int                                       // writes under way
	left   int                                       // that may begin before the next tick
}

// A placementKey is where a Placement is.
type placementKey struct{ namespace, name string }

// A placed is a Placement as the federation's API has it.
type placed struct {
	uid, version string
	owner        string // UID of the federated object
	object       v1alpha1.PlacedObject
	status       v1alpha1.PlacementStatus
	wrote        time.Time
}

func newPlacements() placements {
	return placements{there: map[placementKey]placed{}, due: map[workload.Key]v1alpha1.PlacementStatus{}, doubt: map[placementKey]bool{}}
}

// Thousands of objects that change at once, as at a first start, mustn't take the federation's
// API from those who use it: a hundred writes a second, and never half of the status writer's.
const (
	placementsATick = 10
	placementsUnder = desks/2 - 1
)

// placementFlight is a write of a Placement; no cluster is called that.
const placementFlight = "placement/"

// spotOf is where the Placement of an object is. What is in no namespace has it among what is
// fedsync's own: it outlasts a Namespace that is being deleted, and tells why that takes long.
func spotOf(k workload.Key) placementKey {
	return placementKey{cmp.Or(k.Namespace, v1alpha1.System), v1alpha1.PlacementName(k.Kind, k.Name, builtin.Native(k.Group))}
}

// placedObject names what a Placement is about.
func placedObject(k workload.Key) v1alpha1.PlacedObject {
	return v1alpha1.PlacedObject{APIVersion: k.APIVersion(), Kind: k.Kind.Name, Namespace: k.Namespace, Name: k.Name}
}

// shown follows the Placements.
type shown struct {
	loop *loop
	hub  *hub
	said string
}

var _ kube.Follower = (*shown)(nil)

// follow begins when the federation's API has the kind. An older one is made of this version by
// fedctl init, and all goes on meanwhile as it did in that version.
func (f *shown) follow(ctx context.Context) {
	for {
		_, err := f.loop.api.Find(ctx, v1alpha1.Placements.Group, v1alpha1.Placements.Version, v1alpha1.Placements.Name)
		switch {
		case err == nil:
			f.loop.api.Follow(ctx, v1alpha1.Placements, "", f)
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, kube.ErrNoKind):
			f.lacks("it has no kind Placement, as of an older version")
		default:
			f.Failed(err)
		}
		wait := patience
		if errors.Is(err, kube.ErrNoKind) {
			wait = recheck
		}
		if !kube.Pause(ctx, wait) {
			return
		}
	}
}

// lacks notes that there are no Placements to be had.
func (f *shown) lacks(why string) {
	f.loop.do(func() {
		if f.said != why {
			f.said = why
			f.hub.Log.Warn("federation's API: " + why + ": how each object stands is told in " + v1alpha1.StatusOf + " only; fedctl init again mends that")
		}
		f.hub.placements.known, f.hub.placements.served = true, false
	})
}

// Listed is for kube.API.Follow.
func (f *shown) Listed(all []*kube.Object) {
	f.loop.do(func() {
		p := &f.hub.placements
		was := p.there
		p.there = map[placementKey]placed{}
		for _, o := range all {
			f.set(o)
		}
		for s, o := range was {
			if _, ok := p.there[s]; !ok {
				f.hub.retell(o.object)
			}
		}
		if !p.served && p.known { // what stood in annotations is told here from now on
			for k := range f.hub.reports {
				f.hub.untold[k] = true
			}
		}
		f.said, p.known, p.served = "", true, true
	})
}

// Set is for kube.API.Follow.
func (f *shown) Set(o *kube.Object) {
	f.loop.do(func() {
		was := f.hub.placements.there[placementKey{o.GetNamespace(), o.GetName()}]
		if was.uid == string(o.GetUID()) && v1alpha1.Older(o.GetResourceVersion(), was.version) {
			return // the answer to a write came first
		}
		f.set(o)
	})
}

// Gone is for kube.API.Follow.
func (f *shown) Gone(namespace, name string) {
	f.loop.do(func() {
		p := &f.hub.placements
		was, ok := p.there[placementKey{namespace, name}]
		delete(p.there, placementKey{namespace, name})
		if ok {
			f.hub.retell(was.object)
		}
	})
}

// Failed is for kube.API.Follow.
func (f *shown) Failed(err error) {
	if kube.Refused(err) || kube.Missing(err) {
		f.lacks("Placements can't be listed: " + kube.Plain(err))
		return
	}
	f.loop.do(func() {
		if f.said != err.Error() {
			f.said = err.Error()
			f.hub.Log.Error(fmt.Sprintf("federation's API: placements: %v; trying again", kube.Plain(err)))
		}
	})
}

// set takes in a Placement. One that says something else than it did is compared anew with what it should say.
func (f *shown) set(o *kube.Object) { f.hub.placement(o, time.Time{}) }

// placement takes in a Placement as the API has it.
func (u *hub) placement(o *kube.Object, wrote time.Time) {
	p := &u.placements
	at := placementKey{o.GetNamespace(), o.GetName()}
	next := placed{uid: string(o.GetUID()), version: o.GetResourceVersion(), wrote: wrote}
	if read, err := kube.As[v1alpha1.Placement](o); err == nil {
		next.object, next.status = read.Object, read.Status
	} // else it is none of fedsync's making, and is written over, or goes
	for _, r := range o.GetOwnerReferences() {
		next.owner = string(r.UID)
	}
	was, ok := p.there[at]
	if next.wrote.IsZero() {
		next.wrote = was.wrote
	}
	p.there[at] = next
	p.doubt[at] = true
	if !ok || was.owner != next.owner || !sameStanding(was.status, next.status) {
		u.retell(next.object)
	}
}

// retell has the Placement of an object looked at again.
func (u *hub) retell(o v1alpha1.PlacedObject) {
	if k, ok := u.keyOf(o); ok && u.reports[k] != nil {
		u.untold[k] = true
	}
}

// keyOf is the federated object that a Placement is about; false: it is of no kind that is kept.
func (u *hub) keyOf(o v1alpha1.PlacedObject) (k workload.Key, ok bool) {
	for _, s := range u.kinds {
		if s.Kind.Name == o.Kind && s.APIVersion() == o.APIVersion {
			return workload.Key{FederatedKind: s, Namespace: o.Namespace, Name: o.Name}, true
		}
	}
	return k, false
}

// lost has the Placement of an object go that is gone itself.
func (p *placements) lost(k workload.Key) {
	if p.served {
		p.doubt[spotOf(k)] = true
	}
}

// show has the Placement of an object say how it stands.
func (u *hub) show(w *workload.Desired, next v1alpha1.PlacementStatus) {
	if !u.placements.served {
		return
	}
	if u.placements.news(w, next) {
		u.placements.due[w.Key] = next
	} else {
		delete(u.placements.due, w.Key)
	}
}

// news says whether a Placement would be another one.
func (p *placements) news(w *workload.Desired, next v1alpha1.PlacementStatus) bool {
	was, ok := p.there[spotOf(w.Key)]
	return !ok || was.owner != w.UID || was.object != placedObject(w.Key) || !sameStanding(was.status, next)
}

// sameStanding compares all but the time.
func sameStanding(a, b v1alpha1.PlacementStatus) bool {
	a.Since, b.Since = nil, nil
	return reflect.DeepEqual(a, b)
}

// place writes Placements that are due, and removes those whose object is gone.
func (u *hub) place(now time.Time) {
	p := &u.placements
	if !p.served {
		return
	}
	for at := range p.doubt {
		o, ok := p.there[at]
		k, kept := u.keyOf(o.object)
		switch {
		case !ok, kept && u.table.Desired(k) != nil && spotOf(k) == at:
			delete(p.doubt, at)
			continue
		case kept && u.table.Unlisted(k.FederatedKind):
			continue // whether it is gone isn't known
		}
		f := objectInCluster{placementFlight, workload.Key{Namespace: at.namespace, Name: at.name}}
		if p.left == 0 || p.under >= placementsUnder || u.inFlight[f] || u.waits(f, now) {
			continue
		}
		p.left--
		u.write(f, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
			return nil, api.Delete(ctx, v1alpha1.Placements, at.namespace, at.name, uid(o.uid))
		})
	}
	for k, next := range p.due {
		w := u.table.Desired(k)
		f := objectInCluster{placementFlight, k}
		was := p.there[spotOf(k)]
		switch {
		case w == nil || !p.news(w, next):
			delete(p.due, k)
			continue
		case p.left == 0 || p.under >= placementsUnder:
			return
		case u.inFlight[f] || u.waits(f, now) || now.Sub(was.wrote) < countEvery:
			continue
		}
		p.left--
		delete(p.due, k)
		next.Since = &metav1.Time{Time: now.UTC().Truncate(time.Second)}
		if was.status.State == next.State && was.owner == w.UID && was.status.Since != nil {
			next.Since = was.status.Since
		}
		u.write(f, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
			return applyPlacement(ctx, api, w, next)
		})
	}
}

// write has a Placement written, and hears how that ended.
func (u *hub) write(f objectInCluster, do func(context.Context, *kube.API) (*kube.Object, error)) {
	u.placements.under++
	u.writer.put(f, u.inFlight, do, func(f objectInCluster, got *kube.Object, err error) {
		u.placements.under--
		well := err == nil || kube.Missing(err) || kube.Terminating(err) // its namespace goes, and it with it
		if u.ended(f, err, well, soonest) {
			u.Log.Warn(fmt.Sprintf("federation's API: the Placement of %s/%s: %v; trying again", f.Namespace, f.Name, kube.Plain(err)))
		}
		if !well && u.reports[f.Key] != nil {
			u.untold[f.Key] = true
		}
		if got != nil && v1alpha1.Older(u.placements.there[placementKey{got.GetNamespace(), got.GetName()}].version, got.GetResourceVersion()) {
			u.placement(got, time.Now())
		}
		u.place(time.Now()) // the next one needn't wait for a tick
	})
}

// applyPlacement writes a Placement. It is the object's dependent, so that it goes with it where
// there is a garbage collector.
func applyPlacement(ctx context.Context, api *kube.API, w *workload.Desired, s v1alpha1.PlacementStatus) (*kube.Object, error) {
	at := spotOf(w.Key)
	p := v1alpha1.Placement{Object: placedObject(w.Key), Status: s}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	o := v1alpha1.Placements.New(at.namespace, at.name)
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	o.Object["object"], o.Object["status"] = fields["object"], fields["status"]
	o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: w.APIVersion(), Kind: w.Kind.Name, Name: w.Name, UID: uid(w.UID)}})
	got, _, err := api.Apply(ctx, v1alpha1.Placements, o, kube.How{Manager: agent, Force: true})
	return got, err
}

// standing is what a Placement is to say of an object.
func (u *hub) standing(w *workload.Desired, standings []workload.Propagation, notes []workload.Note, reason, message string) v1alpha1.PlacementStatus {
	out := v1alpha1.PlacementStatus{ObservedGeneration: w.Generation, State: reason}
	var summary []string
	var failing, saying string // the first cluster that something is wrong in, and the first that says what makes it so
	for _, s := range standings {
		h := u.table.Observed(s.Cluster, w.Key)
		c := v1alpha1.PlacementCluster{Name: s.Cluster, State: string(s.State), Why: cmp.Or(s.Error, u.unwell(w.Key, s, h), s.Why)}
		c.Why = workload.Bounded(c.Why, longestWhy)
		line := s.Cluster
		if desired, ready, ok := w.Tally(s, h); ok {
			c.Desired, c.Ready = &desired, &ready
			out.Desired, out.Ready = plus(out.Desired, desired), plus(out.Ready, ready)
			line += fmt.Sprintf(" %d/%d", ready, desired)
		}
		if s.State != workload.Applied {
			line += " " + string(s.State)
		}
		summary = append(summary, line)
		out.Clusters = append(out.Clusters, c)
		if c.Why != "" && c.Why != s.Why && failing == "" {
			failing = s.Cluster + ": " + c.Why
		}
		if string(s.State) == reason && saying == "" && c.Why != "" {
			saying = c.Why
		}
	}
	if n, ok := w.Count(); ok && !slices.ContainsFunc(standings, func(s workload.Propagation) bool { return s.Asked != nil }) {
		out.Desired = &n // what isn't placed counts, too
		if out.Ready == nil {
			out.Ready = new(int64)
		}
	}
	out.Summary = strings.Join(summary, ", ")
	switch {
	case reason != string(workload.Applied):
		out.Why = cause(reason, message, saying, notes)
	case failing != "":
		out.Why = failing
	case out.Desired != nil && *out.Ready < *out.Desired && !w.Ends():
		out.Why = fmt.Sprintf("%d of %d are ready", *out.Ready, *out.Desired)
	}
	out.Why = workload.Bounded(out.Why, longestWhy)
	return out
}

// cause is why an object isn't everywhere as it should be: where that is so, what a cluster says of
// it, and else what is told in events.
func cause(reason, message, saying string, notes []workload.Note) string {
	if saying != "" {
		return strings.TrimPrefix(message+": "+saying, ": ")
	}
	if i := slices.IndexFunc(notes, func(n workload.Note) bool { return n.Warning }); i >= 0 && (message == "" || reason == string(workload.Deleting)) {
		return notes[i].Text
	}
	return message
}

// longestWhy is as much of a reason as a Placement has room for, in each cluster.
const longestWhy = 400

// unwell is why an object that is there isn't as it should be; "": it is, for all that is known.
func (u *hub) unwell(k workload.Key, s workload.Propagation, h *workload.Observed) string {
	for _, p := range u.podCounts.parts[k] {
		if p.cluster == s.Cluster && p.fails != "" {
			return p.fails
		}
	}
	if h != nil && h.Ours && s.State == workload.Applied {
		return h.Trouble
	}
	return ""
}

func plus(sum *int64, n int64) *int64 {
	if sum != nil {
		n += *sum
	}
	return &n
}
