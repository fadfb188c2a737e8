package workload

import (
	"cmp"
	"maps"
	"slices"
)

// An index finds keys by a word, and has no empty places.
type index map[string]map[Key]bool

func (x index) add(word string, k Key) {
	if x[word] == nil {
		x[word] = map[Key]bool{}
	}
	x[word][k] = true
}

func (x index) remove(word string, k Key) {
	if delete(x[word], k); len(x[word]) == 0 {
		delete(x, word)
	}
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Kind.Name, b.Kind.Name), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// addToIndex remembers what other plans are looked up by.
func (t *Table) addToIndex(k Key) {
	switch {
	case k.Contains:
		t.namespaces[k.Name] = k
	case k.Scaler:
		t.autoscalers.add(k.Namespace, k)
	}
}

// removeFromIndex forgets what nobody wants and nobody has.
func (t *Table) removeFromIndex(k Key) {
	if r := t.rows[k]; r.desired != nil || r.entries.exist() {
		return
	}
	if t.namespaces[k.Name] == k {
		delete(t.namespaces, k.Name)
	}
	t.autoscalers.remove(k.Namespace, k)
}

// count keeps how many objects of ours a cluster has in each namespace.
func (t *Table) count(k Key, cluster string, h *Observed, by int) {
	if h == nil || !h.Ours || !k.Namespaced {
		return
	}
	if t.owned[k.Namespace] == nil {
		t.owned[k.Namespace] = map[string]int{}
	}
	n := t.owned[k.Namespace][cluster] + by
	if n != 0 {
		t.owned[k.Namespace][cluster] = n
		return
	}
	if delete(t.owned[k.Namespace], cluster); len(t.owned[k.Namespace]) == 0 {
		delete(t.owned, k.Namespace)
	}
	if home, ok := t.namespaces[k.Namespace]; ok {
		t.dirty[home] = true // it may have waited to be empty
	}
}

// Touch has a plan made anew.
func (t *Table) Touch(k Key) { t.dirty[k] = true }

// touch has a plan made anew, and those that depend on it.
func (t *Table) touch(k Key) {
	t.dirty[k] = true
	for d := range t.follows[k] {
		t.dirty[d] = true
	}
	for f := range t.followers[k] {
		if w := t.Desired(f); w.Deleting || w.Leaving {
			t.dirty[f] = true // it may wait for this one to be left
		}
	}
	if w := t.NamespaceOf(k); w != nil && w.Propagate == "false" {
		t.dirty[w.Key] = true // it is where something in it is
	}
	switch {
	case k.Contains:
		for o := range t.inside[k.Name] {
			t.dirty[o] = true
		}
	case k.Workload():
		for g := range t.guards[k.Namespace] {
			t.dirty[g] = true
		}
		// What else may scale it goes by where it is, and by how much of it there is.
		for a := range t.autoscalers[k.Namespace] {
			if w := t.Desired(a); w != nil && w.Target == k.Kind.Name+" "+k.Name {
				t.dirty[a] = true
			}
		}
	case k.Scaler:
		r := t.rows[k]
		if r.desired != nil {
			t.scaled(k.Namespace, r.desired.Target)
		}
		for _, h := range r.entries.haves() {
			t.scaled(k.Namespace, h.Target)
		}
	}
}

// scaled has plans of what a HorizontalPodAutoscaler scales made anew.
func (t *Table) scaled(namespace, target string) {
	for k := range t.inside[namespace] {
		if k.Workload() && target == k.Kind.Name+" "+k.Name {
			t.dirty[k] = true
			for g := range t.guards[namespace] {
				t.dirty[g] = true
			}
		}
	}
}

// touchKind has the plans of all objects of a kind made anew; nil: of all kinds.
func (t *Table) touchKind(s *FederatedKind) {
	for k, r := range t.rows {
		if r.desired != nil && (s == nil || k.FederatedKind == s) {
			t.dirty[k] = true
		}
	}
}

// Clean says whether a plan has to be made anew, and takes that as done.
func (t *Table) Clean(k Key) bool {
	was := t.dirty[k]
	delete(t.dirty, k)
	return was
}

// Dirty takes the keys whose plans have to be made anew, what others need first.
func (t *Table) Dirty() []Key {
	out := slices.SortedFunc(maps.Keys(t.dirty), compareKeys)
	clear(t.dirty)
	return out
}
