package workload

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// A Table is all that is wanted and all that is there. It has one owner and no
// locks.
type Table struct {
	Federation string
	// Sorts are those that are kept, where it isn't told from what is there.
	Sorts []*Sort
	// Keep is that live objects are kept whole, for a preview to show them.
	Keep bool

	members []*Member // by name
	wants   map[Key]*Want
	inside  map[string]map[Key]bool // wants by namespace
	haves   map[Key]map[string]*Have
	bases   map[Key]map[string]Base
	asked   map[Key]map[string]Scale
	rooms   map[Key]map[string]Room
	finals  map[Key]map[string]Object
	dirty   map[Key]bool
	loose   map[Key]bool // what is there and not wanted
	// tenants counts objects of ours in the clusters, by namespace and cluster.
	tenants map[string]map[string]int
	// dark are sorts of which it isn't known what is wanted.
	dark map[*Sort]bool
	// namespaces and autoscalers are found by what they are about.
	namespaces  map[string]Key
	autoscalers map[string]map[Key]bool // by namespace
}

// NewTable makes one in which nothing is known.
func NewTable(federation string) *Table {
	return &Table{
		Federation: federation,
		wants:      map[Key]*Want{}, inside: map[string]map[Key]bool{}, haves: map[Key]map[string]*Have{},
		bases: map[Key]map[string]Base{}, asked: map[Key]map[string]Scale{}, rooms: map[Key]map[string]Room{}, dirty: map[Key]bool{},
		finals: map[Key]map[string]Object{}, loose: map[Key]bool{}, tenants: map[string]map[string]int{}, dark: map[*Sort]bool{},
		namespaces: map[string]Key{}, autoscalers: map[string]map[Key]bool{},
	}
}

// SetMembers says which clusters there are, and how they stand. What is known of
// those that have gone is forgotten.
func (t *Table) SetMembers(members []*Member) {
	t.members = slices.Clone(members)
	slices.SortFunc(t.members, func(a, b *Member) int { return cmp.Compare(a.Name, b.Name) })
	known := func(c string) bool {
		return slices.ContainsFunc(members, func(m *Member) bool { return m.Name == c })
	}
	for k, by := range t.haves {
		for c := range by {
			if !known(c) {
				t.Gone(c, k)
			}
		}
	}
	forget(t.bases, known)
	forget(t.asked, known)
	forget(t.rooms, known)
	forget(t.finals, known)
	for k := range t.wants {
		t.dirty[k] = true
	}
}

// forget drops what is remembered of clusters that aren't there.
func forget[V any](what map[Key]map[string]V, known func(cluster string) bool) {
	for k, by := range what {
		for c := range by {
			if !known(c) {
				delete(by, c)
			}
		}
		if len(by) == 0 {
			delete(what, k)
		}
	}
}

// Dark says whether it isn't known what is wanted of a sort. Nothing follows from
// its absence then.
func (t *Table) Dark(s *Sort, dark bool) {
	if t.dark[s] == dark {
		return
	}
	t.dark[s] = dark
	for _, k := range t.namespaces {
		t.dirty[k] = true
	}
}

// Members are the clusters, by name.
func (t *Table) Members() []*Member { return t.members }

// Want says what is wanted of an object.
func (t *Table) Want(w *Want) {
	was := t.wants[w.Key]
	if was != nil && was.UID != w.UID {
		// Another object of that name: nothing of it has been anywhere yet.
		delete(t.asked, w.Key)
		delete(t.finals, w.Key)
		delete(t.rooms, w.Key)
	}
	t.wants[w.Key] = w
	if t.inside[w.Namespace] == nil {
		t.inside[w.Namespace] = map[Key]bool{}
	}
	t.inside[w.Namespace][w.Key] = true
	delete(t.loose, w.Key)
	t.note(w.Key)
	t.touch(w.Key)
	if was != nil && was.Target != w.Target {
		t.scaled(w.Namespace, was.Target)
	}
}

// note remembers what other plans are looked up by.
func (t *Table) note(k Key) {
	switch k.Kind.Name {
	case "Namespace":
		t.namespaces[k.Name] = k
	case "HorizontalPodAutoscaler":
		if t.autoscalers[k.Namespace] == nil {
			t.autoscalers[k.Namespace] = map[Key]bool{}
		}
		t.autoscalers[k.Namespace][k] = true
	}
}

