package zone

import (
	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/topology"
)

// outcome is what an answer is counted by that needs no static records.
func (do action) outcome(a *answer.Answer) Outcome {
	if do == give {
		switch {
		case a.Outcome == answer.NoData:
			return Outcome{NoData, scoped(a)}
		case a.Hops > 0 || a.LeavesCluster:
			return Outcome{Fallback, scoped(a)}
		}
		return Outcome{Success, scoped(a)}
	}
	switch a.Outcome {
	case answer.NoData:
		return Outcome{NoData, NoScope}
	case answer.NotReady:
		return Outcome{ServFail, NoScope}
	}
	return Outcome{NXDomain, NoScope}
}

// An Outcome is what answers are counted by.
type Outcome struct{ What, Scope uint8 }

// What answers come to.
const (
	Success = iota
	Fallback
	NoData
	NXDomain
	ServFail
	Refused
	Delegation // from static records only
	Outcomes
)

// Where names are that have an answer, behind the scopes of topology: those in a
// cluster's own domain, those of static records, and those that have no scope.
const (
	LocalScope = uint8(topology.Zonal) + 1 + iota
	ApexScope
	NoScope
	Scopes
)

// scoped is what an answer about a service is counted by: see Answer.Place.
func scoped(a *answer.Answer) uint8 {
	if a.Inside {
		return LocalScope
	}
	return uint8(a.Scope.Width())
}

// Labels are an outcome in the words of metrics.
func (o Outcome) Labels() (what, scope string) {
	what = [Outcomes]string{"success", "fallback", "nodata", "nxdomain", "servfail", "refused", "delegation"}[o.What]
	switch o.Scope {
	case LocalScope:
		return what, "local"
	case ApexScope:
		return what, "apex"
	case NoScope:
		return what, "none"
	}
	return what, topology.Width(o.Scope).String()
}
