package zone

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"
)

// normalizeOPT leaves of a request's OPT what may be echoed: the size, capped, and DO.
func TestTidy(t *testing.T) {
	for _, tt := range []struct {
		proto       string
		size, want  uint16
		flags, left uint32
	}{
		{"udp", 4096, 1232, 0, 0},
		{"udp", 1232, 1232, 0x8000, 0x8000},
		{"udp", 800, 800, 0xffff, 0x8000},
		{"udp", 100, 512, 0x4000, 0},
		{"udp", 0, 512, 0, 0},
		{"tcp", 4096, 4096, 0, 0},
	} {
		m := new(dns.Msg).SetQuestion("example.com.", dns.TypeA)
		m.SetEdns0(tt.size, false)
		m.IsEdns0().Hdr.Ttl = tt.flags
		NormalizeOPT(m, tt.proto, false)
		if o := m.IsEdns0(); o.UDPSize() != tt.want || o.Hdr.Ttl != tt.left {
			t.Errorf("%s, %d, flags %#x: size %d, flags %#x; want %d, %#x", tt.proto, tt.size, tt.flags, o.UDPSize(), o.Hdr.Ttl, tt.want, tt.left)
		}
	}
}

// A reply that doesn't fit loses what is additional, then whole sets of records.
func TestFit(t *testing.T) {
	header := func(owner string, t uint16, ttl uint32) dns.RR_Header {
		return dns.RR_Header{Name: owner, Rrtype: t, Class: dns.ClassINET, Ttl: ttl}
	}
	reply := func(chain, addrs, extra int) *dns.Msg {
		m := new(dns.Msg).SetQuestion("zone.region.example.com.", dns.TypeA)
		m.Response, m.Authoritative = true, true
		for i := range chain {
			m.Answer = append(m.Answer, &dns.CNAME{Hdr: header(fmt.Sprint("c", i, ".example.com."), dns.TypeCNAME, 1), Target: fmt.Sprint("c", i+1, ".example.com.")})
		}
		for i := range addrs {
			m.Answer = append(m.Answer, &dns.A{Hdr: header("addrs.example.com.", dns.TypeA, 1), A: []byte{192, 0, 2, byte(i)}})
		}
		for i := range extra {
			m.Extra = append(m.Extra, &dns.A{Hdr: header("extra.example.com.", dns.TypeA, 1), A: []byte{192, 0, 2, byte(i)}})
		}
		return m
	}
	for _, tt := range []struct {
		name                string
		chain, addrs, extra int
		size                int
		answers, extras     int
		truncated           bool
	}{
		{"fits", 1, 2, 0, 512, 3, 0, false},
		{"fits compressed", 2, 24, 0, 512, 26, 0, false},
		{"additional goes", 0, 20, 20, 512, 20, 0, false},
		{"the last set goes as a whole", 2, 40, 0, 512, 2, 0, true},
		{"over TCP it all fits", 2, 400, 10, dns.MaxMsgSize, 402, 10, false},
		{"even TCP has an end", 0, 5000, 0, dns.MaxMsgSize, 0, 0, true},
	} {
		m := reply(tt.chain, tt.addrs, tt.extra)
		truncate(m, tt.size)
		if len(m.Answer) != tt.answers || len(m.Extra) != tt.extras || m.Truncated != tt.truncated {
			t.Errorf("%s: %d answers, %d extra, TC %v; want %d, %d, %v", tt.name, len(m.Answer), len(m.Extra), m.Truncated, tt.answers, tt.extras, tt.truncated)
		}
		if wire, err := m.Pack(); err != nil || len(wire) > tt.size {
			t.Errorf("%s: %d bytes with room for %d: %v", tt.name, len(wire), tt.size, err)
		}
	}
}
