package join

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// hosted is what a host cluster had before it became a federation's API.
const hosted = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: half, namespace: shop}
data: {a: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: taken, namespace: shop}
data: {a: b}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
`

// remains makes the API of a cluster that lives a federation's, has fedsync keep what is in it,
// and ends the federation: then nothing in etcd tells of it, here or in the member, and the
// host's own objects can be deleted as before.
func remains(t *testing.T, d *desk, b *cluster.Bed, host, member *cluster.Cluster) {
	const home, away = gke, eks // their contexts
	host.Apply(t, hosted)
	host.Apply(t, federation.Gadgets)
	gadget := kube.Kind{Group: "example.com", Version: "v1", Name: "Gadget", Resource: "gadgets", Namespaced: true}
	member.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
	member.Apply(t, "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: shop, name: taken}, data: {theirs: x}}")
	here := d.open(home)
	field := func(api *kube.API, k kube.Kind, name string, path ...string) string {
		o, err := api.Get(t.Context(), k, "shop", name)
		if err != nil {
			return ""
		}
		v, _, err := unstructured.NestedFieldNoCopy(o.Object, path...)
		if err != nil || v == nil {
			return ""
		}
		return fmt.Sprint(v)
	}
	eventually(t, "gadgets are served", func() bool {
		o := gadget.New("shop", "g")
		o.Object["spec"] = map[string]any{"size": int64(3)}
		_, _, err := here.Apply(t.Context(), gadget, o, kube.How{Manager: "somebody"})
		return err == nil
	})
	eventually(t, "its pods are ready", func() bool { return field(here, builtin.Deployments, "web", "status", "readyReplicas") == "2" })
	ends := map[*cluster.Cluster]map[string]string{host: b.Settled(t, host), member: b.Settled(t, member)}
	before := everything(t, here)

	kinds := []string{"--kind", "apiextensions.k8s.io/v1/CustomResourceDefinition", "--kind", "example.com/v1/Gadget"}
	d.must(append([]string{"init", "third", "--dns-zone-name", "example.net", "--api", home}, kinds...)...)
	d.mustNot("example.com/v1/Gadget: isn't served there", "--context=third", "join", "us", "--cluster-context", away, "--kind", "example.com/v1/Gadget")
	d.must(append([]string{"--context=third", "join", "us", "--cluster-context", away}, kinds...)...)
	if out := d.must("--context=third", "join", "us", "--cluster-context", away); !strings.Contains(out, "fedsync may keep apiextensions.k8s.io/v1/CustomResourceDefinition,example.com/v1/Gadget there, too\n") || strings.Contains(out, "doesn't serve") {
		t.Errorf("joined again, it says\n%s", out)
	}
	running := fedsync(t, here, "third")
	if o, err := here.Get(t.Context(), builtin.Secrets, "federation-system", "third-fedsync"); err != nil {
		t.Fatal(err)
	} else { // its own controller empties namespaces
		may(t, d.open("", kube.SecretData(o)["kubeconfig"]...), kube.Right{Verb: "deletecollection", Group: "rbac.authorization.k8s.io", Resource: "rolebindings", Namespace: "shop"}, false)
	}
	there := d.open(away)
	eventually(t, "the federation's objects are in the member, and marked", func() bool {
		return strings.Contains(field(here, builtin.Deployments, "web", "metadata", "finalizers"), "fedns.io/fedsync") &&
			field(there, builtin.Deployments, "web", "spec", "replicas") == "2" && field(there, builtin.ConfigMaps, "half", "data", "a") == "b"
	})
	eventually(t, "the definition has come, and what is of its kind", func() bool { return field(there, gadget, "g", "spec", "size") == "3" })
	narrow(t, here, there, running)
	sparing(t, d, here, there)
	eventually(t, "an event tells of a name that is taken", func() bool {
		all, err := here.List(t.Context(), builtin.Events, "shop", "")
		return err == nil && slices.ContainsFunc(all, func(o kube.Object) bool { return o.Object["reason"] == "NameTaken" })
	})
	running.end()
	// A plan gives itself no rights, and says where a run would.
	if _, _, err := here.Apply(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "later"), kube.How{Manager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := here.Apply(t.Context(), builtin.ConfigMaps, builtin.ConfigMaps.New("later", "c"), kube.How{Manager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	if out := d.must("plan", "--context=third"); !strings.Contains(out, "create Namespace later: ") || !strings.Contains(out, "create ConfigMap later/c: ") || !strings.Contains(out, "not tried: fedsync has no right in its namespace yet") {
		t.Errorf("plan says\n%s", out)
	}
	if err := here.Delete(t.Context(), builtin.Namespaces, "", "later", ""); err != nil {
		t.Fatal(err)
	}
	// A fedns's, as it says that it is there.
	lease := builtin.Leases.New("federation-system", "fedns-somewhere")
	lease.Object["spec"] = map[string]any{"leaseDurationSeconds": int64(40)}
	if _, _, err := here.Apply(t.Context(), builtin.Leases, lease, kube.How{Manager: "fedns"}); err != nil {
		t.Fatal(err)
	}
	// Somebody in the member has taken one of two marks off, and so made it theirs, or not.
	if _, err := there.Merge(t.Context(), builtin.ConfigMaps, "shop", "half", map[string]any{"metadata": map[string]any{"labels": map[string]any{"fedns.io/managed-by": nil}}}, "somebody", ""); err != nil {
		t.Fatal(err)
	}

	d.must("--context=third", "unjoin", "us", "--cluster-context", away, "--drain-wait=0")
	if out := d.must("deinit", "third", "--dry-run"); !strings.Contains(out, "would change Deployment shop/web, in the API of federation third\n") {
		t.Errorf("deinit --dry-run says\n%s", out)
	}
	if out := d.must("deinit", "third", "--yes"); strings.Contains(out, "stays") {
		t.Error(out)
	}
	same(t, here, before)
	if text := field(there, builtin.ConfigMaps, "half", "data", "a"); text != "b" {
		t.Errorf("an object that isn't marked as fedsync's has %q", text)
	}
	if err := there.Delete(t.Context(), builtin.ConfigMaps, "shop", "half", ""); err != nil {
		t.Fatal(err)
	}
	for c, was := range ends {
		var left []string
		defer func() {
			if t.Failed() {
				t.Logf("%s's etcd:\n%s", c.Name, strings.Join(left, "\n"))
			}
		}()
		server.Eventually(t, 30*time.Second, "nothing in "+c.Name+"'s etcd tells of it", func() bool {
			left = nil
			now := b.Stored(t, c)
			for key, value := range now {
				for _, word := range []string{"fedns", "fedsync", "fedctl", "third"} {
					if strings.Contains(key, word) || strings.Contains(value, word) {
						left = append(left, key+" has "+word)
					}
				}
			}
			for _, key := range cluster.Lasting(now) {
				if _, ok := was[key]; !ok {
					left = append(left, key+" is new")
				}
			}
			for _, key := range cluster.Lasting(was) {
				if _, ok := now[key]; !ok {
					left = append(left, key+" is gone")
				}
			}
			slices.Sort(left)
			return left == nil
		})
	}
	if err := here.Delete(t.Context(), builtin.Deployments, "shop", "web", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the host's own Deployment goes", func() bool {
		there, err := here.Exists(t.Context(), builtin.Deployments, "shop", "web")
		return err == nil && !there
	})
}

// narrow is that fedsync writes in the federation's namespaces only, by rights that it gives itself and takes
// back, and with tokens that it renews.
func narrow(t *testing.T, here, there *kube.API, running *process) {
	t.Helper()
	bound := func(namespace string) bool {
		ok, err := there.Exists(t.Context(), builtin.RoleBindings, namespace, "fedsync-third")
		return err == nil && ok
	}
	if !bound("shop") || bound("default") {
		t.Errorf("fedsync's right to write is in shop: %v, in default: %v", bound("shop"), bound("default"))
	}
	claims := func(secret string) kube.Credential {
		o, err := here.Get(t.Context(), builtin.Secrets, "federation-system", secret)
		if err != nil {
			t.Fatal(err)
		}
		c, _ := kube.Claims(kube.TokenIn(kube.SecretData(o)["kubeconfig"]))
		return c
	}
	const week = 7 * 24 * time.Hour
	eventually(t, "the token of fedns that didn't end does, once there is a fedsync", func() bool {
		c := claims("us.cluster")
		return c.Account == "fedns-third" && c.Life() >= week && c.Life() < week+time.Hour
	})
	if _, err := here.Merge(t.Context(), builtin.Secrets, "federation-system", "us.cluster-fedsync", map[string]any{"metadata": map[string]any{"annotations": map[string]any{"fedns.io/token-life": "10m"}}}, "test", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "fedsync has a token that lasts as long as is said now", func() bool { return claims("us.cluster-fedsync").Life() < time.Hour })
	set := func(namespace, value string) {
		o := builtin.ConfigMaps.New(namespace, "narrow")
		o.Object["data"] = map[string]any{"a": value}
		if _, _, err := here.Apply(t.Context(), builtin.ConfigMaps, o, kube.How{Manager: "somebody"}); err != nil {
			t.Fatal(err)
		}
	}
	comes := func(namespace, value string) {
		eventually(t, "ConfigMap "+namespace+"/narrow comes with "+value, func() bool {
			o, err := there.Get(t.Context(), builtin.ConfigMaps, namespace, "narrow")
			if err != nil {
				return false
			}
			v, _, _ := unstructured.NestedString(o.Object, "data", "a")
			return v == value
		})
	}
	set("shop", "one")
	comes("shop", "one")
	// It goes on with the new one: the Secret with the last is worth nothing when that is deleted.
	if err := there.Delete(t.Context(), builtin.RoleBindings, "shop", "fedsync-third", ""); err != nil {
		t.Fatal(err)
	}
	set("shop", "two")
	comes("shop", "two")
	if text := running.log.String(); strings.Contains(text, "other credentials") || strings.Contains(text, "can't be renewed") {
		t.Error("a renewed token has it begin anew")
	}
	if _, _, err := here.Apply(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "passing"), kube.How{Manager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	set("passing", "one")
	comes("passing", "one")
	for _, namespace := range []string{"passing", "shop"} {
		if err := here.Delete(t.Context(), builtin.ConfigMaps, namespace, "narrow", ""); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the right to write in a namespace goes with what was in it", func() bool { return !bound("passing") })
	if !bound("shop") {
		t.Error("so does that in one where something is left")
	}
	if err := here.Delete(t.Context(), builtin.Namespaces, "", "passing", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace goes", func() bool {
		_, err := there.Get(t.Context(), builtin.Namespaces, "", "passing")
		_, home := here.Get(t.Context(), builtin.Namespaces, "", "passing")
		return kube.Missing(err) && kube.Missing(home)
	})
}

// sparing is that fedsync, in an API in which others have Secrets, reads those only that it needs: by name the
// credentials of clusters, and what is in federated namespaces. A thief of what it has can't give himself others,
// nor run a pod where they are.
func sparing(t *testing.T, d *desk, here, there *kube.API) {
	t.Helper()
	o, err := here.Get(t.Context(), builtin.Secrets, "federation-system", "third-fedsync")
	if err != nil {
		t.Fatal(err)
	}
	thief := d.open("", kube.SecretData(o)["kubeconfig"]...)
	secret := func(namespace, name string) {
		o := kube.NewSecret(namespace, name, map[string][]byte{"a": []byte("b")})
		o.SetAnnotations(map[string]string{"fedns.io/cluster-selector": "[]"}) // to all
		if _, _, err := here.Apply(t.Context(), builtin.Secrets, o, kube.How{Manager: "somebody"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := here.Apply(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "brief"), kube.How{Manager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	secret("shop", "sparing")
	secret("brief", "sparing")
	for _, namespace := range []string{"shop", "brief"} {
		eventually(t, "a Secret of namespace "+namespace+" is in the cluster", func() bool {
			ok, err := there.Exists(t.Context(), builtin.Secrets, namespace, "sparing")
			return err == nil && ok
		})
	}
	read := func(namespace, name string) kube.Right {
		return kube.Right{Verb: "get", Resource: "secrets", Namespace: namespace, Name: name}
	}
	for _, r := range []kube.Right{read("shop", "sparing"), read("federation-system", "us.cluster"), read("federation-system", "us.cluster-fedsync")} {
		may(t, thief, r, true)
	}
	for _, r := range []kube.Right{read("", ""), read("kube-system", ""), read("federation-system", ""), read("federation-system", "third-fedns"), read("later", "")} {
		may(t, thief, r, false)
		r.Verb = "list"
		may(t, thief, r, false)
	}
	bind := func(namespace, name, role, account string) error {
		o := builtin.RoleBindings.New(namespace, name)
		o.Object["roleRef"] = map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
		o.Object["subjects"] = []any{map[string]any{"kind": "ServiceAccount", "name": account, "namespace": "federation-system"}}
		_, err := thief.Create(t.Context(), builtin.RoleBindings, o, "fedsync")
		return err
	}
	const own = v1alpha1.SecretsRole
	run := func(namespace string) error {
		o := builtin.Deployments.New(namespace, "thief")
		o.Object["spec"] = map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": "thief"}},
			"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "thief"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "c"}}}},
		}
		_, err := thief.Create(t.Context(), builtin.Deployments, o, "fedsync")
		return err
	}
	_, redirected := thief.Merge(t.Context(), builtin.RoleBindings, "shop", own, map[string]any{"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "fedns", "namespace": "federation-system"}}}, "fedsync", "")
	_, _, minted := thief.Token(t.Context(), "kube-system", "default", time.Hour, "")
	for what, err := range map[string]error{
		"bind its role in kube-system":       bind("kube-system", own, own, "fedsync"),
		"bind its role in federation-system": bind("federation-system", own, own, "fedsync"),
		"bind another role":                  bind("default", own, "cluster-admin", "fedsync"),
		"bind it under another name":         bind("default", "mine", own, "fedsync"),
		"bind it for somebody else":          bind("default", own+"-x", own, "fedns"),
		"give its own to somebody else":      redirected,
		"run pods in kube-system":            run("kube-system"),
		"run pods in federation-system":      run("federation-system"),
		"delete federation-system":           thief.Delete(t.Context(), builtin.Namespaces, "", "federation-system", ""),
		"delete kube-public":                 thief.Delete(t.Context(), builtin.Namespaces, "", "kube-public", ""),
		"have a token of another account":    minted,
	} {
		if !kube.Refused(err) {
			t.Errorf("fedsync may %s: %v", what, err)
		}
	}
	// A right that somebody takes is had anew.
	if err := here.Delete(t.Context(), builtin.RoleBindings, "shop", own, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Merge(t.Context(), builtin.RoleBindings, "shop", own, map[string]any{"metadata": map[string]any{"finalizers": nil}}, "somebody", ""); err != nil {
		t.Fatal(err)
	}
	secret("shop", "later")
	eventually(t, "a Secret comes although the right to read it was taken", func() bool {
		ok, err := there.Exists(t.Context(), builtin.Secrets, "shop", "later")
		return err == nil && ok
	})
	for _, name := range []string{"sparing", "later"} {
		if err := here.Delete(t.Context(), builtin.Secrets, "shop", name, ""); err != nil {
			t.Fatal(err)
		}
	}
	// The right outlives the Secrets, and nothing of either holds the namespace.
	if err := here.Delete(t.Context(), builtin.Namespaces, "", "brief", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a namespace with a Secret goes, and so do those of shop", func() bool {
		gone := true
		for _, api := range []*kube.API{here, there} {
			_, err := api.Get(t.Context(), builtin.Namespaces, "", "brief")
			gone = gone && kube.Missing(err)
			for _, name := range []string{"sparing", "later"} {
				_, err := api.Get(t.Context(), builtin.Secrets, "shop", name)
				gone = gone && kube.Missing(err)
			}
		}
		return gone
	})
}

// A process is a fedsync.
type process struct {
	cmd  *exec.Cmd
	gone <-chan struct{}
	log  *server.Buffer
}

// fedsync runs one over a federation's API, with what init has given it.
func fedsync(t *testing.T, api *kube.API, federationName string) *process {
	t.Helper()
	o, err := api.Get(t.Context(), builtin.Secrets, "federation-system", federationName+"-fedsync")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, kube.SecretData(o)["kubeconfig"], 0o600); err != nil {
		t.Fatal(err)
	}
	bin, err := federation.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "--kubeconfig", file, "--federation", federationName, "--listen", fmt.Sprint("127.0.0.1:", vector.Port(t)))
	var log server.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	gone, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	r := &process{cmd, gone, &log}
	t.Cleanup(func() {
		if r.end(); t.Failed() {
			t.Logf("fedsync printed:\n%s", log.String())
		}
	})
	return r
}

// end ends it as an operator would.
func (r *process) end() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	<-r.gone
}
