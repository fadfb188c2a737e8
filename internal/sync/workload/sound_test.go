package workload

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Whatever a cluster says of its copy, the status that is put together of all is one that an API takes, and has what the others say.
func TestHostileStatuses(t *testing.T) {
	const honest = `{"observedGeneration":1,"replicas":3,"readyReplicas":3,"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}`
	var many []string
	for i := range 100_000 {
		many = append(many, fmt.Sprintf(`{"ip":"10.%d.%d.%d"}`, i>>16, i>>8&255, i&255))
	}
	for _, test := range []struct{ name, kind, says, want string }{
		{"fewer than none", "ReplicaSet", `{"observedGeneration":1,"replicas":-1000}`, `{"availableReplicas":0,"fullyLabeledReplicas":0,"observedGeneration":7,"readyReplicas":3,"replicas":3}`},
		{"more than can be", "ReplicaSet", `{"observedGeneration":1,"replicas":9223372036854775807,"readyReplicas":1e300}`, `{"availableReplicas":0,"fullyLabeledReplicas":0,"observedGeneration":7,"readyReplicas":3,"replicas":1000003}`},
		{"no number", "ReplicaSet", `{"observedGeneration":1,"replicas":"x"}`, `{"availableReplicas":0,"fullyLabeledReplicas":0,"observedGeneration":7,"readyReplicas":3,"replicas":3}`},
		{"a condition that is none", "ReplicaSet", `{"observedGeneration":1,"conditions":[{"type":"ReplicaFailure","status":"Perhaps"},{"type":"ReplicaFailure","status":"True","lastTransitionTime":"yesterday"}]}`,
			`{"availableReplicas":0,"fullyLabeledReplicas":0,"observedGeneration":7,"readyReplicas":3,"replicas":3}`},
		{"addresses that are none", "Service", `{"loadBalancer":{"ingress":[{"ip":"999.1.1.1"},{"hostname":"A B"},{"ip":"192.0.2.9","ipMode":"x"},{"ip":"192.0.2.7"}]}}`, `{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"},{"ip":"192.0.2.1"}]}}`},
		{"addresses without end", "Service", `{"loadBalancer":{"ingress":[` + strings.Join(many, ",") + `]}}`, `{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}`},
		{"a text without end", "ReplicaSet", `{"conditions":[{"type":"ReplicaFailure","status":"True","message":"` + strings.Repeat("x", 1<<20) + `"}]}`, `{"availableReplicas":0,"fullyLabeledReplicas":0,"readyReplicas":3,"replicas":3}`},
		{"an end that was never", "Job", `{"startTime":"2026-01-02T00:00:00Z","completionTime":"soon","conditions":[{"type":"Complete","status":"True"}]}`, `{"active":0,"failed":0,"ready":0,"startTime":"2026-01-02T00:00:00Z","succeeded":0,"terminating":0}`},
	} {
		var parts []Part
		for cluster, says := range map[string]string{"evil": test.says, "good": honest} {
			if test.kind == "Job" && cluster == "good" {
				continue
			}
			parts = append(parts, Part{Cluster: cluster, Generation: 1, Status: parse(t, says)})
		}
		began := time.Now()
		if got := jsonOf(kind(t, test.kind).Status(parts, Object{}, 7, true)); got != test.want {
			t.Errorf("%s:\ngot  %.300s\nwant %s", test.name, got, test.want)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: %v", test.name, took)
		}
	}
}
