package federation

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	coreparse "github.com/coredns/coredns/plugin/pkg/parse"
	"github.com/coredns/coredns/plugin/pkg/transport"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/fqdn"
	"github.com/fedns/fedns/internal/wire"
)

// A block is a server block of the Corefile as far as it matters to whoever
// answers some of its questions in its place.
type block struct {
	keys   []key
	hosts  []string // that it is bound to; nil: all
	tokens map[string][]caddyfile.Token
}

// A key is a zone and a port that a block answers for, without encryption.
type key struct {
	zone fqdn.Name
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
		b := block{tokens: p.Tokens}
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
					b.keys = append(b.keys, key{fqdn.Name(z), port})
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

// harmless lists the plugins that needn't see the questions that are answered past
// them: those that do nothing to questions, those whose part is done here as well,
// and those behind federation, which see only what it passes on. Any other may be
// there to see every question.
var harmless = map[string]func(args []string) string{
	"root": nil, "timeouts": nil, "multisocket": nil, "reload": nil, "bind": nil, "debug": nil, "tls": nil,
	"health": nil, "ready": nil, "pprof": nil, "prometheus": nil, "errors": nil, "shed": nil,
	"nsid": nil, // its identity is given here too
	"any":  nil, // is asked for questions of its type
	// Classes other than IN aren't answered here; federation lets nobody cache its
	// answers; the rest sees only what it passes on.
	"chaos": nil, "cache": nil, "transfer": nil, "file": nil, "secondary": nil, "loop": nil, "forward": nil,
	pluginName: nil,
	"bufsize": func(args []string) string {
		if len(args) > 0 {
			if n, err := strconv.Atoi(args[0]); err != nil || n < wire.Payload {
				return fmt.Sprintf("bufsize allows less than %d bytes", wire.Payload)
			}
		}
		return ""
	},
	"loadbalance": func(args []string) string {
		if len(args) > 0 && args[0] != "round_robin" {
			return "loadbalance " + args[0] + " must see every answer"
		}
		if len(args) > 1 {
			return "loadbalance round_robin with options must see every answer"
		}
		return "" // addresses rotate here, too
	},
	"tsig": func(args []string) string {
		for i, a := range args {
			next := ""
			if i+1 < len(args) {
				next = args[i+1]
			}
			switch {
			case a == "require" && next == "all":
				return "tsig requires signatures of all questions"
			case a == "require_opcode" && next != "none":
				// Others than QUERY never come here; that one among them is rare.
				if slices.Contains(args[i:], "QUERY") || next == "all" {
					return "tsig requires signatures of all questions"
				}
			}
		}
		return "" // of the types in signed, it sees every question
	},
}

// signed are the types that the tsig plugin of a block wants signatures for: it has
// to see the questions for these.
func (b *block) signed() (types []uint16) {
	tokens := b.tokens["tsig"]
	for i, t := range tokens {
		if t.Text != "require" {
			continue
		}
		for _, a := range tokens[i+1:] {
			n, ok := dns.StringToType[a.Text]
			if !ok || a.Line != t.Line {
				break
			}
			types = append(types, n)
		}
	}
	return types
}

// objection says why the questions of a block can't be answered past its plugins;
// "": they can.
func (b *block) objection() string {
	for _, name := range slices.Sorted(maps.Keys(b.tokens)) {
		check, ok := harmless[name]
		if !ok {
			return "plugin " + name + " must see every question"
		}
		if check == nil {
			continue
		}
		var args []string
		for _, t := range b.tokens[name][1:] {
			args = append(args, t.Text)
		}
		if why := check(args); why != "" {
			return why
		}
	}
	return ""
}

// owns says whether CoreDNS would ask block i, and it alone, for the names of a
// domain that come to a host and port: its key is the longest that the domain is
// under. except are the keys of other blocks below the domain.
func owns(all []block, i int, domain fqdn.Name, host, port string) (except []string, why string) {
	var best fqdn.Name
	owner := -1
	for j := range all {
		if !all[j].shares(host, port) {
			continue
		}
		for _, k := range all[j].keys {
			if k.port != port {
				continue
			}
			if _, ok := k.zone.Under(string(domain)); ok && len(k.zone) >= len(best) {
				if owner >= 0 && owner != j && k.zone == best {
					return nil, fmt.Sprintf("two server blocks answer for %s", k.zone)
				}
				best, owner = k.zone, j
			} else if _, ok := domain.Under(string(k.zone)); ok && j != i {
				except = append(except, string(k.zone))
			}
		}
	}
	if owner != i {
		return nil, fmt.Sprintf("another server block answers for %s", domain)
	}
	return except, ""
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
