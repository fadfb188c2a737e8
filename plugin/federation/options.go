package federation

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/caddy"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/source/cluster"
	"github.com/fedns/fedns/internal/topology"
)

// An option is a property that a block of type T may have, and how it is read.
type option[T any] struct {
	name string
	read func(T, *caddy.Controller) error
}

// options are those of a stanza, as the manual lists them. To add one, add it here, with
// what reads it.
var options = []option[*stanza]{
	{"cluster", (*stanza).cluster},
	{"registry", words((*stanza).registered)},
	{"select", words((*stanza).selects)},
	{"apex", words(func(s *stanza, a args) error { return a.file(&s.apex, "needs one zone file") })},
	{"dnssec", words((*stanza).signs)},
	{"ttl", words((*stanza).ttls)},
	{"heartbeat", words((*stanza).heartbeats)},
	{"hold", words((*stanza).holds)},
	{"silence", words((*stanza).silence)},
	{"probe", words((*stanza).probes)},
	{"panic", words((*stanza).panics)},
	{"guard", words((*stanza).guarded)},
	{"state", words((*stanza).keeps)},
	{"overrides", words((*stanza).overridden)},
	{"status", words((*stanza).tells)},
	{"resolver", words((*stanza).resolves)},
	{"policy", words((*stanza).chooses)},
	{"annotations", words((*stanza).annotated)},
	{"answers", words((*stanza).bounds)},
	{"hostnames", words((*stanza).namesToo)},
	{"alias", words((*stanza).aliases)},
	{"geo", words(func(s *stanza, a args) error {
		return a.file(&s.Options.Database, "needs one database, such as /var/lib/GeoIP/GeoLite2-City.mmdb")
	})},
	{"nets", words((*stanza).located)},
	{"ecs", words((*stanza).subnets)},
	{"local", words((*stanza).locality)},
	{"fast", words((*stanza).hastens)},
	{"cookies", words((*stanza).bakes)},
	{"rrl", words(func(s *stanza, a args) error { return parseRateLimit(&s.guards.RateLimit, a.list) })},
	{"tcp", words((*stanza).connected)},
	{"transfer", words((*stanza).transferred)},
	{"also-notify", words((*stanza).notifies)},
	{"publish", words((*stanza).publishes)},
	{"lenient", words((*stanza).relaxes)},
	{"fallthrough", func(s *stanza, c *caddy.Controller) error {
		s.fall.SetZonesFromArgs(c.RemainingArgs())
		return nil
	}},
}

// clusterOptions are those of a cluster's block.
var clusterOptions = []option[*source]{
	{"kubeconfig", inCluster((*source).fromAPI)},
	{"manifests", inCluster((*source).fromFolder)},
	{"region", inCluster((*source).regional)},
	{"zones", inCluster((*source).zonal)},
	{"location", inCluster((*source).located)},
	{"addresses", inCluster((*source).ranged)},
	{"exports", inCluster((*source).exporting)},
	{"hosts", inCluster((*source).claiming)},
	{"places", inCluster((*source).standing)},
}

// spelled are the names of options, for whoever mistyped.
func spelled[T any](options []option[T]) string {
	var all []string
	for _, o := range options {
		all = append(all, o.name)
	}
	return strings.Join(all, ", ")
}

// args are what stands behind an option on its line.
type args struct {
	list []string
	c    *caddy.Controller
}

// words reads an option that is one line. Its error needs no place and no name.
func words(read func(*stanza, args) error) func(*stanza, *caddy.Controller) error {
	return func(s *stanza, c *caddy.Controller) error {
		p := c.Val()
		if err := read(s, args{c.RemainingArgs(), c}); err != nil {
			return c.Errf("%s: %v", p, err)
		}
		return nil
	}
}

// inCluster is words for a cluster's block, whose end mustn't be taken for a word.
func inCluster(read func(*source, args) error) func(*source, *caddy.Controller) error {
	return func(s *source, c *caddy.Controller) error {
		p, list := c.Val(), c.RemainingArgs()
		err := errors.New("the } that ends the block needs a line of its own")
		if !slices.Contains(list, "}") {
			err = read(s, args{list, c})
		}
		if err != nil {
			return c.Errf("cluster %q: %s: %v", s.Name, p, err)
		}
		return nil
	}
}

// one is the only word, or what is needed in its place.
func (a args) one(needs string) (string, error) {
	if len(a.list) != 1 {
		return "", errors.New(needs)
	}
	return a.list[0], nil
}

// file reads the one path that an option has.
func (a args) file(into *string, needs string) error {
	p, err := a.one(needs)
	if err == nil {
		*into = path(a.c, p)
	}
	return err
}

func (s *stanza) selects(a args) error {
	if len(a.list) == 0 {
		return errors.New(`needs a label selector, or "*" for all Services`)
	}
	s.selector = strings.Join(a.list, " ")
	_, err := cluster.ParseSelector(s.selector)
	return err
}

