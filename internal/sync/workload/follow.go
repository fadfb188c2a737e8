package workload

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/placement"
)

// What the pods of a workload need goes with it, if that says so: to the clusters where it goes,
// beside those where it goes by its own word. It stays for as long as any that needs it is
// there: two can need the same, and pods of before a change need what they needed then.

// dependencies is the word for that.
const dependencies = "dependencies"

// A dependency is what a workload needs, as a key of the table.
type dependency struct {
	Need
	key Key // without a FederatedKind: of one that isn't kept
}

// readFollow reads what follows an object.
func (w *Desired) readFollow(o Object, annotations map[string]string) error {
	switch said, ok := annotations[v1alpha1.Follow]; {
	case !ok:
		return nil
	case said != dependencies:
		return fmt.Errorf("annotation %s: %q isn't %q, which is all that can follow", v1alpha1.Follow, said, dependencies)
	case pods(o) == nil:
		return fmt.Errorf("annotation %s: no pods come of a %s, so nothing follows it", v1alpha1.Follow, w.Kind.Name)
	}
	w.Follow = true
	return nil
}

// needed is what a workload needs by a template of its own.
func (t *Table) needed(w *Desired, template *Template) (out []dependency) {
	if !w.Follow || template == nil {
		return nil
	}
	all := needs(template.Object)
	for _, n := range all {
		if k, ok := t.keyOf(w, n); ok && n.Kind == builtin.ServiceAccounts.Name && t.Desired(k) != nil {
			all = append(all, pulls(t.Desired(k).Template.Object)...)
		}
	}
	for _, n := range all {
		k, _ := t.keyOf(w, n)
		out = append(out, dependency{n, k})
	}
	return out
}

// takenBy is what a workload takes with it to a cluster.
func (t *Table) takenBy(w *Desired, m *Member) map[Key]bool {
	template, err := w.templateFor(m)
	if err != nil { // what is there stays as it is, with all that it may need
		return t.follows[w.Key]
	}
	out := map[Key]bool{}
	for _, d := range t.needed(w, template) {
		out[d.key] = true
	}
	return out
}

// keyOf is where a need is to be found; false: its kind isn't kept.
func (t *Table) keyOf(w *Desired, n Need) (k Key, ok bool) {
	i := slices.IndexFunc(t.Kinds, func(s *FederatedKind) bool { return s.Group == "" && s.Kind.Name == n.Kind && !s.Dropped })
	if i < 0 {
		return k, false
	}
	return Key{t.Kinds[i], w.Key.Namespace, n.Name}, true
}

// follow notes what a workload needs in any cluster, or needed until a moment ago, for others'
// plans to be made by it.
func (t *Table) follow(w *Desired) {
	before := t.follows[w.Key]
	now := map[Key]bool{}
	for _, d := range t.needed(w, w.Template) {
		now[d.key] = true
	}
	for _, m := range t.members {
		if template, err := w.templateFor(m); err == nil && template != w.Template {
			for _, d := range t.needed(w, template) {
				now[d.key] = true
			}
		}
	}
	w.former = nil
	for k := range before {
		if !now[k] && t.unsettled(w) {
			w.former = append(w.former, k)
		}
	}
	for _, k := range w.former {
		now[k] = true
	}
	t.link(w.Key, now)
}

// link has an object be followed by others, and by no more.
func (t *Table) link(k Key, by map[Key]bool) {
	for d := range t.follows[k] {
		if delete(t.followers[d], k); len(t.followers[d]) == 0 {
			delete(t.followers, d)
		}
		t.dirty[d] = true
	}
	delete(t.follows, k)
	for d := range by {
		if d.FederatedKind == nil {
			continue
		}
		if t.follows[k] == nil {
			t.follows[k] = map[Key]bool{}
		}
		if t.followers[d] == nil {
			t.followers[d] = map[Key]bool{}
		}
		t.follows[k][d], t.followers[d][k], t.dirty[d] = true, true, true
	}
}

// heed has those that need an object be planned anew, since it has come or gone, or another
// is needed for it.
func (t *Table) heed(k Key) {
	for _, f := range slices.Collect(maps.Keys(t.followers[k])) {
		t.follow(t.Desired(f))
		t.dirty[f] = true
	}
}

// unsettled says whether pods of a workload may run in some cluster as it was before.
func (t *Table) unsettled(w *Desired) bool {
	v := View{Desired: w, Entries: t.rows[w.Key].entries}
	return slices.ContainsFunc(t.members, func(m *Member) bool { return !v.settled(m) })
}

// settled says whether what is in a cluster is the workload as it is now, with no pods of before.
func (v *View) settled(m *Member) bool {
	h := v.Entries[m.Name].Have
	if h == nil || !h.Ours {
		return true
	}
	t, err := v.templateFor(m)
	return err == nil && h.Applied == t.Hash && v.FederatedKind.rolledOut(h.Part)
}

