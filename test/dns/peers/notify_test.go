package peers

import (
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// secret is that of every key here.
const secret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="

// A follower is a name server of another make that has example.com from fedns.
type follower struct {
	program string
	// key signs what it asks for and what it is told; "": nothing is signed.
	key string
	// incremental says whether it asks for differences as it is configured here.
	incremental bool
	// conf writes its configuration into a folder, and gives how it is started.
	conf func(t *testing.T, dir, at string, port int, primary string) []string
}

var followers = map[string]follower{
	"BIND": {"named", "bind", true, func(t *testing.T, dir, _ string, port int, primary string) []string {
		host, from, _ := net.SplitHostPort(primary)
		return []string{"-g", "-c", write(t, dir, "named.conf", fmt.Sprintf(`options {
  directory "%[1]s"; pid-file none; session-keyfile none; managed-keys-directory "%[1]s";
  listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; notify no; dnssec-validation no;
};
controls { };
key "bind" { algorithm hmac-sha256; secret "%[5]s"; };
zone "example.com" { type secondary; file "example.com.db"; primaries { %[3]s port %[4]s key bind; }; allow-notify { key bind; }; };
`, dir, port, host, from, secret))}
	}},
	"NSD": {"nsd", "nsd", true, func(t *testing.T, dir, at string, port int, primary string) []string {
		host, from, _ := net.SplitHostPort(primary)
		return []string{"-d", "-c", write(t, dir, "nsd.conf", nsdConf(dir, at, port, nil)+fmt.Sprintf(`key:
  name: "nsd"
  algorithm: hmac-sha256
  secret: "%s"
zone:
  name: "example.com"
  zonefile: "example.com.db"
  request-xfr: %s@%s nsd
  allow-notify: 127.0.0.1 nsd
`, secret, host, from))}
	}},
	"Knot": {"knotd", "knot", true, func(t *testing.T, dir, at string, port int, primary string) []string {
		host, from, _ := net.SplitHostPort(primary)
		return []string{"-c", write(t, dir, "knot.conf", server.KnotConfig(dir, at, port)+fmt.Sprintf(`key:
  - id: knot
    algorithm: hmac-sha256
    secret: %[4]s
remote:
  - id: primary
    address: %[2]s@%[3]s
    key: knot
acl:
  - id: notify
    address: 127.0.0.1
    key: knot
    action: notify
zone:
  - domain: example.com
    storage: "%[1]s"
    master: primary
    acl: notify
`, dir, host, from, secret))}
	}},
	"PowerDNS": {"pdns_server", "", false, func(t *testing.T, dir, at string, port int, primary string) []string {
		zones := write(t, dir, "zones.conf", fmt.Sprintf("zone \"example.com\" { type slave; file \"%s/example.com.db\"; masters { %s; }; };\n", dir, primary))
		write(t, dir, "pdns.conf", fmt.Sprintf(`launch=bind
bind-config=%s
local-address=%s
local-port=%d
socket-dir=%s
secondary=yes
xfr-cycle-interval=60
guardian=no
daemon=no
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
setuid=
setgid=
security-poll-suffix=
allow-notify-from=127.0.0.0/8
`, zones, at, port, dir))
		return []string{"--config-dir=" + dir}
	}},
}

// start starts a follower; stop ends it, and what it has on disk stays.
func (f follower) start(t *testing.T, dir string, port int, primary string) (stop func()) {
	t.Helper()
	cmd := exec.Command(server.Rare(t, f.program), f.conf(t, dir, "127.0.0.1", port, primary)...)
	log := &server.Buffer{}
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	gone, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-gone
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", f.program, log)
		}
	}
	t.Cleanup(stop)
	return stop
}

