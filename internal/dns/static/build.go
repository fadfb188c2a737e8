package static

import (
	"errors"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/rrset"
)

// A lead is a record that leads to a name whose addresses are of use with it.
type lead struct {
	at    *node
	t     uint16 // of the record
	index int    // in the set
	name  string // in lower case
	below string // where the name has to be to be said here
}

// add puts a record into the zone.
func (z *Zone) add(rr dns.RR) (l lead, err error) {
	h := rr.Header()
	n := z.node(h.Name)
	n.owner = true
	r, err := Record(z.domain, rr)
	if err != nil {
		return l, err
	}
	l = lead{at: n, t: h.Rrtype, below: string(z.domain)}
	switch rr := rr.(type) {
	case *dns.NSEC3, *dns.NSEC3PARAM:
		return l, ErrDenial
	case *dns.RRSIG:
		s := n.make(rr.TypeCovered)
		s.Sigs = append(s.Sigs, r)
		return lead{}, nil
	case *dns.CNAME:
		n.alias, err = aliasOf(h.Ttl, rr.Target)
	case *dns.DNAME:
		n.cut = true
		n.alias, err = aliasOf(h.Ttl, rr.Target)
	case *dns.NS: // what isn't below the delegation itself can be asked for elsewhere
		n.cut = n.cut || h.Name != string(z.domain)
		l.name, l.below = rr.Ns, h.Name
	case *dns.MX:
		l.name = rr.Mx
	case *dns.SRV:
		l.name = rr.Target
	case *dns.SVCB:
		l.name = rr.Target
	case *dns.HTTPS:
		l.name = rr.Target
	}
	s := n.make(h.Rrtype)
	l.index, l.name = len(s.Records), dnsname.Lower(l.name)
	s.Records = append(s.Records, r)
	return l, err
}

func aliasOf(ttl uint32, target string) (*alias, error) {
	w, err := wire(dnsname.Lower(target))
	return &alias{ttl: ttl, target: w}, err
}

// node is that of a name, which begins to exist, with all names above it in the domain.
func (z *Zone) node(name string) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	n := &node{}
	z.nodes[name] = n
	label := dnsname.Labels(name)[0]
	above := z.node(name[min(len(label)+1, len(name)-len(z.domain)):])
	if label == "*" {
		above.star = n
	}
	onWire := dnsname.Name(label + ".").Append(nil)
	above.below = append(above.below, string(onWire[1:len(onWire)-1]))
	return n
}

// make is the set of a type, which begins to exist.
func (n *node) make(t uint16) *message.Set {
	for i := range n.sets {
		if n.sets[i].Type == t {
			return &n.sets[i]
		}
	}
	n.sets = append(n.sets, message.Set{Type: t})
	return &n.sets[len(n.sets)-1]
}

// Record is a record as it is written in answers about names in a domain. Names in records of the
// types of RFC 1035 may be shortened (RFC 3597 section 4), and are in lower case then.
func Record(domain dnsname.Name, rr dns.RR) (message.Record, error) {
	_, data, err := rrset.Wire(rr)
	if err != nil {
		return message.Record{}, err
	}
	r := message.Record{TTL: rr.Header().Ttl, Data: data}
	name, before := "", 0
	switch rr := rr.(type) {
	case *dns.NS:
		name = rr.Ns
	case *dns.CNAME:
		name = rr.Target
	case *dns.PTR:
		name = rr.Ptr
	case *dns.MX:
		name, before = rr.Mx, 2
	default:
		return r, nil
	}
	t, err := Target(domain, dnsname.Lower(name))
	if err != nil {
		return r, err
	}
	r.Data, r.Name = data[:before:before], &t
	return r, nil
}

// Domain is the zone's domain, with the SOA record that it has, as package message writes it.
func (z *Zone) Domain(soa *dns.SOA) (message.Domain, error) {
	name, err := wire(string(z.domain))
	if err != nil {
		return message.Domain{}, err
	}
	d := message.Domain{Name: name[:len(name)-1], Labels: len(dnsname.Labels(string(z.domain)))}
	d.SOA = message.SOA{TTL: soa.Hdr.Ttl, Numbers: [4]uint32{soa.Refresh, soa.Retry, soa.Expire, soa.Minttl}}
	if d.SOA.MName, err = Target(z.domain, soa.Ns); err != nil {
		return message.Domain{}, err
	}
	d.SOA.RName, err = Target(z.domain, soa.Mbox)
	return d, err
}

// Target is a name as it ends a record in answers about names in a domain.
func Target(domain dnsname.Name, name string) (message.Target, error) {
	before, ours := domain.Under(name)
	if !ours {
		before = name
	}
	t := message.Target{Absolute: !ours}
	if before == "" || before == "." {
		return t, nil
	}
	w, err := wire(dns.Fqdn(before))
	if err != nil {
		return t, err
	}
	t.Labels = w[:len(w)-1]
	return t, nil
}

// wire is a name on the wire.
func wire(name string) ([]byte, error) {
	b := make([]byte, 256)
	n, err := dns.PackDomainName(name, b, 0, nil, false)
	if err != nil {
		return nil, errors.New("the name " + name + " can't be written")
	}
	return b[:n], nil
}

// glue adds to records the addresses of the names that they lead to. Where several of a
// set lead to one name, they come with the first.
func (z *Zone) glue(leads []lead) error {
	type key struct {
		at   *node
		t    uint16
		name string
	}
	seen := map[key]bool{}
	for _, l := range leads {
		n := z.nodes[l.name]
		_, said := dnsname.Name(l.below).Under(l.name)
		if k := (key{l.at, l.t, l.name}); n == nil || !said || seen[k] {
			continue
		} else {
			seen[k] = true
		}
		owner, err := Target(z.domain, l.name)
		if err != nil {
			return err
		}
		g := &message.Glue{Owner: owner}
		for _, t := range [...]uint16{dns.TypeA, dns.TypeAAAA} {
			if s := n.set(t); s != nil {
				g.Sets = append(g.Sets, s)
			}
		}
		if len(g.Sets) > 0 {
			l.at.set(l.t).Records[l.index].Glue = g
		}
	}
	return nil
}
