package workload

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestFit is that a record which there is no room for loses its words first, and never where
// the object may be.
func TestFit(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := Record{UID: "u", Clusters: []Propagation{
		{Cluster: "eu", State: Failed, Error: strings.Repeat("x", 300), At: &at, Applied: "h"},
		{Cluster: "us", State: Applied, Why: "so", At: &at, Applied: "h", Scale: Scale{"replicas": 3}, Final: Object{"succeeded": int64(1)}},
	}, Conditions: []Condition{{Type: Propagated, Status: "False", Reason: "Failed", Message: "in eu", Since: at}}}
	full := len(r.String())
	sizes := map[string]bool{}
	for room := full; room >= 0; room-- {
		text, whole, ok := r.Fit(room)
		if whole != (room == full) || ok != (len(text) <= room) {
			t.Fatalf("in %d bytes: %d, whole %v, ok %v", room, len(text), whole, ok)
		}
		sizes[text] = true
		var back Record
		if err := json.Unmarshal([]byte(text), &back); err != nil || back.String() != text {
			t.Fatalf("%s is read as %s, %v", text, back.String(), err)
		}
		for i, s := range back.Clusters {
			was := r.Clusters[i]
			if s.Cluster != was.Cluster || s.State != was.State || s.Applied != was.Applied || s.Scale.String() != was.Scale.String() || (s.Final == nil) != (was.Final == nil) {
				t.Fatalf("in %d bytes it forgets: %s", room, text)
			}
		}
	}
	if len(sizes) != 3 {
		t.Errorf("%d forms: %v", len(sizes), sizes)
	}
	if got := room(map[string]string{"a": "bc", "fedns.io/status": "whatever"}); got != limit-3-len("fedns.io/status") {
		t.Errorf("there is room for %d", got)
	}
}
