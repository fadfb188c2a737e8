package geo

import (
	"net/netip"
)

// local are the networks that mean something else to everybody (RFC 6890; a translator's
// own, RFC 8215; site-local ones of old, RFC 3879): a database
// can't know where a client in one is, in whatever form its address comes; an operator's
// nets can.
var local = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",
	"::/127", "64:ff9b:1::/48", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// Local is a layer in which the networks that mean something else to everybody are nowhere. It
// goes over those of databases.
func Local(yield func(netip.Prefix, Place) bool) {
	for _, p := range local {
		if !yield(p, Place{}) {
			return
		}
	}
}
