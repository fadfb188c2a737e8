package zone

import (
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/message"
)

// NormalizeOPT makes of the request's OPT record what CoreDNS may echo: it reuses it for
// the reply, the client's size and unknown flags included (RFC 6891 sections
// 6.1.4 and 6.2.3 ask for the server's own).
//
// CO stays where answers are signed, whose proofs depend on it (RFC 9824 section 5).
func NormalizeOPT(r *dns.Msg, proto string, signed bool) {
	o := r.IsEdns0()
	if o == nil {
		return
	}
	if proto == "udp" && o.UDPSize() > message.Payload {
		o.SetUDPSize(message.Payload)
	}
	if o.UDPSize() < dns.MinMsgSize {
		o.SetUDPSize(dns.MinMsgSize) // smaller values are taken for 512 (6.2.3)
	}
	do, co := o.Do(), o.Co()
	o.Hdr.Ttl = 0
	if do {
		o.SetDo()
	}
	if do && co && signed {
		o.SetCo()
	}
}

// explain adds an extended error (RFC 8914), if the client speaks EDNS.
func (q *Query) explain(m *dns.Msg, code uint16, text string) {
	if q.Req.IsEdns0() == nil || text == "" {
		return
	}
	opt := q.opt(m)
	opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: code, ExtraText: text})
}

// opt gives the OPT record of a reply, and adds it to one that has none. The
// question has one.
func (q *Query) opt(m *dns.Msg) *dns.OPT {
	if opt := m.IsEdns0(); opt != nil {
		return opt
	}
	o := q.Req.IsEdns0()
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(o.UDPSize())
	if o.Do() {
		opt.SetDo()
	}
	m.Extra = append(m.Extra, opt)
	return opt
}

// truncate makes a reply of at most size bytes. What is only additional goes first,
// without a word; then whole sets of records, with TC (RFC 2181 section 9): the
// client asks again over TCP.
func truncate(m *dns.Msg, size int) {
	if m.Len() <= size {
		return
	}
	m.Compress = true
	if m.Len() <= size {
		return
	}
	var opt []dns.RR
	if o := m.IsEdns0(); o != nil {
		opt = []dns.RR{o}
	}
	if m.Authoritative { // glue of a referral isn't dispensable (RFC 9471)
		m.Extra = opt
		if m.Len() <= size {
			return
		}
	}
	m.Truncated = true
	m.Extra = opt
	for m.Len() > size && len(m.Answer) > 0 {
		m.Answer = m.Answer[:lastSet(m.Answer)]
	}
	if m.Len() > size {
		m.Ns = nil
	}
}

// lastSet is where the last set of records of one name and type begins.
func lastSet(rrs []dns.RR) int {
	i := len(rrs) - 1
	h := rrs[i].Header()
	for i > 0 && rrs[i-1].Header().Rrtype == h.Rrtype && rrs[i-1].Header().Name == h.Name {
		i--
	}
	return i
}

// extendedErrorInvalidQueryType is the code of RFC 9824 section 3.5; the library
// doesn't name it yet.
const extendedErrorInvalidQueryType = 30
