package zone

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/upstream"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/static"
	"github.com/fedns/fedns/internal/pipeline"
)

// Message begins an authoritative reply (RFC 1035 section 4.1.1: AA; never RA).
func (q *Query) Message() *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q.Req)
	m.Authoritative = true
	return m
}

// Meta answers what asks for no record: nil for all that does.
func (q *Query) Meta() (*dns.Msg, Outcome) {
	if q.Req.Opcode != dns.OpcodeQuery {
		// Whoever sends NOTIFY takes an answer for an acknowledgement (RFC 1996).
		return q.Refuse(dns.RcodeRefused)
	}
	switch q.QType() {
	case dns.TypeAXFR, dns.TypeIXFR: // the transfer plugin, if there is one, has seen it
		return q.Refuse(dns.RcodeRefused)
	case dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY:
		return q.Refuse(dns.RcodeFormatError)
	case dns.TypeNXNAME: // RFC 9824 section 3.5
		m, o := q.Refuse(dns.RcodeFormatError)
		q.explain(m, extendedErrorInvalidQueryType, "NXNAME can't be asked for")
		return m, o
	}
	return nil, Outcome{}
}

// Current answers a difference that is asked for in a datagram with the SOA record alone: who has an older one comes by TCP
// (RFC 1995 section 2).
func (q *Query) Current() (*dns.Msg, Outcome) {
	m := q.Message()
	m.Answer = []dns.RR{q.Static.serialized(q.Snapshot.Serial, false)}
	return m, Outcome{Success, ApexScope}
}

// Refuse answers with nothing but a response code.
func (q *Query) Refuse(rcode int) (*dns.Msg, Outcome) {
	m := q.Message()
	m.Authoritative = false
	m.Rcode = rcode
	return m, Outcome{Refused, NoScope}
}

// Reply answers a question for a name with these labels before the domain; nil:
// the next plugin may.
func (q *Query) Reply(ctx context.Context, labels []string) (*dns.Msg, Outcome) {
	var asked message.Question
	packet := q.packet()
	switch asked.Read(packet) {
	case message.Plain, message.BadCookie:
	default:
		return q.Refuse(dns.RcodeFormatError)
	}
	from, _ := netip.ParseAddr(q.IP())
	r := Transaction{Of: q.Of, Domain: q.Domain, Static: q.Static, Snapshot: q.Snapshot, From: from, Network: q.Client, Turn: q.Turn, Now: pipeline.Now()}
	r.Serial, r.Time = q.Snapshot.Serial, uint32(time.Now().Unix())
	if q.cookie != nil {
		_, _ = hex.Decode(r.Cookie[:], []byte(q.cookie.Cookie[2*cookie.ClientLen:])) // which was encoded here
	}
	r.Begin(packet, &asked, q.Size(), &r.Extras)
	out := r.Respond(&asked, q.Request.Name(), labels, q.find)
	q.Scope, q.Subject = r.Scope, out.Subject
	if out.PassOn {
		return nil, Outcome{}
	}
	m := unpacked(r.End())
	m.Question[0] = q.Req.Question[0]
	if out.Follow != "" {
		return q.follow(ctx, m, out.Follow)
	}
	return m, out.Outcome
}

// unpacked is an answer as the plugins behind, and transfers, have it.
func unpacked(answer []byte) *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(answer); err != nil {
		panic("federation: an answer that was packed can't be unpacked: " + err.Error())
	}
	return m
}

// packet is the question as it came, with what is needed of its OPT record.
func (q *Query) packet() []byte {
	m := dns.Msg{MsgHdr: q.Req.MsgHdr, Question: []dns.Question{q.Req.Question[0]}}
	m.Question[0].Qclass = dns.ClassINET
	if o := q.Req.IsEdns0(); o != nil {
		opt := &dns.OPT{Hdr: o.Hdr}
		opt.Hdr.Name = "." // whatever came
		if q.Network != nil {
			opt.Option = append(opt.Option, q.Network)
		}
		if q.cookie != nil {
			opt.Option = append(opt.Option, q.cookie)
		}
		m.Extra = []dns.RR{opt}
	}
	b, err := m.Pack()
	if err != nil {
		panic("federation: a question that was unpacked can't be packed: " + err.Error())
	}
	return b
}

