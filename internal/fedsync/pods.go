package fedsync

import (
	"context"
	"time"

	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/replica"
	"github.com/fedns/fedns/internal/workload"
)

// podsEvery is how often the pods of workloads that aren't ready are looked at.
// That they have no room is believed after a minute.
const podsEvery = 15 * time.Second

var podKind = fedapi.Kind{Version: "v1", Name: "Pod", Resource: "pods", Namespaced: true}

// A lookup is a workload whose pods are to be looked at.
type lookup struct {
	workload.Key
	selector    string
	spec, ready int64
}

// pods looks at the pods of what has fewer ready than it should.
func (l *loop) pods(ctx context.Context, now time.Time) {
	by := map[string][]lookup{}
	l.table.Behind(func(cluster string, w *workload.Want, spec, ready int64) {
		if w.PodSelector != "" {
			by[cluster] = append(by[cluster], lookup{w.Key, w.PodSelector, spec, ready})
		}
	})
	for c, all := range by {
		m := l.members[c]
		if m == nil || m.looking || !m.pulse.reachable() {
			continue
		}
		m.looking = true
		l.wg.Go(func() {
			for _, p := range all {
				list, err := m.api.List(m.ctx, podKind, p.Namespace, p.selector)
				if err != nil {
					break // it will be looked at again
				}
				s := replica.State{Spec: p.spec, Ready: p.ready}
				for i := range list {
					if pod, ok := podOf(list[i].Object); ok {
						s.Pods = append(s.Pods, pod)
					}
				}
				m.tell(func() { m.table.Pods(m.name, p.Key, s, now) })
			}
			m.tell(func() { m.looking = false })
		})
	}
}

// podOf is what counts of a pod; false: it is on its way out, or over.
func podOf(o workload.Object) (p replica.Pod, ok bool) {
	metadata, _ := o["metadata"].(map[string]any)
	status, _ := o["status"].(map[string]any)
	if metadata["deletionTimestamp"] != nil || status["phase"] == "Succeeded" || status["phase"] == "Failed" {
		return p, false
	}
	p.Running = status["phase"] == "Running"
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		if c["type"] == "PodScheduled" && c["status"] == "False" && c["reason"] == "Unschedulable" {
			if t, err := time.Parse(time.RFC3339, textOf(c["lastTransitionTime"])); err == nil {
				p.Unschedulable = t
			}
		}
	}
	return p, true
}

func textOf(v any) string { s, _ := v.(string); return s }
