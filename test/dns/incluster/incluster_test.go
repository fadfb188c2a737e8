// Package incluster asks for federated services as pods do: by their search path, at the
// servers that clusters run, which read what deploy/ says from a real API server, over
// real members.
package incluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// soon bounds what Kubernetes takes to move pods on two busy cores, and what the caches
// in front may keep.
const soon = time.Minute

func query(q *dns.Msg, addr string) (*dns.Msg, error) {
	return server.Query(&dns.Client{Timeout: 5 * time.Second}, q, addr)
}

// placeholders are the addresses of fedns in deploy/.
var placeholders = []string{"192.0.2.53", "198.51.100.53"}

// configMap applies a file of deploy/ to a cluster as its README says, and reads a value
// of the ConfigMap in it back.
func configMap(t *testing.T, c *cluster.Cluster, file, name, key string) string {
	t.Helper()
	kubectl := filepath.Join(vector.Root(), "bin", "kube", "kubectl")
	out, err := exec.Command(kubectl, "--kubeconfig", c.Kubeconfig, "apply", "-f", filepath.Join(vector.Root(), "deploy", file)).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl apply -f deploy/%s: %v\n%s", file, err, out)
	}
	m, err := c.Client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Data[key] == "" {
		t.Fatalf("deploy/%s: no %s in %v", file, key, m.Data)
	}
	return m.Data[key]
}

// dnsmasq runs as kube-dns's nanny runs it: a rule for each address of a stub domain, and
// one that sends the cluster's own names to who knows them.
func dnsmasq(t *testing.T, stubDomains, fedns, cluster string) (addr string) {
	t.Helper()
	var stubs map[string][]string
	if err := json.Unmarshal([]byte(stubDomains), &stubs); err != nil {
		t.Fatalf("stubDomains: %v\n%s", err, stubDomains)
	}
	rule := func(domain, addr string) string {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		return "--server=/" + domain + "/" + host + "#" + port
	}
	port := vector.Port(t)
	args := []string{
		"--keep-in-foreground", "--cache-size=1000", "--no-negcache", "--dns-loop-detect", "--log-facility=-",
		rule("cluster.local", cluster),
		// Of the test: nothing of this host's configuration, and a port of its own.
		"--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=", "--group=",
		fmt.Sprint("--port=", port), "--listen-address=127.0.0.1", "--bind-interfaces",
	}
	for domain, servers := range stubs {
		if !slices.Equal(servers, placeholders) {
			t.Fatalf("stub domain %s leads to %v", domain, servers)
		}
		args = append(args, rule(domain, fedns))
	}
	server.Program(t, server.Tool(t, "dnsmasq"), args...)
	return fmt.Sprint("127.0.0.1:", port)
}

// coredns runs a cluster's CoreDNS over a Corefile, with only as much changed as it takes
// to run outside: where it listens, how it finds the API, where fedns is.
func coredns(t *testing.T, corefile string, c *cluster.Cluster, fedns string) (addr string) {
	t.Helper()
	bin := filepath.Join(vector.Root(), "bin", "test", "cluster-coredns")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "./test/dns/incluster/coredns")
	build.Dir, build.Env = vector.Root(), append(os.Environ(), "CGO_ENABLED=0") // as fedns is built
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./test/dns/incluster/coredns: %v\n%s", err, out)
	}
	dir := t.TempDir()
	resolv := filepath.Join(dir, "resolv.conf") // nobody is asked outside
	if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	port, ready, health := vector.Port(t), vector.Port(t), vector.Port(t)
	text := corefile
	for _, change := range [][2]string{
		{":53 {\n", fmt.Sprintf(":%d {\n    bind 127.0.0.1\n", port)},
		{"    health {\n", fmt.Sprintf("    health 127.0.0.1:%d {\n", health)},
		{"    ready\n", fmt.Sprintf("    ready 127.0.0.1:%d\n", ready)},
		{"lameduck 5s", "lameduck 0s"},
		{"    prometheus :9153\n", ""},
		{"kubernetes cluster.local in-addr.arpa ip6.arpa {\n", fmt.Sprintf("kubernetes cluster.local in-addr.arpa ip6.arpa {\n       kubeconfig %s %s\n", c.Kubeconfig, c.Name)},
		{"/etc/resolv.conf", resolv},
		{strings.Join(placeholders, " "), fedns},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("no %q in\n%s", change[0], corefile)
		}
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	path := filepath.Join(dir, "Corefile")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	server.Program(t, bin, "-conf", path)
	server.Eventually(t, soon, "CoreDNS is ready", func() bool {
		r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", ready))
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return fmt.Sprint("127.0.0.1:", port)
}

// search is the search path of a pod in a namespace that has nothing to do with any of
// this (ndots:5).
var search = []string{"default.svc.cluster.local.", "svc.cluster.local.", "cluster.local."}

// look asks for a short name as a pod's resolver does: one name of the search path after
// another, until one exists.
func look(server, name string, qtype uint16) (*dns.Msg, error) {
	var m *dns.Msg
	for _, domain := range search {
		q := new(dns.Msg).SetQuestion(name+"."+domain, qtype)
		var err error
		if m, err = query(q, server); err != nil {
			return nil, err
		}
		switch {
		case m.Rcode == dns.RcodeSuccess:
			return m, nil
		case m.Rcode != dns.RcodeNameError:
			return nil, fmt.Errorf("%s: %s", q.Question[0].Name, dns.RcodeToString[m.Rcode])
		}
	}
	return m, nil
}

// said puts an answer into one line: where it leads, then what is there, sorted. Names are
// cut down to what tells them apart.
func said(m *dns.Msg, err error) string {
	if err != nil {
		return err.Error()
	}
	if m.Rcode != dns.RcodeSuccess {
		return dns.RcodeToString[m.Rcode]
	}
	var way, end []string
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.CNAME:
			way = append(way, "→ "+strings.TrimSuffix(rr.Target, ".example.com."))
		case *dns.SRV:
			end = append(end, fmt.Sprint(rr.Port, " at ", rr.Target))
		default:
			end = append(end, rr.String()[strings.LastIndexByte(rr.String(), '\t')+1:])
		}
	}
	slices.Sort(end)
	if len(end) == 0 {
		end = []string{"NODATA"}
	}
	return strings.Join(append(way, strings.Join(end, " ")), " ")
}

