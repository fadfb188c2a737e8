package workload

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// A Member is a cluster as plans see it.
type Member struct {
	Name   string
	Labels map[string]string
	Taints []placement.Taint
	// Evacuated is that its replicas go to the others.
	Evacuated bool
	// Adopt is what of it is taken over.
	Adopt Adoption
	// Reachable is that its API answers.
	Reachable bool
	// Lost is that it has been out of reach for so long that its replicas count as
	// gone.
	Lost bool
	// Lists says whether all that it has of a kind is known.
	Lists func(*FederatedKind) bool
	// Lacks says that it serves no such kind, and Hides that it has its objects even so: in
	// another version, say. nil: it hasn't.
	Lacks, Hides func(*FederatedKind) bool
	// Denies is why it doesn't let a kind be listed; "": it does. nil: it does.
	Denies func(*FederatedKind) string
}

// knows says whether there is an answer to what it has of a kind.
func (m *Member) knows(s *FederatedKind) bool { return m.Reachable && m.Lists(s) }

func (m *Member) denies(s *FederatedKind) string {
	if m.Denies == nil {
		return ""
	}
	return m.Denies(s)
}

// A View is what a plan is made of.
type View struct {
	*Desired
	Members   []*Member // by name
	Entries   Entries   // of the object
	Namespace *Desired  // the federated one it is in; nil: there is none
	Homes     Entries   // of that namespace
	// Owned are the clusters' objects of ours in the namespace that this one is.
	Owned map[string]int
	// Foresee is that what comes first counts as done: the plan is to be shown.
	Foresee bool
	// Surge is that of objects that don't say another one.
	Surge replicas.Surge
	// Scaler says whether a HorizontalPodAutoscaler sees to the replicas in a cluster.
	Scaler func(cluster string) (s scaling, ok bool)
	// Autoscaler is the federated one of a workload; nil: it has none.
	Autoscaler func() *View
	// Guarded are the pods in each cluster that a budget of disruptions speaks of.
	Guarded func() map[string]int64
	// Followed are the federated workloads that the object goes with, since they need it.
	Followed []*View
	// Needs are what the object needs in a cluster, and takes with it; nil: it takes nothing.
	Needs func(*Member) map[Key]bool
	// Bereft says whether what the object has taken to a cluster has to be left there first; nil: it
	// has taken nothing.
	Bereft func(*Member) bool
	// Missing is what its pods need and isn't there; nil: nobody asks.
	Missing func() []string
	// Houses says of a Namespace whether something in it is to be in a cluster.
	Houses func(*Member) bool
	// Target is the federated workload that an autoscaler scales; nil: there is none.
	Target *View
}

// Plan makes the plan of a federated object.
func (t *Table) Plan(k Key) Plan { return t.PlanOf(t.Desired(k)) }

// PlanOf makes the plan of what is wanted, instead of what the table has of it.
func (t *Table) PlanOf(w *Desired) Plan {
	v := t.view(w)
	if w.FederatedKind.Contains {
		v.Owned = t.owned[w.Name]
		if p, wait := t.inhabited(w); wait && !t.Keep {
			return p
		}
	}
	if v.Namespace == nil || !v.Namespace.Deleting || w.Deleting {
		return Make(v)
	}
	// What is in a Namespace that goes is deleted with it. Until it is, nothing is done: what is written
	// now would go, or be left, with it.
	leaving := *w
	leaving.Deleting = true
	v.Desired = &leaving
	p := Make(v)
	if !v.Foresee {
		p.Steps = nil
	}
	return p
}

// Unseen are the clusters that a plan leaves alone since they don't show a copy, where one was put by
// what is written on the federated object: it may be there without its label.
func (t *Table) Unseen(w *Desired, p Plan) (out []string) {
	for _, m := range t.members {
		here := func(s Propagation) bool { return s.Cluster == m.Name }
		if !m.knows(w.FederatedKind) || m.Lacks(w.FederatedKind) || t.Observed(m.Name, w.Key) != nil || w.released(m.Name) {
			continue
		}
		if w.Record.Holds(m.Name) && !slices.ContainsFunc(p.Standings, here) {
			out = append(out, m.Name)
		}
	}
	return out
}

// view is what a plan of what is wanted goes by.
func (t *Table) view(w *Desired) View {
	k := w.Key
	v := View{Desired: w, Members: t.members, Entries: t.rows[k].entries, Scaler: t.scaler(k), Foresee: t.Keep, Surge: t.Surge}
	if k.Namespaced {
		v.Namespace, v.Homes = t.NamespaceOf(k), t.rows[t.namespaces[k.Namespace]].entries
	}
	for _, f := range slices.SortedFunc(maps.Keys(t.followers[k]), compareKeys) {
		o := t.view(t.Desired(f))
		v.Followed = append(v.Followed, &o)
	}
	if w.Follow || len(w.former) > 0 {
		v.Needs = func(m *Member) map[Key]bool { return t.takenBy(w, m) }
		v.Missing = func() []string { return t.missing(&v) }
		v.Bereft = func(m *Member) bool { return t.bereft(w, m) }
	}
	if k.Contains {
		v.Houses = func(m *Member) bool { return t.houses(k.Name, m) }
	}
	switch {
	case k.Guard:
		v.Guarded = func() map[string]int64 { return t.guarded(w) }
	case k.FederatedKind.Scaler:
		v.Target = t.target(w)
	case k.Workload():
		v.Autoscaler = func() *View { return t.autoscaler(k) }
	}
	return v
}

// inhabited says whether a Namespace that is being deleted has to wait for what is
// in it.
func (t *Table) inhabited(w *Desired) (p Plan, wait bool) {
	if !w.Deleting {
		return p, false
	}
	for s, dark := range t.unlisted {
		if dark && s.Namespaced {
			p.Notes = append(p.Notes, Note{true, "DeletionWaits", "deletion waits: whether it holds a " + s.Kind.Name + " can't be asked of the federation's API"})
		}
	}
	for k := range t.inside[w.Name] {
		if o := t.Desired(k); o.Deleting && !o.Finalizer && len(o.Collected) == 0 {
			p.Notes = append(p.Notes, Note{true, "NamespaceStays", "it stays: it holds " + k.String() + ", which a finalizer of somebody else's keeps"})
		}
	}
	slices.SortFunc(p.Notes, func(a, b Note) int { return cmp.Compare(a.Text, b.Text) })
	for _, s := range w.Record.Clusters {
		p.Standings = append(p.Standings, Propagation{Cluster: s.Cluster, State: Deleting})
	}
	return p, len(t.inside[w.Name]) > 0 || len(p.Notes) > 0
}
