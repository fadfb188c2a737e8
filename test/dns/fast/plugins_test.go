package fast

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// TestPlugins asks both ways the same where other plugins stand in the server block:
// questions that one of them needs to see are answered by the chain, all others past it,
// and whoever asks, or reads the log, sees no difference.
func TestPlugins(t *testing.T) {
	const (
		web, led, none = "web.shop.fed.svc.eu", "web.shop.fed.svc.us-a", "nobody.shop.fed.svc"
		empty          = "shop.fed.svc"
		nowhere        = "down.shop.fed.svc.us" // up to the global name, which has no shard
		port           = "_http._tcp.ports.shop.fed.svc"
	)
	const home, guest = "127.0.0.1", "127.0.0.9"
	do := opt(1232, 0x8000)
	type taken struct {
		name  string
		qtype uint16
		opt   string
		from  string
		fast  bool
	}
	// with is the same for the questions of all kinds.
	with := func(edns string, as map[string]bool) (out []taken) {
		for name, fast := range as {
			out = append(out, taken{name, dns.TypeA, edns, home, fast})
		}
		return out
	}
	dir := t.TempDir()
	weights := write(t, dir, "weights", "web.shop.fed.svc.eu.example.com\n192.0.2.1 3\n192.0.2.2 1\n")
	rows := []struct {
		plugins string // N stands for the number of the row
		asks    []taken
		dropped bool   // some get no answer
		loose   bool   // the plugin orders records by chance, and signs with the time
		ours    string // an aspect in which the chain's answers to what the plugin refuses are wrong
	}{
		{plugins: "metadata\n errors\n any", asks: append(with("", map[string]bool{web: true, led: true, none: true, nowhere: true}), taken{web, dns.TypeANY, "", home, false})},
		{plugins: "bufsize 512", asks: with(opt(1232, 0), map[string]bool{web: true, led: true, none: true, "big30.shop.fed.svc": true})},
		{plugins: "bufsize 900", asks: with("", map[string]bool{web: true, "big200.shop.fed.svc": true})},
		{plugins: "header {\n  response set ra\n  response clear aa\n  query set rd\n }", asks: with("", map[string]bool{web: true, led: true, none: true})},
		{plugins: "minimal", asks: append(slices.Concat(with("", map[string]bool{web: true, led: true, none: true, empty: true, nowhere: false}),
			with(opt(1232, 0), map[string]bool{web: true, led: false, none: true, nowhere: false})), taken{port, dns.TypeSRV, "", home, false})},
		{loose: true, plugins: "dnssec {\n  key file " + key(t, dir) + "\n }", asks: slices.Concat(with("", map[string]bool{web: true, led: true, none: true}), with(do, map[string]bool{web: false, led: false, none: false}),
			[]taken{{web, dns.TypeDNSKEY, "", home, false}})},
		{plugins: "log . \"row N: {type} {name} {rcode} {>rflags} {class}\" {\n  class error\n }", asks: with("", map[string]bool{web: true, led: true, none: true, nowhere: true})},
		{plugins: "log . \"row N: {type} {name} {rcode} {>rflags} {class}\" {\n  class denial\n }", asks: with("", map[string]bool{web: true, led: true, none: false, nowhere: true, empty: false})},
		{plugins: "log . \"row N: {type} {name} {rcode} {>rflags} {class}\" {\n  class success\n }", asks: with("", map[string]bool{web: false, led: false, none: true, nowhere: false, empty: true})},
		{plugins: "log example.org \"row N: {name}\"\n log " + web + ".example.com \"row N: {type} {name} {rcode}\"", asks: with("", map[string]bool{web: false, led: true, none: true})},
		{ours: "DO", plugins: "acl {\n  allow net 127.0.0.1\n  block type AAAA net 127.0.0.0/8\n  filter net 127.0.0.8/29\n }", asks: []taken{
			{web, dns.TypeA, "", home, true}, {web, dns.TypeAAAA, "", home, true}, {web, dns.TypeA, "", guest, false}, {web, dns.TypeAAAA, "", guest, false}, {web, dns.TypeAAAA, "", "127.0.0.2", false}, {web, dns.TypeA, do, "127.0.0.2", true}}},
		{ours: "DO", plugins: "acl example.org {\n  block\n }\n acl eu.example.com {\n  block\n }", asks: with("", map[string]bool{web: false, none: true, "web.shop.fed.svc": true})},
		{plugins: "acl {\n  drop net 127.0.0.9\n }", dropped: true, asks: []taken{{web, dns.TypeA, "", home, true}, {web, dns.TypeA, "", "127.0.0.2", true}}},
		{plugins: "rewrite name www.example.org web.shop.fed.svc.example.com\n rewrite name exact six.shop.fed.svc.example.com web.shop.fed.svc.example.com answer auto\n rewrite ttl suffix .us.example.com 3",
			asks: with("", map[string]bool{web: true, led: true, none: true, "six.shop.fed.svc": false, "web.shop.fed.svc.us": false})},
		{loose: true, plugins: "loadbalance weighted " + weights, asks: with("", map[string]bool{web: false, none: true, empty: true})},
		{loose: true, plugins: "loadbalance round_robin {\n  prefer 192.0.2.2/32\n }", asks: with("", map[string]bool{web: false, none: true, empty: true})},
		{plugins: "tsig {\n  secret key.example.com. NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk=\n  require AAAA\n }", asks: append(with("", map[string]bool{web: true}), taken{web, dns.TypeAAAA, "", home, false})},
	}

	text := func(way string) string {
		// The first is where serve asks whether there is a server.
		out := "example.net:PORT {\n bind ADDR\n ready READY\n prometheus METRICS\n}\n"
		clusters := server.Members(dir, manifests(t, dir)...)
		apexFile := write(t, dir, "db.example.com", apex+many())
		for i, r := range rows {
			out += fmt.Sprintf("example.com:PORT example.org:PORT {\n bind 127.0.56.%d\n prometheus METRICS\n %s\n federation fed example.com {\n%s  answers 2000\n  apex %s\n  %s\n }\n ready READY\n}\n",
				i+1, strings.ReplaceAll(r.plugins, "row N", fmt.Sprint("row ", i)), clusters, apexFile, way)
		}
		return out
	}
	ways := map[string]*server.Server{"fast": server.Start(t, text("fast on")), "chain": server.Start(t, text("fast off"))}
	_, fastPort, _ := net.SplitHostPort(ways["fast"].Addr)
	_, chainPort, _ := net.SplitHostPort(ways["chain"].Addr)
	for i, r := range rows {
		t.Run(r.plugins, func(t *testing.T) {
			host := fmt.Sprint("127.0.56.", i+1)
			isFast(t, ways["fast"], host)
			isSlow(t, ways["chain"], host)
			b := &block{host: host, domains: []string{"example.com"}, names: core, core: core, cookies: true, elsewhere: true}
			counted := func() float64 {
				return ways["fast"].Metric(t, `coredns_federation_fast_questions_total{server="dns://`+host+":"+fastPort+`",way="fast"}`)
			}
			for _, a := range r.asks {
				before := counted()
				for _, port := range []string{fastPort, chainPort} {
					got, err := dialFrom(t, a.from, net.JoinHostPort(host, port)).ask([][]byte{question(0x0100, labels(a.name+".example.com"), a.qtype, a.opt)})
					if err != nil || got[0] == nil {
						t.Fatalf("%s from %s: no answer, %v", a.name, a.from, err)
					}
				}
				if is := counted() > before; is != a.fast {
					t.Errorf("%s %s from %s, OPT %x: fast %v, want %v", a.name, dns.Type(a.qtype), a.from, a.opt, is, a.fast)
				}
			}
			tally := newTally()
			for _, from := range []string{home, guest} {
				if r.dropped && from == guest {
					for _, port := range []string{fastPort, chainPort} {
						if m, _, err := (&dns.Client{Timeout: soon, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}, Timeout: soon}}).Exchange(
							new(dns.Msg).SetQuestion(web+".example.com.", dns.TypeA), net.JoinHostPort(host, port)); err == nil {
							t.Errorf("an answer to whom none is given: %v", m)
						}
					}
					continue
				}
				fast, chain := wayTo(t, ways["fast"], host, b), wayTo(t, ways["chain"], host, b)
				fast.asker, chain.asker = dialFrom(t, from, net.JoinHostPort(host, fastPort)), dialFrom(t, from, net.JoinHostPort(host, chainPort))
				// What plugins take away of a client's network, and what isn't understood
				// elsewhere, is TestSame's.
				packets := slices.DeleteFunc(b.questions(), func(p packet) bool {
					q, ok := read(p.bytes)
					return !ok || q.has(subnet) || q.has(zoneVersion) || q.has(ede) || len(p.bytes) > 512
				})
				var sent [][]byte
				for _, p := range packets {
					sent = append(sent, p.bytes)
				}
				both(t, fast, chain, sent, sent)
				if r.loose {
					loosen(t, fast.answers)
					loosen(t, chain.answers)
				}
				tally.compare(b, packets, fast, chain)
			}
			for kind, k := range tally.kinds {
				// acl has all clients signed answers (RFC 3225 section 3: as it was asked).
				if kind == r.ours {
					continue
				}
				t.Errorf("%s: %d times, such as\n%s", kind, k.n, strings.Join(k.first, "\n"))
			}
			// A question may have been asked twice.
			logged := func(s *server.Server) map[string]bool {
				out := map[string]bool{}
				for l := range strings.Lines(s.Log()) {
					if _, line, ok := strings.Cut(l, fmt.Sprintf("row %d: ", i)); ok {
						out[line] = true
					}
				}
				return out
			}
			var only []string
			alike := func() bool {
				fast, chain := logged(ways["fast"]), logged(ways["chain"])
				only = nil
				for l := range chain {
					if !fast[l] {
						only = append(only, "chain: "+l)
					}
				}
				for l := range fast {
					if !chain[l] {
						only = append(only, "fast: "+l)
					}
				}
				return len(only) == 0 && strings.Contains(r.plugins, "row N") == (len(fast) > 0)
			}
			for end := time.Now().Add(server.Patience(0)); !alike(); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("only one has logged, or none: %q", only[:min(len(only), 20)])
				}
			}
		})
	}
	t.Run("what acl lets through is counted", func(t *testing.T) {
		var n [2]float64
		row := 0
		for i, r := range rows {
			if r.dropped {
				row = i
			}
		}
		for i, port := range []string{fastPort, chainPort} {
			s := ways[[]string{"fast", "chain"}[i]]
			host := fmt.Sprint("127.0.56.", row+1)
			name := `coredns_acl_allowed_requests_total{server="dns://` + host + ":" + port + `"`
			before := s.Metric(t, name)
			if _, err := dial(t, net.JoinHostPort(host, port)).ask([][]byte{
				question(0, labels(web+".example.com"), dns.TypeA, ""), question(0, labels("mail.example.com"), dns.TypeA, ""), question(0, labels(none+".example.com"), dns.TypeA, do),
			}); err != nil {
				t.Fatal(err)
			}
			n[i] = s.Metric(t, name) - before
		}
		if n != [2]float64{3, 3} {
			t.Errorf("%v of three questions are counted", n)
		}
	})
}

