package journal

import (
	"time"

	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A Recent is where shards of a service came or went lately; without a place, nowhere.
type Recent struct {
	Key    snapshot.Key  `json:"key"`
	Places []RecentPlace `json:"places,omitempty"`
}

// A RecentPlace is one of them. Until then, on the wall clock, answers that it may be in
// are short-lived.
type RecentPlace struct {
	Place topology.Place `json:"place"`
	Until time.Time      `json:"until"`
}
