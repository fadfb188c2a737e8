package workload

import "testing"

// What is counted of an object in a cluster is what its controller has counted for the last change.
func TestTally(t *testing.T) {
	for _, tt := range []struct {
		kind, standing, there string // there: generation, status
		desired, ready        int64
		counted               bool
	}{
		{"Deployment", `{"replicas": 3}`, `{"observedGeneration": 1, "readyReplicas": 2}`, 3, 2, true},
		{"Deployment", `{"replicas": 1}`, `{"observedGeneration": 1, "readyReplicas": 2}`, 1, 1, true}, // those that are too many
		{"Deployment", `{"replicas": 3}`, `{"observedGeneration": 0, "readyReplicas": 2}`, 3, 0, true},
		{"Deployment", `{"replicas": 3}`, ``, 3, 0, true},
		{"DaemonSet", `{}`, `{"observedGeneration": 1, "desiredNumberScheduled": 5, "numberReady": 4}`, 5, 4, true},
		{"Job", `{"completions": 4, "parallelism": 2}`, `{"succeeded": 3}`, 4, 3, true},
		{"Job", `{"parallelism": 2}`, `{"succeeded": 1}`, 2, 1, true},
		{"ConfigMap", `{}`, `{}`, 0, 0, false},
		{"HorizontalPodAutoscaler", `{"minReplicas": 1, "maxReplicas": 3}`, `{}`, 0, 0, false},
	} {
		w := &Desired{Key: Key{FederatedKind: kind(t, tt.kind)}}
		s := Propagation{Scale: Scale{}}
		for f := range parse(t, tt.standing) {
			s.Scale[f], _ = number(parse(t, tt.standing), f)
		}
		var h *Observed
		if tt.there != "" {
			h = &Observed{Ours: true, Part: Part{Generation: 1, Status: parse(t, tt.there)}}
		}
		if desired, ready, ok := w.Tally(s, h); desired != tt.desired || ready != tt.ready || ok != tt.counted {
			t.Errorf("%s %s with %s counts %d of %d, %v", tt.kind, tt.standing, tt.there, ready, desired, ok)
		}
	}
}
