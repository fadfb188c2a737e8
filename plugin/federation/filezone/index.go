package filezone

import (
	"errors"
	"strings"
	"sync/atomic"

	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/file/tree"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
)

// An index is one version of a zone.
type index struct {
	tree   *tree.Tree
	lookup *file.Zone       // that version, which asks nobody else
	nodes  map[string]*node // by name in lower case: those with records, and those above; nil: the plugin has to be asked
	origin string
	serial uint32
	signed bool // who asks for signatures gets more

	none    *Answer         // there is no such name
	empty   *Answer         // there is one with names below it only
	nothing *Answer         // there is no such record
	servers []message.Owned // the NS records, as most answers have them
	wire    *message.Domain
}

// A node is a name that exists.
type node struct {
	elem    *tree.Elem // its records; nil: only names below have some
	star    *node      // the wildcard right below it
	below   bool       // there are names below it
	cut     bool       // it is delegated
	moved   bool       // names below it have another in their place (DNAME)
	alias   bool       // it has a CNAME record
	answers atomic.Pointer[[]kept]
}

// A kept is an answer for a name, once it was asked for.
type kept struct {
	asked
	*Answer // nil: the plugin has to be asked
}

// An asked is what an answer of a node is for.
type asked struct {
	t    uint16
	from of
}

// of is what stands at a node for a name.
type of uint8

const (
	itself   of = iota // the records are the name's
	wildcard           // the name is one of the wildcard's
	referral           // the name is delegated here
)

var (
	errUnread   = errors.New("it has no SOA record")
	errRoot     = errors.New("it is the root, of which the plugin finds wildcards in another way")
	errSpelling = errors.New("a name that is spelt in another way than questions are")
	errOutside  = errors.New("a wildcard beside it")
)

// fill reads the names of a version.
func (i *index) fill(name dnsname.Name, apex file.Apex) error {
	switch {
	case apex.SOA == nil:
		return errUnread // the file wasn't there
	case name == dnsname.Root:
		return errRoot
	}
	i.origin, i.serial = string(name), apex.SOA.Serial
	i.lookup = file.NewZone(i.origin, "")
	i.lookup.Apex, i.lookup.Tree = apex, i.tree
	i.signed = len(apex.SIGSOA)+len(apex.SIGNS) > 0
	nodes := map[string]*node{i.origin: {}}
	err := i.tree.Walk(func(e *tree.Elem, records map[uint16][]dns.RR) error {
		owner := dnsname.Lower(e.Name())
		for t := range records {
			i.signed = i.signed || t == dns.TypeRRSIG || t == dns.TypeNSEC || t == dns.TypeDS
		}
		_, in := name.Under(owner)
		if star := strings.Contains("."+owner, ".*."); star && !in {
			return errOutside // the plugin takes it for one of a name above the zone's
		} else if star && owner != e.Name() || spelt(owner) != owner {
			return errSpelling // that of SRV records is the file's
		}
		for _, rr := range records[dns.TypeSRV] {
			if dnsname.Lower(rr.Header().Name) != owner {
				return errSpelling
			}
		}
		if !in {
			return nil
		}
		n := add(nodes, owner)
		n.elem, n.cut, n.moved, n.alias = e, records[dns.TypeNS] != nil, records[dns.TypeDNAME] != nil, records[dns.TypeCNAME] != nil
		return nil
	})
	if err != nil {
		return err
	}
	soa := []dns.RR{apex.SOA}
	if i.nothing, err = i.made(&made{ns: soa}); err != nil {
		return err
	}
	if i.none, err = i.made(&made{ns: soa, rcode: dns.RcodeNameError}); err != nil {
		return err
	}
	i.empty = new(Answer)
	*i.empty = *i.nothing
	if i.servers, err = i.sets("", apex.NS); err != nil {
		return err
	}
	i.nodes = nodes
	return nil
}

// spelt is a name as a question for it has it.
func spelt(name string) string {
	if !strings.Contains(name, `\`) {
		return name
	}
	s, _, err := dns.UnpackDomainName(dnsname.Name(name).Append(nil), 0)
	if err != nil {
		return ""
	}
	return s
}

// add is the node of a name, which begins to exist, with all names above it in the zone.
func add(nodes map[string]*node, name string) *node {
	if n := nodes[name]; n != nil {
		return n
	}
	n := &node{}
	nodes[name] = n
	behind, _ := dns.NextLabel(name, 0)
	above := add(nodes, name[behind:])
	above.below = true
	if name[:behind] == "*." {
		above.star = n
	}
	return n
}

// answer is the plugin's to a question; nil: it has to be asked.
func (i *index) answer(name string, labels []string, t uint16) *Answer {
	n := i.nodes[i.origin]
	if len(labels) == 0 && (t == dns.TypeSOA || t == dns.TypeNS) {
		return i.kept(n, asked{t, itself}, name)
	}
	n, what, a := i.find(name, labels, t)
	switch {
	case n == nil:
		return a
	case what == referral:
		return i.kept(n, asked{0, referral}, name)
	case n.alias && t != dns.TypeCNAME:
		if !usual(t) {
			return nil
		}
	case n.elem.Type(t) == nil:
		return i.nothing
	}
	return i.kept(n, asked{t, what}, name)
}

// usual says whether answers of a type are kept for names that have a CNAME record, whatever there is of it: so that who
// asks for all types there could be doesn't fill the memory.
func usual(t uint16) bool {
	switch t {
	case dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeSRV, dns.TypeMX, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypePTR, dns.TypeCAA, dns.TypeANY:
		return true
	}
	return false
}

// find finds the node whose records answer for a name, as the plugin does, or else the answer for
// names that there are none for; both nil: the plugin has to be asked.
func (i *index) find(name string, labels []string, t uint16) (n *node, what of, a *Answer) {
	var wild, parent *node
	wildAt, deepest := -1, len(labels)+1 // where what is right below the wildcard's parent stands, and the last name with others below it
	from := len(name) - len(i.origin)
	n = i.nodes[i.origin]
	for at := len(labels); ; at-- {
		if at < len(labels) {
			from -= len(labels[at]) + 1
			parent, n = n, i.nodes[name[from:]]
		}
		if n == nil || n.elem == nil {
			if parent != nil && parent.star != nil {
				wild, wildAt = parent.star, at
			}
			if n == nil {
				break
			}
		} else {
			if n.moved && at > 0 {
				return nil, 0, nil
			}
			if n.cut {
				if at > 0 || t != dns.TypeDS {
					return n, referral, nil
				}
				if n.elem.Name() != name {
					return nil, 0, nil // the plugin knows its own spelling only
				}
			}
		}
		if at == 0 {
			break
		}
		if n.below {
			deepest = at
		}
	}
	switch {
	case n != nil && n.elem != nil:
		return n, itself, nil
	case wild != nil && wildAt < deepest: // else a name between is closer (RFC 4592)
		if wild.elem == nil {
			return nil, 0, i.nothing
		}
		return wild, wildcard, nil
	case n != nil && n.below:
		return nil, 0, i.empty
	}
	return nil, 0, i.none
}
