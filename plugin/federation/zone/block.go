// Package zone answers for the names of a domain: a question, a snapshot and the static
// records in, an answer out.
//
// Both ways to an answer go through it, and are decided by Domain.decide: the fast path, from
// bytes to bytes, by Transaction; CoreDNS's chain of plugins, with dns.Msg, by Query, which
// asks a Transaction for the bytes. A transfer is the same questions asked of every name
// (Domain.Transfer). Nothing here waits, or changes what is answered from: a Block has it, and
// each answer loads it once.
package zone

import (
	"net/netip"
	"sync/atomic"

	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/dnssec"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/plugin/federation/geoindex"
)

// A Block is the domains of one server block, with what their names are answered from.
type Block struct {
	Domains []*Domain
	Current *snapshot.Current
	Geo     []*geoindex.Index // by federation
	Turn    atomic.Uint32     // grows with each answer, to rotate addresses
	Traffic Traffic
}

// A Domain is a DNS zone with the federations that live under it.
type Domain struct {
	Name     dnsname.Name
	Members  []answer.Member
	Static   atomic.Pointer[Static]
	File     string   // the apex file, or "" for the default apex
	Reserved Reserved // what the apex file must keep away from
	Fall     fall.F
	// Lead is where the names of a cluster's own domain lead when there is no shard in
	// it: the federation's first domain. It is nil for all other domains.
	Lead *Domain
	// Signer signs its records; nil: they aren't signed.
	Signer *dnssec.Signer

	history history // of its transfers
}

// Find finds the domain that a name, in lower case, is in: the longest.
func (b *Block) Find(name string) (d *Domain, rel string) {
	for _, o := range b.Domains {
		if r, ok := o.Name.Under(name); ok && (d == nil || len(o.Name) > len(d.Name)) {
			d, rel = o, r
		}
	}
	return d, rel
}

// Asked finds the domain that a question is for: a DS record is the domain's above, of which this one is
// a part (RFC 4035 section 3.1.4.1).
func (b *Block) Asked(name string, t uint16) (d *Domain, rel string) {
	d, rel = b.Find(name)
	if t != dns.TypeDS || d == nil || rel != "" {
		return d, rel
	}
	own := d
	for _, o := range b.Domains {
		if r, ok := o.Name.Under(name); ok && o != own && (d == own || len(o.Name) > len(d.Name)) {
			d, rel = o, r
		}
	}
	return d, rel
}

// nested says of a name in a domain whether another domain of the block stands there, or below: types are those
// that the domain has at the name then, whatever its file says.
func (b *Block) nested(d *Domain, name string) (types []uint16, ok bool) {
	for _, o := range b.Domains {
		if o == d {
			continue
		}
		if rel, in := dnsname.Name(name).Under(string(o.Name)); in {
			ok = true
			if rel == "" {
				return delegatedTypes, true
			}
		}
	}
	return nil, ok
}

// delegatedTypes are those of a name where another domain begins.
var delegatedTypes = []uint16{dns.TypeNS}

// Home is the first domain that a federation stands under.
func (b *Block) Home(federation int) *Domain {
	for _, d := range b.Domains {
		for _, m := range d.Members {
			if m.Index == federation {
				return d
			}
		}
	}
	return nil
}

// Publish has an apex answered from, also by the domains inside clusters that lead there.
func (b *Block) Publish(d *Domain, a *Static) error {
	a.wire.Signer = d.Signer
	d.Static.Store(a)
	for _, o := range b.Domains {
		if o.Lead != d {
			continue
		}
		in, err := a.within(o.Name)
		if err != nil {
			return err
		}
		o.Static.Store(in)
	}
	return nil
}

// AdmitsHosts says for a federation which hosts are answered: those in a domain of its
// own, unless the name belongs to somebody else.
func (b *Block) AdmitsHosts(federation int) table.Admits {
	return func(host string, own bool) (ours bool, against string) {
		name := host + "."
		d, rel := b.Find(name)
		if d == nil || !d.has(federation) {
			return false, ""
		}
		return true, d.Static.Load().against(d.Reserved, name, dnsname.Labels(rel), own)
	}
}

// TrustsSubnet says whether the client subnets of a resolver are taken at their word in a domain: by
// any of its federations. Where they aren't, none is sent back (RFC 7871 section 7.2.1).
func (b *Block) TrustsSubnet(d *Domain, resolver netip.Addr) bool {
	for i := range d.Members {
		if b.Geo[d.Members[i].Index].TrustsSubnets(resolver) {
			return true
		}
	}
	return false
}

// IgnoreSubnet has nothing be said of the client's network where none of a domain's federations goes by
// what a resolver says of it.
func (b *Block) IgnoreSubnet(q *message.Question, d *Domain, resolver netip.Addr) {
	if !b.TrustsSubnet(d, resolver) {
		q.EDNS.NoSubnet()
	}
}
