package federation

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/kube"
)

// A publishing says where names are written besides being answered.
type publishing struct {
	server string // host:port, for dynamic updates
	key    string // of TSIG; "": updates aren't signed
	zone   string // there; "": the domain
	owner  string // of the names; "": the federation's name
	cut    bool   // only the delegation of the domain is written

	namespace           string // of DNSEndpoint objects; "": there are none
	kubeconfig, context string // of the API that they are in; "": the federation's
	// route53 says that external-dns writes there: the health checks of regions, if any. nil: it may be any provider.
	route53 map[string]string
}

// where is where they stand, for whoever reads logs and metrics.
func (p *publishing) where() string {
	if p.namespace != "" {
		return "external-dns/" + p.namespace
	}
	return p.server
}

// open opens the API of DNSEndpoint objects.
func (p *publishing) open(s *stanza) (*kube.API, error) {
	if p.kubeconfig != "" {
		return kube.Open(kube.Config{Kubeconfig: p.kubeconfig, Context: p.context, Agent: "fedns"})
	}
	return kube.Open(kube.Config{Kubeconfig: s.registry, Context: s.registryContext, Agent: "fedns"})
}

// published checks what of publish depends on other properties.
func (s *stanza) published() error {
	for _, p := range s.publish {
		if p.namespace != "" && p.kubeconfig == "" && s.registry == "" {
			return s.positions.of("publish").errorf("publish external-dns %s: in which API? There is no registry; say kubeconfig FILE [CONTEXT] behind it", p.namespace)
		}
	}
	return nil
}

// objects reads the rest of publish external-dns.
func (s *stanza) objects(a args) error {
	const needs = "needs a namespace: publish external-dns NAMESPACE [route53 [REGION=HEALTHCHECK...]] [kubeconfig FILE [CONTEXT]]"
	if len(a.list) < 2 || !namespaces.MatchString(a.list[1]) {
		return errors.New(needs)
	}
	p := publishing{namespace: a.list[1]}
	rest := a.list[2:]
	if len(rest) > 0 && rest[0] == "route53" {
		p.route53 = map[string]string{}
		for rest = rest[1:]; len(rest) > 0 && strings.Contains(rest[0], "="); rest = rest[1:] {
			region, id, _ := strings.Cut(rest[0], "=")
			if region == "" || id == "" || p.route53[region] != "" {
				return fmt.Errorf("route53: %q isn't a region with the one health check of Route 53 for it: REGION=HEALTHCHECK", rest[0])
			}
			p.route53[region] = id
		}
	}
	if len(rest) > 0 {
		if rest[0] != "kubeconfig" || len(rest) == 1 || len(rest) > 3 {
			return errors.New(needs)
		}
		p.kubeconfig = path(a.c, rest[1])
		if len(rest) == 3 {
			p.context = rest[2]
		}
	}
	if slices.ContainsFunc(s.publish, func(o publishing) bool { return o.namespace != "" }) {
		return errors.New("external-dns stands twice; one object is written for a service")
	}
	s.publish = append(s.publish, p)
	return nil
}

// namespaces are the names that a namespace may have.
var namespaces = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// publishes says where names are published.
func (s *stanza) publishes(a args) error {
	const needs = "needs a server, or a namespace: publish update ADDRESS[:PORT] [key NAME] [zone ZONE] [owner NAME] [delegation], or publish external-dns NAMESPACE [route53 [REGION=HEALTHCHECK...]] [kubeconfig FILE [CONTEXT]]"
	if len(a.list) > 0 && a.list[0] == "external-dns" {
		return s.objects(a)
	}
	if len(a.list) < 2 || a.list[0] != "update" {
		return errors.New(needs)
	}
	at, err := hostPort(a.list[1])
	if err != nil {
		return fmt.Errorf("%w; it %s", err, needs)
	}
	p := publishing{server: at}
	rest := a.list[2:]
	if n := len(rest); n > 0 && rest[n-1] == "delegation" && n%2 == 1 {
		p.cut, rest = true, rest[:n-1]
	}
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
	if p.cut && p.zone == "" {
		return errors.New("delegation: in which zone? It is the one above the domain: zone ZONE")
	}
	for _, z := range s.zones {
		if p.cut && p.zone == z {
			return fmt.Errorf("delegation: %s is the zone itself; it is delegated in the one above", z)
		}
		if p.zone != "" && !dns.IsSubDomain(p.zone, z) {
			return fmt.Errorf("zone: %s isn't in %s", z, p.zone)
		}
	}
	for _, o := range s.publish {
		if o.namespace == "" && o.server == p.server && o.zone == p.zone {
			return fmt.Errorf("%s stands twice", p.server)
		}
	}
	s.publish = append(s.publish, p)
	return nil
}
