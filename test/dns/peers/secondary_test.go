package peers

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// namedConf is a configuration for BIND that has example.com from a primary. It
// keeps out of everybody's way: no control channel, nothing of the system's.
func namedConf(dir string, port int, primary string) string {
	host, at, _ := net.SplitHostPort(primary)
	return fmt.Sprintf(`options {
  directory "%[1]s"; pid-file none; session-keyfile none; managed-keys-directory "%[1]s";
  listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; notify no; dnssec-validation no;
};
controls { };
zone "example.com" { type secondary; file "example.com.db"; masterfile-format text; primaries { %[3]s port %[4]s; }; };
`, dir, port, host, at)
}

// Names that exist and have no record now, next to wildcards that would have one
// for them: a secondary, of whatever make, says what fedns says.
func TestSecondaries(t *testing.T) {
	dir := t.TempDir()
	place{"paris", "eu", []string{"eu-a"}}.write(t, dir,
		vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", true, "eu-a"),
		vector.Service("shop", "dark", "192.0.2.4"), vector.Slice("shop", "dark", false, "eu-a"),
		vector.Ingress("shop", "all", "192.0.2.99", [2]string{"*.example.com", "web"}),
		vector.Ingress("shop", "app", "192.0.2.10", [2]string{"app.example.com", "dark"}, [2]string{"*.closed.example.com", "dark"}),
	)
	s := startFedns(t, "example.com:PORT {\n bind ADDR\n transfer {\n  to *\n }\n federation prod {\n"+
		server.Members(dir, "paris")+" }\n ready READY\n}\n")

	bind := fmt.Sprint("127.0.0.1:", vector.Port(t))
	_, port, _ := net.SplitHostPort(bind)
	var n int
	fmt.Sscan(port, &n)
	own := t.TempDir()
	server.Program(t, server.Tool(t, "named"), "-g", "-c", write(t, own, "named.conf", namedConf(own, n, s.Addr)))
	coredns := server.Start(t, "example.com:PORT {\n bind ADDR\n secondary {\n  transfer from "+s.Addr+"\n }\n ready READY\n}\n")

	for name, addr := range map[string]string{"BIND": bind, "CoreDNS": coredns.Addr} {
		t.Run(name, func(t *testing.T) {
			server.Eventually(t, 20*time.Second, "it has the zone", func() bool {
				m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("web.shop.prod.svc.example.com.", dns.TypeA), addr)
				return err == nil && len(m.Answer) == 1
			})
			ours, theirs := dial(t, s.Addr), dial(t, addr)
			for _, tt := range []struct {
				name  string
				qtype uint16
				want  string // what fedns says
			}{
				{"app.example.com.", dns.TypeA, "NOERROR 0"},
				{"app.example.com.", dns.TypeAAAA, "NOERROR 0"},
				{"app.example.com.", dns.TypeTXT, "NOERROR 0"},
				{"app.example.com.", dns.TypeHINFO, "NOERROR 1"},
				{"other.example.com.", dns.TypeA, "NOERROR 1"},
				{"other.example.com.", dns.TypeHINFO, "NOERROR 0"},
				{"any.closed.example.com.", dns.TypeA, "NOERROR 0"},
				{"any.closed.example.com.", dns.TypeHINFO, "NOERROR 1"},
				{"below.app.example.com.", dns.TypeA, "NXDOMAIN 0"},
				{"dark.shop.prod.svc.example.com.", dns.TypeA, "NOERROR 0"},
				{"dark.shop.prod.svc.eu.example.com.", dns.TypeA, "NOERROR 1"},
				{"dark.shop.prod.svc.eu.example.com.", dns.TypeHINFO, "NOERROR 2"},
				{"_http._tcp.dark.shop.prod.svc.example.com.", dns.TypeSRV, "NOERROR 0"},
				{"_http._tcp.dark.shop.prod.svc.example.com.", dns.TypeHINFO, "NOERROR 1"},
				{"nobody.shop.prod.svc.example.com.", dns.TypeA, "NXDOMAIN 0"},
				{"web.shop.prod.svc.mars.example.com.", dns.TypeA, "NOERROR 1"}, // no such region: what the wildcard says
			} {
				q := new(dns.Msg).SetQuestion(tt.name, tt.qtype)
				a, b := ours.ask(t, q), theirs.ask(t, q)
				sum := func(m *dns.Msg) string { return fmt.Sprint(dns.RcodeToString[m.Rcode], " ", len(m.Answer)) }
				a.Ns, b.Ns = nil, nil // CoreDNS has its own idea of the TTL there
				if sum(a) != tt.want || essence(a) != essence(b) {
					t.Errorf("%s %s: want %s\nfedns\n%s%s\n%s", tt.name, dns.TypeToString[tt.qtype], tt.want, essence(a), name, essence(b))
				}
			}
		})
	}
}
