package peers

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// TestStubDomain has the servers that clusters run send the domain here: dnsmasq
// as kube-dns does for stubDomains, unbound in both its ways, and CoreDNS. Each
// caches; none may keep a shard longer than the TTL says.
func TestStubDomain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(t *testing.T, fedns string) (addr string)
	}{
		{"dnsmasq", dnsmasq},
		{"unbound stub-zone", func(t *testing.T, fedns string) string { return unbound(t, "stub", fedns) }},
		{"unbound forward-zone", func(t *testing.T, fedns string) string { return unbound(t, "forward", fedns) }},
		{"CoreDNS forward", forward},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			ips, sorted := crowd(80)
			paris, lyon := place{"paris", "eu", []string{"eu-a"}}, place{"lyon", "eu", []string{"eu-b"}}
			up := func(p place, ip string, ready bool) {
				p.write(t, dir,
					vector.Service("shop", "web", ip), vector.Slice("shop", "web", ready, p.zones...),
					vector.Service("shop", "some", ips[:40]...), vector.Slice("shop", "some", true, p.zones...),
					vector.Service("shop", "big", ips...), vector.Slice("shop", "big", true, p.zones...),
				)
			}
			up(paris, "192.0.2.1", true)
			up(lyon, "192.0.2.2", true)
			place{"ohio", "us", []string{"us-a"}}.write(t, dir)
			fedns := startFedns(t, "example.com:PORT {\n bind ADDR\n federation prod {\n"+server.Members(dir, "paris", "lyon", "ohio")+"  ttl 1s 1s\n  answers 2000\n }\n ready READY\n}\n")
			front := tt.start(t, fedns.Addr)
			answers(t, front, "example.com")
			ask := func(network, rel string, qtype uint16, edns uint16) *dns.Msg {
				t.Helper()
				q := new(dns.Msg).SetQuestion(rel+".example.com.", qtype)
				if edns > 0 {
					q.SetEdns0(edns, false)
				}
				m, _, err := (&dns.Client{Net: network, Timeout: 5 * time.Second}).Exchange(q, front)
				if err != nil {
					t.Fatalf("%s %s: %v", network, rel, err)
				}
				return m
			}

			// Answers come through as they are, chains included.
			for _, q := range []struct {
				rel   string
				chain []string
				addrs []string
			}{
				{"web.shop.prod.svc.eu-a.eu", nil, []string{"192.0.2.1"}},
				{"web.shop.prod.svc.eu-b", nil, []string{"192.0.2.2"}},
				{"web.shop.prod.svc.eu", nil, []string{"192.0.2.1", "192.0.2.2"}},
				{"web.shop.prod.svc.us-a.us", names("web.shop.prod.svc.us", "web.shop.prod.svc"), []string{"192.0.2.1", "192.0.2.2"}},
			} {
				for _, network := range []string{"udp", "tcp"} {
					m := ask(network, q.rel, dns.TypeA, 1232)
					if m.Rcode != dns.RcodeSuccess || !slices.Equal(server.Chain(m), q.chain) || !slices.Equal(addrs(m), q.addrs) {
						t.Errorf("%s over %s: %v\nwant %q %q", q.rel, network, m, q.chain, q.addrs)
					}
				}
			}
			if m := ask("udp", "_http._tcp.web.shop.prod.svc.us", dns.TypeSRV, 1232); len(m.Answer) != 2 {
				t.Errorf("a port that leads on: %v", m)
			}
			if m := ask("udp", "web.shop.prod.svc", dns.TypeAAAA, 0); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 0 {
				t.Errorf("a family without an address: %v", m)
			}
			if m := ask("udp", "apache.shop.prod.svc", dns.TypeA, 0); m.Rcode != dns.RcodeNameError {
				t.Errorf("an unknown service: %v", m)
			}
			if m := ask("udp", "prod.svc.eu", dns.TypeA, 0); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 0 {
				t.Errorf("an empty non-terminal: %v", m)
			}

			// Sizes: what fits the client comes at once, what doesn't over TCP.
			if m := ask("udp", "some.shop.prod.svc", dns.TypeA, 1232); m.Truncated || len(addrs(m)) != 40 {
				t.Errorf("40 addresses with 1232 bytes: TC %v, %d addresses", m.Truncated, len(addrs(m)))
			}
			for edns, rel := range map[uint16]string{0: "some.shop.prod.svc", 512: "some.shop.prod.svc", 1232: "big.shop.prod.svc"} {
				m := ask("udp", rel, dns.TypeA, edns)
				if !m.Truncated {
					t.Errorf("%s with %d bytes: TC isn't set", rel, edns)
				}
			}
			if m := ask("tcp", "big.shop.prod.svc", dns.TypeA, 0); m.Truncated || !slices.Equal(addrs(m), sorted) {
				t.Errorf("80 addresses over TCP: TC %v, %d addresses", m.Truncated, len(addrs(m)))
			}

			// A shard goes down, and comes back: seen here a TTL later than there, and a
			// second that caches add, who count in whole ones. The rest is for a busy host.
			const limit = 2*time.Second + 500*time.Millisecond
			for _, ready := range []bool{false, true} {
				change := fmt.Sprintf("the shard in paris is up: %v", ready)
				seen := func(m *dns.Msg) bool { return (len(server.Chain(m)) == 0) == ready }
				ask("udp", "web.shop.prod.svc.eu-a.eu", dns.TypeA, 0) // so that it is cached
				up(paris, "192.0.2.1", ready)
				server.Eventually(t, time.Second, change, func() bool {
					return seen(fedns.Ask(t, "web.shop.prod.svc.eu-a.eu.example.com", dns.TypeA))
				})
				server.Eventually(t, limit, change+", in front", func() bool {
					m := ask("udp", "web.shop.prod.svc.eu-a.eu", dns.TypeA, 0)
					return seen(m) && slices.Contains(addrs(m), "192.0.2.1") == ready
				})
			}
		})
	}
}