// pods are the addresses of a Service's ready pods, as its API has them.
func pods(t *testing.T, c *cluster.Cluster, service string) string {
	t.Helper()
	list, err := c.Client.DiscoveryV1().EndpointSlices("mynamespace").List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			out = append(out, e.Addresses...)
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ") // kwok gives two pods one address now and then, and DNS has sets
}

// TestInCluster: nginx runs here and there, apache there only. A pod here asks for both.
func TestInCluster(t *testing.T) {
	cs := cluster.New(t).Members(t, "here", "there")
	here, there := cs[0], cs[1]
	here.AddNode(t, "node-1", "us-central1", "us-central1-a")
	there.AddNode(t, "node-1", "europe-west1", "europe-west1-b")
	for i, c := range cs {
		c.Expose(t, "mynamespace", "nginx", fmt.Sprint("192.0.2.", i+1))
		c.Deploy(t, "mynamespace", "nginx", 2)
	}
	here.Apply(t, `
apiVersion: v1
kind: Service
metadata: {namespace: mynamespace, name: peers, labels: {fedns.io/export: "true"}}
spec:
  clusterIP: None
  selector: {app: nginx}
  ports: [{name: http, port: 80, targetPort: 8080}]
`)
	there.Expose(t, "mynamespace", "apache", "192.0.2.3")
	there.Deploy(t, "mynamespace", "apache", 1)
	here.WaitReady(t, "mynamespace", "nginx", 2)
	here.WaitReady(t, "mynamespace", "peers", 2)
	there.WaitReady(t, "mynamespace", "nginx", 2)
	there.WaitReady(t, "mynamespace", "apache", 1)
	svc, err := here.Client.CoreV1().Services("mynamespace").Get(t.Context(), "nginx", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clusterIP := svc.Spec.ClusterIP

	text := "example.com:PORT myfederation.svc.cluster.local:PORT {\n bind ADDR\n federation myfederation {\n"
	for _, c := range cs {
		text += fmt.Sprintf("  cluster %[1]s {\n   kubeconfig %[2]s %[1]s\n  }\n", c.Name, c.ReadOnly(t))
	}
	fedns := server.Start(t, text+"  local here cluster.local\n }\n ready READY\n prometheus METRICS\n errors\n}\n")

	corefile := configMap(t, here, "coredns.yaml", "coredns", "Corefile")
	inFront := map[string]string{"CoreDNS": coredns(t, corefile, here, fedns.Addr)}
	inFront["kube-dns"] = dnsmasq(t, configMap(t, here, "kube-dns.yaml", "kube-dns", "stubDomains"), fedns.Addr, inFront["CoreDNS"])

	becomes := func(t *testing.T, name string, qtype uint16, want string) {
		t.Helper()
		for _, front := range []string{"CoreDNS", "kube-dns"} {
			got := ""
			for end := time.Now().Add(soon); got != want; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s %s of %s: still %q, want %q", name, dns.Type(qtype), front, got, want)
				}
				got = said(look(inFront[front], name, qtype))
			}
		}
	}
	const nginx, apache, peers = "nginx.mynamespace.myfederation", "apache.mynamespace.myfederation", "peers.mynamespace.myfederation"
	leads := func(name, end string) string {
		return fmt.Sprintf("→ %[1]s.svc.us-central1-a.us-central1 → %[1]s.svc.us-central1 → %[1]s.svc %[2]s", name, end)
	}
	step := func(name string, f func(t *testing.T)) {
		if !t.Run(name, f) {
			t.FailNow() // the steps follow one another
		}
	}

	step("here and ready", func(t *testing.T) {
		becomes(t, nginx, dns.TypeA, clusterIP)
		becomes(t, nginx, dns.TypeAAAA, "NODATA")
		becomes(t, "_http._tcp."+nginx, dns.TypeSRV, "80 at "+nginx+".svc.cluster.local.")
		// The cluster's own names are the cluster's.
		becomes(t, "nginx.mynamespace", dns.TypeA, clusterIP)
		becomes(t, "nobody.mynamespace.myfederation", dns.TypeA, "NXDOMAIN")
	})
	step("without an address of its own", func(t *testing.T) {
		becomes(t, peers, dns.TypeA, pods(t, here, "peers"))
		// Each pod is a target, by its address.
		var targets []string
		for _, a := range strings.Fields(pods(t, here, "peers")) {
			targets = append(targets, "8080 at "+strings.ReplaceAll(a, ".", "-")+"."+peers+".svc.cluster.local.")
		}
		becomes(t, "_http._tcp."+peers, dns.TypeSRV, strings.Join(targets, " "))
	})
	step("there only", func(t *testing.T) {
		becomes(t, apache, dns.TypeA, leads(apache, "192.0.2.3"))
		becomes(t, apache, dns.TypeAAAA, leads(apache, "NODATA"))
		becomes(t, "_http._tcp."+apache, dns.TypeSRV, leads("_http._tcp."+apache, "80 at "+apache+".svc.example.com."))
	})
	step("the full name", func(t *testing.T) {
		for front, addr := range inFront {
			m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(nginx+".svc.europe-west1.example.com.", dns.TypeA), addr)
			if got := said(m, err); got != "192.0.2.2" {
				t.Errorf("%s: %s", front, got)
			}
		}
		out, err := exec.Command(server.Tool(t, "dig"), "-r", "@127.0.0.1", "-p", inFront["CoreDNS"][len("127.0.0.1:"):], "+short", nginx+".svc.cluster.local").CombinedOutput()
		if err != nil || string(out) != clusterIP+"\n" {
			t.Errorf("dig: %v\n%s", err, out)
		}
	})
	step("here, without pods", func(t *testing.T) {
		here.Scale(t, "mynamespace", "nginx", 0)
		becomes(t, nginx, dns.TypeA, leads(nginx, "192.0.2.2"))
		becomes(t, "_http._tcp."+nginx, dns.TypeSRV, leads("_http._tcp."+nginx, "80 at "+nginx+".svc.example.com."))
		becomes(t, peers, dns.TypeA, leads(peers, "NODATA"))
	})
	step("and with some again", func(t *testing.T) {
		here.Scale(t, "mynamespace", "nginx", 1)
		becomes(t, nginx, dns.TypeA, clusterIP)
		here.WaitReady(t, "mynamespace", "peers", 1)
		becomes(t, peers, dns.TypeA, pods(t, here, "peers"))
	})
	step("not here any more", func(t *testing.T) {
		if err := here.Client.CoreV1().Services("mynamespace").Delete(context.Background(), "nginx", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		becomes(t, nginx, dns.TypeA, leads(nginx, "192.0.2.2"))
	})
	step("a namespace with the federation's name", func(t *testing.T) {
		const warning, metric = `cluster here: namespace "myfederation" has the federation's name`, `coredns_federation_notices_total{cluster="here",federation="myfederation",kind="namespace"}`
		warned := func() bool { return strings.Contains(fedns.Log(), warning) }
		if warned() || fedns.Metric(t, metric) != 0 {
			t.Fatal("it is said before there is one")
		}
		here.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: myfederation}\n")
		server.Eventually(t, soon, "the log and a metric say so", func() bool { return warned() && fedns.Metric(t, metric) == 1 })
		if err := here.Client.CoreV1().Namespaces().Delete(context.Background(), "myfederation", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}
