package workload

import (
	"cmp"
	"slices"
)

var (
	deploymentCounts = []string{"replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"}
	replicaSetCounts = []string{"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"}
	daemonSetCounts  = []string{"desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled", "numberReady", "updatedNumberScheduled", "numberAvailable", "numberUnavailable"}
	jobFields        = []string{"active", "succeeded", "failed", "ready", "startTime", "completionTime", "conditions"}
)

// Status puts the parts of the clusters together, in the order of their names; nil:
// there is nothing to tell of such objects. current says that every cluster has
// what the federated object of that generation asks for.
func (s *Sort) Status(parts []Part, generation int64, current bool) Object {
	if s.status == nil {
		return nil
	}
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b Part) int { return cmp.Compare(a.Cluster, b.Cluster) })
	out := s.status(parts)
	if s.Kind.Name == "Service" || s.Kind.Name == "Ingress" || s.Kind.Name == "Job" {
		return out
	}
	for _, p := range parts {
		if seen, _ := number(p.Status, "observedGeneration"); seen < p.Generation {
			current = false // its controller hasn't looked yet
		}
	}
	if current {
		out["observedGeneration"] = generation
	}
	return out
}

// sums adds counts up.
func sums(fields ...string) func([]Part) map[string]any {
	return func(parts []Part) map[string]any {
		out := map[string]any{}
		for _, f := range fields {
			var sum int64
			for _, p := range parts {
				n, _ := number(p.Status, f)
				sum += n
			}
			out[f] = sum
		}
		return out
	}
}

// balancers is the union of the addresses of load balancers.
func balancers(parts []Part) map[string]any {
	all := []any{}
	var seen []string
	for _, p := range parts {
		for _, in := range mapsOf(at(p.Status, "loadBalancer", "ingress")) {
			if id := text(in, "ip") + " " + text(in, "hostname"); !slices.Contains(seen, id) {
				seen = append(seen, id)
				all = append(all, clone(in))
			}
		}
	}
	if len(all) == 0 {
		return map[string]any{"loadBalancer": map[string]any{}}
	}
	return map[string]any{"loadBalancer": map[string]any{"ingress": all}}
}

// jobs adds the counts up. A Job has failed when a cluster's has, and is complete
// when all are.
func jobs(parts []Part) map[string]any {
	out := sums("active", "succeeded", "failed", "ready")(parts)
	var started, completed string
	var done, broken []map[string]any
	for _, p := range parts {
		if t := text(p.Status, "startTime"); t != "" && (started == "" || t < started) {
			started = t
		}
		completed = max(completed, text(p.Status, "completionTime"))
		for _, c := range mapsOf(p.Status["conditions"]) {
			if c["status"] != "True" {
				continue
			}
			switch c["type"] {
			case "Complete":
				done = append(done, c)
			case "Failed":
				broken = append(broken, c)
			}
		}
	}
	if started != "" {
		out["startTime"] = started
	}
	// The API server wants to see that a Job was about to end before it ends.
	switch {
	case len(broken) > 0:
		out["conditions"] = []any{ending(broken[0], "FailureTarget"), clone(broken[0])}
	case len(parts) > 0 && len(done) == len(parts):
		out["conditions"] = []any{ending(done[0], "SuccessCriteriaMet"), clone(done[0])}
		out["completionTime"] = completed
	}
	return out
}

func ending(c map[string]any, as string) any {
	e := clone(c).(map[string]any)
	e["type"] = as
	return e
}
