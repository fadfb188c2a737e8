package workload

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// A Table is all that is wanted and all that is there. It has one owner and no
// locks.
type Table struct {
	Federation string
	// Sorts are those that are kept, where it isn't told from what is there.
	Kinds []*FederatedKind
	// Keep is that live objects are kept whole, for a preview to show them.
	Keep bool
	// Surge is that of objects that don't say another one; SetSurge sets it.
	Surge replicas.Surge

	members  []*Member // by name
	rows     map[Key]row
	dirty    map[Key]bool
	unlisted map[*FederatedKind]bool // of which it isn't known what is wanted

	// The rest follows from rows, and finds them.

	inside      index                // wants, by namespace
	orphaned    map[Key]bool         // what is there and not wanted
	namespaces  map[string]Key       // wanted or there, by name
	autoscalers index                // wanted or there, by namespace
	guards      index                // wanted, by namespace
	follows     map[Key]map[Key]bool // what workloads take with them, and
	followers   map[Key]map[Key]bool // the other way around
	// owned counts objects of ours in the clusters, by namespace and cluster.
	owned map[string]map[string]int
}

// NewTable makes one in which nothing is known.
func NewTable(federation string) *Table {
	return &Table{
		Federation: federation, Surge: replicas.DefaultSurge(),
		rows: map[Key]row{}, dirty: map[Key]bool{}, unlisted: map[*FederatedKind]bool{},
		inside: index{}, orphaned: map[Key]bool{}, namespaces: map[string]Key{}, autoscalers: index{}, guards: index{}, follows: map[Key]map[Key]bool{}, followers: map[Key]map[Key]bool{}, owned: map[string]map[string]int{},
	}
}

// SetMembers says which clusters there are, and how they stand. What is known of
// those that have gone is forgotten.
func (t *Table) SetMembers(members []*Member) {
	t.members = slices.Clone(members)
	slices.SortFunc(t.members, func(a, b *Member) int { return cmp.Compare(a.Name, b.Name) })
	for k, r := range t.rows {
		for c := range r.entries {
			if !slices.ContainsFunc(members, func(m *Member) bool { return m.Name == c }) {
				t.Gone(c, k)
				t.edit(k, c, func(e *Entry) { *e = Entry{} })
			}
		}
	}
	for _, k := range slices.Collect(maps.Keys(t.follows)) { // overrides may be others now
		t.follow(t.Desired(k))
	}
	t.touchKind(nil)
}

// SetSurge says how many replicas there may be beyond those that are wanted, of objects that
// don't say so themselves.
func (t *Table) SetSurge(s replicas.Surge) {
	if t.Surge != s {
		t.Surge = s
		t.touchKind(nil)
	}
}

// Members are the clusters, by name.
func (t *Table) Members() []*Member { return t.members }

// SetUnlisted says whether it isn't known what is wanted of a kind. Nothing follows from
// its absence then.
func (t *Table) SetUnlisted(s *FederatedKind, dark bool) {
	if t.unlisted[s] == dark {
		return
	}
	t.unlisted[s] = dark
	for _, k := range t.namespaces {
		t.dirty[k] = true
	}
}

// Unlisted says what Dark was told last.
func (t *Table) Unlisted(s *FederatedKind) bool { return t.unlisted[s] }

// SetDesired says what is wanted of an object.
func (t *Table) SetDesired(w *Desired) {
	r := t.rows[w.Key]
	was := r.desired
	if was != nil && was.UID == w.UID && w.Deleting {
		w.leave(was.Record.Orphan)
	}
	r.desired = w
	t.set(w.Key, r)
	if was != nil && was.UID != w.UID {
		// Another object of that name: nothing of it has been anywhere yet.
		t.editAll(w.Key, func(e *Entry) { e.Planned, e.Assigned, e.Written, e.Capacity, e.Finished = nil, nil, nil, nil, nil })
	}
	t.inside.add(w.Namespace, w.Key)
	if w.Guard {
		t.guards.add(w.Key.Namespace, w.Key)
	}
	delete(t.orphaned, w.Key)
	t.addToIndex(w.Key)
	if w.Follow || t.follows[w.Key] != nil {
		t.follow(w)
	}
	if was == nil || was.Deleting != w.Deleting || was.Template.Hash != w.Template.Hash {
		t.heed(w.Key)
	}
	t.touch(w.Key)
	if was != nil && was.Target != w.Target {
		t.scaled(w.Namespace, was.Target)
	}
	if n, ok := t.namespaces[w.Namespace]; ok && w.Deleting {
		t.dirty[n] = true // its own deletion waits for this one, and may say so
	}
}

