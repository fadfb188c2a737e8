// Package publish writes the names of federations into another server's zone by dynamic update
// (RFC 2136): BIND, Knot, PowerDNS, Windows.
//
// What belongs to a service changes in one message, which the server takes whole or not at all. Whose a
// name is stands in a TXT record beside it; a name without that is somebody else's, and stays. Nothing is deleted here
// because something wasn't heard: whoever calls says what there is to be, and for a name that has no record now, that it
// has none.
package publish

import (
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Names are the records of names, by name. One without records is known, and has none now.
type Names map[string][]dns.RR

// Managed are the types that are written, and taken away again.
var Managed = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeSRV, dns.TypeNS}

// addresses are the types that the zone's own name can have from us.
var addresses = []uint16{dns.TypeA, dns.TypeAAAA}

// own says whether records of a type are the zone's own, whoever holds the name.
func (s *Server) own(name string, rtype uint16) bool {
	return name == s.Zone && !slices.Contains(addresses, rtype)
}

// Gather sorts records by name. Of other types there is only the one by which transfers say that a name has no
// record now.
func Gather(rrs []dns.RR) Names {
	out := Names{}
	for _, rr := range rrs {
		h := rr.Header()
		list := out[h.Name]
		if slices.Contains(Managed, h.Rrtype) {
			list = append(list, rr)
		}
		out[h.Name] = list
	}
	return out
}

const (
	beside    = "_fedns." // before a name: where its TXT record stands; a CNAME bears none beside it
	besideCut = "_fedns-"
	// markTTL, in seconds, is of the TXT records: nobody but who publishes asks for them.
	markTTL = 300
)

// mark is the TXT record that says whose a name is; nil: the name is too long to have one.
func (s *Server) mark(name string) *dns.TXT {
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		name = "_any." + rest
	}
	if s.Cut == "" {
		name = beside + name
	} else { // below a delegation nobody is told of what stands in the zone
		rel := strings.TrimSuffix(strings.TrimSuffix(name, s.Zone), ".")
		name = besideCut + strings.ReplaceAll(rel, ".", "_") + "." + strings.TrimPrefix(s.Zone, ".")
	}
	if len(name) > 255-2 {
		return nil
	}
	return &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: markTTL}, Txt: []string{s.heritage()}}
}

// heritage is what the TXT records say. Of a domain in the zone they name it: what isn't to be there any more of one is all
// that it doesn't say itself.
func (s *Server) heritage() string {
	h := "heritage=fedns,owner=" + s.Owner
	if s.Domain != s.Zone && s.Cut == "" {
		h += ",domain=" + strings.TrimSuffix(s.Domain, ".")
	}
	return h
}

// marked is the name that a TXT record says is ours.
func (s *Server) marked(t *dns.TXT) (name string, ok bool) {
	name = strings.ToLower(t.Hdr.Name)
	if s.Cut == "" {
		name, ok = strings.CutPrefix(name, beside)
	} else if name, ok = strings.CutPrefix(name, besideCut); ok {
		first, rest, _ := strings.Cut(name, ".")
		name = strings.ReplaceAll(first, "_", ".") + "." + rest
	}
	if rest, any := strings.CutPrefix(name, "_any."); any {
		name = "*." + rest
	}
	return name, ok && strings.Join(t.Txt, "") == s.heritage()
}

// Group is what the records of a name change together with: those of its service, in every scope and of
// every port. Of a host, it is the name.
func Group(domain, name string) string {
	rel := strings.TrimSuffix(strings.TrimSuffix(name, domain), ".")
	labels := strings.Split(rel, ".")
	for len(labels) > 0 && strings.HasPrefix(labels[0], "_") {
		labels = labels[1:]
	}
	if len(labels) >= 4 && (labels[3] == "svc" || labels[3] == "ing") {
		return strings.Join(labels[:4], ".") + "." + strings.TrimPrefix(domain, ".")
	}
	return name
}

// of are the records of a type.
func of(rrs []dns.RR, rtype uint16) (out []dns.RR) {
	for _, rr := range rrs {
		if rr.Header().Rrtype == rtype {
			out = append(out, rr)
		}
	}
	return out
}

// same says whether two sets are alike, in whatever order.
func same(a, b []dns.RR) bool {
	if len(a) != len(b) {
		return false
	}
	text := func(rrs []dns.RR) []string {
		out := make([]string, len(rrs))
		for i, rr := range rrs {
			out[i] = rr.String()
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(text(a), text(b))
}

// alike says whether names have the same records.
func alike(a, b Names) bool {
	return maps.EqualFunc(a, b, same)
}
