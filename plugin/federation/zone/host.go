package zone

import (
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/snapshot"
)

// orHost has a host answer for a name, in lower case, that is no federated one: a is
// what the federations say. labels are those before the domain. Static records come
// first: a host where some stand is refused, and until that is published, they have
// changed just now.
func orHost(a *answer.Answer, s *snapshot.Snapshot, members []answer.Member, static *Static, name string, labels []string, t answer.Type, now time.Duration) {
	// A name that looks like a service's and doesn't exist, in a region that nobody has,
	// say, is below a wildcard like any other: secondaries can't know its looks.
	none := a.Federation == nil || a.Outcome == answer.NameError && a.Service == nil
	if none && answer.Hosting(s, members) && !static.Zone.Owns(name) {
		a.OrHost(s, members, name, labels, static.Zone.Depth(name, labels), t, now)
	}
}

// addressed says whether the domain's own name has static addresses.
func (a *Static) addressed() bool {
	return a.Zone.Has(string(a.domain), dns.TypeA) || a.Zone.Has(string(a.domain), dns.TypeAAAA)
}

// atApex makes a the answer for the domain's own name from what clusters say, beside its static records: a Service may have it for
// one of its own. It says whether one has.
func (d *Domain) atApex(a *answer.Answer, s *snapshot.Snapshot, static *Static, t answer.Type, now time.Duration) bool {
	return d.Lead == nil && answer.Hosting(s, d.Members) && !static.addressed() && a.ResolveHost(s, d.Members, string(d.Name), t, now)
}

// has says whether a federation stands under the domain.
func (d *Domain) has(federation int) bool {
	for _, m := range d.Members {
		if m.Index == federation {
			return true
		}
	}
	return false
}

// against says what keeps a host from being answered at a name; "": nothing. own says that it is a Service's own name.
func (a *Static) against(o Reserved, name string, labels []string, own bool) string {
	switch {
	case len(labels) == 0 && (!own || a.leads != nil):
		return "it is the domain itself"
	case len(labels) == 0:
		if a.addressed() {
			return "static records stand there"
		}
		return ""
	case o.federated(labels):
		return "names of services stand there"
	case a.Zone.Owns(name):
		return "static records stand there"
	}
	for _, l := range labels {
		if name = name[len(l)+1:]; a.Zone.Cut(name) {
			return "static records delegate what is below " + name
		}
	}
	return ""
}
