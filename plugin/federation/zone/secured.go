package zone

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/dnssec"
)

// secured is a whole zone with its signatures and a chain of NSEC records, as who serves it from a file needs it
// (RFC 4035 section 2): compact denial is made for each question, and can't be handed on. rrs are all records but those of
// the keys, the SOA record first; now is in seconds since 1970.
func secured(zone dnsname.Name, signer *dnssec.Signer, rrs []dns.RR, now uint32) []dns.RR {
	soa := rrs[0].(*dns.SOA)
	for _, t := range [...]uint16{dnssec.TypeDNSKEY, dnssec.TypeCDS, dnssec.TypeCDNSKEY} {
		keys := signer.KeysOf(t)
		if keys == nil || slices.ContainsFunc(rrs, func(rr dns.RR) bool { return rr.Header().Rrtype == t }) {
			continue // the file's own: of who wants no key any more
		}
		for _, data := range keys.Records {
			rrs = append(rrs, recordOf(string(zone), t, keys.TTL, data))
		}
	}
	all := namesOf(zone, rrs)
	out := make([]dns.RR, 0, 3*len(rrs))
	w := securing{signer: signer, now: now}
	for i := range all {
		n := &all[i]
		for _, set := range n.sets {
			out = append(out, set...)
			if t := set[0].Header().Rrtype; !n.below && (!n.cut || t == dns.TypeDS) {
				out = append(out, w.sign(n.wire, set)...)
			}
		}
		if n.below {
			continue
		}
		next := &all[0]
		for j := i + 1; j < len(all); j++ {
			if !all[j].below {
				next = &all[j]
				break
			}
		}
		nsec := &dns.NSEC{Hdr: dns.RR_Header{Name: n.name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: min(soa.Hdr.Ttl, soa.Minttl)}, NextDomain: next.name, TypeBitMap: n.types()}
		out = append(append(out, nsec), w.sign(n.wire, []dns.RR{nsec})...)
	}
	return out
}

// An owner is a name of a zone, with its sets.
type owner struct {
	name  string
	wire  []byte // in lower case
	sets  [][]dns.RR
	cut   bool // it is delegated
	below bool // a name above it is delegated, or another name: nothing here is the zone's to say
}

// namesOf are the names of records, in canonical order (RFC 4034 section 6.1): what is below a name follows it.
func namesOf(zone dnsname.Name, rrs []dns.RR) (all []owner) {
	index := map[string]int{}
	for _, rr := range rrs {
		name := dnsname.Lower(rr.Header().Name)
		i, ok := index[name]
		if !ok {
			i = len(all)
			index[name] = i
			all = append(all, owner{name: name, wire: dnsname.Name(name).Append(nil)})
		}
		n := &all[i]
		at := slices.IndexFunc(n.sets, func(set []dns.RR) bool { return set[0].Header().Rrtype == rr.Header().Rrtype })
		if at < 0 {
			n.sets = append(n.sets, []dns.RR{rr})
		} else if !slices.ContainsFunc(n.sets[at], func(o dns.RR) bool { return dns.IsDuplicate(o, rr) }) {
			n.sets[at] = append(n.sets[at], rr)
		}
	}
	keys := make(map[string][][]byte, len(all))
	for i := range all {
		keys[all[i].name] = labelsOf(all[i].wire)
	}
	slices.SortFunc(all, func(a, b owner) int { return slices.CompareFunc(keys[a.name], keys[b.name], bytes.Compare) })
	above := "" // the last name that takes what is below it away
	for i := range all {
		n := &all[i]
		if _, in := dnsname.Name(above).Under(n.name); above != "" && in && n.name != above {
			n.below = true
			continue
		}
		n.cut = n.name != string(zone) && n.has(dns.TypeNS)
		if n.cut || n.has(dns.TypeDNAME) {
			above = n.name
		}
	}
	return all
}

// labelsOf are the labels of a name on the wire, from the right.
func labelsOf(wire []byte) (out [][]byte) {
	for wire[0] != 0 {
		out = append(out, wire[1:1+wire[0]])
		wire = wire[1+wire[0]:]
	}
	slices.Reverse(out)
	return out
}

func (n *owner) has(t uint16) bool {
	return slices.ContainsFunc(n.sets, func(set []dns.RR) bool { return set[0].Header().Rrtype == t })
}

// types are those of the name that its zone speaks of.
func (n *owner) types() []uint16 {
	out := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
	for _, set := range n.sets {
		if t := set[0].Header().Rrtype; !n.cut || t == dns.TypeNS || t == dns.TypeDS {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, cmp.Compare[uint16])
	return out
}

// A securing signs one set after the other.
type securing struct {
	signer *dnssec.Signer
	now    uint32
	set    dnssec.Set
	sigs   dnssec.Signatures
}

// sign gives the signatures of a set, with the TTL that it has: the secondary gives it out with no other.
func (w *securing) sign(name []byte, rrs []dns.RR) (out []dns.RR) {
	h := rrs[0].Header()
	w.set.Begin(name, h.Rrtype, h.Ttl)
	for _, rr := range rrs {
		w.set.Record(func(b []byte) []byte { return append(b, wireOf(rr).Data...) })
	}
	w.signer.Sign(&w.set, w.now, false, true, &w.sigs)
	for _, sig := range w.sigs.All() {
		out = append(out, recordOf(h.Name, dns.TypeRRSIG, h.Ttl, sig))
	}
	return out
}

// recordOf is a record of data on the wire.
func recordOf(name string, t uint16, ttl uint32, data []byte) dns.RR {
	h := dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: ttl, Rdlength: uint16(len(data))}
	rr, _, err := dns.UnpackRRWithHeader(h, data, 0)
	if err != nil {
		panic("federation: a record that was made can't be read: " + err.Error())
	}
	return rr
}
