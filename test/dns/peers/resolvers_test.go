package peers

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/ctl/stub"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// behind are how many addresses stand behind services: few, more than musl keeps (48),
// than BIND takes of one type (100), than PowerDNS does (256), and than one message
// holds.
var behind = []int{1, 8, 40, 101, 257, 4200}

// most is how many of them an answer has.
const most = 8

// many writes a cluster with a service for each of these, and one without.
func many(t *testing.T, dir string) (members string) {
	t.Helper()
	var objects []vector.Object
	for _, n := range behind {
		ips, _ := crowd(n)
		name := fmt.Sprint("s", n)
		objects = append(objects, vector.Service("shop", name, ips...), vector.Slice("shop", name, true, "eu-a"))
	}
	place{"paris", "eu", []string{"eu-a"}}.write(t, dir, objects...)
	place{"ohio", "us", []string{"us-a"}}.write(t, dir)
	return server.Members(dir, "paris", "ohio")
}

// TestResolvers: whatever resolver asks, and whatever a secondary has it from, a name
// resolves, however many addresses stand behind it.
func TestResolvers(t *testing.T) {
	fedns := startFedns(t, "example.com:PORT {\n bind ADDR\n transfer {\n  to *\n }\n federation prod {\n"+many(t, t.TempDir())+" }\n ready READY\n}\n")
	host, at, _ := net.SplitHostPort(fedns.Addr)
	// Two of them are told what fedctl stub prints.
	printed := func(form string) string {
		text, _ := (&stub.Stub{Domain: "example.com", Servers: []netip.AddrPort{netip.MustParseAddrPort(fedns.Addr)}}).Text(form)
		return text
	}
	for _, tt := range []struct {
		name  string
		start func(t *testing.T, port int)
	}{
		{"BIND", func(t *testing.T, port int) {
			dir := t.TempDir()
			server.Program(t, server.Tool(t, "named"), "-g", "-c", write(t, dir, "named.conf", resolverConf(dir, port, fedns.Addr, "example.com")))
		}},
		{"BIND as a secondary", func(t *testing.T, port int) {
			dir := t.TempDir()
			server.Program(t, server.Tool(t, "named"), "-g", "-c", write(t, dir, "named.conf", namedConf(dir, port, fedns.Addr)))
		}},
		{"unbound", func(t *testing.T, port int) {
			conf := unboundConf("127.0.0.1", port) + printed("unbound")
			server.Program(t, server.Tool(t, "unbound"), "-d", "-p", "-c", write(t, t.TempDir(), "unbound.conf", conf))
		}},
		{"PowerDNS recursor", func(t *testing.T, port int) {
			dir := t.TempDir()
			write(t, dir, "recursor.conf", fmt.Sprintf("local-address=127.0.0.1\nlocal-port=%d\nforward-zones=example.com=%s\nsocket-dir=%s\n"+
				"daemon=no\ndisable-syslog=yes\nthreads=1\ndnssec=off\ndont-query=\nsecurity-poll-suffix=\nquery-local-address=127.0.0.1\nwrite-pid=no\nsetuid=\nsetgid=\nmax-tcp-clients=8\n", port, fedns.Addr, dir))
			server.Program(t, server.Rare(t, "pdns_recursor"), "--config-dir="+dir)
		}},
		{"Knot Resolver", func(t *testing.T, port int) {
			dir := t.TempDir()
			server.Program(t, server.Rare(t, "kresd"), "-n", "-c", write(t, dir, "kresd.conf", fmt.Sprintf("net.listen('127.0.0.1', %d, { kind = 'dns' })\n"+
				"cache.open(10 * MB, 'lmdb://%s/cache')\ntrust_anchors.remove('.')\npolicy.add(policy.suffix(policy.STUB('%s@%s'), policy.todnames({'example.com'})))\n", port, dir, host, at)), dir)
		}},
		{"dnsmasq", func(t *testing.T, port int) {
			server.Program(t, server.Tool(t, "dnsmasq"), "--keep-in-foreground", "--log-facility=-", "--stop-dns-rebind",
				"--conf-file="+write(t, t.TempDir(), "fedns.conf", printed("dnsmasq")), "--no-resolv", "--no-hosts", "--pid-file=", "--user=", "--group=", fmt.Sprint("--port=", port), "--listen-address=127.0.0.1", "--bind-interfaces")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := vector.Port(t)
			tt.start(t, port)
			addr := fmt.Sprint("127.0.0.1:", port)
			// A secondary first has to have the zone.
			server.Eventually(t, 30*time.Second, "it resolves", func() bool {
				m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("s1.shop.prod.svc.example.com.", dns.TypeA), addr)
				return err == nil && len(addrs(m)) == 1
			})
			for _, n := range behind {
				_, sorted := crowd(n)
				for _, scope := range []string{"", ".eu-a.eu", ".us-a.us"} {
					for _, network := range []string{"udp", "tcp"} {
						name := fmt.Sprintf("s%d.shop.prod.svc%s.example.com.", n, scope)
						ask := func(qtype uint16) *dns.Msg {
							t.Helper()
							m, _, err := (&dns.Client{Net: network, Timeout: late}).Exchange(new(dns.Msg).SetQuestion(name, qtype), addr)
							if err != nil {
								t.Fatalf("%s over %s: %v", name, network, err)
							}
							return m
						}
						m := ask(dns.TypeA)
						got := addrs(m)
						if m.Rcode != dns.RcodeSuccess || m.Truncated || len(got) != min(n, most) || len(slices.Compact(slices.Clone(got))) != len(got) ||
							slices.ContainsFunc(got, func(a string) bool { return !slices.Contains(sorted, a) }) {
							t.Errorf("%s over %s: %s, TC %v, %q", name, network, dns.RcodeToString[m.Rcode], m.Truncated, got)
						}
						if m := ask(dns.TypeAAAA); m.Rcode != dns.RcodeSuccess || len(addrs(m)) != 0 {
							t.Errorf("%s AAAA over %s: %v", name, network, m)
						}
					}
				}
			}
		})
	}
}

