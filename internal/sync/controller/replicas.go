package controller

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// countEvery bounds how often a cluster's replicas are written, when they change: a
// rollout of a thousand pods is a write a second.
const countEvery = time.Second

// longestUnplaced is how many workloads without a place are named: an object has room for
// that many, and nobody reads more.
const longestUnplaced = 100

// longestFailures is how many workloads are named that fail, each with a reason.
const longestFailures = 20

// A part is the replicas of a workload in one cluster.
type part struct {
	cluster              string
	state                workload.State
	wanted, there, ready int64
	// fails is why it doesn't come to be as the plan has it, for reasons of its own; "": it
	// does, or may yet. Nobody waits for it: who drains a cluster, or lets it come back, hears
	// of it by its name.
	fails string
	// moving is why it has other replicas than the plan has, while some move; "": none do.
	moving string
	// began is since when nothing has got better, and far was how far it was from being so.
	began time.Time
	far   int64
}

// waits says whether a part isn't yet as the plan has it. What a cluster doesn't let be
// seen, or has of somebody else, isn't waited for.
func (p part) waits() bool {
	switch p.state {
	case workload.Pending, workload.Deleting:
		return p.fails == ""
	case workload.Applied:
		return p.fails == "" && p.distance() > 0
	}
	return false
}

// distance is how many replicas are missing, are too many, or aren't ready.
func (p part) distance() int64 {
	return max(p.there-p.wanted, p.wanted-p.there, p.wanted-p.ready)
}

// stalled is how long a part may be as far from what the plan has as it was: longer than
// images take to be pulled and probes to pass, and less than fedctl waits.
const stalled = 2 * time.Minute

// since compares a part with what it was, and says why it fails if it has got no better for
// long.
func (p part) since(was part, now time.Time) part {
	p.began, p.far = now, p.distance()
	same := was.state == p.state && was.wanted == p.wanted && !was.began.IsZero()
	if same && p.far >= was.far && (was.waits() || was.fails != "") {
		p.began, p.far = was.began, was.far
	}
	if p.waits() && now.Sub(p.began) >= stalled {
		p.fails = p.stalls()
	}
	return p
}

// stalls says how a part is that gets no better.
func (p part) stalls() string {
	switch {
	case p.moving != "":
		return fmt.Sprintf("%s, and nothing has changed for %s", p.moving, stalled)
	case p.state == workload.Pending:
		return fmt.Sprintf("what is to be changed there hasn't been for %s", stalled)
	case p.state == workload.Deleting:
		return fmt.Sprintf("it has been on its way out for %s", stalled)
	case p.there > p.wanted:
		return fmt.Sprintf("%d replicas are there instead of %d, and nothing has changed for %s", p.there, p.wanted, stalled)
	}
	return fmt.Sprintf("%d of %d replicas are ready, and nothing has changed for %s", min(p.ready, p.wanted), p.wanted, stalled)
}

func (p part) tally() v1alpha1.Tally {
	t := v1alpha1.Tally{Desired: p.wanted, Current: p.there, Ready: min(p.ready, p.wanted)}
	switch {
	case p.waits():
		t.Pending = 1
	case p.fails != "":
		t.Failing, t.Held = 1, p.there
	}
	return t
}

// A podCounts counts the replicas of all workloads, in each cluster. It goes with the
// plans: one that is made counts its workload anew, and nothing else is looked at.
type podCounts struct {
	parts map[workload.Key][]part
	in    map[string]v1alpha1.Tally // by cluster
	short map[workload.Key]v1alpha1.Unplaced
	waits map[workload.Key]bool // of which a part waits
	fails map[workload.Key]bool // of which a part fails
	// named are the failures of clusters as they were last asked for: there may be thousands, of
	// which a few are named, ten times a second. Forgotten when one comes, goes or changes.
	named map[string][]v1alpha1.Failure
}

func newPodCounts() podCounts {
	return podCounts{map[workload.Key][]part{}, map[string]v1alpha1.Tally{}, map[workload.Key]v1alpha1.Unplaced{}, map[workload.Key]bool{}, map[workload.Key]bool{}, map[string][]v1alpha1.Failure{}}
}

// set counts a workload that has total replicas.
func (c *podCounts) set(k workload.Key, total int64, parts []part, now time.Time) {
	was := c.parts[k]
	c.drop(k)
	var placed int64
	for i, p := range parts {
		var before part
		if j := slices.IndexFunc(was, func(o part) bool { return o.cluster == p.cluster }); j >= 0 {
			before = was[j]
		}
		p = p.since(before, now)
		parts[i] = p
		c.in[p.cluster] = c.in[p.cluster].Plus(p.tally())
		placed += p.wanted
		if p.waits() {
			c.waits[k] = true
		}
		if p.fails != "" {
			c.fails[k] = true
			clear(c.named)
		}
	}
	c.parts[k] = parts
	if placed < total {
		c.short[k] = v1alpha1.Unplaced{Kind: k.Kind.Name, Namespace: k.Namespace, Name: k.Name, Replicas: total, Placed: placed}
	}
}

// drop takes a workload out.
func (c *podCounts) drop(k workload.Key) {
	for _, p := range c.parts[k] {
		if c.in[p.cluster] = c.in[p.cluster].Minus(p.tally()); c.in[p.cluster] == (v1alpha1.Tally{}) {
			delete(c.in, p.cluster)
		}
	}
	delete(c.parts, k)
	delete(c.short, k)
	delete(c.waits, k)
	if c.fails[k] {
		delete(c.fails, k)
		clear(c.named)
	}
}