// rolledOut says whether no pods of an older template are left, as far as a status tells that.
func (s *FederatedKind) rolledOut(p Part) bool {
	if seen, ever := number(p.Status, "observedGeneration"); ever && seen < p.Generation {
		return false // who has never looked at it has made no pods of it
	}
	for updated, all := range map[string]string{"updatedReplicas": "replicas", "updatedNumberScheduled": "desiredNumberScheduled"} {
		there, _ := number(p.Status, all)
		if n, _ := number(p.Status, updated); slices.Contains(s.kept, updated) && n < there {
			return false
		}
	}
	return true
}

// taker is a workload that takes the object with it to a cluster, and is to be there itself if any
// is; nil: none does. With one that is left there it is left, and kept for no other that leaves.
func (v *View) taker(m *Member) (taker *View) {
	for _, f := range v.Followed {
		switch {
		case !v.follows(f, m):
		case f.goes(m):
			return f
		case taker == nil:
			taker = f
		}
	}
	if v.left(m) != nil {
		return nil
	}
	return taker
}

// follows says whether the object goes to a cluster, or stays there, with a workload. One that is
// on its way out keeps what came with it, and has nothing more made or taken over: that would go
// with it.
func (v *View) follows(f *View, m *Member) bool {
	h := v.Entries[m.Name].Have
	came := h != nil && (h.Ours || h.Marked) || !m.knows(v.FederatedKind)
	return f.takes(m, v.Key) && (came || f.goes(m))
}

// takes says whether a workload is in a cluster, or is to be, with something that it needs. What
// is to be shown is how that is in the end.
func (v *View) takes(m *Member, k Key) bool {
	if !v.goes(m) && (v.Foresee || !v.present(m)) {
		return false
	}
	return v.Needs(m)[k] || !v.Foresee && !v.settled(m) && slices.Contains(v.former, k)
}

// goes says whether an object is to be in a cluster.
func (v *View) goes(m *Member) bool {
	if v.Deleting || v.Leaving || !v.with(m, v.place(m)).Place {
		return false
	}
	if !v.scarce() {
		return true
	}
	_, share := v.shares(v.decide())[m.Name]
	return share
}

// followed says whether the object was put into a cluster with others that need it, and not by
// its own word.
func (v *View) followed(m *Member) bool {
	return v.Entries[m.Name].Followed || v.Record.standing(m.Name).Follows
}

// left is a workload with which what is in a cluster since others need it is left there; nil: it
// isn't.
func (v *View) left(m *Member) *View {
	for _, f := range v.Followed {
		if (f.Deleting || f.Leaving) && f.Orphan && f.present(m) {
			return f
		}
	}
	return nil
}

// bereft says whether something stands in a cluster that follows a workload which is to be left
// there, and isn't left yet. It is first: afterwards nobody knows what it stood there for.
func (t *Table) bereft(w *Desired, m *Member) bool {
	for k := range t.follows[w.Key] {
		o := t.Desired(k)
		if o == nil {
			continue
		}
		v := t.view(o)
		if h := v.Entries[m.Name].Have; h != nil && (h.Ours || h.Marked) && !v.place(m).Place {
			return true
		}
	}
	return false
}

// missing is what the pods of a workload need and the federation doesn't have.
func (t *Table) missing(v *View) (out []string) {
	said := map[string]bool{}
	for _, m := range t.members {
		template, err := v.templateFor(m)
		if err != nil || !v.goes(m) {
			continue
		}
		for _, d := range t.needed(v.Desired, template) {
			switch o := t.rows[d.key].desired; {
			case d.key.FederatedKind == nil:
				said[fmt.Sprintf("%s %s, which its pods need, is of a kind that isn't kept: fedctl init --kind v1/%s has it kept", d.Kind, d.Name, d.Kind)] = true
			case (o == nil || o.Deleting) && !d.Optional && !t.unlisted[d.key.FederatedKind]:
				said[fmt.Sprintf("%s %s, which its pods need, isn't in the federation", d.Kind, d.Name)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(said))
}

// own says whether an object is kept in clusters by its own word, and not only with others that
// need it.
func (v *View) own() (ok bool, why string) {
	switch {
	case v.Propagate == "false":
		return false, v1alpha1.Propagate + " says that it isn't for the clusters by itself"
	case v.Propagate != "true" && v.Namespace != nil && v.Namespace.Propagate == "false":
		return false, v1alpha1.Propagate + " of its namespace says that it isn't for the clusters by itself"
	}
	return true, ""
}

// houses says whether something in a Namespace is to be in a cluster.
func (t *Table) houses(namespace string, m *Member) bool {
	for k := range t.inside[namespace] {
		if o := t.Desired(k); o.Propagate != "true" && len(t.followers[k]) == 0 {
			continue
		}
		if v := t.view(t.Desired(k)); v.goes(m) {
			return true
		}
	}
	return false
}

// together is where an object goes that isn't for the clusters by itself: with others.
func (v *View) together(m *Member, d placement.Decision) placement.Decision {
	if len(v.unclear()) > 0 {
		return d
	}
	if f := v.taker(m); f != nil {
		return placement.Decision{Place: true, Replicas: placement.Grow, Why: f.Key.String() + ", which is there, needs it"}
	}
	return d
}
