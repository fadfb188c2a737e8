package federation

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// A publishing says where names are written besides being answered.
type publishing struct {
	server string // host:port, for dynamic updates
	key    string // of TSIG; "": updates aren't signed
	zone   string // there; "": the domain
	owner  string // of the names; "": the federation's name
}

// publishes says where names are published.
func (s *stanza) publishes(a args) error {
	const needs = "needs a server: publish update ADDRESS[:PORT] [key NAME] [zone ZONE] [owner NAME]"
	if len(a.list) < 2 || a.list[0] != "update" {
		return errors.New(needs)
	}
	at, err := hostPort(a.list[1])
	if err != nil {
		return fmt.Errorf("%w; it %s", err, needs)
	}
	p := publishing{server: at}
	rest := a.list[2:]
	if len(rest)%2 != 0 {
		return fmt.Errorf("%q has no value; it %s", rest[len(rest)-1], needs)
	}
	for i := 0; i < len(rest); i += 2 {
		v := rest[i+1]
		switch rest[i] {
		case "key":
			p.key = keyName(v)
		case "zone":
			n, err := dnsname.Parse(dns.Fqdn(v))
			if err != nil {
				return fmt.Errorf("zone: %w", err)
			}
			p.zone = string(n)
		case "owner":
			if len(v) > 100 {
				return fmt.Errorf("owner: %q is longer than 100 bytes", v)
			}
			p.owner = v
		default:
			return fmt.Errorf("%q is unknown; it %s", rest[i], needs)
		}
	}
	for _, z := range s.zones {
		if p.zone != "" && !dns.IsSubDomain(p.zone, z) {
			return fmt.Errorf("zone: %s isn't in %s", z, p.zone)
		}
	}
	for _, o := range s.publish {
		if o.server == p.server && o.zone == p.zone {
			return fmt.Errorf("%s stands twice", p.server)
		}
	}
	s.publish = append(s.publish, p)
	return nil
}
