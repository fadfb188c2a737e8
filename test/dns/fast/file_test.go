package fast

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// besides is a zone of plugin file, in a server block of its own.
const besides = `$ORIGIN static.example.org.
$TTL 60
@ 3600 SOA ns1 hostmaster 7 7200 1800 86400 5
@ NS ns1
@ NS ns2.example.net.
@ MX 10 mail
@ TXT "v=spf1 -all"
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
mail A 192.0.2.25
www A 192.0.2.80
www AAAA 2001:db8::80
www HTTPS 1 . alpn=h2
_sip._tcp SRV 1 2 5060 mail
_sip._tcp SRV 1 3 5060 ns1
txt.deep TXT "Hello" "World"
* TXT "wildcard"
*.wild A 192.0.2.98
*.wild MX 1 mail
closer.wild TXT "x"
lab NS ns.lab
ns.lab A 192.0.2.54
alias CNAME www
twice CNAME alias
away CNAME www.example.net.
shop CNAME web.shop.fed.svc.example.com.
led CNAME shop
hop CNAME web.shop.fed.svc.us-a.us.example.com.
down CNAME down.shop.fed.svc.eu.example.com.
none CNAME nobody.shop.fed.svc.example.com.
ent CNAME shop.fed.svc.example.com.
host CNAME shop.example.com.
fedstatic CNAME mail.example.com.
fedalias CNAME www.example.com.
deleg CNAME host.lab.example.com.
port CNAME _http._tcp.ports.shop.fed.svc.example.com.
crowd CNAME big200.shop.fed.svc.example.com.
*.any CNAME web.shop.fed.svc.example.com.
other CNAME www.other.example.org.
here CNAME nothing.wild
fwd CNAME www.forwarded.test.
tree DNAME wild
`

