package registry

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/override"
)

// An entry is what is believed of one Cluster object.
type entry struct {
	spec       v1alpha1.ClusterSpec
	kubeconfig []byte
	uid        string            // of the object
	generation int64             // of what it says
	wrong      map[string]string // by field
	lost       bool              // the API has forgotten it, and too many at once to be believed
}

func (e *entry) secret() string {
	if e.spec.SecretRef == nil {
		return ""
	}
	return e.spec.SecretRef.Name
}

// A roster is what is believed of all of them. It has no clock and no locks. What
// changes it returns whether it did.
type roster struct {
	entries map[string]*entry
	taken   map[string]bool // names of the configuration's own clusters
	seen    map[string]seen // Secrets, as they were last
	listed  bool
	check   func(kubeconfig []byte) error
	orders  map[string]posted
	// awaiting is that Orders are still to be listed, for the first time.
	awaiting bool
}

// seen is a Secret; a second object may name the same one.
type seen struct {
	there   bool
	content []byte
}

func newRoster(check func([]byte) error) *roster {
	return &roster{entries: map[string]*entry{}, taken: map[string]bool{}, seen: map[string]seen{}, check: check, orders: map[string]posted{}}
}

// A word is what an object says, with what can't be read of it, by field.
type word struct {
	spec       v1alpha1.ClusterSpec
	wrong      map[string]string
	uid        string
	generation int64
}

// set takes in what an object says.
func (r *roster) set(name string, w word) bool {
	e := r.entries[name]
	var old entry
	if e == nil {
		e = &entry{}
		r.entries[name] = e
	} else {
		old = *e
	}
	good, wrong := take(old.spec, w)
	if r.taken[name] && !apart(&good) {
		wrong[fieldName] = "the Corefile has a cluster of this name, which counts"
	}
	// Those of the Secret aren't the object's, unless it names another.
	if now := good.SecretRef; now != nil && now.Name == old.secret() {
		for _, f := range []string{fieldSecret, fieldKubeconfig} {
			if why, ok := old.wrong[f]; ok {
				wrong[f] = why
			}
		}
	}
	e.spec, e.wrong, e.lost = good, wrong, false
	e.uid, e.generation = w.uid, w.generation
	if s, ok := r.seen[e.secret()]; ok && e.secret() != old.secret() {
		r.secret(e.secret(), s.there, s.content)
	}
	return old.wrong == nil || old.lost || e.uid != old.uid || e.generation != old.generation || text(&good) != text(&old.spec) || !maps.Equal(e.wrong, old.wrong)
}

// gone takes in that an object was deleted, by word and not by absence.
func (r *roster) gone(name string) bool {
	if r.entries[name] == nil {
		return false
	}
	delete(r.entries, name)
	return true
}

// list takes in all the objects there are. A federation loses a cluster at a time;
// when most are missing, it is the API's memory that went: they stay, until they are
// seen again or deleted by word. lost are those that are kept so since now.
func (r *roster) list(words map[string]word) (changed bool, lost []string) {
	changed = !r.listed
	r.listed = true
	var missing []string
	all := 0
	for _, name := range slices.Sorted(maps.Keys(r.entries)) {
		if _, there := words[name]; !there {
			all++
			if !r.entries[name].lost {
				missing = append(missing, name)
			}
		}
	}
	keep := all > 0 && len(words) == 0 || all > 1 && 2*all > len(r.entries)
	for _, name := range missing {
		changed = true
		if keep {
			r.entries[name].lost = true
			lost = append(lost, name)
		} else {
			delete(r.entries, name)
		}
	}
	for name, w := range words {
		changed = r.set(name, w) || changed
	}
	return changed, lost
}

// secret takes in what a Secret says; nil content is one that isn't there.
func (r *roster) secret(name string, there bool, content []byte) (changed bool) {
	r.seen[name] = seen{there, content}
	for _, e := range r.entries {
		if e.secret() != name {
			continue
		}
		was := maps.Clone(e.wrong)
		delete(e.wrong, fieldSecret)
		delete(e.wrong, fieldKubeconfig)
		full := v1alpha1.System + "/" + name
		switch err := r.good(content); {
		case !there:
			e.wrong[fieldSecret] = fmt.Sprintf("there is no Secret %s", full)
		case len(content) == 0:
			e.wrong[fieldKubeconfig] = fmt.Sprintf("Secret %s has no key %q", full, v1alpha1.KubeconfigKey)
		case err != nil:
			e.wrong[fieldKubeconfig] = fmt.Sprintf("Secret %s: %v", full, err)
		case !bytes.Equal(e.kubeconfig, content):
			e.kubeconfig, changed = content, true
		}
		changed = changed || !maps.Equal(was, e.wrong)
	}
	return changed
}