// Each hears of a change, comes for it, and has only the difference transferred if it can; one that was
// away comes back. Only who may has the zone.
func TestFollowers(t *testing.T) {
	dir := t.TempDir()
	serve := func(addr string) {
		objects := []vector.Object{vector.Service("shop", "web", addr), vector.Slice("shop", "web", true, "eu-a")}
		for i := range 20 {
			name := fmt.Sprint("calm", i)
			objects = append(objects, vector.Service("shop", name, "192.0.2.200"), vector.Slice("shop", name, true, "eu-a"))
		}
		place{"paris", "eu", []string{"eu-a"}}.write(t, dir, objects...)
	}
	serve("192.0.2.1")
	ports, lines, keys := map[string]int{}, "", ""
	for name, f := range followers {
		if f.key == "" {
			continue
		}
		ports[name] = vector.Port(t)
		lines += fmt.Sprintf(" also-notify 127.0.0.1:%d key %s\n transfer 127.0.0.0/8 key %s\n", ports[name], f.key, f.key)
		keys += fmt.Sprintf("  secret %s. %s\n", f.key, secret)
	}
	s := startFedns(t, "example.com:PORT {\n bind ADDR\n prometheus METRICS\n tsig {\n"+keys+"  secret wrong. "+secret+"\n  require AXFR IXFR\n }\n federation prod {\n"+
		server.Members(dir, "paris")+lines+" }\n ready READY\n}\n")
	forms := func(t *testing.T, form string) float64 {
		return s.Metric(t, fmt.Sprintf(`coredns_federation_transfer_forms_total{form="%s"`, form))
	}
	n := 1
	next := func() string {
		n++
		addr := fmt.Sprint("192.0.2.", n)
		serve(addr)
		return addr
	}
	const web = "web.shop.prod.svc.example.com."
	for name, f := range followers {
		if f.key == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			own := t.TempDir()
			at := fmt.Sprint("127.0.0.1:", ports[name])
			says := func(want string) {
				t.Helper()
				server.Eventually(t, time.Minute, name+" answers "+want, func() bool {
					m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(web, dns.TypeA), at)
					return err == nil && len(m.Answer) == 1 && server.Addrs(m)[0] == want
				})
			}
			stop := f.start(t, own, ports[name], s.Addr)
			says(fmt.Sprint("192.0.2.", n))
			whole, differences := forms(t, "axfr"), forms(t, "ixfr")
			for range 2 {
				says(next())
			}
			if got := forms(t, "ixfr"); f.incremental && got < differences+2 || forms(t, "axfr") != whole {
				t.Errorf("%v differences and %v whole transfers of two changes", got-differences, forms(t, "axfr")-whole)
			}
			stop()
			away := next()
			f.start(t, own, ports[name], s.Addr)
			says(away)
		})
	}
	t.Run("what is wrong is refused", func(t *testing.T) {
		ask := func(key, with, algorithm string, off time.Duration) string {
			m := new(dns.Msg).SetAxfr("example.com.")
			c := &dns.Client{Net: "tcp", Timeout: 10 * time.Second}
			if key != "" {
				c.TsigSecret = map[string]string{key: with}
				m.SetTsig(key, algorithm, 300, time.Now().Add(off).Unix())
			}
			r, _, err := c.Exchange(m, s.Addr)
			if r == nil {
				return err.Error()
			}
			out := dns.RcodeToString[r.Rcode]
			if r.IsTsig() != nil && r.IsTsig().Error != 0 {
				out += " " + dns.RcodeToString[int(r.IsTsig().Error)]
			}
			return out
		}
		for _, tt := range []struct {
			name, got, want string
		}{
			{"not signed", ask("", "", "", 0), "REFUSED"},
			{"a key that may not", ask("wrong.", secret, dns.HmacSHA256, 0), "REFUSED"},
			{"a key that isn't known", ask("nobody.", secret, dns.HmacSHA256, 0), "NOTAUTH BADKEY"},
			{"another secret", ask("bind.", "YW5vdGhlcg==", dns.HmacSHA256, 0), "NOTAUTH BADSIG"},
			{"an hour ago", ask("bind.", secret, dns.HmacSHA256, -time.Hour), "NOTAUTH BADTIME"},
			{"another algorithm", ask("bind.", secret, dns.HmacSHA512, 0), "NOERROR"}, // the key says none
		} {
			if tt.got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, tt.got, tt.want)
			}
		}
	})
	t.Run("questions take the fast path", func(t *testing.T) {
		before := s.Metric(t, `coredns_federation_fast_questions_total{`)
		for range 20 {
			s.Ask(t, web, dns.TypeA)
		}
		if got := s.Metric(t, `coredns_federation_fast_questions_total{`); got < before+20 {
			t.Errorf("%v of 20", got-before)
		}
	})
}

// PowerDNS isn't given a key here: the plugin transfer lets it have the zone by its address, and who is named
// there hears of changes, too.
func TestPowerDNS(t *testing.T) {
	f := followers["PowerDNS"]
	server.Rare(t, f.program)
	dir, own := t.TempDir(), t.TempDir()
	serve := func(addr string) {
		place{"paris", "eu", []string{"eu-a"}}.write(t, dir, vector.Service("shop", "web", addr), vector.Slice("shop", "web", true, "eu-a"))
	}
	serve("192.0.2.1")
	port := vector.Port(t)
	s := startFedns(t, fmt.Sprintf("example.com:PORT {\n bind ADDR\n transfer {\n  to 127.0.0.1:%d\n }\n federation prod {\n", port)+
		server.Members(dir, "paris")+" }\n ready READY\n}\n")
	f.start(t, own, port, s.Addr)
	for _, want := range []string{"192.0.2.1", "192.0.2.2"} {
		serve(want)
		server.Eventually(t, time.Minute, "it answers "+want, func() bool {
			m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("web.shop.prod.svc.example.com.", dns.TypeA), fmt.Sprint("127.0.0.1:", port))
			return err == nil && len(m.Answer) == 1 && server.Addrs(m)[0] == want
		})
	}
}

// Over TLS, BIND wants to hear the protocol's name (RFC 9103 section 7.1), which CoreDNS doesn't say.
func TestTransferOverTLS(t *testing.T) {
	dir, own := t.TempDir(), t.TempDir()
	place{"paris", "eu", []string{"eu-a"}}.write(t, dir, vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", true, "eu-a"))
	certificate(t, dir)
	encrypted, port := vector.Port(t), vector.Port(t)
	startFedns(t, fmt.Sprintf("example.com:PORT tls://example.com:%d {\n bind ADDR\n tls %s/cert.pem %s/key.pem\n federation prod {\n", encrypted, dir, dir)+
		server.Members(dir, "paris")+" transfer 127.0.0.1\n }\n ready READY\n}\n")
	server.Program(t, server.Tool(t, "named"), "-g", "-c", write(t, own, "named.conf", fmt.Sprintf(`options {
  directory "%[1]s"; pid-file none; session-keyfile none; managed-keys-directory "%[1]s";
  listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; notify no; dnssec-validation no;
};
controls { };
tls fedns { ca-file "%[3]s/cert.pem"; remote-hostname "127.0.0.1"; };
zone "example.com" { type secondary; primaries { 127.0.0.1 port %[4]d tls fedns; }; };
`, own, port, dir, encrypted)))
	server.Eventually(t, time.Minute, "BIND has the zone", func() bool {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("web.shop.prod.svc.example.com.", dns.TypeA), fmt.Sprint("127.0.0.1:", port))
		return err == nil && len(m.Answer) == 1
	})
}
