package zone

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// Subnet reads the client's network of a question. It is false for one that is put
// together wrongly (RFC 7871 section 7.1.2), as far as that can be told of what the library
// has made of it: see misplacedOption.
func (q *Query) Subnet() (p netip.Prefix, sound bool) {
	o := q.Req.IsEdns0()
	if o == nil {
		return p, true
	}
	for _, option := range o.Option {
		e, ok := option.(*dns.EDNS0_SUBNET)
		if !ok {
			continue
		}
		if e.SourceScope != 0 {
			return p, false
		}
		a, _ := netip.AddrFromSlice(e.Address)
		if e.Family == 1 || e.Family == 0 {
			a = a.Unmap()
		}
		n := netip.PrefixFrom(a, int(e.SourceNetmask))
		if !n.IsValid() || n.Masked() != n {
			return netip.Prefix{}, false
		}
		if q.Network == nil { // all but the first are only to be put together rightly
			q.Network, p = e, n
		}
	}
	return p, true
}

// MisplacedOption marks questions with a client subnet whose address has more or fewer bytes than
// its length asks for. The library fills it up, or cuts it; all that is left to tell is
// how long the OPT record was.
type MisplacedOption struct{}

// HasMisplacedOption says whether a question, as it came, is such a one. Before another plugin has
// changed its options, those are as long as they were, but for some that say how long a
// thing lasts in as many bytes as it takes.
func HasMisplacedOption(r *dns.Msg) bool {
	o := r.IsEdns0()
	if o == nil || !slices.ContainsFunc(o.Option, func(option dns.EDNS0) bool { return option.Option() == dns.EDNS0SUBNET }) {
		return false
	}
	for _, option := range o.Option {
		switch option.(type) {
		case *dns.EDNS0_TCP_KEEPALIVE, *dns.EDNS0_UL, *dns.EDNS0_EXPIRE:
			return false // it can't be told
		}
	}
	const fixed = 1 + 2 + 2 + 4 + 2                                      // the root's name, type, class, TTL and length
	return o.Hdr.Rdlength > 0 && int(o.Hdr.Rdlength) != dns.Len(o)-fixed // 0: it didn't come from anywhere
}

// EchoSubnet adds the client's network to an answer, with how far it holds.
func (q *Query) EchoSubnet(m *dns.Msg) {
	if q.Network == nil {
		return
	}
	e := *q.Network
	e.SourceScope = q.Scope
	opt := q.opt(m)
	opt.Option = append(opt.Option, &e)
}

// echoScope says in an answer that has the client's network how far it holds.
func (q *Query) echoScope(m *dns.Msg) {
	o := m.IsEdns0()
	if o == nil {
		return
	}
	for _, option := range o.Option {
		if e, ok := option.(*dns.EDNS0_SUBNET); ok {
			e.SourceScope = q.Scope
		}
	}
}
