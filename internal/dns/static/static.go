// Package static looks up the records of a zone that stand in its file.
//
// A Zone is made once of records and never changes. Lookup walks down from the domain, a
// label at a time, and ends where nothing exists, so that a name costs what the zone
// has of it, however long it is. What is found is ready to be written: records are kept
// as package message writes them.
//
// It knows nothing of federations: which names are theirs, and what is said of a name that
// has no records, is its callers' affair. Begin at Lookup.
package static

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
)

// A Zone is the static records of a domain.
type Zone struct {
	domain dnsname.Name
	nodes  map[string]*node // by name in lower case: those with records, and those above
}

// A node is a name that exists.
type node struct {
	sets  []message.Set
	owner bool     // it has records, or else only those below it do
	cut   bool     // what is below isn't the domain's: it is delegated, or has moved
	alias *alias   // of its CNAME or DNAME
	star  *node    // the wildcard right below it; nil: there is none
	below []string // the labels right below it of names that exist, sorted, on the wire
	types []uint16 // of its sets, where it is the domain's to say
}

// An alias is where a CNAME or DNAME leads.
type alias struct {
	ttl    uint32
	target []byte // on the wire, with its last byte
}

// ErrDenial says that a zone can't have NSEC3 records: names between those of a file are
// the federations', which no such record knows of.
var ErrDenial = errors.New("NSEC3 and NSEC3PARAM records can't stand in it: federated names would be denied")

// New makes a Zone of records, whose owners are in the domain and in lower case.
func New(domain dnsname.Name, rrs []dns.RR) (*Zone, error) {
	z := &Zone{domain: domain, nodes: map[string]*node{string(domain): {}}}
	var leads []lead
	for _, rr := range rrs {
		l, err := z.add(rr)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", rr.Header().Name, dns.TypeToString[rr.Header().Rrtype], err)
		}
		if l.name != "" {
			leads = append(leads, l)
		}
	}
	for name, n := range z.nodes {
		n.know(name == string(domain))
		slices.Sort(n.below)
	}
	return z, z.glue(leads)
}

// A Kind is what was found.
type Kind uint8

// The kinds.
const (
	NoName   Kind = iota // the name doesn't exist
	NoData               // it exists, and has no record of the type
	Records              // it has records: Set
	Any                  // it has records, and all were asked for
	Alias                // it is another name for Target
	Moved                // a name above it, at Label, is another name: Target behind the labels before that
	Referral             // a name at Label is delegated: NS and perhaps DS
)

// A Found is what stands in a zone for a name.
type Found struct {
	Kind  Kind
	Label int          // where in the name what was found stands; of a wildcard's, what that is right below
	Set   *message.Set // of Records, Alias (the CNAME record) and Moved (the DNAME record)
	NS    *message.Set // of Referral
	DS    *message.Set // of the same; nil: it isn't signed
	Empty bool         // of NoData: the name exists only because names below it do
	Types []uint16     // of NoData and of a wildcard's: what there is
	Wild  bool         // it is a wildcard's

	alias *alias
}

// TTL is that of an Alias and of Moved, in seconds.
func (f *Found) TTL() uint32 { return f.alias.ttl }

// Target is the name that an Alias leads to and that Moved has in the place of its own, on
// the wire with its last byte.
func (f *Found) Target() []byte { return f.alias.target }

