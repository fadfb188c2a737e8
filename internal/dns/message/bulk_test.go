package message

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// bare is a record as it stands in no message.
func bare(t *testing.T, text string) (dns.RR, RR) {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, dns.Len(rr)+1)
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	_, at, err := dns.UnpackDomainName(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	return rr, RR{Name: b[:at], Type: rr.Header().Rrtype, TTL: rr.Header().Ttl, Data: b[at+10 : end]}
}

// Whatever records a message is filled with, those are in it, and it is about as long as where the DNS library compresses
// names, which leads to those in SRV records, too.
func TestBulk(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 3))
	label := func() string {
		return []string{"a", "b", "Web", "web", "_tcp", "eu", strings.Repeat("x", 63), `\.\000`}[r.IntN(8)]
	}
	name := func() string {
		out := "example.com."
		for range r.IntN(4) {
			out = label() + "." + out
		}
		if r.IntN(20) == 0 {
			return "."
		}
		return out
	}
	head, err := new(dns.Msg).SetReply(new(dns.Msg).SetAxfr("Example.com.")).Pack()
	if err != nil {
		t.Fatal(err)
	}
	var m Bulk
	for round := range 12 {
		size := 512 + r.IntN(dns.MaxMsgSize-512)
		m.Begin(slices.Clone(head), size)
		if m.n != 0 {
			t.Fatal("a message that was begun has records")
		}
		var want []dns.RR
		for owner := name(); ; {
			if r.IntN(3) > 0 {
				owner = name()
			}
			text := []string{
				fmt.Sprintf("A 192.0.2.%d", r.IntN(256)), "AAAA 2001:db8::1", "CNAME " + name(), "NS " + name(), "MX 5 " + name(), "PTR " + name(), "SRV 0 0 80 " + name(),
				"SOA " + name() + " " + name() + " 1 2 3 4 5", "TXT " + strings.Repeat("x", r.IntN(200)+1), "DNAME " + name(), `NAPTR 1 1 "u" "x" "!a!b!" ` + name(),
			}[r.IntN(11)]
			rr, b := bare(t, fmt.Sprintf("%s %d IN %s", owner, r.IntN(100), text))
			if !m.Add(&b) {
				break
			}
			want = append(want, rr)
		}
		raw := m.End()
		if len(raw) > size {
			t.Fatalf("round %d: %d bytes of %d", round, len(raw), size)
		}
		got := new(dns.Msg)
		if err := got.Unpack(raw); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		text := func(rrs []dns.RR) (out []string) {
			for _, rr := range rrs {
				out = append(out, rr.String())
			}
			return out
		}
		if !slices.Equal(text(got.Answer), text(want)) {
			t.Fatalf("round %d:\n%v\nwant\n%v", round, got.Answer, want)
		}
		got.Compress = true
		if their, err := got.Pack(); err != nil || len(raw) > len(their)+len(their)/50 {
			t.Errorf("round %d: %d bytes, and the library makes %d (%v)", round, len(raw), len(their), err)
		}
	}
}

// A record that is longer than messages are to be is one of its own.
func TestBulkOfOne(t *testing.T) {
	head, err := new(dns.Msg).SetAxfr("example.com.").Pack()
	if err != nil {
		t.Fatal(err)
	}
	var m Bulk
	m.Begin(head, 100)
	_, long := bare(t, "example.com. TXT "+strings.Repeat("x", 200))
	if !m.Add(&long) || m.Add(&long) {
		t.Error("a message has none, or several")
	}
	if err := new(dns.Msg).Unpack(m.End()); err != nil {
		t.Error(err)
	}
}
