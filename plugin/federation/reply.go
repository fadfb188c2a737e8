package federation

import (
	"context"
	"net"
	"net/netip"

	"github.com/coredns/coredns/plugin/file"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
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

// federated puts an answer about a service on the wire.
func (q *query) federated(a *answer.Answer) *dns.Msg {
	m := q.message()
	q.annotate(m, a)
	owner, ttl := q.QName(), a.TTL // in the case it was asked in
	apex := q.apex
	if a.Away {
		apex, ttl = apex.leads, a.Near
	}
	for c := range a.Chain() {
		target := q.name(a.Path.At(c))
		if !legal(target) {
			continue // a short name can lead to one that is too long to exist
		}
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: header(owner, dns.TypeCNAME, ttl), Target: target})
		owner, ttl = target, a.TTL
	}
	if a.Bare() && q.QType() == dns.TypeHINFO {
		m.Answer = append(m.Answer, bare(owner, a.TTL))
		return m
	}
	if a.Outcome == answer.NoData {
		m.Ns = []dns.RR{apex.soa(q.snapshot.Serial, true)}
		return m
	}
	switch q.QType() {
	case dns.TypeA, dns.TypeAAAA:
		m.Answer = q.addresses(m.Answer, owner, a, q.QType() == dns.TypeA)
	case dns.TypeSRV:
		// The name behind the port's, in the form that was asked: it fits where the
		// question did. Not in its case, which is the resolver's own affair.
		target := dnsname.Lower(owner)
		for range 2 {
			next, _ := dns.NextLabel(target, 0)
			target = target[next:]
		}
		parted := a.Parted()
		for t := range a.Targets(q.turn) {
			to := target
			if t.Narrow {
				if to = q.name(a.Path.Host(t.At)); !legal(to) {
					continue
				}
			}
			if parted {
				for addr := range a.Behind(&t) {
					m.Extra = append(m.Extra, address(to, a.TTL, addr))
				}
			}
			if t.Pod != nil {
				if to = t.Pod.Label + "." + target; !legal(to) {
					continue
				}
				for _, s := range t.Pod.Shards {
					m.Extra = append(m.Extra, address(to, a.TTL, s.Addr))
				}
			}
			m.Answer = append(m.Answer, &dns.SRV{Hdr: header(owner, dns.TypeSRV, a.TTL), Port: t.Port, Target: to})
		}
		if a.Pods() || parted {
			break
		}
		m.Extra = q.addresses(m.Extra, target, a, true)
		m.Extra = q.addresses(m.Extra, target, a, false)
	case dns.TypeANY:
		if a.Target {
			m.Answer = append(m.Answer, any8482(owner, a.TTL))
		}
	}
	return m
}

// annotate adds what a client is told beside the records.
func (q *query) annotate(m *dns.Msg, a *answer.Answer) {
	for n := range a.Notes() {
		q.explain(m, n.Code, n.String())
	}
}

func (q *query) addresses(rrs []dns.RR, owner string, a *answer.Answer, v4 bool) []dns.RR {
	for addr := range a.Addrs(v4, q.turn) {
		rrs = append(rrs, address(owner, a.TTL, addr))
	}
	return rrs
}

func address(owner string, ttl uint32, a netip.Addr) dns.RR {
	if a.Is4() {
		return &dns.A{Hdr: header(owner, dns.TypeA, ttl), A: net.IP(a.AsSlice())}
	}
	return &dns.AAAA{Hdr: header(owner, dns.TypeAAAA, ttl), AAAA: net.IP(a.AsSlice())}
}

func header(owner string, t uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: t, Class: dns.ClassINET, Ttl: ttl}
}

// any8482 stands for all records of a name (RFC 8482 section 4.2).
func any8482(owner string, ttl uint32) dns.RR {
	return &dns.HINFO{Hdr: header(owner, dns.TypeHINFO, ttl), Cpu: "RFC8482"}
}

// bare is the one record of a name that exists and has nothing to lead to. A zone
// can't say otherwise that it exists: a secondary would have NXDOMAIN for it, or
// what a wildcard says. A record below it would do by RFC 4592 section 2.2.2, but
// not for CoreDNS, which has wildcards answer for empty non-terminals. It is of a
// type that nobody asks for, so that it is in nobody's way.
func bare(owner string, ttl uint32) dns.RR {
	return &dns.HINFO{Hdr: header(owner, dns.TypeHINFO, ttl), Cpu: "down"}
}

