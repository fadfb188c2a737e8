package rrl

import "net/netip"

// A Policy is a Limit, and whom it is for.
type Policy struct {
	Mode string // off, observe, on or public; "": not said
	Limit
}

// Public is the mode that limits the networks of the Internet alone, those that a forged
// source can be of. The caches of a company's own network may ask for its own names more
// often than anybody's out there.
const Public = "public"

// Default is above what resolvers of one network ask of one domain, whose answers they
// keep for its TTL: Google Public DNS takes 1,500 questions a second from one address before
// its operator has to ask for more, and those are for all names that there are. It is below
// what makes a useful weapon: 4 Mbit/s of answers with some addresses. Every second answer
// beyond it goes out truncated, so that whoever is really there can come again over TCP.
var Default = Limit{Rate: 2000, Slip: 2}

// Exempt says whether questions from an address aren't limited.
func (p *Policy) Exempt(from netip.Addr) bool {
	if p.Mode != Public {
		return false
	}
	from = from.Unmap()
	return from.IsPrivate() || from.IsLoopback() || from.IsLinkLocalUnicast() || shared.Contains(from)
}

// shared is the space between a carrier and its customers (RFC 6598), private as far as this goes.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// Limited says whether anything is counted.
func (p *Policy) Limited() bool { return p.Mode != "off" }

// Action is what the metric calls a verdict.
func (p *Policy) Action(v Verdict) string {
	if p.Mode == "observe" {
		return "would " + v.String()
	}
	return v.String()
}
