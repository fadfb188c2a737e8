// Package pull runs a cluster that pulls: fedsync in it, and no credential for it elsewhere.
package pull

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// within is how long what is done at once may take on a busy machine.
const within = 60 * time.Second

// A world is a federation with a cluster that is written to and some that pull.
type world struct {
	*federation.World
	desk string     // a kubeconfig with a context for each
	top  *testing.T // with which the programs end
}

func newWorld(t *testing.T, fed *cluster.Cluster, all ...*cluster.Cluster) *world {
	t.Helper()
	w := &world{&federation.World{Fed: fed, Members: map[string]*cluster.Cluster{}, Log: &server.Buffer{}}, filepath.Join(t.TempDir(), "config"), t}
	config := clientcmdapi.NewConfig()
	for _, c := range append(all, fed) {
		one, err := clientcmd.LoadFromFile(c.Kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		config.Clusters[c.Name], config.AuthInfos[c.Name] = one.Clusters[c.Name], one.AuthInfos[c.Name]
		config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: c.Name}
		w.Members[c.Name] = c
	}
	if err := clientcmd.WriteToFile(*config, w.desk); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Stop()
		if t.Failed() {
			t.Logf("fedsync printed:\n%s", w.Log.String())
		}
	})
	return w
}

// fedctl runs it in the federation's context, and it has to work.
func (w *world) fedctl(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	env := map[string]string{"KUBECONFIG": w.desk, "FEDNS_SERVER": "http://127.0.0.1:1"}
	if args[0] != "init" {
		args = append(args, "--context", "federation")
	}
	code := ctl.Run(t.Context(), ctl.Env{Stdout: &out, Stderr: &errs, Getenv: func(k string) string { return env[k] }, Now: time.Now, Version: "test"}, args)
	if code != 0 {
		t.Fatalf("fedctl %q: exit %d\n%s%s", args, code, out.String(), errs.String())
	}
	return out.String()
}

// An agent is the fedsync of a cluster that pulls.
type agent struct {
	cmd  *exec.Cmd
	gone <-chan struct{}
	log  *server.Buffer
}

// agent starts one, with the rights of its service account.
func (w *world) agent(t *testing.T, name string) *agent {
	t.Helper()
	bin, err := federation.Binary()
	if err != nil {
		t.Fatal(err)
	}
	return w.agentOf(t, bin, name)
}

func (w *world) agentOf(t *testing.T, bin, name string) *agent {
	t.Helper()
	var err error
	a := &agent{log: &server.Buffer{}}
	a.cmd = exec.Command(bin, "--pull", "--federation", "prod", "--debug", "--listen", fmt.Sprint("127.0.0.1:", vector.Port(t)), "--kubeconfig", account(w.top, w.Members[name], v1alpha1.WriterAccount("prod")))
	a.cmd.Stdout, a.cmd.Stderr = a.log, a.log
	if a.gone, err = vector.Start(a.cmd); err != nil {
		t.Fatal(err)
	}
	w.top.Cleanup(func() {
		a.kill()
		if w.top.Failed() {
			w.top.Logf("fedsync in %s printed:\n%s", name, a.log.String())
		}
	})
	return a
}

func (a *agent) kill() {
	_ = a.cmd.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	<-a.gone
}

