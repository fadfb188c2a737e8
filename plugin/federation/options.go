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

// An option is a property that a block of type T may have, what the manual says of it, and how it is read.
type option[T any] struct {
	name   string
	part   string // of the manual's page
	manual string // in Markdown
	read   func(T, *caddy.Controller) error
}

// The parts of the manual's page of the Corefile.
const (
	ofFederation = "Federation"
	ofCluster    = "Cluster"
	ofHealth     = "Health"
	ofAnswers    = "Answers"
	ofServing    = "Serving"
)

// Manual is what the manual says of the options, one after the other, by the part of its page.
func Manual() map[string][]string {
	out := map[string][]string{}
	for _, o := range options {
		out[o.part] = append(out[o.part], o.manual)
	}
	for _, o := range clusterOptions {
		out[o.part] = append(out[o.part], o.manual)
	}
	return out
}

// options are those of a stanza, as the manual lists them. To add one, add it here, with
// what reads it.
var options = []option[*stanza]{
	{"cluster", ofFederation, "`cluster NAME { ... }`: a member; see [below](#cluster).",
		(*stanza).cluster},
	{"registry", ofFederation, "`registry FILE [CONTEXT]`: members are also the `Cluster` objects of the federation's API; see [members that come and go](../federation.md#members-that-come-and-go).",
		words((*stanza).registered)},
	{"select", ofFederation, "`select SELECTOR`: which Services, Ingresses, Gateways and routes are exported; `\"*\"` is all of them. Default `fedns.io/export=true`.",
		words((*stanza).selects)},
	{"apex", ofFederation, "`apex FILE`: a zone file with the domain's SOA and NS, and any static records beside the federated names. What would contradict these is an error. It is read again when it changes. Default: one name server, `ns1`, at the addresses fedns listens on. The serial is always fedns's; see [serials](../operate.md#serials).",
		words(func(s *stanza, a args) error { return a.file(&s.apex, "needs one zone file") })},
	{"dnssec", ofFederation, "`dnssec KEYS...`: a folder of keys, or their files, with which the domains are signed; see [DNSSEC](../dnssec.md). Off by default.",
		words((*stanza).signs)},
	{"ttl", ofFederation, "`ttl NORMAL [DEGRADED [MIN MAX]]`: 180s and 30s by default; at most 24h. A Service's own `fedns.io/ttl` is from MIN to MAX: 1s to 24h by default. See [when a shard is up](../concepts.md#when-a-shard-is-up).",
		words((*stanza).ttls)},
	{"heartbeat", ofHealth, "`heartbeat PERIOD TIMEOUT`: how often its API is asked whether it is there, and after how long without an answer a cluster is silent. Default 2s 5s.",
		words((*stanza).heartbeats)},
	{"hold", ofHealth, "`hold TIME`: how long the last word of a silent cluster is taken. Default 5m.",
		words((*stanza).holds)},
	{"silence", ofHealth, "`silence withdraw|keep`: what happens to its shards then. Default `withdraw`.",
		words((*stanza).silence)},
	{"probe", ofHealth, "`probe none|tcp|http|https ...`: asks the announced addresses. Default `none`. Behind that, `annotations off|on`, `ports LIST`, `paths LIST`, `rates NAMESPACE,CLUSTER,ADDRESS` and `allow LIST` say [what is probed](../health.md#what-is-probed).",
		words((*stanza).probes)},
	{"panic", ofHealth, "`panic PERCENT`: probes that leave fewer shards than that are ignored. Off by default.",
		words((*stanza).panics)},
	{"guard", ofHealth, "`guard PERCENT TIME [MIN]`, or `guard off`: more than that doesn't go at once. Default 50% 10s 20.",
		words((*stanza).guarded)},
	{"state", ofHealth, "`state DIR`: keeps what is known, for a start while APIs are down. Off by default.",
		words((*stanza).keeps)},
	{"overrides", ofHealth, "`overrides FILE`: orders of an operator. Off by default.",
		words((*stanza).overridden)},
	{"status", ofServing, "`status [ADDRESS:PORT] [tls CERT KEY [CLIENT-CA]] [token FILE] [review KUBECONFIG [CONTEXT]] [host NAME...]`: [a page](../page.md) and [JSON](status-api.md) of what stands and why. Off unless it is there; by default on 127.0.0.1:8053, for whoever can reach it; [who may look](../page.md#who-may-look). Federations of one server block say the same.",
		words((*stanza).tells)},
	{"resolver", ofServing, "`resolver ADDRESS...`: who is asked for load balancers' hostnames. By default those that the host asks.",
		words((*stanza).resolves)},
	{"policy", ofAnswers, "`policy all|nearest|weighted|failover ...`: which shards a client gets. Default `all`.",
		words((*stanza).chooses)},
	{"annotations", ofHealth, "`annotations none|ttl|policy|weight...`: which of the annotations of these names count; by default all. What doesn't is noticed (`grant`), and `fedctl explain` tells of it.",
		words((*stanza).annotated)},
	{"answers", ofAnswers, "`answers N`: how many addresses of one family an answer has at most, and how many SRV records: 8 by default, up to 2000.",
		words((*stanza).bounds)},
	{"hostnames", ofFederation, "`hostnames external-dns`: the annotation `external-dns.alpha.kubernetes.io/hostname` of exported Services counts as `fedns.io/hostname` does. See [names of a Service's own](../hosts.md#names-of-a-services-own).",
		words((*stanza).namesToo)},
	{"alias", ofFederation, "`alias HOST NAMESPACE/SERVICE [REGION]`: a host that is answered by a Service, by the shards of a region while it has one. May stand several times. See [names of a Service's own](../hosts.md#names-of-a-services-own).",
		words((*stanza).aliases)},
	{"geo", ofAnswers, "`geo FILE`: a database of where clients are.",
		words(func(s *stanza, a args) error {
			return a.file(&s.Options.Database, "needs one database, such as /var/lib/GeoIP/GeoLite2-City.mmdb")
		})},
	{"nets", ofAnswers, "`nets CIDR REGION`: clients of this network are in this region. It may stand several times.",
		words((*stanza).located)},
	{"ecs", ofAnswers, "`ecs on|off`, or `ecs on NETWORK...`: whether a client subnet in a question counts, and whose. Default `on`.",
		words((*stanza).subnets)},
	{"local", ofAnswers, "`local CLUSTER CLUSTERDOMAIN`: names for the pods of one member; see [inside a cluster](../inside-a-cluster.md).",
		words((*stanza).locality)},
	{"fast", ofServing, "`fast on|off`: whether questions are answered past the chain of plugins where they can be; see [speed, and abuse](../security.md).",
		words((*stanza).hastens)},
	{"xdp", ofServing, "`xdp INTERFACE...`: questions over UDP that come by these interfaces are answered below the kernel's sockets, by AF_XDP, where that can be done; see [XDP](../performance.md#xdp). Linux only. Default: none.",
		words((*stanza).lowers)},
	{"cookies", ofServing, "`cookies on|off|FILE`: DNS cookies, and the file of the secret that servers share; see [speed, and abuse](../security.md).",
		words((*stanza).bakes)},
	{"rrl", ofServing, "`rrl off|observe|on|public [RATE [SLIP]]`: how many answers a network gets; see [speed, and abuse](../security.md).",
		words(func(s *stanza, a args) error { return parseRateLimit(&s.guards.RateLimit, a.list) })},
	{"tcp", ofServing, "`tcp off|ALL [NETWORK]`: how many connections there may be, and of one network; see [speed, and abuse](../security.md).",
		words((*stanza).connected)},
	{"transfer", ofFederation, "`transfer NETWORK|*... [key NAME...]`: who may have the zone transferred: an address or a network, or whoever signs with one of the keys from there. May stand several times. Nobody may by default, but for those whom the plugin *transfer* lets. Keys are those of the plugin *tsig* in the server block. See [secondaries](../operate.md#secondaries).",
		words((*stanza).transferred)},
	{"also-notify", ofFederation, "`also-notify ADDRESS[:PORT] [key NAME]`: a secondary that is told of changes; may stand several times.",
		words((*stanza).notifies)},
	{"publish", ofFederation, "`publish update ADDRESS[:PORT] [key NAME] [zone ZONE] [owner NAME] [delegation]`: writes the names into the zone of another server, too: see [publish](../publish.md). The zone is the domain by default, the owner the federation's name; with `delegation`, only NS records and glue. May stand several times. `publish external-dns NAMESPACE [route53 [REGION=HEALTHCHECK...]] [kubeconfig FILE [CONTEXT]]`: writes DNSEndpoint objects into a namespace of the registry's API, or of another.",
		words((*stanza).publishes)},
	{"lenient", ofFederation, "`lenient`: an unknown zone or region of a known service is a CNAME one step up, not NXDOMAIN.",
		words((*stanza).relaxes)},
	{"fallthrough", ofFederation, "`fallthrough [ZONES...]`: unknown names go to the next plugin.",
		func(s *stanza, c *caddy.Controller) error {
			s.fall.SetZonesFromArgs(c.RemainingArgs())
			return nil
		}},
}

