package federation

import (
	"net/netip"
	"strings"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/topology"
)

// An action is what becomes of a question for a name in a domain.
type action uint8

// The actions.
const (
	give   action = iota // what the federations have for the name: records, or none of the type
	lookUp               // the static records have something, or may have
	deny                 // there is nothing, or it isn't known yet
	passOn               // the next plugin may have something
)

// A question is what a decision is about, and who asks.
type question struct {
	name    string   // in lower case
	labels  []string // before the domain
	from    netip.Addr
	network netip.Prefix // of the client, as who asks says; invalid: nothing is said
}

// decide decides about a question, given what the federations have for the name, of which
// it chooses. Both ways to an answer, past the chain of plugins and through it, go by it.
// scope is how much of the client's network the answer depends on (RFC 7871).
func (d *domain) decide(f *Federation, static *staticZone, q *question, a *answer.Answer) (do action, scope uint8) {
	if a.Service != nil && a.TTL > 0 {
		if scope = f.choose(a, q.from, q.network); a.Outcome != answer.NotReady {
			return give, scope
		}
	}
	if static.mayAnswer(q.name, q.labels, a) {
		return lookUp, scope
	}
	return d.without(q.name, a), scope
}

// without decides where the static records have nothing.
func (d *domain) without(name string, a *answer.Answer) action {
	// A copy of the name: what is asked may be gone when another plugin looks at it.
	if len(d.fall.Zones) > 0 && others(a) && d.fall.Through(strings.Clone(name)) {
		return passOn
	}
	return deny
}

// others says whether a name may be another plugin's: one that is none here. One below
// a federation's label is nobody else's before it is known what stands there.
func others(a *answer.Answer) bool {
	return a.Outcome == answer.NameError || a.Outcome == answer.NotReady && a.Federation == nil
}

// outcome is what an answer is counted by that needs no static records.
func (do action) outcome(a *answer.Answer) outcome {
	if do == give {
		switch {
		case a.Outcome == answer.NoData:
			return outcome{nodata, scoped(a)}
		case a.Hops > 0 || a.LeavesCluster:
			return outcome{fallback, scoped(a)}
		}
		return outcome{success, scoped(a)}
	}
	switch a.Outcome {
	case answer.NoData:
		return outcome{nodata, noScope}
	case answer.NotReady:
		return outcome{servfail, noScope}
	}
	return outcome{nxdomain, noScope}
}

// An outcome is what answers are counted by.
type outcome struct{ what, scope uint8 }

// What answers come to.
const (
	success = iota
	fallback
	nodata
	nxdomain
	servfail
	refused
	delegation // from static records only
	outcomes
)

// Where names are that have an answer, behind the scopes of topology: those in a
// cluster's own domain, those of static records, and those that have no scope.
const (
	localScope = uint8(topology.Zonal) + 1 + iota
	apexScope
	noScope
	scopes
)

// scoped is what an answer about a service is counted by: see Answer.Place.
func scoped(a *answer.Answer) uint8 {
	if a.Inside {
		return localScope
	}
	return uint8(a.Scope.Width())
}

// labels are an outcome in the words of metrics.
func (o outcome) labels() (what, scope string) {
	what = [outcomes]string{"success", "fallback", "nodata", "nxdomain", "servfail", "refused", "delegation"}[o.what]
	switch o.scope {
	case localScope:
		return what, "local"
	case apexScope:
		return what, "apex"
	case noScope:
		return what, "none"
	}
	return what, topology.Width(o.scope).String()
}
