package zone

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/static"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/plugin/federation/bypass"
)

// A Transaction is a question for a name in a domain and its answer: decided here and written
// here, whichever way the question came. It is used over and over.
type Transaction struct {
	message.Reply
	message.Extras

	Of       *Block
	Domain   *Domain
	Static   *Static            // of the domain, loaded once, so that one answer shows one generation
	Snapshot *snapshot.Snapshot // the same
	From     netip.Addr         // that asks
	Network  netip.Prefix       // of the client, as who asks says; invalid: nothing is said
	Turn     uint32
	Now      time.Duration // on the program's own clock

	alias message.Name // that was followed last
}

// A Result is what came of it.
type Result struct {
	Outcome
	Subject
	Kinds  bypass.Kinds
	PassOn bool // nothing is written: the next plugin may have something
	// follow is where a CNAME leads of which nothing is known here: absolute, in lower case,
	// and in presentation form. The answer ends there.
	Follow string
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

// Respond writes the answer to a question that it has begun with, for a name in
// its domain: in lower case and presentation form, labels are those before the domain. find
// finds the domain of a name that a CNAME leads to; nil: it isn't answered here.
func (r *Transaction) Respond(q *message.Question, name string, labels []string, find func(name string) (*Block, *Domain)) (out Result) {
	return r.resolve(q, &q.Name, name, labels, find)
}

// resolve is Respond for a name that may be where CNAME records have led.
func (r *Transaction) resolve(q *message.Question, at *message.Name, name string, labels []string, find func(name string) (*Block, *Domain)) (out Result) {
	out = Result{Outcome: Outcome{Success, ApexScope}, Kinds: bypass.Found} // where it ends in a CNAME
	for hops := 0; ; hops++ {
		if hops > maxAliases {
			r.Fail()
			return Result{Outcome: Outcome{ServFail, ApexScope}, Kinds: bypass.Failed}
		}
		if !r.In(&r.Static.wire) {
			return out
		}
		s := static.Found{}
		do, a := lookUp, &answer.Answer{}
		var scope uint8
		if len(labels) > 0 {
			r.Domain.Resolve(a, r.Snapshot, r.Static, name, labels, answer.Type(q.Type), r.Now)
			do, scope = r.Domain.decide(r.Of, r.Static, &question{name, labels, r.From, r.Network}, a)
		} else if q.Type == dns.TypeA || q.Type == dns.TypeAAAA {
			do, scope = r.apex(a, answer.Type(q.Type))
		}
		r.Scope = max(r.Scope, scope)
		if r.Network.IsValid() && (len(labels) > 0 || do == give) {
			r.heed(q, a)
		}
		if a.Endless {
			r.Endless()
		}
		if a.Wildcard {
			r.wildcard(q, name, labels, len(labels)-a.Depth, nil, a)
		}
		if do == lookUp {
			if s = r.Static.Zone.Lookup(name, labels, q.Type); s.Kind == static.NoName {
				do = r.Domain.without(name, a)
			}
		}
		switch {
		case do == passOn && hops == 0:
			return Result{PassOn: true}
		case do == passOn:
			out.Follow = name
			return out
		case do == give, do == deny:
			of := Subject{a.Federation, a.Service}
			if do == deny && len(labels) > 0 {
				a.Service = nil
				r.outer(name, a)
			}
			r.Answer(a, &r.Extras, r.Turn)
			return r.came(q, do, a, of, hops)
		}
		if s.Wild {
			*a = answer.Answer{}
			r.wildcard(q, name, labels, s.Label, s.Types, a)
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
			if name, err = Presented(r.Last()); err != nil {
				r.Fail()
				return Result{Outcome: Outcome{ServFail, ApexScope}, Kinds: bypass.Failed}
			}
		}
		f, d := find(name)
		if d == nil {
			out.Follow = name
			return out
		}
		r.enter(f, d)
		labels = at.Labels(r.Static.wire.Labels)
		if !at.Plain() {
			rel, _ := d.Name.Under(name)
			labels = dnsname.Labels(rel)
		}
	}
}

// ends writes what static records have where they lead nowhere else.
func (r *Transaction) ends(q *message.Question, s *static.Found, labels []string, hops int) (out Result, ok bool) {
	out = Result{Outcome: Outcome{Success, ApexScope}, Kinds: bypass.Found}
	switch {
	case len(labels) == 0 && q.Type == dns.TypeSOA:
		r.SOA(&r.Extras)
	case len(labels) == 0 && r.Keys(q.Type):
	case s.Kind == static.NoData:
		a := answer.Answer{Outcome: answer.NoData, Why: noType}
		if s.Empty {
			a.Why = emptyNonTerminal
		}
		types := s.Types
		if len(labels) == 0 {
			types = r.apexTypes(types)
		}
		r.Exist(types, len(labels) == 0)
		r.Answer(&a, &r.Extras, r.Turn)
		if out.What, out.Kinds = NoData, bypass.Denied; hops > 0 {
			out.Kinds = bypass.Found | bypass.Padded // a CNAME, and the SOA record
		}
	case s.Kind == static.Any:
		r.Any(r.Static.SOA.Hdr.Ttl)
	case s.Kind == static.Records:
		r.Set(s.Set)
		out.Kinds |= bypass.Padded
	case s.Kind == static.Referral:
		r.Referral(s.Label, s.NS, s.DS)
		out.What = Delegation
		out.Kinds |= bypass.Padded
	default:
		return out, false
	}
	return out, true
}

// leads writes how static records lead from a name to another, which is r.alias then. It
// isn't ok where the answer ends with that.
func (r *Transaction) leads(q *message.Question, at *message.Name, s *static.Found) (out Result, ok bool) {
	out = Result{Outcome: Outcome{Success, ApexScope}, Kinds: bypass.Found}
	target := s.Target()
	if s.Kind == static.Moved {
		if !r.Moved(s.Label, s.Set) {
			return out, false
		}
		if target, ok = at.Join(s.Label, target); !ok {
			r.TooLong()
			out.Kinds = bypass.Denied
			return out, false
		}
	}
	sigs := s.Set.Sigs
	if s.Kind == static.Moved {
		sigs = nil // they are of the DNAME record
	}
	return out, r.Alias(s.TTL(), target, sigs, &r.alias) && q.Type != dns.TypeCNAME
}

// apex decides about a question for addresses of the domain's own name.
func (r *Transaction) apex(a *answer.Answer, t answer.Type) (do action, scope uint8) {
	if !r.Domain.atApex(a, r.Snapshot, r.Static, t, r.Now) {
		return lookUp, 0
	}
	if a.TTL > 0 {
		scope = r.Of.Choose(a, r.From, r.Network)
	}
	if a.Outcome == answer.NotReady {
		return deny, scope
	}
	s := r.Static.Zone.Lookup(string(r.Domain.Name), nil, uint16(t))
	r.Exist(s.Types, true)
	return give, scope
}

// apexTypes are the types that the domain's own name has, beside those of its static records.
func (r *Transaction) apexTypes(types []uint16) []uint16 {
	var a answer.Answer
	if !r.Domain.atApex(&a, r.Snapshot, r.Static, answer.TypeA, r.Now) {
		return types
	}
	types = slices.Clone(types)
	if a.Has(true) {
		types = append(types, dns.TypeA)
	}
	if a.Has(false) {
		types = append(types, dns.TypeAAAA)
	}
	return types
}

// outer has a name exist that another domain of the block is at, or below (RFC 8020).
func (r *Transaction) outer(name string, a *answer.Answer) {
	if a.Outcome != answer.NameError {
		return
	}
	if types, ok := r.Of.nested(r.Domain, name); ok {
		*a = answer.Answer{Outcome: answer.NoData, Why: emptyNonTerminal}
		r.Exist(types, false)
	}
}

// heed has the client's network be said nothing of where the federation that answers doesn't
// go by what a resolver says of it.
func (r *Transaction) heed(q *message.Question, a *answer.Answer) {
	if a.Federation != nil && !r.Of.Geo[a.Index].TrustsSubnets(r.From) {
		q.EDNS.NoSubnet()
	}
}

// enter has what follows be of a domain.
func (r *Transaction) enter(f *Block, d *Domain) {
	s := f.Current.Load()
	if f == r.Of {
		s = r.Snapshot
	}
	r.Of, r.Domain, r.Static, r.Snapshot = f, d, d.Static.Load(), s
	r.Serial = s.Serial
}

// came says what came of an answer that needs no static records but those that led to it.
func (r *Transaction) came(q *message.Question, do action, a *answer.Answer, of Subject, hops int) Result {
	out := Result{Outcome: do.outcome(a), Subject: of, Kinds: kindOf(q, a)}
	if hops > 0 {
		out.Scope = ApexScope
		if out.What == Fallback {
			out.What = Success
		}
		if a.Outcome == answer.NoData {
			out.Kinds = bypass.Found | bypass.Padded
		}
	}
	return out
}

// Presented is the name that stands at a place of a message, in presentation form and lower
// case.
func Presented(message []byte, at int) (string, error) {
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
