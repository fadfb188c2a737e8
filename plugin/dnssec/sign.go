package dnssec

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnssec"
	"github.com/fedns/fedns/internal/dns/rrset"
)

// sign gives a message as it is with signatures. What it has may be others', too, and isn't changed.
func (a *answer) sign(m *dns.Msg) (*dns.Msg, error) {
	if len(m.Question) != 1 || m.Opcode != dns.OpcodeQuery || m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return m, nil
	}
	q := m.Question[0]
	if q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		return m, nil // a zone that is signed when it is asked has no chain of NSEC records to hand on
	}
	out := *m
	if cut := referral(m); cut != "" {
		ns, err := a.referral(m.Ns, cut)
		out.Ns = ns
		return &out, err
	}
	denied, soa := denial(m)
	answers, err := a.section(m.Answer)
	if err != nil {
		return nil, err
	}
	authority, err := a.section(m.Ns)
	if err != nil {
		return nil, err
	}
	extra, err := a.section(m.Extra)
	if err != nil {
		return nil, err
	}
	out.Answer, out.Ns, out.Extra = answers, authority, extra
	if denied == "" {
		return &out, nil
	}
	zone, signer := a.d.in(denied)
	if of, _ := a.d.in(soa.Hdr.Name); zone == "" || of != zone {
		return &out, nil // it is another zone's to deny
	}
	ttl := min(soa.Hdr.Ttl, soa.Minttl) // RFC 9077
	if m.Rcode == dns.RcodeNameError {
		proof, err := a.nsec(signer, denied, ttl, []uint16{dns.TypeNXNAME})
		out.Ns = append(out.Ns, proof...)
		out.Rcode = dns.RcodeSuccess // whatever CO says (RFC 9824 section 5): other plugins change the record that has it
		return &out, err
	}
	proof, err := a.nsec(signer, denied, ttl, a.types(zone, denied, q.Qtype))
	if q.Qtype == dns.TypeNSEC || q.Qtype == dns.TypeRRSIG {
		out.Answer, out.Ns = append(out.Answer, proof...), nil // they are there, made this moment
	} else {
		out.Ns = append(out.Ns, proof...)
	}
	return &out, err
}

// referral is the name that a message refers to other servers for; "": it doesn't.
func referral(m *dns.Msg) (cut string) {
	if len(m.Answer) > 0 || m.Rcode != dns.RcodeSuccess {
		return ""
	}
	for _, rr := range m.Ns {
		switch rr.Header().Rrtype {
		case dns.TypeSOA:
			return ""
		case dns.TypeNS:
			cut = rr.Header().Name
		}
	}
	return cut
}

// referral signs what the zone has to say of a delegation: whether there is a DS record. All else is the other zone's.
func (a *answer) referral(ns []dns.RR, cut string) ([]dns.RR, error) {
	out := slices.Clone(ns)
	var ds []dns.RR
	for _, rr := range ns {
		switch rr.Header().Rrtype {
		case dns.TypeDS:
			ds = append(ds, rr)
		case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
			return out, nil // the zone is signed
		}
	}
	zone, signer := a.d.in(cut)
	if zone == "" || dns.CanonicalName(cut) == zone {
		return out, nil // what is delegated isn't of the zone
	}
	if len(ds) > 0 {
		sigs, err := a.set(signer, ds, false)
		return append(out, sigs...), err
	}
	proof, err := a.nsec(signer, cut, ns[0].Header().Ttl, []uint16{dns.TypeNS})
	return append(out, proof...), err
}

// denial is the name of which a message says that what was asked for isn't there, and the SOA record by which it says so.
// It is "" where it says no such thing, or proves it already.
func denial(m *dns.Msg) (denied string, soa *dns.SOA) {
	if len(m.Ns) != 1 {
		return "", nil
	}
	soa, ok := m.Ns[0].(*dns.SOA)
	if !ok {
		return "", nil
	}
	q := m.Question[0]
	denied = q.Name
	for range m.Answer { // as many names at most as there are aliases
		if has(m.Answer, denied, q.Qtype) || q.Qtype == dns.TypeANY && len(m.Answer) > 0 {
			return "", nil
		}
		at := slices.IndexFunc(m.Answer, func(rr dns.RR) bool { return of(rr, denied, dns.TypeCNAME) })
		if at < 0 {
			break
		}
		denied = m.Answer[at].(*dns.CNAME).Target
	}
	return denied, soa
}

// of says whether a record is of a name and a type.
func of(rr dns.RR, name string, t uint16) bool {
	return rr.Header().Rrtype == t && strings.EqualFold(rr.Header().Name, name)
}