// besideNames are all that is asked there, but for what is the same as in another zone.
var besideNames = func() (out []string) {
	out = append(out, "")
	for l := range strings.Lines(besides) {
		if name, _, ok := strings.Cut(l, " "); ok && !strings.HasPrefix(name, "$") && name != "@" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return append(out, "deep", "wild", "x.wild", "y.x.wild", "x.closer.wild", "x.www", "x.lab", "a.b.lab", "nobody", "x.deep", "_tcp", "x.any", "y.x.any", "any", "x.tree", "many", "text", "x.many", "below.cut", "www.below", "www.below.cut")
}()

// TestFile asks both ways the same of zones of plugin file that stand in server blocks of their own.
func TestFile(t *testing.T) {
	const home = "127.0.0.1"
	dir := t.TempDir()
	clusters := server.Members(dir, manifests(t, dir)...)
	apexFile := write(t, dir, "db.example.com", apex+many())
	db := write(t, dir, "db.static", besides+many())
	other := write(t, dir, "db.other", "$ORIGIN other.example.org.\n@ 60 SOA ns9 hostmaster 7 7200 1800 86400 9\n@ NS ns9\nns9 A 192.0.2.9\nwww A 192.0.2.95\n")
	below := write(t, dir, "db.below", "$ORIGIN below.cut.static.example.org.\n@ 60 SOA ns9 hostmaster 7 7200 1800 86400 9\nwww A 192.0.2.67\n")
	forwarded := write(t, dir, "db.forwarded", "$ORIGIN forwarded.test.\n@ 60 SOA ns9 hostmaster 7 7200 1800 86400 9\nwww A 192.0.2.66\n")
	signedDB := write(t, dir, "db.signed", besides+"www RRSIG A 13 4 60 20300101000000 20200101000000 1 @ AAAA\n")
	do := opt(1232, 0x8000)
	type taken struct {
		name  string
		qtype uint16
		opt   string
		fast  bool
	}
	plain := []taken{
		{"", dns.TypeSOA, "", true}, {"", dns.TypeNS, "", true}, {"", dns.TypeTXT, "", true}, {"", dns.TypeA, "", true}, {"", dns.TypeDS, "", false}, {"www", dns.TypeA, "", true}, {"www", dns.TypeA, do, true}, {"www", dns.TypeANY, "", true},
		{"WWW", dns.TypeA, "", true}, {"www", dns.TypeTXT, "", true}, {"nobody.www", dns.TypeA, do, true}, {"nobody", dns.TypeTXT, "", true}, {"x.wild", dns.TypeA, "", true}, {"x.closer.wild", dns.TypeA, "", true}, {"deep", dns.TypeA, "", true},
		{"x.lab", dns.TypeA, do, true}, {"_sip._tcp", dns.TypeSRV, "", true}, {"twice", dns.TypeA, "", true}, {"away", dns.TypeA, "", true}, {"www", dns.TypeAXFR, "", false}, {"x.tree", dns.TypeA, "", false},
		// Into the federation.
		{"shop", dns.TypeA, "", true}, {"shop", dns.TypeA, do, true}, {"led", dns.TypeAAAA, "", true}, {"hop", dns.TypeA, "", true}, {"none", dns.TypeA, "", true}, {"ent", dns.TypeA, "", true}, {"host", dns.TypeA, do, true}, {"host", dns.TypeTXT, "", true},
		{"fedstatic", dns.TypeA, "", true}, {"fedalias", dns.TypeA, "", true}, {"x.any", dns.TypeA, "", true}, {"port", dns.TypeSRV, "", true}, {"deleg", dns.TypeA, "", false},
		{"crowd", dns.TypeA, "", false}, {"other", dns.TypeA, "", false}, {"here", dns.TypeA, "", false}, {"fwd", dns.TypeA, "", false}, {"many", dns.TypeA, "", false},
	}
	slow := []taken{{"www", dns.TypeA, "", false}, {"nobody.www", dns.TypeA, "", false}, {"shop", dns.TypeA, "", false}}
	with := func(found, denied bool) []taken {
		return []taken{{"www", dns.TypeA, "", found}, {"nobody.www", dns.TypeA, "", denied}, {"www", dns.TypePTR, "", denied}}
	}
	rows := []struct {
		plugins string
		file    string // what stands behind the plugin's name
		asks    []taken
		changes bool // its answers are different each time
	}{
		{plugins: "errors\n prometheus METRICS", file: db + " static.example.org", asks: plain},
		{plugins: "errors\n metadata\n nsid me\n ready READY", file: db + " static.example.org {\n reload 0\n }", asks: plain[:20]},
		{plugins: "log example.net", asks: with(true, true)},
		{plugins: "log . {\n class denial\n }", asks: with(true, false)},
		{plugins: "log . {\n class success\n }", asks: with(false, true)},
		{plugins: "minimal", asks: with(false, true)},
		{plugins: "header {\n  response set ra\n  response clear aa\n }\n bufsize 600", asks: with(true, true)},
		{plugins: "acl {\n  block type AAAA\n }", asks: []taken{{"www", dns.TypeA, "", true}, {"www", dns.TypeAAAA, "", false}}},
		{plugins: "transfer {\n  to *\n }", asks: with(true, true)},
		{plugins: "log", asks: slow},
		{plugins: "cache", asks: slow, changes: true},
		{plugins: "loadbalance", asks: slow, changes: true},
		{plugins: "rewrite name regex (.*)\\.old {1}.new", asks: slow},
		{plugins: "errors", file: db + " {\n  fallthrough\n }", asks: []taken{{"www", dns.TypeA, "", true}, {"www", dns.TypePTR, "", true}, {"nobody.www", dns.TypeA, "", false}, {"deep", dns.TypeA, "", true}, {"x.deep", dns.TypeA, "", false}}},
		{plugins: "errors", file: signedDB, asks: []taken{{"www", dns.TypeA, "", true}, {"www", dns.TypeA, do, false}, {"nobody.www", dns.TypeA, do, false}, {"shop", dns.TypeA, do, false}, {"shop", dns.TypeA, "", true}}},
		{plugins: "view v {\n  expr true\n }", asks: slow},
	}
	text := func(way string) string {
		out := "example.net:PORT {\n bind ADDR\n ready READY\n prometheus METRICS\n}\n"
		for i, r := range rows {
			file := r.file
			if file == "" {
				file = db
			}
			bind := fmt.Sprint(" bind 127.0.58.", i+1, "\n")
			out += "example.com:PORT {\n" + bind + " prometheus METRICS\n federation fed example.com {\n" + clusters + "  answers 2000\n  apex " + apexFile + "\n  " + way + "\n }\n}\n" +
				"static.example.org:PORT {\n" + bind + " " + r.plugins + "\n file " + file + "\n}\n" +
				"other.example.org:PORT {\n" + bind + " file " + other + "\n}\n" +
				"below.cut.static.example.org:PORT {\n" + bind + " file " + below + "\n}\n" +
				"forwarded.test:PORT {\n" + bind + " log\n file " + forwarded + "\n}\n"
		}
		return out
	}
	ways := map[string]*server.Server{"fast": server.Start(t, text("fast on")), "chain": server.Start(t, text("fast off"))}
	_, fastPort, _ := net.SplitHostPort(ways["fast"].Addr)
	for i, r := range rows {
		t.Run(r.plugins, func(t *testing.T) {
			host := fmt.Sprint("127.0.58.", i+1)
			isFast(t, ways["fast"], host)
			isSlow(t, ways["chain"], host)
			b := &block{host: host, domains: []string{"static.example.org"}, names: besideNames, core: []string{"", "www", "nobody", "x.wild", "lab", "shop", "none", "hop", "away"}, cookies: true, elsewhere: true}
			fast, chain := wayTo(t, ways["fast"], host, b), wayTo(t, ways["chain"], host, b)
			counted := func() float64 {
				return ways["fast"].Metric(t, `coredns_federation_fast_questions_total{server="dns://`+host+":"+fastPort+`",way="fast"}`)
			}
			for _, a := range r.asks {
				q := question(0x0100, labels(strings.TrimPrefix(a.name+".static.example.org", ".")), a.qtype, a.opt)
				is := false
				// What is asked first has the zone read.
				for end := time.Now().Add(server.Patience(0)); ; time.Sleep(10 * time.Millisecond) {
					before := counted()
					if got, err := dialFrom(t, home, net.JoinHostPort(host, fastPort)).ask([][]byte{q}); err != nil || got[0] == nil {
						t.Fatalf("%s: no answer, %v", a.name, err)
					}
					if is = counted() > before; is == a.fast || time.Now().After(end) {
						break
					}
				}
				if is != a.fast {
					t.Errorf("%s %s, OPT %x: fast %v, want %v", a.name, dns.Type(a.qtype), a.opt, is, a.fast)
				}
			}
			if i == 0 {
				countedAlike(t, ways, host)
			}
			if r.changes {
				return
			}
			packets := slices.DeleteFunc(b.questions(), func(p packet) bool {
				q, ok := read(p.bytes)
				return !ok || q.has(subnet) || q.has(ede) || len(p.bytes) > 512 || strings.HasPrefix(p.about, "bad cookie") // those are TestSame's
			})
			var sent [][]byte
			for _, p := range packets {
				sent = append(sent, p.bytes)
			}
			both(t, fast, chain, sent, sent)
			tally := newTally()
			tally.compare(b, packets, fast, chain)
			t.Logf("%d packets to each", len(packets))
			for kind, k := range tally.kinds {
				t.Errorf("%s: %d times, such as\n%s", kind, k.n, strings.Join(k.first, "\n"))
			}
		})
	}
}

// countedAlike asks both ways, which CoreDNS counts alike.
func countedAlike(t *testing.T, ways map[string]*server.Server, host string) {
	t.Helper()
	for _, rcode := range []string{"NOERROR", "NXDOMAIN"} {
		for way, s := range ways {
			_, port, _ := net.SplitHostPort(s.Addr)
			at := net.JoinHostPort(host, port)
			// In the chain, the plugin behind prometheus is taken for who answers.
			names := []string{`coredns_dns_responses_total{plugin="` + map[string]string{"fast": "file", "chain": "errors"}[way] + `",rcode="` + rcode + `",server="dns://` + at + `",view="",zone="static.example.org."}`,
				`coredns_dns_requests_total{family="1",proto="udp",server="dns://` + at + `",type="A",view="",zone="static.example.org."}`}
			var before []float64
			for _, name := range names {
				before = append(before, s.Metric(t, name))
			}
			packet := question(0, labels(map[string]string{"NOERROR": "www", "NXDOMAIN": "x.www"}[rcode]+".static.example.org"), dns.TypeA, "")
			if _, err := dial(t, at).ask([][]byte{packet}); err != nil {
				t.Fatal(err)
			}
			for i, name := range names {
				if n := s.Metric(t, name) - before[i]; n != 1 {
					t.Errorf("%s: %v of one are counted in %s", way, n, name)
				}
			}
		}
	}
}

// A new version of a file is answered once plugin file has it, and what that doesn't take isn't.
func TestFileReload(t *testing.T) {
	dir := t.TempDir()
	zone := func(serial int, rest string) string {
		return fmt.Sprintf("$ORIGIN static.example.org.\n@ 60 SOA ns1 hostmaster %d 7200 1800 86400 5\n@ NS ns1\n%s\n", serial, rest)
	}
	replace := func(text string) {
		t.Helper()
		next := write(t, dir, "next", text)
		if err := os.Rename(next, dir+"/db"); err != nil {
			t.Fatal(err)
		}
	}
	replace(zone(1, "www A 192.0.2.1"))
	s := server.Start(t, "example.com:PORT {\n bind ADDR\n prometheus METRICS\n ready READY\n"+article(t, "")+"}\nstatic.example.org:PORT {\n bind ADDR\n file "+dir+"/db {\n  reload 50ms\n }\n}\n")
	isFast(t, s, "127.0.0.1")
	addresses := func() string { return strings.TrimSpace(dig(t, s.Addr, "+short", "www.static.example.org", "A")) }
	becomes := func(want string) {
		t.Helper()
		server.Eventually(t, 10*time.Second, "the answer is "+want, func() bool { return addresses() == want })
		fast := func() float64 {
			return s.Metric(t, `coredns_federation_fast_questions_total{server="dns://`+s.Addr+`",way="fast"}`)
		}
		server.Eventually(t, 10*time.Second, "it is by the fast path", func() bool {
			before := fast()
			return addresses() == want && fast() > before
		})
	}
	becomes("192.0.2.1")
	replace(zone(2, "www A 192.0.2.2"))
	becomes("192.0.2.2")
	for _, bad := range []string{zone(2, "www A 192.0.2.9"), zone(3, "www A 192.0.2"), zone(3, "www A 192.0.2.9")[:40], ""} {
		replace(bad)
		time.Sleep(200 * time.Millisecond) // in which the plugin looks a few times
		becomes("192.0.2.2")
	}
	if err := os.Remove(dir + "/db"); err != nil {
		t.Fatal(err)
	}
	becomes("192.0.2.2")
	replace(zone(4, "www A 192.0.2.4"))
	becomes("192.0.2.4")
}
