package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

var (
	deploymentCounts  = []string{"replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"}
	replicaSetCounts  = []string{"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"}
	daemonSetCounts   = []string{"desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled", "numberReady", "updatedNumberScheduled", "numberAvailable", "numberUnavailable"}
	statefulSetCounts = []string{"replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"}
	autoscalerCounts  = []string{"currentReplicas", "desiredReplicas"}
	budgetCounts      = []string{"expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed"}
	jobFields         = []string{"active", "succeeded", "failed", "ready", "terminating", "startTime", "completionTime", "conditions", "completedIndexes", "failedIndexes"}
)

// Status is what a federated object's status should be; nil: as it is, or nothing
// to tell. all says that every cluster has what it should have of it.
func (t *Table) Status(k Key, all bool) Object {
	r := t.rows[k]
	w := r.desired
	if w == nil || w.Deleting || k.status == nil {
		return nil
	}
	now := k.Status(t.parts(r), w.Part.Status, w.Generation, all)
	for f, v := range now {
		if have := w.Part.Status[f]; !(blank(v) && blank(have)) && jsonOf(said(v)) != jsonOf(have) {
			return now
		}
	}
	return nil
}

// Omits says what of the clusters' statuses has no room in that of a federated object; "": all has.
func (t *Table) Omits(k Key) string {
	r := t.rows[k]
	if r.desired == nil || k.omits == nil {
		return ""
	}
	return k.omits(inOrder(t.parts(r)))
}

// parts are what the clusters say of an object.
func (t *Table) parts(r row) (parts []Part) {
	w := r.desired
	for c, h := range r.entries.haves() {
		if h.Ours && w.Balanced {
			p := h.Part
			p.Cluster = c
			parts = append(parts, p)
		}
	}
	for _, m := range t.members {
		if r.entries[m.Name].Have != nil {
			continue
		}
		v := View{Desired: w, Entries: r.entries}
		if f := v.final(m.Name); f != nil {
			parts = append(parts, Part{Cluster: m.Name, Status: f})
		}
	}
	return parts
}

