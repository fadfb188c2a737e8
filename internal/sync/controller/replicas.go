package controller

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/workload"
)

// countEvery bounds how often a cluster's replicas are written, when they change: a
// rollout of a thousand pods is a write a second.
const countEvery = time.Second

// longestUnplaced is how many workloads without a place are named: an object has room for
// that many, and nobody reads more.
const longestUnplaced = 100

// A part is the replicas of a workload in one cluster.
type part struct {
	cluster              string
	state                workload.State
	wanted, there, ready int64
}

// waits says whether a part isn't yet as the plan has it. What a cluster doesn't let be
// seen, or has of somebody else, isn't waited for. What it refuses to take is: who drains
// a cluster has to hear that the others haven't taken its pods.
func (p part) waits() bool {
	switch p.state {
	case workload.Pending, workload.Deleting:
		return true
	case workload.Applied:
		return p.there != p.wanted || p.ready < p.wanted
	}
	return false
}

func (p part) tally() v1alpha1.Tally {
	t := v1alpha1.Tally{Desired: p.wanted, Current: p.there, Ready: min(p.ready, p.wanted)}
	if p.waits() {
		t.Pending = 1
	}
	return t
}

// A census counts the replicas of all workloads, in each cluster. It goes with the
// plans: one that is made counts its workload anew, and nothing else is looked at.
type census struct {
	parts map[workload.Key][]part
	in    map[string]v1alpha1.Tally // by cluster
	short map[workload.Key]v1alpha1.Unplaced
}

func newCensus() census {
	return census{map[workload.Key][]part{}, map[string]v1alpha1.Tally{}, map[workload.Key]v1alpha1.Unplaced{}}
}

// set counts a workload that has total replicas.
func (c *census) set(k workload.Key, total int64, parts []part) {
	c.drop(k)
	var placed int64
	for _, p := range parts {
		c.in[p.cluster] = c.in[p.cluster].Plus(p.tally())
		placed += p.wanted
	}
	c.parts[k] = parts
	if placed < total {
		c.short[k] = v1alpha1.Unplaced{Kind: k.Kind.Name, Namespace: k.Namespace, Name: k.Name, Replicas: total, Placed: placed}
	}
}

// drop takes a workload out.
func (c *census) drop(k workload.Key) {
	for _, p := range c.parts[k] {
		if c.in[p.cluster] = c.in[p.cluster].Minus(p.tally()); c.in[p.cluster] == (v1alpha1.Tally{}) {
			delete(c.in, p.cluster)
		}
	}
	delete(c.parts, k)
	delete(c.short, k)
}

// elsewhere adds up what these clusters have.
func (c *census) elsewhere(clusters []string) *v1alpha1.Elsewhere {
	out := &v1alpha1.Elsewhere{}
	for _, name := range clusters {
		out.Tally = out.Plus(c.in[name])
	}
	out.Unplaced = slices.SortedFunc(maps.Values(c.short), func(a, b v1alpha1.Unplaced) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	if n := len(out.Unplaced); n > longestUnplaced {
		out.Unplaced, out.More = out.Unplaced[:longestUnplaced], int64(n-longestUnplaced)
	}
	return out
}

// count counts the replicas of a workload that has been planned.
func (u *hub) count(w *workload.Want, p workload.Plan) {
	if !w.Workload() {
		return
	}
	if w.Deleting {
		u.census.drop(w.Key)
		return
	}
	total := int64(1)
	if n, ok := w.Total["replicas"]; ok {
		total = n
	}
	var parts []part
	for _, s := range p.Standings {
		o := part{cluster: s.Cluster, state: s.State, wanted: s.Scale["replicas"]}
		if s.Asked != nil {
			o.wanted, total = s.Asked["replicas"], 0 // which is for an autoscaler to say
		}
		if h := u.table.Known(o.cluster, w.Key); h != nil && h.Ours {
			o.there, o.ready = h.Replicas()
		}
		parts = append(parts, o)
	}
	u.census.set(w.Key, total, parts)
}

// A view is how a cluster was when all plans were made.
type view struct {
	generation           int64
	reachable, evacuated bool
}

// heard says whether all that a cluster has was known when all plans were made, or, why,
// that it can't be asked.
func (u *hub) heard(name string) (why string, ok bool) {
	m := u.members[name]
	switch {
	case m == nil:
		why = u.troubles[name].why
		return why, why != "" // else it hasn't been started yet
	case m.twin() != "":
		return m.twin(), true
	case m.pulse.missed >= misses:
		return m.pulse.why, true
	}
	return "", m.known() && m.reachable() && u.planned[name].reachable
}

// replicas is what the status of a cluster is to say of its replicas: what it says, where
// nothing else is known, or where it has been written only just.
func (u *hub) replicas(c *v1alpha1.Cluster, now time.Time) *v1alpha1.Replicas {
	was := c.Status.Replicas
	switch {
	case now.Sub(u.undeclared) < recheck:
		return nil
	case now.Sub(u.counted[c.Name]) < countEvery:
		return was
	}
	by, planned := u.planned[c.Name]
	why, heard := u.heard(c.Name)
	if !planned || !heard {
		return was
	}
	next := &v1alpha1.Replicas{ObservedGeneration: by.generation, Tally: u.census.in[c.Name], Message: why}
	if by.evacuated {
		var others []string
		for name := range u.clusters {
			why, heard := u.heard(name)
			switch {
			case !heard:
				return was
			case name != c.Name && why == "":
				others = append(others, name)
			}
		}
		next.Elsewhere = u.census.elsewhere(others)
	}
	if reflect.DeepEqual(was, next) {
		return was
	}
	return next
}