// resolverConf is a configuration for BIND as a resolver that asks fedns for zones. It
// keeps out of everybody's way.
func resolverConf(dir string, port int, fedns string, zones ...string) string {
	host, at, _ := net.SplitHostPort(fedns)
	conf := fmt.Sprintf(`options {
  directory "%[1]s"; pid-file none; session-keyfile none; managed-keys-directory "%[1]s";
  listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion yes; allow-recursion { any; }; dnssec-validation no; empty-zones-enable no; max-cache-ttl 1; max-ncache-ttl 1;
};
controls { };
`, dir, port)
	for _, z := range zones {
		conf += fmt.Sprintf("zone %q { type forward; forward only; forwarders { %s port %s; }; };\n", z, host, at)
	}
	return conf
}

// TestBINDTrustsCookies: BIND, which has learned that an address makes cookies, asks
// again over TCP, and says so, when an answer has none (RFC 7873 section 5.3). That
// must not happen, whatever is asked there and whoever answers.
func TestBINDTrustsCookies(t *testing.T) {
	const missing = "missing expected cookie"
	dir := t.TempDir()
	static := write(t, dir, "db.acme", "$ORIGIN acme.test.\n@ 60 SOA ns hostmaster 1 7200 1800 86400 5\n@ NS ns\nns A 192.0.2.1\nwww 1 A 192.0.2.80\n")
	beside := write(t, dir, "db.other", "$ORIGIN other.test.\n@ 60 SOA ns hostmaster 1 7200 1800 86400 5\n@ NS ns\nns A 192.0.2.1\nwww 1 A 192.0.2.81\n")
	corefile := func(cookies string) string {
		return "example.com:PORT acme.test:PORT {\n bind ADDR\n federation prod example.com {\n" + many(t, dir) + "  cookies " + cookies + "\n }\n file " + static + " acme.test\n ready READY\n}\n" +
			"other.test:PORT {\n bind ADDR\n file " + beside + " other.test\n}\n"
	}
	fedns := startFedns(t, corefile("on"))
	port := vector.Port(t)
	bind := fmt.Sprint("127.0.0.1:", port)
	log := &server.Buffer{}
	cmd := exec.Command(server.Tool(t, "named"), "-g", "-c", write(t, dir, "named.conf", resolverConf(dir, port, fedns.Addr, "example.com", "acme.test", "nobody.test", "other.test")))
	cmd.Stderr = log
	done, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-done
	})
	answers(t, bind, "example.com")
	ask := func(name string, qtype uint16) *dns.Msg {
		t.Helper()
		m, _, err := (&dns.Client{Timeout: late}).Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype), bind)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return m
	}
	for i := range 6 {
		for _, q := range []struct {
			name  string
			qtype uint16
			rcode int
		}{
			{"s8.shop.prod.svc.example.com", dns.TypeA, dns.RcodeSuccess},
			{"s8.shop.prod.svc.us-a.us.example.com", dns.TypeA, dns.RcodeSuccess},
			{"s4200.shop.prod.svc.example.com", dns.TypeA, dns.RcodeSuccess},
			{fmt.Sprintf("none%d.shop.prod.svc.example.com", i), dns.TypeA, dns.RcodeNameError},
			{"example.com", dns.TypeDNSKEY, dns.RcodeSuccess},
			{"example.com", dns.TypeSOA, dns.RcodeSuccess},
			{"www.acme.test", dns.TypeA, dns.RcodeSuccess},
			{fmt.Sprintf("none%d.acme.test", i), dns.TypeA, dns.RcodeNameError},
			{"acme.test", dns.TypeDNSKEY, dns.RcodeSuccess},
			{"www.other.test", dns.TypeA, dns.RcodeSuccess},                          // of another server block
			{fmt.Sprintf("www%d.nobody.test", i), dns.TypeA, dns.RcodeServerFailure}, // REFUSED
		} {
			if m := ask(q.name, q.qtype); m.Rcode != q.rcode {
				t.Errorf("%s %s: %v", q.name, dns.Type(q.qtype), m)
			}
		}
		// What BIND keeps, it keeps for a second.
		kept := time.Now()
		server.Eventually(t, 10*time.Second, "BIND has forgotten", func() bool { return time.Since(kept) > 1100*time.Millisecond })
	}
	if text := log.String(); strings.Contains(text, missing) {
		t.Errorf("BIND misses cookies:\n%s", text)
	}
	// And it would have said so.
	fedns.Write(t, corefile("off"))
	fedns.Reload(t)
	for i := 0; !strings.Contains(log.String(), missing); i++ {
		if i == 200 {
			t.Fatalf("BIND doesn't miss cookies where there are none:\n%s", log)
		}
		ask(fmt.Sprintf("off%d.shop.prod.svc.example.com", i), dns.TypeA)
		time.Sleep(50 * time.Millisecond) // until the reload is over
	}
}

