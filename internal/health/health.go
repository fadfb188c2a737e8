// Package health turns what a cluster reported of a shard into one verdict.
//
// It never asks a cluster anything and never looks at the clock: the same
// evidence always gets the same verdict.
package health

// A State is what is known of a shard. The zero value is the cautious one:
// nothing is withdrawn or announced for an unknown shard.
type State uint8

// The states of a shard.
const (
	Unknown State = iota
	Down
	Up
)

func (s State) String() string { return [...]string{"unknown", "down", "up"}[s] }

// A Reason names the signal that decided. It is short, so that it can be a
// metric's label, and reads on in a log line after the state.
type Reason string

// The reasons, by the signal that gives them.
const (
	NotListed    Reason = "cluster not listed yet"
	Ready        Reason = "ready"
	Deleting     Reason = "being deleted"
	NoEndpoint   Reason = "no ready endpoint"
	Internal     Reason = "no external address"
	Pending      Reason = "load balancer pending"
	Unresolved   Reason = "load-balancer hostname does not resolve"
	OutsideRange Reason = "addresses outside the cluster's range"
)

// Evidence is all that is known of one shard.
type Evidence struct {
	Listed    bool // its cluster has been listed completely, at least once
	Deleting  bool // the object is on its way out
	Endpoints int  // endpoints that count
	// What became of the places an address can come from.
	Addresses  int  // usable addresses
	Refused    int  // addresses outside the range the cluster may announce
	Unresolved int  // hostnames without an address
	Balancer   bool // a load balancer is to give an address
}

// A Verdict is a state and the reason for it.
type Verdict struct {
	State State
	Why   Reason
}

// Judge gives the verdict on a shard: it is up if an endpoint is ready and an
// address is known, and down for the first thing it lacks.
func Judge(e Evidence) Verdict {
	switch {
	case !e.Listed:
		return Verdict{Unknown, NotListed}
	case e.Deleting:
		return Verdict{Down, Deleting}
	case e.Addresses == 0 && e.Refused > 0:
		return Verdict{Down, OutsideRange}
	case e.Addresses == 0 && e.Unresolved > 0:
		return Verdict{Down, Unresolved}
	case e.Addresses == 0 && e.Balancer:
		return Verdict{Down, Pending}
	case e.Addresses == 0:
		return Verdict{Down, Internal}
	case e.Endpoints == 0:
		return Verdict{Down, NoEndpoint}
	}
	return Verdict{Up, Ready}
}
