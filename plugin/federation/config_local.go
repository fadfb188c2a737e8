package federation

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"
	coreparse "github.com/coredns/coredns/plugin/pkg/parse"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/topology"
)

// A localCluster is what a stanza says of the cluster whose pods ask here.
type localCluster struct {
	cluster    topology.ClusterName // "": nothing is said
	domain     dnsname.Name         // of the cluster
	federation string
}

// zone is where the federation stands in the cluster's domain: a namespace of its own,
// by its name.
func (l localCluster) zone() string { return l.federation + ".svc." + string(l.domain) }

const localGrammar = "local CLUSTER CLUSTERDOMAIN, such as local gce-us-central1 cluster.local"

// locality reads the property local.
func (s *stanza) locality(a args) error {
	if len(a.list) != 2 {
		return errors.New("needs a cluster and its domain: " + localGrammar)
	}
	if s.local.cluster != "" {
		return errors.New("stands twice; a server answers inside one cluster")
	}
	domain, err := dnsname.Parse(a.list[1])
	if err == nil && domain == dnsname.Root {
		return fmt.Errorf("%q is no cluster's domain: %s", a.list[1], localGrammar)
	}
	if err != nil {
		return err
	}
	s.local = localCluster{topology.ClusterName(a.list[0]), domain, s.name}
	return nil
}

// localize checks what local says, once all of the stanza has been read. named is
// whether the stanza names its domains itself: else they are the block's keys, but for
// those that are there for the cluster's sake.
func (s *stanza) localize(c *caddy.Controller, named bool) error {
	l := s.local
	has := slices.ContainsFunc(s.clusters, func(src source) bool { return src.Name == l.cluster })
	if !has && s.registry == "" { // members of a registry come and go
		var known []string
		for _, src := range s.clusters {
			known = append(known, string(src.Name))
		}
		return s.positions.of("local").errorf("local: %q is no cluster of federation %q; it has %s", l.cluster, s.name, strings.Join(known, ", "))
	}
	if _, err := dnsname.Parse(l.zone()); err != nil {
		return s.positions.of("local").errorf("local: %v", err)
	}
	if !named {
		s.zones = slices.DeleteFunc(slices.Clone(s.zones), func(z string) bool {
			_, inside := l.domain.Under(z)
			return inside
		})
		if len(s.zones) == 0 {
			return s.positions.of("local").errorf("local: every key of the server block is in the cluster's domain %s; add the federation's own domain to the keys, or say it: federation %s example.com", l.domain, s.name)
		}
	}
	if slices.Contains(s.zones, l.zone()) {
		return s.positions.of("local").errorf("local: %s is a domain of federation %q already", l.zone(), s.name)
	}
	keys := plugin.Zones(plugin.OriginsFromArgsOrServerBlock(nil, c.ServerBlockKeys))
	if keys.Matches(l.zone()) == "" {
		return s.positions.of("local").errorf("local: this server block isn't asked for names in %s; add %q to its keys", l.zone(), strings.TrimSuffix(l.zone(), ".")+port(c.ServerBlockKeys))
	}
	return nil
}

// port is the port of the first of a block's keys, with its colon.
func port(keys []string) string {
	for _, k := range keys {
		_, rest := coreparse.Transport(k)
		if _, port, err := net.SplitHostPort(rest); err == nil {
			return ":" + port
		}
	}
	return ""
}
