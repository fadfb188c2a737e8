// Package hosts asks for the hosts of Ingresses and of the Gateway API's routes: the
// load balancer for the world that DNS can be.
//
// Every test runs the program itself, on loopback, over manifests.
package hosts

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

const limit = 10 * time.Second

// A world is clusters as folders of manifests.
type world struct {
	t   *testing.T
	dir string
}

func newWorld(t *testing.T) *world { return &world{t, t.TempDir()} }

// cluster writes what a cluster holds: a node of its region, and these.
func (w *world) cluster(region string, objects ...vector.Object) {
	w.t.Helper()
	vector.WriteManifest(w.t, filepath.Join(w.dir, region, "all.json"), append(objects, vector.Node("n", region, region+"-a"))...)
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// start serves example.com with the clusters of these regions; more stands in the
// stanza, in which DIR is the world's folder and STATUS an address.
func (w *world) start(regions, more string) (s *server.Server, status string) {
	w.t.Helper()
	status = fmt.Sprint("127.0.0.1:", vector.Port(w.t))
	text := "example.com:PORT {\n bind ADDR 127.0.61.1\n prometheus METRICS\n ready READY\n errors\n transfer {\n to *\n }\n federation fed {\n" +
		server.Members(w.dir, strings.Fields(regions)...) + more + "\n  status " + status + "\n }\n}\n"
	return server.Start(w.t, strings.ReplaceAll(text, "DIR", w.dir)), status
}

// from asks as a client at a loopback address.
func from(t *testing.T, s *server.Server, network, client, name string, qtype uint16) *dns.Msg {
	t.Helper()
	var local net.Addr = &net.UDPAddr{IP: net.ParseIP(client)}
	if network == "tcp" {
		local = &net.TCPAddr{IP: net.ParseIP(client)}
	}
	c := dns.Client{Net: network, Timeout: 5 * time.Second, Dialer: &net.Dialer{LocalAddr: local}}
	m, err := server.Query(&c, new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype).SetEdns0(1232, false), s.Addr)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

// says sums an answer up: addresses, sorted, or the code and what is said beside it.
func says(m *dns.Msg) string {
	if addrs := server.Addrs(m); len(addrs) > 0 {
		slices.Sort(addrs)
		return strings.Join(addrs, " ")
	}
	out := dns.RcodeToString[m.Rcode]
	if o := m.IsEdns0(); o != nil {
		for _, opt := range o.Option {
			if e, ok := opt.(*dns.EDNS0_EDE); ok {
				out += ": " + e.ExtraText
			}
		}
	}
	return out
}

// becomes waits until a client is told something, both ways.
func becomes(t *testing.T, s *server.Server, client, name, want string) {
	t.Helper()
	got := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s: %s is told %s", name, client, got)
		}
	}()
	for _, network := range []string{"udp", "tcp"} {
		server.Eventually(t, limit, fmt.Sprintf("%s at %s is told %s", client, name, want), func() bool {
			got = says(from(t, s, network, client, name, dns.TypeA))
			return got == want
		})
	}
}