func (r *roster) good(content []byte) error {
	if len(content) == 0 {
		return nil
	}
	return r.check(content)
}

// refused takes in that a Secret can't be read.
func (r *roster) refused(name string, err error) (changed bool) {
	for _, e := range r.entries {
		if why := err.Error(); e.secret() == name && e.wrong[fieldSecret] != why {
			e.wrong[fieldSecret], changed = why, true
		}
	}
	return changed
}

// secrets are the names of the Secrets that lead to members.
func (r *roster) secrets() map[string]bool {
	out := map[string]bool{}
	for name, e := range r.entries {
		if s := e.secret(); s != "" && !r.taken[name] {
			out[s] = true
		}
	}
	return out
}

// A View is what a roster comes to at a moment. It never changes.
type View struct {
	Members []Member // by name
	Orders  []override.Order
	Listed  bool // the API has been listed, if ever so long ago
	// Held are hosts that other servers held when this one started, by namespace.
	Held    map[string]string
	next    time.Time
	objects map[override.Order]string // that give the orders
	before  map[override.Order]string // of the view before: snapshots follow a moment later
	wrong   []Problem
	unfit   []OrderProblem
	lost    int
	apart   map[string]bool // clusters that pull, and are no members here
	entries map[string]entry
	posted  []posted // Order objects, as they were made
}

// apart says whether a cluster pulls, and nothing here leads to it: a fedns that can read it has it in its
// Corefile, to others it is no member.
func apart(s *v1alpha1.ClusterSpec) bool { return s.Pull && s.SecretRef == nil }

// A Problem is something wrong with a Cluster object.
type Problem struct{ Cluster, Field, Why string }

// A OrderProblem is an Order object that can't be gone by.
type OrderProblem struct{ Order, Why string }

// Object is the one that gives an order, as kubectl names it; "": none does.
func (v *View) Object(o override.Order) string { return cmp.Or(v.objects[o], v.before[o]) }

// view works out what holds at a moment of the wall clock; until next, if nothing
// else happens.
func (r *roster) view(now time.Time) *View {
	v := &View{Listed: r.listed && !r.awaiting, entries: map[string]entry{}, posted: r.inTurn(), objects: map[override.Order]string{}, apart: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(r.entries)) {
		e := r.entries[name]
		v.entries[name] = entry{e.spec, e.kubeconfig, e.uid, e.generation, maps.Clone(e.wrong), e.lost}
		for _, f := range slices.Sorted(maps.Keys(e.wrong)) {
			v.wrong = append(v.wrong, Problem{name, f, e.wrong[f]})
		}
		if e.lost {
			v.lost++
		}
		switch {
		case r.taken[name] && !apart(&e.spec):
			continue
		case apart(&e.spec) && !r.taken[name]:
			v.apart[name] = true
			continue // a drain of it changes nothing here
		}
		m := member(name, &e.spec)
		if !apart(&e.spec) {
			m.Kubeconfig = e.kubeconfig
			v.Members = append(v.Members, m)
		}
		if m.drain == nil || m.drain.Expired(now) {
			continue
		}
		v.order(*m.drain, "cluster/"+name)
	}
	for _, p := range v.posted {
		if p.holds(now) {
			v.order(p.order, "order/"+p.Name)
		}
		if p.wrong != "" {
			v.unfit = append(v.unfit, OrderProblem{p.Name, p.wrong})
		}
	}
	return v
}

// order adds one that holds.
func (v *View) order(o override.Order, object string) {
	v.Orders = append(v.Orders, o)
	v.objects[o] = object
	if at := o.Until; !at.IsZero() && (v.next.IsZero() || at.Before(v.next)) {
		v.next = at
	}
}

// restore takes over what was believed before.
func (r *roster) restore(entries map[string]entry, orders []posted, listed bool) {
	r.listed = listed
	for _, p := range orders {
		r.orders[p.Name] = p
	}
	for name, e := range entries {
		e.wrong = maps.Clone(e.wrong)
		if e.wrong == nil {
			e.wrong = map[string]string{}
		}
		delete(e.wrong, fieldName) // another configuration may have other names
		if r.taken[name] && !apart(&e.spec) {
			e.wrong[fieldName] = "the Corefile has a cluster of this name, which counts"
		}
		r.entries[name] = &e
	}
}
