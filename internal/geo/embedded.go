package geo

import (
	"encoding/binary"
	"net/netip"
)

// A form is one of the ways in which an IPv6 address holds an IPv4 one. The client is
// where the IPv4 address is; where its tunnel or translator stands says nothing of it.
//
// Each form keeps the IPv4 address in one piece, and what stands before it is fixed or
// of no matter. So where n bits of IPv4 make a block of one ranking, at+n bits of IPv6
// do, never more and never less.
type form struct {
	prefix netip.Prefix
	at     int  // the bit at which the IPv4 address starts
	flip   bool // its bits are inverted
}

// The forms, sorted by prefix.
//
// Teredo has two IPv4 addresses. MaxMind's readers look up the server, in bits 32 to
// 63, which is a relay in some data center; here it is the client, in the last 32.
// These come after flags and a port, whatever they are: a block of Teredo addresses is
// a network of clients that share a server, flags and port.
var forms = [...]form{
	mapped: {netip.MustParsePrefix("::ffff:0:0/96"), 96, false}, // IPv4-mapped, RFC 4291 2.5.5.2
	nat64:  {netip.MustParsePrefix("64:ff9b::/96"), 96, false},  // RFC 6052 2.1
	teredo: {netip.MustParsePrefix("2001::/32"), 96, true},      // RFC 4380 4
	sixTo4: {netip.MustParsePrefix("2002::/16"), 16, false},     // RFC 3056 2
}

const (
	mapped = iota
	nat64
	teredo
	sixTo4
)

// v4 is the address that one of the form holds.
func (f *form) v4(a [16]byte) uint32 {
	v := binary.BigEndian.Uint32(a[f.at/8:])
	if f.flip {
		return ^v
	}
	return v
}

// formOf is the form whose prefix overlaps with another one.
func formOf(p netip.Prefix) (*form, bool) {
	for i := range forms {
		if f := &forms[i]; f.prefix.Overlaps(p) {
			return f, true
		}
	}
	return nil, false
}

// Embedded is the address by which a place is looked up: the IPv4 address that an
// IPv6 one holds if it is IPv4-mapped, NAT64 (of 64:ff9b::/96), Teredo or 6to4, and any
// other address itself. Zones are dropped.
func Embedded(a netip.Addr) netip.Addr {
	a = a.WithZone("")
	if !a.Is6() {
		return a
	}
	if f, ok := formOf(netip.PrefixFrom(a, 128)); ok {
		return addr4(f.v4(a.As16()))
	}
	return a
}

// unmap is a prefix of IPv4-mapped addresses as the IPv4 one.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
