package enrol

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/fedtest"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/bed"
	"github.com/fedns/fedns/test/serve"
)

// A federation's API in a host cluster. No kubelet runs here: the test starts the
// very programs of the manifests, with their arguments and their Secrets, when kwok
// says that their pods run.
func TestHost(t *testing.T) {
	t.Parallel()
	whole := t
	b := bed.New(t)
	host := b.Member(t, "host")
	host.AddNode(t, "node", "eu", "eu-a")
	const articles = "gke_company-project_us-east1-b_gce-us-east1-b"
	d := newDesk(t, map[string]*bed.Cluster{articles: host})
	api := d.open(articles)
	before := everything(t, api)
	flags := []string{"--host-cluster-context=" + articles, "--dns-zone-name=example.com"}
	init := func(more ...string) []string {
		return append(append([]string{"init", "federation"}, flags...), more...)
	}

	t.Run("what is missing is said, and nothing is left", func(t *testing.T) {
		d := d.with(t)
		d.mustNot("not within 2s (--timeout): service federation-apiserver has no load-balancer address\nfedctl: hint: where nobody hands them out, use --api-server-service-type NodePort", init("--timeout=2s")...)
		same(t, api, before)
		eventually(t, "the namespace is gone", func() bool {
			there, err := api.Exists(t.Context(), kube.Namespaces, "", "federation-system")
			return err == nil && !there
		})
		// One that somebody else made stays.
		if _, err := api.Create(t.Context(), kube.Namespaces, kube.Namespaces.New("", "federation-system"), "somebody"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the controllers have been there", func() bool {
			account, err := api.Exists(t.Context(), kube.ServiceAccounts, "federation-system", "default")
			return err == nil && account
		})
		before = everything(t, api)
		// A volume that nobody provides.
		d.mustNot("federation-etcd has no ready pod: ", init("--timeout=4s", "--api-server-service-type=ClusterIP")...)
		same(t, api, before)
		ctx, cancel := context.WithCancel(t.Context())
		eventuallyThen(t, cancel, func() bool {
			ok, err := api.Exists(t.Context(), kube.Deployments, "federation-system", "federation-apiserver")
			return err == nil && ok
		})
		if _, errs, code := d.fedctlIn(ctx, init("--api-server-service-type=ClusterIP")...); code == 0 || !strings.Contains(errs, "interrupted") {
			t.Errorf("exit %d, %s", code, errs)
		}
		same(t, api, before)
		if got := d.contexts(); len(got) != 1 {
			t.Errorf("contexts %q", got)
		}
	})

	port := fedtest.Port(t)
	up := init("--api-server-service-type=NodePort", fmt.Sprintf("--api-server-advertise-address=127.0.0.1:%d", port), "--etcd-storage=none", "--timeout=1m")
	t.Run("init", func(t *testing.T) {
		d := d.with(t)
		run := make(chan string, 1)
		go func() {
			out, errs, code := d.fedctl(up...)
			run <- fmt.Sprintf("exit %d\n%s%s", code, out, errs)
		}()
		eventually(t, "the manifests are there", func() bool {
			ok, err := api.Exists(t.Context(), kube.Deployments, "federation-system", "federation-apiserver")
			return err == nil && ok
		})
		var objects []*kube.Object
		for _, x := range []struct {
			kind kube.Kind
			name string
		}{{kube.StatefulSets, "federation-etcd"}, {kube.Deployments, "federation-apiserver"}, {kube.Secrets, "federation-etcd"}, {kube.Secrets, "federation-apiserver"}} {
			o, err := api.Get(t.Context(), x.kind, "federation-system", x.name)
			if err != nil {
				t.Fatal(err)
			}
			objects = append(objects, o)
		}
		i := newInstance(whole, objects, port)
		i.run(whole)
		if said := <-run; !strings.HasPrefix(said, "exit 0\n") || !strings.Contains(said, `context "federation" in `) || !strings.Contains(said, "init: federation-etcd has no ready pod") {
			t.Fatalf("it says\n%s", said)
		}
		i.healthy(t)
	})
	if t.Failed() {
		return
	}

	t.Run("it works", func(t *testing.T) {
		d := d.with(t)
		out := d.kubectl("--context=federation", "get", "clusters")
		if !strings.Contains(out, "No resources found") {
			t.Errorf("kubectl says %s", out)
		}
		// The host is a member, too: "this circular dependency helps".
		out = d.must("--context=federation", "join", "cluster-us-east1-b", "--cluster-context="+articles)
		if !strings.Contains(out, "is a member of federation federation now") {
			t.Errorf("it says %s", out)
		}
		fed := d.open("federation")
		for _, program := range []string{"federation-fedns", "federation-fedsync"} {
			o, err := api.Get(t.Context(), kube.Secrets, "federation-system", program)
			if err != nil {
				t.Fatal(err)
			}
			own := d.open("", kube.SecretData(o)["kubeconfig"]...)
			if own.Server != fed.Server {
				t.Errorf("%s leads to %s, not %s", program, own.Server, fed.Server)
			}
			if _, err := own.Get(t.Context(), kube.Kind{Group: "fedns.io", Version: "v1alpha1", Name: "Cluster", Resource: "clusters"}, "", "cluster-us-east1-b"); err != nil {
				t.Errorf("%s: %v", program, err)
			}
		}
	})

	t.Run("again", func(t *testing.T) {
		d := d.with(t)
		secrets := func() map[string]string {
			out := map[string]string{}
			for k, v := range everything(t, api) {
				if strings.HasPrefix(k, "Secret federation-system/") && !strings.HasSuffix(k, "-fedns") && !strings.HasSuffix(k, "-fedsync") ||
					strings.HasPrefix(k, "Service ") {
					out[k] = v
				}
			}
			return out
		}
		first := secrets()
		if len(first) < 5 {
			t.Fatalf("only %d", len(first))
		}
		d.must(up...)
		for k, v := range secrets() {
			if first[k] != v {
				t.Errorf("it changes %s", k)
			}
		}
	})

	t.Run("deinit", func(t *testing.T) {
		d := d.with(t)
		d.mustNot("has an API of its own, in a host cluster", "deinit", "federation", "--yes")
		d.mustNot("federation federation has clusters: cluster-us-east1-b", "deinit", "federation", "--yes", "--host-cluster-context", articles)
		d.must("--context=federation", "unjoin", "cluster-us-east1-b", "--cluster-context="+articles, "--drain-wait=0")
		d.must("deinit", "federation", "--yes", "--host-cluster-context", articles)
		same(t, api, before)
		if got := d.contexts(); len(got) != 1 {
			t.Errorf("contexts %q", got)
		}
	})
}

