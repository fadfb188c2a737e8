package bypass

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/response"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/plugin/federation/observe"
)

// A reader reads what a plugin needs to see of the directives for it: as the plugin
// itself does, which keeps that to itself. keys are those of the server block, which
// many plugins take for their zones. What else the plugin does is noted in done.
type reader func(d *caddyfile.Dispenser, keys []string, done *Effects) (needs, error)

// Effects are what is done in the place of plugins with what is answered past them.
type Effects struct {
	Size    uint16 // of bufsize; 0: there is none
	Flags   mask   // of header
	Allowed bool   // acl counts what it lets through
}

// nothing is for plugins that do nothing to questions, or whose part is done here.
func nothing(*caddyfile.Dispenser, []string, *Effects) (needs, error) { return nil, nil }

// readers are those of the plugins that needn't see every question. Any other may do
// anything, unless it comes behind who answers.
var readers = map[string]reader{
	"root": nothing, "timeouts": nothing, "multisocket": nothing, "reload": nothing, "bind": nothing, "debug": nothing, "tls": nothing,
	"health": nothing, "ready": nothing, "pprof": nothing, "prometheus": nothing, "errors": nothing, "shed": nothing,
	"nsid":     nothing, // its identity is given here too
	"metadata": nothing, // is read by plugins that see the question
	"geoip":    nothing, // the same
	"cancel":   nothing, // bounds what takes long
	"chaos":    nothing, // of a class that isn't answered here
	"cache":    nothing, // its answers are cached by nobody
	"transfer": nothing, // of types that aren't answered here

	"acl": aclNeeds, "any": anyNeeds, "autopath": autopathNeeds, "bufsize": bufsizeNeeds, "dnssec": dnssecNeeds, "header": headerNeeds,
	"loadbalance": loadbalanceNeeds, "log": logNeeds, "minimal": minimalNeeds, "rewrite": rewriteNeeds, "template": templateNeeds, "tsig": tsigNeeds,
}

// passing are plugins that federations' answers pass by as they are, and no others': what is
// cached isn't answered anew, and what is put into another order depends on what has been answered before.
var passing = []string{"cache", "loadbalance"}

// view chooses the server block of a question, wherever it stands.
const view = "view"

// Needs reads what the plugins of a block need of the questions for names in a domain.
// order is that of all plugins, among them self, who answers them. why says which needs them
// all; "": none does.
func (b *Block) Needs(domain dnsname.Name, order []string, self string) (all Combined, done Effects, why string) {
	own := slices.Index(order, self)
	for _, name := range slices.Sorted(maps.Keys(b.tokens)) {
		if own >= 0 && slices.Index(order, name) > own && name != view {
			continue // sees only what is passed on
		}
		if name == self {
			continue
		}
		ns := everything
		if read, ok := readers[name]; ok && (self == observe.PluginName || !slices.Contains(passing, name)) {
			var err error
			d := caddyfile.NewDispenserTokens(b.file, b.tokens[name])
			if ns, err = read(&d, b.zones, &done); err != nil {
				ns = everything // the plugin itself says what is wrong
			}
		}
		if ns = ns.within(domain); ns.all() {
			return nil, Effects{}, "plugin " + name + " must see every question"
		} else if len(ns) > 0 {
			all = append(all, ns)
		}
	}
	return all, done, ""
}

// origins are the zones of a plugin.
func origins(args, keys []string) []dnsname.Name {
	out := []dnsname.Name{} // of none it sees nothing
	for _, z := range plugin.OriginsFromArgsOrServerBlock(args, keys) {
		out = append(out, dnsname.Name(dnsname.Lower(z)))
	}
	return out
}

var errUnread = errors.New("it isn't read here")

// aclNeeds: what is blocked, filtered or dropped, by the first policy that fits.
func aclNeeds(d *caddyfile.Dispenser, keys []string, done *Effects) (out needs, err error) {
	done.Allowed = true
	for d.Next() {
		zones := origins(d.RemainingArgs(), keys)
		for d.NextBlock() {
			n := need{zones: zones}
			switch strings.ToLower(d.Val()) {
			case "allow":
			case "drop":
				n.kinds = Whatever | Silent
			default:
				n.kinds = Whatever
			}
			var networks []*net.IPNet
			section, wild := "", map[string]bool{}
			for _, a := range d.RemainingArgs() {
				switch l := strings.ToLower(a); {
				case l == "type" || l == "net":
					section = l
				case a == "*":
					wild[section] = true
				case section == "type":
					t, ok := dns.StringToType[a]
					if !ok {
						return nil, errUnread
					}
					n.types = append(n.types, t)
				case section == "net":
					network, err := aclNet(a)
					if err != nil {
						return nil, err
					}
					networks = append(networks, network)
				default:
					return nil, errUnread
				}
			}
			if wild["type"] || slices.Contains(n.types, dns.TypeNone) {
				n.types = nil
			}
			if len(networks) > 0 && !wild["net"] {
				n.from = sourcesOf(networks)
			}
			out = append(out, n)
		}
	}
	return out, nil
}

