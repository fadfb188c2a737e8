// Package sync runs fedsync against real API servers, as its users do.
package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/fedtest"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/workload"
	"github.com/fedns/fedns/test/bed"
	"github.com/fedns/fedns/test/serve"
)

// binary builds fedsync once.
var binary = sync.OnceValues(func() (string, error) { return serve.Build("fedsync") })

// A world is a federation's API, its members, and a fedsync that may run.
type world struct {
	fed     *bed.Cluster
	members map[string]*bed.Cluster
	cmd     *exec.Cmd
	done    chan struct{}
	log     *serve.Buffer
	metrics string
	args    []string
}

// federate makes a federation's API and joins members to it, with all rights.
func federate(t testing.TB, b *bed.Bed, members ...*bed.Cluster) *world {
	t.Helper()
	w := &world{fed: b.API(t, "federation"), members: map[string]*bed.Cluster{}, log: &serve.Buffer{}}
	w.prepare(t)
	for _, m := range members {
		w.join(t, m, "")
	}
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("fedsync printed:\n%s", w.log.String())
		}
	})
	return w
}

// prepare makes an API a federation's.
func (w *world) prepare(t testing.TB) {
	t.Helper()
	w.fed.Apply(t, deploy.Clusters)
	w.fed.Apply(t, ns(fedapi.System))
	serve.Eventually(t, 10*time.Second, "clusters are served", func() bool {
		_, err := api(t, w.fed).List(t.Context(), fedapi.Clusters, "", "")
		return err == nil
	})
}

