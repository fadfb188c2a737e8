package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A report is what there is to say of a federated object.
type report struct {
	plan    workload.Plan
	since   time.Time // when there first was something that hasn't been told
	last    time.Time
	notes   map[string]bool // told as events, and so still
	told    map[string]bool // told as events
	counted []workload.Propagation
}

// next is the report after another plan.
func (r *report) next(p workload.Plan, now time.Time) *report {
	if r == nil {
		r = &report{notes: map[string]bool{}, told: map[string]bool{}}
	}
	r.plan, r.last = p, now
	if r.since.IsZero() {
		r.since = now
	}
	return r
}

// count has the metrics say how the object stands.
func (r *report) count(k workload.Key, standings []workload.Propagation) {
	for _, s := range r.counted {
		objects.WithLabelValues(s.Cluster, k.Kind.Name, string(s.State)).Dec()
	}
	for _, s := range standings {
		objects.WithLabelValues(s.Cluster, k.Kind.Name, string(s.State)).Inc()
	}
	r.counted = standings
}

// leave forgets a cluster that isn't there any more, in what is told and in what is still to be.
func (r *report) leave(cluster string) {
	without := func(all []workload.Propagation) []workload.Propagation {
		return slices.DeleteFunc(slices.Clone(all), func(s workload.Propagation) bool { return s.Cluster == cluster })
	}
	r.counted, r.plan.Standings = without(r.counted), without(r.plan.Standings)
}

// Status is told when nothing has changed for settled, and at the latest after
// overdue: one write for all that happens to an object at once.
const (
	settled = 300 * time.Millisecond
	overdue = time.Second
)

// tell writes what has become of objects, where it is something new.
func (u *hub) tell(now time.Time) {
	if !u.placements.known {
		return // where things are to be told
	}
	for k := range u.untold {
		r, w := u.reports[k], u.table.Desired(k)
		if r == nil || w == nil {
			delete(u.untold, k)
			continue
		}
		if now.Sub(r.last) < settled && now.Sub(r.since) < overdue || u.inFlight[objectInCluster{"", k}] || u.waits(objectInCluster{"", k}, now) {
			continue
		}
		standings, notes, flying := u.standings(w, r.plan)
		if flying && now.Sub(r.since) < overdue || u.early(standings, now) {
			continue
		}
		r.since = time.Time{}
		delete(u.untold, k)
		r.count(k, standings)
		if r.plan.Hold || w.Leaving || w.Deleting && !w.Finalizer {
			if r.plan.Hold && len(notes) > 0 {
				u.show(w, v1alpha1.PlacementStatus{ObservedGeneration: w.Generation, State: notes[0].Reason, Why: workload.Bounded(notes[0].Text, longestWhy)})
			}
			u.events(w, r, notes)
			continue
		}
		reason, message := verdict(w, r.plan.Missing, standings)
		text, whole, fits := u.record(w, standings, reason, message, now)
		if !whole {
			notes = append(notes, short(w, text, fits, u.placements.served))
		}
		if text := u.table.Omits(k); text != "" {
			notes = append(notes, workload.Note{Warning: true, Reason: "StatusShort", Text: text})
		}
		u.show(w, u.standing(w, standings, notes, reason, message))
		u.events(w, r, notes)
		if !fits {
			continue
		}
		if text != w.Record.String() {
			u.mark(w, w.Finalizer, text)
			continue // the answer to that brings the next turn
		}
		if status := u.table.Status(k, everywhere(standings)); status != nil {
			u.writer.put(objectInCluster{"", k}, u.inFlight, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
				return api.Merge(ctx, k.Kind, k.Namespace, k.Name, map[string]any{"metadata": map[string]any{"uid": w.UID}, "status": status}, agent, "status")
			}, u.onWritten)
		}
	}
}

