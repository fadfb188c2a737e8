package peers

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// oracleApex is an apex file with one of everything that may stand there.
const oracleApex = `
@            3600 IN SOA   ns1 hostmaster 1 7200 1800 86400 5
@            3600 IN NS    ns1
@            3600 IN NS    ns2.example.net.
@             300 IN TXT   "federated"
ns1          3600 IN A     192.0.2.53
ns1          3600 IN AAAA  2001:db8::53
www           600 IN A     192.0.2.80
www           600 IN TXT   "beside the federation"
a.deep.name   600 IN A     192.0.2.81
web           180 IN CNAME web.shop.prod.svc
api           180 IN CNAME api.shop.prod.svc.eu-c.eu
gone          180 IN CNAME nobody.shop.prod.svc
away          180 IN CNAME www.example.net.
into          180 IN CNAME host.sub
absent        180 IN CNAME absent.name
loopa         180 IN CNAME loopb
loopb         180 IN CNAME www
*.wild        120 IN TXT   "any"
*.wild        120 IN A     192.0.2.82
one.wild      120 IN A     192.0.2.83
*.led         120 IN CNAME web.shop.prod.svc.us
sub           900 IN NS    ns.sub
ns.sub        900 IN A     192.0.2.99
mx            600 IN MX    10 www
_sip._udp     600 IN SRV   1 2 5060 www
txt.eu        600 IN TXT   "in a region"
txt.svc       600 IN TXT   "above the federations"
`

// TestOracle transfers the zone, has NSD serve it from a file, and asks both the
// same questions: for every name in it, for those above and for others that don't
// exist. Then a shard goes down, and all of that again.
func TestOracle(t *testing.T) {
	dir := t.TempDir()
	paris := place{"paris", "eu", []string{"eu-a", "eu-b"}}
	lyon := place{"lyon", "eu", []string{"eu-c"}}
	ohio := place{"ohio", "us", []string{"us-a"}}
	leeds := place{"leeds", "uk", []string{"az1"}} // the zone's name stands in two regions
	kyoto := place{"kyoto", "jp", []string{"az1"}}

	svc := func(name string, ips ...string) vector.Object { return vector.Service("shop", name, ips...) }
	up := func(name string, zones ...string) vector.Object { return vector.Slice("shop", name, true, zones...) }
	down := func(name string, zones ...string) vector.Object { return vector.Slice("shop", name, false, zones...) }
	ports := func(o vector.Object, ports ...vector.Object) vector.Object {
		o["spec"].(vector.Object)["ports"] = ports
		return o
	}
	tcp := func(name string, n int) vector.Object {
		return vector.Object{"name": name, "port": n, "protocol": "TCP"}
	}
	udp := func(name string, n int) vector.Object {
		return vector.Object{"name": name, "port": n, "protocol": "UDP"}
	}
	ttl := func(o vector.Object, ttl string) vector.Object {
		o["metadata"].(vector.Object)["annotations"] = vector.Object{"fedns.io/ttl": ttl}
		return o
	}

	paris.write(t, dir,
		svc("web", "192.0.2.1", "2001:db8::1"), up("web", "eu-a", "eu-b"),
		svc("api", "192.0.2.2"), up("api", "eu-a"),
		ports(svc("voice", "192.0.2.3"), tcp("http", 80), udp("media", 4000), tcp("sip", 5060), udp("sip", 5060)), up("voice", "eu-b"),
		svc("dark", "192.0.2.4"), down("dark", "eu-a"),
		ttl(svc("brief", "192.0.2.5"), "7s"), up("brief", "eu-a", "eu-b"),
		ports(svc("mute", "192.0.2.6"), tcp("http", 80), udp("media", 4000)), down("mute", "eu-a"),
		vector.Ingress("shop", "pages", "192.0.2.90", [2]string{"*.pages.example.com", "web"}, [2]string{"app.pages.example.com", "dark"},
			[2]string{"*.off.pages.example.com", "dark"}, [2]string{"deep.app.pages.example.com", "web"}, [2]string{"one.wild.example.com", "dark"}),
	)
	lyonWrite := func(web vector.Object) {
		lyon.write(t, dir,
			svc("web", "192.0.2.11"), web,
			svc("dark", "192.0.2.14"), down("dark", "eu-c"),
		)
	}
	lyonWrite(up("web", "eu-c"))
	ohio.write(t, dir,
		svc("web", "198.51.100.1"), up("web", "us-a"),
		svc("six", "2001:db8::6"), up("six", "us-a"),
		ports(svc("voice", "198.51.100.3"), tcp("http", 8080)), up("voice", "us-a"),
		vector.Service("lab", "web", "198.51.100.9"), vector.Slice("lab", "web", true, "us-a"),
	)
	leeds.write(t, dir, svc("web", "203.0.113.1"), down("web", "az1"))
	kyoto.write(t, dir, svc("web", "203.0.113.2"), up("web", "az1"))

	apex := write(t, t.TempDir(), "db.example.com", oracleApex)
	s := startFedns(t, "example.com:PORT {\n bind ADDR\n transfer {\n  to *\n }\n federation prod {\n"+
		server.Members(dir, "paris", "lyon", "ohio", "leeds", "kyoto")+"  apex "+apex+"\n  ttl 60s 20s\n }\n ready READY\n}\n")

	t.Run("all is well", func(t *testing.T) { consult(t, s) })

	lyonWrite(down("web", "eu-c"))
	server.Eventually(t, 2*time.Second, "the shard in lyon is down", func() bool {
		return len(server.Chain(s.Ask(t, "web.shop.prod.svc.eu-c.eu.example.com", dns.TypeA))) == 1
	})
	t.Run("a shard is down", func(t *testing.T) { consult(t, s) })

	place{name: "leeds"}.write(t, dir) // no nodes, nothing
	server.Eventually(t, 2*time.Second, "the region of leeds is gone, and the zone in kyoto has a short form", func() bool {
		return s.Ask(t, "web.shop.prod.svc.uk.example.com", dns.TypeA).Rcode == dns.RcodeNameError &&
			s.Ask(t, "web.shop.prod.svc.az1.example.com", dns.TypeA).Rcode == dns.RcodeSuccess
	})
	t.Run("a region is gone", func(t *testing.T) { consult(t, s) })
}

