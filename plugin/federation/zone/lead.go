package zone

import (
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/plugin/federation/bypass"
)

// A Lead is how CNAME records of a zone that isn't a domain lead to a name which may be in one.
type Lead struct {
	From    *message.Domain
	Aliases []Alias
	To      string // in lower case and presentation form
	// What the zone adds to what is said of that name: where there is something, and where there isn't.
	Found, Nothing []message.Owned
}

// An Alias is a CNAME record.
type Alias struct {
	TTL    uint32
	Target []byte // on the wire, with its last byte
}

// Lead writes the answer to a question that it has begun with, for a name that leads to a domain of a
// block. Of what is said there, as to any question, it has the answer section, as CoreDNS's plugins have it that ask the whole
// server. It isn't ok where that doesn't do. find is that of Respond.
func (r *Transaction) Lead(q *message.Question, l *Lead, b *Block, d *Domain, find func(name string) (*Block, *Domain)) (out Result, ok bool) {
	if !r.In(l.From) {
		return out, false
	}
	for i := range l.Aliases {
		if !r.Alias(l.Aliases[i].TTL, l.Aliases[i].Target, nil, &r.alias) {
			return out, false
		}
	}
	serial := r.Serial
	r.Of = nil // what it was, was another question's
	r.enter(b, d)
	out = r.resolve(q, &r.alias, l.To, r.alias.Labels(r.Static.wire.Labels), find)
	if r.Serial = serial; out.PassOn || out.Follow != "" || out.What == Delegation || out.What == ServFail {
		return out, false
	}
	records, rcode, ok := r.Return(l.From, &r.Extras)
	if !ok {
		return out, false
	}
	more := l.Found
	if rcode == message.NXDomain || records == len(l.Aliases) {
		more = l.Nothing
	}
	if out.Kinds = bypass.Found | bypass.Padded; rcode != message.NoError {
		out.Kinds = bypass.Failed // as CoreDNS counts it (plugin/pkg/response)
	}
	return out, r.Authority(more)
}
