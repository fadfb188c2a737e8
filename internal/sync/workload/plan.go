package workload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/sync/placement"
)

// Make makes the plan of one federated object.
func Make(v View) Plan {
	if v.Deleting {
		return v.leave()
	}
	if !v.Finalizer {
		return Plan{Hold: true}
	}
	p := Plan{}
	decided := map[string]placement.Decision{}
	for _, m := range v.Members {
		decided[m.Name] = v.place(m)
	}
	shares := v.shares(decided)
	scales := v.scales(shares)
	for _, u := range v.unclear() {
		p.Notes = append(p.Notes, Note{true, BadAnnotation, u + "; what is in the clusters stays as it is"})
	}
	if s := v.strangers(v.Members); len(s) > 0 && len(v.unclear()) == 0 {
		p.Notes = append(p.Notes, Note{true, "UnknownCluster", "preferences speak of clusters that aren't there: " + strings.Join(s, ", ")})
	}
	for _, m := range v.Members {
		v.settle(&p, m, decided[m.Name], shares[m.Name], scales[m.Name])
	}
	return p
}

// unclear is why it can't be said where the object belongs.
func (v *View) unclear() []string {
	out := slices.Clone(v.Unclear)
	if v.Namespace != nil {
		for _, u := range v.Namespace.Unclear {
			out = append(out, "its namespace: "+u)
		}
	}
	return out
}

// present says whether the object is in a cluster, or for all that is known was
// put there.
func (v *View) present(m *Member) bool {
	if h := v.Entries[m.Name].Have; h != nil {
		return h.Ours || h.Marked
	}
	return !m.knows(v.Sort) && v.Record.holds(m.Name)
}

// place decides whether the object belongs into a cluster, and why.
func (v *View) place(m *Member) placement.Decision {
	present := v.present(m)
	if len(v.unclear()) > 0 {
		d := placement.Decision{Place: present, Why: "its annotations can't be read"}
		d.Replicas = placement.Keep
		return d
	}
	cluster := placement.Cluster{Labels: m.Labels, Taints: m.Taints, Evacuate: m.Evacuated}
	d := placement.Decide(placement.Object{Selector: v.selector, Tolerations: v.tolerations}, cluster, present)
	if d.Place && v.Namespace != nil {
		home := v.Homes[m.Name].Have != nil || !m.knows(v.Namespace.Sort) && v.Namespace.Record.holds(m.Name)
		in := placement.Decide(placement.Object{Selector: v.Namespace.selector, Tolerations: v.Namespace.tolerations}, cluster, home)
		if !in.Place {
			in.Why = "its namespace: " + in.Why
			return in
		}
	}
	return d
}

// settle adds what has to be done in one cluster.
func (v *View) settle(p *Plan, m *Member, d placement.Decision, share, scale Scale) {
	h := v.Entries[m.Name].Have
	s := Standing{Cluster: m.Name, State: Applied}
	defer func() {
		if s.State != "" {
			p.Standings = append(p.Standings, s)
		}
	}()
	switch {
	case m.Lacks(v.Sort):
		if s.State = ""; d.Place {
			s.State, s.Error = NotServed, v.Kind.String()+" isn't served there"
		}
		return
	case !m.knows(v.Sort):
		if s.State = ""; d.Place || h != nil || v.Record.holds(m.Name) {
			s.State, s.Error = Unreachable, m.denies(v.Sort)
			if why := s.Error; why != "" && m.Reachable {
				s.State = Failed
				p.Notes = append(p.Notes, Note{true, "Refused", "cluster " + m.Name + ": " + why})
			}
		}
		return
	}
	if d.Place && v.scarce() && share == nil && !v.taken(m.Name) {
		d.Place, d.Why = false, "there isn't one for every cluster"
	}
	if !d.Place {
		s.State = ""
		if h != nil && h.Ours {
			s.State = Deleting
			p.Steps = append(p.Steps, v.remove(m, h, d.Why)...)
		}
		return
	}
	if h == nil {
		if over, why := v.over(m.Name); over {
			s.State, s.Error, s.Scale, s.Final = Finished, why, v.given(m.Name), v.final(m.Name)
			return
		}
		if why := v.homeless(m); why != "" {
			s.State, s.Error = Pending, why
			return
		}
	}
	step := Step{Cluster: m.Name, Key: v.Key, Hash: v.Template.Hash}
	switch {
	case h == nil:
		step.Verb, step.Why = Create, "it isn't there"
	case h.Deleting:
		s.State = Deleting // made again once it is gone
		return
	case h.Marked:
		step.Verb, step.UID, step.Why = Update, h.UID, "its label or its annotation of the federation was taken off in the cluster"
	case !h.Ours && !v.Adopt:
		s.State, s.Error = NameTaken, "an object of that name is there and isn't of this federation"
		if h.Others != "" {
			s.Error = fmt.Sprintf("an object of that name is there and is of federation %q", h.Others)
		}
		p.Notes = append(p.Notes, Note{true, "NameTaken", "cluster " + m.Name + ": " + s.Error + `; annotate it fedns.io/adopt=true to take it over`})
		return
	case !h.Ours:
		step.Verb, step.Why, step.UID = Adopt, "fedns.io/adopt says so", h.UID
	default:
		step.Verb, step.UID = Update, h.UID
		switch {
		case h.Applied != v.Template.Hash:
			step.Why = "the federated object has changed"
		case len(h.Drift) > 0:
			step.Why = "it was changed in the cluster: " + paths(h.Drift)
			step.Changes, step.Drift = h.Drift, true
		case !agrees(h.Scale, scale):
			step.Why = fmt.Sprintf("%s instead of %s", scale, h.Scale)
			step.Drift = len(scale) > 0 && agrees(v.Entries[m.Name].Assigned, scale)
		default:
			s.Applied, s.Scale = h.Applied, share
			if h.Ended {
				s.Final = h.Part.Status
			}
			return
		}
		if _, theirs := v.Scaler(m.Name); theirs && v.workload() {
			step.Version = h.Version // nobody else may have scaled it since
		}
	}
	if h != nil {
		if h.Live != nil {
			step.Changes = Diff(v.Template.For(scale), h.Live)
		}
		for _, f := range v.Scale {
			if n, ok := scale[f]; ok && h.Live == nil && n != h.Scale[f] {
				step.Changes = append(step.Changes, Change{Path: "spec." + f, Was: fmt.Sprint(h.Scale[f]), Now: fmt.Sprint(n)})
			}
		}
	}
	step.Object, step.Scale, step.Share = v.Template.For(scale), scale, share
	s.State, s.Scale = Pending, share
	p.Steps = append(p.Steps, step)
}

