package federation

import (
	"math/rand/v2"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/snapshot"
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
		l := f.locators[a.Index]
		if l.waits(a) {
			a.Wait(unlocated)
			return 0
		}
		lacks := l.lacks()
		if lacks {
			a.Shorten()
		}
		if !subnet.IsValid() || !l.trustsSubnets(from) {
			c, _ := l.client(from.WithZone(""))
			c.Draw = draw
			a.Choose(&c)
			return 0
		}
		if subnet.Bits() == 0 {
			a.Choose(&answer.Client{}) // it asks not to be told from others
			return 0
		}
		c, length := l.subnet(subnet.Addr())
		if lacks { // no other network may have an answer that isn't its own soon
			length = max(length, subnet.Bits())
		}
		c.Draw = draw
		a.Choose(&c)
		if a.Outcome == answer.Found && a.Target {
			return uint8(length)
		}
	default:
		a.Choose(&answer.Client{Draw: rand.Uint64()})
	}
	return 0
}

// subnet reads the client's network of a question. It is false for one that is put
// together wrongly (RFC 7871 section 7.1.2).
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
		p = netip.PrefixFrom(a, int(e.SourceNetmask))
		if !p.IsValid() || p.Masked() != p {
			return netip.Prefix{}, false
		}
		q.network = e
		return p, true
	}
	return p, true
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

// describe says where a client is, how that is known, and what follows.
func (l *geoIndex) describe(a netip.Addr) report.Client {
	out := report.Client{Address: a.String(), Note: "where it is isn't known, so it gets every shard"}
	t := l.now.Load()
	if t == nil {
		return out
	}
	plain := a.Unmap().WithZone("")
	id, length := t.table.Lookup(plain)
	if p, err := plain.Prefix(length); err == nil {
		out.Block = p.String()
	}
	ranking := t.table.Ranking(id)
	if len(ranking.Order()) == 0 {
		return out
	}
	var at geo.Point
	if n, ok := t.table.Net(plain); ok {
		place, _ := t.atlas.Place(n.Region)
		at, out.Source = place.Point, geo.Nets.String()
		out.Note = "in " + n.Region + ", by nets " + n.Prefix.String()
	} else if t.db != nil {
		place, network := t.db.Lookup(plain)
		at, out.Source, out.Location = place.Point, place.Source.String(), place.Point.String()
		out.Note = "at " + out.Location + ", by the " + out.Source + " of " + network.String()
	}
	for _, leg := range ranking.Legs(at) {
		r := report.Leg{Region: leg.Region}
		if leg.Place.Source != geo.Unknown {
			r.KM, r.Source = int(leg.KM), leg.Place.Source.String()
		}
		out.Ranking = append(out.Ranking, r)
	}
	return out
}
