package publish

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// elsewhere is the zone as other makes of name servers have it at the beginning.
const elsewhere = `example.com. 60 IN SOA a.misc. b.misc. 1 60 60 600 60
example.com. 60 IN NS ns.misc.
www.example.com. 60 IN A 203.0.113.80
`

// begun is a provider of another make, once it answers.
func begun(t *testing.T, make string, p *provider) *provider {
	t.Helper()
	p.addr = net.JoinHostPort("127.0.0.1", fmt.Sprint(p.port))
	server.Eventually(t, time.Minute, make+" answers", func() bool {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), p.addr)
		return err == nil && len(m.Answer) == 1
	})
	return p
}

// knot is a Knot DNS.
func knot(t *testing.T) *provider {
	p := &provider{dir: t.TempDir(), port: vector.Port(t)}
	p.write(t, "example.com.zone", elsewhere)
	p.write(t, "knot.conf", server.KnotConfig(p.dir, "127.0.0.1", p.port)+fmt.Sprintf(`key:
  - id: pub
    algorithm: hmac-sha256
    secret: %[2]s
acl:
  - id: pub
    key: pub
    action: [update, transfer]
zone:
  - domain: example.com
    storage: "%[1]s"
    acl: pub
`, p.dir, secret))
	server.Program(t, server.Tool(t, "knotd"), "-c", filepath.Join(p.dir, "knot.conf"))
	return begun(t, "Knot", p)
}

// powerDNS is a PowerDNS with a database.
func powerDNS(t *testing.T) *provider {
	p := &provider{dir: t.TempDir(), port: vector.Port(t)}
	p.write(t, "example.com.zone", elsewhere)
	p.write(t, "pdns.conf", fmt.Sprintf(`launch=gsqlite3
gsqlite3-database=%[1]s/db
local-address=127.0.0.1
local-port=%[2]d
socket-dir=%[1]s
guardian=no
daemon=no
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
setuid=
setgid=
security-poll-suffix=
`, p.dir, p.port))
	schema, err := os.ReadFile("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
	if err != nil {
		t.Fatalf("%v\nhint: run make peers", err)
	}
	run := func(stdin, name string, args ...string) {
		t.Helper()
		cmd := exec.Command(server.Tool(t, name), args...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run(string(schema), "sqlite3", filepath.Join(p.dir, "db"))
	for _, line := range []string{"load-zone example.com " + p.dir + "/example.com.zone", "import-tsig-key pub hmac-sha256 " + secret,
		"set-meta example.com TSIG-ALLOW-DNSUPDATE pub", "set-meta example.com TSIG-ALLOW-AXFR pub"} {
		run("", "pdnsutil", append([]string{"--config-dir=" + p.dir}, strings.Fields(line)...)...)
	}
	server.Program(t, server.Tool(t, "pdns_server"), "--config-dir="+p.dir)
	return begun(t, "PowerDNS", p)
}

// Servers of other makes have the same: addresses that become a CNAME and addresses again, the zone's own name, what goes
// while nobody publishes; and what is somebody else's stays.
func TestOthers(t *testing.T) {
	w := &world{t.TempDir()}
	w.serve(t, article...)
	all := map[string]*provider{"Knot": knot(t), "PowerDNS": powerDNS(t)}
	more := " ttl 180s 180s\n alias example.com mynamespace/nginx\n alias www.example.com mynamespace/nginx"
	for _, p := range all {
		more += "\n publish update " + p.addr + " key pub"
	}
	s := server.Start(t, w.corefile(more))
	have := func(want map[string]string) {
		t.Helper()
		for make, p := range all {
			for name, records := range want {
				name = strings.TrimPrefix(name+".example.com", ".")
				server.Eventually(t, time.Minute, fmt.Sprintf("%s has for %s: %s", make, name, records), func() bool { return p.dig(t, name) == records })
			}
		}
	}
	const everywhere = "104.196.0.44, 104.197.247.191, 104.197.74.77, 130.211.57.243"
	have(map[string]string{"": "A 180 " + everywhere, nginx: "A 180 " + everywhere, nginx + ".asia-east1": "A 180 130.211.57.243",
		nginx + ".europe-west1": "CNAME 180 " + nginx + ".example.com", "www": "A 60 203.0.113.80"})
	w.serve(t, shard{"asia-east1", "asia-east1-a", "130.211.57.243", false}, shard{"europe-west1", "europe-west1-b", "104.199.136.89", true})
	have(map[string]string{"": "A 180 104.196.0.44, 104.197.247.191, 104.197.74.77, 104.199.136.89",
		nginx + ".europe-west1": "A 180 104.199.136.89", nginx + ".asia-east1": "CNAME 180 " + nginx + ".example.com"})
	s.Stop()
	for _, a := range article {
		w.cluster(t, a, vector.Service("mynamespace", "other", a.addr), vector.Slice("mynamespace", "other", true, a.zone))
	}
	s.Restart(t)
	have(map[string]string{"": "", nginx: "", nginx + ".asia-east1": "", "www": "A 60 203.0.113.80"})
	for make, p := range all {
		if m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeNS), p.addr); err != nil || len(m.Answer) != 1 {
			t.Errorf("%s: the zone's own records: %v, %v", make, m, err)
		}
	}
}
