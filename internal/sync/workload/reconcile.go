package workload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/sync/placement"
)

// An outcome is what follows for one cluster.
type outcome struct {
	standing Propagation // without a state: the object has nothing to do with the cluster
	steps    []Step
	notes    []Note
}

// reconcile decides what follows for one cluster. Each question is asked only when the
// ones before it are settled: whether the cluster can be asked at all, whether the object
// belongs there, whether what is in its place may be written, and how that differs.
func (v *View) reconcile(m *Member, d placement.Decision, share, scale Scale) outcome {
	switch {
	case m.Lacks(v.FederatedKind):
		return v.notServed(d)
	case !m.knows(v.FederatedKind):
		return v.unreachable(m, d)
	}
	if d.Place && v.scarce() && share == nil && !v.taken(m) {
		d.Place, d.Why = false, "there isn't one for every cluster"
	}
	h := v.Entries[m.Name].Have
	if !d.Place && (scale["replicas"] == 0 || !v.leaves(m, d)) {
		return v.excluded(m, h, d.Why)
	}
	t, err := v.templateFor(m)
	switch {
	case err != nil: // what is there is the last good copy
		return outcome{standing: Propagation{State: Failed, Error: err.Error()}}
	case h == nil:
		return v.absent(m, t, share, scale)
	case h.Deleting:
		return outcome{standing: Propagation{State: Deleting}} // made again once it is gone
	case v.taken(m):
		return v.nameTaken(m, h)
	}
	step, differs := v.correction(m, t, h, scale)
	if !differs {
		return v.applied(h, share)
	}
	return v.pending(m, t, step, share, scale)
}

// notServed is for a cluster that has no such kind: nothing can be there, and that is
// worth a word only where something should be.
func (v *View) notServed(d placement.Decision) outcome {
	if !d.Place {
		return outcome{}
	}
	return outcome{standing: Propagation{State: NotServed, Error: v.Kind.String() + " isn't served there"}}
}

// unreachable is for a cluster that doesn't say what it has of the kind: nothing is
// done there, since nothing follows from what isn't heard. A refusal is an error that
// somebody has to mend; silence may pass by itself.
func (v *View) unreachable(m *Member, d placement.Decision) outcome {
	if !d.Place && v.Entries[m.Name].Have == nil && !v.Record.Holds(m.Name) {
		return outcome{}
	}
	why := m.denies(v.FederatedKind)
	if why == "" || !m.Reachable {
		s := Propagation{State: Unreachable, Error: why}
		if v.first != "" && (v.Ranged || v.Whole != "") { // its numbers aren't another's, whoever plans next
			if s.Scale = v.given(m.Name); s.Scale == nil && v.Entries[m.Name].Have != nil {
				s.Scale = v.Entries[m.Name].Have.Scale
			}
		}
		return outcome{standing: s}
	}
	return outcome{
		standing: Propagation{State: Failed, Error: why},
		notes:    []Note{{true, "Refused", "cluster " + m.Name + ": " + why}},
	}
}

// scarce says whether a cluster may get no such object for there being too few: an
// autoscaler can't have none, a Job of none would be complete, and what can't be split is
// in one cluster.
func (v *View) scarce() bool {
	return (v.Whole != "" || len(v.Scale) == 2 && len(v.Total) > 0) && len(v.unclear()) == 0
}

// excluded is for a cluster that the object isn't for: one of ours goes, also if one of its marks
// was taken off, and others' are none of our business.
func (v *View) excluded(m *Member, h *Observed, why string) outcome {
	if h == nil || !h.Ours && !h.Marked {
		return outcome{}
	}
	if f := v.left(m); f != nil {
		return outcome{standing: Propagation{State: Deleting}, steps: []Step{{Cluster: m.Name, Key: v.Key, Verb: Release, UID: h.UID, Why: f.Key.String() + ", which needs it, is left there"}}}
	}
	return outcome{standing: Propagation{State: Deleting}, steps: v.remove(m, h, why)}
}

// remove is how an object of ours goes from a cluster: at once, or when what is in
// it has gone.
func (v *View) remove(m *Member, h *Observed, why string) []Step {
	if h.Deleting || v.Owned[m.Name] > 0 && !v.Foresee {
		return nil
	}
	return []Step{{Cluster: m.Name, Key: v.Key, Verb: Delete, UID: h.UID, Why: why}}
}

// absent is for a cluster that lacks the object: it is made, unless it is a Job that
// has run there, or there is no namespace to make it in yet.
func (v *View) absent(m *Member, t *Template, share, scale Scale) outcome {
	if over, why := v.over(m.Name); over {
		return outcome{standing: Propagation{State: Finished, Error: why, Scale: v.given(m.Name), Final: v.final(m.Name)}}
	}
	if v.FederatedKind.Scaler && scale == nil {
		return outcome{standing: Propagation{State: Pending, Error: "the other clusters have its share still", Scale: share}}
	}
	if why := v.homeless(m); why != "" {
		s := Propagation{State: Pending, Error: why}
		if v.Ranged { // its numbers are its own from the first plan on
			s.Scale = share
		}
		return outcome{standing: s}
	}
	return v.pending(m, t, Step{Verb: Create, Why: "it isn't there"}, share, scale)
}

