package geo

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// unbound starts one that tells a server, with a client subnet, who asks, and keeps
// answers by their scope. It gives its address. kind is forward or stub, as unbound
// calls zones.
func unbound(t *testing.T, s *server.Server, kind string) string {
	t.Helper()
	path, err := exec.LookPath("unbound")
	if err != nil {
		path = "/usr/sbin/unbound" // not in everybody's PATH
	}
	version, err := exec.Command(path, "-V").CombinedOutput()
	if err != nil {
		t.Fatalf("unbound is not installed: %v\nhint: run make peers", err)
	}
	if !strings.Contains(string(version), "subnetcache") {
		t.Skip("this unbound knows nothing of client subnets")
	}
	port := vector.Port(t)
	host, ours, _ := net.SplitHostPort(s.Addr)
	conf := filepath.Join(t.TempDir(), "unbound.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, `server:
  directory: ""
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  interface: 127.0.0.1
  port: %d
  access-control: 127.0.0.0/8 allow
  do-ip6: no
  do-not-query-localhost: no
  module-config: "subnetcache validator iterator"
  send-client-subnet: %[2]s
  client-subnet-always-forward: yes
  max-client-subnet-ipv4: 32
  max-client-subnet-ipv6: 64
  min-client-subnet-ipv4: 0
  min-client-subnet-ipv6: 0
remote-control:
  control-enable: no
%[4]s-zone:
  name: example.com
  %[4]s-addr: %[2]s@%[3]s
`, port, host, ours, kind), 0o644); err != nil {
		t.Fatal(err)
	}
	server.Program(t, path, "-d", "-p", "-c", conf)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	server.Eventually(t, 15*time.Second, "unbound answers", func() bool {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), addr)
		return err == nil && m.Rcode == dns.RcodeSuccess
	})
	return addr
}

// A behind is a resolver in front of a server.
type behind struct {
	t      *testing.T
	s      *server.Server // with the resolver's address
	origin *server.Server
}

// ask asks the resolver, and says whether it knew by itself.
func (b *behind) ask(local, subnet string) (addrs string, cached bool) {
	b.t.Helper()
	return b.about("web", local, subnet)
}

func (b *behind) about(service, local, subnet string) (addrs string, cached bool) {
	b.t.Helper()
	const answered = `coredns_federation_answers_total`
	before := b.origin.Metric(b.t, answered)
	got := via(b.t, b.s, "udp", local, question(service, dns.TypeA, subnet))
	if got.rcode != "NOERROR" {
		b.t.Fatalf("%s from %q for %q: %v", service, local, subnet, got)
	}
	if b.origin.Metric(b.t, answered) != before {
		return got.addrs, false
	}
	time.Sleep(20 * time.Millisecond) // it counts what it has answered once it has
	return got.addrs, b.origin.Metric(b.t, answered) == before
}

func resolved(t *testing.T, kind string, lines ...string) *behind {
	t.Helper()
	origin := start(t, newWorld(t).corefile(append(lines, "fast on")...))
	front := *origin
	front.Addr = unbound(t, origin, kind)
	return &behind{t, &front, origin}
}

// TestUnbound: clients of different places get different answers through one resolver,
// which remembers them for the blocks that they hold for.
func TestUnbound(t *testing.T) {
	for _, kind := range []string{"forward", "stub"} {
		t.Run(kind, func(t *testing.T) {
			b := resolved(t, kind, with("nets 127.0.10.0/24 europe-west1", "nets 127.0.20.0/24 edo")...)
			for i, tt := range []struct {
				local, subnet string
				want          string
				cached        bool
			}{
				// By their own addresses, which unbound passes on.
				{"127.0.10.1", "", belgium, false},
				{"127.0.20.1", "", edo, false},
				{"127.0.10.1", "", belgium, true},
				{"127.0.10.77", "", belgium, true}, // of one block
				{"127.0.20.254", "", edo, true},

				// As other resolvers behind it say.
				{"127.0.0.1", "192.0.2.1/32", iowa, false},
				{"127.0.0.1", "192.0.2.2/32", iowa, true},
				{"127.0.0.1", "192.0.2.127/32", iowa, true},
				{"127.0.0.1", "192.0.2.128/32", belgium, false},
				{"127.0.0.1", "192.0.2.191/32", belgium, true},
				{"127.0.0.1", "192.0.2.200/32", edo, false},
				{"127.0.0.1", "198.51.100.1/32", taiwan, false},
				{"127.0.0.1", "198.51.100.200/32", taiwan, true},
				{"127.0.0.1", "203.0.113.1/32", lapland, false},
				{"127.0.0.1", "203.0.113.201/32", lapland, true},
				{"127.0.0.1", "2001:db8::/64", virginia, false},
				{"127.0.0.1", "2001:db8:ff::/64", virginia, true},
				{"127.0.0.1", "2001:db8:100::/64", lapland, false},
				{"127.0.10.9", "", belgium, true},
			} {
				got, cached := b.ask(tt.local, tt.subnet)
				if got != tt.want || cached != tt.cached {
					t.Errorf("%d: from %s for %q: %q, remembered: %v; want %q, %v", i, tt.local, tt.subnet, got, cached, tt.want, tt.cached)
				}
			}
			// What doesn't depend on who asks is remembered for all.
			for i, local := range []string{"127.0.10.1", "127.0.20.1", "127.0.30.1"} {
				if got, cached := b.about("every", local, ""); got != every || cached != (i > 0) {
					t.Errorf("every from %s: %q, remembered: %v", local, got, cached)
				}
			}
		})
	}
}

// TestUnboundPrivate: what a client gets whose private network nobody knows is no
// other's answer.
func TestUnboundPrivate(t *testing.T) {
	t.Parallel()
	b := resolved(t, "forward", with("nets 127.0.10.0/24 europe-west1", "nets 127.0.20.0/24 edo")...)
	for _, tt := range []struct{ local, subnet, want string }{
		{"127.0.40.1", "", every},
		{"127.0.10.1", "", belgium},
		{"127.0.20.1", "", edo},
		{"127.0.0.1", "192.168.1.1/32", every},
		{"127.0.0.1", "192.0.2.1/32", iowa},
	} {
		if got, cached := b.ask(tt.local, tt.subnet); got != tt.want {
			t.Errorf("from %s for %q: %q, remembered: %v; want %q", tt.local, tt.subnet, got, cached, tt.want)
		}
	}
}