// Unwant says that a federated object is gone.
func (t *Table) Unwant(k Key) {
	if w := t.wants[k]; w != nil {
		t.touch(k)
		delete(t.wants, k)
		delete(t.inside[k.Namespace], k)
		if n, ok := t.namespaces[k.Namespace]; ok {
			t.dirty[n] = true // its own deletion may have waited for this one
		}
		if len(t.inside[k.Namespace]) == 0 {
			delete(t.inside, k.Namespace)
		}
		if len(t.haves[k]) > 0 {
			t.loose[k] = true
		}
	}
	delete(t.bases, k)
	delete(t.asked, k)
	delete(t.rooms, k)
	delete(t.finals, k)
	t.unnote(k)
}

// unnote forgets what nobody wants and nobody has.
func (t *Table) unnote(k Key) {
	if t.wants[k] != nil || len(t.haves[k]) > 0 {
		return
	}
	if t.namespaces[k.Name] == k {
		delete(t.namespaces, k.Name)
	}
	delete(t.autoscalers[k.Namespace], k)
	if len(t.autoscalers[k.Namespace]) == 0 {
		delete(t.autoscalers, k.Namespace)
	}
}

// Wanted is what is wanted under a key; nil: nothing.
func (t *Table) Wanted(k Key) *Want { return t.wants[k] }

// Home is the federated Namespace that an object is in; nil: there is none.
func (t *Table) Home(k Key) *Want {
	if !k.Namespaced {
		return nil
	}
	return t.wants[t.namespaces[k.Namespace]]
}