// RemoveDesired says that a federated object is gone.
func (t *Table) RemoveDesired(k Key) {
	r := t.rows[k]
	if r.desired != nil {
		t.touch(k)
		t.inside.remove(k.Namespace, k)
		t.guards.remove(k.Namespace, k)
		if n, ok := t.namespaces[k.Namespace]; ok {
			t.dirty[n] = true // its own deletion may have waited for this one
		}
		if r.entries.exist() {
			t.orphaned[k] = true
		}
	}
	r.desired = nil
	t.set(k, r)
	t.link(k, nil)
	t.heed(k)
	t.editAll(k, func(e *Entry) { *e = Entry{Have: e.Have, Sent: e.Sent} })
	t.removeFromIndex(k)
}

// Desired is what is wanted under a key; nil: nothing.
func (t *Table) Desired(k Key) *Desired { return t.rows[k].desired }

// NamespaceOf is the federated Namespace that an object is in; nil: there is none.
func (t *Table) NamespaceOf(k Key) *Desired {
	if !k.Namespaced {
		return nil
	}
	return t.rows[t.namespaces[k.Namespace]].desired
}

// Inhabits says whether federated objects may be in a namespace.
func (t *Table) Inhabits(namespace string) bool {
	return builtin.Everywhere(builtin.Namespaces.Name, "", namespace) || t.rows[t.namespaces[namespace]].desired != nil
}

// KeysOf are the keys of all federated objects of a kind; nil: of all kinds.
func (t *Table) KeysOf(s *FederatedKind) []Key {
	var out []Key
	for k, r := range t.rows {
		if r.desired != nil && (s == nil || k.FederatedKind == s) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, compareKeys)
	return out
}

// InNamespace are the federated objects in a namespace.
func (t *Table) InNamespace(namespace string) []Key {
	return slices.SortedFunc(maps.Keys(t.inside[namespace]), compareKeys)
}

// SetObserved says what a cluster has under a key. What comes late, and is older than
// what is known, is dropped.
func (t *Table) SetObserved(cluster string, k Key, o Object) {
	if h := t.observe(cluster, k, o); !t.late(cluster, k, h) {
		t.put(cluster, k, h)
	}
}

// Planned says what each cluster is to have. The next plan begins with that: one that has
// been carried out in some of the clusters is the same one still.
func (t *Table) Planned(k Key, p Plan) {
	for _, s := range p.Standings {
		switch s.State {
		case Pending, Applied:
		case Unreachable, Failed, Deleting:
			if s.Scale == nil {
				continue
			}
		default:
			continue
		}
		if e := t.rows[k].entries[s.Cluster]; len(k.Scale) > 0 || e.Followed != s.Follows {
			t.edit(k, s.Cluster, func(e *Entry) {
				if e.Followed = s.Follows; len(k.Scale) > 0 {
					e.Planned = s.Scale
				}
			})
		}
	}
}

// Sends says what a write asks for that has begun; nil: it has ended. Until then a cluster
// may have what it had or that.
func (t *Table) Sends(cluster string, k Key, s Scale) {
	if len(k.Scale) > 0 {
		t.edit(k, cluster, func(e *Entry) { e.Sent = s })
	}
}

// Wrote says what a cluster has under a key after a step has written it. However it
// spells it, that is what was asked for.
func (t *Table) Wrote(s Step, o Object) {
	cluster, k := s.Cluster, s.Key
	w := t.Desired(k)
	if w == nil {
		t.SetObserved(cluster, k, o)
		return
	}
	h := t.observe(cluster, k, o)
	t.edit(k, cluster, func(e *Entry) {
		if len(s.Share) > 0 {
			e.Assigned = s.Share
		}
		if len(s.Scale) > 0 {
			e.Written = s.Scale
		}
		if t := t.template(cluster, w); t != nil && h.Applied == t.Hash {
			e.Base, h.Drift = Base{Template: t.Hash, Seen: h.Seen}, nil
		}
	})
	if !t.late(cluster, k, h) {
		t.put(cluster, k, h)
	}
}

func (t *Table) observe(cluster string, k Key, o Object) *Observed {
	r := t.rows[k]
	h := Observe(k, o, t.template(cluster, r.desired), r.entries[cluster].Base, t.Federation)
	if t.Keep {
		h.Live = o
	}
	return h
}

// late says whether something newer is known of the same object.
func (t *Table) late(cluster string, k Key, h *Observed) bool {
	was := t.Observed(cluster, k)
	return was != nil && was.UID == h.UID && v1alpha1.Older(h.Version, was.Version)
}