// What --dry-run prints is taken by an API server as it is, and what it says runs.
func TestDryRun(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	host := b.API(t, "host")
	d := newDesk(t, map[string]*bed.Cluster{"host": host})
	api := d.open("host")
	ns := kube.Namespaces.New("", "federation-system")
	ns.SetLabels(map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	if _, err := api.Create(t.Context(), kube.Namespaces, ns, "test"); err != nil {
		t.Fatal(err)
	}
	port := fedtest.Port(t)
	text := d.must("init", "federation", "--dns-zone-name=example.com", "--dry-run", "-o", "yaml", fmt.Sprintf("--api-server-advertise-address=127.0.0.1:%d", port))
	file := filepath.Join(t.TempDir(), "federation.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := d.kubectl("--context=host", "apply", "--server-side", "--dry-run=server", "-f", file)
	if n := strings.Count(out, "serverside-applied (server dry run)"); n < 18 {
		t.Errorf("only %d objects are taken:\n%s", n, out)
	}
	if list := d.must("init", "federation", "--dns-zone-name=example.com", "--dry-run"); !strings.Contains(list, "would make Deployment federation-system/federation-apiserver\n") {
		t.Errorf("it lists\n%s", list)
	}
	objects, err := kube.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if template, ok, _ := unstructured.NestedMap(o.Object, "spec", "template"); ok {
			pod := kube.Pods.New("federation-system", "x")
			pod.Object["spec"] = template["spec"]
			if o.GetKind() == "StatefulSet" { // its controller adds the volume
				volumes := append(template["spec"].(map[string]any)["volumes"].([]any), map[string]any{"name": "data", "emptyDir": map[string]any{}})
				pod.Object["spec"].(map[string]any)["volumes"] = volumes
			}
			if _, _, err := api.Apply(t.Context(), kube.Pods, pod, kube.How{Manager: "test", DryRun: true}); err != nil {
				t.Errorf("where security is restricted: %v", err)
			}
		}
	}
	i := newInstance(t, objects, port)
	i.run(t)
	var admin []byte
	for _, o := range objects {
		if o.GetName() == "federation-admin" {
			admin = kube.SecretData(o)["kubeconfig"]
		}
	}
	own := d.open("", admin...)
	eventually(t, "its API is ready", func() bool { return own.Ready(t.Context()) == nil })
	i.healthy(t)
	// Secrets are encrypted where they lie.
	secret := kube.NewSecret("default", "x", map[string][]byte{"k": []byte("a word nobody else has")})
	if _, err := own.Create(t.Context(), kube.Secrets, secret, "test"); err != nil {
		t.Fatal(err)
	}
	walk := func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "a word nobody") || strings.Contains(string(text), "YSB3b3JkIG5vYm9keQ") {
			t.Errorf("%s has the Secret as it is", path)
		}
		return err
	}
	if err := filepath.WalkDir(i.data, walk); err != nil {
		t.Fatal(err)
	}

	d.must("init", "member", "--dns-zone-name=example.com", "--api", "host")
	text = d.must("--context=member", "join", "eu", "--cluster-context", "host", "--region=eu", "--dry-run", "-o", "yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out = d.kubectl("--context=host", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", file)
	if !strings.Contains(out, "cluster.fedns.io/eu serverside-applied") {
		t.Errorf("kubectl says\n%s", out)
	}
}

