package controller

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/replicas"
	"github.com/fedns/fedns/internal/sync/workload"
)

// podsEvery is how often the pods of clusters are looked at in which something
// isn't ready. That they have no room is believed after a minute.
const podsEvery = 15 * time.Second

// A lookup is a workload whose pods are to be looked at.
type lookup struct {
	workload.Key
	selector    labels.Selector
	spec, ready int64
	narrow      bool // it had no room for all when it was last looked at
}

// pods looks for pods that no node has room for, in clusters in which a workload has
// fewer ready than it should: one call for all of a cluster's.
func (u *hub) pods(now time.Time) {
	by := map[string][]lookup{}
	u.table.Lagging(func(cluster string, w *workload.Desired, spec, ready int64, narrow bool) {
		if s, err := labels.Parse(w.PodSelector); err == nil && w.PodSelector != "" {
			by[cluster] = append(by[cluster], lookup{w.Key, s, spec, ready, narrow})
		}
	})
	for c, all := range by {
		m := u.members[c]
		if m == nil || m.looking || !m.reachable() {
			continue
		}
		m.looking = true
		var namespaces []string
		for _, p := range all {
			if !slices.Contains(namespaces, p.Namespace) {
				namespaces = append(namespaces, p.Namespace)
			}
		}
		u.pending(m, namespaces, func(pending []kube.Object, err error) {
			if m.looking = false; err != nil {
				return // it will be looked at again
			}
			waiting := map[string][]*kube.Object{}
			for i := range pending {
				if p := &pending[i]; !unschedulable(p.Object).IsZero() {
					waiting[p.GetNamespace()] = append(waiting[p.GetNamespace()], p)
				}
			}
			for _, p := range all {
				s := replicas.State{Spec: p.spec, Ready: p.ready}
				for _, o := range waiting[p.Namespace] {
					if p.selector.Matches(labels.Set(o.GetLabels())) {
						s.Pods = append(s.Pods, replicas.Pod{Unschedulable: unschedulable(o.Object)})
					}
				}
				if len(s.Pods) == 0 && !p.narrow {
					continue
				}
				for range p.ready {
					s.Pods = append(s.Pods, replicas.Pod{Running: true})
				}
				u.table.Pods(m.name, p.Key, s, now)
			}
		})
	}
}

// unschedulable is since when no node has room for a pod; zero: one has, or it is
// on its way out.
func unschedulable(o workload.Object) time.Time {
	metadata, _ := o["metadata"].(map[string]any)
	status, _ := o["status"].(map[string]any)
	if metadata["deletionTimestamp"] != nil {
		return time.Time{}
	}
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		since, _ := c["lastTransitionTime"].(string)
		if c["type"] == "PodScheduled" && c["status"] == "False" && c["reason"] == "Unschedulable" {
			if t, err := time.Parse(time.RFC3339, since); err == nil {
				return t
			}
		}
	}
	return time.Time{}
}
