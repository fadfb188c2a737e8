// Package stub says how a resolver is pointed at fedns: what a cluster's own DNS, or a host's,
// takes to ask it for a domain. Text prints it for each of Forms; the Corefile of CoreDNS and
// the stub domains of kube-dns can be edited, too. Nothing is asked or written here.
package stub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Stub is a domain, who answers for it, and the names that pods of a cluster get.
type Stub struct {
	Domain  string
	Servers []netip.AddrPort
	// Federation and ClusterDomain make the domain of pods' short names; "": there are none.
	Federation, ClusterDomain string
}

// zones are the domains that are asked for; the answers for short names aren't to be cached,
// since what they are told holds for seconds.
func (s *Stub) zones() []string {
	out := []string{s.Domain}
	if s.Federation != "" {
		out = append(out, s.Federation+".svc."+s.ClusterDomain)
	}
	return out
}

// addresses are the servers as most programs write them: without the usual port.
func (s *Stub) addresses(port string) (out []string) {
	for _, a := range s.Servers {
		switch {
		case a.Port() == 53:
			out = append(out, a.Addr().String())
		case port == ":":
			out = append(out, a.String())
		default:
			out = append(out, fmt.Sprintf("%s%s%d", a.Addr(), port, a.Port()))
		}
	}
	return out
}

// A form is one program's, or one product's.
type form struct {
	name, where string // where it goes
	text        func(*Stub) string
}

var forms = []form{
	{"coredns", "the Corefile in ConfigMap kube-system/coredns, behind its blocks (--apply does it)", (*Stub).Blocks},
	{"coredns-custom", "ConfigMap kube-system/coredns-custom, as AKS has it (--apply does it)", (*Stub).custom},
	{"kube-dns", "ConfigMap kube-system/kube-dns (--apply does it)", (*Stub).kubeDNS},
	{"nodelocal", "the Corefile in ConfigMap kube-system/node-local-dns, with the addresses that its other blocks bind", (*Stub).nodeLocal},
	{"openshift", "oc apply -f: the operator of DNS", (*Stub).openshift},
	{"unbound", "/etc/unbound/unbound.conf.d/fedns.conf", (*Stub).unbound},
	{"dnsmasq", "/etc/dnsmasq.d/fedns.conf", (*Stub).dnsmasq},
	{"systemd-resolved", "/etc/systemd/resolved.conf.d/fedns.conf", (*Stub).resolved},
}

// Forms are the names of all forms.
func Forms() (out []string) {
	for _, f := range forms {
		out = append(out, f.name)
	}
	return out
}

// Text is what a form takes, and where it goes.
func (s *Stub) Text(name string) (text, where string) {
	i := slices.IndexFunc(forms, func(f form) bool { return f.name == name })
	return forms[i].text(s), forms[i].where
}

// begin and end stand around what is ours in somebody else's Corefile.
func (s *Stub) begin() string { return "# fedctl stub " + s.Domain + ": begin\n" }
func (s *Stub) end() string   { return "# fedctl stub " + s.Domain + ": end\n" }

// Blocks are the server blocks, between the lines that say whose they are.
func (s *Stub) Blocks() string {
	return s.begin() + s.blocks("") + s.end()
}

// blocks are server blocks with more options before the last.
func (s *Stub) blocks(more string) string {
	var b strings.Builder
	for i, zone := range s.zones() {
		fmt.Fprintf(&b, "%s:53 {\n    errors\n", zone)
		if i == 0 {
			b.WriteString("    cache 30\n")
		}
		fmt.Fprintf(&b, "%s    forward . %s\n}\n", more, strings.Join(s.addresses(":"), " "))
	}
	return b.String()
}

// ErrTaken says that somebody else has a block for a zone.
var ErrTaken = errors.New("has a block for it already")

// Corefile puts the blocks into a Corefile, in the place of those of before.
func (s *Stub) Corefile(text string) (string, error) {
	rest := s.WithoutBlocks(text)
	for line := range strings.Lines(rest) {
		head, isBlock := strings.CutSuffix(strings.TrimSpace(line), "{")
		if !isBlock || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue // an option of a plugin
		}
		for key := range strings.FieldsSeq(strings.ReplaceAll(head, ",", " ")) {
			key = strings.TrimPrefix(key, "dns://")
			zone, _, _ := strings.Cut(key, ":")
			if slices.Contains(s.zones(), strings.TrimSuffix(zone, ".")) {
				return "", fmt.Errorf("the Corefile %w: %s", ErrTaken, strings.TrimSpace(line))
			}
		}
	}
	return strings.TrimRight(rest, "\n") + "\n" + s.Blocks(), nil
}

