// Package health turns what a cluster reported of a shard into one verdict.
//
// It never asks a cluster anything and never looks at the clock: evidence comes
// in with its age, and the same evidence always gets the same verdict.
package health

import "time"

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
	NoneBehind   Reason = "no ready endpoint in the exported Services behind it"
	Internal     Reason = "no external address"
	Pending      Reason = "load balancer pending"
	Unresolved   Reason = "load-balancer hostname does not resolve"
	Unusable     Reason = "addresses that nobody can use"
	OutsideRange Reason = "addresses outside the cluster's range"
	ProbeFails   Reason = "probe fails"
	ClusterGone  Reason = "cluster silent beyond hold"
	Drained      Reason = "drained"
	ForcedDown   Reason = "forced down"
	ForcedUp     Reason = "forced up"
	NoInside     Reason = "no address inside the cluster"
)

// An Order is what an operator says of a shard.
type Order uint8

// The orders. Drain and Shut both take a shard out; they differ in what the
// operator means to say.
const (
	NoOrder Order = iota
	Drain
	Shut
	Raise
)

// Evidence is all that is known of one shard.
type Evidence struct {
	Listed    bool // its cluster has been listed completely, at least once
	Deleting  bool // the object is on its way out
	Endpoints int  // endpoints that count
	Hidden    bool // it also leads to Services that aren't exported, whose endpoints don't
	// What became of the places an address can come from.
	Addresses  int  // usable addresses
	Refused    int  // addresses outside the range the cluster may announce
	Unusable   int  // addresses at which nobody can reach anything: loopback, multicast and their like
	Unresolved int  // hostnames without an address
	Balancer   bool // a load balancer is to give an address

	Silent bool          // nothing can be learned of the cluster now
	Quiet  time.Duration // how long that has been so
	Probe  Probe         // Unprobed: none set, none finished, or not to be heeded
	Order  Order
}

// A Policy is what an operator decided about silence.
type Policy struct {
	Hold     time.Duration // how long a silent cluster's word is taken
	Keep     bool          // for ever
	Isolated bool          // most clusters are silent: it is this server that is cut off
}

// A Verdict is a state, why, and how long it may be trusted.
type Verdict struct {
	State State
	Why   Reason
	Stale bool // it is the last known state of a cluster that has gone silent
	// Hold is how long the verdict holds if nothing is heard; 0: until something is.
	Hold time.Duration
}

// Judge gives the verdict on a shard.
//
//	API of the cluster    probe     verdict
//	fresh                 passes    up if an endpoint is ready and an address known
//	fresh                 fails     down
//	silent                passes    as last known, stale
//	silent                fails     down
//	silent within hold    none      as last known, stale
//	silent beyond hold    none      down, or with keep as last known, stale
//
// An operator's order comes before all of these, but for a cluster that was never
// listed: nothing is known there to be ordered about.
func Judge(e Evidence, p Policy) Verdict {
	if !e.Listed {
		return Verdict{State: Unknown, Why: NotListed}
	}
	switch {
	case e.Order == Drain:
		return Verdict{State: Down, Why: Drained}
	case e.Order == Shut:
		return Verdict{State: Down, Why: ForcedDown}
	case e.Order == Raise && e.Addresses > 0:
		return Verdict{State: Up, Why: ForcedUp}
	}
	v := readiness(e)
	if v.State == Up && e.Probe == Failing {
		return Verdict{State: Down, Why: ProbeFails}
	}
	if !e.Silent {
		return v
	}
	v.Stale = true
	if e.Probe == Passing || p.Keep || p.Isolated {
		return v
	}
	if e.Quiet >= p.Hold {
		return Verdict{State: Down, Why: ClusterGone}
	}
	v.Hold = p.Hold - e.Quiet
	return v
}

// readiness is the verdict on what the cluster last said: up if an endpoint is
// ready and an address is known, and down for the first thing that is lacking.
func readiness(e Evidence) Verdict {
	why := Ready
	switch {
	case e.Deleting:
		why = Deleting
	case e.Addresses == 0 && e.Refused > 0:
		why = OutsideRange
	case e.Addresses == 0 && e.Unusable > 0:
		why = Unusable
	case e.Addresses == 0 && e.Unresolved > 0:
		why = Unresolved
	case e.Addresses == 0 && e.Balancer:
		why = Pending
	case e.Addresses == 0:
		why = Internal
	case e.Endpoints == 0 && e.Hidden:
		why = NoneBehind
	case e.Endpoints == 0:
		why = NoEndpoint
	default:
		return Verdict{State: Up, Why: why}
	}
	return Verdict{State: Down, Why: why}
}