// An instance is etcd and an API server as manifests have them, but on loopback.
type instance struct {
	etcd, api          []string
	data               string
	etcdHealth, apiURL string
}

func newInstance(t testing.TB, objects []*kube.Object, port int) *instance {
	t.Helper()
	dir := t.TempDir()
	i := &instance{data: filepath.Join(dir, "data")}
	client, peer, health := fedtest.Port(t), fedtest.Port(t), fedtest.Port(t)
	i.etcdHealth = fmt.Sprintf("http://127.0.0.1:%d", health)
	i.apiURL = fmt.Sprintf("https://127.0.0.1:%d", port)
	elsewhere := strings.NewReplacer(
		"/etc/etcd/pki", filepath.Join(dir, "federation-etcd"),
		"/etc/kubernetes/pki", filepath.Join(dir, "federation-apiserver"),
		"/var/lib/etcd/data", i.data,
		"//0.0.0.0:2379", fmt.Sprintf("//127.0.0.1:%d", client),
		"//federation-etcd.federation-system.svc:2379", fmt.Sprintf("//127.0.0.1:%d", client),
		"//127.0.0.1:2380", fmt.Sprintf("//127.0.0.1:%d", peer),
		"//0.0.0.0:2381", i.etcdHealth[len("http:"):],
		"--secure-port=6443", fmt.Sprintf("--secure-port=%d", port),
	)
	for _, o := range objects {
		switch o.GetKind() {
		case "Secret":
			if err := os.MkdirAll(filepath.Join(dir, o.GetName()), 0o700); err != nil {
				t.Error(err)
			}
			for name, value := range kube.SecretData(o) {
				if err := os.WriteFile(filepath.Join(dir, o.GetName(), name), value, 0o600); err != nil {
					t.Error(err)
				}
			}
		case "StatefulSet", "Deployment":
			containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			if err != nil || len(containers) != 1 {
				t.Errorf("%s: %d containers, %v", o.GetName(), len(containers), err)
				continue
			}
			command, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "command")
			if err != nil {
				t.Error(err)
			}
			for n := range command {
				command[n] = elsewhere.Replace(command[n])
			}
			if o.GetKind() == "StatefulSet" {
				i.etcd = command
			} else {
				i.api = append(command, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1")
			}
		}
	}
	return i
}

// run runs both until the test ends.
func (i *instance) run(t testing.TB) {
	t.Helper()
	serve.Program(t, program(i.etcd[0]), i.etcd[1:]...)
	serve.Program(t, program(i.api[0]), i.api[1:]...)
}

// healthy asks what the probes of the manifests ask: without credentials.
func (i *instance) healthy(t *testing.T) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	for _, url := range []string{i.etcdHealth + "/livez", i.etcdHealth + "/readyz", i.apiURL + "/livez", i.apiURL + "/readyz"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
	if resp, err := client.Get(i.apiURL + "/api/v1/secrets"); err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("without credentials, Secrets are %s", resp.Status)
		}
	}
}