// clusterOptions are those of a cluster's block.
var clusterOptions = []option[*source]{
	{"kubeconfig", ofCluster, "`kubeconfig FILE [CONTEXT]`: it is watched through its API.",
		inCluster((*source).fromAPI)},
	{"manifests", ofCluster, "`manifests DIR`: a folder of what the API would hold, in `*.yaml` and `*.json`. `kubectl get nodes,svc,endpointslices,ingresses,ingressclasses -A -o yaml` (and `gateways,gatewayclasses,listenersets,xlistenersets,httproutes,grpcroutes,tlsroutes`, those that there are) writes it. A change of the folder is answered within a second. A file that doesn't parse keeps what it last said.",
		inCluster((*source).fromFolder)},
	{"region", ofCluster, "`region REGION`: taken instead of what the labels of nodes say. With `zones`, too, nodes aren't watched.",
		inCluster((*source).regional)},
	{"zones", ofCluster, "`zones ZONE...`: taken instead of what the labels of nodes say. Set them where nodes may vanish with their zone: a zone that no node and no endpoint tells of has no names. A node with a zone and no region is noticed; its zone stands in the region of the cluster's others, if there is but one.",
		inCluster((*source).zonal)},
	{"location", ofCluster, "`location LATITUDE LONGITUDE`: where its region is; see [where a client is](../policies.md#where-a-client-is).",
		inCluster((*source).located)},
	{"addresses", ofCluster, "`addresses RANGE...`: the cluster may announce only these.",
		inCluster(each(func(s *source) *[]netip.Prefix { return &s.Addresses }, "range, such as 203.0.113.0/24", func(v string) (netip.Prefix, error) {
			p, err := shard.ParseRange(v)
			if err != nil {
				err = fmt.Errorf("%q is not a range of addresses, such as 203.0.113.0/24", v)
			}
			return p, err
		}))},
	{"exports", ofCluster, "`exports PATTERN...`: only these objects of the cluster may have names: NAMESPACE, or NAMESPACE/NAME, in which `*` stands for any characters. Default: all.",
		inCluster(each(func(s *source) *[]shard.ExportPattern { return &s.Exports }, "namespace, or NAMESPACE/NAME, such as shop/* or shop/web", shard.ParseExport))},
	{"hosts", ofCluster, "`hosts PATTERN...`: the cluster may claim only these hosts: `HOST`, `.DOMAIN` for all below it, `*.DOMAIN` for the wildcards, too, or `*` for all with all wildcards. Default: all but wildcards, which take names that nobody has thought of.",
		inCluster(each(func(s *source) *[]shard.HostPattern { return &s.Hosts }, "host such as shop.example.com, .example.com for all below it, or *.example.com for the wildcard, too", shard.ParseHost))},
	{"places", ofCluster, "`places PATTERN...`: its nodes and endpoints may be only in these regions and zones: REGION, or REGION/ZONE, in which `*` stands for any characters. Default: anywhere. What is elsewhere has no names there, and counts in the wider scopes that it may be in. `region` and `zones` above are the federation's own words, and hold in any case. What goes beyond `exports`, `hosts` or `places` is as if it weren't there, in policies and TTLs too; a notice of kind `grant` (`notices_total`) and `fedctl explain` tell of it.",
		inCluster(each(func(s *source) *[]shard.PlacePattern { return &s.Places }, "region, or REGION/ZONE, such as eu-west1 or eu-west1/eu-west1-*", shard.ParsePlace))},
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

// each reads an option that is a list of what needs names, one or more.
func each[T any](into func(*source) *[]T, needs string, parse func(string) (T, error)) func(*source, args) error {
	return func(s *source, a args) error {
		if len(a.list) == 0 {
			return errors.New("needs at least one " + needs)
		}
		for _, v := range a.list {
			p, err := parse(v)
			if err != nil {
				return err
			}
			*into(s) = append(*into(s), p)
		}
		return nil
	}
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
