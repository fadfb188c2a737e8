package peers

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
)

// An internet is a few hosts on one network, each a network namespace.
type internet struct {
	prefix string
	hosts  map[string]string // addresses by name
}

// newInternet joins hosts by a bridge in a namespace of its own.
func newInternet(t *testing.T, hosts ...string) *internet {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces can only be made by root")
	}
	n := &internet{prefix: fmt.Sprintf("fedns-%d-", os.Getpid()), hosts: map[string]string{}}
	ip := server.Tool(t, "ip")
	hub := n.namespace(t, "hub")
	output(t, ip, "-n", hub, "link", "add", "hub", "type", "bridge")
	output(t, ip, "-n", hub, "link", "set", "hub", "up")
	for i, h := range hosts {
		addr := fmt.Sprint("10.53.0.", i+1)
		ns := n.namespace(t, h)
		output(t, ip, "link", "add", h, "netns", hub, "type", "veth", "peer", "name", "eth0", "netns", ns)
		output(t, ip, "-n", hub, "link", "set", h, "master", "hub", "up")
		output(t, ip, "-n", ns, "addr", "add", addr+"/24", "dev", "eth0")
		output(t, ip, "-n", ns, "link", "set", "eth0", "up")
		output(t, ip, "-n", ns, "link", "set", "lo", "up")
		n.hosts[h] = addr
	}
	return n
}

func (n *internet) namespace(t *testing.T, host string) string {
	t.Helper()
	ns := n.prefix + host
	output(t, server.Tool(t, "ip"), "netns", "add", ns)
	t.Cleanup(func() { // its links go with it
		if out, err := exec.Command(server.Tool(t, "ip"), "netns", "delete", ns).CombinedOutput(); err != nil {
			t.Errorf("ip netns delete %s: %v\n%s", ns, err, out)
		}
	})
	return ns
}

// on is the command line of a program on a host.
func (n *internet) on(host string, args ...string) []string {
	return append([]string{"netns", "exec", n.prefix + host}, args...)
}

// start runs a program on a host until the test ends.
func (n *internet) start(t *testing.T, host string, args ...string) {
	t.Helper()
	server.Program(t, server.Tool(t, "ip"), n.on(host, args...)...) // which becomes the program
}

// dig asks a host, from another one.
func (n *internet) dig(t *testing.T, from, to string, args ...string) printed {
	t.Helper()
	return printed(output(t, server.Tool(t, "ip"), n.on(from, append([]string{server.Tool(t, "dig"), "-r", "@" + n.hosts[to], "+time=5", "+tries=1"}, args...)...)...))
}

