package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// Secondaries of each make come back when they were away for longer than they may go without looking (refresh and retry, of
// seconds here), with the difference, since the primary has been there all the while; and when the primary was away, for so
// long that they had given the zone up (expire), and knows no more what they have: with all of it.
func TestAway(t *testing.T) {
	dir := t.TempDir()
	n := 0
	serve := func() (addr string) {
		n++
		addr = fmt.Sprint("192.0.2.", n)
		objects := []vector.Object{vector.Service("shop", "web", addr), vector.Slice("shop", "web", true, "eu-a")}
		for i := range 20 { // of which a change is a small part
			name := fmt.Sprint("calm", i)
			objects = append(objects, vector.Service("shop", name, "192.0.2.200"), vector.Slice("shop", name, true, "eu-a"))
		}
		place{"paris", "eu", []string{"eu-a"}}.write(t, dir, objects...)
		return addr
	}
	now := serve()
	own := t.TempDir()
	timers := func(expire int) (path string) {
		return write(t, own, "db", fmt.Sprintf("@ SOA ns1 hostmaster 7 2 1 %d 5\n@ NS ns1\nns1 A 192.0.2.53\n", expire))
	}
	apex := timers(3600)
	ports, lines, keys := map[string]int{}, "", ""
	for name, f := range followers {
		ports[name] = vector.Port(t)
		with := ""
		if f.key != "" {
			with = " key " + f.key
			keys += fmt.Sprintf("  secret %s. %s\n", f.key, secret)
		}
		lines += fmt.Sprintf(" also-notify 127.0.0.1:%d%[2]s\n transfer 127.0.0.0/8%[2]s\n", ports[name], with)
	}
	s := startFedns(t, "example.com:PORT {\n bind ADDR\n prometheus METRICS\n tsig {\n"+keys+" }\n federation prod {\n"+
		server.Members(dir, "paris")+" apex "+apex+"\n"+lines+" }\n ready READY\n}\n")
	const web = "web.shop.prod.svc.example.com."
	ask := func(name, question string, qtype uint16) *dns.Msg {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(question, qtype), fmt.Sprint("127.0.0.1:", ports[name]))
		if err != nil {
			return nil
		}
		return m
	}
	say := func(when string, names ...string) {
		t.Helper()
		for _, name := range names {
			// BIND goes on asking for a minute for what it began to ask for while nobody was there.
			server.Eventually(t, 3*time.Minute, fmt.Sprintf("%s: %s answers %s", when, name, now), func() bool {
				m := ask(name, web, dns.TypeA)
				return m != nil && len(m.Answer) == 1 && server.Addrs(m)[0] == now
			})
		}
	}
	var names []string
	stops, begin := map[string]func(){}, map[string]func(){}
	for name, f := range followers {
		own, conf := t.TempDir(), f.conf
		f.conf = func(t *testing.T, dir, at string, port int, primary string) []string {
			args := conf(t, dir, at, port, primary)
			if name == "BIND" { // which goes by no SOA below 300 s, unless it is told to
				file := args[len(args)-1]
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Dir(file), filepath.Base(file), strings.Replace(string(text), "type secondary;", "type secondary; min-refresh-time 1; min-retry-time 1;", 1))
			}
			return args
		}
		names = append(names, name)
		begin[name] = func() { stops[name] = f.start(t, own, ports[name], s.Addr) }
		begin[name]()
	}
	say("at the beginning", names...)

	forms := func(form string) float64 {
		return s.Metric(t, fmt.Sprintf(`coredns_federation_transfer_forms_total{form="%s"`, form))
	}
	for _, name := range names {
		stops[name]()
	}
	whole, differences := forms("axfr"), forms("ixfr")
	gone := time.Now()
	for range 2 {
		was := s.Ask(t, "example.com", dns.TypeSOA).Answer[0].(*dns.SOA).Serial
		now = serve()
		server.Eventually(t, time.Minute, "the serial moves", func() bool {
			return s.Ask(t, "example.com", dns.TypeSOA).Answer[0].(*dns.SOA).Serial != was
		})
	}
	server.Eventually(t, time.Minute, "they should have looked twice", func() bool { return time.Since(gone) > 5*time.Second })
	for _, name := range names {
		begin[name]()
	}
	say("when they are back", names...)
	// BIND and Knot: PowerDNS asks for none, and NSD has written no zone file yet.
	server.Eventually(t, time.Minute, "two differences for who was away", func() bool { return forms("ixfr")-differences >= 2 })
	t.Logf("those that came back: %v whole transfers, %v differences", forms("axfr")-whole, forms("ixfr")-differences)

	timers(6)
	for _, name := range names {
		server.Eventually(t, time.Minute, name+" knows that the zone expires soon", func() bool {
			m := ask(name, "example.com.", dns.TypeSOA)
			return m != nil && len(m.Answer) == 1 && m.Answer[0].(*dns.SOA).Expire == 6
		})
	}
	s.Stop()
	for _, name := range names {
		if name == "PowerDNS" {
			continue // which gives up no zone
		}
		server.Eventually(t, time.Minute, name+" has given the zone up", func() bool {
			m := ask(name, web, dns.TypeA)
			return m != nil && m.Rcode == dns.RcodeServerFailure
		})
	}
	now = serve()
	s.Restart(t)
	say("when the primary is back", names...)
	// A transfer is counted once all of it is written, which may be after a secondary has it.
	server.Eventually(t, time.Minute, "four whole transfers of a primary that has begun anew", func() bool { return forms("axfr") >= 4 })
}
