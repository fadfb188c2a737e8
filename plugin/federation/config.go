package federation

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/source/cluster"
	"github.com/fedns/fedns/internal/source/probe"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/fastpath"
	"github.com/fedns/fedns/plugin/federation/geoindex"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// A stanza is what the Corefile says of one federation.
type stanza struct {
	name            string
	zones           []string
	clusters        []source
	registry        string // kubeconfig; "": there is none
	registryContext string
	selector        string
	apex            string
	dnssec          []string // folders and files with keys; nil: it isn't signed
	ttl             uint32   // seconds
	degraded        uint32   // seconds
	policy          shard.Policy
	probed          probe.Rules
	beat            cluster.Heartbeat
	state           string // folder
	override        string // file
	status          string // address and port; "": not served
	access          access
	resolver        *resolver
	guards          fastpath.Guards
	interfaces      []string            // xdp
	conns           *sockets.ConnLimits // nil: nothing is said
	transfers       []transferRule
	notify          []notified
	publish         []publishing
	local           localCluster
	geoindex.Options
	lenient   bool
	fall      fall.F
	positions positions
	written   written // the whole of it, with the others of its server block
}

// A source is a cluster with where its objects come from: a kubeconfig and a
// context, or a folder of manifests.
type source struct {
	shard.Cluster
	kubeconfig, context string
	manifests           string
	location            *geo.Point // nil: as its region is known
	positions           positions
}

// identity tells the same source across a reload.
func (s *source) identity(federation, selector string) string {
	return fmt.Sprintf("%q", []string{federation, string(s.Name), s.kubeconfig, s.context, s.manifests, selector})
}

// origin is the property that says where its objects come from.
func (s *source) origin() string {
	if s.manifests != "" {
		return "manifests"
	}
	return "kubeconfig"
}

const (
	defaultTTL      = 180 // as the first federation of Kubernetes had it
	defaultDegraded = 30
	// maxTTL keeps a slip of the hand from pinning an answer for weeks.
	maxTTL          = 24 * time.Hour
	defaultSelector = "fedns.io/export=true"
)

// defaultPolicy takes a silent cluster's word for longer than an API server takes
// to be replaced, and lets no more than half of the addresses go within the time a
// relist takes. Small federations have no use for the guard: one cluster of two is
// half of everything.
var defaultPolicy = shard.Policy{
	Hold:  5 * time.Minute,
	Guard: shard.Guard{Percent: 50, Time: 10 * time.Second, Min: 20},

	Answers: answer.DefaultAnswers,
}