func (s *stanza) ttls(a args) error {
	if n := len(a.list); n < 1 || n > 4 || n == 3 {
		return errors.New("needs one, two or four durations: ttl NORMAL [DEGRADED [MIN MAX]], such as 180s 30s 5s 1h")
	}
	for i, into := range []*uint32{&s.ttl, &s.degraded, &s.policy.TTL.Min, &s.policy.TTL.Max}[:len(a.list)] {
		v, err := seconds(a.list[i])
		if err != nil {
			return err
		}
		*into = v
	}
	if b := s.policy.TTL; b.Min > b.Max {
		return fmt.Errorf("the least TTL of a Service, %s, is longer than the greatest, %s", a.list[2], a.list[3])
	}
	if len(a.list) >= 2 && s.degraded > s.ttl {
		return fmt.Errorf("the degraded TTL %s is longer than the normal one %s", a.list[1], a.list[0])
	}
	return nil
}

// annotated says which annotations of Services count.
func (s *stanza) annotated(a args) error {
	const needs = "needs none, or some of ttl, policy and weight"
	mute := shard.Mute{TTL: true, Policy: true, Weight: true}
	switch {
	case len(a.list) == 0:
		return errors.New(needs)
	case len(a.list) == 1 && a.list[0] == "none":
	default:
		for _, v := range a.list {
			into := map[string]*bool{"ttl": &mute.TTL, "policy": &mute.Policy, "weight": &mute.Weight}[v]
			if into == nil {
				return fmt.Errorf("%q is unknown: %s", v, needs)
			}
			*into = false
		}
	}
	s.policy.Mute = mute
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

func (s *stanza) bounds(a args) error {
	v, err := a.one(fmt.Sprintf("needs how many addresses an answer has at most, such as %d", answer.DefaultAnswers))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > answer.MaxAnswers {
		return fmt.Errorf("%q is not a number of addresses from 1 to %d", v, answer.MaxAnswers)
	}
	s.policy.Answers = n
	return nil
}

func (s *stanza) resolves(a args) error {
	if len(a.list) == 0 {
		return errors.New("needs an address, such as 127.0.0.1:53")
	}
	s.resolver = &resolver{patience: lookupPatience}
	for _, v := range a.list {
		server, err := hostPort(v)
		if err != nil {
			return err
		}
		s.resolver.servers = append(s.resolver.servers, server)
	}
	return nil
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

func (s *stanza) relaxes(a args) error {
	if len(a.list) != 0 {
		return errors.New("takes no value")
	}
	s.lenient = true
	return nil
}

var errSources = errors.New("a cluster has one source")

func (s *source) fromFolder(a args) error {
	if s.kubeconfig != "" || s.manifests != "" {
		return errSources
	}
	return a.file(&s.manifests, "needs one folder")
}

func (s *source) fromAPI(a args) error {
	if s.kubeconfig != "" || s.manifests != "" {
		return errSources
	}
	if len(a.list) < 1 || len(a.list) > 2 {
		return errors.New("needs a file and a context: kubeconfig FILE [CONTEXT]")
	}
	s.kubeconfig = path(a.c, a.list[0])
	if len(a.list) == 2 {
		s.context = a.list[1]
	}
	return nil
}

func (s *source) regional(a args) error {
	v, err := a.one("needs one region")
	if err != nil {
		return err
	}
	s.Region, err = topology.Label(v)
	return err
}

func (s *source) zonal(a args) error {
	if len(a.list) == 0 {
		return errors.New("needs at least one zone")
	}
	for _, v := range a.list {
		l, err := topology.Label(v)
		if err != nil {
			return err
		}
		if slices.Contains(s.Zones, l) {
			return fmt.Errorf("%q stands twice", l)
		}
		s.Zones = append(s.Zones, l)
	}
	return nil
}

func (s *source) ranged(a args) error {
	if len(a.list) == 0 {
		return errors.New("needs at least one range, such as 203.0.113.0/24")
	}
	for _, v := range a.list {
		prefix, err := shard.ParseRange(v)
		if err != nil {
			return fmt.Errorf("%q is not a range of addresses, such as 203.0.113.0/24", v)
		}
		s.Addresses = append(s.Addresses, prefix)
	}
	return nil
}

func (s *source) exporting(a args) error {
	if len(a.list) == 0 {
		return errors.New("needs at least one namespace, or NAMESPACE/NAME, such as shop/* or shop/web")
	}
	for _, v := range a.list {
		p, err := shard.ParseExport(v)
		if err != nil {
			return err
		}
		s.Exports = append(s.Exports, p)
	}
	return nil
}

func (s *source) claiming(a args) error {
	if len(a.list) == 0 {
		return errors.New("needs at least one host such as shop.example.com, .example.com for all below it, or *.example.com for the wildcard, too")
	}
	for _, v := range a.list {
		p, err := shard.ParseHost(v)
		if err != nil {
			return err
		}
		s.Hosts = append(s.Hosts, p)
	}
	return nil
}

func (s *source) standing(a args) error {
	if len(a.list) == 0 {
		return errors.New("needs at least one region, or REGION/ZONE, such as eu-west1 or eu-west1/eu-west1-*")
	}
	for _, v := range a.list {
		p, err := shard.ParsePlace(v)
		if err != nil {
			return err
		}
		s.Places = append(s.Places, p)
	}
	return nil
}
