package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// gather is how long deletions wait for others of the same pass: a script that
// deletes what it shouldn't makes many calls.
const gather = 500 * time.Millisecond

// window is how long a deletion counts.
const window = time.Minute

// Deletions that wait are listed in a ConfigMap of fedapi.System, for an operator to
// see: a key for each cluster. v1alpha1.DigestOf is an annotation with a digest of the list;
// another, v1alpha1.Confirmed, of the same value lets them go.
const (
	WaitingName    = "fedsync-waiting"
	strayPatience  = 10 * time.Second // an object whose federated one hasn't come by then has none
	waitingRewrite = time.Second      // a list that grows isn't written for each line
)

// A deletionGuard lets deletions through, unless there are too many at once.
type deletionGuard struct {
	hub      *hub
	waiting  map[objectInCluster]waiting
	launched map[objectInCluster]bool                 // let through, and waiting or under way
	done     map[string]map[objectInCluster]time.Time // let through within the window, by cluster
	allowed  map[objectInCluster]bool                 // by an operator
	strays   map[objectInCluster]time.Time            // when first seen
	began    time.Time
	listed   time.Time // when the list was last made
	// written is the digest in the ConfigMap, and confirmed what an operator has
	// confirmed there, as far as is known.
	written, confirmed string
}

type waiting struct {
	step  workload.Step
	since time.Time
	held  bool
}

func (g *deletionGuard) init(u *hub) {
	*g = deletionGuard{
		hub: u, waiting: map[objectInCluster]waiting{}, launched: map[objectInCluster]bool{}, done: map[string]map[objectInCluster]time.Time{},
		allowed: map[objectInCluster]bool{}, strays: map[objectInCluster]time.Time{}, began: time.Now(),
	}
}

func (g *deletionGuard) add(s workload.Step, now time.Time) {
	f := objectInCluster{s.Cluster, s.Key}
	w, ok := g.waiting[f]
	if !ok {
		w.since = now
	}
	w.step = s
	g.waiting[f] = w
}

// clear takes back what was to be deleted under a key: the plan is made anew.
func (g *deletionGuard) clear(k workload.Key) {
	for c := range g.hub.members {
		f := objectInCluster{c, k}
		if w, ok := g.waiting[f]; ok {
			w.step = workload.Step{}
			g.waiting[f] = w
		}
	}
}

func (g *deletionGuard) leave(cluster string) {
	leave(g.waiting, cluster)
	leave(g.launched, cluster)
	delete(g.done, cluster)
}

// holds says whether a deletion waits for an operator.
func (g *deletionGuard) holds(f objectInCluster) bool { return g.waiting[f].held }

// open lets a deletion through.
func (g *deletionGuard) open(s workload.Step, now time.Time) {
	f := objectInCluster{s.Cluster, s.Key}
	if g.done[s.Cluster] == nil {
		g.done[s.Cluster] = map[objectInCluster]time.Time{}
	}
	if !g.allowed[f] {
		g.done[s.Cluster][f] = now
	}
	g.launched[f] = true
	g.hub.launch(s)
}

// pass lets go what may go.
func (g *deletionGuard) pass(now time.Time) {
	by := map[string][]objectInCluster{}
	for f, w := range g.waiting {
		if w.step.Verb == "" { // the last plan doesn't ask for it any more
			delete(g.waiting, f)
			delete(g.allowed, f)
			continue
		}
		by[f.cluster] = append(by[f.cluster], f)
	}
	for c, all := range by {
		maps.DeleteFunc(g.done[c], func(_ objectInCluster, t time.Time) bool { return now.Sub(t) > window })
		count := len(g.done[c])
		oldest := now
		for _, f := range all {
			if w := g.waiting[f]; w.since.Before(oldest) {
				oldest = w.since
			}
			if _, again := g.done[c][f]; !again && !g.allowed[f] {
				count++
			}
		}
		if now.Sub(oldest) < gather {
			continue
		}
		for _, f := range all {
			w := g.waiting[f]
			switch {
			// One that has been tried has been let through before.
			case g.allowed[f] || g.hub.retries[f] != nil || !w.held && count <= g.hub.MaxDeletes:
				delete(g.waiting, f)
				g.open(w.step, now)
				delete(g.allowed, f)
			case !w.held: // and stays so: what once was too much isn't less by the minute
				w.held = true
				g.waiting[f] = w
				g.hub.table.Touch(f.Key)
			}
		}
	}
	if now.Sub(g.listed) < waitingRewrite {
		return
	}
	g.listed = now
	g.seek(now)
	g.confirm(g.list(now))
	lines, flights := g.list(now) // without what has just been confirmed
	g.write(lines, flights, now)
}

