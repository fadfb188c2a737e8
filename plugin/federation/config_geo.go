package federation

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/geoindex"
	"github.com/fedns/fedns/plugin/federation/observe"
)

func (s *stanza) chooses(a args) (err error) {
	s.policy.Choice, err = snapshot.ParsePolicy(a.list)
	return err
}

// placeless says that nothing tells where clients are.
func (s *stanza) placeless() bool { return s.Options.Database == "" && len(s.Options.Nets) == 0 }

// placed warns of a policy that needs to know where clients are, where nothing says it.
func (s *stanza) placed() {
	if p := s.policy.Choice; p.Choice == snapshot.Nearest && s.placeless() {
		observe.Log.Warningf("federation %s: policy %s (%s): %s", s.name, p, s.positions.of("policy"), shard.Placeless)
	}
}

func (s *stanza) located(a args) error {
	if len(a.list) != 2 {
		return errors.New("needs a network and a region: nets 10.0.0.0/8 us-central1")
	}
	region, err := topology.Label(a.list[1])
	if err != nil {
		return err
	}
	n, err := geo.ParseNet(a.list[0], region)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(s.Options.Nets, func(o geo.Net) bool { return o.Prefix == n.Prefix }) {
		return fmt.Errorf("%s stands twice", n.Prefix)
	}
	s.Options.Nets = append(s.Options.Nets, n)
	return nil
}

func (s *stanza) subnets(a args) error {
	if len(a.list) == 0 || a.list[0] != "on" && a.list[0] != "off" || a.list[0] == "off" && len(a.list) > 1 {
		return errors.New("needs off, or on with the networks of resolvers whose word is taken (default: everybody's)")
	}
	s.Options.ECS = a.list[0] == "on"
	for _, v := range a.list[1:] {
		p, err := shard.ParseRange(v)
		if err != nil {
			return fmt.Errorf("%q is neither an address nor a network, such as 192.0.2.0/24", v)
		}
		s.Options.Resolvers = append(s.Options.Resolvers, p)
	}
	return nil
}

var errLocation = errors.New("needs a latitude and a longitude in degrees, such as 60.17 24.94")

// located reads where a cluster is.
func (s *source) located(a args) error {
	if len(a.list) != 2 {
		return errLocation
	}
	at, err := geo.ParsePoint(a.list[0], a.list[1])
	if err != nil {
		return err
	}
	s.location = &at
	return nil
}

// sitesOf is where clusters are, by an operator's word.
func sitesOf(clusters []source) (out []geoindex.Site) {
	for _, c := range clusters {
		out = append(out, geoindex.Site{Cluster: c.Cluster, Location: c.location})
	}
	return out
}
