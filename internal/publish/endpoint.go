package publish

import (
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// An Endpoint is a record set as external-dns takes it.
type Endpoint struct {
	Name     string // without the last dot
	Type     string // A or AAAA
	Targets  []string
	Choosing // by which it is chosen; zero: it is the only one of its name and type
}

// Endpoints are the addresses that names lead to: without CNAMEs, since external-dns takes a name away before it
// adds one of another type, and without SRV, which it drops. Names that lead to none have none.
func Endpoints(names Names) (out []Endpoint) {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		for _, rtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			var targets []string
			at := name
			for range len(names) + 1 {
				next := ""
				for _, rr := range names[at] {
					switch rr := rr.(type) {
					case *dns.A:
						if rtype == dns.TypeA {
							targets = append(targets, rr.A.String())
						}
					case *dns.AAAA:
						if rtype == dns.TypeAAAA {
							targets = append(targets, rr.AAAA.String())
						}
					case *dns.CNAME:
						next = rr.Target
					}
				}
				if at = next; next == "" {
					break
				}
			}
			if len(targets) > 0 && !strings.HasPrefix(name, "_") {
				slices.Sort(targets)
				out = append(out, Endpoint{Name: strings.TrimSuffix(name, "."), Type: dns.TypeToString[rtype], Targets: targets})
			}
		}
	}
	return out
}
