package zone

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// Errors of static records at one name. Secondaries refuse the zone that has them.
var (
	errSecondAlias = errors.New("a second one of that name; a name is another one's at most once (RFC 1034 section 3.6.2)")
	errAliasBeside = errors.New("other records of that name stand in it; with a CNAME there can be no others (RFC 1034 section 3.6.2)")
)

// regular looks at static records a name at a time, and gives those of a type one TTL, the shortest that is said (RFC 2181
// section 5.2): who takes another for all of them finds the set's signature wrong.
func regular(rrs []dns.RR) error {
	type set struct {
		name          string
		rtype, covers uint16
	}
	of := func(rr dns.RR) set {
		s := set{name: rr.Header().Name, rtype: rr.Header().Rrtype}
		if sig, ok := rr.(*dns.RRSIG); ok {
			s.covers = sig.TypeCovered
		}
		return s
	}
	least := map[set]uint32{}
	aliases := map[string]*dns.CNAME{}
	for _, rr := range rrs {
		s, ttl := of(rr), rr.Header().Ttl
		if t, ok := least[s]; !ok || ttl < t {
			least[s] = ttl
		}
		if c, ok := rr.(*dns.CNAME); ok {
			if o := aliases[s.name]; o != nil && !dns.IsDuplicate(o, c) {
				return fmt.Errorf("%s CNAME: %w", s.name, errSecondAlias)
			}
			aliases[s.name] = c
		}
	}
	for _, rr := range rrs {
		s := of(rr)
		rr.Header().Ttl = least[s]
		if aliases[s.name] != nil && s.rtype != dns.TypeCNAME && s.rtype != dns.TypeRRSIG && s.rtype != dns.TypeNSEC {
			return fmt.Errorf("%s CNAME: %w", s.name, errAliasBeside)
		}
	}
	return nil
}
