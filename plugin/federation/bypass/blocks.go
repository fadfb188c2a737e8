package bypass

import (
	"bytes"
	"cmp"
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

// A Block is a server block of the Corefile as far as it matters to whoever
// answers some of its questions in its place.
type Block struct {
	Number int // of the block in the Corefile
	file   string
	keys   []key
	zones  []string // its keys as they are written, of all transports
	hosts  []string // that it is bound to; nil: all
	tokens map[string][]caddyfile.Token
}

// A key is a zone that a block answers for, at a port, by a transport.
type key struct {
	transport string
	zone      dnsname.Name
	port      string
}

// UsualPort is the port that CoreDNS takes where a key names none.
func UsualPort(trans string) string {
	switch trans {
	case transport.TLS:
		return transport.TLSPort
	case transport.QUIC:
		return transport.QUICPort
	case transport.GRPC:
		return transport.GRPCPort
	case transport.HTTPS, transport.HTTPS3:
		return transport.HTTPSPort
	}
	return dnsserver.Port // which a flag may have set
}

// Blocks reads the Corefile of an instance once more: which other blocks and
// plugins there are isn't told to plugins.
func Blocks(input caddy.Input) ([]Block, error) {
	parsed, err := caddyfile.Parse(input.Path(), bytes.NewReader(input.Body()), nil)
	if err != nil {
		return nil, err
	}
	var out []Block
	for i, p := range parsed {
		b := Block{Number: i, file: input.Path(), zones: p.Keys, tokens: p.Tokens}
		for _, k := range p.Keys {
			trans, rest := coreparse.Transport(k)
			hosts, port, err := plugin.SplitHostPort(rest)
			if err != nil {
				return nil, err
			}
			port = cmp.Or(port, UsualPort(trans))
			for _, h := range hosts {
				for _, z := range plugin.Host(h).NormalizeExact() {
					b.keys = append(b.keys, key{trans, dnsname.Name(z), port})
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

// Has says whether a plugin stands in a block.
func (b *Block) Has(name string) bool {
	_, ok := b.tokens[name]
	return ok
}

// Is says whether a configuration is that of the block's first key.
func (b *Block) Is(cfg *dnsserver.Config) bool {
	return len(b.keys) > 0 && b.keys[0] == key{cfg.Transport, dnsname.Name(cfg.Zone), cfg.Port}
}

// A Place is where a server answers.
type Place struct{ Transport, Host, Port string }

// PlaceOf takes the address apart that CoreDNS gives a server.
func PlaceOf(addr string) Place {
	trans, rest := coreparse.Transport(addr)
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return Place{}
	}
	return Place{trans, host, port}
}

// shares says whether a block answers at a place.
func (b *Block) shares(p Place) bool {
	return slices.ContainsFunc(b.keys, p.has) && (b.hosts == nil || p.Host == "" || slices.Contains(b.hosts, p.Host))
}

func (p Place) has(k key) bool { return k.transport == p.Transport && k.port == p.Port }

// Neighbours are the server blocks beside the one of a domain, at an address.
type Neighbours struct {
	Below []dnsname.Name // their zones below the domain
	Above bool           // one has a zone above the domain, or the domain itself
}

// Owns says whether CoreDNS would ask block i, and it alone, for the names of a
// domain that come to a place: its key is the longest that the domain is
// under. why says why not.
func Owns(all []Block, i int, domain dnsname.Name, at Place) (n Neighbours, why string) {
	var best dnsname.Name
	owner := -1
	for j := range all {
		for _, zone := range all[j].At(at) {
			if _, ok := zone.Under(string(domain)); ok {
				n.Above = n.Above || j != i
				if len(zone) < len(best) {
					continue
				}
				if owner >= 0 && owner != j && zone == best {
					return n, fmt.Sprintf("two server blocks answer for %s", zone)
				}
				best, owner = zone, j
			} else if _, ok := domain.Under(string(zone)); ok && j != i {
				n.Below = append(n.Below, zone)
			}
		}
	}
	if owner != i {
		return n, fmt.Sprintf("another server block answers for %s", domain)
	}
	return n, ""
}

// At are the zones that a block answers for at a place.
func (b *Block) At(p Place) (zones []dnsname.Name) {
	if !b.shares(p) {
		return nil
	}
	for _, k := range b.keys {
		if p.has(k) {
			zones = append(zones, k.zone)
		}
	}
	return zones
}
