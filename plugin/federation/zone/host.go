package zone

import (
	"time"

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
		*a = a.OrHost(s, members, name, labels, static.Zone.Depth(name, labels), t, now)
	}
}

// Resolve answers for a name of the domain, in lower case, from what clusters say;
// labels are those before it, and static are its records.
func (d *Domain) Resolve(s *snapshot.Snapshot, static *Static, name string, labels []string, t answer.Type, now time.Duration) answer.Answer {
	if d.Lead != nil {
		return answer.Inside(s, d.Members[0], labels, t, now)
	}
	return Resolve(s, d.Members, static, name, labels, t, now)
}

// Resolve is that for some of a domain's federations.
func Resolve(s *snapshot.Snapshot, members []answer.Member, static *Static, name string, labels []string, t answer.Type, now time.Duration) answer.Answer {
	a := answer.Resolve(s, members, labels, t, now)
	orHost(&a, s, members, static, name, labels, t, now)
	return a
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

// against says what keeps a host from being answered at a name; "": nothing.
func (a *Static) against(o Reserved, name string, labels []string) string {
	switch {
	case len(labels) == 0:
		return "it is the domain itself"
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