// loosen makes answers alike but for the order of their records, and for when they were
// signed.
func loosen(t *testing.T, answers [][]byte) {
	t.Helper()
	for i, b := range answers {
		m := new(dns.Msg)
		if b == nil || m.Unpack(b) != nil {
			continue
		}
		for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
			for _, rr := range rrs {
				if s, ok := rr.(*dns.RRSIG); ok {
					s.Inception, s.Expiration, s.Signature = 0, 0, "AAAA"
				}
			}
			slices.SortFunc(rrs, func(a, b dns.RR) int { return strings.Compare(a.String(), b.String()) })
		}
		m.Compress = true
		var err error
		if answers[i], err = m.Pack(); err != nil {
			t.Fatal(err)
		}
	}
}

// dialFrom is dial with an address of one's own.
func dialFrom(t testing.TB, from, addr string) *asker {
	t.Helper()
	a := dial(t, addr)
	conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.UDPConn).SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	a.conn = conn
	return a
}

// key makes a key of example.com for the plugin dnssec, and gives its path.
func key(t *testing.T, dir string) string {
	t.Helper()
	k := &dns.DNSKEY{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600}, Flags: 257, Protocol: 3, Algorithm: dns.ED25519}
	private, err := k.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("Kexample.com.+015+%05d", k.KeyTag())
	write(t, dir, name+".key", k.String()+"\n")
	write(t, dir, name+".private", k.PrivateKeyString(private))
	return filepath.Join(dir, name)
}