// name makes an absolute name of one that an answer leads to.
func (q *query) name(rel string) string {
	d := q.domain
	if d.lead != nil {
		d = d.lead
	}
	if d.name == dnsname.Root {
		return rel + "."
	}
	return rel + "." + string(d.name)
}

// legal says whether a name is short enough to be one (RFC 1035 section 2.3.4).
func legal(name string) bool {
	_, err := dnsname.Parse(name)
	return err == nil
}

// static answers from the records of the apex file.
func (q *query) static(ctx context.Context) (*dns.Msg, outcome) {
	m := q.message()
	if q.QType() == dns.TypeSOA && q.Request.Name() == string(q.domain.name) {
		m.Answer = []dns.RR{q.soa(false)}
		return m, outcome{success, apexScope}
	}
	if q.QType() == dns.TypeANY && q.apex.owns(q.Request.Name()) {
		m.Answer = []dns.RR{any8482(q.QName(), q.soa(false).Header().Ttl)}
		return m, outcome{success, apexScope}
	}
	rrs, ns, extra, result := q.apex.zone.Lookup(context.WithValue(ctx, following{}, q), q.Request, q.Request.Name())
	if result == file.NameError && q.Request.Name() == string(q.domain.name) {
		result = file.NoData // it exists, even if all its records are SOA and NS
	}
	switch result {
	case file.Delegation:
		// A referral is not ours to be authoritative for; a CNAME that leads to one is.
		m.Authoritative = len(rrs) > 0
		m.Answer, m.Ns, m.Extra = rrs, ns, extra
		return m, outcome{delegation, apexScope}
	case file.NameError:
		m.Rcode = dns.RcodeNameError
		m.Answer = rrs
		q.deny(m, answer.NoName)
		return m, outcome{nxdomain, apexScope}
	case file.ServerFailure:
		m.Rcode = dns.RcodeServerFailure
		return m, outcome{servfail, apexScope}
	}
	if q.apex.isENT(q.Request.Name()) {
		// CoreDNS would have a wildcard answer for an empty non-terminal.
		return q.negative(dns.RcodeSuccess, "empty non-terminal"), outcome{nodata, apexScope}
	}
	m.Answer, m.Extra = rrs, extra
	if result == file.NoData || !q.conclusive(rrs) {
		q.deny(m, "no record of this type")
		return m, outcome{nodata, apexScope}
	}
	return m, outcome{success, apexScope}
}

// conclusive says whether records answer the question, rather than only lead on
// to nothing. A CNAME to another domain ends where this server's knowledge does.
func (q *query) conclusive(rrs []dns.RR) bool {
	if len(rrs) == 0 {
		return false
	}
	last := rrs[len(rrs)-1]
	if c, ok := last.(*dns.CNAME); ok && q.QType() != dns.TypeCNAME {
		_, ours := q.domain.name.Under(c.Target)
		return !ours
	}
	return true
}

// negative says that there is nothing.
func (q *query) negative(rcode int, why string) *dns.Msg {
	m := q.message()
	m.Rcode = rcode
	q.deny(m, why)
	return m
}

// deny adds what a resolver needs to remember that there is nothing, and for how
// long (RFC 2308 section 3), and why that is so.
func (q *query) deny(m *dns.Msg, why string) {
	m.Ns = []dns.RR{q.soa(true)}
	if m.Rcode == dns.RcodeSuccess || why != answer.NoName {
		q.explain(m, dns.ExtendedErrorCodeOther, why)
	}
}

// notReady is for names that may exist: nothing is said that would be remembered.
func (q *query) notReady(a *answer.Answer) *dns.Msg {
	m := q.message()
	m.Authoritative = false
	m.Rcode = dns.RcodeServerFailure
	q.annotate(m, a)
	return m
}

// soa is the domain's SOA record with the serial of the snapshot; of a negative
// answer, with the TTL that RFC 2308 section 3 asks for.
func (q *query) soa(negative bool) dns.RR { return q.apex.soa(q.snapshot.Serial, negative) }

func (a *staticZone) soa(serial uint32, negative bool) dns.RR {
	soa := *a.zone.SOA
	soa.Serial = serial
	if negative {
		soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	}
	return &soa
}
