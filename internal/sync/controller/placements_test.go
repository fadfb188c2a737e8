package controller

import (
	"testing"

	"github.com/fedns/fedns/internal/sync/workload"
)

// What a Placement gives as why is what somebody can do something about.
func TestCause(t *testing.T) {
	warn := func(text string) workload.Note { return workload.Note{Warning: true, Text: text} }
	for _, tt := range []struct {
		reason, message, saying string
		notes                   []workload.Note
		want                    string
	}{
		{"Failed", "in paris", "no red here", []workload.Note{warn("x")}, "in paris: no red here"},
		{"NoCluster", "no cluster is chosen for it", "", []workload.Note{warn("x")}, "no cluster is chosen for it"},
		{"Deleting", "in paris", "", []workload.Note{{Text: "normal"}, warn("it stays: it holds Pod a")}, "it stays: it holds Pod a"},
		{"Deleting", "", "", nil, ""},
		{"Unreachable", "in paris", "", nil, "in paris"},
	} {
		if got := cause(tt.reason, tt.message, tt.saying, tt.notes); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.reason, got, tt.want)
		}
	}
}