// find finds the domain of a name that a CNAME leads to, of those whose plugins are
// those of the question: its own, if the name has static records. All else is asked of the
// whole server.
func (q *Query) find(name string) (*Block, *Domain) {
	rel, ok := q.Domain.Name.Under(name)
	if !ok {
		return nil, nil
	}
	if q.Static.Zone.Owns(name) || q.Static.Zone.Lookup(name, dnsname.Labels(rel), q.QType()).Kind == static.Referral {
		return q.Of, q.Domain
	}
	return nil, nil
}

// follow completes an answer that ends in a CNAME by what the whole server says of the name
// that it leads to.
func (q *Query) follow(ctx context.Context, m *dns.Msg, name string) (*dns.Msg, Outcome) {
	loop, _ := ctx.Value(dnsserver.LoopKey{}).(int)
	ctx = context.WithValue(context.WithValue(ctx, Following{}, q), dnsserver.LoopKey{}, loop+1)
	rest, err := upstream.New().Lookup(ctx, q.Request, name, q.QType())
	q.echoScope(m)
	switch {
	case err != nil || loop >= maxAliases || rest != nil && rest.Rcode == dns.RcodeServerFailure:
		failed, _ := q.Refuse(dns.RcodeServerFailure)
		return failed, Outcome{ServFail, ApexScope}
	case rest == nil: // nobody says anything
		return m, Outcome{Success, ApexScope}
	}
	m.Answer = append(m.Answer, rest.Answer...)
	said := q.repeat(m, rest)
	defer truncate(m, q.Size())
	switch {
	case q.proven(rest):
		// Whoever signs that says what there isn't.
		m.Rcode, m.Ns = rest.Rcode, append(m.Ns, rest.Ns...)
		return m, Outcome{NoData, ApexScope}
	case rest.Rcode == dns.RcodeNameError:
		// A CNAME to a name that doesn't exist is NXDOMAIN with the CNAME (RFC 6604).
		m.Rcode = dns.RcodeNameError
		m.Ns = append(m.Ns, q.Static.serialized(q.Snapshot.Serial, true))
		return m, Outcome{NXDomain, ApexScope}
	case rest.Rcode == dns.RcodeSuccess && len(rest.Answer) == 0, !q.conclusive(m.Answer):
		m.Ns = append(m.Ns, q.Static.serialized(q.Snapshot.Serial, true))
		if !said {
			q.explain(m, dns.ExtendedErrorCodeOther, noType)
		}
		return m, Outcome{NoData, ApexScope}
	}
	if q.Do() { // that nothing is closer than a wildcard
		m.Ns = append(m.Ns, slices.DeleteFunc(rest.Ns, func(rr dns.RR) bool { return !denies(rr) })...)
	}
	return m, Outcome{Success, ApexScope}
}

// denies says whether a record proves what there isn't, or is the signature of one that does.
func denies(rr dns.RR) bool {
	t := rr.Header().Rrtype
	if sig, ok := rr.(*dns.RRSIG); ok {
		t = sig.TypeCovered
	}
	return t == dns.TypeNSEC || t == dns.TypeNSEC3
}

// proven says whether what is said of a name has a signed proof that there is nothing.
func (q *Query) proven(rest *dns.Msg) bool {
	return q.Do() && !slices.ContainsFunc(rest.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == q.QType() }) &&
		slices.ContainsFunc(rest.Ns, denies)
}

// conclusive says whether records answer the question, rather than only lead on
// to nothing. A CNAME to another domain ends where this server's knowledge does.
func (q *Query) conclusive(rrs []dns.RR) bool {
	rrs = slices.DeleteFunc(slices.Clone(rrs), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG })
	c, ok := rrs[len(rrs)-1].(*dns.CNAME)
	if !ok || q.QType() == dns.TypeCNAME {
		return true
	}
	_, ours := q.Domain.Name.Under(c.Target)
	return !ours
}

// repeat adds what another message says of an answer (RFC 8914), and says whether there was
// something.
func (q *Query) repeat(m, other *dns.Msg) (said bool) {
	o := other.IsEdns0()
	if o == nil {
		return false
	}
	for _, option := range o.Option {
		if e, ok := option.(*dns.EDNS0_EDE); ok {
			q.explain(m, e.InfoCode, e.ExtraText)
			said = true
		}
	}
	return said
}

// serialized is the domain's SOA record with a serial; of a negative answer, with the TTL that
// RFC 2308 section 3 asks for.
func (a *Static) serialized(serial uint32, negative bool) *dns.SOA {
	soa := *a.SOA
	soa.Serial = serial
	if negative {
		soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	}
	return &soa
}
