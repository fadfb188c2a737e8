package fedsync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/workload"
)

// gather is how long deletions wait for others of the same pass: a script that
// deletes what it shouldn't makes many calls.
const gather = 500 * time.Millisecond

// window is how long a deletion counts.
const window = time.Minute

// Deletions that wait are listed in a ConfigMap, for an operator to see. What has
// been confirmed is written there as an annotation.
const (
	waitingName    = "fedsync-waiting"
	digestOf       = "fedns.io/digest"
	confirmed      = "fedns.io/confirmed"
	strayPatience  = 10 * time.Second // an object whose federated one hasn't come by then has none
	waitingRewrite = time.Second      // a list that grows isn't written for each line
)

var configMaps = fedapi.Kind{Version: "v1", Name: "ConfigMap", Resource: "configmaps", Namespaced: true}

// A gate lets deletions through, unless there are too many at once.
type gate struct {
	*loop
	waiting map[flight]waiting
	done    map[string][]time.Time // by cluster
	allowed map[flight]bool
	strays  map[flight]time.Time // when first seen
	written string               // digest of what is in the ConfigMap, as far as is known
	heardOf bool
	at      time.Time
}

type waiting struct {
	step  workload.Step
	since time.Time
	held  bool
}

func (g *gate) init(l *loop) {
	*g = gate{loop: l, waiting: map[flight]waiting{}, done: map[string][]time.Time{}, allowed: map[flight]bool{}, strays: map[flight]time.Time{}}
}

func (g *gate) add(s workload.Step, now time.Time) {
	f := flight{s.Cluster, s.Key}
	if w, ok := g.waiting[f]; ok {
		w.step = s
		g.waiting[f] = w
		return
	}
	g.waiting[f] = waiting{step: s, since: now}
}

// clear takes back what was to be deleted under a key: the plan is made anew.
func (g *gate) clear(k workload.Key) {
	for c := range g.members {
		f := flight{c, k}
		if w, ok := g.waiting[f]; ok && !w.held {
			w.step = workload.Step{}
			g.waiting[f] = w
		} else if ok {
			w.step = workload.Step{}
			g.waiting[f] = w
		}
	}
}

func (g *gate) leave(cluster string) {
	for f := range g.waiting {
		if f.cluster == cluster {
			delete(g.waiting, f)
		}
	}
	delete(g.done, cluster)
}

// holds says whether a deletion waits for an operator.
func (g *gate) holds(f flight) bool { return g.waiting[f].held }

// spent counts a deletion that was carried out.
func (g *gate) spent(cluster string, now time.Time) {
	g.done[cluster] = append(g.done[cluster], now)
}

// pass lets go what may go.
func (g *gate) pass(now time.Time) {
	by := map[string][]flight{}
	for f, w := range g.waiting {
		if w.step.Verb == "" { // the last plan doesn't ask for it any more
			delete(g.waiting, f)
			continue
		}
		by[f.cluster] = append(by[f.cluster], f)
	}
	for c, all := range by {
		g.done[c] = slices.DeleteFunc(g.done[c], func(t time.Time) bool { return now.Sub(t) > window })
		oldest := now
		fresh := 0
		for _, f := range all {
			if w := g.waiting[f]; w.since.Before(oldest) {
				oldest = w.since
			}
			if !g.allowed[f] {
				fresh++
			}
		}
		open := now.Sub(oldest) >= gather && fresh+len(g.done[c]) <= g.MaxDeletes
		for _, f := range all {
			w := g.waiting[f]
			switch {
			case open || g.allowed[f]:
				delete(g.waiting, f)
				delete(g.allowed, f)
				g.launch(w.step)
			case now.Sub(oldest) >= gather && !w.held:
				w.held = true
				g.waiting[f] = w
				g.table.Touch(f.Key)
			}
		}
	}
	g.look(now)
	g.write(now)
}

