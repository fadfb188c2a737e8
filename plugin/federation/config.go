package federation

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/cluster"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/topology"
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
	ttl             uint32 // seconds
	degraded        uint32 // seconds
	policy          shard.Policy
	beat            cluster.Heartbeat
	state           string // folder
	override        string // file
	status          string // address and port; "": not served
	resolver        *resolver
	guards          guards
	local           localCluster
	geography
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
	s.geography.ecs = true
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
		s.positions.note(c)
		if err := s.property(c); err != nil {
			return s, err
		}
	}
	if len(s.clusters) == 0 && s.registry == "" {
		return s, s.positions.begin.errorf("federation %q: has no cluster; say at least one: cluster NAME { kubeconfig FILE CONTEXT } or cluster NAME { manifests DIR }, or a registry FILE CONTEXT", s.name)
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

// properties lists what a stanza may hold, for whoever mistyped.
const properties = "cluster, registry, select, apex, ttl, heartbeat, hold, silence, probe, panic, guard, state, overrides, status, resolver, policy, answers, geo, nets, ecs, local, fast, cookies, rrl, lenient, fallthrough"

func (s *stanza) property(c *caddy.Controller) error {
	switch p := c.Val(); p {
	case "cluster":
		return s.cluster(c)
	case "registry":
		return s.registered(c)
	case "select":
		args := c.RemainingArgs()
		if len(args) == 0 {
			return c.Err(`select: needs a label selector, or "*" for all Services`)
		}
		s.selector = strings.Join(args, " ")
		if _, err := cluster.ParseSelector(s.selector); err != nil {
			return c.Errf("select: %v", err)
		}
	case "apex":
		args := c.RemainingArgs()
		if len(args) != 1 {
			return c.Err("apex: needs one zone file")
		}
		s.apex = path(c, args[0])
	case "ttl":
		return s.ttls(c)
	case "heartbeat", "hold", "silence", "probe", "panic", "guard", "state", "overrides", "status":
		return s.health(c)
	case "policy", "geo", "nets", "ecs":
		return s.choice(c)
	case "answers":
		args := c.RemainingArgs()
		if len(args) != 1 {
			return c.Errf("answers: needs how many addresses an answer has at most, such as %d", answer.DefaultAnswers)
		}
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 || n > answer.MaxAnswers {
			return c.Errf("answers: %q is not a number of addresses from 1 to %d", args[0], answer.MaxAnswers)
		}
		s.policy.Answers = n
	case "local":
		return s.locality(c)
	case "fast", "cookies", "rrl":
		return s.fast(c)
	case "resolver":
		args := c.RemainingArgs()
		if len(args) == 0 {
			return c.Err("resolver: needs an address, such as 127.0.0.1:53")
		}
		s.resolver = &resolver{timeout: lookupTimeout}
		for _, a := range args {
			server, err := hostPort(a)
			if err != nil {
				return c.Errf("resolver: %v", err)
			}
			s.resolver.servers = append(s.resolver.servers, server)
		}
	case "lenient":
		if len(c.RemainingArgs()) != 0 {
			return c.Err("lenient: takes no value")
		}
		s.lenient = true
	case "fallthrough":
		s.fall.SetZonesFromArgs(c.RemainingArgs())
	default:
		return c.Errf("federation %q: unknown property %q; it has %s", s.name, p, properties)
	}
	return nil
}

func (s *stanza) ttls(c *caddy.Controller) error {
	args := c.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return c.Err("ttl: needs one or two durations: ttl NORMAL [DEGRADED], such as 180s 30s")
	}
	for i, into := range []*uint32{&s.ttl, &s.degraded}[:len(args)] {
		v, err := seconds(args[i])
		if err != nil {
			return c.Errf("ttl: %v", err)
		}
		*into = v
	}
	if len(args) == 2 && s.degraded > s.ttl {
		return c.Errf("ttl: the degraded TTL %s is longer than the normal one %s", args[1], args[0])
	}
	return nil
}

// seconds reads a TTL: a duration, or a plain number of seconds.
func seconds(v string) (uint32, error) {
	d, err := time.ParseDuration(v)
	if n, nerr := strconv.Atoi(v); nerr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration, such as 180s", v)
	case d < time.Second || d > maxTTL:
		return 0, fmt.Errorf("%q is out of range: from 1s to %s", v, maxTTL)
	case d%time.Second != 0:
		return 0, fmt.Errorf("%q is not a whole number of seconds", v)
	}
	return uint32(d / time.Second), nil
}

func hostPort(v string) (string, error) {
	if a, err := netip.ParseAddr(v); err == nil {
		return net.JoinHostPort(a.String(), "53"), nil
	}
	a, err := netip.ParseAddrPort(v)
	if err != nil {
		return "", fmt.Errorf("%q is not an address with an optional port, such as 127.0.0.1:53", v)
	}
	return a.String(), nil
}

// clusterProperties lists what a cluster may hold.
const clusterProperties = "kubeconfig, manifests, region, zones, location, addresses"

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
		src.positions.note(c)
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
	args := c.RemainingArgs()
	fail := func(format string, v ...any) error {
		return c.Errf("cluster %q: %s: %s", s.Name, p, fmt.Sprintf(format, v...))
	}
	if slices.Contains(args, "}") {
		return fail("the } that ends the block needs a line of its own")
	}
	switch p {
	case "kubeconfig", "manifests":
		if s.kubeconfig != "" || s.manifests != "" {
			return fail("a cluster has one source")
		}
		if p == "manifests" {
			if len(args) != 1 {
				return fail("needs one folder")
			}
			s.manifests = path(c, args[0])
			return nil
		}
		if len(args) < 1 || len(args) > 2 {
			return fail("needs a file and a context: kubeconfig FILE [CONTEXT]")
		}
		s.kubeconfig = path(c, args[0])
		if len(args) == 2 {
			s.context = args[1]
		}
	case "region":
		if len(args) != 1 {
			return fail("needs one region")
		}
		l, err := topology.Label(args[0])
		if err != nil {
			return fail("%v", err)
		}
		s.Region = l
	case "zones":
		if len(args) == 0 {
			return fail("needs at least one zone")
		}
		for _, a := range args {
			l, err := topology.Label(a)
			if err != nil {
				return fail("%v", err)
			}
			if slices.Contains(s.Zones, l) {
				return fail("%q stands twice", l)
			}
			s.Zones = append(s.Zones, l)
		}
	case "location":
		if err := s.located(args); err != nil {
			return fail("%v", err)
		}
	case "addresses":
		if len(args) == 0 {
			return fail("needs at least one range, such as 203.0.113.0/24")
		}
		for _, a := range args {
			prefix, err := shard.ParseRange(a)
			if err != nil {
				return fail("%q is not a range of addresses, such as 203.0.113.0/24", a)
			}
			s.Addresses = append(s.Addresses, prefix)
		}
	default:
		return c.Errf("cluster %q: unknown property %q; it has %s", s.Name, p, clusterProperties)
	}
	return nil
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

// owned is what the stanzas of one domain keep static records away from.
func ownedBy(stanzas []stanza) owned {
	var o owned
	for _, s := range stanzas {
		o.federations = append(o.federations, s.name)
		for _, c := range s.clusters {
			if c.Region == "" {
				continue
			}
			o.scopes = append(o.scopes, c.Region)
			for _, z := range c.Zones {
				o.scopes = append(o.scopes, z+"."+c.Region, z)
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
