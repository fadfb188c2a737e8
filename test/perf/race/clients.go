package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/test/framework/geotest"
)

// A client is who a question is asked for, and where that is.
type client struct {
	subnet netip.Prefix // zero: it asks for itself
	at     geo.Point
}

// self is the asker, who is on the server's own machine.
var self = client{at: geo.Point{Lat: 52.52, Lon: 13.405}}

// perV6 is how many questions there are for each that is asked for an IPv6 network.
const perV6 = 4

// networks are those of the database of where networks are, in order.
func networks(v4, v6 int) []geotest.Network {
	n := geotest.Networks(v4, v6)
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	i, _ := slices.BinarySearchFunc(n, loopback, func(n geotest.Network, p netip.Prefix) int { return n.Prefix.Compare(p) })
	return slices.Insert(n, i, geotest.Network{Prefix: loopback, At: self.at})
}

// writeNetworks makes the database in a folder.
func writeNetworks(dir string, networks []geotest.Network) error {
	f, err := os.Create(filepath.Join(dir, "where.mmdb"))
	if err != nil {
		return err
	}
	if err := geotest.Write(f, networks); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// clients gives each question a client of its own: the same ones every time, in
// networks all over the database, a /24 or an IPv6 /48, so that no cache helps.
func clients(networks []geotest.Network, questions int) []client {
	r := rand.New(rand.NewPCG(3, 1000))
	var v4, v6 []geotest.Network
	for _, n := range networks {
		switch a := n.Prefix.Addr(); {
		case a.Is6():
			v6 = append(v6, n)
		case n.Prefix.Bits() <= 24 && !a.IsPrivate() && !a.IsLoopback(): // those are nowhere, for a subnet
			v4 = append(v4, n)
		}
	}
	out := make([]client, questions)
	for i := range out {
		pool, bits := v4, 24
		if r.IntN(perV6) == 0 {
			pool, bits = v6, 48
		}
		n := pool[r.IntN(len(pool))]
		out[i] = client{within(n.Prefix, bits, r), n.At}
	}
	return out
}

// within is a random subnet of a network.
func within(n netip.Prefix, bits int, r *rand.Rand) netip.Prefix {
	a := n.Addr().AsSlice()
	for i := n.Bits(); i < bits; i++ {
		if r.IntN(2) == 1 {
			a[i/8] |= 0x80 >> (i % 8)
		}
	}
	addr, _ := netip.AddrFromSlice(a)
	return netip.PrefixFrom(addr, bits)
}

// asks is the question that a client has asked for it.
func (c client) asks(name string) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name+".", dns.TypeA)
	if !c.subnet.IsValid() {
		return m
	}
	a := c.subnet.Addr()
	e := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(c.subnet.Bits()), Address: a.AsSlice()}
	if a.Is6() {
		e.Family = 2
	}
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = append(m.IsEdns0().Option, e)
	return m
}

// closest are the addresses of a global name in the region closest to a point.
func (q *question) closest(to geo.Point) []string {
	distance := func(p part) float64 {
		r, ok := geo.Region(p.region)
		if !ok {
			panic(fmt.Sprintf("race: %s isn't among the clouds' regions", p.region))
		}
		return geo.Distance(to, r.Point)
	}
	return slices.MinFunc(q.parts, func(a, b part) int {
		return cmp.Compare(distance(a), distance(b))
	}).addrs
}