// look finds objects of ours that no federated object asks for. Nothing is done
// about them unless an operator says so: the federation's API may have lost its
// memory, and they are all there is left.
func (g *gate) look(now time.Time) {
	there := map[flight]string{}
	for _, s := range g.table.Strays() {
		m := g.members[s.Cluster]
		if m == nil || !m.listed[s.Sort] || !m.pulse.reachable() {
			continue
		}
		there[flight{s.Cluster, s.Key}] = s.UID
	}
	for f := range g.strays {
		if there[f] == "" {
			delete(g.strays, f)
		}
	}
	for f, uid := range there {
		since, ok := g.strays[f]
		if !ok {
			g.strays[f] = now
			continue
		}
		if now.Sub(since) > strayPatience && g.allowed[f] && !g.flights[f] {
			delete(g.allowed, f)
			g.launch(workload.Step{Cluster: f.cluster, Key: f.Key, Verb: workload.Delete, UID: uid, Why: "no federated object of that name is there, and an operator has confirmed it"})
		}
	}
}

// list is what waits, as people read it, by cluster.
func (g *gate) list(now time.Time) (lines map[string][]string, flights map[flight]bool) {
	lines, flights = map[string][]string{}, map[flight]bool{}
	for f, w := range g.waiting {
		if w.held && !g.allowed[f] {
			flights[f] = true
			lines[f.cluster] = append(lines[f.cluster], f.Key.String()+": "+w.step.Why)
		}
	}
	for f, since := range g.strays {
		if now.Sub(since) > strayPatience && !g.allowed[f] && !g.flights[f] {
			flights[f] = true
			lines[f.cluster] = append(lines[f.cluster], f.Key.String()+": no federated object of that name is there")
		}
	}
	for c := range lines {
		slices.Sort(lines[c])
	}
	return lines, flights
}

func digest(lines map[string][]string) string {
	if len(lines) == 0 {
		return ""
	}
	h := sha256.New()
	for _, c := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(h, "%s\n%s\n", c, strings.Join(lines[c], "\n"))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// write keeps the ConfigMap of what waits.
func (g *gate) write(now time.Time) {
	lines, flights := g.list(now)
	waitingDeletes.Set(float64(len(flights)))
	id := digest(lines)
	f := flight{cluster: waitingName}
	if id == g.written || now.Sub(g.at) < waitingRewrite || g.flights[f] {
		return
	}
	g.at = now
	if id != "" {
		g.Log.Warn(fmt.Sprintf("%d deletions wait for an operator: fedctl confirm shows them", len(flights)))
	}
	data := map[string]any{}
	for c, l := range lines {
		data[c] = strings.Join(l, "\n") + "\n"
	}
	g.desk.put(f, g.flights, func(ctx context.Context) error {
		if id == "" {
			return g.api.Delete(ctx, configMaps, fedapi.System, waitingName, "")
		}
		o := configMaps.New(fedapi.System, waitingName)
		o.SetAnnotations(map[string]string{digestOf: id})
		o.Object["data"] = data
		_, _, err := g.api.Apply(ctx, configMaps, o, kube.How{Manager: agent, Force: true})
		return err
	}, func(f flight, err error) {
		delete(g.flights, f)
		if err != nil {
			g.Log.Warn(fmt.Sprintf("federation's API: ConfigMap %s/%s: %v; trying again", fedapi.System, waitingName, err))
			return
		}
		g.written = id
	})
}

// heard takes in a ConfigMap of federation-system; nil: it is gone.
func (g *gate) heard(name string, o *kube.Object) {
	if name != waitingName {
		return
	}
	if o == nil {
		g.written = ""
		return
	}
	annotations := o.GetAnnotations()
	g.written = annotations[digestOf]
	if annotations[confirmed] == "" {
		return
	}
	lines, flights := g.list(time.Now())
	if annotations[confirmed] != digest(lines) {
		return // of another list than the one that waits
	}
	g.Log.Info(fmt.Sprintf("%d deletions have been confirmed", len(flights)))
	for f := range flights {
		g.allowed[f] = true
		g.table.Touch(f.Key)
	}
}