// aclNet reads a network, or an address for one of its own.
func aclNet(s string) (*net.IPNet, error) {
	if !strings.Contains(s, "/") {
		if strings.Contains(s, ":") {
			s += "/128"
		} else {
			s += "/32"
		}
	}
	_, n, err := net.ParseCIDR(s)
	return n, err
}

func anyNeeds(*caddyfile.Dispenser, []string, *Effects) (needs, error) {
	return needs{{types: []uint16{dns.TypeANY}, kinds: Whatever}}, nil
}

func autopathNeeds(d *caddyfile.Dispenser, keys []string, _ *Effects) (out needs, err error) {
	for d.Next() {
		args := d.RemainingArgs()
		if len(args) == 0 {
			return nil, errUnread
		}
		out = append(out, need{zones: origins(args[:len(args)-1], keys), kinds: Whatever})
	}
	return out, nil
}

// bufsizeNeeds: nothing, its bound is kept here.
func bufsizeNeeds(d *caddyfile.Dispenser, _ []string, done *Effects) (needs, error) {
	d.Next()
	done.Size = 1232
	if d.NextArg() {
		n, err := strconv.ParseUint(d.Val(), 10, 16)
		if err != nil {
			return nil, err
		}
		done.Size = uint16(n)
	}
	return nil, nil
}

// dnssecNeeds: what is signed, and keys.
func dnssecNeeds(d *caddyfile.Dispenser, keys []string, _ *Effects) (needs, error) {
	d.Next()
	zones := origins(d.RemainingArgs(), keys)
	return needs{
		{zones: zones, do: true, kinds: Whatever},
		{zones: zones, types: []uint16{dns.TypeDNSKEY}, kinds: Whatever},
	}, nil
}

// headerNeeds: nothing, the flags are set here.
func headerNeeds(d *caddyfile.Dispenser, _ []string, done *Effects) (needs, error) {
	for d.Next() {
		read := false
		var response mask
		for d.NextBlock() {
			of := strings.ToLower(d.Val())
			if !d.NextArg() {
				return nil, errUnread
			}
			action := strings.ToLower(d.Val())
			for _, flag := range d.RemainingArgs() {
				read = true
				flag = strings.ToLower(flag)
				switch {
				case of == "response":
					response.rule(flag, action == "set")
				case flag == "rd": // which an answer has from its question
					done.Flags.rule(flag, action == "set")
				}
			}
		}
		done.Flags.over(response)
		if read {
			break // as the plugin does
		}
	}
	return nil, nil
}

// loadbalanceNeeds: what has addresses to be put into another order than one that
// rotates.
func loadbalanceNeeds(d *caddyfile.Dispenser, _ []string, _ *Effects) (needs, error) {
	for d.Next() {
		if args := d.RemainingArgs(); len(args) > 0 && args[0] != "round_robin" {
			return needs{{kinds: Found}}, nil
		}
		if d.NextBlock() {
			return needs{{kinds: Found}}, nil
		}
	}
	return nil, nil
}

// logNeeds: answers of the classes that are logged, by the first rule for their name.
func logNeeds(d *caddyfile.Dispenser, _ []string, _ *Effects) (out needs, err error) {
	for d.Next() {
		args := d.RemainingArgs()
		if len(args) > 1 && strings.Contains(args[len(args)-1], "{") {
			args = args[:len(args)-1] // the format
		}
		n := need{}
		for _, a := range args {
			n.zones = append(n.zones, dnsname.Name(dnsname.Lower(dns.Fqdn(a))))
		}
		for d.NextBlock() {
			for _, a := range d.RemainingArgs() {
				c, err := response.ClassFromString(a)
				if err != nil {
					return nil, err
				}
				n.kinds |= map[response.Class]Kinds{response.All: Whatever, response.Success: Found, response.Denial: Denied, response.Error: Failed}[c]
			}
		}
		if n.kinds == 0 {
			n.kinds = Whatever
		}
		out = append(out, n)
	}
	return out, nil
}

func minimalNeeds(*caddyfile.Dispenser, []string, *Effects) (needs, error) {
	return needs{{kinds: Padded}}, nil
}

