package workload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/placement"
)

// A Member is a cluster as plans see it.
type Member struct {
	Name   string
	Labels map[string]string
	Taints []placement.Taint
	// Evacuated is that its replicas go to the others.
	Evacuated bool
	// Reachable is that its API answers.
	Reachable bool
	// Lost is that it has been out of reach for so long that its replicas count as
	// gone.
	Lost bool
	// Lists says whether all that it has of a sort is known.
	Lists func(*Sort) bool
	// Lacks says that it serves no such kind.
	Lacks func(*Sort) bool
}

// A Verb is what a step does.
type Verb string

// The verbs.
const (
	Create  Verb = "create"
	Update  Verb = "update"
	Adopt   Verb = "adopt"   // update what wasn't ours
	Delete  Verb = "delete"  //
	Release Verb = "release" // take our marks off, and leave it
)

// A Step is one thing to do in one cluster.
type Step struct {
	Cluster string
	Key
	Verb   Verb
	Object Object // what to apply
	Scale  Scale  // its part of what is split
	Hash   string // of its template
	// UID is of the object that is meant, where it is there already.
	UID string
	// Version is the only resourceVersion that may be written over; "": any.
	Version string
	Changes []Change // the fields, where it is there already
	Why     string
}

// A Note is something to be said of a federated object, as an event.
type Note struct {
	Warning bool
	Reason  string // a word, for machines
	Text    string
}

// A Plan is what follows from what is wanted of one object and what is there.
type Plan struct {
	// Hold is that nothing may be done before the object has its finalizer.
	Hold      bool
	Steps     []Step
	Standings []Standing
	Notes     []Note
	// Done is that the object is being deleted and nothing of it is left.
	Done bool
}

// A View is what a plan is made of.
type View struct {
	*Want
	Members   []*Member        // by name
	Haves     map[string]*Have // by cluster
	Asked     map[string]Scale // what clusters were given last, as far as that is known
	Namespace *Want            // the federated one it is in; nil: there is none
	// Scaler is the least that a HorizontalPodAutoscaler asks for in a cluster; ok:
	// there is one, and the replicas are its business.
	Scaler func(cluster string) (least int64, ok bool)
	// Rooms are what clusters have room for, by cluster.
	Rooms map[string]Room
}

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
	scales := v.scales(decided)
	for _, u := range v.Unclear {
		p.Notes = append(p.Notes, Note{true, "BadAnnotation", u + "; what is in the clusters stays as it is"})
	}
	if s := v.strangers(v.Members); len(s) > 0 && len(v.Unclear) == 0 {
		p.Notes = append(p.Notes, Note{true, "UnknownCluster", "preferences speak of clusters that aren't there: " + strings.Join(s, ", ")})
	}
	for _, m := range v.Members {
		v.settle(&p, m, decided[m.Name], scales)
	}
	return p
}

// place decides whether the object belongs into a cluster, and why.
func (v *View) place(m *Member) placement.Decision {
	h := v.Haves[m.Name]
	present := h != nil && h.Ours
	if len(v.Unclear) > 0 {
		d := placement.Decision{Place: present, Why: "its annotations can't be read"}
		d.Replicas = placement.Keep
		return d
	}
	cluster := placement.Cluster{Labels: m.Labels, Taints: m.Taints, Evacuate: m.Evacuated}
	d := placement.Decide(placement.Object{Selector: v.selector, Tolerations: v.tolerations}, cluster, present)
	if d.Place && v.Namespace != nil {
		in := placement.Decide(placement.Object{Selector: v.Namespace.selector, Tolerations: v.Namespace.tolerations}, cluster, present)
		if !in.Place {
			in.Why = "its namespace: " + in.Why
			return in
		}
	}
	return d
}

// settle adds what has to be done in one cluster.
func (v *View) settle(p *Plan, m *Member, d placement.Decision, scales map[string]Scale) {
	h := v.Haves[m.Name]
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
	case !m.Lists(v.Sort) || !m.Reachable:
		if s.State = ""; d.Place || h != nil || v.Record.holds(m.Name) {
			s.State = Unreachable
		}
		return
	}
	if d.Place && v.scarce() && scales[m.Name] == nil {
		d.Place, d.Why = false, "there isn't one for every cluster"
	}
	if !d.Place {
		s.State = ""
		if h != nil && h.Ours {
			s.State = Deleting
			if !h.Deleting {
				p.Steps = append(p.Steps, Step{Cluster: m.Name, Key: v.Key, Verb: Delete, UID: h.UID, Why: d.Why})
			}
		}
		return
	}
	scale := scales[m.Name]
	step := Step{Cluster: m.Name, Key: v.Key, Hash: v.Template.Hash}
	switch {
	case h == nil:
		step.Verb, step.Why = Create, "it isn't there"
	case h.Deleting:
		s.State = Deleting // made again once it is gone
		return
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
			step.Changes = h.Drift
		case !agrees(h.Scale, scale):
			step.Why = fmt.Sprintf("%s instead of %s", scale, h.Scale)
		default:
			s.Applied, s.Scale = h.Applied, h.Scale
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
	step.Object, step.Scale = v.Template.For(scale), scale
	s.State, s.Scale = Pending, scale
	p.Steps = append(p.Steps, step)
}

// scarce says whether a cluster may get no such object for there being too few: an
// autoscaler can't have none, and a Job of none would be complete.
func (v *View) scarce() bool {
	return len(v.Scale) == 2 && len(v.Total) > 0 && len(v.Unclear) == 0
}

func agrees(have, want Scale) bool {
	for f, n := range want {
		if x, ok := have[f]; !ok || x != n {
			return false
		}
	}
	return true
}

// String is as people say it: 3 replicas.
func (s Scale) String() string {
	var out []string
	for _, f := range []string{"replicas", "parallelism", "completions", "minReplicas", "maxReplicas"} {
		if n, ok := s[f]; ok {
			if n == 1 && f != "parallelism" {
				f = strings.TrimSuffix(f, "s")
			}
			out = append(out, fmt.Sprintf("%d %s", n, f))
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
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
	var waits []string
	for _, m := range v.Members {
		h := v.Haves[m.Name]
		ours := h != nil && h.Ours
		s := Standing{Cluster: m.Name, State: Deleting}
		switch {
		case m.Lacks(v.Sort):
			continue
		case v.released(m.Name):
			if !ours || !m.Reachable || h.Deleting {
				continue
			}
		case !m.Lists(v.Sort) || !m.Reachable:
			if !ours && !v.Record.holds(m.Name) {
				continue
			}
			waits = append(waits, m.Name)
			s.State = Unreachable
		case !ours:
			continue
		}
		p.Done = false
		p.Standings = append(p.Standings, s)
		if s.State == Unreachable || h.Deleting {
			continue
		}
		step := Step{Cluster: m.Name, Key: v.Key, Verb: Delete, UID: h.UID, Why: "the federated object is being deleted"}
		if v.Orphan {
			step.Verb, step.Why = Release, "the federated object is being deleted, and fedns.io/orphan says to leave this one"
		}
		p.Steps = append(p.Steps, step)
	}
	if len(waits) > 0 {
		slices.Sort(waits)
		p.Notes = append(p.Notes, Note{true, "DeletionWaits", "deletion waits for clusters that can't be reached: " + strings.Join(waits, ", ") +
			"; annotate it fedns.io/release=" + strings.Join(waits, ",") + " to go on without them"})
	}
	return p
}
