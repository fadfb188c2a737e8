package registry

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/override"
)

// Facts are what is known of a member, for its Cluster object.
type facts struct {
	report.Cluster
	wrong   map[string]string // in its spec, by field
	fedsync bool              // there is one, which writes Ready, Offline, region and zones
	drain   bool              // spec.drain holds
}

// An event is what kubectl describe shows of a Cluster's past.
type event struct {
	reason, message string
	warning         bool
	since           time.Time // when what was so before had begun; zero: nothing was
}

// condition makes one as it is now. Since when stays, if its status does.
func condition(was []v1alpha1.Condition, kind string, status metav1.ConditionStatus, reason, message string, now time.Time) v1alpha1.Condition {
	c := v1alpha1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.Time{Time: now.UTC().Truncate(time.Second)}}
	if i := find(was, kind); i >= 0 && was[i].Status == status {
		c.LastTransitionTime = was[i].LastTransitionTime
	}
	return c
}

func find(list []v1alpha1.Condition, kind string) int {
	return slices.IndexFunc(list, func(c v1alpha1.Condition) bool { return c.Type == kind })
}

// describe gives how a member stands as the status that fedns writes of it, and what has
// happened since the status that it had.
func describe(was v1alpha1.ClusterStatus, f facts, now time.Time) (next v1alpha1.ClusterStatus, events []event) {
	add := func(kind string, status metav1.ConditionStatus, reason, message string) {
		next.Conditions = append(next.Conditions, condition(was.Conditions, kind, status, reason, message, now))
	}
	var wrong []string
	for name, why := range f.wrong {
		wrong = append(wrong, name+": "+why)
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		add(v1alpha1.Valid, metav1.ConditionFalse, "Invalid", strings.Join(wrong, "; "))
	} else {
		add(v1alpha1.Valid, metav1.ConditionTrue, "Valid", "")
	}
	ready, why := "Ready", "fedns hears from its API"
	switch {
	case f.Silent:
		ready, why = "Offline", "fedns doesn't hear from its API"
		add(v1alpha1.Heard, metav1.ConditionFalse, "Silent", why)
	case !f.Listed:
		ready, why = "NotListed", "fedns hasn't had all of its objects yet"
		add(v1alpha1.Heard, metav1.ConditionUnknown, "NotListed", why)
	default:
		add(v1alpha1.Heard, metav1.ConditionTrue, "Heard", why)
	}
	drained, until := drainedBy(f.Order, f.Cluster.Cluster)
	switch {
	case drained:
		add(v1alpha1.Drained, metav1.ConditionTrue, "Drained", until)
	case f.drain && f.Order != "":
		add(v1alpha1.Drained, metav1.ConditionFalse, v1alpha1.Overruled, "a later order counts: "+f.Order)
	default:
		add(v1alpha1.Drained, metav1.ConditionFalse, "NotDrained", "")
	}
	if !f.fedsync {
		status, offline := metav1.ConditionTrue, metav1.ConditionFalse
		switch {
		case f.Silent:
			status, offline = metav1.ConditionFalse, metav1.ConditionTrue
		case !f.Listed:
			status, offline = metav1.ConditionUnknown, metav1.ConditionUnknown
		}
		add(v1alpha1.Offline, offline, ready, why)
		if drained {
			ready += v1alpha1.AndDrained
		}
		add(v1alpha1.Ready, status, ready, why)
		next.Region, next.Zones = where(f.Places)
		if len(f.Places) == 0 { // as it was when that was known
			next.Region, next.Zones = was.Region, was.Zones
		}
	}
	up, all := 0, 0
	for _, t := range f.Shards {
		all += t.Count
		if t.Verdict == "up" {
			up += t.Count
		}
	}
	next.Shards = fmt.Sprintf("%d/%d", up, all)
	if !f.Listed {
		next.Shards = was.Shards
	}
	return next, happened(was.Conditions, next.Conditions)
}