// join makes a Cluster object and its Secret; spec is more of its YAML, in flow
// style, such as "region: us,".
func (w *world) join(t testing.TB, m *bed.Cluster, spec string) {
	t.Helper()
	w.members[m.Name] = m
	config, err := os.ReadFile(m.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(string(config))
	if err != nil {
		t.Fatal(err)
	}
	w.fed.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: %[1]s-fedsync, namespace: %[2]s}
stringData: {kubeconfig: %[3]s}
---
apiVersion: fedns.io/v1alpha1
kind: Cluster
metadata: {name: %[1]s, labels: {name: %[1]s}}
spec: {%[4]s secretRef: {name: %[1]s}}
`, m.Name, fedapi.System, text, spec))
}

// start starts fedsync.
func (w *world) start(t testing.TB, args ...string) {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	w.metrics = fmt.Sprint("127.0.0.1:", fedtest.Port(t))
	w.args = args
	w.cmd, w.done = w.launch(t, bin, append([]string{"-lease", "0", "-listen", w.metrics}, args...)...)
}

// restart starts it as it was started last.
func (w *world) restart(t testing.TB) {
	t.Helper()
	w.start(t, w.args...)
}

func (w *world) launch(t testing.TB, bin string, args ...string) (*exec.Cmd, chan struct{}) {
	t.Helper()
	cmd := exec.Command(bin, append([]string{"-kubeconfig", w.fed.Kubeconfig, "-federation", "prod"}, args...)...)
	cmd.Stdout, cmd.Stderr = w.log, w.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is told by what it printed
		close(done)
	}()
	return cmd, done
}

// stop ends fedsync as an operator would.
func (w *world) stop() { w.end(syscall.SIGTERM) }

// kill ends it without a warning.
func (w *world) kill() { w.end(syscall.SIGKILL) }

func (w *world) end(with syscall.Signal) {
	if w.cmd == nil {
		return
	}
	_ = w.cmd.Process.Signal(with) // it may have ended by itself
	select {
	case <-w.done:
	case <-time.After(10 * time.Second):
		_ = w.cmd.Process.Kill()
		<-w.done
	}
	w.cmd = nil
}

// kinds are those that tests ask for, by the names that people use.
var kinds = func() map[string]fedapi.Kind {
	out := map[string]fedapi.Kind{
		"clusters": fedapi.Clusters,
		"event":    {Version: "v1", Name: "Event", Resource: "events", Namespaced: true},
		"gadget":   {Group: "example.com", Version: "v1", Name: "Gadget", Resource: "gadgets", Namespaced: true},
		"lease":    {Group: "coordination.k8s.io", Version: "v1", Name: "Lease", Resource: "leases", Namespaced: true},
		"pod":      {Version: "v1", Name: "Pod", Resource: "pods", Namespaced: true},
	}
	for _, s := range workload.Kinds() {
		out[strings.ToLower(s.Kind.Name)] = s.Kind
	}
	return out
}()

// apis are the ways to clusters' APIs, for as long as the tests run.
var apis sync.Map

func api(t testing.TB, c *bed.Cluster) *kube.API {
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

// get gives an object, or nil.
func get(t testing.TB, c *bed.Cluster, kind, ns, name string) *kube.Object {
	t.Helper()
	k, ok := kinds[kind]
	if !ok {
		t.Fatalf("%q is no kind of this test", kind)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	o, err := api(t, c).Get(ctx, k, ns, name)
	if err != nil {
		return nil // what can't be asked for isn't there, for a test that waits for it
	}
	return o
}

// field is a field of an object as JSON; "": it, or the object, isn't there. A path
// is written with slashes, and numbers count lists; \ before a slash keeps it.
func field(t testing.TB, c *bed.Cluster, kind, ns, name, path string) string {
	t.Helper()
	o := get(t, c, kind, ns, name)
	if o == nil {
		return ""
	}
	var v any = o.Object
	for p := range strings.SplitSeq(strings.ReplaceAll(path, `\/`, "\x00"), "/") {
		p = strings.ReplaceAll(p, "\x00", "/")
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			i := int(p[0] - '0')
			if i >= len(x) {
				return ""
			}
			v = x[i]
		default:
			return ""
		}
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// within is how long what fedsync does at once may take on a busy machine.
const within = 30 * time.Second

// eventually waits for a field to have a value.
func eventually(t testing.TB, c *bed.Cluster, kind, ns, name, path, want string) {
	t.Helper()
	got := "nothing was asked"
	defer func() {
		if t.Failed() {
			t.Logf("%s: %s %s/%s: %s is %q", c.Name, kind, ns, name, path, got)
		}
	}()
	serve.Eventually(t, within, fmt.Sprintf("%s: %s %s/%s: %s is %q", c.Name, kind, ns, name, path, want), func() bool {
		got = field(t, c, kind, ns, name, path)
		return got == want
	})
}

// there and gone wait for an object to be there, or not.
func there(t testing.TB, c *bed.Cluster, kind, ns, name string) {
	t.Helper()
	eventually(t, c, kind, ns, name, "metadata/name", name)
}

func gone(t testing.TB, c *bed.Cluster, kind, ns, name string) {
	t.Helper()
	eventually(t, c, kind, ns, name, "metadata/name", "")
}

// patch changes an object as kubectl patch --type=merge does.
func patch(t testing.TB, c *bed.Cluster, kind, ns, name, text string, subresource ...string) {
	t.Helper()
	_, err := api(t, c).Merge(t.Context(), kinds[kind], ns, name, json.RawMessage(text), "somebody", strings.Join(subresource, ""))
	if err != nil {
		t.Fatalf("%s: %s %s/%s: %v", c.Name, kind, ns, name, err)
	}
}

// remove deletes an object, and doesn't wait.
func remove(t testing.TB, c *bed.Cluster, kind, ns, name string) {
	t.Helper()
	if err := api(t, c).Delete(t.Context(), kinds[kind], ns, name, ""); err != nil {
		t.Fatalf("%s: %s %s/%s: %v", c.Name, kind, ns, name, err)
	}
}

// annotate puts an annotation on an object; "" takes it off.
func annotate(t testing.TB, c *bed.Cluster, kind, ns, name, key, value string) {
	t.Helper()
	var v any
	if value != "" {
		v = value
	}
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: v}}})
	if err != nil {
		t.Fatal(err)
	}
	patch(t, c, kind, ns, name, string(text))
}

// record is what fedns.io/status says of a federated object.
func (w *world) record(t testing.TB, kind, ns, name string) (r workload.Record) {
	t.Helper()
	s := field(t, w.fed, kind, ns, name, `metadata/annotations/fedns.io\/status`)
	if s == "" {
		return r
	}
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		t.Fatalf("%s %s/%s: %v in %s", kind, ns, name, err, s)
	}
	return r
}

// stands waits for fedns.io/status to say how an object stands in a cluster, and
// gives what it says.
func (w *world) stands(t testing.TB, kind, ns, name, cluster string, state workload.State) (s workload.Standing) {
	t.Helper()
	serve.Eventually(t, within, fmt.Sprintf("%s %s/%s is %s in %s", kind, ns, name, state, cluster), func() bool {
		for _, s = range w.record(t, kind, ns, name).Clusters {
			if s.Cluster == cluster {
				return s.State == state
			}
		}
		return false
	})
	return s
}

// says waits for an event of a federated object.
func (w *world) says(t testing.TB, ns, name, reason, text string) {
	t.Helper()
	serve.Eventually(t, within, fmt.Sprintf("an event %s of %s/%s: %q", reason, ns, name, text), func() bool {
		return w.events(t, ns, name, reason, text) > 0
	})
}

// events counts them.
func (w *world) events(t testing.TB, ns, name, reason, text string) (n int) {
	t.Helper()
	all, err := api(t, w.fed).List(t.Context(), kinds["event"], ns, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		about, _ := e.Object["involvedObject"].(map[string]any)
		message, _ := e.Object["message"].(string)
		if about["name"] == name && e.Object["reason"] == reason && strings.Contains(message, text) {
			n++
		}
	}
	return n
}

// list gives all objects of a kind in a namespace.
func list(t testing.TB, c *bed.Cluster, kind, ns string) []kube.Object {
	t.Helper()
	all, err := api(t, c).List(t.Context(), kinds[kind], ns, "")
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	return all
}

// scrape is what /metrics says; "": it isn't up.
func (w *world) scrape(t testing.TB) string {
	t.Helper()
	r, err := http.Get("http://" + w.metrics + "/metrics")
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// metric is the sum of the samples whose line begins so.
func (w *world) metric(t testing.TB, prefix string) (sum float64) {
	t.Helper()
	for line := range strings.Lines(w.scrape(t)) {
		if strings.HasPrefix(line, prefix) {
			f := strings.Fields(line)
			n, err := strconv.ParseFloat(f[len(f)-1], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

func ns(name string) string {
	return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}\n---\n"
}

// configMap is one; annotations are in YAML's flow style, such as "a: b".
func configMap(ns, name, annotations, color string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s, annotations: {%s}}\ndata: {color: %s}\n---\n", name, ns, annotations, color)
}

// deployment is one of nginx.
func deployment(ns, name, annotations string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s, annotations: {%[3]s}}
spec:
  replicas: %[4]d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
---
`, ns, name, annotations, replicas)
}

// replicas are how many of a Deployment members ask for, in the order of the names
// given.
func (w *world) replicas(t testing.TB, ns, name string, members ...string) string {
	t.Helper()
	var out []string
	for _, m := range members {
		out = append(out, field(t, w.members[m], "deployment", ns, name, "spec/replicas"))
	}
	return strings.Join(out, " ")
}

// shares waits for them.
func (w *world) shares(t testing.TB, ns, name, want string, members ...string) {
	t.Helper()
	got := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s/%s: replicas of %v are %s", ns, name, members, got)
		}
	}()
	serve.Eventually(t, within, fmt.Sprintf("%s/%s: replicas of %v are %s", ns, name, members, want), func() bool {
		got = w.replicas(t, ns, name, members...)
		return got == want
	})
}

// object reads the first object of a YAML text.
func object(t testing.TB, text string) *kube.Object {
	t.Helper()
	o := &kube.Object{}
	if err := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096).Decode(&o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}
