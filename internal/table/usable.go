package table

import "net/netip"

// thisNetwork is 0.0.0.0/8, and broadcast the address of all hosts: neither can be
// where a packet goes to one of them (RFC 1122 section 3.2.1.3).
var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	broadcast   = netip.MustParseAddr("255.255.255.255")
	// The two that stand in a status because something was left at its default. Others of
	// 127.0.0.0/8 are there on purpose: laboratories on one host have nothing else.
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.IPv6Loopback()
)

// unusable says what kind of address it is that nobody can reach a service at from
// another machine; "": it is none of these. Private addresses are good: clients may
// well be in the same network.
func unusable(a netip.Addr) string {
	a = a.Unmap()
	switch {
	case a.IsUnspecified(), thisNetwork.Contains(a):
		return "an unspecified address"
	case a == loopback4, a == loopback6:
		return "the loopback address"
	case a.IsMulticast():
		return "a multicast address"
	case a.IsLinkLocalUnicast():
		return "a link-local address"
	case a == broadcast:
		return "the broadcast address"
	}
	return ""
}