func (t *Table) put(cluster string, k Key, h *Observed) {
	was := t.Observed(cluster, k)
	t.count(k, cluster, was, -1)
	t.edit(k, cluster, func(e *Entry) {
		if e.Have = h; h.Ours && h.Ended {
			e.Finished = h.Part.Status
		}
	})
	t.count(k, cluster, h, 1)
	if t.Desired(k) == nil {
		t.orphaned[k] = true
	}
	t.addToIndex(k)
	t.touch(k)
	if was != nil && was.Target != h.Target {
		t.scaled(k.Namespace, was.Target)
	}
}

// Gone says that a cluster has nothing under a key.
func (t *Table) Gone(cluster string, k Key) {
	h := t.Observed(cluster, k)
	if h == nil {
		return
	}
	t.touch(k)
	t.count(k, cluster, h, -1)
	t.edit(k, cluster, func(e *Entry) { e.Have = nil })
	if !t.rows[k].entries.exist() {
		delete(t.orphaned, k)
		t.removeFromIndex(k)
	}
}

// Going says that a cluster has been told to delete an object. Until it tells that the
// object is gone, it isn't told again.
func (t *Table) Going(cluster string, k Key, uid string) {
	if h := t.Observed(cluster, k); h != nil && h.UID == uid {
		going := *h
		going.Deleting = true
		t.edit(k, cluster, func(e *Entry) { e.Have = &going })
	}
}

// Listed says all that a cluster has of a kind.
func (t *Table) Listed(cluster string, s *FederatedKind, all map[Key]Object) {
	t.relist(cluster, all, func(k Key) bool { return k.FederatedKind == s })
	t.touchKind(s) // a cluster that has just been listed may lack it
}

// ListedIn says all that a namespace of a cluster has of a kind.
func (t *Table) ListedIn(cluster string, s *FederatedKind, namespace string, all map[Key]Object) {
	t.relist(cluster, all, func(k Key) bool { return k.FederatedKind == s && k.Namespace == namespace })
	for k := range t.inside[namespace] {
		if k.FederatedKind == s {
			t.touch(k) // it may be lacking there
		}
	}
}

// relist says all that a cluster has among some keys.
func (t *Table) relist(cluster string, all map[Key]Object, among func(Key) bool) {
	for k, r := range t.rows {
		// What isn't ours isn't in the list, and is known from elsewhere.
		if h := r.entries[cluster].Have; among(k) && h != nil && all[k] == nil && (h.Ours || h.Target != "") {
			t.Gone(cluster, k)
		}
	}
	// A list has the last word, even if what it has is older: the cluster may have
	// been restored from a copy.
	for k, o := range all {
		t.put(cluster, k, t.observe(cluster, k, o))
	}
}

// Owned counts the objects of ours in a namespace of a cluster.
func (t *Table) Owned(namespace, cluster string) int { return t.owned[namespace][cluster] }

// Observed is what a cluster has under a key; nil: nothing.
func (t *Table) Observed(cluster string, k Key) *Observed { return t.rows[k].entries[cluster].Have }

// Pods says how the pods of a workload stand in a cluster.
func (t *Table) Pods(cluster string, k Key, s replicas.State, now time.Time) {
	was := t.rows[k].entries[cluster].Capacity
	var before replicas.Limit
	if was != nil {
		before = was.Limit
	}
	next := &Capacity{s.Estimate(now), before.Next(s, now)}
	if next.Room() == nil && next.Held == s.Spec {
		next = nil
	}
	if was == nil && next == nil {
		return
	}
	t.edit(k, cluster, func(e *Entry) { e.Capacity = next })
	t.dirty[k] = true
}

// Lagging calls yield for each workload whose pods in a cluster have to be looked
// at: fewer are ready than should be, or, narrow, it had no room for them.
func (t *Table) Lagging(yield func(cluster string, w *Desired, spec, ready int64, narrow bool)) {
	for k, r := range t.rows {
		if r.desired == nil || !k.Workload() && r.desired.Whole == "" {
			continue
		}
		for c, h := range r.entries.haves() {
			ready, _ := number(h.Part.Status, "readyReplicas")
			spec, narrow := h.Scale["replicas"], r.entries[c].Capacity != nil
			if !k.Workload() {
				ready, _ = number(h.Part.Status, "ready")
				spec, _ = number(h.Part.Status, "active")
			}
			if h.Ours && (spec > ready || narrow) {
				yield(c, r.desired, spec, ready, narrow)
			}
		}
	}
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
	for k := range t.orphaned {
		if t.unlisted[k.FederatedKind] {
			continue
		}
		for c, h := range t.rows[k].entries.haves() {
			if h.Ours && !h.Deleting {
				out = append(out, Stray{c, k, h.UID})
			}
		}
	}
	slices.SortFunc(out, func(a, b Stray) int { return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), compareKeys(a.Key, b.Key)) })
	return out
}
