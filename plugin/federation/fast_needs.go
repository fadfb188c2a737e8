package federation

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
)

// kinds are kinds of answers, as CoreDNS tells them apart (plugin/pkg/response).
type kinds uint8

const (
	found  kinds = 1 << iota // with records, which may only lead on
	denied                   // there is no such name, or no such record
	failed                   // an error
	padded                   // found, with more than the records that were asked for
	silent                   // perhaps none at all

	whatever = found | denied | failed
)

// A need is for which questions a plugin has to see what kinds of answers. Those are
// answered by the chain.
type need struct {
	zones []dnsname.Name // that the name is in; nil: any name
	types []uint16       // nil: any type
	from  sources        // nil: from anywhere
	do    bool           // only those that ask for signatures (RFC 3225)
	kinds kinds          // none: of such questions it needs nothing
}

// needs are those of one plugin. The first that a question meets counts.
type needs []need

// everything is needed by whoever may do anything.
var everything = needs{{kinds: whatever}}

// within are the needs about names in a domain.
func (ns needs) within(domain dnsname.Name) needs {
	var out needs
	for _, n := range ns {
		if n.zones != nil {
			above := func(z dnsname.Name) bool { _, ok := z.Under(string(domain)); return ok }
			outside := func(z dnsname.Name) bool { _, ok := domain.Under(string(z)); return !ok }
			if slices.ContainsFunc(n.zones, above) {
				n.zones = nil
			} else if n.zones = slices.DeleteFunc(slices.Clone(n.zones), outside); len(n.zones) == 0 {
				continue
			}
		}
		if last := len(out) - 1; last >= 0 && out[last].differsInSource(&n) {
			out[last].from = append(out[last].from, n.from...)
			continue
		}
		n.from = slices.Clone(n.from)
		out = append(out, n)
	}
	for i := range out {
		if out[i].from = out[i].from.joined(); out[i].from.everywhere() {
			out[i].from = nil
		}
		if out[i].always() {
			out = out[:i+1]
			break
		}
	}
	for len(out) > 0 && out[len(out)-1].kinds == 0 {
		out = out[:len(out)-1] // as without it
	}
	return out
}

// differsInSource says whether two needs are the same of questions from some sources
// each.
func (n *need) differsInSource(o *need) bool {
	return n.from != nil && o.from != nil && n.kinds == o.kinds && n.do == o.do && slices.Equal(n.zones, o.zones) && slices.Equal(n.types, o.types) &&
		(n.zones == nil) == (o.zones == nil) && (n.types == nil) == (o.types == nil)
}

// always says whether every question meets a need.
func (n *need) always() bool { return n.zones == nil && n.types == nil && n.from == nil && !n.do }

// all says whether no question can be answered past the plugin.
func (ns needs) all() bool { return len(ns) > 0 && ns[0].always() && ns[0].kinds&whatever == whatever }

// of is what is needed of the answer to a question for a name that came from an address.
func (ns needs) of(q *message.Question, name string, from netip.Addr) kinds {
	for i := range ns {
		if ns[i].met(q, name, from) {
			return ns[i].kinds
		}
	}
	return 0
}

func (n *need) met(q *message.Question, name string, from netip.Addr) bool {
	if n.do && !q.EDNS.DO ||
		n.types != nil && !slices.Contains(n.types, q.Type) ||
		n.from != nil && !n.from.contains(from.WithZone("")) {
		return false
	}
	if n.zones == nil {
		return true
	}
	for _, z := range n.zones {
		if _, ok := z.Under(name); ok {
			return true
		}
	}
	return false
}

// needed is what any plugin needs of the answer to a question for a name in d.
func (d *fastDomain) needed(q *message.Question, name string, from netip.Addr) (k kinds) {
	for _, ns := range d.needs {
		k |= ns.of(q, name, from)
	}
	return k
}

// kindOf is what an answer is.
func kindOf(q *message.Question, a *answer.Answer) kinds {
	switch a.Outcome {
	case answer.NameError:
		return denied
	case answer.NotReady:
		return failed
	case answer.NoData:
		if a.Service == nil || a.Hops == 0 && !a.LeavesCluster {
			return denied
		}
		return found | padded // CNAMEs, and the SOA record
	}
	if q.Type == dns.TypeSRV {
		return found | padded // the targets' addresses
	}
	if q.EDNS.Present {
		for range a.Notes() {
			return found | padded
		}
	}
	return found
}
