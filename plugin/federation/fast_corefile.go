package federation

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	coreparse "github.com/coredns/coredns/plugin/pkg/parse"
	"github.com/coredns/coredns/plugin/pkg/transport"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// A block is a server block of the Corefile as far as it matters to whoever
// answers some of its questions in its place.
type block struct {
	file   string
	keys   []key
	zones  []string // its keys as they are written, of all transports
	hosts  []string // that it is bound to; nil: all
	tokens map[string][]caddyfile.Token
}

// A key is a zone and a port that a block answers for, without encryption.
type key struct {
	zone dnsname.Name
	port string
}

// blocks reads the Corefile of an instance once more: which other blocks and
// plugins there are isn't told to plugins.
func blocks(input caddy.Input) ([]block, error) {
	parsed, err := caddyfile.Parse(input.Path(), bytes.NewReader(input.Body()), nil)
	if err != nil {
		return nil, err
	}
	var out []block
	for _, p := range parsed {
		b := block{file: input.Path(), zones: p.Keys, tokens: p.Tokens}
		for _, k := range p.Keys {
			trans, rest := coreparse.Transport(k)
			if trans != transport.DNS {
				continue
			}
			hosts, port, err := plugin.SplitHostPort(rest)
			if err != nil {
				return nil, err
			}
			if port == "" {
				port = dnsserver.Port
			}
			for _, h := range hosts {
				for _, z := range plugin.Host(h).NormalizeExact() {
					b.keys = append(b.keys, key{dnsname.Name(z), port})
				}
			}
		}
		if bind, ok := p.Tokens["bind"]; ok {
			b.hosts = bound(bind)
		}
		out = append(out, b)
	}
	return out, nil
}

// bound reads the addresses of a bind directive; nil if it names interfaces, which
// may have any.
func bound(tokens []caddyfile.Token) []string {
	var out []string
	for _, t := range tokens[1:] {
		if _, err := netip.ParseAddr(t.Text); err != nil {
			return nil
		}
		out = append(out, t.Text)
	}
	return out
}

// shares says whether a block answers on a host and port.
func (b *block) shares(host, port string) bool {
	return slices.ContainsFunc(b.keys, func(k key) bool { return k.port == port }) &&
		(b.hosts == nil || host == "" || slices.Contains(b.hosts, host))
}

// neighbours are the server blocks beside the one of a domain, at an address.
type neighbours struct {
	below []dnsname.Name // their zones below the domain
	above bool           // one has a zone above the domain, or the domain itself
}

// owns says whether CoreDNS would ask block i, and it alone, for the names of a
// domain that come to a host and port: its key is the longest that the domain is
// under. why says why not.
func owns(all []block, i int, domain dnsname.Name, host, port string) (n neighbours, why string) {
	var best dnsname.Name
	owner := -1
	for j := range all {
		for _, zone := range all[j].at(host, port) {
			if _, ok := zone.Under(string(domain)); ok {
				n.above = n.above || j != i
				if len(zone) < len(best) {
					continue
				}
				if owner >= 0 && owner != j && zone == best {
					return n, fmt.Sprintf("two server blocks answer for %s", zone)
				}
				best, owner = zone, j
			} else if _, ok := domain.Under(string(zone)); ok && j != i {
				n.below = append(n.below, zone)
			}
		}
	}
	if owner != i {
		return n, fmt.Sprintf("another server block answers for %s", domain)
	}
	return n, ""
}

// at are the zones that a block answers for on a host and port.
func (b *block) at(host, port string) (zones []dnsname.Name) {
	if !b.shares(host, port) {
		return nil
	}
	for _, k := range b.keys {
		if k.port == port {
			zones = append(zones, k.zone)
		}
	}
	return zones
}

// listenHost splits the address that CoreDNS gives a server.
func listenHost(addr string) (host, port string) {
	_, rest := coreparse.Transport(addr)
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return "", ""
	}
	return host, port
}
