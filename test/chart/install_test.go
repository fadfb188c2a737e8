package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// The chart in a cluster: its pods come up, its service account may do what fedns does,
// another cluster joins by fedctl and nothing else, an upgrade changes what it says, and
// uninstall leaves nothing. (That its pods run where there are kubelets is shown elsewhere:
// here kwok plays them, and fedns runs beside with what the chart gives it.)
func TestInstall(t *testing.T) {
	bed := cluster.New(t)
	all := bed.Members(t, "us", "eu")
	us, eu := all[0], all[1]
	us.AddNode(t, "node-us", "us-central1", "us-central1-a")
	eu.AddNode(t, "node-eu", "europe-west1", "europe-west1-b")
	us.Expose(t, "shop", "web", "192.0.2.1")
	us.Slice(t, "shop", "web", "us-central1-a", true)
	eu.Expose(t, "shop", "web", "198.51.100.1")
	eu.Slice(t, "shop", "web", "europe-west1-b", true)
	before := cluster.Lasting(bed.Settled(t, us))

	must(t, us.Kubeconfig, append([]string{"install", "fedns", dir, "--wait", "--timeout", "3m"}, said...)...)
	if got := us.Kubectl(t, "-n", "federation-system", "get", "deployment", "fedns", "-o", "jsonpath={.status.readyReplicas}"); got != "2" {
		t.Errorf("%s pods are ready", got)
	}
	s := start(t, us)
	s.becomes(t, "web.shop.fed.svc.fed.example.com.", "192.0.2.1")
	if log := s.Log(); strings.Contains(log, "forbidden") || strings.Contains(log, "[ERROR]") {
		t.Errorf("it may not do all that it does:\n%s", log)
	}

	contexts := merged(t, us.Kubeconfig, eu.Kubeconfig)
	fedctl(t, contexts, "--context=us", "join", "europe", "--cluster-context=eu")
	s.becomes(t, "web.shop.fed.svc.fed.example.com.", "192.0.2.1", "198.51.100.1")
	s.becomes(t, "web.shop.fed.svc.europe-west1.fed.example.com.", "198.51.100.1")
	server.Eventually(t, time.Minute, "the Cluster says how it stands", func() bool {
		return strings.Contains(us.Kubectl(t, "get", "clusters", "europe", "-o", "jsonpath={.status.conditions[?(@.type==\"Heard\")].status}"), "True")
	})

	// helm upgrade: what is said otherwise is so; what has joined stays.
	must(t, us.Kubeconfig, append([]string{"upgrade", "fedns", dir, "--wait", "--timeout", "3m", "--set", "replicas=3", "--set", "options={ttl 60s}", "--set", "status.review=true"}, said...)...)
	if config := us.Kubectl(t, "-n", "federation-system", "get", "configmap", "fedns", "-o", "jsonpath={.data.Corefile}"); !strings.Contains(config, "        ttl 60s\n") {
		t.Errorf("after the upgrade:\n%s", config)
	}
	if got := us.Kubectl(t, "get", "clusters", "-o", "name"); strings.TrimSpace(got) != "cluster.fedns.io/europe" {
		t.Errorf("after the upgrade there are %s", got)
	}
	s.Stop()
	s = start(t, us)
	mayLook(t, us, s.status)

	fedctl(t, contexts, "--context=us", "unjoin", "europe", "--cluster-context=eu", "--drain-wait=0s")
	s.becomes(t, "web.shop.fed.svc.fed.example.com.", "192.0.2.1")
	s.Stop()
	must(t, us.Kubeconfig, "uninstall", "fedns", "--wait", "--timeout", "3m")
	for end := time.Now().Add(server.Patience(2 * time.Minute)); ; time.Sleep(100 * time.Millisecond) {
		left := cluster.Lasting(bed.Stored(t, us))
		left = slices.DeleteFunc(left, func(key string) bool { return slices.Contains(before, key) })
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("left:\n%s", strings.Join(left, "\n"))
		}
	}
}