// TestDelegation has the domain delegated from its parent, with glue, and a
// resolver find its way from the root, asking as little as it can at each step and
// in random case.
func TestDelegation(t *testing.T) {
	n := newInternet(t, "root", "com", "fedns", "unbound", "client")
	parent := func(host, zone, text string) {
		dir := t.TempDir()
		write(t, dir, "zone", text)
		n.start(t, host, server.Tool(t, "nsd"), "-d", "-c", write(t, dir, "nsd.conf", nsdConf(dir, n.hosts[host], 53, map[string]string{zone: "zone"})))
	}
	parent("root", ".", fmt.Sprintf(`
.                86400 IN SOA ns.root. nobody.root. 1 1800 900 604800 86400
.                86400 IN NS  ns.root.
ns.root.         86400 IN A   %s
com.             86400 IN NS  ns.com.
ns.com.          86400 IN A   %s
`, n.hosts["root"], n.hosts["com"]))
	parent("com", "com", fmt.Sprintf(`
com.             86400 IN SOA ns.com. nobody.com. 1 1800 900 604800 86400
com.             86400 IN NS  ns.com.
ns.com.          86400 IN A   %s
example.com.     86400 IN NS  ns1.example.com.
ns1.example.com. 86400 IN A   %s
`, n.hosts["com"], n.hosts["fedns"]))

	bin, err := server.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// No apex file: what stands there by itself has to agree with the parent.
	n.start(t, "fedns", bin, "-conf", write(t, dir, "Corefile",
		"example.com {\n bind "+n.hosts["fedns"]+"\n federation myfederation {\n"+server.ArticleMembers(t)+" }\n errors\n}\n"))
	n.start(t, "unbound", server.Tool(t, "unbound"), "-d", "-p", "-c", write(t, dir, "unbound.conf",
		unboundConf(n.hosts["unbound"], 53)+"server:\n  root-hints: "+write(t, dir, "hints",
			". 3600000 NS ns.root.\nns.root. 3600000 A "+n.hosts["root"]+"\n")+"\n"))
	for _, host := range []string{"root", "com", "fedns", "unbound"} {
		server.Eventually(t, 15*time.Second, host+" answers", func() bool {
			out, _ := exec.Command(server.Tool(t, "ip"), n.on("client", server.Tool(t, "dig"), "-r", "@"+n.hosts[host], "+time=1", "+tries=1", "+norec", "version.bind", "CH", "TXT")...).CombinedOutput()
			return strings.Contains(string(out), "->>HEADER<<-")
		})
	}
	server.Eventually(t, 15*time.Second, "fedns has read its clusters", func() bool {
		return strings.Contains(string(n.dig(t, "client", "fedns", "+norec", nginx+".asia-east1.example.com")), "198.51.100.2")
	})

	t.Run("parent and child agree", func(t *testing.T) {
		n.dig(t, "client", "com", "+norec", nginx+".example.com").check(t,
			"flags: qr; ", "example.com.\t\t86400\tIN\tNS\tns1.example.com.", "ns1.example.com.\t86400\tIN\tA\t"+n.hosts["fedns"])
		n.dig(t, "client", "fedns", "+norec", "NS", "example.com").check(t,
			"flags: qr aa; ", "IN\tNS\tns1.example.com.", "IN\tA\t"+n.hosts["fedns"])
	})
	for _, tt := range []struct {
		name, args string
		want       []string // lines of +short
	}{
		{"zonal", nginx + ".us-central1-a.us-central1.example.com", american[:1]},
		{"zonal, short form", nginx + ".us-central1-b.example.com", american[1:2]},
		{"regional", nginx + ".asia-east1.example.com", asian},
		{"regional, over TCP", "+tcp " + nginx + ".us-central1.example.com", american},
		{"global", nginx + ".example.com", all},
		{"a region without a shard that is up", nginx + ".europe-west1.example.com",
			append([]string{nginx + ".example.com."}, all...)},
		{"a zone of it", nginx + ".europe-west1-b.europe-west1.example.com",
			append([]string{nginx + ".europe-west1.example.com.", nginx + ".example.com."}, all...)},
		{"a port", "SRV _http._tcp." + nginx + ".us-central1-a.us-central1.example.com",
			[]string{"0 0 80 " + nginx + ".us-central1-a.us-central1.example.com."}},
		{"in mixed case", mixed(nginx + ".asia-east1.example.com"), asian},
		{"the name server", "ns1.example.com", []string{n.hosts["fedns"]}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Fields(strings.ReplaceAll(string(n.dig(t, "client", "unbound", append([]string{"+short"}, strings.Fields(tt.args)...)...)), " ", "_"))
			want := each(tt.want, func(s string) string { return strings.ReplaceAll(s, " ", "_") })
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	for _, tt := range []struct {
		name, args, status string
	}{
		{"an unknown service", "apache.mynamespace.myfederation.svc.example.com", "NXDOMAIN"},
		{"an unknown zone", nginx + ".us-central1-z.us-central1.example.com", "NXDOMAIN"},
		{"an unknown region", nginx + ".mars.example.com", "NXDOMAIN"},
		{"another federation", "nginx.mynamespace.yours.svc.example.com", "NXDOMAIN"},
		{"a family without an address", "AAAA " + nginx + ".asia-east1.example.com", "NOERROR"},
		{"and where the name leads on", "AAAA " + nginx + ".europe-west1-b.europe-west1.example.com", "NOERROR"},
		{"a region by itself", "asia-east1.example.com", "NOERROR"},
		{"a namespace", "mynamespace.myfederation.svc.asia-east1.example.com", "NOERROR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n.dig(t, "client", "unbound", strings.Fields(tt.args)...).check(t,
				"status: "+tt.status, "AUTHORITY: 1", "IN\tSOA\tns1.example.com.", "!IN\tA\t", "!IN\tAAAA\t")
		})
	}
}
