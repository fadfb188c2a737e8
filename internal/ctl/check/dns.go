package check

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/cli"
)

// A Delegation is what the servers of the parent zone say of a domain.
type Delegation struct {
	Domain  string
	Parent  string                  // the zone
	Error   string                  // why it couldn't be asked
	Servers map[string][]netip.Addr // by the names of the domain's name servers, with their glue
}

// A Server is what one name server says of a domain.
type Server struct {
	Addr    netip.AddrPort
	Name    string // in the delegation; "": it was named by its address
	Ways    []Way  // in which it was asked for the SOA record
	NS      []string
	Serial  uint32
	Answers map[string]string // by name: what it answers, in words
}

// A Way is one in which a server was asked.
type Way struct {
	Name  string // UDP, TCP, UDP with EDNS
	Error string // why there was no answer that counts; "": there was one
}

// DNS judges a domain's delegation and its servers.
func DNS(d Delegation, servers []Server) []Finding {
	f := findings{group: "delegation"}
	switch {
	case d.Error != "":
		f.warn("--parent ADDRESS says whom to ask, --servers ADDRESS,... who answers for it", "%s: who it is delegated to can't be found out: %s", d.Domain, d.Error)
	case len(d.Servers) == 0:
		f.err("put NS records for it into that zone: docs/install.md, \"Give it a domain\"", "%s isn't delegated: %s has no NS records for it", d.Domain, zone(d.Parent))
	default:
		names := slices.Sorted(maps.Keys(d.Servers))
		for _, name := range names {
			if len(d.Servers[name]) == 0 && within(name, d.Domain) {
				f.err("put its address records beside the NS record in the parent zone", "%s: %s is within it, and %s has no glue for it", d.Domain, name, zone(d.Parent))
			}
		}
		f.ok("%s is delegated by %s to %s", d.Domain, zone(d.Parent), strings.Join(names, ", "))
		if len(names) == 1 {
			f.warn("a second server, elsewhere", "%s has one name server", d.Domain)
		}
	}
	serials, reached := map[uint32][]string{}, 0
	for _, s := range servers {
		who := s.Addr.String()
		if s.Name != "" {
			who = s.Name + " (" + who + ")"
		}
		var good []string
		for _, w := range s.Ways {
			if w.Error == "" {
				good = append(good, w.Name)
			} else {
				f.err("does a firewall, or a load balancer, let it through on port 53? Is the domain in its Corefile?", "%s doesn't answer for %s by %s: %s", who, d.Domain, w.Name, w.Error)
			}
		}
		if len(good) == 0 {
			continue
		}
		reached++
		f.ok("%s answers for %s by %s, serial %d", who, d.Domain, strings.Join(good, ", "), s.Serial)
		serials[s.Serial] = append(serials[s.Serial], who)
		if d.Error == "" && len(d.Servers) > 0 && len(s.NS) > 0 {
			parents := slices.Sorted(maps.Keys(d.Servers))
			if !slices.Equal(parents, s.NS) {
				f.warn("make both say the same: the parent zone's NS records, and the apex of the domain", "%s: the parent has NS %s, %s says %s", d.Domain, strings.Join(parents, ", "), who, strings.Join(s.NS, ", "))
			}
		}
	}
	if reached > 1 {
		if len(serials) == 1 {
			f.ok("all servers of %s have the same serial", d.Domain)
		} else {
			f.warn("seconds apart is as it should be while things change; else compare fedctl clusters of each", "the servers of %s have serials that differ: %s", d.Domain, differ(serials))
		}
		f.all = append(f.all, same(d.Domain, servers)...)
	}
	return f.all
}

// same compares what servers answer.
func same(domain string, servers []Server) []Finding {
	f := findings{group: "delegation"}
	names := map[string]map[string][]string{}
	for _, s := range servers {
		for name, text := range s.Answers {
			if names[name] == nil {
				names[name] = map[string][]string{}
			}
			names[name][text] = append(names[name][text], s.Addr.String())
		}
	}
	var wrong []string
	for name, by := range names {
		if len(by) > 1 {
			wrong = append(wrong, name)
		}
	}
	slices.Sort(wrong)
	switch {
	case len(wrong) > 0:
		f.warn("fedctl explain NAME --server of each says why; a policy may draw other shards for each question", "the servers of %s answer differently for %s", domain, first(wrong))
	case len(names) > 0:
		f.ok("all servers of %s answer the same for %s", domain, cli.Plural(len(names), "service"))
	}
	return f.all
}

func differ(serials map[uint32][]string) string {
	var out []string
	for serial, who := range serials {
		out = append(out, fmt.Sprintf("%d at %s", serial, strings.Join(who, ", ")))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func zone(name string) string {
	if name == "" || name == "." {
		return "the root zone"
	}
	return name
}

// within says whether a name is in a domain.
func within(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}
