package fast

import (
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// TestWildcard: where a server is bound to no address of its own, an answer comes
// from the address that was asked. The askers' sockets are connected, so that they
// take nothing else.
func TestWildcard(t *testing.T) {
	for _, tt := range []struct {
		name, host string
		four, six  bool
	}{
		{"every address", "", true, true},
		{"every IPv4 address", "0.0.0.0", true, false},
		{"every IPv6 address", "::", true, true}, // Go's sockets of this kind have both
	} {
		t.Run(tt.name, func(t *testing.T) {
			bind := ""
			if tt.host != "" {
				bind = " bind " + tt.host + "\n"
			}
			s := server.Start(t, "example.com:PORT {\n"+bind+article(t, "")+" ready READY\n}\n")
			_, port, _ := net.SplitHostPort(s.Addr)
			answers(t, s.Addr)
			isFast(t, s, tt.host)
			for _, host := range hosts(t) {
				if four := strings.Contains(host, "."); four && !tt.four || !four && !tt.six {
					continue
				}
				t.Run(host, func(t *testing.T) {
					a := dial(t, net.JoinHostPort(host, port))
					var packets [][]byte
					for range 20 { // each socket gets some
						packets = append(packets,
							question(0, labels("nginx.mynamespace.myfederation.svc.us-central1.example.com"), dns.TypeA, ""),                             // fast
							question(0, labels("nginx.mynamespace.myfederation.svc.europe-west1.example.com"), dns.TypeA, opt(1232, 0)),                  // fast
							question(0, labels("example.com"), dns.TypeSOA, opt(1232, 0)),                                                                // fast, and then the chain
							question(0, labels("example.org"), dns.TypeSOA, ""),                                                                          // the same
							question(0, labels("example.com"), dns.TypeSOA, opt(1232, 0, option(subnet, "\x00\x03\x20\x00\x01\x02\x03\x04"))),            // the same
							question(2<<11, labels("example.com"), dns.TypeSOA, ""),                                                                      // CoreDNS's own socket
							question(0, labels("example.com"), dns.TypeSOA, opt(1232, 0x0001_0000)),                                                      // fast
							question(0, labels("example.com"), dns.TypeSOA, opt(1232, 0, option(cookie, "x"))),                                           // fast
							question(0, labels("nginx.mynamespace.myfederation.svc.example.com"), dns.TypeA, opt(1232, 0, option(cookie, clientCookie))), // fast
						)
					}
					got, err := a.ask(packets)
					if err != nil {
						t.Fatal(err)
					}
					for i, p := range packets {
						if got[i] == nil {
							t.Errorf("no answer from %s to %x", host, p)
						}
					}
					for _, s := range a.strange {
						t.Error(s)
					}
				})
			}
		})
	}
}

// hosts are addresses of this host: of loopback, and of its other interfaces.
func hosts(t *testing.T) []string {
	t.Helper()
	out := []string{"127.0.0.1", "127.0.0.2", "::1"}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			switch {
			case !ok || i.Flags&net.FlagUp == 0 || n.IP.IsLoopback():
			case n.IP.IsLinkLocalUnicast():
				out = append(out, n.IP.String()+"%"+i.Name)
			default:
				out = append(out, n.IP.String())
			}
		}
	}
	return out
}
