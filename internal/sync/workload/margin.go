package workload

import (
	"maps"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/sync/replicas"
)

// A margin is how many pods of all may be missing, or too many, as a number: the surge of a
// rollout, the budget of disruptions. Each cluster has its part, by its part of the pods: of
// two clusters that take one pod away each, two are gone. What is said in percent is right
// as it is.

// integers are those fields of a spec that are whole numbers; nil: none is. "" is no field.
func integers(o Object, paths ...string) (out Scale) {
	for _, path := range paths {
		if n, ok := number(o, under(path)...); ok {
			if out == nil {
				out = Scale{}
			}
			out[path] = n
		}
	}
	return out
}

// under is where a field of the spec is, whose path is written with dots.
func under(path string) []string { return append([]string{"spec"}, strings.Split(path, ".")...) }

// remove takes a field out of a spec, and leaves what it was in.
func remove(o Object, path string) {
	all := under(path)
	delete(object(o, all[:len(all)-1]...), all[len(all)-1])
}

// put writes a field into a spec.
func put(o Object, path string, n int64) {
	all := under(path)
	inner(o, all)[all[len(all)-1]] = n
}

// margins are scales with each cluster's part of the margins. weights are the pods that
// each is to have.
func (v *View) margins(scales map[string]Scale, weights map[string]int64) map[string]Scale {
	parts := map[string]map[string]int64{}
	for path, n := range v.Margins {
		parts[path] = replicas.Portions(n, weights, v.Desired.Namespace+"/"+v.Name)
	}
	out := maps.Clone(scales)
	for c := range weights {
		part := Scale{}
		for path := range v.Margins {
			part[path] = parts[path][c]
		}
		if v.FederatedKind.floor != nil {
			v.FederatedKind.floor(part, v.Margins, v.Loose)
		}
		out[c] = maps.Clone(scales[c])
		if out[c] == nil {
			out[c] = Scale{}
		}
		maps.Copy(out[c], part)
	}
	return out
}

const (
	surge       = "strategy.rollingUpdate.maxSurge"
	missing     = "strategy.rollingUpdate.maxUnavailable"
	unavailable = "maxUnavailable"
)

// rolls has a rollout go on everywhere: with no pod too many and none missing it can't, and
// no API server takes that. Of the two, one too many costs less.
func rolls(part, whole Scale, loose bool) {
	switch {
	case loose || part[surge]+part[missing] > 0:
	case whole[surge] > 0:
		part[surge] = 1
	case whole[missing] > 0:
		part[missing] = 1
	}
}

// yields has a budget let one pod go in every cluster, if it lets any go: nodes of one that
// never does can't be drained.
func yields(part, whole Scale, _ bool) {
	if whole[unavailable] > 0 {
		part[unavailable] = max(part[unavailable], 1)
	}
}

// guarded are the pods that a budget of disruptions speaks of, in each cluster, by the plans
// of the federated workloads that it selects; where there are none, it is the same for all
// clusters.
func (t *Table) guarded(w *Desired) map[string]int64 {
	out := map[string]int64{}
	for k := range t.inside[w.Key.Namespace] {
		o := t.Desired(k)
		if !k.Workload() || o.Deleting || !w.guards(o) {
			continue
		}
		v := t.view(o)
		for c, n := range v.pods() {
			out[c] += n
		}
	}
	return out
}

// pods are how many each cluster is to have of a workload: of one that is scaled, as many as
// it may have.
func (v *View) pods() map[string]int64 {
	out := map[string]int64{}
	for c, s := range v.shares(v.decide()) {
		out[c] = s["replicas"]
	}
	if v.Autoscaler == nil {
		return out
	}
	if a := v.Autoscaler(); a != nil {
		ranges := a.shares(a.decide())
		for c := range out {
			out[c] = ranges[c]["maxReplicas"]
		}
	}
	return out
}

// guards says whether a budget speaks of the pods of a workload.
func (w *Desired) guards(o *Desired) bool {
	for key, want := range texts(w.Selects, "matchLabels") {
		if have, ok := o.PodLabels[key]; !ok || have != want {
			return false
		}
	}
	for _, e := range mapsOf(w.Selects["matchExpressions"]) {
		have, there := o.PodLabels[text(e, "key")]
		values, _ := e["values"].([]any)
		in := there && slices.Contains(values, any(have))
		switch e["operator"] {
		case "In":
			there = in
		case "NotIn":
			there = !in
		case "DoesNotExist":
			there = !there
		}
		if !there {
			return false
		}
	}
	return true
}
