// Package propagation runs fedsync against real API servers, as its users do.
package propagation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
)

// A world is a federation, with what these tests ask of it.
type world struct{ *federation.World }

func newWorld(t testing.TB, b *cluster.Bed, members ...*cluster.Cluster) *world {
	t.Helper()
	return &world{federation.New(t, b, members...)}
}

// kinds are those that tests ask for, by the names that people use.
var kinds = func() map[string]v1alpha1.Kind {
	out := map[string]v1alpha1.Kind{
		"clusters":              v1alpha1.Clusters,
		"placement":             v1alpha1.Placements,
		"event":                 {Version: "v1", Name: "Event", Resource: "events", Namespaced: true},
		"gadget":                {Group: "example.com", Version: "v1", Name: "Gadget", Resource: "gadgets", Namespaced: true},
		"lease":                 {Group: "coordination.k8s.io", Version: "v1", Name: "Lease", Resource: "leases", Namespaced: true},
		"persistentvolumeclaim": builtin.VolumeClaims, "resourcequota": builtin.Quotas, "limitrange": builtin.Limits,
		"role": builtin.Roles, "rolebinding": builtin.RoleBindings, "endpointslice": builtin.EndpointSlices,
		"pod": {Version: "v1", Name: "Pod", Resource: "pods", Namespaced: true},
	}
	for _, s := range workload.Kinds() {
		out[strings.ToLower(s.Kind.Name)] = s.Kind
	}
	return out
}()

// apis are the ways to clusters' APIs, for as long as the tests run.
var apis sync.Map

func api(t testing.TB, c *cluster.Cluster) *kube.API {
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
func get(t testing.TB, c *cluster.Cluster, kind, ns, name string) *kube.Object {
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
func field(t testing.TB, c *cluster.Cluster, kind, ns, name, path string) string {
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
func eventually(t testing.TB, c *cluster.Cluster, kind, ns, name, path, want string) {
	t.Helper()
	got := "nothing was asked"
	defer func() {
		if t.Failed() {
			t.Logf("%s: %s %s/%s: %s is %q", c.Name, kind, ns, name, path, got)
		}
	}()
	server.Eventually(t, within, fmt.Sprintf("%s: %s %s/%s: %s is %q", c.Name, kind, ns, name, path, want), func() bool {
		got = field(t, c, kind, ns, name, path)
		return got == want
	})
}

// there and gone wait for an object to be there, or not.
func there(t testing.TB, c *cluster.Cluster, kind, ns, name string) {
	t.Helper()
	eventually(t, c, kind, ns, name, "metadata/name", name)
}

func gone(t testing.TB, c *cluster.Cluster, kind, ns, name string) {
	t.Helper()
	eventually(t, c, kind, ns, name, "metadata/name", "")
}

// patch changes an object as kubectl patch --type=merge does.
func patch(t testing.TB, c *cluster.Cluster, kind, ns, name, text string, subresource ...string) {
	t.Helper()
	_, err := api(t, c).Merge(t.Context(), kinds[kind], ns, name, json.RawMessage(text), "somebody", strings.Join(subresource, ""))
	if err != nil {
		t.Fatalf("%s: %s %s/%s: %v", c.Name, kind, ns, name, err)
	}
}

// remove deletes an object, and doesn't wait.
func remove(t testing.TB, c *cluster.Cluster, kind, ns, name string) {
	t.Helper()
	if err := api(t, c).Delete(t.Context(), kinds[kind], ns, name, ""); err != nil {
		t.Fatalf("%s: %s %s/%s: %v", c.Name, kind, ns, name, err)
	}
}

// annotate puts an annotation on an object; "" takes it off.
func annotate(t testing.TB, c *cluster.Cluster, kind, ns, name, key, value string) {
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
	s := field(t, w.Fed, kind, ns, name, `metadata/annotations/fedns.io\/status`)
	if s == "" {
		return r
	}
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		t.Fatalf("%s %s/%s: %v in %s", kind, ns, name, err, s)
	}
	return r
}

// A standing is what fedsync says of an object in a cluster: to itself, and to people.
type standing struct {
	workload.Propagation
	placed v1alpha1.PlacementCluster
}

// stands waits for fedsync to say, in fedns.io/status and in the Placement, how an object stands in a
// cluster, and gives what it says.
func (w *world) stands(t testing.TB, kind, ns, name, cluster string, state workload.State) (s standing) {
	t.Helper()
	server.Eventually(t, within, fmt.Sprintf("%s %s/%s is %s in %s", kind, ns, name, state, cluster), func() bool {
		s = standing{}
		for _, c := range w.record(t, kind, ns, name).Clusters {
			if c.Cluster == cluster {
				s.Propagation = c
			}
		}
		for _, c := range w.placed(t, kind, ns, name).Status.Clusters {
			if c.Name == cluster {
				s.placed = c
			}
		}
		return s.State == state && s.placed.State == string(state)
	})
	return s
}

// placed is the Placement of a federated object.
func (w *world) placed(t testing.TB, kind, ns, name string) (p v1alpha1.Placement) {
	t.Helper()
	k := kinds[kind]
	home := ns
	if ns == "" {
		home = v1alpha1.System
	}
	o := get(t, w.Fed, "placement", home, v1alpha1.PlacementName(k, name, builtin.Native(k.Group)))
	if o == nil {
		return p
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// says waits for an event of a federated object.
func (w *world) says(t testing.TB, ns, name, reason, text string) {
	t.Helper()
	server.Eventually(t, within, fmt.Sprintf("an event %s of %s/%s: %q", reason, ns, name, text), func() bool {
		return w.events(t, ns, name, reason, text) > 0
	})
}

// events counts them.
func (w *world) events(t testing.TB, ns, name, reason, text string) (n int) {
	t.Helper()
	all, err := api(t, w.Fed).List(t.Context(), kinds["event"], ns, "")
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
func list(t testing.TB, c *cluster.Cluster, kind, ns string) []kube.Object {
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
	r, err := http.Get("http://" + w.Metrics + "/metrics")
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
		out = append(out, field(t, w.Members[m], "deployment", ns, name, "spec/replicas"))
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
	server.Eventually(t, within, fmt.Sprintf("%s/%s: replicas of %v are %s", ns, name, members, want), func() bool {
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
