package faults

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var flaps = flag.Duration("flaps", 10*time.Second, "how long an endpoint flaps")

// A flapping endpoint, 10 changes a second: at most one publication per 20 ms, and
// no other service's answers are touched.
func flapping(t *testing.T, w *world) {
	w.paris.Expose(t, "shop", "flap", "192.0.2.44")
	w.paris.Slice(t, "shop", "flap", "eu-a", true)
	s := start(t, corefile(steady, w.members...))
	s.becomes(t, healed, "flap.eu-a", "192.0.2.44")
	e := look(t, s, "web", "web.eu-a", "live.eu-a", "flap.eu-a")
	before := s.metric(t, "publications_total")
	began := time.Now()
	changes := 0
	for tick := time.NewTicker(100 * time.Millisecond); time.Since(began) < *flaps; changes++ {
		<-tick.C
		ready(t, w.paris, "flap", changes%2 == 1)
	}
	took := time.Since(began)
	ready(t, w.paris, "flap", true)
	s.becomes(t, hold+2*time.Second, "flap.eu-a", "192.0.2.44")
	shown := s.metric(t, "publications_total") - before
	if most := float64(took/(20*time.Millisecond)) + 2; shown > most {
		t.Errorf("%v publications in %v, want at most %v", shown, took, most)
	}
	if shown > float64(2*changes+5) {
		t.Errorf("%v publications of %d changes", shown, changes)
	}
	for _, n := range []string{"web", "web.eu-a", "live.eu-a"} {
		if h := e.history(n); len(h) != 1 {
			t.Errorf("%s was touched: %s", n, timeline(h))
		}
	}
	seen := len(e.whats("flap.eu-a")) - 1
	if seen < changes*8/10 {
		t.Errorf("of %d changes, %d were answered; the guard has no business with one endpoint that flaps", changes, seen)
	}
	row(t, fmt.Sprintf("endpoint flapping 10 times a second for %v", *flaps), "at most one publication per 20ms, no other answer touched",
		fmt.Sprintf("%d changes, %v publications, %d changes of its own answer, 0 of others; guard held %v services", changes, shown, seen, s.metric(t, "guard_held_services")), took)
}