// remove is how an object of ours goes from a cluster: at once, or when what is in
// it has gone.
func (v *View) remove(m *Member, h *Have, why string) []Step {
	if h.Deleting || v.Owned[m.Name] > 0 && !v.Foresee {
		return nil
	}
	return []Step{{Cluster: m.Name, Key: v.Key, Verb: Delete, UID: h.UID, Why: why}}
}

// homeless is why nothing can be made in a cluster yet: there is no namespace for
// it. "": there is one, or that isn't known.
func (v *View) homeless(m *Member) string {
	switch {
	case !v.Namespaced || v.Foresee || v.Key.Namespace == "default":
		return ""
	case v.Namespace == nil:
		return "its federated namespace hasn't been seen yet"
	case !m.knows(v.Namespace.Sort):
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

// scarce says whether a cluster may get no such object for there being too few: an
// autoscaler can't have none, and a Job of none would be complete.
func (v *View) scarce() bool {
	return len(v.Scale) == 2 && len(v.Total) > 0 && len(v.unclear()) == 0
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

// leave takes an object out of the clusters.
func (v *View) leave() Plan {
	p := Plan{Done: true}
	orphan, why := v.Orphan, "the federated object is being deleted, and fedns.io/orphan says to leave this one"
	if n := v.Namespace; n != nil && n.Deleting && n.Orphan {
		orphan, why = true, "its federated namespace is being deleted, and fedns.io/orphan says to leave what is in it"
	}
	var waits []string
	for _, m := range v.Members {
		h := v.Entries[m.Name].Have
		s := Standing{Cluster: m.Name, State: Deleting}
		switch released := v.released(m.Name); {
		case m.Lacks(v.Sort):
			continue
		case !m.knows(v.Sort):
			if released || !v.present(m) {
				continue
			}
			waits = append(waits, m.Name)
			s.State, s.Error = Unreachable, m.denies(v.Sort)
		case h == nil || !h.Ours && !h.Marked:
			continue
		case orphan:
			p.Steps = append(p.Steps, Step{Cluster: m.Name, Key: v.Key, Verb: Release, UID: h.UID, Why: why})
			p.Done = p.Done && released
		default:
			p.Steps = append(p.Steps, v.remove(m, h, "the federated object is being deleted")...)
			p.Done = p.Done && released
		}
		p.Done = p.Done && s.State != Unreachable
		p.Standings = append(p.Standings, s)
	}
	if len(waits) > 0 {
		slices.Sort(waits)
		p.Notes = append(p.Notes, Note{true, "DeletionWaits", "deletion waits for clusters that can't be asked: " + strings.Join(waits, ", ") +
			"; annotate it fedns.io/release=" + strings.Join(waits, ",") + " to go on without them"})
	}
	return p
}
