package federation

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/plugin/federation/geoindex"
)

// choose picks the shards that a client gets, who asks from an address and, if it is
// valid, for a network (RFC 7871). scope is how long the prefix is whose clients all
// get this answer; 0: everybody does.
func (f *Federation) choose(a *answer.Answer, from netip.Addr, subnet netip.Prefix) (scope uint8) {
	p := a.Policy()
	switch p.Choice {
	case snapshot.All:
		return 0
	case snapshot.Nearest:
		draw := uint64(0)
		if p.Count > 0 {
			draw = rand.Uint64()
		}
		l := f.geo[a.Index]
		if l.Waits(a) {
			a.NotKnown(geoindex.Unlocated)
			return 0
		}
		lacks := l.Lacks()
		if lacks {
			a.Degrade()
		}
		if !subnet.IsValid() || !l.TrustsSubnets(from) {
			c := l.Client(from.WithZone(""))
			c.Draw = draw
			a.Choose(&c)
			return 0
		}
		if subnet.Bits() == 0 {
			a.Choose(&answer.Client{}) // it asks not to be told from others
			return 0
		}
		c, length := l.Subnet(subnet.Addr())
		if lacks { // no other network may have an answer that isn't its own soon
			length = max(length, subnet.Bits())
		}
		c.Draw = draw
		a.Choose(&c)
		if a.Outcome == answer.Found && a.Target && !a.AnyType() {
			return uint8(length)
		}
	default:
		a.Choose(&answer.Client{Draw: rand.Uint64()})
	}
	return 0
}

// subnet reads the client's network of a question. It is false for one that is put
// together wrongly (RFC 7871 section 7.1.2), as far as that can be told of what the library
// has made of it: see misplacedOption.
func (q *query) subnet() (p netip.Prefix, sound bool) {
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
		if q.network == nil { // all but the first are only to be put together rightly
			q.network, p = e, n
		}
	}
	return p, true
}

// misplacedOption marks questions with a client subnet whose address has more or fewer bytes than
// its length asks for. The library fills it up, or cuts it; all that is left to tell is
// how long the OPT record was.
type misplacedOption struct{}

// hasMisplacedOption says whether a question, as it came, is such a one. Before another plugin has
// changed its options, those are as long as they were, but for some that say how long a
// thing lasts in as many bytes as it takes.
func hasMisplacedOption(r *dns.Msg) bool {
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

// echoSubnet adds the client's network to an answer, with how far it holds.
func (q *query) echoSubnet(m *dns.Msg) {
	if q.network == nil {
		return
	}
	e := *q.network
	e.SourceScope = q.scope
	opt := q.opt(m)
	opt.Option = append(opt.Option, &e)
}

// echoScope says in an answer that has the client's network how far it holds.
func (q *query) echoScope(m *dns.Msg) {
	o := m.IsEdns0()
	if o == nil {
		return
	}
	for _, option := range o.Option {
		if e, ok := option.(*dns.EDNS0_SUBNET); ok {
			e.SourceScope = q.scope
		}
	}
}

// trustsSubnet says whether the client subnets of a resolver are taken at their word in a domain: by
// any of its federations. Where they aren't, none is sent back (RFC 7871 section 7.2.1).
func (f *Federation) trustsSubnet(d *domain, resolver netip.Addr) bool {
	for i := range d.members {
		if f.geo[d.members[i].Index].TrustsSubnets(resolver) {
			return true
		}
	}
	return false
}

// ignoreSubnet has nothing be said of the client's network where none of a domain's federations goes by
// what a resolver says of it.
func (f *Federation) ignoreSubnet(q *message.Question, d *domain, resolver netip.Addr) {
	if !f.trustsSubnet(d, resolver) {
		q.EDNS.NoSubnet()
	}
}