// record is what is written on an object itself, which has little room: what has to be remembered
// and, where there are no Placements for it, what people read.
func (u *hub) record(w *workload.Desired, standings []workload.Propagation, reason, message string, now time.Time) (text string, whole, fits bool) {
	r := w.Record.Next(w.UID, standings, reason, message, now)
	if u.placements.served {
		r = r.Short()
	}
	return r.Fit(w.Room)
}

// standings are those of the plan, with what became of its steps.
func (u *hub) standings(w *workload.Desired, p workload.Plan) (out []workload.Propagation, notes []workload.Note, flying bool) {
	notes = slices.Clone(p.Notes)
	if text := u.stays[w.Key]; text != "" {
		notes = append(notes, workload.Note{Warning: true, Reason: "NamespaceStays", Text: text})
	}
	for _, p := range u.podCounts.stalled(w.Key) {
		notes = append(notes, workload.Note{Warning: true, Reason: "MoveWaits", Text: "cluster " + p.cluster + ": " + p.fails})
	}
	refused := map[string][]string{} // clusters, by what they say
	for _, s := range p.Standings {
		f := objectInCluster{s.Cluster, w.Key}
		t := u.retries[f]
		switch {
		case u.deletions.holds(f):
			s.State, s.Error = workload.Waiting, fmt.Sprintf("more than %d deletions at once wait for an operator: fedctl confirm", u.MaxDeletes)
			notes = append(notes, workload.Note{Warning: true, Reason: "DeletionWaits", Text: "cluster " + s.Cluster + ": " + s.Error})
		case s.State != workload.Pending && s.State != workload.Deleting:
		case t != nil && t.err != nil:
			if s.Error = t.err.Error(); kube.Refused(t.err) {
				s.State = workload.Failed
				refused[s.Error] = append(refused[s.Error], s.Cluster)
			}
		case u.conflicts[f] != nil && !u.conflicts[f].until.IsZero():
			s.Error = "somebody else changes it again and again"
			notes = append(notes, workload.Note{Warning: true, Reason: "Contested", Text: "cluster " + s.Cluster + ": " + s.Error + "; it is put right once a minute"})
		default:
			flying = true
		}
		out = append(out, s)
	}
	for _, said := range slices.Sorted(maps.Keys(refused)) {
		notes = append(notes, refusal(said, refused[said]))
	}
	return out, notes, flying
}

// refusal is what is said of what clusters refuse, once for all of them that say the same.
func refusal(said string, clusters []string) workload.Note {
	const twice = "duplicate entries for key"
	if _, what, ok := strings.Cut(said, "): "); ok && strings.Contains(what, twice) {
		// An API server takes it from whoever doesn't apply it there, and lets nobody apply it.
		return workload.Note{Warning: true, Reason: "Duplicate", Text: "no cluster takes it: " + strings.Join(strings.Fields(strings.TrimPrefix(what, "errors:")), " ") + "; name each once"}
	}
	where := "cluster " + clusters[0]
	if len(clusters) > 1 {
		where = "clusters " + strings.Join(clusters, ", ")
	}
	return workload.Note{Warning: true, Reason: "Refused", Text: where + ": " + said}
}

// patienceForMembers is how long a cluster may take to say what it has before that is
// worth a word: else each start would be written on every object, twice.
const patienceForMembers = 10 * time.Second

// early says whether a cluster that nothing can be said of has hardly been asked.
func (u *hub) early(standings []workload.Propagation, now time.Time) bool {
	return slices.ContainsFunc(standings, func(s workload.Propagation) bool {
		m := u.members[s.Cluster]
		return s.State == workload.Unreachable && m != nil && now.Sub(m.began) < patienceForMembers
	})
}

// everywhere says whether nothing has still to be done for an object to be where it
// should be.
func everywhere(standings []workload.Propagation) bool {
	return !slices.ContainsFunc(standings, func(s workload.Propagation) bool {
		return s.State == workload.Pending || s.State == workload.Failed || s.State == workload.Unreachable
	})
}