// oracleTypes are asked for at every name. ANY isn't: both servers say as little
// as they may, and not the same.
var oracleTypes = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeCNAME, dns.TypeSOA, dns.TypeNS, dns.TypeTXT, dns.TypeHINFO}

// consult compares the server's answers with NSD's, of a zone that nothing is wrong with.
func consult(t *testing.T, s *server.Server) {
	rrs := transfer(t, s.Addr)
	// A second opinion of the zone as such: CNAMEs alone, glue, TTLs of a set.
	out := output(t, server.Tool(t, "named-checkzone"), "-i", "local", "-k", "fail", "-n", "fail", "-m", "fail", "-M", "fail", "-S", "fail", "-r", "fail", "example.com", zoneOf(t, rrs))
	printed(out).check(t, "OK", "!warning", "!TTL set to")
	beside(t, s, rrs, essence)
}

// beside compares the server's answers with NSD's, of whatever it transfers, by what counts of them.
func beside(t *testing.T, s *server.Server, rrs []dns.RR, essence func(*dns.Msg) string) {
	oracle := consultant(t, zoneOf(t, rrs))
	ours, theirs := dial(t, s.Addr), dial(t, oracle)
	asked, wrong := 0, 0
	for _, name := range questions(rrs) {
		for _, qtype := range oracleTypes {
			q := new(dns.Msg).SetQuestion(name, qtype).SetEdns0(4096, false)
			q.RecursionDesired = false
			a, b := ours.ask(t, q), theirs.ask(t, q)
			asked++
			if a.Rcode == dns.RcodeServerFailure && circular(b) {
				continue // NSD gives the way as far as it has gone
			}
			if got, want := essence(a), essence(b); got != want {
				if wrong++; wrong <= 20 {
					t.Errorf("%s %s:\nfedns\n%sNSD\n%s", name, dns.TypeToString[qtype], got, want)
				}
			}
		}
	}
	if wrong > 20 {
		t.Errorf("and %d more", wrong-20)
	}
	if was, is := rrs[0].(*dns.SOA).Serial, s.Ask(t, "example.com", dns.TypeSOA).Answer[0].(*dns.SOA).Serial; is != was && is != was+1 { // what it comes to when the second of the last change is over
		t.Errorf("the serial went from %d to %d while nothing changed", was, is)
	}
	t.Logf("%d records, %d questions, %d answered differently", len(rrs), asked, wrong)
}

// zoneOf is a file with these records.
func zoneOf(t *testing.T, rrs []dns.RR) string {
	t.Helper()
	var text strings.Builder
	for _, rr := range rrs {
		fmt.Fprintln(&text, rr)
	}
	return write(t, t.TempDir(), "example.com.zone", text.String())
}

// transfer asks for the zone.
func transfer(t *testing.T, addr string) []dns.RR {
	t.Helper()
	ch, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr("example.com."), addr)
	if err != nil {
		t.Fatal(err)
	}
	var rrs []dns.RR
	for e := range ch {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		rrs = append(rrs, e.RR...)
	}
	if len(rrs) < 3 || rrs[0].Header().Rrtype != dns.TypeSOA || rrs[len(rrs)-1].Header().Rrtype != dns.TypeSOA {
		t.Fatalf("the transfer isn't one: %v", rrs)
	}
	rrs = rrs[:len(rrs)-1]
	seen := map[string]bool{}
	for _, rr := range rrs {
		if seen[rr.String()] {
			t.Errorf("transferred twice: %v", rr)
		}
		seen[rr.String()] = true
	}
	return rrs
}

