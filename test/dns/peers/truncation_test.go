package peers

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// crowd is an address plan: n addresses, and the same sorted as text.
func crowd(n int) (addrs, sorted []string) {
	for i := range n {
		addrs = append(addrs, fmt.Sprintf("198.18.%d.%d", i/250, i%250+1))
	}
	sorted = slices.Clone(addrs)
	slices.Sort(sorted)
	return addrs, sorted
}

// TestTruncation has a service that is too large for a datagram, of which an operator wants all: no answer over
// UDP is larger than the client takes, nor than crosses networks in one piece, and
// TCP has it all.
func TestTruncation(t *testing.T) {
	ips, sorted := crowd(80)
	dir := t.TempDir()
	place{"paris", "eu", []string{"eu-a"}}.write(t, dir,
		vector.Service("shop", "big", ips...), vector.Slice("shop", "big", true, "eu-a"),
		vector.Service("shop", "some", ips[:20]...), vector.Slice("shop", "some", true, "eu-a"),
	)
	place{"lyon", "fr", []string{"fr-a"}}.write(t, dir)
	s := startFedns(t, "example.com:PORT {\n bind ADDR\n federation prod {\n answers 2000\n"+server.Members(dir, "paris", "lyon")+" }\n ready READY\n}\n")

	const big, led, some = "big.shop.prod.svc.example.com", "big.shop.prod.svc.fr-a.fr.example.com", "some.shop.prod.svc.example.com"
	for _, tt := range []struct {
		name      string
		host      string
		qtype     uint16
		edns      uint16 // advertised; 0: no EDNS
		limit     int
		truncated bool
		chain     int // CNAMEs that are there all the same
	}{
		{"no EDNS", big, dns.TypeA, 0, 512, true, 0},
		{"EDNS, 512", big, dns.TypeA, 512, 512, true, 0},
		{"EDNS, less than there can be", big, dns.TypeA, 100, 512, true, 0},
		{"EDNS, 800", big, dns.TypeA, 800, 800, true, 0},
		{"EDNS, 1232", big, dns.TypeA, 1232, 1232, true, 0},
		{"EDNS, 4096", big, dns.TypeA, 4096, 1232, true, 0},
		{"EDNS, all there is", big, dns.TypeA, 65535, 1232, true, 0},
		{"led on, no EDNS", led, dns.TypeA, 0, 512, true, 2},
		{"led on, EDNS, 4096", led, dns.TypeA, 4096, 1232, true, 2},
		{"a port, whose addresses are only additional", "_http._tcp." + big, dns.TypeSRV, 512, 512, false, 0},
		{"a port, EDNS, 4096", "_http._tcp." + big, dns.TypeSRV, 4096, 1232, false, 0},
		{"fits once compressed, no EDNS", some, dns.TypeA, 0, 512, false, 0},
		{"fits once compressed, EDNS, 512", some, dns.TypeA, 512, 512, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := new(dns.Msg).SetQuestion(tt.host+".", tt.qtype)
			if tt.edns > 0 {
				q.SetEdns0(tt.edns, false)
			}
			m, size := datagram(t, s.Addr, q)
			if size > tt.limit {
				t.Errorf("%d bytes, want at most %d", size, tt.limit)
			}
			if m.Truncated != tt.truncated {
				t.Errorf("TC is %v, want %v", m.Truncated, tt.truncated)
			}
			if (m.IsEdns0() != nil) != (tt.edns > 0) {
				t.Errorf("OPT record: %v, want one if the query has", m.IsEdns0())
			}
			if n := len(server.Chain(m)); n != tt.chain {
				t.Errorf("%d CNAMEs, want %d", n, tt.chain)
			}
			// A set is there whole or not at all, so that nobody takes a part for it.
			if n := len(addrs(m)); tt.truncated && n != 0 {
				t.Errorf("%d addresses of a truncated set", n)
			}
			if tt.host == some && len(addrs(m)) != 20 {
				t.Errorf("%d addresses, want 20", len(addrs(m)))
			}
			if tt.qtype == dns.TypeSRV && len(m.Answer) != 1 {
				t.Errorf("answer %v, want the SRV record", m.Answer)
			}

			whole := s.Exchange(t, "tcp", q)
			if whole.Truncated || tt.host == big && !slices.Equal(addrs(whole), sorted) || len(server.Chain(whole)) != tt.chain {
				t.Errorf("over TCP: %v", whole)
			}
		})
	}

	t.Run("dig", func(t *testing.T) {
		for args, want := range map[string][]string{
			"+noedns +ignore A " + big:       {"flags: qr aa tc rd; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 0"},
			"+bufsize=512 +ignore A " + big:  {"flags: qr aa tc rd; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1", "EDNS: version: 0"},
			"+bufsize=4096 +ignore A " + big: {"flags: qr aa tc rd; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1", "udp: 1232"},
			"A " + big:                       {"Truncated, retrying in TCP mode", "flags: qr aa rd; QUERY: 1, ANSWER: 80, "},
			"+tcp A " + big:                  {"flags: qr aa rd; QUERY: 1, ANSWER: 80, "},
		} {
			printed(dig(t, s.Addr, strings.Fields(args)...)).check(t, want...)
		}
	})
}

// datagram asks over UDP and gives the answer with its size on the wire.
func datagram(t *testing.T, addr string, q *dns.Msg) (*dns.Msg, int) {
	t.Helper()
	raw, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(buf[:n]); err != nil {
		t.Fatalf("an answer of %d bytes: %v", n, err)
	}
	return m, n
}
