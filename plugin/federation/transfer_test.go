package federation

import (
	"errors"
	"testing"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"
)

// Every record of a transfer is what a question for it is answered with; the zone
// begins and ends with its SOA.
func TestTransfer(t *testing.T) {
	w := shop(t)
	apex := w.write("db", "@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\nmail MX 1 ns1\n")
	f := w.serving("federation fed {\n" + both + "apex " + apex + "\n}")
	var rrs []dns.RR
	ch, err := f.Transfer("example.com.", 0)
	if err != nil {
		t.Fatal(err)
	}
	for b := range ch {
		rrs = append(rrs, b...)
	}
	first, last := rrs[0].Header().Rrtype, rrs[len(rrs)-1].Header().Rrtype
	if first != dns.TypeSOA || last != dns.TypeSOA {
		t.Fatalf("the zone begins with %s and ends with %s", dns.TypeToString[first], dns.TypeToString[last])
	}
	seen := map[string]bool{}
	for _, rr := range rrs[1 : len(rrs)-1] {
		h := rr.Header()
		seen[h.Name+" "+dns.TypeToString[h.Rrtype]] = true
		found := false
		for _, got := range f.dig(t, h.Name, h.Rrtype).Answer {
			found = found || dns.IsDuplicate(got, rr) && got.Header().Ttl == h.Ttl
		}
		if !found {
			t.Errorf("no question is answered with %v", rr)
		}
	}
	for _, want := range []string{
		"web.shop.fed.svc.example.com. A", "web.shop.fed.svc.example.com. AAAA", "web.shop.fed.svc.eu.example.com. A",
		"web.shop.fed.svc.eu-a.eu.example.com. A", "web.shop.fed.svc.eu-a.example.com. A",
		"web.shop.fed.svc.us.example.com. CNAME", "web.shop.fed.svc.us-a.us.example.com. CNAME",
		"_http._tcp.web.shop.fed.svc.example.com. SRV", "_http._tcp.web.shop.fed.svc.us.example.com. CNAME",
		"example.com. NS", "ns1.example.com. A", "mail.example.com. MX",
	} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}

	serial := rrs[0].(*dns.SOA).Serial
	for ask, want := range map[uint32]int{serial: 1, serial + 1: 1, serial - 1: len(rrs)} {
		n := 0
		ch, err := f.Transfer("example.com.", ask)
		if err != nil {
			t.Fatal(err)
		}
		for b := range ch {
			n += len(b)
		}
		if n != want {
			t.Errorf("from serial %+d: %d records, want %d", int32(ask-serial), n, want)
		}
	}
	if _, err := f.Transfer("com.", 0); !errors.Is(err, transfer.ErrNotAuthoritative) {
		t.Errorf("another zone: %v", err)
	}
}
