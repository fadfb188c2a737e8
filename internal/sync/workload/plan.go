package workload

import (
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/sync/placement"
)

// Make makes the plan of one federated object.
func Make(v View) Plan {
	if v.Leaving || v.Deleting && !v.Unsaid {
		return v.leave()
	}
	if v.Deleting {
		return Plan{Hold: true}
	}
	if !v.Finalizer {
		return Plan{Hold: true}
	}
	p := Plan{}
	decided := v.decide()
	shares := v.shares(decided)
	scales := v.scales(shares, decided)
	for _, u := range v.unclear() {
		p.Notes = append(p.Notes, Note{true, BadAnnotation, u + "; what is in the clusters stays as it is"})
	}
	for _, speak := range []struct {
		what  string
		named []string
	}{{"preferences", v.preferences.Named()}, {"overrides", v.overrides.rules.Named()}} {
		if s := strangers(speak.named, v.Members); len(s) > 0 && len(v.unclear()) == 0 {
			p.Notes = append(p.Notes, Note{true, "UnknownCluster", speak.what + " speak of clusters that aren't there: " + strings.Join(s, ", ")})
		}
	}
	p.Notes = append(p.Notes, v.overridden(decided)...)
	if v.confined() && len(v.Followed) == 0 && len(v.unclear()) == 0 {
		p.Notes = append(p.Notes, Note{true, "Unselected", "it goes to no cluster, and stays where it is: " + unselected})
	}
	if v.Missing != nil {
		for _, text := range v.Missing() {
			p.Missing = append(p.Missing, text)
			p.Notes = append(p.Notes, Note{true, DependencyMissing, text})
		}
	}
	moves := v.moves()
	for _, m := range v.Members {
		if moves && shares[m.Name] == nil && scales[m.Name] != nil {
			shares[m.Name] = Scale{"replicas": 0} // it leaves
			if n, numbered := scales[m.Name][v.first]; numbered {
				shares[m.Name][v.first] = n
			}
		}
		o := v.reconcile(m, decided[m.Name], shares[m.Name], scales[m.Name])
		p.Steps, p.Notes = append(p.Steps, o.steps...), append(p.Notes, o.notes...)
		if o.standing.State != "" {
			if o.standing.Scale == nil && v.Workload() && !v.Ranged && v.Whole == "" {
				o.standing.Scale = shares[m.Name] // the others' are made with it
			}
			if scale := scales[m.Name]; moves && shares[m.Name] != nil {
				if why := v.moving(scale["replicas"], shares[m.Name]["replicas"]); why != "" && o.standing.State != Unreachable {
					o.standing.Why, o.standing.Moving = why, true
				}
			} else if !agrees(scale, shares[m.Name]) {
				o.standing.Asked = scale
			}
			if v.Whole != "" && shares[m.Name] != nil {
				o.standing.Why = v.undivided()
			}
			o.standing.Follows = decided[m.Name].Place && len(v.Followed) > 0 && !v.alone(m).Place
			o.standing.Cluster = m.Name
			p.Standings = append(p.Standings, o.standing)
		}
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

// decide says of each cluster whether the object belongs into it.
func (v *View) decide() map[string]placement.Decision {
	out := make(map[string]placement.Decision, len(v.Members))
	for _, m := range v.Members {
		out[m.Name] = v.with(m, v.place(m))
	}
	return out
}

// present says whether the object is in a cluster, or for all that is known was
// put there.
func (v *View) present(m *Member) bool {
	if h := v.Entries[m.Name].Have; h != nil {
		return h.Ours || h.Marked
	}
	return !m.knows(v.FederatedKind) && v.Record.Holds(m.Name)
}

// place decides whether the object belongs into a cluster, and why.
func (v *View) place(m *Member) placement.Decision {
	d := v.alone(m)
	if d.Place {
		return d
	}
	return v.together(m, d)
}

// alone decides that by the object's own word.
func (v *View) alone(m *Member) placement.Decision {
	present := v.present(m)
	if len(v.unclear()) > 0 {
		d := placement.Decision{Place: present, Why: "its annotations can't be read"}
		d.Replicas = placement.Keep
		return d
	}
	if own, why := v.own(); !own && (v.Houses == nil || !v.Houses(m)) {
		return placement.Decision{Why: why}
	}
	if (!present && !v.Record.Holds(m.Name) || v.followed(m)) && v.confined() {
		return placement.Decision{Why: unselected}
	}
	cluster := placement.Cluster{Labels: m.Labels, Taints: m.Taints, Evacuate: m.Evacuated}
	d := placement.Decide(placement.Object{Selector: v.selector, Tolerations: v.tolerations}, cluster, present)
	if d.Place && v.Namespace != nil {
		home := v.Homes[m.Name].Have != nil || !m.knows(v.Namespace.FederatedKind) && v.Namespace.Record.Holds(m.Name)
		in := placement.Decide(placement.Object{Selector: v.Namespace.selector, Tolerations: v.Namespace.tolerations}, cluster, home)
		if !in.Place {
			in.Why = "its namespace: " + in.Why
			return in
		}
	}
	return d
}

// confined says whether the object is a Secret of which nobody has said which clusters may
// know it. A cluster is worth what the least of its operators is: it gets what it needs. Where
// such a Secret is already, from before that was asked, it stays.
func (v *View) confined() bool {
	return v.Secret && v.Propagate == "" && !v.selector.Said() && (v.Namespace == nil || !v.Namespace.selector.Said())
}

const unselected = "it is a Secret, and no fedns.io/cluster-selector of it or of its Namespace says which clusters get it; [] is all"

// hidden says whether the object may be in a cluster that doesn't serve its kind: it was there
// when it did.
func (v *View) hidden(m *Member) bool {
	return m.Hides != nil && m.Hides(v.FederatedKind) && v.Record.standing(m.Name).Applied != ""
}

// leave takes an object out of the clusters.
func (v *View) leave() Plan {
	p := Plan{Done: true}
	orphan, why := v.Orphan, "the federated object is being deleted, and fedns.io/orphan says to leave this one"
	switch {
	case v.Dropped:
		why = v.Kind.Name + " isn't kept any more"
	case v.Leaving:
		why = "each cluster makes its own"
	case v.Record.Orphan:
		why = "the federated object is being deleted with --cascade=orphan"
	}
	if n := v.Namespace; n != nil && n.Deleting && n.Orphan {
		orphan, why = true, "its federated namespace is being deleted, and what is in it is to be left"
	}
	var waits []string
	for _, m := range v.Members {
		h := v.Entries[m.Name].Have
		s := Propagation{Cluster: m.Name, State: Deleting}
		switch released := v.released(m.Name); {
		case m.Lacks(v.FederatedKind):
			if released || !v.hidden(m) {
				continue
			}
			waits = append(waits, m.Name)
			s.State, s.Error = Unreachable, "it doesn't serve "+v.Kind.String()+" any more, and may have the object still"
		case !m.knows(v.FederatedKind):
			if released || !v.present(m) {
				continue
			}
			waits = append(waits, m.Name)
			s.State, s.Error = Unreachable, m.denies(v.FederatedKind)
		case h == nil || !h.Ours && !h.Marked:
			continue
		case orphan && !released && !v.Foresee && v.Bereft != nil && v.Bereft(m):
			p.Done = false
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
		doing := "deletion"
		if v.Leaving {
			doing = "letting it go"
		}
		p.Notes = append(p.Notes, Note{true, "DeletionWaits", doing + " waits for clusters that can't be asked: " + strings.Join(waits, ", ") +
			"; annotate it fedns.io/release=" + strings.Join(waits, ",") + " to go on without them"})
	}
	return p
}
