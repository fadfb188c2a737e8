package peers

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// another gives a configuration of each make a second primary.
var another = map[string]func(conf, host, port string) string{
	"BIND": func(conf, host, port string) string {
		return strings.Replace(conf, " key bind; };", fmt.Sprintf(" key bind; %s port %s key bind; };", host, port), 1)
	},
	"NSD": func(conf, host, port string) string {
		return strings.Replace(conf, "  allow-notify:", fmt.Sprintf("  request-xfr: %s@%s nsd\n  allow-notify:", host, port), 1)
	},
	"Knot": func(conf, host, port string) string {
		conf = strings.Replace(conf, "acl:\n", fmt.Sprintf("  - id: second\n    address: %s@%s\n    key: knot\nacl:\n", host, port), 1)
		return strings.Replace(conf, "master: primary", "master: [primary, second]", 1)
	},
}

// Secondaries of two fedns that know the same follow either: while both are there, while one is away, and when it
// comes back in the place of the other, without what it knew.
func TestTwoPrimaries(t *testing.T) {
	dir := t.TempDir()
	n := 0
	serve := func() (addr string) {
		n++
		addr = fmt.Sprint("192.0.2.", n)
		place{"paris", "eu", []string{"eu-a"}}.write(t, dir, vector.Service("shop", "web", addr), vector.Slice("shop", "web", true, "eu-a"))
		return addr
	}
	now := serve()
	ports, lines, keys := map[string]int{}, "", ""
	for name := range another {
		ports[name] = vector.Port(t)
		lines += fmt.Sprintf(" also-notify 127.0.0.1:%d key %[2]s\n transfer 127.0.0.0/8 key %[2]s\n", ports[name], followers[name].key)
		keys += fmt.Sprintf("  secret %s. %s\n", followers[name].key, secret)
	}
	corefile := "example.com:PORT {\n bind ADDR\n tsig {\n" + keys + "  require AXFR IXFR\n }\n federation prod {\n" + server.Members(dir, "paris") + lines + " }\n ready READY\n}\n"
	first, second := startFedns(t, corefile), startFedns(t, corefile)
	host, port, err := net.SplitHostPort(second.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for name, with := range another {
		f := followers[name]
		alone := f.conf
		f.conf = func(t *testing.T, dir, at string, own int, primary string) []string {
			args := alone(t, dir, at, own, primary)
			file := args[len(args)-1]
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			both := with(string(text), host, port)
			if both == string(text) {
				t.Fatalf("%s has no place for a second primary", name)
			}
			write(t, filepath.Dir(file), filepath.Base(file), both)
			return args
		}
		f.start(t, t.TempDir(), ports[name], first.Addr)
	}
	say := func(when string) {
		t.Helper()
		for name, port := range ports {
			server.Eventually(t, time.Minute, fmt.Sprintf("%s: %s answers %s", when, name, now), func() bool {
				m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("web.shop.prod.svc.example.com.", dns.TypeA), fmt.Sprint("127.0.0.1:", port))
				return err == nil && len(m.Answer) == 1 && server.Addrs(m)[0] == now
			})
		}
	}
	say("at the beginning")
	// What changes in the second of what was before has the next number a second later, and a secondary that has that one
	// from the other may look at the wrong one: see the manual.
	server.Eventually(t, time.Minute, "the second is over in which they began", func() bool {
		for _, s := range []*server.Server{first, second} {
			if soa := s.Ask(t, "example.com", dns.TypeSOA).Answer[0].(*dns.SOA); time.Now().Unix() < int64(soa.Serial)+2 {
				return false
			}
		}
		return true
	})
	now = serve()
	say("with both")
	first.Stop()
	now = serve()
	say("with the second")
	first.Restart(t)
	second.Stop()
	now = serve()
	say("with the first again")
}
