package health

import (
	"fmt"
	"testing"
	"time"
)

func TestReadiness(t *testing.T) {
	for _, tt := range []struct {
		name string
		e    Evidence
		want Verdict
	}{
		{"nothing known", Evidence{}, Verdict{State: Unknown, Why: NotListed}},
		{"not listed, though its objects look well", Evidence{Endpoints: 1, Addresses: 1}, Verdict{State: Unknown, Why: NotListed}},
		{"well", Evidence{Listed: true, Endpoints: 1, Addresses: 1}, Verdict{State: Up, Why: Ready}},
		{"well, one of its hostnames is not", Evidence{Listed: true, Endpoints: 1, Addresses: 1, Unresolved: 1}, Verdict{State: Up, Why: Ready}},
		{"no pods", Evidence{Listed: true, Addresses: 1}, Verdict{State: Down, Why: NoEndpoint}},
		{"on its way out", Evidence{Listed: true, Deleting: true, Endpoints: 1, Addresses: 1}, Verdict{State: Down, Why: Deleting}},
		{"balancer pending", Evidence{Listed: true, Endpoints: 1, Balancer: true}, Verdict{State: Down, Why: Pending}},
		{"hostname dead", Evidence{Listed: true, Endpoints: 1, Balancer: true, Unresolved: 1}, Verdict{State: Down, Why: Unresolved}},
		{"address not its own", Evidence{Listed: true, Endpoints: 1, Balancer: true, Refused: 1}, Verdict{State: Down, Why: OutsideRange}},
		{"ClusterIP", Evidence{Listed: true, Endpoints: 1}, Verdict{State: Down, Why: Internal}},
		{"hostname not looked up", Evidence{Listed: true, Endpoints: 1, Balancer: true, Unlooked: 1}, Verdict{State: Unknown, Why: NotLookedUp, Awaits: NotLookedUp}},
		{"nor another, which is dead", Evidence{Listed: true, Endpoints: 1, Balancer: true, Unlooked: 1, Unresolved: 1}, Verdict{State: Unknown, Why: NotLookedUp, Awaits: NotLookedUp}},
		{"nor another, which isn't", Evidence{Listed: true, Endpoints: 1, Addresses: 1, Unlooked: 1}, Verdict{State: Up, Why: Ready, Awaits: NotLookedUp}},
		{"hostname not looked up, and no pods", Evidence{Listed: true, Balancer: true, Unlooked: 1}, Verdict{State: Down, Why: NoEndpoint}},
		{"hostname not looked up, on its way out", Evidence{Listed: true, Deleting: true, Endpoints: 1, Unlooked: 1}, Verdict{State: Down, Why: Deleting}},
		{"hostname not looked up, drained", Evidence{Listed: true, Endpoints: 1, Unlooked: 1, Order: Drain}, Verdict{State: Down, Why: Drained}},
		{"hostname not looked up, silent", Evidence{Listed: true, Endpoints: 1, Unlooked: 1, Silent: true}, Verdict{State: Unknown, Why: NotLookedUp, Awaits: NotLookedUp, Stale: true, Hold: time.Minute}},
		{"hostname not looked up, silent for long", Evidence{Listed: true, Endpoints: 1, Unlooked: 1, Silent: true, Quiet: time.Hour}, Verdict{State: Down, Why: ClusterGone}},
		{"hostname of an earlier process", Evidence{Listed: true, Endpoints: 1, Addresses: 1, Recalled: 1}, Verdict{State: Up, Why: Ready, Awaits: NotLookedUp}},
		{"not probed", Evidence{Listed: true, Endpoints: 1, Addresses: 1, Unasked: true}, Verdict{State: Up, Why: Ready, Awaits: NotProbed}},
		{"not probed, no pods", Evidence{Listed: true, Addresses: 1, Unasked: true}, Verdict{State: Down, Why: NoEndpoint}},
		{"not probed, up by order", Evidence{Listed: true, Addresses: 1, Unasked: true, Order: ForceUp}, Verdict{State: Up, Why: ForcedUp}},
	} {
		if got := Judge(tt.e, Policy{Hold: time.Minute}); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// Every combination of evidence, against the table of the design said another
// way: as what each signal is allowed to do.
func TestJudge(t *testing.T) {
	const hold = 5 * time.Minute
	n := 0
	for _, listed := range []bool{false, true} {
		for _, ready := range []bool{false, true} {
			for _, address := range []int{0, 1} {
				for _, quiet := range []time.Duration{-1, 0, hold - 1, hold, 24 * time.Hour} {
					for _, probe := range []Probe{Unprobed, Passing, Failing} {
						for _, order := range []Order{NoOrder, Drain, ForceDown, ForceUp} {
							for _, keep := range []bool{false, true} {
								for _, isolated := range []bool{false, true} {
									e := Evidence{Listed: listed, Addresses: address, Probe: probe, Order: order, Silent: quiet >= 0, Quiet: max(quiet, 0)}
									if ready {
										e.Endpoints = 1
									}
									examine(t, e, Policy{Hold: hold, Keep: keep, Isolated: isolated})
									n++
								}
							}
						}
					}
				}
			}
		}
	}
	if n != 2*2*2*5*3*4*2*2 {
		t.Fatalf("%d combinations", n)
	}
}

func examine(t *testing.T, e Evidence, p Policy) {
	t.Helper()
	got := Judge(e, p)
	fail := func(format string, v ...any) {
		t.Helper()
		t.Errorf("%+v %+v: %+v: %s", e, p, got, fmt.Sprintf(format, v...))
	}
	last := e.Endpoints > 0 && e.Addresses > 0 // up, by what the cluster last said
	switch {
	case got.Why == "":
		fail("a verdict has a reason")
	case !e.Listed:
		if got.State != Unknown {
			fail("nothing is known of a cluster that was never listed")
		}
	case e.Order == Drain || e.Order == ForceDown:
		if got.State != Down || got.Stale {
			fail("an order takes the shard out")
		}
	case e.Order == ForceUp && e.Addresses > 0:
		if got.State != Up || got.Stale {
			fail("an order brings the shard in")
		}
	case last && e.Probe == Failing:
		if got.State != Down || got.Why != ProbeFails {
			fail("a failing probe takes the shard out, whatever the API does")
		}
	case !e.Silent:
		if (got.State == Up) != last || got.Stale || got.Hold != 0 {
			fail("a fresh cluster's word counts")
		}
	case e.Probe == Passing || p.Keep || p.Isolated:
		if (got.State == Up) != last || !got.Stale || got.Hold != 0 {
			fail("the last known state stays, stale, for as long as it takes")
		}
	case e.Quiet < p.Hold:
		if (got.State == Up) != last || !got.Stale || got.Hold != p.Hold-e.Quiet {
			fail("the last known state stays, stale, until the hold is over")
		}
	default:
		if got.State != Down || got.Why != ClusterGone || got.Stale {
			fail("the hold is over")
		}
	}
}
