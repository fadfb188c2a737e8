package federation

import (
	"context"
	"encoding/hex"
	"net/netip"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/upstream"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/static"
	"github.com/fedns/fedns/internal/pipeline"
)

// message begins an authoritative reply (RFC 1035 section 4.1.1: AA; never RA).
func (q *query) message() *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q.Req)
	m.Authoritative = true
	return m
}

// meta answers what asks for no record: nil for all that does.
func (q *query) meta() (*dns.Msg, outcome) {
	if q.Req.Opcode != dns.OpcodeQuery {
		// Whoever sends NOTIFY takes an answer for an acknowledgement (RFC 1996).
		return q.refuse(dns.RcodeRefused)
	}
	switch q.QType() {
	case dns.TypeAXFR, dns.TypeIXFR: // the transfer plugin, if there is one, has seen it
		return q.refuse(dns.RcodeRefused)
	case dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY:
		return q.refuse(dns.RcodeFormatError)
	case dns.TypeNXNAME: // RFC 9824 section 3.5
		m, o := q.refuse(dns.RcodeFormatError)
		q.explain(m, extendedErrorInvalidQueryType, "NXNAME can't be asked for")
		return m, o
	}
	return nil, outcome{}
}

// refuse answers with nothing but a response code.
func (q *query) refuse(rcode int) (*dns.Msg, outcome) {
	m := q.message()
	m.Authoritative = false
	m.Rcode = rcode
	return m, outcome{refused, noScope}
}

// reply answers a question for a name with these labels before the domain; nil:
// the next plugin may.
func (q *query) reply(ctx context.Context, labels []string) (*dns.Msg, outcome) {
	var asked message.Question
	packet := q.packet()
	switch asked.Read(packet) {
	case message.Plain, message.BadCookie:
	default:
		return q.refuse(dns.RcodeFormatError)
	}
	from, _ := netip.ParseAddr(q.IP())
	r := transaction{of: q.of, domain: q.domain, apex: q.apex, snapshot: q.snapshot, from: from, network: q.client, turn: q.turn, now: pipeline.Now()}
	r.Serial = q.snapshot.Serial
	if q.cookie != nil {
		_, _ = hex.Decode(r.Cookie[:], []byte(q.cookie.Cookie[2*cookie.ClientLen:])) // which was encoded here
	}
	r.Begin(packet, &asked, q.Size(), &r.Extras)
	out := r.answer(&asked, q.Request.Name(), labels, q.find)
	q.scope = r.Scope
	if out.passOn {
		return nil, outcome{}
	}
	m := unpacked(r.End())
	m.Question[0] = q.Req.Question[0]
	if out.follow != "" {
		return q.follow(ctx, m, out.follow)
	}
	return m, out.outcome
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
func (q *query) packet() []byte {
	m := dns.Msg{MsgHdr: q.Req.MsgHdr, Question: []dns.Question{q.Req.Question[0]}}
	m.Question[0].Qclass = dns.ClassINET
	if o := q.Req.IsEdns0(); o != nil {
		opt := &dns.OPT{Hdr: o.Hdr}
		opt.Hdr.Name = "." // whatever came
		if q.network != nil {
			opt.Option = append(opt.Option, q.network)
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
func (q *query) find(name string) (*Federation, *domain) {
	rel, ok := q.domain.name.Under(name)
	if !ok {
		return nil, nil
	}
	if q.apex.zone.Owns(name) || q.apex.zone.Lookup(name, dnsname.Labels(rel), q.QType()).Kind == static.Referral {
		return q.of, q.domain
	}
	return nil, nil
}

// follow completes an answer that ends in a CNAME by what the whole server says of the name
// that it leads to.
func (q *query) follow(ctx context.Context, m *dns.Msg, name string) (*dns.Msg, outcome) {
	loop, _ := ctx.Value(dnsserver.LoopKey{}).(int)
	ctx = context.WithValue(context.WithValue(ctx, following{}, q), dnsserver.LoopKey{}, loop+1)
	rest, err := upstream.New().Lookup(ctx, q.Request, name, q.QType())
	q.echoScope(m)
	switch {
	case err != nil || loop >= maxAliases || rest != nil && rest.Rcode == dns.RcodeServerFailure:
		failed, _ := q.refuse(dns.RcodeServerFailure)
		return failed, outcome{servfail, apexScope}
	case rest == nil: // nobody says anything
		return m, outcome{success, apexScope}
	}
	m.Answer = append(m.Answer, rest.Answer...)
	said := q.repeat(m, rest)
	defer truncate(m, q.Size())
	switch {
	case rest.Rcode == dns.RcodeNameError:
		// A CNAME to a name that doesn't exist is NXDOMAIN with the CNAME (RFC 6604).
		m.Rcode = dns.RcodeNameError
		m.Ns = []dns.RR{q.apex.serialized(q.snapshot.Serial, true)}
		return m, outcome{nxdomain, apexScope}
	case rest.Rcode == dns.RcodeSuccess && len(rest.Answer) == 0, !q.conclusive(m.Answer):
		m.Ns = []dns.RR{q.apex.serialized(q.snapshot.Serial, true)}
		if !said {
			q.explain(m, dns.ExtendedErrorCodeOther, noType)
		}
		return m, outcome{nodata, apexScope}
	}
	return m, outcome{success, apexScope}
}

// conclusive says whether records answer the question, rather than only lead on
// to nothing. A CNAME to another domain ends where this server's knowledge does.
func (q *query) conclusive(rrs []dns.RR) bool {
	c, ok := rrs[len(rrs)-1].(*dns.CNAME)
	if !ok || q.QType() == dns.TypeCNAME {
		return true
	}
	_, ours := q.domain.name.Under(c.Target)
	return !ours
}

// repeat adds what another message says of an answer (RFC 8914), and says whether there was
// something.
func (q *query) repeat(m, other *dns.Msg) (said bool) {
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
func (a *staticZone) serialized(serial uint32, negative bool) dns.RR {
	soa := *a.soa
	soa.Serial = serial
	if negative {
		soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	}
	return &soa
}
