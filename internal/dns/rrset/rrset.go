// Package rrset has records as miekg/dns has them on the wire and back, and signs sets of them.
//
// How a set is signed, and how long that is kept, is package dnssec's.
package rrset

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnssec"
)

// ErrBudget says that a set isn't signed now, since too many are that there is no end of.
var ErrBudget = errors.New("as many signatures as are made in a second")

// A Signing signs one set after the other.
type Signing struct {
	Signer *dnssec.Signer
	Now    uint32 // seconds since 1970
	Made   int    // signatures that weren't kept
	Found  int    // those that were

	set  dnssec.Set
	sigs dnssec.Signatures
}

// Sign gives the signatures of a set: with the TTL that it has, and over the original one. scarce and must are those of
// dnssec.Signer.Sign.
func (s *Signing) Sign(rrs []dns.RR, original uint32, scarce, must bool) (out []dns.RR, err error) {
	h := rrs[0].Header()
	for i, rr := range rrs {
		name, data, err := Wire(rr)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			dnssec.Lower(name)
			s.set.Begin(name, h.Rrtype, original)
		}
		s.set.Record(func(b []byte) []byte { return append(b, data...) })
	}
	if !s.Signer.Sign(&s.set, s.Now, scarce, must, &s.sigs) {
		return nil, ErrBudget
	}
	for _, sig := range s.sigs.All() {
		out = append(out, Record(h.Name, dns.TypeRRSIG, h.Ttl, sig))
	}
	s.Made += s.sigs.Made
	s.Found += len(out) - s.sigs.Made
	return out, nil
}

// Wire is a record's name and data as they are on the wire, names whole.
func Wire(rr dns.RR) (name, data []byte, err error) {
	b := make([]byte, dns.Len(rr)+1)
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return nil, nil, fmt.Errorf("record %q: %w", rr, err)
	}
	_, at, err := dns.UnpackDomainName(b, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("record %q: %w", rr, err)
	}
	return b[:at:at], b[at+10 : end], nil // behind type, class, TTL and length
}

// Record is a record of data on the wire that was made here.
func Record(name string, t uint16, ttl uint32, data []byte) dns.RR {
	h := dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: ttl, Rdlength: uint16(len(data))}
	rr, _, err := dns.UnpackRRWithHeader(h, data, 0)
	if err != nil {
		panic("rrset: a record that was made can't be read: " + err.Error())
	}
	return rr
}