// account is a kubeconfig of an account in a cluster, as a pod would have it.
func account(t *testing.T, c *cluster.Cluster, name string) string {
	t.Helper()
	content, err := os.ReadFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	e, err := kubeconfig.EndpointOf(content)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := api(t, c).Token(t.Context(), v1alpha1.System, name, time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	content, err = kubeconfig.ForToken(name, e, token)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// apis are the ways to clusters' APIs, for as long as the tests run.
var apis sync.Map

func api(t *testing.T, c *cluster.Cluster) *kube.API {
	t.Helper()
	if a, ok := apis.Load(c); ok {
		return a.(*kube.API)
	}
	a, err := kube.Open(kube.Config{Kubeconfig: c.Kubeconfig, Agent: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	apis.Store(c, a)
	return a
}

// part is the federation's API as a cluster that pulls sees it.
func (w *world) part(t *testing.T, name string) *kube.API {
	t.Helper()
	s, err := api(t, w.Members[name]).Get(t.Context(), builtin.Secrets, v1alpha1.System, v1alpha1.PartSecret("prod"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := kube.Open(kube.Config{Content: kube.SecretData(s)[v1alpha1.KubeconfigKey], Inline: true, Agent: "thief"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// field is one of an object, with slashes between; "": it, or the object, isn't there.
func field(t *testing.T, c *cluster.Cluster, k kube.Kind, namespace, name, path string) string {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), 5*time.Second)
	defer end()
	o, err := api(t, c).Get(ctx, k, namespace, name)
	if err != nil {
		return ""
	}
	var v any = o.Object
	for p := range strings.SplitSeq(path, "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[p]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func eventually(t *testing.T, c *cluster.Cluster, k kube.Kind, namespace, name, path, want string) {
	t.Helper()
	got := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s: %s %s/%s: %s is %q", c.Name, k.Name, namespace, name, path, got)
		}
	}()
	server.Eventually(t, within, fmt.Sprintf("%s: %s %s/%s: %s is %q", c.Name, k.Name, namespace, name, path, want), func() bool {
		got = field(t, c, k, namespace, name, path)
		return got == want
	})
}

const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {color: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop, annotations: {fedns.io/cluster-selector: '[{"key":"kind","operator":"in","values":["push"]}]'}}
stringData: {key: opensesame}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
`

// TestPull is the life of a cluster that pulls, beside one that is written to.
func TestPull(t *testing.T) {
	t.Parallel() // it waits for most of its time
	b := cluster.New(t)
	all := b.Members(t, "paris", "tokyo")
	paris, tokyo := all[0], all[1]
	paris.AddNode(t, "n1", "eu", "eu-a")
	tokyo.AddNode(t, "n1", "ap", "ap-a")
	fed := b.API(t, "federation")
	w := newWorld(t, fed, paris, tokyo)
	w.fedctl(t, "init", "prod", "--api", "federation", "--dns-zone-name", "example.com")
	w.fedctl(t, "join", "paris", "--token-life", "0")
	w.fedctl(t, "join", "tokyo", "--pull")
	if _, err := api(t, fed).Merge(t.Context(), v1alpha1.Clusters, "", "paris", map[string]any{"metadata": map[string]any{"labels": map[string]any{"kind": "push"}}}, "somebody", ""); err != nil {
		t.Fatal(err)
	}
	asFedsync := *fed
	asFedsync.Kubeconfig = account(t, fed, "fedsync")
	w.Fed = &asFedsync
	w.Start(t, "--debug", "--lost-after", "20s")
	fed.Apply(t, shop)
	a := w.agent(t, "tokyo")

	t.Run("workloads", func(t *testing.T) {
		eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color", "blue")
		for _, c := range all {
			eventually(t, c, builtin.Deployments, "shop", "web", "spec/replicas", "3")
			eventually(t, c, builtin.Deployments, "shop", "web", "status/readyReplicas", "3")
		}
		eventually(t, fed, builtin.Deployments, "shop", "web", "status/readyReplicas", "6")
		eventually(t, fed, v1alpha1.Placements, "shop", "deployment.web", "status/state", "Applied")
	})
	for _, test := range []struct {
		name string
		run  func(t *testing.T, w *world)
	}{
		{"secrets", secrets},
		{"the credential", credential},
		{"nothing of the cluster is elsewhere", elsewhere},
		{"drift", drift},
		{"names taken", taken},
		{"killed", func(t *testing.T, w *world) { a = killed(t, w, a) }},
		{"refused", func(t *testing.T, w *world) { a = refused(t, w, a) }},
		{"hostile", hostile},
		{"cut off", func(t *testing.T, w *world) { a = cutOff(t, w, a) }},
		{"switched", func(t *testing.T, w *world) { a = switched(t, w, a) }},
		{"unjoined", unjoined},
	} {
		if t.Failed() || !t.Run(test.name, func(t *testing.T) { test.run(t, w) }) {
			return // the rest would fail of the same
		}
	}
}

var part = v1alpha1.PartOf("tokyo")

// secrets go where they are sent, and to no other part.
func secrets(t *testing.T, w *world) {
	fed, paris, tokyo := w.Members["federation"], w.Members["paris"], w.Members["tokyo"]
	eventually(t, paris, builtin.Secrets, "shop", "key", "metadata/name", "key")
	works := func() (out string) {
		all, err := api(t, fed).List(t.Context(), v1alpha1.Works, part, "")
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			out += fmt.Sprint(all[i].Object)
		}
		return out
	}
	const coded = "b3BlbnNlc2FtZQ=="
	if strings.Contains(works(), coded) || field(t, tokyo, builtin.Secrets, "shop", "key", "metadata/name") != "" {
		t.Error("a Secret that is sent to paris only is in tokyo's part")
	}
	annotate(t, fed, builtin.Secrets, "shop", "key", v1alpha1.Selector, "[]")
	eventually(t, tokyo, builtin.Secrets, "shop", "key", "metadata/name", "key")
	// What somebody adds to it there stays there.
	merge(t, tokyo, builtin.Secrets, "shop", "key", `{"data":{"own":"bXkgb3du"}}`)
	eventually(t, tokyo, builtin.Secrets, "shop", "key", "data/own", "bXkgb3du")
	time.Sleep(2 * told) // it has to have had the time to be reported
	if text := works(); strings.Contains(text, "bXkgb3du") || !strings.Contains(text, coded) {
		t.Error("what tokyo has of its own in a Secret is reported")
	}
}

// told is how long a report takes at the most, where nothing is in its way.
const told = time.Second

// credential is what may be done with that of a cluster that pulls.
func credential(t *testing.T, w *world) {
	fed, thief := w.Members["federation"], w.part(t, "tokyo")
	if works, err := thief.List(t.Context(), v1alpha1.Works, part, ""); err != nil || len(works) == 0 {
		t.Errorf("it sees %d Works, %v", len(works), err)
	}
	fed.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: federation-cluster-paris}\n")
	patch := func(k kube.Kind, ns, name, sub string) func() error {
		return func() error {
			_, err := thief.Merge(t.Context(), k, ns, name, map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}, "thief", sub)
			return err
		}
	}
	list := func(k kube.Kind, ns string) func() error {
		return func() error { _, err := thief.List(t.Context(), k, ns, ""); return err }
	}
	work := v1alpha1.WorkName(v1alpha1.WorkObject{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"})
	for what, call := range map[string]func() error{
		"list Works everywhere":    list(v1alpha1.Works, ""),
		"list Works of another":    list(v1alpha1.Works, "federation-cluster-paris"),
		"list Secrets of its part": list(builtin.Secrets, part),
		"list Secrets of clusters": list(builtin.Secrets, v1alpha1.System),
		"list federated Secrets":   list(builtin.Secrets, "shop"),
		"list ConfigMaps":          list(builtin.ConfigMaps, "shop"),
		"list Clusters":            list(v1alpha1.Clusters, ""),
		"list Namespaces":          list(builtin.Namespaces, ""),
		"list Leases":              list(builtin.Leases, v1alpha1.System),
		"write a Work":             patch(v1alpha1.Works, part, work, ""),
		"write its Agent":          patch(v1alpha1.Agents, part, v1alpha1.AgentName, ""),
		"write a Cluster's status": patch(v1alpha1.Clusters, "", "tokyo", "status"),
		"write a federated object": patch(builtin.Deployments, "shop", "web", ""),
		"write another's status":   patch(v1alpha1.Works, "federation-cluster-paris", work, "status"),
		"write another's Lease":    patch(builtin.Leases, "federation-cluster-paris", v1alpha1.AgentName, ""),
		"make a Work": func() error {
			_, err := thief.Create(t.Context(), v1alpha1.Works, v1alpha1.Works.New(part, "x"), "thief")
			return err
		},
		"delete a Work": func() error { return thief.Delete(t.Context(), v1alpha1.Works, part, work, "") },
		"get fedsync's token": func() error {
			_, _, err := thief.Token(t.Context(), v1alpha1.System, "fedsync", time.Hour, "")
			return err
		},
		"get a token of its part's": func() error { _, _, err := thief.Token(t.Context(), part, "default", time.Hour, ""); return err },
	} {
		if err := call(); !kube.Forbidden(err) {
			t.Errorf("with the credential of a cluster that pulls one may %s: %v", what, err)
		}
	}
	if _, _, err := thief.Token(t.Context(), part, v1alpha1.AgentName, time.Hour, v1alpha1.BoundTo(v1alpha1.AgentName)); err != nil {
		t.Errorf("it can't renew itself: %v", err)
	}
	if _, _, err := thief.Token(t.Context(), part, v1alpha1.AgentName, time.Hour, ""); err == nil || !strings.Contains(err.Error(), "bound to the Secret") {
		t.Errorf("with it one gets a token that outlasts it: %v", err)
	}
}

// elsewhere looks for what leads to the cluster in all that the federation's API has.
func elsewhere(t *testing.T, w *world) {
	tokyo := w.Members["tokyo"]
	content, err := os.ReadFile(tokyo.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	e, err := kubeconfig.EndpointOf(content)
	if err != nil {
		t.Fatal(err)
	}
	home := api(t, w.Members["federation"])
	kinds, err := contents.Writable(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	seen, leads := 0, 0
	for _, k := range kinds {
		all, err := home.List(t.Context(), k, "", "")
		if kube.Missing(err) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		for i := range all {
			o := &all[i]
			text := fmt.Sprint(o.Object)
			for _, data := range kube.SecretData(o) {
				text += string(data)
			}
			seen++
			if strings.Contains(text, "server: https://") {
				leads++ // paris is written to
			}
			if strings.Contains(text, e.Server) {
				t.Errorf("%s %s/%s leads to tokyo", k, o.GetNamespace(), o.GetName())
			}
		}
	}
	if seen < 50 || leads == 0 {
		t.Errorf("only %d objects were looked at, %d of which lead anywhere", seen, leads)
	}
}

func drift(t *testing.T, w *world) {
	tokyo := w.Members["tokyo"]
	merge(t, tokyo, builtin.ConfigMaps, "shop", "settings", `{"data":{"color":"red","own":"1"}}`)
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color", "blue")
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/own", "1")
	if err := api(t, tokyo).Delete(t.Context(), builtin.ConfigMaps, "shop", "settings", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color", "blue")
}

// taken is what was there before: it stays, until it is to be adopted, and nothing of it is told.
func taken(t *testing.T, w *world) {
	fed, tokyo := w.Members["federation"], w.Members["tokyo"]
	const theirs = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old, namespace: shop}\ndata: {color: green, secret: unheard}\n"
	tokyo.Apply(t, theirs)
	fed.Apply(t, strings.Replace(theirs, "green, secret: unheard", "blue", 1))
	eventually(t, fed, v1alpha1.Placements, "shop", "configmap.old", "status/state", "NameTaken")
	if got := field(t, tokyo, builtin.ConfigMaps, "shop", "old", "data/color"); got != "green" {
		t.Errorf("what isn't ours is %q", got)
	}
	work := v1alpha1.WorkName(v1alpha1.WorkObject{APIVersion: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "old"})
	if got := field(t, fed, v1alpha1.Works, part, work, "status/observed"); !strings.Contains(got, `"name":"old"`) || strings.Contains(got, "unheard") {
		t.Errorf("of what isn't ours is told: %s", got)
	}
	annotate(t, fed, builtin.ConfigMaps, "shop", "old", v1alpha1.Adopt, "true")
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "old", "data/color", "blue")
	eventually(t, fed, v1alpha1.Placements, "shop", "configmap.old", "status/state", "Applied")
	if err := api(t, fed).Delete(t.Context(), builtin.ConfigMaps, "shop", "old", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "old", "metadata/name", "")
	eventually(t, fed, v1alpha1.Works, part, work, "metadata/name", "")
}

// killed has it end at any moment, and a fedsync of the federation too.
func killed(t *testing.T, w *world, a *agent) *agent {
	fed, tokyo := w.Members["federation"], w.Members["tokyo"]
	for n := range kills {
		for i := range 10 {
			fed.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n%d, namespace: shop}\ndata: {round: \"%d\"}\n", i, n))
			if i == n*3%10 {
				a.kill()
				if n%2 == 1 {
					w.Kill()
					w.Restart(t)
				}
				a = w.agent(t, "tokyo")
			}
		}
	}
	for i := range 10 {
		eventually(t, tokyo, builtin.ConfigMaps, "shop", fmt.Sprint("n", i), "data/round", fmt.Sprint(kills-1))
	}
	for i := range 10 {
		if err := api(t, fed).Delete(t.Context(), builtin.ConfigMaps, "shop", fmt.Sprint("n", i), ""); err != nil {
			t.Fatal(err)
		}
		if i == 4 {
			a.kill()
			a = w.agent(t, "tokyo")
		}
	}
	for i := range 10 {
		eventually(t, tokyo, builtin.ConfigMaps, "shop", fmt.Sprint("n", i), "metadata/name", "")
		eventually(t, fed, builtin.ConfigMaps, "shop", fmt.Sprint("n", i), "metadata/name", "")
	}
	return a
}

const kills = 4

// refused has its credential be worth nothing at once, and be given anew, to one that leads and to one that waits to.
func refused(t *testing.T, w *world, a *agent) *agent {
	fed, tokyo := w.Members["federation"], w.Members["tokyo"]
	b := w.agent(t, "tokyo")
	logs := func(x *agent, text string) {
		t.Helper()
		server.Eventually(t, within, "it says: "+text, func() bool { return strings.Contains(x.log.String(), text) })
	}
	logs(b, "waits")
	if err := api(t, fed).Delete(t.Context(), builtin.Secrets, part, v1alpha1.BoundTo(v1alpha1.AgentName), ""); err != nil {
		t.Fatal(err)
	}
	logs(a, "until fedctl join --pull gives it another")
	server.Eventually(t, within, "tokyo is out of reach", func() bool { return condition(t, fed, "tokyo", v1alpha1.Ready) == "Offline" })
	merge(t, fed, builtin.ConfigMaps, "shop", "settings", `{"data":{"color":"grey"}}`)
	if err := api(t, fed).Delete(t.Context(), builtin.Secrets, "shop", "key", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, w.Members["paris"], builtin.Secrets, "shop", "key", "metadata/name", "")
	if got := field(t, tokyo, builtin.Secrets, "shop", "key", "metadata/name"); got != "key" {
		t.Errorf("without a credential, tokyo's Secret is %q", got)
	}
	w.fedctl(t, "join", "tokyo", "--pull")
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color", "grey")
	eventually(t, tokyo, builtin.Secrets, "shop", "key", "metadata/name", "")
	a.kill()
	logs(b, "there is another credential")
	merge(t, fed, builtin.ConfigMaps, "shop", "settings", `{"data":{"color":"blue"}}`)
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color", "blue")
	eventually(t, fed, builtin.Secrets, "shop", "key", "metadata/name", "") // else what is applied goes with it
	fed.Apply(t, shop)
	annotate(t, fed, builtin.Secrets, "shop", "key", v1alpha1.Selector, "[]")
	eventually(t, tokyo, builtin.Secrets, "shop", "key", "metadata/name", "key")
	return b
}

// hostile is what the operator of a cluster that pulls can do to the others with its credential.
func hostile(t *testing.T, w *world) {
	fed, paris, thief := w.Members["federation"], w.Members["paris"], w.part(t, "tokyo")
	id, err := api(t, paris).Origin(t.Context(), builtin.Namespaces)
	if err != nil {
		t.Fatal(err)
	}
	says := func(k kube.Kind, name string, status map[string]any) error {
		_, err := thief.Merge(t.Context(), k, part, name, map[string]any{"status": status}, "thief", "status")
		return err
	}
	work := v1alpha1.WorkName(v1alpha1.WorkObject{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"})
	if err := says(v1alpha1.Works, work, map[string]any{"observed": strings.Repeat("x", v1alpha1.LongestManifest+1)}); err == nil {
		t.Error("a status may be of any size")
	}
	// Else what is asked for would have been done already, for ever.
	if err := says(v1alpha1.Works, work, map[string]any{"sequence": int64(math.MaxInt64)}); err == nil {
		t.Error("a step is done that nobody has asked for")
	}
	for _, status := range []map[string]any{
		{"observed": "{"},
		{"sequence": int64(1), "observed": `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"key","namespace":"kube-system"}}`},
		{"observed": `{"metadata":{"name":"web","namespace":"shop","uid":"x","labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"},"resourceVersion":"99999999999999999999"},"spec":{"replicas":1000000},"status":{"replicas":1000000,"readyReplicas":1000000}}`},
	} {
		if err := says(v1alpha1.Works, work, status); err != nil {
			t.Errorf("%v: %v", status, err)
		}
	}
	var unknown []any
	for i := range 200 {
		unknown = append(unknown, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": fmt.Sprint("no-such-", i)})
	}
	for _, status := range []map[string]any{
		{"identity": id.Identity, "session": "a", "synced": true}, // it says that it is paris
		{"unknown": unknown},
		{"kinds": []any{map[string]any{"kind": "apps/v1/Deployment", "state": "Missing"}}, "session": "b", "unknown": nil},
	} {
		if err := says(v1alpha1.Agents, v1alpha1.AgentName, status); err != nil {
			t.Errorf("%v: %v", status, err)
		}
	}
	// Paris is written to all the while, and is who it is.
	merge(t, fed, builtin.ConfigMaps, "shop", "settings", `{"data":{"color":"black"}}`)
	eventually(t, paris, builtin.ConfigMaps, "shop", "settings", "data/color", "black")
	if ready := condition(t, fed, "paris", v1alpha1.Ready); ready != "Ready" {
		t.Errorf("paris is %s", ready)
	}
	// It gets tokyo's share, too, while that says that it serves no Deployments.
	if n, err := strconv.Atoi(field(t, paris, builtin.Deployments, "shop", "web", "spec/replicas")); err != nil || n < 3 {
		t.Errorf("paris has %d replicas of web, %v", n, err)
	}
	// The honest one says what is so, and all is as before.
	eventually(t, w.Members["tokyo"], builtin.ConfigMaps, "shop", "settings", "data/color", "black")
	w.settled(t)
}

// settled waits until all replicas of web are there and ready, and gives how many of them tokyo has: what has moved
// needs not come back.
func (w *world) settled(t *testing.T) (n int) {
	t.Helper()
	replicas := func(name string) int {
		n, err := strconv.Atoi(field(t, w.Members[name], builtin.Deployments, "shop", "web", "spec/replicas"))
		if err != nil {
			return -1 // it can't be asked
		}
		return n
	}
	server.Eventually(t, within, "both have six replicas, all of them ready", func() bool {
		n = replicas("tokyo")
		return n+replicas("paris") == 6 && field(t, w.Members["federation"], builtin.Deployments, "shop", "web", "status/readyReplicas") == "6"
	})
	return n
}

// cutOff has it be away for long.
func cutOff(t *testing.T, w *world, a *agent) *agent {
	fed, paris, tokyo := w.Members["federation"], w.Members["paris"], w.Members["tokyo"]
	a.kill()
	server.Eventually(t, within, "tokyo is out of reach", func() bool { return condition(t, fed, "tokyo", v1alpha1.Ready) == "Offline" })
	if err := api(t, fed).Delete(t.Context(), builtin.Secrets, "shop", "key", ""); err != nil {
		t.Fatal(err)
	}
	merge(t, fed, builtin.ConfigMaps, "shop", "settings", `{"data":{"color":"white"}}`)
	eventually(t, paris, builtin.ConfigMaps, "shop", "settings", "data/color", "white")
	if got := field(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color"); got != "black" {
		t.Errorf("without a fedsync there, tokyo's settings are %q", got)
	}
	a = w.agent(t, "tokyo")
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color", "white")
	eventually(t, tokyo, builtin.Secrets, "shop", "key", "metadata/name", "")
	server.Eventually(t, within, "tokyo is in reach", func() bool { return condition(t, fed, "tokyo", v1alpha1.Ready) == "Ready" })
	return a
}

// switched has it be written to, and pull again: what is there stays.
func switched(t *testing.T, w *world, a *agent) *agent {
	fed, tokyo := w.Members["federation"], w.Members["tokyo"]
	uid := field(t, tokyo, builtin.Deployments, "shop", "web", "metadata/uid")
	before := w.settled(t)
	w.fedctl(t, "join", "tokyo")
	a.kill()
	eventually(t, fed, builtin.Namespaces, "", part, "metadata/name", "")
	eventually(t, tokyo, builtin.Secrets, v1alpha1.System, v1alpha1.PartSecret("prod"), "metadata/name", "")
	merge(t, fed, builtin.ConfigMaps, "shop", "settings", `{"data":{"color":"pushed"}}`)
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color", "pushed")
	w.fedctl(t, "join", "tokyo", "--pull")
	for _, name := range []string{"tokyo.cluster", "tokyo.cluster" + v1alpha1.WriterSuffix} {
		if field(t, fed, builtin.Secrets, v1alpha1.System, name, "metadata/name") != "" {
			t.Errorf("Secret %s is there still", name)
		}
	}
	a = w.agent(t, "tokyo")
	merge(t, fed, builtin.ConfigMaps, "shop", "settings", `{"data":{"color":"pulled"}}`)
	eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color", "pulled")
	if now := field(t, tokyo, builtin.Deployments, "shop", "web", "metadata/uid"); now != uid {
		t.Errorf("the Deployment is %s, and was %s", now, uid)
	}
	if now := w.settled(t); now != before {
		t.Errorf("tokyo has %d replicas, and had %d", now, before)
	}
	return a
}

// unjoined leaves nothing on either side.
func unjoined(t *testing.T, w *world) {
	fed, tokyo := w.Members["federation"], w.Members["tokyo"]
	w.fedctl(t, "unjoin", "tokyo", "--drain-wait", "0")
	eventually(t, fed, builtin.Namespaces, "", part, "metadata/name", "")
	eventually(t, tokyo, builtin.Namespaces, "", v1alpha1.System, "metadata/name", "")
	eventually(t, tokyo, builtin.Namespaces, "", "shop", "metadata/name", "")
	for _, k := range []kube.Kind{builtin.ClusterRoles, builtin.ClusterRoleBindings, builtin.Policies, builtin.PolicyBindings} {
		all, err := api(t, tokyo).List(t.Context(), k, "", v1alpha1.MadeBy+"="+v1alpha1.Fedctl)
		if err != nil || len(all) > 0 {
			t.Errorf("tokyo has %d %s of fedctl's, %v", len(all), k.Resource, err)
		}
	}
	eventually(t, w.Members["paris"], builtin.Deployments, "shop", "web", "spec/replicas", "6")
}

// condition is the reason of one of a Cluster's.
func condition(t *testing.T, c *cluster.Cluster, name, kind string) string {
	t.Helper()
	o, err := api(t, c).Get(t.Context(), v1alpha1.Clusters, "", name)
	if err != nil {
		return err.Error()
	}
	all, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, x := range all {
		if m, ok := x.(map[string]any); ok && m["type"] == kind {
			return fmt.Sprint(m["reason"])
		}
	}
	return ""
}

func merge(t *testing.T, c *cluster.Cluster, k kube.Kind, namespace, name, patch string) {
	t.Helper()
	if _, err := api(t, c).Merge(t.Context(), k, namespace, name, json.RawMessage(patch), "somebody", ""); err != nil {
		t.Fatalf("%s: %s %s/%s: %v", c.Name, k.Name, namespace, name, err)
	}
}

func annotate(t *testing.T, c *cluster.Cluster, k kube.Kind, namespace, name, key, value string) {
	t.Helper()
	merge(t, c, k, namespace, name, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value))
}