// inOrder are parts that can be believed, in the order of the clusters' names.
func inOrder(parts []Part) []Part {
	parts = slices.Clone(parts)
	for i := range parts {
		parts[i].Status = sound(parts[i].Status)
	}
	slices.SortFunc(parts, func(a, b Part) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return parts
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

// Status puts the parts of the clusters together, in the order of their names; nil:
// there is nothing to tell of such objects. was is the status that the federated
// object of that generation has. all says that every cluster which should have it
// has it; that it was seen is said once their own controllers have.
func (s *FederatedKind) Status(parts []Part, was Object, generation int64, all bool) Object {
	if s.status == nil {
		return nil
	}
	parts = inOrder(parts)
	out := s.status(parts, was, all)
	if s.unseen {
		return out
	}
	for _, p := range parts {
		if seen, _ := number(p.Status, "observedGeneration"); seen < p.Generation {
			all = false // its controller hasn't looked yet
		}
	}
	if all && len(parts) > 0 {
		out["observedGeneration"] = generation
	}
	return out
}

// sums adds counts up.
func sums(fields ...string) func([]Part, Object, bool) map[string]any {
	return func(parts []Part, _ Object, _ bool) map[string]any {
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

// deployments adds the counts up, and says what those who wait for a Deployment go by:
// Available if it is so in every cluster, and Progressing as it is where it goes worst. The
// times are those of the clusters: when the last one came to be so, or the first one ceased to.
func deployments(parts []Part, was Object, all bool) map[string]any {
	out := sums(deploymentCounts...)(parts, was, all)
	conditions(out, was, available(parts, all), progressing(parts, all))
	return out
}

// replicaSets adds the counts up, and says why pods can't be made, if that is so anywhere.
func replicaSets(parts []Part, was Object, all bool) map[string]any {
	out := sums(replicaSetCounts...)(parts, was, all)
	conditions(out, was, worst(parts, "ReplicaFailure", "True"))
	return out
}

// statefulSets adds the counts up. Revisions have names that each cluster gives: those of
// one that has two tell that a rollout isn't over.
func statefulSets(parts []Part, was Object, all bool) map[string]any {
	out := sums(statefulSetCounts...)(parts, was, all)
	for _, p := range parts {
		now, next := p.Status["currentRevision"], p.Status["updateRevision"]
		if _, said := out["currentRevision"]; now != nil && next != nil && (!said || now != next) {
			out["currentRevision"], out["updateRevision"] = now, next
		}
	}
	return out
}

// autoscalers adds the counts up, and says what is the matter where it is worst: whether there
// is anything to scale by, and whether a bound is in the way.
func autoscalers(parts []Part, was Object, all bool) map[string]any {
	out := sums(autoscalerCounts...)(parts, was, all)
	conditions(out, was, worst(parts, "AbleToScale", "False"), worst(parts, "ScalingActive", "False"), worst(parts, "ScalingLimited", "True"))
	return out
}

// worst is a condition of the first cluster in which it is the bad one, which is named then, or
// else of the first that has it at all; nil: none has.
func worst(parts []Part, kind, bad string) map[string]any {
	var out map[string]any
	for _, p := range parts {
		switch c := conditionOf(p.Status, kind); {
		case c == nil:
		case c["status"] == bad:
			out = clone(c).(map[string]any)
			out["message"] = strings.TrimSuffix("in "+p.Cluster+": "+text(c, "message"), ": ")
			return out
		case out == nil:
			out = c
		}
	}
	return out
}

// conditions has a status have those conditions that there are.
func conditions(status, was Object, all ...map[string]any) {
	var out []any
	for _, c := range all {
		if c != nil {
			out = append(out, clone(c))
		}
	}
	replaceList(status, was, "conditions", out)
}

// replaceList has a status have a list in a field; an empty one takes away what was there.
func replaceList(status, was Object, field string, list []any) {
	switch {
	case len(list) > 0:
		status[field] = list
	case was[field] != nil:
		status[field] = nil // null takes away what a patch would leave
	}
}

// available is what the clusters say of whether enough pods are.
func available(parts []Part, all bool) map[string]any {
	c := joint{kind: "Available", status: "True", reason: "MinimumReplicasAvailable", message: "Deployment has minimum availability."}
	for _, p := range parts {
		if condition(p.Status, "Available") == nil {
			c.lacks = append(c.lacks, p.Cluster)
		}
	}
	switch {
	case len(c.lacks) > 0:
		c.status, c.reason, c.message = "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability in "+strings.Join(c.lacks, ", ")+"."
	case !all:
		c.status, c.reason, c.message = "False", "MinimumReplicasUnavailable", "Deployment is not in all clusters yet."
	}
	return c.of(parts)
}

// progressing is what they say of how the last change gets on.
func progressing(parts []Part, all bool) map[string]any {
	c := joint{kind: "Progressing", status: "True", reason: "NewReplicaSetAvailable", message: "Deployment has successfully progressed."}
	var stuck []string
	for _, p := range parts {
		switch m := conditionOf(p.Status, "Progressing"); {
		case m["status"] == "False":
			stuck = append(stuck, p.Cluster)
		case m["reason"] != "NewReplicaSetAvailable":
			c.lacks = append(c.lacks, p.Cluster)
		}
	}
	switch {
	case len(stuck) > 0:
		c.lacks = stuck
		c.status, c.reason, c.message = "False", "ProgressDeadlineExceeded", "Deployment has timed out progressing in "+strings.Join(stuck, ", ")+"."
	case len(c.lacks) > 0:
		c.reason, c.message = "ReplicaSetUpdated", "Deployment is progressing in "+strings.Join(c.lacks, ", ")+"."
	case !all:
		c.reason, c.message = "ReplicaSetUpdated", "Deployment is not in all clusters yet."
	}
	return c.of(parts)
}

// A joint condition is what those of several clusters come to.
type joint struct {
	kind, status, reason, message string
	lacks                         []string // clusters that it isn't so in
}

// of is the condition with the last of the times of those clusters that it is about; nil:
// their controllers haven't said anything yet.
func (c joint) of(parts []Part) map[string]any {
	out := map[string]any{"type": c.kind, "status": c.status, "reason": c.reason, "message": c.message}
	for _, p := range parts {
		if len(c.lacks) > 0 && !slices.Contains(c.lacks, p.Cluster) {
			continue
		}
		m := conditionOf(p.Status, c.kind)
		for _, field := range []string{"lastTransitionTime", "lastUpdateTime"} {
			if at, _ := m[field].(string); at > text(out, field) {
				out[field] = at
			}
		}
	}
	if out["lastTransitionTime"] == nil || out["lastUpdateTime"] == nil {
		return nil
	}
	return out
}

// conditionOf is the one of that type; nil: there is none.
func conditionOf(status Object, kind string) map[string]any {
	for _, c := range mapsOf(status["conditions"]) {
		if c["type"] == kind {
			return c
		}
	}
	return nil
}

// balancers is the union of the addresses of load balancers.
func balancers(parts []Part, _ Object, _ bool) map[string]any {
	var all []any
	seen := map[string]bool{}
	for _, p := range parts {
		for _, in := range mapsOf(at(p.Status, "loadBalancer", "ingress")) {
			if id := text(in, "ip") + " " + text(in, "hostname"); !seen[id] {
				seen[id] = true
				all = append(all, clone(in))
			}
		}
	}
	if len(all) == 0 {
		return map[string]any{"loadBalancer": map[string]any{"ingress": nil}} // null takes away what a patch would leave
	}
	return map[string]any{"loadBalancer": map[string]any{"ingress": all}}
}

// ended says whether a Job is complete or has failed.
func ended(status Object) bool {
	return condition(status, "Complete") != nil || condition(status, "Failed") != nil
}

// condition is the one of that type, if it is true.
func condition(status Object, kind string) map[string]any {
	for _, c := range mapsOf(status["conditions"]) {
		if c["type"] == kind && c["status"] == "True" {
			return c
		}
	}
	return nil
}

// jobs adds the counts up. A Job is about to fail when a cluster's has failed, and
// has failed when nothing of it runs any more; it is complete when all are.
//
// An API server lets no Job say what can't be: counts don't fall, a start doesn't
// move, and one that has ended stays so.
func jobs(parts []Part, was Object, all bool) map[string]any {
	if ended(was) {
		return was
	}
	out := sums("active", "succeeded", "failed", "ready", "terminating")(parts, was, all)
	for _, f := range []string{"succeeded", "failed"} {
		if before, _ := number(was, f); before > out[f].(int64) {
			out[f] = before // by a cluster that has left
		}
	}
	if len(parts) == 1 {
		for _, f := range []string{"completedIndexes", "failedIndexes"} {
			if v, ok := parts[0].Status[f]; ok {
				out[f] = v // of two they would be the same ones twice
			}
		}
	}
	started, completed := text(was, "startTime"), ""
	var broken map[string]any
	running, first := len(parts) == 0, ""
	var done map[string]any
	for _, p := range parts {
		if t := text(p.Status, "startTime"); t != "" && (first == "" || t < first) {
			first = t
		}
		completed = max(completed, text(p.Status, "completionTime"))
		if c := condition(p.Status, "Failed"); c != nil && broken == nil {
			broken = c
		}
		if c := condition(p.Status, "Complete"); c != nil {
			done = c
		}
		running = running || !ended(p.Status)
	}
	if started = cmp.Or(started, first); started == "" {
		return out
	}
	out["startTime"] = started
	// Before it ends, a Job says that it is about to.
	switch {
	case broken != nil && (running || !all):
		out["conditions"] = []any{as(broken, "FailureTarget")}
	case broken != nil:
		out["conditions"] = []any{as(broken, "FailureTarget"), as(broken, "Failed")}
	case all && !running && completed != "":
		out["conditions"] = []any{as(done, "SuccessCriteriaMet"), as(done, "Complete")}
		out["completionTime"] = completed
	}
	return out
}

// as is a condition under another type.
func as(c map[string]any, kind string) any {
	out := clone(c).(map[string]any)
	out["type"] = kind
	return out
}

// schedules is when a CronJob ran last, and what of it runs now.
func schedules(parts []Part, was Object, _ bool) map[string]any {
	out := map[string]any{}
	for _, f := range []string{"lastScheduleTime", "lastSuccessfulTime"} {
		for _, p := range parts {
			if at := text(p.Status, f); at > text(out, f) {
				out[f] = at
			}
		}
	}
	var active []any
	for _, p := range parts {
		for _, a := range mapsOf(p.Status["active"]) {
			active = append(active, clone(a))
		}
	}
	replaceList(out, was, "active", active)
	return out
}

// claims is how those of a PersistentVolumeClaim stand together: Bound when all are, Lost when one
// is, and of the size that each has at least.
func claims(parts []Part, _ Object, all bool) map[string]any {
	if len(parts) == 0 {
		return map[string]any{}
	}
	phase := "Bound"
	if !all {
		phase = "Pending"
	}
	var least Object
	for _, p := range parts {
		switch s := text(p.Status, "phase"); {
		case s == "Lost" || phase == "Lost":
			phase = "Lost"
		case s != "Bound":
			phase = "Pending"
		}
		if size := text(p.Status, "capacity", "storage"); size != "" && (least == nil || less(size, text(least, "capacity", "storage"))) {
			least = p.Status
		}
	}
	out := map[string]any{"phase": phase}
	if phase == "Bound" && least != nil {
		out["capacity"] = map[string]any{"storage": text(least, "capacity", "storage")}
		if modes := least["accessModes"]; modes != nil {
			out["accessModes"] = clone(modes)
		}
	}
	return out
}

// less compares quantities; what isn't one is no less than anything.
func less(a, b string) bool {
	x, err := resource.ParseQuantity(a)
	y, err2 := resource.ParseQuantity(b)
	return err == nil && err2 == nil && x.Cmp(y) < 0
}

// quotas are what all clusters together may have, and have: each has the whole quota.
func quotas(parts []Part, _ Object, _ bool) map[string]any {
	out := map[string]any{}
	for _, f := range []string{"hard", "used"} {
		sums := map[string]any{}
		for _, p := range parts {
			for name, v := range object(p.Status, f) {
				n, err := resource.ParseQuantity(fmt.Sprint(v))
				if err != nil {
					continue // no API server has it so
				}
				if was, ok := sums[name].(string); ok {
					n.Add(resource.MustParse(was))
				}
				sums[name] = n.String()
			}
		}
		if len(sums) > 0 {
			out[f] = sums
		}
	}
	return out
}