// dnsmasq runs with the flags that kube-dns gives it.
func dnsmasq(t *testing.T, fedns string) string {
	host, port, _ := net.SplitHostPort(fedns)
	own := strconv.Itoa(vector.Port(t))
	server.Program(t, server.Tool(t, "dnsmasq"),
		"--keep-in-foreground", "--cache-size=1000", "--no-negcache", "--dns-loop-detect", "--log-facility=-",
		"--server=/example.com/"+host+"#"+port,
		// Of the test: nothing of this host's configuration, and a port of its own.
		"--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=", "--group=",
		"--port="+own, "--listen-address=127.0.0.1", "--bind-interfaces",
	)
	return net.JoinHostPort("127.0.0.1", own)
}

// unbound runs with the domain as a "stub" zone, whose servers are authoritative,
// or as a "forward" one, whose servers are taken for resolvers.
func unbound(t *testing.T, kind, fedns string) string {
	host, port, _ := net.SplitHostPort(fedns)
	own := vector.Port(t)
	conf := unboundConf("127.0.0.1", own) +
		fmt.Sprintf("%[1]s-zone:\n  name: example.com\n  %[1]s-addr: %s@%s\n", kind, host, port)
	server.Program(t, server.Tool(t, "unbound"), "-d", "-p", "-c", write(t, t.TempDir(), "unbound.conf", conf))
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(own))
}

// unboundConf is a configuration without DNSSEC, privileges or control, that asks
// in random case and as little as it can (RFC 9156).
func unboundConf(addr string, port int) string {
	return fmt.Sprintf(`server:
  directory: ""
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  interface: %s
  port: %d
  access-control: 0.0.0.0/0 allow
  do-ip6: no
  do-not-query-localhost: no
  module-config: "iterator"
  qname-minimisation: yes
  qname-minimisation-strict: yes
  use-caps-for-id: yes
remote-control:
  control-enable: no
`, addr, port)
}

// forward is CoreDNS, with a cache in front, as in a cluster.
func forward(t *testing.T, fedns string) string {
	// By itself the cache keeps everything for at least five seconds.
	return server.Start(t, ".:PORT {\n bind ADDR\n ready READY\n cache {\n  success 9984 30 0\n  denial 9984 30 0\n }\n forward example.com "+fedns+"\n}\n").Addr
}