// over says whether a Job has run in a cluster and has gone from there: it isn't
// run again.
func (v *View) over(cluster string) (ok bool, why string) {
	if v.final(cluster) != nil {
		return true, ""
	}
	if v.Once && (v.Entries[cluster].Assigned != nil || v.Record.standing(cluster).Applied != "") {
		return true, "it was there, and is taken away when it has ended"
	}
	return false, ""
}

// final is the last status of a Job that has ended in a cluster; nil: none has.
func (v *View) final(cluster string) Object {
	if f := v.Entries[cluster].Finished; f != nil {
		return f
	}
	return v.Record.standing(cluster).Final
}

// homeless is why nothing can be made in a cluster yet: there is no namespace for
// it. "": there is one, or that isn't known.
func (v *View) homeless(m *Member) string {
	switch {
	case !v.Namespaced || v.Foresee || v.Key.Namespace == "default":
		return ""
	case v.Namespace == nil:
		return "its federated namespace hasn't been seen yet"
	case !m.knows(v.Namespace.FederatedKind):
		return ""
	}
	switch h := v.Homes[m.Name].Have; {
	case h == nil:
		return "its namespace isn't there yet"
	case h.Deleting:
		return "its namespace is being deleted there"
	}
	return ""
}

// nameTaken is for a cluster that has an object of that name which isn't ours: it is
// never written over, and somebody has to say that it may be.
func (v *View) nameTaken(m *Member, h *Observed) outcome {
	why := "an object of that name is there and isn't of this federation"
	if h.Others != "" {
		why = fmt.Sprintf("an object of that name is there and is of federation %q", h.Others)
	}
	return outcome{
		standing: Propagation{State: NameTaken, Error: why},
		notes:    []Note{{true, "NameTaken", "cluster " + m.Name + ": " + why + `; annotate it fedns.io/adopt=true to take it over`}},
	}
}

// correction is the step by which what is there becomes what is wanted. The first
// difference is the reason; the step writes all of them.
func (v *View) correction(m *Member, t *Template, h *Observed, scale Scale) (step Step, differs bool) {
	step = Step{Verb: Update, UID: h.UID}
	switch {
	case h.Marked:
		step.Why = "its label or its annotation of the federation was taken off in the cluster"
	case !h.Ours:
		step.Verb, step.Why = Adopt, v.adopts(m, h)
	case h.Applied != t.Hash:
		step.Why = "the federated object has changed"
	case len(h.Drift) > 0:
		step.Why, step.Drift = "it was changed in the cluster: "+paths(h.Drift), true
		step.Changes = slices.Clip(h.Drift) // which isn't ours to append to
	case !agrees(h.Scale, scale):
		step.Why = fmt.Sprintf("%s instead of %s", scale, h.Scale)
		step.Drift = len(scale) > 0 && agrees(v.Entries[m.Name].Written, scale)
	default:
		return Step{}, false
	}
	if _, theirs := v.Scaler(m.Name); theirs && h.Ours && v.Workload() {
		step.Version = h.Version // nobody else may have scaled it since
	}
	if h.Live != nil {
		step.Changes = Diff(t.For(scale), h.Live)
		return step, true
	}
	for _, f := range slices.Concat(v.Scale, []string{v.FederatedKind.first}, v.FederatedKind.Margins) {
		if n, ok := scale[f]; ok && n != h.Scale[f] {
			step.Changes = append(step.Changes, Change{Path: "spec." + f, Was: fmt.Sprint(h.Scale[f]), Now: fmt.Sprint(n)})
		}
	}
	return step, true
}

// paths names the first few of the fields that differ.
func paths(changes []Change) string {
	const few = 3
	var out []string
	for i, c := range changes {
		if i == few {
			out = append(out, fmt.Sprintf("and %d more", len(changes)-few))
			break
		}
		out = append(out, c.Path)
	}
	return strings.Join(out, ", ")
}

// applied is for a cluster where all is as it should be.
func (v *View) applied(h *Observed, share Scale) outcome {
	s := Propagation{State: Applied, Applied: h.Applied, Scale: share}
	if h.Ended {
		s.Final = h.Part.Status
	}
	return outcome{standing: s}
}

// pending is for a cluster in which a step has to be done: with what is to be written,
// which is the same whatever the reason is.
func (v *View) pending(m *Member, t *Template, s Step, share, scale Scale) outcome {
	s.Cluster, s.Key, s.Hash = m.Name, v.Key, t.Hash
	s.Object, s.Scale, s.Share = t.For(scale), scale, share
	return outcome{standing: Propagation{State: Pending, Scale: share}, steps: []Step{s}}
}