// overdue are workloads of which a part has waited for so long that it counts as failing.
func (c *podCounts) overdue(now time.Time) (out []workload.Key) {
	for k := range c.waits {
		if slices.ContainsFunc(c.parts[k], func(p part) bool { return p.waits() && now.Sub(p.began) >= stalled }) {
			out = append(out, k)
		}
	}
	return out
}

// failures are the first of the workloads that fail in these clusters.
func (c *podCounts) failures(clusters ...string) (out []v1alpha1.Failure) {
	id := strings.Join(clusters, " ")
	if known, ok := c.named[id]; ok {
		return known
	}
	defer func() { c.named[id] = out }()
	for k := range c.fails {
		for _, p := range c.parts[k] {
			if p.fails != "" && slices.Contains(clusters, p.cluster) {
				out = append(out, v1alpha1.Failure{Cluster: p.cluster, Kind: k.Kind.Name, Namespace: k.Namespace, Name: k.Name, Message: p.fails})
			}
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.Failure) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Cluster, b.Cluster))
	})
	out = slices.Clip(out[:min(len(out), longestFailures)])
	return out
}

// stalled are the parts of a workload whose move gets no further.
func (c *podCounts) stalled(k workload.Key) (out []part) {
	for _, p := range c.parts[k] {
		if p.moving != "" && p.fails != "" {
			out = append(out, p)
		}
	}
	return out
}

// elsewhere adds up what these clusters have.
func (c *podCounts) elsewhere(clusters []string) *v1alpha1.Elsewhere {
	out := &v1alpha1.Elsewhere{}
	for _, name := range clusters {
		out.Tally = out.Plus(c.in[name])
	}
	out.Unplaced = slices.SortedFunc(maps.Values(c.short), func(a, b v1alpha1.Unplaced) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	out.Failures = c.failures(clusters...)
	if n := len(out.Unplaced); n > longestUnplaced {
		out.Unplaced, out.More = out.Unplaced[:longestUnplaced], int64(n-longestUnplaced)
	}
	return out
}

// count counts the replicas of a workload that has been planned.
func (u *hub) count(w *workload.Desired, p workload.Plan, now time.Time) {
	if !w.Workload() {
		return
	}
	if w.Deleting {
		u.podCounts.drop(w.Key)
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
		if s.Moving {
			o.moving = s.Why
		}
		if h := u.table.Observed(o.cluster, w.Key); h != nil && h.Ours {
			o.there, o.ready = h.Replicas()
		}
		o.fails = u.fails(w, s, o)
		parts = append(parts, o)
	}
	u.podCounts.set(w.Key, total, parts, now)
}

// sure is how often a step has to fail before the cluster isn't taken to be in a trouble
// that passes.
const sure = 5

// fails is why a workload doesn't come to be in a cluster as the plan has it, for reasons of
// its own; "": it does, or may yet.
func (u *hub) fails(w *workload.Desired, s workload.Propagation, p part) string {
	f := objectInCluster{s.Cluster, w.Key}
	switch s.State {
	case workload.NameTaken:
		return s.Error
	case workload.Failed: // it may not be listed there
		return workload.Bounded(s.Error, longestReason)
	case workload.Deleting:
		if u.deletions.holds(f) {
			return "its deletion waits for an operator: fedctl confirm"
		}
		return u.trouble(f)
	case workload.Pending:
		if c := u.conflicts[f]; c != nil && !c.until.IsZero() {
			return "somebody else changes it again and again"
		}
		if why := u.trouble(f); why != "" || s.Error == "" {
			return why
		}
		home := u.table.NamespaceOf(w.Key)
		if home == nil {
			return ""
		}
		if why := u.trouble(objectInCluster{s.Cluster, home.Key}); why != "" {
			return "its namespace: " + why
		}
		if h := u.table.Observed(s.Cluster, home.Key); h != nil && h.Deleting {
			return s.Error
		}
	case workload.Applied:
		h := u.table.Observed(s.Cluster, w.Key)
		switch {
		case s.Asked != nil && s.Asked["replicas"] > 0 && s.Scale["replicas"] == 0:
			return fmt.Sprintf("a HorizontalPodAutoscaler there asks for %d", s.Asked["replicas"])
		case h != nil && p.distance() > 0:
			return workload.Bounded(h.Trouble, longestReason)
		}
	}
	return ""
}

// trouble is why a step fails again and again; "": it doesn't, or may go through yet.
func (u *hub) trouble(f objectInCluster) string {
	t, m := u.retries[f], u.members[f.cluster]
	if t == nil || t.err == nil || !kube.Refused(t.err) && (t.count < sure || m == nil || !m.reachable()) {
		return ""
	}
	return workload.Bounded(kube.Plain(t.err), longestReason)
}

// longestReason is as much of an error as there is room for where many are told.
const longestReason = 200

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
	case m.liveness.missed >= misses:
		return m.liveness.why, true
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
	next := &v1alpha1.Replicas{ObservedGeneration: by.generation, Tally: u.podCounts.in[c.Name], Message: why, Failures: u.podCounts.failures(c.Name)}
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
		next.Elsewhere = u.podCounts.elsewhere(others)
	}
	if reflect.DeepEqual(was, next) {
		return was
	}
	return next
}