// lookup is a program that resolves names as all do that are linked with a C library.
const lookup = `#include <netdb.h>
#include <stdio.h>
#include <arpa/inet.h>
int main(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all, *a;
		int rc = getaddrinfo(argv[i], "80", &hints, &all);
		printf("%s", argv[i]);
		if (rc) {
			printf(" %s\n", gai_strerror(rc));
			continue;
		}
		for (a = all; a; a = a->ai_next) {
			char text[INET6_ADDRSTRLEN];
			getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST);
			printf(" %s", text);
		}
		printf("\n");
	}
}
`

// TestMusl: programs linked with musl, which asks over UDP only and has room for few
// addresses, resolve every name by themselves.
func TestMusl(t *testing.T) {
	compiler := server.Rare(t, "musl-gcc")
	n := newInternet(t, "fedns", "client")
	dir := t.TempDir()
	bin, err := server.Binary()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "lookup")
	output(t, compiler, "-static", "-o", program, write(t, dir, "lookup.c", lookup))
	n.start(t, "fedns", bin, "-conf", write(t, dir, "Corefile", "example.com {\n bind "+n.hosts["fedns"]+"\n federation prod {\n"+many(t, dir)+" }\n errors\n}\n"))
	// ip netns exec gives the program a tree of mounts of its own.
	conf := write(t, dir, "resolv.conf", "nameserver "+n.hosts["fedns"]+"\n")
	resolve := func(names ...string) string {
		t.Helper()
		out, err := exec.Command(server.Tool(t, "ip"), n.on("client", append([]string{"sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, conf, program}, names...)...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	server.Eventually(t, 30*time.Second, "fedns answers", func() bool {
		return strings.TrimSpace(resolve("s1.shop.prod.svc.example.com")) == "s1.shop.prod.svc.example.com 198.18.0.1"
	})
	for _, many := range behind {
		_, sorted := crowd(many)
		for _, scope := range []string{"", ".eu-a.eu", ".us-a.us"} {
			name := fmt.Sprintf("s%d.shop.prod.svc%s.example.com", many, scope)
			got := strings.Fields(resolve(name))[1:]
			if len(got) != min(many, most) || slices.ContainsFunc(got, func(a string) bool { return !slices.Contains(sorted, a) }) {
				t.Errorf("%s: %q, want %d addresses", name, got, min(many, most))
			}
		}
	}
	if got := resolve("none.shop.prod.svc.example.com"); !strings.Contains(got, "does not resolve") {
		t.Errorf("a service that nobody has: %s", got)
	}
}