// drainedBy reads the order about a cluster that counts.
func drainedBy(line, cluster string) (drained bool, until string) {
	all, err := override.Parse(line)
	if err != nil || len(all) != 1 || all[0].Action != override.Drain && all[0].Action != override.Down {
		return false, ""
	}
	until = "until taken back"
	if o := all[0]; !o.Until.IsZero() {
		until = "until " + o.Until.UTC().Format(time.RFC3339)
	}
	reason := all[0].Reason
	if reason == drainMark(cluster) {
		return true, until
	}
	return true, until + ": " + strings.TrimSuffix(reason, " ("+drainMark(cluster)+")")
}

// where is the region and the zones of places.
func where(places []report.Place) (region string, zones []string) {
	var regions []string
	for _, p := range places {
		if p.Region != "" && !slices.Contains(regions, p.Region) {
			regions = append(regions, p.Region)
		}
		if p.Zone != "" && !slices.Contains(zones, p.Zone) {
			zones = append(zones, p.Zone)
		}
	}
	slices.Sort(regions)
	slices.Sort(zones)
	return strings.Join(regions, ","), zones
}

// happened tells the differences between two sets of conditions as events.
func happened(was, is []v1alpha1.Condition) (out []event) {
	state := func(list []v1alpha1.Condition, kind string) (metav1.ConditionStatus, string, time.Time) {
		if i := find(list, kind); i >= 0 {
			return list[i].Status, list[i].Message, list[i].LastTransitionTime.Time
		}
		return "", "", time.Time{}
	}
	before, _, since := state(was, v1alpha1.Valid)
	after, why, _ := state(is, v1alpha1.Valid)
	if before == "" {
		out = append(out, event{"Joined", "it is a member of the federation", false, since})
	}
	if after == metav1.ConditionFalse && before != after {
		out = append(out, event{"Invalid", why, true, since})
	}
	before, _, since = state(was, v1alpha1.Heard)
	switch after, why, _ = state(is, v1alpha1.Heard); {
	case after == metav1.ConditionFalse && before != after:
		out = append(out, event{"Offline", why, true, since})
	case after == metav1.ConditionTrue && before == metav1.ConditionFalse:
		out = append(out, event{"Online", why, false, since})
	}
	before, _, since = state(was, v1alpha1.Drained)
	switch after, why, _ = state(is, v1alpha1.Drained); {
	case after == metav1.ConditionTrue && before != after:
		out = append(out, event{"Drained", why, false, since})
	case after == metav1.ConditionFalse && before == metav1.ConditionTrue:
		out = append(out, event{"Undrained", "it is answered with again, as far as it is up", false, since})
	}
	return out
}

// differs says how much there is to write: nothing, what can wait, or what can't.
func differs(was, next v1alpha1.ClusterStatus) (any, urgent bool) {
	for _, c := range next.Conditions {
		i := find(was.Conditions, c.Type)
		if i < 0 || was.Conditions[i].Status != c.Status || was.Conditions[i].Reason != c.Reason || was.Conditions[i].Message != c.Message {
			return true, true
		}
	}
	owned := find(next.Conditions, v1alpha1.Ready) >= 0
	return was.Shards != next.Shards || owned && (was.Region != next.Region || !slices.Equal(was.Zones, next.Zones)), was.Shards == ""
}

// written is a status as it is applied.
func written(s v1alpha1.ClusterStatus) map[string]any {
	var conditions []any
	for _, c := range s.Conditions {
		conditions = append(conditions, map[string]any{"type": c.Type, "status": string(c.Status), "reason": c.Reason, "message": c.Message, "lastTransitionTime": c.LastTransitionTime.UTC().Format(time.RFC3339)})
	}
	out := map[string]any{"conditions": conditions}
	if s.Shards != "" {
		out["shards"] = s.Shards
	}
	if s.Region != "" {
		out["region"] = s.Region
	}
	if len(s.Zones) > 0 {
		zones := make([]any, len(s.Zones))
		for i, z := range s.Zones {
			zones[i] = z
		}
		out["zones"] = zones
	}
	return out
}