func fedctl(t *testing.T, status string, args ...string) string {
	t.Helper()
	bin, err := server.Build("fedctl")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, append(args, "--server", "http://"+status)...).CombinedOutput()
	if err != nil {
		t.Fatalf("fedctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

const european, american, stranger = "127.0.10.1", "127.0.20.1", "127.0.30.1"

// nets are where they are.
const nets = "  nets 127.0.10.0/24 europe-west1\n  nets 127.0.20.0/24 us-central1\n"

// member is a cluster with web behind an Ingress and api behind a Gateway.
func (w *world) member(region, ingress, gateway string, web, api bool) {
	w.t.Helper()
	w.cluster(region,
		vector.Service("shop", "web"), vector.Slice("shop", "web", web, region+"-a"),
		vector.Service("shop", "api"), vector.Slice("shop", "api", api, region+"-a"),
		vector.Ingress("shop", "front", ingress, [2]string{"shop.example.com", "web"}, [2]string{"*.shop.example.com", "web"}, [2]string{"a.b.example.com", "api"}),
		vector.Gateway("shop", "gw", gateway),
		vector.Route("HTTPRoute", "shop", "http", "gw", "api", "api.example.com"),
		vector.Route("GRPCRoute", "shop", "grpc", "gw", "web", "grpc.example.com"))
}

// A client gets the closest cluster in which the host is up, through the failure of
// one Service and of all.
func TestNearestAndFailover(t *testing.T) {
	w := newWorld(t)
	const eu, us = "europe-west1", "us-central1"
	w.member(eu, "192.0.2.1", "192.0.2.101", true, true)
	w.member(us, "192.0.2.2", "192.0.2.102", true, true)
	s, status := w.start(eu+" "+us, nets)
	for name, addr := range map[string][2]string{
		"shop.example.com": {"192.0.2.1", "192.0.2.2"}, "x.shop.example.com": {"192.0.2.1", "192.0.2.2"}, "Y.X.Shop.Example.com": {"192.0.2.1", "192.0.2.2"},
		"a.b.example.com": {"192.0.2.1", "192.0.2.2"}, "api.example.com": {"192.0.2.101", "192.0.2.102"}, "grpc.example.com": {"192.0.2.101", "192.0.2.102"},
	} {
		becomes(t, s, european, name, addr[0])
		becomes(t, s, american, name, addr[1])
		becomes(t, s, stranger, name, addr[0]+" "+addr[1])
	}
	for name, addrs := range map[string]string{"front.shop.fed.ing.example.com": "192.0.2.1 192.0.2.2", "gw.shop.fed.ing.europe-west1.example.com": "192.0.2.101"} {
		becomes(t, s, stranger, name, addrs)
	}
	for name, want := range map[string]string{
		"b.example.com": "NOERROR: empty non-terminal", "none.example.com": "NXDOMAIN", "x.a.b.example.com": "NXDOMAIN", "x.b.example.com": "NXDOMAIN",
	} {
		becomes(t, s, stranger, name, want)
	}
	if m := from(t, s, "udp", european, "shop.example.com", dns.TypeMX); says(m) != "NOERROR: services have addresses only" || len(m.Ns) != 1 || m.Ns[0].Header().Rrtype != dns.TypeSOA || !m.Authoritative {
		t.Errorf("%v", m)
	}

	// It is a host's own Services that count.
	w.member(eu, "192.0.2.1", "192.0.2.101", false, true)
	becomes(t, s, european, "shop.example.com", "192.0.2.2")
	becomes(t, s, european, "x.shop.example.com", "192.0.2.2")
	becomes(t, s, european, "grpc.example.com", "192.0.2.102")
	becomes(t, s, european, "a.b.example.com", "192.0.2.1")
	becomes(t, s, european, "api.example.com", "192.0.2.101")
	becomes(t, s, stranger, "gw.shop.fed.ing.europe-west1.example.com", "192.0.2.101")
	out := fedctl(t, status, "explain", "shop.example.com", "--client", european)
	for _, want := range []string{"is host shop.example.com of namespace shop of federation fed", "1. europe-west1", "namespace shop of federation fed claims it, and holds it", "not in the answer: no ready endpoint", "in the answer: up in zone us-central1-a"} {
		if !strings.Contains(out, want) {
			t.Errorf("explain doesn't say %q:\n%s", want, out)
		}
	}
	if out := fedctl(t, status, "explain", "x.shop.example.com"); !strings.Contains(out, "covered by host *.shop.example.com") {
		t.Error(out)
	}
	w.member(us, "192.0.2.2", "192.0.2.102", false, true)
	becomes(t, s, european, "shop.example.com", "NOERROR: no shard is up: no ready endpoint in 2 clusters")

	// A secondary gets them as they are.
	got := map[string]int{}
	tr := &dns.Transfer{}
	in, err := tr.In(new(dns.Msg).SetAxfr("example.com."), s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for e := range in {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		for _, rr := range e.RR {
			if rr.Header().Rrtype == dns.TypeA {
				got[rr.Header().Name]++
			}
		}
	}
	if got["api.example.com."] != 2 || got["a.b.example.com."] != 2 || got["shop.example.com."] != 0 {
		t.Errorf("transferred: %v", got)
	}
	if n := s.Metric(t, `coredns_federation_snapshot_hosts{federation="fed"}`); n != 5 {
		t.Errorf("%v hosts", n)
	}
}

// Two namespaces claim a host: at the beginning the older holds it, later who holds it, and the other is told.
func TestConflict(t *testing.T) {
	w := newWorld(t)
	old := vector.With(vector.Ingress("shop", "front", "192.0.2.1", [2]string{"shop.example.com", "web"}), "creationTimestamp", "2024-01-01T00:00:00Z")
	young := vector.With(vector.Ingress("thief", "front", "192.0.2.66", [2]string{"shop.example.com", "web"}, [2]string{"own.example.com", "web"}), "creationTimestamp", "2025-01-01T00:00:00Z")
	w.cluster("eu", young)
	w.cluster("us", old)
	s, status := w.start("eu us", "")
	becomes(t, s, stranger, "shop.example.com", "192.0.2.1")
	becomes(t, s, stranger, "own.example.com", "192.0.2.66")
	const conflicts = `coredns_federation_host_conflicts{federation="fed"}`
	if n := s.Metric(t, conflicts); n != 1 {
		t.Errorf("%v conflicts", n)
	}
	const refused = "host shop.example.com of namespace thief: refused: namespace shop holds it, and is older"
	if n := strings.Count(s.Log(), refused); n != 1 {
		t.Errorf("said %d times:\n%s", n, s.Log())
	}
	out := fedctl(t, status, "explain", "shop.example.com")
	for _, want := range []string{
		"namespace shop of federation fed claims it since 2024-01-01 00:00:00, and holds it",
		"namespace thief of federation fed claims it since 2025-01-01 00:00:00; refused: namespace shop holds it, and is older",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("explain doesn't say %q:\n%s", want, out)
		}
	}
	w.cluster("us")
	becomes(t, s, stranger, "shop.example.com", "192.0.2.66")
	if n := s.Metric(t, conflicts); n != 0 {
		t.Errorf("%v conflicts", n)
	}
	if !strings.Contains(s.Log(), "host shop.example.com of namespace thief: holds it now") {
		t.Error(s.Log())
	}
	w.cluster("us", old) // which it says itself
	server.Eventually(t, 10*time.Second, "who comes back is refused", func() bool {
		return strings.Contains(s.Log(), "host shop.example.com of namespace shop: refused: namespace thief holds it, and was seen first")
	})
	becomes(t, s, stranger, "shop.example.com", "192.0.2.66")
}

const static = `$ORIGIN example.com.
@ 3600 SOA ns1 hostmaster 7 7200 1800 86400 5
@ NS ns1
ns1 A 192.0.2.53
lab NS ns.lab
ns.lab A 192.0.2.54
*.w A 192.0.2.55
x.deep TXT "x"
`

// What is in the zone file comes first, and what services are called; both may
// change.
func TestBesideStaticRecords(t *testing.T) {
	w := newWorld(t)
	var claims [][2]string
	for _, h := range []string{"ns1", "host.lab", "*.w", "y.w", "deep", "*.deep", "www.fed.svc", "w.n.fed.ing.eu", "eu", "svc"} {
		claims = append(claims, [2]string{h + ".example.com", "web"})
	}
	claims = append(claims, [2]string{"example.com", "web"}, [2]string{"www.example.net", "web"})
	w.cluster("eu", vector.Ingress("shop", "front", "192.0.2.1", claims...))
	db := w.write("db", static)
	s, status := w.start("eu", "  apex "+db)
	for name, want := range map[string]string{
		"ns1": "192.0.2.53", "z.w": "192.0.2.55", "y.w": "192.0.2.1", "deep": "192.0.2.1", "q.deep": "192.0.2.1", "q.x.deep": "NXDOMAIN", "eu": "192.0.2.1", "svc": "192.0.2.1",
		"www.fed.svc": "NXDOMAIN", "w.n.fed.ing.eu": "NXDOMAIN: no such namespace", "z.y.w": "NXDOMAIN",
	} {
		becomes(t, s, stranger, name+".example.com", want)
	}
	for host, why := range map[string]string{
		"ns1": "static records stand there", "*.w": "static records stand there", "host.lab": "static records delegate what is below lab.example.com.",
		"www.fed.svc": "names of services stand there", "w.n.fed.ing.eu": "names of services stand there",
	} {
		if line := "host " + host + ".example.com of namespace shop: refused: " + why; !strings.Contains(s.Log(), line) {
			t.Errorf("not said: %s\n%s", line, s.Log())
		}
	}
	if out := fedctl(t, status, "explain", "ns1.example.com"); !strings.Contains(out, "is a name with static records") || !strings.Contains(out, "refused: static records stand there") {
		t.Error(out)
	}
	if out := fedctl(t, status, "explain", "example.com"); !strings.Contains(out, "refused: it is the domain itself") {
		t.Error(out)
	}
	if n := s.Metric(t, `coredns_federation_host_conflicts{federation="fed"}`); n != 6 {
		t.Errorf("%v conflicts", n)
	}
	w.write("db", strings.ReplaceAll(strings.ReplaceAll(static, "*.w A", "y.w A"), "lab", "lap"))
	becomes(t, s, stranger, "y.w.example.com", "192.0.2.55")
	becomes(t, s, stranger, "z.w.example.com", "192.0.2.1")
	becomes(t, s, stranger, "host.lab.example.com", "192.0.2.1")
	server.Eventually(t, limit, "fewer conflicts", func() bool { return s.Metric(t, `coredns_federation_host_conflicts{federation="fed"}`) == 5 })
}

// A host has its own policy and TTL, and operators' orders hold for it.
func TestSaidOtherwise(t *testing.T) {
	w := newWorld(t)
	for region, addr := range map[string]string{"europe-west1": "192.0.2.1", "us-central1": "192.0.2.2"} {
		i := vector.Ingress("shop", "front", addr, [2]string{"all.example.com", "web"})
		vector.With(vector.With(i, "fedns.io/policy", "all"), "fedns.io/ttl", "7s")
		r := vector.With(vector.Route("HTTPRoute", "shop", "r", "gw", "web", "first.example.com"), "fedns.io/policy", "failover us-central1 europe-west1")
		w.cluster(region, i, vector.Gateway("shop", "gw", addr), r)
	}
	orders := w.write("overrides", "")
	s, status := w.start("europe-west1 us-central1", nets+"  overrides "+orders)
	becomes(t, s, european, "all.example.com", "192.0.2.1 192.0.2.2")
	becomes(t, s, european, "first.example.com", "192.0.2.2")
	if m := from(t, s, "udp", european, "all.example.com", dns.TypeA); m.Answer[0].Header().Ttl != 7 {
		t.Errorf("%v", m)
	}
	w.write("overrides", "drain cluster/us-central1 reason \"a test\"\n")
	becomes(t, s, european, "all.example.com", "192.0.2.1")
	becomes(t, s, european, "first.example.com", "192.0.2.1")
	if out := fedctl(t, status, "down", "service/shop/all.example.com", "--reason", "a test", "--dry-run", "--force", "--file", orders); !strings.Contains(out, "all.example.com") {
		t.Error(out)
	}
	w.write("overrides", "down service/shop/all.example.com reason \"a test\"\n")
	becomes(t, s, european, "all.example.com", "NOERROR: no shard is up: forced down in 2 clusters")
	becomes(t, s, european, "first.example.com", "192.0.2.2")
}