// Wants are the keys of all federated objects of a sort; nil: of all sorts.
func (t *Table) Wants(s *Sort) []Key {
	var out []Key
	for k := range t.wants {
		if s == nil || k.Sort == s {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, compareKeys)
	return out
}

// Inside are the federated objects in a namespace.
func (t *Table) Inside(namespace string) []Key {
	return slices.SortedFunc(maps.Keys(t.inside[namespace]), compareKeys)
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Kind.Name, b.Kind.Name), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// touch has a plan made anew, and those that depend on it.
func (t *Table) touch(k Key) {
	t.dirty[k] = true
	switch k.Kind.Name {
	case "Namespace":
		for o := range t.inside[k.Name] {
			t.dirty[o] = true
		}
	case "HorizontalPodAutoscaler":
		if w := t.wants[k]; w != nil {
			t.scaled(k.Namespace, w.Target)
		}
		for _, h := range t.haves[k] {
			t.scaled(k.Namespace, h.Target)
		}
	}
}

// scaled has plans of what a HorizontalPodAutoscaler scales made anew.
func (t *Table) scaled(namespace, target string) {
	for k := range t.inside[namespace] {
		if k.workload() && target == k.Kind.Name+" "+k.Name {
			t.dirty[k] = true
		}
	}
}

// Have says what a cluster has under a key. What comes late, and is older than
// what is known, is dropped.
func (t *Table) Have(cluster string, k Key, o Object) {
	was := t.haves[k][cluster]
	h := t.observe(cluster, k, o)
	if was != nil && was.UID == h.UID && Older(h.Version, was.Version) {
		return
	}
	t.put(cluster, k, h)
}

func (t *Table) observe(cluster string, k Key, o Object) *Have {
	var template *Template
	if w := t.wants[k]; w != nil {
		template = w.Template
	}
	h := Observe(k, o, template, t.bases[k][cluster], t.Federation)
	if t.Keep {
		h.Live = o
	}
	return h
}

func (t *Table) put(cluster string, k Key, h *Have) {
	was := t.haves[k][cluster]
	if t.haves[k] == nil {
		t.haves[k] = map[string]*Have{}
	}
	t.count(k, cluster, was, -1)
	t.haves[k][cluster] = h
	t.count(k, cluster, h, 1)
	if t.wants[k] == nil {
		t.loose[k] = true
	}
	if h.Ours && h.Ended {
		if t.finals[k] == nil {
			t.finals[k] = map[string]Object{}
		}
		t.finals[k][cluster] = h.Part.Status
	}
	t.note(k)
	t.touch(k)
	if was != nil && was.Target != h.Target {
		t.scaled(k.Namespace, was.Target)
	}
}

// count keeps tenants.
func (t *Table) count(k Key, cluster string, h *Have, by int) {
	if h == nil || !h.Ours || !k.Namespaced {
		return
	}
	if t.tenants[k.Namespace] == nil {
		t.tenants[k.Namespace] = map[string]int{}
	}
	n := t.tenants[k.Namespace][cluster] + by
	if n != 0 {
		t.tenants[k.Namespace][cluster] = n
		return
	}
	if delete(t.tenants[k.Namespace], cluster); len(t.tenants[k.Namespace]) == 0 {
		delete(t.tenants, k.Namespace)
	}
	if home, ok := t.namespaces[k.Namespace]; ok {
		t.dirty[home] = true // it may have waited to be empty
	}
}

// Wrote says what a cluster has under a key after something was written there, with
// the share that it was given. However it spells it, that is what was asked for.
func (t *Table) Wrote(cluster string, k Key, o Object, share Scale) {
	w := t.wants[k]
	if w == nil {
		t.Have(cluster, k, o)
		return
	}
	h := t.observe(cluster, k, o)
	if len(share) > 0 {
		if t.asked[k] == nil {
			t.asked[k] = map[string]Scale{}
		}
		t.asked[k][cluster] = share
	}
	if h.Applied == w.Template.Hash {
		if t.bases[k] == nil {
			t.bases[k] = map[string]Base{}
		}
		t.bases[k][cluster] = Base{Template: w.Template.Hash, Seen: h.Seen}
		h.Drift = nil
	}
	if was := t.haves[k][cluster]; was != nil && was.UID == h.UID && Older(h.Version, was.Version) {
		return
	}
	t.put(cluster, k, h)
}

// Older compares resourceVersions.
func Older(a, b string) bool { return v1alpha1.Older(a, b) }

// Gone says that a cluster has nothing under a key.
func (t *Table) Gone(cluster string, k Key) {
	if t.haves[k][cluster] == nil {
		return
	}
	t.touch(k)
	t.count(k, cluster, t.haves[k][cluster], -1)
	delete(t.haves[k], cluster)
	if len(t.haves[k]) == 0 {
		delete(t.haves, k)
		delete(t.loose, k)
		t.unnote(k)
	}
}

// Going says that a cluster has been told to delete an object. Until it tells that the
// object is gone, it isn't told again.
func (t *Table) Going(cluster string, k Key, uid string) {
	if h := t.haves[k][cluster]; h != nil && h.UID == uid {
		going := *h
		going.Deleting = true
		t.haves[k][cluster] = &going
	}
}

// Listed says all that a cluster has of a sort.
func (t *Table) Listed(cluster string, s *Sort, all map[Key]Object) {
	for k, by := range t.haves {
		// What isn't ours isn't in the list, and is known from elsewhere.
		if h := by[cluster]; k.Sort == s && h != nil && all[k] == nil && (h.Ours || h.Target != "") {
			t.Gone(cluster, k)
		}
	}
	// A list has the last word, even if what it has is older: the cluster may have
	// been restored from a copy.
	for k, o := range all {
		t.put(cluster, k, t.observe(cluster, k, o))
	}
	for k := range t.wants {
		if k.Sort == s {
			t.dirty[k] = true // a cluster that has just been listed may lack it
		}
	}
}

// Known is what a cluster has under a key; nil: nothing.
func (t *Table) Known(cluster string, k Key) *Have { return t.haves[k][cluster] }

// Pods says how the pods of a workload stand in a cluster.
func (t *Table) Pods(cluster string, k Key, s replicas.State, now time.Time) {
	was, known := t.rooms[k][cluster]
	r := Room{s.Estimate(now), was.Next(s, now)}
	if !known && r.Room() == nil && r.Held == s.Spec {
		return
	}
	if t.rooms[k] == nil {
		t.rooms[k] = map[string]Room{}
	}
	t.rooms[k][cluster] = r
	if r.Room() == nil && r.Held == s.Spec {
		delete(t.rooms[k], cluster)
	}
	t.dirty[k] = true
}

// Behind calls yield for each workload whose pods in a cluster have to be looked
// at: fewer are ready than should be, or, narrow, it had no room for them.
func (t *Table) Behind(yield func(cluster string, w *Want, spec, ready int64, narrow bool)) {
	for k, by := range t.haves {
		w := t.wants[k]
		if w == nil || !k.workload() {
			continue
		}
		for c, h := range by {
			ready, _ := number(h.Part.Status, "readyReplicas")
			spec := h.Scale["replicas"]
			if _, narrow := t.rooms[k][c]; h.Ours && (spec > ready || narrow) {
				yield(c, w, spec, ready, narrow)
			}
		}
	}
}

// Touch has a plan made anew.
func (t *Table) Touch(k Key) { t.dirty[k] = true }

// Dirty takes the keys whose plans have to be made anew, what others need first.
func (t *Table) Dirty() []Key {
	out := slices.SortedFunc(maps.Keys(t.dirty), compareKeys)
	clear(t.dirty)
	return out
}

// Plan makes the plan of a federated object.
func (t *Table) Plan(k Key) Plan { return t.PlanOf(t.wants[k]) }

// PlanOf makes the plan of what is wanted, instead of what the table has of it.
func (t *Table) PlanOf(w *Want) Plan {
	k := w.Key
	v := View{Want: w, Members: t.members, Haves: t.haves[k], Asked: t.asked[k], Rooms: t.rooms[k], Finals: t.finals[k], Foresee: t.Keep}
	if k.Namespaced {
		v.Namespace, v.Homes = t.Home(k), t.haves[t.namespaces[k.Namespace]]
	}
	v.Scaler = t.scaler(k)
	if k.Kind.Name == "Namespace" {
		v.Tenants = func(cluster string) bool { return t.tenants[k.Name][cluster] > 0 }
		if p, wait := t.inhabited(w); wait && !t.Keep {
			return p
		}
	}
	if t.Keep && v.Namespace != nil && v.Namespace.Deleting {
		leaving := *w
		leaving.Deleting = true
		v.Want = &leaving
	}
	return Make(v)
}

// inhabited says whether a Namespace that is being deleted has to wait for what is
// in it.
func (t *Table) inhabited(w *Want) (p Plan, wait bool) {
	if !w.Deleting {
		return p, false
	}
	for s, dark := range t.dark {
		if dark && s.Namespaced {
			p.Notes = append(p.Notes, Note{true, "DeletionWaits", "deletion waits: whether it holds a " + s.Kind.Name + " can't be asked of the federation's API"})
		}
	}
	slices.SortFunc(p.Notes, func(a, b Note) int { return cmp.Compare(a.Text, b.Text) })
	for _, s := range w.Record.Clusters {
		p.Standings = append(p.Standings, Standing{Cluster: s.Cluster, State: Deleting})
	}
	return p, len(t.inside[w.Name]) > 0 || len(p.Notes) > 0
}

// unseen is that there may be HorizontalPodAutoscalers.
const unseen = -1

// scaler finds the HorizontalPodAutoscalers of a workload.
func (t *Table) scaler(k Key) func(cluster string) (least int64, ok bool) {
	if !k.workload() {
		return func(string) (int64, bool) { return 0, false }
	}
	target := k.Kind.Name + " " + k.Name
	return func(cluster string) (int64, bool) {
		for a := range t.autoscalers[k.Namespace] {
			if h := t.haves[a][cluster]; h != nil && h.Target == target {
				return h.Scale["minReplicas"], true
			}
		}
		return unseen, t.scalersUnseen(cluster)
	}
}

// scalersUnseen says whether a cluster hasn't said yet what autoscalers it has.
func (t *Table) scalersUnseen(cluster string) bool {
	i := slices.IndexFunc(t.Sorts, func(s *Sort) bool { return s.Kind.Name == "HorizontalPodAutoscaler" })
	j := slices.IndexFunc(t.members, func(m *Member) bool { return m.Name == cluster })
	if i < 0 || j < 0 {
		return false
	}
	s, m := t.Sorts[i], t.members[j]
	return !m.Lists(s) && !m.Lacks(s) && m.denies(s) == ""
}

// Status is what a federated object's status should be; nil: as it is, or nothing
// to tell. all says that every cluster has what it should have of it.
func (t *Table) Status(k Key, all bool) Object {
	w := t.wants[k]
	if w == nil || w.Deleting || k.status == nil {
		return nil
	}
	var parts []Part
	for c, h := range t.haves[k] {
		if h.Ours && w.Balanced {
			p := h.Part
			p.Cluster = c
			parts = append(parts, p)
		}
	}
	for _, m := range t.members {
		if h := t.haves[k][m.Name]; h != nil {
			continue
		}
		v := View{Want: w, Finals: t.finals[k]}
		if f := v.final(m.Name); f != nil {
			parts = append(parts, Part{Cluster: m.Name, Status: f})
		}
	}
	now := k.Status(parts, w.Part.Status, w.Generation, all)
	for f, v := range now {
		if have := w.Part.Status[f]; !(blank(v) && blank(have)) && jsonOf(said(v)) != jsonOf(have) {
			return now
		}
	}
	return nil
}

// blank says that a part of a status tells nothing: zero, and no addresses.
func blank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case int64:
		return v == 0
	case map[string]any:
		for _, e := range v {
			if !blank(e) {
				return false
			}
		}
		return true
	}
	return false
}

// A Stray is an object of ours that no federated object asks for.
type Stray struct {
	Cluster string
	Key
	UID string
}

// Strays lists them.
func (t *Table) Strays() []Stray {
	var out []Stray
	for k := range t.loose {
		if t.dark[k.Sort] {
			continue
		}
		for c, h := range t.haves[k] {
			if h.Ours && !h.Deleting {
				out = append(out, Stray{c, k, h.UID})
			}
		}
	}
	slices.SortFunc(out, func(a, b Stray) int { return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), compareKeys(a.Key, b.Key)) })
	return out
}