// Lookup finds what stands for a name: absolute, in lower case and presentation form;
// labels are those before the domain. Wildcards are followed (RFC 4592), CNAMEs aren't.
func (z *Zone) Lookup(name string, labels []string, t uint16) Found {
	n, at := z.closest(name, labels, true)
	if n.cut && at > 0 {
		if d := n.set(dns.TypeDNAME); d != nil {
			return Found{Kind: Moved, Label: at, Set: d, alias: n.alias}
		}
	}
	if n.cut && (at > 0 || t != dns.TypeDS) {
		if ns := n.set(dns.TypeNS); ns != nil {
			return Found{Kind: Referral, Label: at, NS: ns, DS: n.set(dns.TypeDS)}
		}
	}
	found := Found{Kind: NoData, Label: at, Wild: at > 0}
	if found.Wild {
		if n = n.star; n == nil {
			return Found{Kind: NoName}
		}
		found.Types = n.types
	}
	if !n.owner {
		found.Empty = true
		return found
	}
	if t == dns.TypeANY {
		found.Kind = Any
		return found
	}
	if c := n.set(dns.TypeCNAME); c != nil && t != dns.TypeCNAME {
		found.Kind, found.Set, found.alias = Alias, c, n.alias
		return found
	}
	if s := n.set(t); s != nil {
		found.Kind, found.Set = Records, s
		return found
	}
	found.Types = n.types
	return found
}

// Around are the labels, on the wire, right below a name that exist, which are right before and right behind one that doesn't. "": there
// is none, or the name itself doesn't exist. The name is in lower case.
func (z *Zone) Around(name, label string) (before, behind string) {
	n := z.nodes[name]
	if n == nil {
		return "", ""
	}
	i, _ := slices.BinarySearch(n.below, label)
	if i > 0 {
		before = n.below[i-1]
	}
	if i < len(n.below) {
		behind = n.below[i]
	}
	return before, behind
}

// closest walks down to a name, as far as names exist and, if that ends it, are the
// domain's. at is the label where it ends; 0: at the name itself.
func (z *Zone) closest(name string, labels []string, cuts bool) (n *node, at int) {
	n = z.nodes[string(z.domain)]
	from := len(name) - len(z.domain) // where the name that n is of begins in the whole one
	if z.domain == dnsname.Root {
		from = len(name)
	}
	for at = len(labels); at > 0; at-- {
		from -= len(labels[at-1]) + 1
		next := z.nodes[name[from:]]
		if next == nil || cuts && n.cut {
			break
		}
		n = next
	}
	return n, at
}

// Depth is how many labels of a name exist, from the right.
func (z *Zone) Depth(name string, labels []string) int {
	_, at := z.closest(name, labels, false)
	return len(labels) - at
}

// Owns says whether a name, in lower case, has records.
func (z *Zone) Owns(name string) bool {
	n := z.nodes[name]
	return n != nil && n.owner
}

// Has says whether a name, in lower case, has a record of a type.
func (z *Zone) Has(name string, t uint16) bool {
	n := z.nodes[name]
	return n != nil && n.set(t) != nil
}

// Names are all names that exist, in lower case and in no order.
func (z *Zone) Names() iter.Seq[string] { return maps.Keys(z.nodes) }

// Empty says whether a name, in lower case, exists only because names below it have records
// (RFC 8499: an empty non-terminal).
func (z *Zone) Empty(name string) bool {
	n := z.nodes[name]
	return n != nil && !n.owner
}

// Cut says whether what is below a name, in lower case, isn't the domain's.
func (z *Zone) Cut(name string) bool {
	n := z.nodes[name]
	return n != nil && n.cut
}

// know lists the types of a node's sets: of a delegation those that are the parent's (RFC 4035 section
// 2.3). What the file itself says of signatures isn't among them.
func (n *node) know(apex bool) {
	delegated := !apex && n.set(dns.TypeNS) != nil
	for i := range n.sets {
		switch t := n.sets[i].Type; {
		case len(n.sets[i].Records) == 0 || t == dns.TypeNSEC:
		case delegated && t != dns.TypeNS && t != dns.TypeDS:
		default:
			n.types = append(n.types, t)
		}
	}
}

// set is the set of a type; nil: the name has no such record.
func (n *node) set(t uint16) *message.Set {
	for i := range n.sets {
		if n.sets[i].Type == t && len(n.sets[i].Records) > 0 {
			return &n.sets[i]
		}
	}
	return nil
}