// consultant has NSD serve records, and gives its address.
func consultant(t *testing.T, zone string) string {
	t.Helper()
	dir := filepath.Dir(zone)
	port := vector.Port(t)
	conf := write(t, dir, "nsd.conf", nsdConf(dir, "127.0.0.1", port, map[string]string{"example.com": filepath.Base(zone)}))
	server.Program(t, server.Tool(t, "nsd"), "-d", "-c", conf)
	addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	answers(t, addr, "example.com")
	return addr
}

// questions are the names of the zone, those above them up to the domain, and for
// each a few that may not exist: beside it, below it, and as a port has them.
func questions(rrs []dns.RR) []string {
	have := map[string]bool{}
	for _, rr := range rrs {
		name := strings.ToLower(rr.Header().Name)
		for name != "example.com." {
			have[name] = true
			_, name, _ = strings.Cut(name, ".")
		}
	}
	have["example.com."] = true
	ask := maps.Clone(have)
	for name := range have {
		for _, more := range []string{"nx7f", "a.b.nx7f", "_tcp", "_udp", "_http._tcp", "_nx7f._tcp", "*", "svc", "prod.ing", "shop.prod.svc", "web.shop.prod.svc"} {
			if n := more + "." + name; len(n) <= 254 && dns.CountLabel(n) < 14 {
				ask[n] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(ask), func(a, b string) int {
		return cmp.Or(dns.CountLabel(a)-dns.CountLabel(b), strings.Compare(a, b))
	})
}

// A line is a connection to a server.
type line struct {
	client dns.Client
	conn   *dns.Conn
}

func dial(t *testing.T, addr string) *line {
	t.Helper()
	l := &line{client: dns.Client{Timeout: 5 * time.Second, UDPSize: dns.MaxMsgSize}}
	conn, err := l.client.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l.conn = conn
	return l
}

func (l *line) ask(t *testing.T, q *dns.Msg) *dns.Msg {
	t.Helper()
	m, _, err := l.client.ExchangeWithConn(q, l.conn)
	if err != nil {
		t.Fatalf("%v: %v", q.Question, err)
	}
	return m
}

// essence is what two servers of one zone have to agree on: rcode and AA, the
// answer, and what stands in the authority section of negative answers and of
// referrals.
func essence(m *dns.Msg) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s aa=%v tc=%v\n", dns.RcodeToString[m.Rcode], m.Authoritative, m.Truncated)
	section := func(name string, rrs []dns.RR) {
		var lines []string
		for _, rr := range rrs {
			if soa, ok := rr.(*dns.SOA); ok { // its serial is compared once, at the end
				timeless := *soa
				timeless.Serial = 0
				rr = &timeless
			}
			lines = append(lines, strings.ToLower(rr.String()))
		}
		slices.Sort(lines)
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s %s\n", name, l)
		}
	}
	section("answer", m.Answer)
	referral := !m.Authoritative
	negative := slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
	if referral || negative {
		section("authority", m.Ns)
	}
	if referral {
		section("glue", slices.DeleteFunc(slices.Clone(m.Extra), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT }))
	}
	return b.String()
}

var generated = flag.Int("zones", 3, "how many random zones of static records are answered beside NSD")

// TestGenerated has random static records be answered as NSD answers them.
func TestGenerated(t *testing.T) {
	t.Parallel()
	for range *generated {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := t.TempDir()
			place{name: "paris", region: "eu", zones: []string{"eu-a"}}.write(t, dir)
			text := vector.RandomZone(rand.New(rand.NewPCG(seed, 0)))
			apex := write(t, t.TempDir(), "db.example.com", text)
			s := startFedns(t, "example.com:PORT {\n bind ADDR\n transfer {\n  to *\n }\n federation prod {\n"+server.Members(dir, "paris")+"  apex "+apex+"\n }\n ready READY\n}\n")
			if beside(t, s, transfer(t, s.Addr), unglued); t.Failed() {
				t.Logf("of\n%s", text)
			}
		})
	}
}

// unglued is the essence of an answer but for addresses of name servers: NSD also has those that aren't below a delegation, which
// a resolver can ask for (RFC 9471 section 3), and CoreDNS's file, which these are compared with elsewhere, hasn't.
func unglued(m *dns.Msg) string {
	var out strings.Builder
	for line := range strings.Lines(essence(m)) {
		if !strings.HasPrefix(line, "  glue ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// circular says whether what an answer leads to leads back, or into itself without an end.
func circular(m *dns.Msg) bool {
	leads := map[string]string{}
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.CNAME:
			leads[strings.ToLower(rr.Hdr.Name)] = strings.ToLower(rr.Target)
		case *dns.DNAME:
			if dns.IsSubDomain(rr.Hdr.Name, rr.Target) {
				return true
			}
		}
	}
	for name := range leads {
		for range leads {
			name = leads[name]
		}
		if leads[name] != "" {
			return true
		}
	}
	return false
}
