// Package peers has fedns meet the programs it lives among: clients that ask it,
// resolvers and caches that stand in front of it, and a name server that knows
// the same zone from a file.
//
// Everything runs on loopback or in network namespaces of the test's own, and
// ends with the test that started it.
package peers

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

// nginx is the service of the first article on federated services, which
// corefile.example serves.
const nginx = "nginx.mynamespace.myfederation.svc"

// article is a Corefile of that federation. Its apex file has short names too.
func article(t testing.TB, more string) string {
	t.Helper()
	return "example.com:PORT {\n bind ADDR\n federation myfederation {\n" + server.ArticleMembers(t) +
		" apex zones/db.example.com\n }\n ready READY\n " + more + "\n}\n"
}

// A place is a cluster with the region and the zones of its nodes.
type place struct {
	name, region string
	zones        []string
}

// write makes the manifests of a cluster: its nodes, and objects.
func (p place) write(t testing.TB, dir string, objects ...vector.Object) {
	t.Helper()
	var all []vector.Object
	for i, z := range p.zones {
		all = append(all, vector.Node(fmt.Sprint("n", i), p.region, z))
	}
	vector.WriteManifest(t, filepath.Join(dir, p.name, "cluster.json"), append(all, objects...)...)
}

// output runs a program to its end and gives what it printed.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// dig asks a server as dig does, and gives what it prints.
func dig(t testing.TB, addr string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return output(t, server.Tool(t, "dig"), append([]string{"-r", "@" + host, "-p", port, "+time=3", "+tries=1"}, args...)...)
}

// A printed is what a program printed.
type printed string

// check looks for lines' parts in what was printed; a part that begins with "!"
// must not be there.
func (p printed) check(t testing.TB, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if bare, not := strings.CutPrefix(part, "!"); strings.Contains(string(p), bare) == not {
			verb := "is missing"
			if not {
				verb = "must not be there"
			}
			t.Errorf("%q %s in:\n%s", bare, verb, p)
			return
		}
	}
}

// write puts a file into a folder and gives its path.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// nsdConf is a configuration for NSD over zone files in dir, which may only
// answer: no control socket, no rate limit, no state.
func nsdConf(dir, addr string, port int, zones map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
  ip-address: %s
  port: %d
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "%[3]s"
  database: ""
  pidfile: "%[3]s/nsd.pid"
  xfrdfile: "%[3]s/xfrd.state"
  xfrdir: "%[3]s"
  zonelistfile: "%[3]s/zone.list"
  cookie-secret-file: "%[3]s/cookies"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: no
`, addr, port, dir)
	for name, file := range zones {
		fmt.Fprintf(&b, "zone:\n  name: %q\n  zonefile: %q\n", name, file)
	}
	return b.String()
}

// answers waits until a server says anything to a question.
func answers(t testing.TB, addr, name string) {
	t.Helper()
	server.Eventually(t, 10*time.Second, addr+" answers", func() bool {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeSOA), addr)
		return err == nil && m.Rcode != dns.RcodeServerFailure
	})
}

// addrs are the addresses of an answer, sorted.
func addrs(m *dns.Msg) []string {
	out := server.Addrs(m)
	slices.Sort(out)
	return out
}

// names makes absolute names of some under the domain, without the last dot.
func names(rel ...string) []string {
	var out []string
	for _, r := range rel {
		out = append(out, r+".example.com")
	}
	return out
}

// startFedns starts fedns over a Corefile, and waits until it can be asked: CoreDNS
// says that it is ready before its sockets are open.
func startFedns(t testing.TB, corefile string) *server.Server {
	t.Helper()
	s := server.Start(t, corefile)
	answers(t, s.Addr, "example.com")
	return s
}