// WithoutBlocks takes them out of a Corefile.
func (s *Stub) WithoutBlocks(text string) string {
	before, rest, is := strings.Cut(text, s.begin())
	if !is {
		return text
	}
	_, after, is := strings.Cut(rest, s.end())
	if !is {
		return text // somebody has edited it: what is theirs isn't known any more
	}
	return before + after
}

// StubDomains puts the zones into kube-dns's JSON; "" is none.
func (s *Stub) StubDomains(text string) (string, error) {
	return s.editStubs(text, func(all map[string][]string) {
		for _, zone := range s.zones() {
			all[zone] = s.addresses(":")
		}
	})
}

// WithoutStubDomains takes them out again.
func (s *Stub) WithoutStubDomains(text string) (string, error) {
	return s.editStubs(text, func(all map[string][]string) {
		for _, zone := range s.zones() {
			delete(all, zone)
		}
	})
}

func (s *Stub) editStubs(text string, edit func(map[string][]string)) (string, error) {
	all := map[string][]string{}
	if strings.TrimSpace(text) != "" {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return "", fmt.Errorf("stubDomains aren't what kube-dns takes: %w", err)
		}
	}
	edit(all)
	out, err := json.MarshalIndent(all, "", "  ")
	return string(out) + "\n", err
}

// indented is a text as the value of a key in YAML.
func indented(text string, by int) string {
	indent := strings.Repeat(" ", by)
	return indent + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+indent) + "\n"
}

// CustomKey is the key of what is ours in ConfigMap coredns-custom.
func (s *Stub) CustomKey() string { return "fedns-" + s.Domain + ".server" }

func (s *Stub) custom() string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns-custom, namespace: kube-system}\ndata:\n  " + s.CustomKey() + ": |\n" + indented(s.Blocks(), 4)
}

func (s *Stub) kubeDNS() string {
	stubs, err := s.StubDomains("")
	if err != nil {
		panic(err) // a map of strings
	}
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-dns, namespace: kube-system}\ndata:\n  stubDomains: |\n" + indented(stubs, 4)
}

func (s *Stub) nodeLocal() string { return s.blocks("    reload\n    bind 169.254.20.10\n") }

func (s *Stub) openshift() string {
	return fmt.Sprintf(`apiVersion: operator.openshift.io/v1
kind: DNS
metadata: {name: default}
spec:
  servers:
  - name: fedns
    zones: [%s]
    forwardPlugin:
      upstreams: [%s]
`, strings.Join(s.zones(), ", "), quoted(s.addresses(":")))
}

func quoted(all []string) string {
	for i, a := range all {
		all[i] = `"` + a + `"`
	}
	return strings.Join(all, ", ")
}

func (s *Stub) unbound() string {
	var b strings.Builder
	b.WriteString("server:\n")
	for _, zone := range s.zones() {
		// Not signed, whatever the parent zone is; and its addresses may be private ones.
		fmt.Fprintf(&b, "    domain-insecure: %q\n    private-domain: %q\n", zone+".", zone+".")
	}
	b.WriteString("    # serve-expired: yes answers what was known while no fedns can be asked.\n")
	for _, zone := range s.zones() {
		fmt.Fprintf(&b, "stub-zone:\n    name: %q\n", zone+".")
		for _, a := range s.addresses("@") {
			fmt.Fprintf(&b, "    stub-addr: %s\n", a)
		}
	}
	return b.String()
}

func (s *Stub) dnsmasq() string {
	var b strings.Builder
	for _, zone := range s.zones() {
		for _, a := range s.addresses("#") {
			fmt.Fprintf(&b, "server=/%s/%s\n", zone, a)
		}
		fmt.Fprintf(&b, "rebind-domain-ok=/%s/\n", zone) // its addresses may be private ones
	}
	return b.String()
}

func (s *Stub) resolved() string {
	var zones []string
	for _, zone := range s.zones() {
		zones = append(zones, "~"+zone)
	}
	return fmt.Sprintf("[Resolve]\nDNS=%s\nDomains=%s\n", strings.Join(s.addresses(":"), " "), strings.Join(zones, " "))
}
