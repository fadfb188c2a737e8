// Package bypass says which questions may be answered without the chain of plugins of a server
// block: which block answers for a name (Owns), and what each plugin before ours needs to see
// (Block.Needs). It reads the Corefile as those plugins do, once, when an address is opened.
// Begin at Blocks.
package bypass

import (
	"net/netip"
	"slices"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
)

// Kinds are kinds of answers, as CoreDNS tells them apart (plugin/pkg/response).
type Kinds uint8

const (
	Found  Kinds = 1 << iota // with records, which may only lead on
	Denied                   // there is no such name, or no such record
	Failed                   // an error
	Padded                   // found, with more than the records that were asked for
	Silent                   // perhaps none at all

	Whatever = Found | Denied | Failed
)

// A need is for which questions a plugin has to see what kinds of answers. Those are
// answered by the chain.
type need struct {
	zones []dnsname.Name // that the name is in; nil: any name
	types []uint16       // nil: any type
	from  sources        // nil: from anywhere
	do    bool           // only those that ask for signatures (RFC 3225)
	kinds Kinds          // none: of such questions it needs nothing
}

// needs are those of one plugin. The first that a question meets counts.
type needs []need

// everything is needed by whoever may do anything.
var everything = needs{{kinds: Whatever}}

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
func (ns needs) all() bool { return len(ns) > 0 && ns[0].always() && ns[0].kinds&Whatever == Whatever }

// of is what is needed of the answer to a question for a name that came from an address.
func (ns needs) of(q *message.Question, name string, from netip.Addr) Kinds {
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

// Combined are the needs of several plugins.
type Combined []needs

// Of is what any of them needs of the answer to a question for a name that came from an address.
func (c Combined) Of(q *message.Question, name string, from netip.Addr) (k Kinds) {
	for _, ns := range c {
		k |= ns.of(q, name, from)
	}
	return k
}
