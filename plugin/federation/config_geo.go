package federation

import (
	"errors"
	"slices"

	"github.com/coredns/caddy"

	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/topology"
)

// choice reads a property about which shards a client gets.
func (s *stanza) choice(c *caddy.Controller) error {
	p, args := c.Val(), c.RemainingArgs()
	switch p {
	case "policy":
		policy, err := names.ParsePolicy(args)
		if err != nil {
			return c.Errf("policy: %v", err)
		}
		s.policy.Choice = policy
	case "geo":
		if len(args) != 1 {
			return c.Err("geo: needs one database, such as /var/lib/GeoIP/GeoLite2-City.mmdb")
		}
		s.geography.database = path(c, args[0])
	case "nets":
		if len(args) != 2 {
			return c.Err("nets: needs a network and a region: nets 10.0.0.0/8 us-central1")
		}
		region, err := topology.Label(args[1])
		if err != nil {
			return c.Errf("nets: %v", err)
		}
		n, err := geo.ParseNet(args[0], region)
		if err != nil {
			return c.Errf("nets: %v", err)
		}
		if slices.ContainsFunc(s.geography.nets, func(o geo.Net) bool { return o.Prefix == n.Prefix }) {
			return c.Errf("nets: %s stands twice", n.Prefix)
		}
		s.geography.nets = append(s.geography.nets, n)
	case "ecs":
		return s.subnets(c, args)
	}
	return nil
}

func (s *stanza) subnets(c *caddy.Controller, args []string) error {
	if len(args) == 0 || args[0] != "on" && args[0] != "off" || args[0] == "off" && len(args) > 1 {
		return c.Err("ecs: needs off, or on with the networks of resolvers whose word is taken (default: everybody's)")
	}
	s.geography.ecs = args[0] == "on"
	for _, a := range args[1:] {
		p, err := shard.ParseRange(a)
		if err != nil {
			return c.Errf("ecs: %q is neither an address nor a network, such as 192.0.2.0/24", a)
		}
		s.geography.resolvers = append(s.geography.resolvers, p)
	}
	return nil
}

var errLocation = errors.New("needs a latitude and a longitude in degrees, such as 60.17 24.94")

// located reads where a cluster is.
func (s *source) located(args []string) error {
	if len(args) != 2 {
		return errLocation
	}
	at, err := geo.ParsePoint(args[0], args[1])
	if err != nil {
		return err
	}
	s.location = &at
	return nil
}
