package join

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/kubelet"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A federation's API in a host cluster. No kubelet runs here: the test starts the
// very programs of the manifests, with their arguments and their Secrets, when kwok
// says that their pods run.
func TestHost(t *testing.T) {
	t.Parallel()
	whole := t
	b := cluster.New(t)
	host := b.Member(t, "host")
	host.AddNode(t, "node", "eu", "eu-a")
	const articles = "gke_company-project_us-east1-b_gce-us-east1-b"
	d := newDesk(t, map[string]*cluster.Cluster{articles: host})
	api := d.open(articles)
	eventually(t, "the node takes pods", func() bool { // its taint would go sooner or later
		n, err := host.Client.CoreV1().Nodes().Get(t.Context(), "node", metav1.GetOptions{})
		return err == nil && len(n.Spec.Taints) == 0
	})
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
			there, err := api.Exists(t.Context(), builtin.Namespaces, "", "federation-system")
			return err == nil && !there
		})
		// One that somebody else made stays.
		if _, err := api.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "federation-system"), "somebody"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the controllers have been there", func() bool {
			account, err := api.Exists(t.Context(), builtin.ServiceAccounts, "federation-system", "default")
			return err == nil && account
		})
		before = everything(t, api)
		// A volume that nobody provides.
		d.mustNot("federation-etcd has no ready pod: ", init("--timeout=4s", "--api-server-service-type=ClusterIP")...)
		same(t, api, before)
		ctx, cancel := context.WithCancel(t.Context())
		eventuallyThen(t, cancel, func() bool {
			ok, err := api.Exists(t.Context(), builtin.Deployments, "federation-system", "federation-apiserver")
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

	port := vector.Port(t)
	up := init("--api-server-service-type=NodePort", fmt.Sprintf("--api-server-advertise-address=127.0.0.1:%d", port), "--etcd-storage=none", "--timeout=1m")
	t.Run("init", func(t *testing.T) {
		d := d.with(t)
		run := make(chan string, 1)
		go func() {
			out, errs, code := d.fedctl(up...)
			run <- fmt.Sprintf("exit %d\n%s%s", code, out, errs)
		}()
		i := kubelet.New(whole, "federation", kubelet.Objects(t, api, "federation"), port)
		i.Run(whole)
		if said := <-run; !strings.HasPrefix(said, "exit 0\n") || !strings.Contains(said, `context "federation" in `) || !strings.Contains(said, " has no ready pod") { // of etcd, or of the API server where etcd was faster than the first look
			t.Fatalf("it says\n%s", said)
		}
		i.Healthy(t)
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
			o, err := api.Get(t.Context(), builtin.Secrets, "federation-system", program)
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
		keys := func() string {
			o, err := api.Get(t.Context(), builtin.Secrets, "federation-system", "federation-apiserver")
			if err != nil {
				t.Fatal(err)
			}
			data := kube.SecretData(o)
			return string(data["encryption.keys"]) + string(data["encryption.yaml"])
		}
		d.mustNot("has one etcd and one API server already, and can't be changed to three etcds and two API servers in place\nfedctl: hint: fedctl backup FILE,",
			init("--ha", "--api-server-service-type=NodePort", fmt.Sprintf("--api-server-advertise-address=127.0.0.1:%d", port))...)
		d.must(up...)
		for k, v := range secrets() {
			if first[k] != v {
				t.Errorf("it changes %s", k)
			}
		}
		was := keys()
		if out := d.must(append(slices.Clone(up), "--rotate-encryption-key")...); !strings.Contains(out, "encrypted with a new key") {
			t.Errorf("it says\n%s", out)
		}
		if now := keys(); now == was || strings.Contains(now, "first") || strings.Count(now, "key-2") != 1 || !strings.HasPrefix(now, "2 ") {
			t.Errorf("the keys are %d bytes", len(now)) // which nobody is to read in a log
		}
		if out := d.must(append(slices.Clone(up), "--image-fedns", "registry.example/fedns:test")...); !strings.Contains(out, "fedns and fedsync run in context") {
			t.Errorf("it says\n%s", out)
		}
		for _, name := range []string{"federation-fedns", "federation-fedns-fedsync"} {
			o, err := api.Get(t.Context(), builtin.Deployments, "federation-system", name)
			if err != nil {
				t.Fatal(err)
			}
			if n, _, _ := unstructured.NestedInt64(o.Object, "status", "readyReplicas"); n < 1 {
				t.Errorf("%s: %d pods are ready", name, n)
			}
		}
		answered(t, host, api)
		if policies, err := api.List(t.Context(), builtin.NetworkPolicies, "federation-system", ""); err != nil || len(policies) != 3 {
			t.Errorf("%d NetworkPolicies, %v", len(policies), err)
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

// What --dry-run prints is taken by an API server as it is, and what it says runs: several of each, which go on
// without one.
func TestDryRun(t *testing.T) {
	t.Parallel()
	b := cluster.New(t)
	host := b.API(t, "host")
	d := newDesk(t, map[string]*cluster.Cluster{"host": host})
	api := d.open("host")
	ns := builtin.Namespaces.New("", "federation-system")
	ns.SetLabels(map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	if _, err := api.Create(t.Context(), builtin.Namespaces, ns, "test"); err != nil {
		t.Fatal(err)
	}
	port := vector.Port(t)
	text := d.must("init", "federation", "--ha", "--dns-zone-name=example.com", "--dry-run", "-o", "yaml", fmt.Sprintf("--api-server-advertise-address=127.0.0.1:%d", port))
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
			pod := builtin.Pods.New("federation-system", "x")
			pod.Object["spec"] = template["spec"]
			if o.GetKind() == "StatefulSet" { // its controller adds the volume
				volumes := append(template["spec"].(map[string]any)["volumes"].([]any), map[string]any{"name": "data", "emptyDir": map[string]any{}})
				pod.Object["spec"].(map[string]any)["volumes"] = volumes
			}
			if _, _, err := api.Apply(t.Context(), builtin.Pods, pod, kube.How{Manager: "test", DryRun: true}); err != nil {
				t.Errorf("where security is restricted: %v", err)
			}
		}
	}
	i := kubelet.New(t, "federation", objects, port)
	i.Run(t)
	var admin []byte
	for _, o := range objects {
		if o.GetName() == "federation-admin" {
			admin = kube.SecretData(o)["kubeconfig"]
		}
	}
	own := d.open("", admin...)
	second := d.open("", bytes.ReplaceAll(admin, []byte(i.APIs[0].URL), []byte(i.APIs[1].URL))...)
	for _, api := range []*kube.API{own, second} {
		eventually(t, "its API is ready", func() bool { return api.Ready(t.Context()) == nil })
	}
	if len(i.Etcds) != 3 || len(i.APIs) != 2 {
		t.Fatalf("%d etcds and %d API servers", len(i.Etcds), len(i.APIs))
	}
	i.Healthy(t)
	// Who has written a Secret is noted, and not what stands in it. Secrets are encrypted where they lie.
	secret := kube.NewSecret("default", "x", map[string][]byte{"k": []byte("a word nobody else has")})
	if _, err := own.Create(t.Context(), builtin.Secrets, secret, "test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the audit log has it", func() bool {
		text := i.Log()
		return strings.Contains(text, `"verb":"create"`) && strings.Contains(text, `"resource":"secrets","namespace":"default","name":"x"`)
	})
	if strings.Contains(i.Log(), "YSB3b3JkIG5vYm9keQ") {
		t.Error("it has what stands in the Secret, too")
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
	if err := filepath.WalkDir(i.Data, walk); err != nil {
		t.Fatal(err)
	}
	// A node fails, with the etcd and the API server on it: what is left takes writes, and has all that was written.
	i.Etcds[0].Kill()
	i.APIs[0].Kill()
	eventually(t, "the other API server writes", func() bool {
		_, _, err := second.Apply(t.Context(), builtin.ConfigMaps, builtin.ConfigMaps.New("default", "later"), kube.How{Manager: "test"})
		return err == nil
	})
	if o, err := second.Get(t.Context(), builtin.Secrets, "default", "x"); err != nil || string(kube.SecretData(o)["k"]) != "a word nobody else has" {
		t.Errorf("what was written before is lost: %v", err)
	}
	i.Healthy(t)

	d.must("init", "member", "--dns-zone-name=example.com", "--api", "host")
	text = d.must("--context=member", "join", "eu", "--cluster-context", "host", "--region=eu", "--dry-run", "-o", "yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out = d.kubectl("--context=host", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", file)
	if !strings.Contains(out, "cluster.fedns.io/eu serverside-applied") {
		t.Errorf("kubectl says\n%s", out)
	}

	// The way out changes nothing either, and says what would go; then just that goes.
	d.must("--context=member", "join", "eu", "--cluster-context", "host", "--region=eu")
	before := everything(t, api)
	out = d.must("--context=member", "unjoin", "eu", "--cluster-context", "host", "--dry-run")
	for _, want := range []string{
		"would change Cluster eu, in the API of federation member\n",
		"would remove Cluster eu, in the API of federation member\n",
		"would remove Secret federation-system/eu.cluster, in the API of federation member\n",
		"would remove ClusterRole fedns-member, in cluster eu, context \"host\"\n",
		"nothing is done\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("unjoin --dry-run doesn't say %q but\n%s", want, out)
		}
	}
	d.mustNot("federation member has clusters: eu", "deinit", "member", "--dry-run")
	d.mustNot("none of json, yaml, name", "--context=member", "unjoin", "eu", "--cluster-context", "host", "--dry-run", "-o", "html")
	d.mustNot("-o goes with --dry-run", "--context=member", "unjoin", "eu", "--cluster-context", "host", "-o", "yaml")
	same(t, api, before)
	listed, err := kube.Parse(d.must("--context=member", "unjoin", "eu", "--cluster-context", "host", "--dry-run", "-o", "yaml"))
	if err != nil || len(listed) == 0 {
		t.Fatalf("unjoin --dry-run -o yaml: %d objects, %v", len(listed), err)
	}
	d.must("--context=member", "unjoin", "eu", "--cluster-context", "host", "--drain-wait=0")
	after := everything(t, api)
	for _, o := range listed {
		if left := d.kubectl("--context=host", "get", strings.ToLower(o.GetKind()), o.GetName(), "-n", "federation-system", "--ignore-not-found", "-o", "name"); left != "" {
			t.Errorf("%s %s was to be removed, and is there", o.GetKind(), o.GetName())
		}
	}
	if gone := len(before) - len(after); gone != len(listed) {
		t.Errorf("%d objects were listed, %d are gone", len(listed), gone)
	}
	before = after
	out = d.must("deinit", "member", "--dry-run")
	if !strings.Contains(out, "would remove CustomResourceDefinition clusters.fedns.io, in the API of federation member\n") || !strings.Contains(out, `would remove context "member"`) || !strings.HasSuffix(out, "nothing is done\n") {
		t.Errorf("deinit --dry-run says\n%s", out)
	}
	d.must("deinit", "member", "--dry-run", "-o", "json")
	same(t, api, before)
	if !slices.Contains(d.contexts(), "member") {
		t.Error("the context has gone")
	}
	d.must("deinit", "member", "--yes")
}

// answered runs the fedns that init has set up, with its Corefile and its credentials as they stand there: a
// service of the member is answered, and nobody has written anything for it.
func answered(t *testing.T, host *cluster.Cluster, api *kube.API) {
	config, err := api.Get(t.Context(), builtin.ConfigMaps, "federation-system", "federation-fedns")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := api.Get(t.Context(), builtin.Secrets, "federation-system", "federation-fedns")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, kube.SecretData(secret)["kubeconfig"], 0o600); err != nil {
		t.Fatal(err)
	}
	text, _, _ := unstructured.NestedString(config.Object, "data", "Corefile")
	elsewhere := strings.NewReplacer(
		"example.com:1053 {", "example.com:PORT {\n    bind ADDR",
		"/etc/fedns/api/kubeconfig", kubeconfig, "/var/lib/fedns", t.TempDir(),
		":8181", "READY", ":9153", "METRICS", ":8080", fmt.Sprint("127.0.0.1:", vector.Port(t)), "127.0.0.1:8053", fmt.Sprint("127.0.0.1:", vector.Port(t)),
	)
	s := server.Start(t, elsewhere.Replace(text))
	host.Deploy(t, "shop", "web", 1)
	host.Expose(t, "shop", "web", "192.0.2.10")
	eventually(t, "its name is answered", func() bool {
		r := s.Ask(t, "web.shop.federation.svc.example.com", dns.TypeA)
		return len(r.Answer) == 1 && strings.HasSuffix(r.Answer[0].String(), "\t192.0.2.10")
	})
	s.Stop()
	if err := api.Delete(t.Context(), builtin.Namespaces, "", "shop", ""); err != nil {
		t.Fatal(err)
	}
}
