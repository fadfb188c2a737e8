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
	NotLookedUp  Reason = "load-balancer hostname not looked up yet"
	NotProbed    Reason = "no result of a probe yet"
	NotAttached  Reason = "route not accepted by its gateway's controller yet"

	// What stands between clients and the endpoints.
	FrontDown     Reason = "the Service in front has no ready endpoint"
	FrontMissing  Reason = "the Service in front isn't there"
	NotProgrammed Reason = "gateway not programmed"
	NotListening  Reason = "listener not ready"
	NodesNotReady Reason = "nodes of its endpoints not ready"
	NotLocal      Reason = "externalTrafficPolicy Local without an endpoint on a node"
)

// An Order is what an operator says of a shard.
type Order uint8

// The orders. Drain and ForceDown both take a shard out; they differ in what the
// operator means to say.
const (
	NoOrder Order = iota
	Drain
	ForceDown
	ForceUp
)

// Evidence is all that is known of one shard.
type Evidence struct {
	Listed    bool // its cluster has been listed completely, at least once
	Deleting  bool // the object is on its way out
	Endpoints int  // endpoints that count
	Hidden    bool // it also leads to Services that aren't exported, whose endpoints don't
	// Unreached says why ready endpoints don't count, where none does; "": there are none.
	Unreached Reason
	// Blocked is what the cluster itself says is in the way; "": nothing.
	Blocked Reason
	// What became of the places an address can come from.
	Addresses  int  // usable addresses
	Refused    int  // addresses outside the range the cluster may announce
	Unusable   int  // addresses at which nobody can reach anything: loopback, multicast and their like
	Unresolved int  // hostnames without an address
	Behind     int  // addresses behind which nothing is ready to take what comes in
	Missing    int  // of these, addresses of Services that aren't there
	Balancer   bool // a load balancer is to give an address
	// What isn't known yet of what is asked beside the cluster.
	Unlooked int  // hostnames that haven't been looked up, and of which nothing is known
	Recalled int  // hostnames whose addresses are those of an earlier process
	Unasked  bool // the probes have come to nothing yet
	// Its controller may yet attach more routes, or sets of listeners; without them, it is
	// all that is known of it (Unattached: nothing).
	Unsaid, Unattached bool

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
	// Awaits is what isn't known yet, and may change the verdict or the addresses of
	// the shard; "": nothing.
	Awaits Reason
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
	v := judge(e, p)
	v.Awaits = awaits(e, v)
	return v
}

func judge(e Evidence, p Policy) Verdict {
	if !e.Listed {
		return Verdict{State: Unknown, Why: NotListed}
	}
	switch {
	case e.Order == Drain:
		return Verdict{State: Down, Why: Drained}
	case e.Order == ForceDown:
		return Verdict{State: Down, Why: ForcedDown}
	case e.Order == ForceUp && e.Addresses > 0:
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

// awaits says what could change a verdict that isn't known yet: nothing, where it
// stands whatever that turns out to be.
func awaits(e Evidence, v Verdict) Reason {
	alive := e.Endpoints > 0 && !e.Deleting || e.Order == ForceUp
	switch {
	case !e.Listed, e.Order == Drain, e.Order == ForceDown, v.Why == ClusterGone:
		return ""
	case e.Unsaid:
		return NotAttached
	case !alive:
		return ""
	case e.Unlooked > 0, e.Recalled > 0:
		return NotLookedUp
	case e.Unasked && v.State == Up && v.Why != ForcedUp:
		return NotProbed
	}
	return ""
}

// readiness is the verdict on what the cluster last said: up if an endpoint is
// ready and an address is known, and down for the first thing that is lacking. It is
// unknown while all that lacks is an answer of the resolver, or a controller's word.
func readiness(e Evidence) Verdict {
	v := attached(e)
	if e.Unattached || e.Unsaid && v.State == Down {
		return Verdict{State: Unknown, Why: NotAttached}
	}
	return v
}

// attached is the verdict on what is attached as far as is known.
func attached(e Evidence) Verdict {
	why := Ready
	switch {
	case e.Deleting:
		why = Deleting
	case e.Blocked != "":
		why = e.Blocked
	case e.Addresses == 0 && e.Unlooked > 0 && e.Endpoints > 0:
		return Verdict{State: Unknown, Why: NotLookedUp}
	case e.Addresses == 0 && e.Unlooked > 0:
		why = NoEndpoint
	case e.Addresses == 0 && e.Behind > e.Missing && e.Endpoints > 0: // else the pods are what lacks
		why = FrontDown
	case e.Addresses == 0 && e.Behind > 0 && e.Endpoints > 0:
		why = FrontMissing
	case e.Addresses == 0 && e.Behind > 0:
		why = NoEndpoint
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
	case e.Endpoints == 0 && e.Unreached != "":
		why = e.Unreached
	case e.Endpoints == 0 && e.Hidden:
		why = NoneBehind
	case e.Endpoints == 0:
		why = NoEndpoint
	default:
		return Verdict{State: Up, Why: why}
	}
	return Verdict{State: Down, Why: why}
}
