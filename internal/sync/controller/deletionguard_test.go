package controller

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// TestGate lets deletions through as if they were planned, a pass at a time.
func TestGate(t *testing.T) {
	u := newHub(Config{MaxDeletes: 3, Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
	m := newCluster(u, "paris", nil)
	u.members["paris"] = m
	now := time.Now()
	add := func(from, to int) {
		for i := from; i < to; i++ {
			u.deletions.add(step(1, fmt.Sprint("o-", i), workload.Delete), now)
		}
	}
	// pass gives how many were let through, and how many wait for an operator.
	pass := func(after time.Duration) (through, held int) {
		now = now.Add(after)
		u.deletions.pass(now)
		for f := range u.deletions.launched {
			if s, ok := u.take(m, f.Key, now); ok {
				if s.Verb != workload.Delete {
					t.Errorf("%s is let through", s.Verb)
				}
				through++
				delete(u.inFlight, f)
				delete(u.deletions.launched, f)
			}
		}
		for _, w := range u.deletions.waiting {
			if w.held {
				held++
			}
		}
		return through, held
	}
	expect := func(what string, after time.Duration, through, held int) {
		t.Helper()
		if a, b := pass(after); a != through || b != held {
			t.Errorf("%s: %d go and %d wait for an operator, want %d and %d", what, a, b, through, held)
		}
	}
	add(0, 2)
	expect("others may follow", 0, 0, 0)
	expect("few", gather, 2, 0)
	add(2, 4)
	expect("more than three within a minute", gather, 0, 2)
	expect("what was held stays so", 2*window, 0, 2)
	u.deletions.clear(step(1, "o-2", "").Key)
	expect("one is taken back", time.Second, 0, 1)
	lines, flights := u.deletions.list(now)
	u.deletions.confirmed = "another list"
	expect("another list is confirmed", time.Second, 0, 1)
	u.deletions.confirmed = u.deletions.digest(lines, flights)
	if a, _ := pass(time.Second); a == 0 {
		if a, _ = pass(time.Second); a != 1 {
			t.Error("it was confirmed, and doesn't go")
		}
	}
	u.deletions.confirmed = ""
	add(10, 13)
	expect("what was confirmed doesn't count", gather, 3, 0)
	// One that failed has been let through already.
	u.failed(objectInCluster{"paris", step(1, "o-10", "").Key}, fmt.Errorf("no"), longest, "x")
	add(10, 11)
	expect("again", gather, 1, 0)
}
