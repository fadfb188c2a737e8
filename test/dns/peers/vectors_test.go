package peers

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// TestVectors asks a running fedns every question of test/vectors/dns.json. One
// process serves all states, each in a server block at an address of its own.
func TestVectors(t *testing.T) {
	vectors := vector.Vectors(t)
	dir := t.TempDir()
	var corefile strings.Builder
	for i, v := range vectors {
		folders := v.Manifests(t, filepath.Join(dir, v.ID))
		if len(folders) == 0 { // a federation has at least one cluster; this one holds nothing
			folders["empty"] = filepath.Join(dir, v.ID, "empty")
			if err := os.MkdirAll(folders["empty"], 0o755); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&corefile, "%s:PORT {\n bind %s\n federation %s {\n", v.Service.DNSSuffix, loopback(i), v.Service.Federation)
		for _, c := range slices.Sorted(maps.Keys(folders)) {
			fmt.Fprintf(&corefile, "  cluster %s {\n   manifests %s\n  }\n", c, folders[c])
		}
		fmt.Fprintf(&corefile, "  resolver %s\n }\n ready READY\n}\n", resolver(t, v.Resolve))
	}
	s := server.Start(t, corefile.String())
	_, port, _ := net.SplitHostPort(s.Addr)
	for i, v := range vectors {
		t.Run(v.ID, func(t *testing.T) {
			addr := net.JoinHostPort(loopback(i), port)
			answers(t, addr, v.Service.DNSSuffix) // its socket may be open only now
			if len(v.Resolve) > 0 {               // in the background
				server.Eventually(t, 5*time.Second, "hostnames are resolved", func() bool { return len(differ(t, addr, "udp", &v)) == 0 })
			}
			for _, network := range []string{"udp", "tcp"} {
				for _, d := range differ(t, addr, network, &v) {
					t.Errorf("%s: %s", network, d)
				}
			}
		})
	}
}

// loopback is an address of this host that nothing else listens on.
func loopback(i int) string { return fmt.Sprint("127.0.53.", i+1) }

// resolver starts a name server that knows the hostnames of a vector.
func resolver(t *testing.T, known map[string][]netip.Addr) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		q := r.Question[0]
		addrs, ok := known[strings.TrimSuffix(strings.ToLower(q.Name), ".")]
		if !ok {
			m.Rcode = dns.RcodeNameError
		}
		for _, a := range addrs {
			h := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: 60}
			switch {
			case a.Is4() && q.Qtype == dns.TypeA:
				m.Answer = append(m.Answer, &dns.A{Hdr: h, A: a.AsSlice()})
			case a.Is6() && q.Qtype == dns.TypeAAAA:
				m.Answer = append(m.Answer, &dns.AAAA{Hdr: h, AAAA: a.AsSlice()})
			}
		}
		_ = w.WriteMsg(m) // whoever doesn't get it asks again
	})}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn.LocalAddr().String()
}

// differ asks for every name of a vector, and for the short forms, and says what
// isn't as it should be.
func differ(t *testing.T, addr, network string, v *vector.Vector) []string {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 5 * time.Second}
	conn, err := c.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out []string
	ask := func(name string, want vector.Expect) {
		for qtype, addrs := range map[uint16][]netip.Addr{dns.TypeA: want.A, dns.TypeAAAA: want.AAAA} {
			q := new(dns.Msg).SetQuestion(dns.Fqdn(mixed(name)), qtype)
			m, _, err := c.ExchangeWithConn(q, conn)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if d := faults(m, q.Question[0], want, addrs); len(d) > 0 {
				out = append(out, fmt.Sprintf("%s %s: %s\n%v", name, dns.TypeToString[qtype], strings.Join(d, "; "), m))
			}
		}
	}
	for name, want := range v.Expect {
		ask(name, want)
		if short, ok := v.ShortForm(name); ok {
			ask(short, want)
		}
	}
	return out
}

// mixed is a name in the case that a resolver might ask it in, to tell answers
// from forgeries.
func mixed(name string) string {
	b := []byte(name)
	for i, c := range b {
		if i%3 != 1 && 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// faults compares an answer with what is expected of it, and with what every
// authoritative answer has to be.
func faults(m *dns.Msg, q dns.Question, want vector.Expect, wantAddrs []netip.Addr) []string {
	var out []string
	fault := func(ok bool, format string, args ...any) {
		if !ok {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	fault(dns.RcodeToString[m.Rcode] == want.Rcode, "rcode %s, want %s", dns.RcodeToString[m.Rcode], want.Rcode)
	fault(m.Authoritative, "AA isn't set")
	fault(!m.RecursionAvailable, "RA is set")
	fault(!m.Truncated, "TC is set")
	fault(len(m.Question) == 1 && m.Question[0] == q, "the question came back as %v", m.Question)
	fault(slices.Equal(server.Chain(m), want.Chain), "chain %q, want %q", server.Chain(m), want.Chain)
	var sorted []string
	for _, a := range wantAddrs {
		sorted = append(sorted, a.String())
	}
	slices.Sort(sorted)
	fault(slices.Equal(addrs(m), sorted), "addresses %q, want %q", addrs(m), sorted)

	owner := q.Name // in the case of the question
	for _, rr := range m.Answer {
		fault(rr.Header().Name == owner, "owner %s, want %s", rr.Header().Name, owner)
		fault(rr.Header().Ttl == m.Answer[0].Header().Ttl, "TTLs differ")
		if c, ok := rr.(*dns.CNAME); ok {
			owner = c.Target
		}
	}
	if len(wantAddrs) > 0 {
		fault(len(m.Ns) == 0, "authority %v, want none", m.Ns)
		return out
	}
	if len(m.Ns) != 1 {
		return append(out, fmt.Sprintf("authority %v, want the SOA", m.Ns))
	}
	soa, ok := m.Ns[0].(*dns.SOA)
	fault(ok && soa.Hdr.Ttl == 5 && soa.Minttl == 5, "authority %v, want an SOA with TTL and MINIMUM 5", m.Ns)
	return out
}