// seek finds objects of ours that no federated object asks for. Nothing is done
// about them unless an operator says so: the federation's API may have lost its
// memory, and they are all there is left.
func (g *deletionGuard) seek(now time.Time) {
	there := map[objectInCluster]string{}
	for _, s := range g.hub.table.Strays() {
		m := g.hub.members[s.Cluster]
		if m == nil || !m.listed[s.FederatedKind] || !m.reachable() {
			continue
		}
		there[objectInCluster{s.Cluster, s.Key}] = s.UID
	}
	maps.DeleteFunc(g.strays, func(f objectInCluster, _ time.Time) bool { return there[f] == "" })
	maps.DeleteFunc(g.allowed, func(f objectInCluster, _ bool) bool {
		_, waits := g.waiting[f]
		return !waits && there[f] == ""
	})
	for f, uid := range there {
		if _, ok := g.strays[f]; !ok {
			g.strays[f] = now
		}
		if g.allowed[f] && !g.hub.busy(f) && !g.hub.waits(f, now) {
			g.open(workload.Step{Cluster: f.cluster, Key: f.Key, Verb: workload.Delete, UID: uid, Why: "no federated object of that name is there, and an operator has confirmed it"}, now)
		}
	}
}

// list is what waits, as people read it, by cluster.
func (g *deletionGuard) list(now time.Time) (lines map[string][]string, flights map[objectInCluster]bool) {
	lines, flights = map[string][]string{}, map[objectInCluster]bool{}
	for f, w := range g.waiting {
		if w.held && !g.allowed[f] {
			flights[f] = true
			lines[f.cluster] = append(lines[f.cluster], f.Key.String()+": "+w.step.Why)
		}
	}
	for f, since := range g.strays {
		if now.Sub(since) > strayPatience && !g.allowed[f] {
			flights[f] = true
			lines[f.cluster] = append(lines[f.cluster], f.Key.String()+": no federated object of that name is there")
		}
	}
	for c := range lines {
		slices.Sort(lines[c])
	}
	return lines, flights
}

// confirm lets what waits go, if an operator has confirmed just that.
func (g *deletionGuard) confirm(lines map[string][]string, flights map[objectInCluster]bool) {
	if g.confirmed == "" || g.confirmed != g.digest(lines, flights) {
		return // or of another list than the one that waits
	}
	g.hub.Log.Info(fmt.Sprintf("%d deletions have been confirmed", len(flights)))
	for f := range flights {
		g.allowed[f] = true
		g.hub.table.Touch(f.Key)
	}
}

// digest tells lists apart, also two that read the same and mean other objects.
func (g *deletionGuard) digest(lines map[string][]string, flights map[objectInCluster]bool) string {
	if len(lines) == 0 {
		return ""
	}
	h := sha256.New()
	for _, c := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(h, "%s\n%s\n", c, strings.Join(lines[c], "\n"))
	}
	var all []string
	for f := range flights {
		if have := g.hub.table.Observed(f.cluster, f.Key); have != nil {
			all = append(all, have.UID)
		}
	}
	slices.Sort(all)
	fmt.Fprint(h, strings.Join(all, "\n"))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// write keeps the ConfigMap of what waits.
func (g *deletionGuard) write(lines map[string][]string, flights map[objectInCluster]bool, now time.Time) {
	waitingDeletes.Set(float64(len(flights)))
	id := g.digest(lines, flights)
	f := objectInCluster{cluster: WaitingName}
	if id == g.written || g.hub.inFlight[f] || g.hub.waits(f, now) {
		return
	}
	if id == "" && now.Sub(g.began) < 2*strayPatience {
		return // what waited before this one began is only being found again
	}
	if id != "" {
		g.hub.Log.Warn(fmt.Sprintf("%d deletions wait for an operator: fedctl confirm shows them", len(flights)))
	}
	data := map[string]any{}
	for c, l := range lines {
		data[c] = strings.Join(l, "\n") + "\n"
	}
	g.hub.writer.put(f, g.hub.inFlight, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
		if id == "" {
			return nil, api.Delete(ctx, builtin.ConfigMaps, v1alpha1.System, WaitingName, "")
		}
		o := builtin.ConfigMaps.New(v1alpha1.System, WaitingName)
		o.SetAnnotations(map[string]string{v1alpha1.DigestOf: id})
		o.Object["data"] = data
		got, _, err := api.Apply(ctx, builtin.ConfigMaps, o, kube.How{Manager: agent, Force: true})
		return got, err
	}, func(f objectInCluster, _ *kube.Object, err error) {
		if g.hub.ended(f, err, err == nil, soonest) {
			g.hub.Log.Warn(fmt.Sprintf("federation's API: ConfigMap %s/%s: %v; trying again", v1alpha1.System, WaitingName, kube.Plain(err)))
		}
		if err == nil {
			g.written = id
		}
	})
}

// heard takes in the ConfigMap of what waits; nil: it is gone.
func (g *deletionGuard) heard(o *kube.Object) {
	g.written, g.confirmed = "", ""
	if o != nil {
		g.written, g.confirmed = o.GetAnnotations()[v1alpha1.DigestOf], o.GetAnnotations()[v1alpha1.Confirmed]
	}
}