// verdict is the worst of the propagations, and where it is so.
func verdict(w *workload.Desired, missing []string, standings []workload.Propagation) (reason, message string) {
	worst := []workload.State{workload.Waiting, workload.NameTaken, workload.Failed, workload.NotServed, workload.Unreachable, workload.Deleting, workload.Pending}
	switch {
	case w.Deleting:
		worst = append(worst, workload.Applied)
	case len(w.Unclear) > 0:
		return workload.BadAnnotation, strings.Join(w.Unclear, "; ")
	case len(standings) == 0:
		return "NoCluster", "no cluster is chosen for it"
	}
	for _, state := range worst {
		var in []string
		for _, s := range standings {
			if s.State == state {
				in = append(in, s.Cluster)
			}
		}
		if len(in) > 0 {
			return string(state), "in " + strings.Join(in, ", ")
		}
	}
	switch {
	case w.Deleting:
		return string(workload.Deleting), ""
	case len(missing) > 0:
		return workload.DependencyMissing, strings.Join(missing, "; ")
	}
	return string(workload.Applied), ""
}

// events tells what hasn't been told yet.
func (u *hub) events(w *workload.Desired, r *report, notes []workload.Note) {
	now := map[string]bool{}
	for _, n := range notes {
		id := n.Reason + "\x00" + n.Text
		if now[id] || r.notes[id] {
			now[id] = true
			continue
		}
		now[id] = true
		again := r.told[id] // it was over in between
		r.told[id] = true
		u.Log.Warn(fmt.Sprintf("%s: %s: %s", w.Key, n.Reason, n.Text))
		u.writer.post(func(ctx context.Context, api *kube.API) error { return event(ctx, api, w, n, again) })
	}
	r.notes = now
}

// short is what is said of an object that has no room for its record.
func short(w *workload.Desired, text string, fits, placed bool) workload.Note {
	where := "what is wrong is told in events only"
	if placed {
		where = "its times are left out"
	}
	if fits {
		return workload.Note{Warning: true, Reason: "StatusShort", Text: "its other annotations leave no room for all of " + v1alpha1.StatusOf + ": " + where}
	}
	return workload.Note{Warning: true, Reason: "StatusTooLong", Text: fmt.Sprintf("its other annotations leave no room for %s: it needs %d bytes more, of the 256 KiB that all may have; nothing is done before", v1alpha1.StatusOf, len(text)-max(w.Room, 0))}
}

// mark writes the finalizer and the record of a federated object.
func (u *hub) mark(w *workload.Desired, finalizer bool, record string) {
	if u.waits(objectInCluster{"", w.Key}, time.Now()) {
		return
	}
	u.writer.put(objectInCluster{"", w.Key}, u.inFlight, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
		return mark(ctx, api, w, finalizer, record)
	}, u.onWritten)
}

// onWritten hears how a write to the federation's API ended. What it answers is taken
// in: the watch may be late, and what is old would be written again.
func (u *hub) onWritten(f objectInCluster, got *kube.Object, err error) {
	if u.ended(f, err, err == nil || kube.Missing(err), soonest) && !kube.Conflict(err) {
		u.Log.Warn(fmt.Sprintf("federation's API: %s: %v; trying again", f.Key, kube.Plain(err)))
		if kube.Forbidden(err) && f.FederatedKind.Is(builtin.Secrets) {
			u.rebind(f.Key.Namespace)
		}
	}
	if w := u.table.Desired(f.Key); got != nil && w != nil && w.UID == string(got.GetUID()) && v1alpha1.Older(w.Version, got.GetResourceVersion()) {
		u.table.SetDesired(workload.NewDesired(f.Key, got.Object, u.Federation))
	}
	if r := u.reports[f.Key]; r != nil {
		if r.since.IsZero() {
			r.since = time.Now()
		}
		u.untold[f.Key] = true
	}
	u.table.Touch(f.Key)
}
