package zone

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/cookie"
)

// Recognize looks at the client's cookie (RFC 7873 section 5.2): due is what belongs
// into every answer, holder says that it was good. It isn't sound if it has an
// impossible length. A nil keyring is for servers without cookies.
func Recognize(jar *cookie.Keyring, r *dns.Msg, from netip.Addr) (due *dns.EDNS0_COOKIE, holder, sound bool) {
	o := r.IsEdns0()
	if o == nil || jar == nil || o.Version() != 0 { // nobody knows what later versions mean by it
		return nil, false, true
	}
	for _, option := range o.Option {
		c, ok := option.(*dns.EDNS0_COOKIE)
		if !ok {
			continue
		}
		data, err := hex.DecodeString(c.Cookie)
		if err != nil {
			return nil, false, false
		}
		client, server, ok := cookie.Split(data)
		if !ok {
			return nil, false, false
		}
		now := uint32(time.Now().Unix())
		verdict := jar.Check(client, server, from, now)
		if verdict != cookie.Good {
			server = jar.Append(nil, client, from, now)
		}
		return &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(client) + hex.EncodeToString(server)}, verdict != cookie.Bad, true
	}
	return nil, false, true
}

// CheckCookie looks at the client's cookie, and keeps what is due to it. It is false for one of an impossible length.
func (q *Query) CheckCookie(jar *cookie.Keyring) bool {
	from, err := netip.ParseAddr(q.IP())
	if err != nil {
		return true
	}
	var sound bool
	q.cookie, q.Holder, sound = Recognize(jar, q.Req, from)
	return sound
}

// SetCookie gives the client its cookie.
func (q *Query) SetCookie(m *dns.Msg) {
	if q.cookie != nil {
		opt := q.opt(m)
		opt.Option = append(opt.Option, q.cookie)
	}
}

// WithCookie is a message with a cookie, in the place of any that it has. What it
// shares with m isn't changed: CoreDNS has replies share the OPT record of the query.
func WithCookie(m *dns.Msg, due *dns.EDNS0_COOKIE) *dns.Msg {
	out := *m
	out.Extra = slices.Clone(m.Extra)
	at := slices.IndexFunc(out.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	if at < 0 {
		at = len(out.Extra)
		if m.IsTsig() != nil {
			at-- // it has to be the last (RFC 8945 section 5.1)
		}
		opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		opt.SetUDPSize(dns.MinMsgSize)
		out.Extra = slices.Insert(out.Extra, at, dns.RR(opt))
	}
	opt := *out.Extra[at].(*dns.OPT)
	opt.Option = slices.DeleteFunc(slices.Clone(opt.Option), func(o dns.EDNS0) bool { return o.Option() == dns.EDNS0COOKIE })
	opt.Option = append(opt.Option, due)
	out.Extra[at] = &opt
	return &out
}