func has(rrs []dns.RR, name string, t uint16) bool {
	return slices.ContainsFunc(rrs, func(rr dns.RR) bool { return of(rr, name, t) })
}

// section is one with the signatures of its sets behind it, but for those that have some, and those of others' zones.
func (a *answer) section(rrs []dns.RR) (out []dns.RR, err error) {
	out = slices.Clone(rrs)
	for i, rr := range rrs {
		h := rr.Header()
		switch h.Rrtype {
		case dns.TypeRRSIG, dns.TypeOPT, dns.TypeTSIG, dns.TypeSIG:
			continue
		}
		if has(rrs[:i], h.Name, h.Rrtype) || signed(rrs, h) {
			continue
		}
		zone, signer := a.d.in(h.Name)
		if zone == "" {
			continue
		}
		set := []dns.RR{rr}
		for _, more := range rrs[i+1:] {
			if of(more, h.Name, h.Rrtype) {
				set = append(set, more)
			}
		}
		sigs, err := a.set(signer, set, false)
		if err != nil {
			return nil, err
		}
		out = append(out, sigs...)
	}
	return out, nil
}

// signed says whether a section has a signature of a set.
func signed(rrs []dns.RR, set *dns.RR_Header) bool {
	return slices.ContainsFunc(rrs, func(rr dns.RR) bool {
		sig, ok := rr.(*dns.RRSIG)
		return ok && sig.TypeCovered == set.Rrtype && strings.EqualFold(sig.Hdr.Name, set.Name)
	})
}

// set signs one set.
func (a *answer) set(signer *dnssec.Signer, rrs []dns.RR, scarce bool) ([]dns.RR, error) {
	a.signing.Signer = signer
	return a.signing.Sign(rrs, original(rrs[0].Header().Ttl), scarce, a.must)
}

// original is the TTL that a set is signed for. What it was isn't known of one that has been kept elsewhere, and is less each
// second: so it is one of few, and the set signed once. Validators take the least of all that are said (RFC 4035 section 5.3.3).
func original(ttl uint32) uint32 {
	for _, t := range [...]uint32{3600, 24 * 3600, 7 * 24 * 3600} {
		if ttl <= t {
			return t
		}
	}
	return 1<<31 - 1 // the longest (RFC 2181 section 8)
}

// nsec is the record that says which types there are at a name, with its signatures.
func (a *answer) nsec(signer *dnssec.Signer, owner string, ttl uint32, types []uint16) ([]dns.RR, error) {
	wire, _, err := rrset.Wire(&dns.NS{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "."})
	if err != nil {
		return nil, err
	}
	dnssec.Lower(wire)
	data := dnssec.Bitmap(dnssec.Next(nil, wire), append(slices.Clip(types), dns.TypeRRSIG, dns.TypeNSEC))
	nsec := []dns.RR{rrset.Record(owner, dns.TypeNSEC, ttl, data)}
	sigs, err := a.set(signer, nsec, true)
	return append(nsec, sigs...), err
}

// types are those that a name is said to have which hasn't the one that was asked for. Which those are nobody here knows: all
// that it may have, since resolvers take those that aren't said for denied (RFC 8198).
func (a *answer) types(zone, denied string, asked uint16) []uint16 {
	list := ordinary
	switch {
	case dns.CanonicalName(denied) == zone:
		list = append(slices.Clip(list), dns.TypeNS, dns.TypeSOA, dns.TypeDNSKEY)
	case asked == dns.TypeDS && a.delegated(denied):
		return []uint16{dns.TypeNS}
	}
	return slices.DeleteFunc(slices.Clone(list), func(t uint16) bool { return t == asked })
}

// ordinary are the types that a name may have. NS, DNAME and CNAME aren't among them: a name that is denied something has no
// alias, and with either of the others, the proof would be no proof of its own zone to validators (RFC 6840 section 4.1).
var ordinary = func() (out []uint16) {
	for t := range dns.TypeToString {
		switch t {
		case dns.TypeNone, dns.TypeReserved, dns.TypeOPT, dns.TypeTKEY, dns.TypeTSIG, dns.TypeIXFR, dns.TypeAXFR, dns.TypeMAILB, dns.TypeMAILA, dns.TypeANY,
			dns.TypeNS, dns.TypeSOA, dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS, dns.TypeDNSKEY,
			dns.TypeSIG, dns.TypeNXT, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeNXNAME, dns.TypeNULL:
		default:
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return out
}()
