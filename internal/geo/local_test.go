package geo

import (
	"iter"
	"net/netip"
	"testing"
)

// What a database says of private networks counts in no form of address, and makes no
// block around them narrower than they are; an operator's word counts.
func TestLocal(t *testing.T) {
	atlas := NewAtlas(map[string]Place{"west": {Point{0, -90}, Location}, "east": {Point{0, 90}, Location}})
	west, east := Place{Point{1, -90}, City}, Place{Point{1, 90}, City}
	layer := func(yield func(netip.Prefix, Place) bool) {
		for _, e := range []struct {
			cidr  string
			place Place
		}{{"8.0.0.0/6", west}, {"10.20.0.0/16", east}, {"172.0.0.0/8", east}, {"192.168.0.0/15", west}, {"192.168.7.0/24", east}, {"fc00::/8", east}, {"2001:db8::/32", west}, {"2600::/12", east}, {"64:ff9b:1::/48", east}, {"fec0::/10", east}} {
			if !yield(netip.MustParsePrefix(e.cidr), e.place) {
				return
			}
		}
	}
	nets := []Net{{netip.MustParsePrefix("10.9.0.0/16"), "east"}, {netip.MustParsePrefix("fd00:9::/32"), "west"}}
	table, err := Build(atlas, nets, iter.Seq2[netip.Prefix, Place](layer), Local)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ addr, region, block string }{
		{"8.8.8.8", "west", "8.0.0.0/7"},
		{"11.1.1.1", "west", "11.0.0.0/8"},
		{"10.20.1.1", "", "10.16.0.0/12"}, // the widest that isn't of 10.9.0.0/16
		{"10.9.1.1", "east", "10.9.0.0/16"},
		{"172.20.1.1", "", "172.16.0.0/12"},
		{"172.15.255.255", "east", "172.0.0.0/12"},
		{"192.168.7.7", "", "192.168.0.0/16"},
		{"192.169.1.1", "west", "192.169.0.0/16"},
		{"::ffff:10.20.1.1", "", "::ffff:10.16.0.0/108"},
		{"64:ff9b::10.20.1.1", "", "64:ff9b::10.16.0.0/108"},
		{"2002:a14:101::", "", "2002:a10::/28"},
		{"2002:a09:101::", "east", "2002:a09::/32"},
		{"2001::f5eb:fefe", "", "2001::f5e0:0/108"}, // Teredo of 10.20.1.1
		{"fc00::1", "", "fc00::/8"},
		{"fd00:9::1", "west", "fd00:9::/32"},
		{"fd00:8::1", "", "fd00:8::/32"},
		{"64:ff9b:1::1", "", "64:ff9b:1::/48"},
		{"fec0::1", "", "fe00::/7"},
	} {
		a := netip.MustParseAddr(tt.addr)
		id, length := table.Lookup(a)
		block, _ := a.Prefix(length)
		region := ""
		if order := table.Ranking(id).Order(); len(order) > 0 {
			region = atlas.Regions()[order[0]]
		}
		if region != tt.region || block != netip.MustParsePrefix(tt.block) {
			t.Errorf("%s: %q, %s; want %q, %s", a, region, block, tt.region, tt.block)
		}
	}
}