// parse reads the stanzas of one server block.
func parse(c *caddy.Controller) ([]stanza, error) {
	var out []stanza
	written := writtenIn(c)
	for c.Next() {
		s, err := parseStanza(c)
		if err != nil {
			return nil, err
		}
		s.written = written
		for _, o := range out {
			if s.local.cluster != "" && s.local.zone() == o.local.zone() {
				return nil, s.positions.of("local").errorf("local: the names of federation %q in %s stand twice", s.name, o.local.domain)
			}
			for _, z := range s.zones {
				if o.name == s.name && slices.Contains(o.zones, z) {
					return nil, s.positions.begin.errorf("federation %q stands twice under %s", s.name, z)
				}
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func parseStanza(c *caddy.Controller) (stanza, error) {
	s := stanza{selector: defaultSelector, ttl: defaultTTL, degraded: defaultDegraded, policy: defaultPolicy}
	s.Options.ECS = true
	s.positions.begin = here(c)
	if !c.NextArg() {
		return s, c.Err("federation: needs a name: federation NAME [ZONES...]")
	}
	name, err := topology.Label(c.Val())
	if err != nil {
		return s, c.Errf("federation: name: %v", err)
	}
	s.name = name
	args := c.RemainingArgs()
	s.zones = plugin.OriginsFromArgsOrServerBlock(args, c.ServerBlockKeys)
	for c.NextBlock() {
		if err := s.positions.note(c, repeatable...); err != nil {
			return s, err
		}
		if err := s.property(c); err != nil {
			return s, err
		}
	}
	if len(s.clusters) == 0 && s.registry == "" {
		return s, s.positions.begin.errorf("federation %q: has no cluster; say at least one: cluster NAME { kubeconfig FILE CONTEXT } or cluster NAME { manifests DIR }, or a registry FILE CONTEXT", s.name)
	}
	if err := s.aliased(); err != nil {
		return s, err
	}
	if err := s.published(); err != nil {
		return s, err
	}
	if s.degraded > s.ttl {
		s.degraded = s.ttl
	}
	if s.resolver == nil {
		s.resolver = hostResolver()
	}
	if s.local.cluster != "" {
		if err := s.localize(c, len(args) > 0); err != nil {
			return s, err
		}
	}
	return s, s.scopes()
}

// repeatable are the options that may stand several times, since each adds something, or that say
// themselves why not.
var repeatable = []string{"cluster", "nets", "resolver", "ecs", "registry", "local", "transfer", "also-notify", "publish", "alias"}

// property reads one of the options.
func (s *stanza) property(c *caddy.Controller) error {
	p := c.Val()
	for _, o := range options {
		if o.name == p {
			return o.read(s, c)
		}
	}
	return c.Errf("federation %q: unknown property %q; it has %s", s.name, p, spelled(options))
}

// cluster reads a nested block, which the dispenser of the Corefile can't do.
func (s *stanza) cluster(c *caddy.Controller) error {
	if !c.NextArg() || c.Val() == "{" {
		return c.Err("cluster: needs a name: cluster NAME { ... }")
	}
	src := source{Cluster: shard.Cluster{Name: topology.ClusterName(c.Val())}, positions: positions{begin: here(c)}}
	if slices.ContainsFunc(s.clusters, func(o source) bool { return o.Name == src.Name }) {
		return c.Errf("cluster %q stands twice in federation %q", src.Name, s.name)
	}
	if !c.NextArg() || c.Val() != "{" {
		return c.Errf("cluster %q: needs a block: cluster %s { kubeconfig FILE CONTEXT } or { manifests DIR }", src.Name, src.Name)
	}
	for {
		if !c.Next() {
			return src.positions.begin.errorf("cluster %q: unexpected EOF: its block isn't closed", src.Name)
		}
		if c.Val() == "}" {
			break
		}
		if err := src.positions.note(c, "addresses", "exports", "hosts", "kubeconfig", "manifests"); err != nil { // of sources it is said otherwise
			return fmt.Errorf("%w in cluster %q", err, src.Name)
		}
		if err := src.property(c); err != nil {
			return err
		}
	}
	if src.kubeconfig == "" && src.manifests == "" {
		return src.positions.begin.errorf("cluster %q: needs a source: kubeconfig FILE CONTEXT, or manifests DIR", src.Name)
	}
	s.clusters = append(s.clusters, src)
	return nil
}

func (s *source) property(c *caddy.Controller) error {
	p := c.Val()
	for _, o := range clusterOptions {
		if o.name == p {
			return o.read(s, c)
		}
	}
	return c.Errf("cluster %q: unknown property %q; it has %s", s.Name, p, spelled(clusterOptions))
}

// scopes checks that names of regions and zones don't collide, as far as the
// configuration says them.
func (s *stanza) scopes() error {
	for _, r := range s.clusters {
		for _, z := range s.clusters {
			if r.Region != "" && slices.Contains(z.Zones, r.Region) {
				at := r.positions.of("region")
				if zones := z.positions.of("zones"); zones.after(at) {
					at = zones
				}
				return at.errorf("federation %q: %q is the region of cluster %q and a zone of cluster %q; a name can't be both", s.name, r.Region, r.Name, z.Name)
			}
		}
	}
	return nil
}

// path makes a path of the Corefile one that can be opened.
func path(c *caddy.Controller, p string) string {
	if root := dnsserver.GetConfig(c).Root; root != "" && !filepath.IsAbs(p) {
		return filepath.Join(root, p)
	}
	return filepath.Clean(p)
}

// reserved is what the stanzas of one domain keep static records away from.
func ownedBy(stanzas []stanza) zone.Reserved {
	var o zone.Reserved
	for _, s := range stanzas {
		o.Federations = append(o.Federations, s.name)
		for _, c := range s.clusters {
			if c.Region == "" {
				continue
			}
			o.Scopes = append(o.Scopes, c.Region)
			for _, z := range c.Zones {
				o.Scopes = append(o.Scopes, z+"."+c.Region, z)
			}
		}
	}
	return o
}

// apexOf finds the one apex file of the stanzas of a domain, and where it is said.
func apexOf(domain string, stanzas []stanza) (file string, at position, err error) {
	at = stanzas[0].positions.begin
	for _, s := range stanzas {
		if s.apex != "" && file != "" && s.apex != file {
			return "", at, s.positions.of("apex").errorf("apex: %s has two: %s and %s", domain, file, s.apex)
		}
		if s.apex != "" {
			file, at = s.apex, s.positions.of("apex")
		}
	}
	return file, at, nil
}