// Where a cluster has something of fedns already, the chart takes nothing of it for its own: the namespace of another
// federation's member stays after helm uninstall, and kinds that others have made are told of.
func TestOccupied(t *testing.T) {
	c := cluster.New(t).API(t, "us")
	install := append([]string{"install", "fedns", dir}, said...)
	c.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: federation-system}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: of-another, namespace: federation-system}\n")
	for range 2 { // and again, as if it had never been there
		must(t, c.Kubeconfig, install...)
		must(t, c.Kubeconfig, append([]string{"upgrade", "fedns", dir, "--set", "replicas=3"}, said...)...)
		must(t, c.Kubeconfig, "uninstall", "fedns", "--wait", "--timeout", "2m")
		c.Kubectl(t, "-n", "federation-system", "get", "secret", "of-another")
		if got := c.Kubectl(t, "get", "namespace", "federation-system", "-o", "jsonpath={.status.phase}"); got != "Active" {
			t.Fatalf("the namespace that was there is %s", got)
		}
	}
	c.Apply(t, strings.Join(deploy.Definitions, "\n---\n"))
	if _, errs, err := helm(t, c.Kubeconfig, install...); err == nil || !strings.Contains(errs, "crds.install: the kinds of fedns.io are here already, and not of this release") {
		t.Errorf("over kinds that others have made: %v\n%s", err, errs)
	}
	must(t, c.Kubeconfig, append(slices.Clone(install), "--set", "crds.install=false")...)
	must(t, c.Kubeconfig, "uninstall", "fedns", "--wait", "--timeout", "2m")
	c.Kubectl(t, "get", "crd", "clusters.fedns.io")

	// Two federations, each with a release of one name.
	for _, federation := range []string{"first", "second"} {
		must(t, c.Kubeconfig, "install", "fedns", dir, "--namespace", federation, "--create-namespace", "--set", "domain=example.com", "--set", "federation="+federation,
			"--set", "api.mode=none", "--set", "status.review=true", "--set", "status.tls.secret=page")
	}
}

// A served fedns runs over what the chart gives its pods: the Corefile, and a kubeconfig with the
// rights of the service account.
type served struct {
	*server.Server
	status string // where its page is
}

func start(t *testing.T, c *cluster.Cluster) served {
	t.Helper()
	token, err := c.Client.CoreV1().ServiceAccounts("federation-system").CreateToken(t.Context(), "fedns", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	ca := admin.Clusters[admin.Contexts[admin.CurrentContext].Cluster]
	folder := t.TempDir()
	files := map[string]string{"token": token.Status.Token, "ca.crt": string(ca.CertificateAuthorityData)}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	here := c.Kubectl(t, "-n", "federation-system", "get", "configmap", "fedns", "-o", `jsonpath={.data.here\.kubeconfig}`)
	here = strings.NewReplacer("https://kubernetes.default.svc", ca.Server, "/var/run/secrets/kubernetes.io/serviceaccount", folder).Replace(here)
	if err := os.WriteFile(filepath.Join(folder, "here.kubeconfig"), []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	status := fmt.Sprint("127.0.0.1:", vector.Port(t))
	corefile := c.Kubectl(t, "-n", "federation-system", "get", "configmap", "fedns", "-o", "jsonpath={.data.Corefile}")
	corefile = strings.NewReplacer(
		":1053 {", ":PORT {\n    bind ADDR", "here.kubeconfig", filepath.Join(folder, "here.kubeconfig"), "/var/lib/fedns", t.TempDir(),
		":8181", "READY", "prometheus :9153", "prometheus METRICS", "status 127.0.0.1:8053", "status "+status, "health :8080 {", "health 127.0.0.1:0 {", "lameduck 10s", "lameduck 0s",
	).Replace(corefile)
	return served{server.Start(t, corefile), "http://" + status}
}

func (s served) becomes(t *testing.T, name string, want ...string) {
	t.Helper()
	server.Eventually(t, time.Minute, fmt.Sprintf("%s is %v", name, want), func() bool {
		got := server.Addrs(s.Ask(t, name, dns.TypeA))
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// fedctl stub writes into a cluster's DNS what it prints, once, and takes it out again.
func TestStub(t *testing.T) {
	c := cluster.New(t).API(t, "us")
	const corefile = ".:53 {\n    errors\n}\n"
	c.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns, namespace: kube-system}\ndata:\n  Corefile: |\n    .:53 {\n        errors\n    }\n")
	of := func(name, key string) string {
		return c.Kubectl(t, "-n", "kube-system", "get", "configmap", name, "-o", "jsonpath={.data."+strings.ReplaceAll(key, ".", `\.`)+"}")
	}
	for _, tt := range []struct{ form, name, key, want, without string }{
		{"coredns", "coredns", "Corefile", "example.com:53 {\n    errors\n    cache 30\n    forward . 192.0.2.53\n}\n", corefile},
		{"coredns-custom", "coredns-custom", "fedns-example.com.server", "forward . 192.0.2.53", ""},
		{"kube-dns", "kube-dns", "stubDomains", `"example.com": [`, "{}\n"},
	} {
		for range 2 {
			fedctl(t, c.Kubeconfig, "--context=us", "stub", "--domain=example.com", "--servers=192.0.2.53", "-o", tt.form, "--apply")
			if got := of(tt.name, tt.key); strings.Count(got, tt.want) != 1 {
				t.Errorf("%s: applied, it is\n%s", tt.form, got)
			}
		}
		fedctl(t, c.Kubeconfig, "--context=us", "stub", "--domain=example.com", "-o", tt.form, "--remove")
		if got := of(tt.name, tt.key); strings.TrimSpace(got) != strings.TrimSpace(tt.without) {
			t.Errorf("%s: removed, it is\n%s", tt.form, got)
		}
	}
}