// rewriteNeeds: the names and the types of rules that are for these.
func rewriteNeeds(d *caddyfile.Dispenser, _ []string, _ *Effects) (out needs, err error) {
	for d.Next() {
		args := d.RemainingArgs()
		if len(args) < 2 {
			for d.NextBlock() {
				args = append(args, d.Val())
			}
		}
		if len(args) > 0 {
			if mode := strings.ToLower(args[0]); mode == "stop" || mode == "continue" {
				args = args[1:]
			}
		}
		if len(args) < 3 {
			return nil, errUnread
		}
		n, err := rewriteNeed(strings.ToLower(args[0]), args[1:])
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func rewriteNeed(what string, args []string) (need, error) {
	plain := 2 // arguments of a rule for exactly one name
	switch what {
	case "type":
		t, ok := dns.StringToType[strings.ToUpper(args[0])]
		if !ok {
			return need{}, errUnread
		}
		return need{types: []uint16{t}, kinds: Whatever}, nil
	case "class":
		if c := dns.StringToClass[strings.ToUpper(args[0])]; c != dns.ClassINET {
			return need{}, nil // isn't answered here
		}
		return everything[0], nil
	case "name", "ttl":
	case "rcode":
		plain = 3
	default: // looks at other things
		return everything[0], nil
	}
	match, name := "exact", args[0]
	if len(args) > plain {
		match, name = strings.ToLower(args[0]), args[1]
	}
	name = dnsname.Lower(dns.Fqdn(name))
	switch match {
	case "suffix":
		// One that begins within a label is for names in what is above it.
		_, above, _ := strings.Cut(name, ".")
		if above == "" {
			above = "."
		}
		return need{zones: []dnsname.Name{dnsname.Name(above)}, kinds: Whatever}, nil
	case "exact":
		return need{zones: []dnsname.Name{dnsname.Name(name)}, kinds: Whatever}, nil
	}
	return everything[0], nil
}

func templateNeeds(d *caddyfile.Dispenser, keys []string, _ *Effects) (out needs, err error) {
	for d.Next() {
		args := d.RemainingArgs()
		if len(args) < 2 {
			return nil, errUnread
		}
		class, ok := dns.StringToClass[args[0]]
		t, known := dns.StringToType[args[1]]
		if !ok || !known {
			return nil, fmt.Errorf("template %s %s: %w", args[0], args[1], errUnread)
		}
		n := need{zones: origins(args[2:], keys), kinds: Whatever}
		if t != dns.TypeANY {
			n.types = []uint16{t, dns.TypeANY}
		}
		if class == dns.ClassINET || class == dns.ClassANY {
			out = append(out, n)
		}
		for d.NextBlock() { // what it answers
			d.RemainingArgs()
		}
	}
	return out, nil
}

// tsigNeeds: what has to be signed. What is signed isn't answered here.
func tsigNeeds(d *caddyfile.Dispenser, keys []string, _ *Effects) (needs, error) {
	d.Next()
	zones := origins(d.RemainingArgs(), keys)
	var types []uint16
	all := false
	queries := false
	for d.NextBlock() {
		property, args := d.Val(), d.RemainingArgs()
		switch property {
		case "require":
			types = nil
			for _, a := range args {
				all = all || a == "all"
				if t, ok := dns.StringToType[a]; ok {
					types = append(types, t)
				}
			}
		case "require_opcode":
			queries = false
			for _, a := range args {
				all = all || a == "all"
				queries = queries || a == dns.OpcodeToString[dns.OpcodeQuery]
			}
		}
	}
	switch {
	case all || queries:
		return needs{{zones: zones, kinds: Whatever}}, nil
	case len(types) > 0:
		return needs{{zones: zones, types: types, kinds: Whatever}}, nil
	}
	return nil, nil
}

// A mask clears and sets bits of the third and the fourth byte of an answer.
type mask struct{ clear, set [2]byte }

// rule has a flag set or cleared, whatever was said before.
func (m *mask) rule(flag string, set bool) {
	var one mask
	bits := map[string][2]byte{"aa": {0x04, 0}, "rd": {0x01, 0}, "ra": {0, 0x80}}[flag]
	if one.clear = bits; set {
		one = mask{set: bits}
	}
	m.over(one)
}

// over has another mask come behind m.
func (m *mask) over(o mask) {
	for i := range m.set {
		m.clear[i] = m.clear[i]&^o.set[i] | o.clear[i]
		m.set[i] = m.set[i]&^o.clear[i] | o.set[i]
	}
}

// Apply changes the flags of an answer.
func (m *mask) Apply(answer []byte) {
	for i := range m.set {
		answer[2+i] = answer[2+i]&^m.clear[i] | m.set[i]
	}
}
