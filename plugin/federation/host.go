package federation

import (
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// orHost has a host answer for a name, in lower case, that is no federated one: a is
// what the federations say. labels are those before the domain. Static records come
// first: a host where some stand is refused, and until that is published, they have
// changed just now.
func orHost(a *answer.Answer, s *snapshot.Snapshot, members []answer.Member, static *staticZone, name string, labels []string, t answer.Type, now time.Duration) {
	// A name that looks like a service's and doesn't exist, in a region that nobody has,
	// say, is below a wildcard like any other: secondaries can't know its looks.
	none := a.Federation == nil || a.Outcome == answer.NameError && a.Service == nil
	if none && answer.Hosting(s, members) && !static.zone.Owns(name) {
		*a = a.OrHost(s, members, name, labels, static.zone.Depth(name, labels), t, now)
	}
}

// resolve answers for a name of the domain, in lower case, from what clusters say;
// labels are those before it, and static are its records.
func (d *domain) resolve(s *snapshot.Snapshot, static *staticZone, name string, labels []string, t answer.Type, now time.Duration) answer.Answer {
	if d.lead != nil {
		return answer.Inside(s, d.members[0], labels, t, now)
	}
	return resolve(s, d.members, static, name, labels, t, now)
}

// resolve is that for some of a domain's federations.
func resolve(s *snapshot.Snapshot, members []answer.Member, static *staticZone, name string, labels []string, t answer.Type, now time.Duration) answer.Answer {
	a := answer.Resolve(s, members, labels, t, now)
	orHost(&a, s, members, static, name, labels, t, now)
	return a
}

// admitsHosts says for a federation which hosts are answered: those in a domain of its
// own, unless the name belongs to somebody else.
func (f *Federation) admitsHosts(federation int) shard.Admits {
	return func(host string) (ours bool, against string) {
		name := host + "."
		d, rel := f.domain(name)
		if d == nil || !d.has(federation) {
			return false, ""
		}
		return true, d.apex.Load().against(d.owned, name, dnsname.Labels(rel))
	}
}

// has says whether a federation stands under the domain.
func (d *domain) has(federation int) bool {
	for _, m := range d.members {
		if m.Index == federation {
			return true
		}
	}
	return false
}

// against says what keeps a host from being answered at a name; "": nothing.
func (a *staticZone) against(o reserved, name string, labels []string) string {
	switch {
	case len(labels) == 0:
		return "it is the domain itself"
	case o.federated(labels):
		return "names of services stand there"
	case a.zone.Owns(name):
		return "static records stand there"
	}
	for _, l := range labels {
		if name = name[len(l)+1:]; a.zone.Cut(name) {
			return "static records delegate what is below " + name
		}
	}
	return ""
}
