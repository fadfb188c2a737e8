package federation

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/static"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/plugin/federation/bypass"
)

// A transaction is a question for a name in a domain and its answer: decided here and written
// here, whichever way the question came. It is used over and over.
type transaction struct {
	message.Reply
	message.Extras

	of       *Federation
	domain   *domain
	apex     *staticZone        // of the domain, loaded once, so that one answer shows one generation
	snapshot *snapshot.Snapshot // the same
	from     netip.Addr         // that asks
	network  netip.Prefix       // of the client, as who asks says; invalid: nothing is said
	turn     uint32
	now      time.Duration // on the program's own clock

	alias message.Name // that was followed last
}

// A result is what came of it.
type result struct {
	outcome
	kinds  bypass.Kinds
	passOn bool // nothing is written: the next plugin may have something
	// follow is where a CNAME leads of which nothing is known here: absolute, in lower case,
	// and in presentation form. The answer ends there.
	follow string
}

// maxAliases bounds how many CNAMEs of static records are followed. More are a loop, or as
// good as one: CoreDNS's bound.
const maxAliases = 8

// What is said of names that have static records, or names with some below them, but none that was
// asked for.
const (
	emptyNonTerminal = "empty non-terminal"
	noType           = "no record of this type"
)

// answer writes the answer to a question that it has begun with, for a name in
// its domain: in lower case and presentation form, labels are those before the domain. find
// finds the domain of a name that a CNAME leads to; nil: it isn't answered here.
func (r *transaction) answer(q *message.Question, name string, labels []string, find func(name string) (*Federation, *domain)) (out result) {
	at := &q.Name                                                           // what name is on the wire
	out = result{outcome: outcome{success, apexScope}, kinds: bypass.Found} // where it ends in a CNAME
	for hops := 0; ; hops++ {
		if hops > maxAliases {
			r.Fail()
			return result{outcome: outcome{servfail, apexScope}, kinds: bypass.Failed}
		}
		r.In(&r.apex.wire)
		s := static.Found{}
		do, a := lookUp, answer.Answer{}
		if len(labels) > 0 {
			var scope uint8
			a = r.domain.resolve(r.snapshot, r.apex, name, labels, answer.Type(q.Type), r.now)
			do, scope = r.domain.decide(r.of, r.apex, &question{name, labels, r.from, r.network}, &a)
			r.Scope = max(r.Scope, scope)
			if r.network.IsValid() {
				r.heed(q, &a)
			}
		}
		if do == lookUp {
			if s = r.apex.zone.Lookup(name, labels, q.Type); s.Kind == static.NoName {
				do = r.domain.without(name, &a)
			}
		}
		switch {
		case do == passOn && hops == 0:
			return result{passOn: true}
		case do == passOn:
			out.follow = name
			return out
		case do == give, do == deny:
			if do == deny {
				a.Service = nil
			}
			r.Answer(&a, &r.Extras, r.turn)
			return r.came(q, do, &a, hops)
		}
		if end, ok := r.ends(q, &s, labels, hops); ok {
			return end
		}
		if end, ok := r.leads(q, at, &s); !ok {
			return end
		}
		at = &r.alias
		name = at.String()
		if !at.Plain() {
			var err error
			if name, err = presented(r.Last()); err != nil {
				r.Fail()
				return result{outcome: outcome{servfail, apexScope}, kinds: bypass.Failed}
			}
		}
		f, d := find(name)
		if d == nil {
			out.follow = name
			return out
		}
		r.enter(f, d)
		labels = at.Labels(r.apex.wire.Labels)
		if !at.Plain() {
			rel, _ := d.name.Under(name)
			labels = dnsname.Labels(rel)
		}
	}
}

// ends writes what static records have where they lead nowhere else.
func (r *transaction) ends(q *message.Question, s *static.Found, labels []string, hops int) (out result, ok bool) {
	out = result{outcome: outcome{success, apexScope}, kinds: bypass.Found}
	switch {
	case len(labels) == 0 && q.Type == dns.TypeSOA:
		r.SOA(&r.Extras)
	case s.Kind == static.NoData:
		a := answer.Answer{Outcome: answer.NoData, Why: noType}
		if s.Empty {
			a.Why = emptyNonTerminal
		}
		r.Answer(&a, &r.Extras, r.turn)
		if out.what, out.kinds = nodata, bypass.Denied; hops > 0 {
			out.kinds = bypass.Found | bypass.Padded // a CNAME, and the SOA record
		}
	case s.Kind == static.Any:
		r.Any(r.apex.soa.Hdr.Ttl)
	case s.Kind == static.Records:
		r.Set(s.Set)
		out.kinds |= bypass.Padded
	case s.Kind == static.Referral:
		r.Referral(s.Label, s.NS, s.DS)
		out.what = delegation
		out.kinds |= bypass.Padded
	default:
		return out, false
	}
	return out, true
}

// leads writes how static records lead from a name to another, which is r.alias then. It
// isn't ok where the answer ends with that.
func (r *transaction) leads(q *message.Question, at *message.Name, s *static.Found) (out result, ok bool) {
	out = result{outcome: outcome{success, apexScope}, kinds: bypass.Found}
	target := s.Target()
	if s.Kind == static.Moved {
		if !r.Moved(s.Label, s.Set) {
			return out, false
		}
		if target, ok = at.Join(s.Label, target); !ok {
			r.TooLong()
			out.kinds = bypass.Denied
			return out, false
		}
	}
	return out, r.Alias(s.TTL(), target, s.Set.Sigs, &r.alias) && q.Type != dns.TypeCNAME
}

// heed has the client's network be said nothing of where the federation that answers doesn't
// go by what a resolver says of it.
func (r *transaction) heed(q *message.Question, a *answer.Answer) {
	if a.Federation != nil && !r.of.geo[a.Index].TrustsSubnets(r.from) {
		q.EDNS.NoSubnet()
	}
}

// enter has what follows be of a domain.
func (r *transaction) enter(f *Federation, d *domain) {
	s := f.board.Load()
	if f == r.of {
		s = r.snapshot
	}
	r.of, r.domain, r.apex, r.snapshot = f, d, d.apex.Load(), s
	r.Serial = s.Serial
}

// came says what came of an answer that needs no static records but those that led to it.
func (r *transaction) came(q *message.Question, do action, a *answer.Answer, hops int) result {
	out := result{outcome: do.outcome(a), kinds: kindOf(q, a)}
	if hops > 0 {
		out.scope = apexScope
		if out.what == fallback {
			out.what = success
		}
		if a.Outcome == answer.NoData {
			out.kinds = bypass.Found | bypass.Padded
		}
	}
	return out
}

// presented is the name that stands at a place of a message, in presentation form and lower
// case.
func presented(message []byte, at int) (string, error) {
	name, _, err := dns.UnpackDomainName(message, at)
	return dnsname.Lower(name), err
}

// kindOf is what an answer is.
func kindOf(q *message.Question, a *answer.Answer) bypass.Kinds {
	switch a.Outcome {
	case answer.NameError:
		return bypass.Denied
	case answer.NotReady:
		return bypass.Failed
	case answer.NoData:
		if a.Service == nil || a.Hops == 0 && !a.LeavesCluster {
			return bypass.Denied
		}
		return bypass.Found | bypass.Padded // CNAMEs, and the SOA record
	}
	if q.Type == dns.TypeSRV {
		return bypass.Found | bypass.Padded // the targets' addresses
	}
	if q.EDNS.Present {
		for range a.Notes() {
			return bypass.Found | bypass.Padded
		}
	}
	return bypass.Found
}
