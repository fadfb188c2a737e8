package operate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// replicasOf is what fedsync says of the replicas in a cluster.
func (w *world) replicasOf(t testing.TB, cluster string) (r v1alpha1.Replicas) {
	t.Helper()
	if text := field(w.Fed, "cluster", "", cluster, "{.status.replicas}"); text != "" {
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// until waits for fedsync to say that of a cluster.
func (w *world) until(t testing.TB, what, cluster string, ok func(v1alpha1.Replicas) bool) (r v1alpha1.Replicas) {
	t.Helper()
	server.Eventually(t, 2*within, what, func() bool {
		r = w.replicasOf(t, cluster)
		return ok(r)
	})
	return r
}

// What fedctl waits for is what fedsync says in the Cluster objects, by what the clusters
// themselves say: one that is away is left out, and nothing is written when nothing changes.
func TestReplicas(t *testing.T) {
	b := cluster.New(t)
	all := b.APIs(t, "lyon", "paris")
	lyon, paris := all[0], all[1]
	w := newWorld(t, b, all...)
	// The definition of an older version has no such field: the rest is told even so.
	w.Fed.Apply(t, withoutReplicas(t))
	w.Fed.Apply(t, shop)
	w.Start(t)
	eventually(t, w.Fed, "cluster", "", "lyon", `{.status.conditions[?(@.type=="Ready")].reason}`, "Ready")
	server.Eventually(t, within, "lyon has a share", func() bool { return field(lyon, "deployment", "shop", "web", "{.spec.replicas}") != "" })
	server.Eventually(t, within, "it says that the definition is old", func() bool {
		return strings.Contains(w.Log.String(), "its definition of Clusters is of an older version")
	})
	if text := field(w.Fed, "cluster", "", "lyon", "{.status.replicas}"); text != "" {
		t.Errorf("replicas of an older version: %s", text)
	}
	w.Stop()
	w.Fed.Apply(t, deploy.Clusters)
	w.Restart(t)

	in := w.until(t, "they are counted", "lyon", func(r v1alpha1.Replicas) bool { return r.ObservedGeneration == 1 && r.Desired > 0 })
	n := in.Desired
	if in.Current != n || in.Ready != 0 || in.Pending != 1 || in.Message != "" || in.Elsewhere != nil {
		t.Errorf("at first %+v", in)
	}
	w.until(t, "they are counted", "paris", func(r v1alpha1.Replicas) bool { return r.Desired == 7-n && r.Current == 7-n && r.Pending == 1 })
	status := fmt.Appendf(nil, `{"status": {"observedGeneration": 1, "replicas": %[1]d, "readyReplicas": %[1]d, "availableReplicas": %[1]d}}`, n)
	if _, err := lyon.Client.AppsV1().Deployments("shop").Patch(t.Context(), "web", types.MergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	w.until(t, "they are ready", "lyon", func(r v1alpha1.Replicas) bool { return r.Ready == n && r.Pending == 0 })

	version := func() string { return field(w.Fed, "cluster", "", "lyon", "{.metadata.resourceVersion}") }
	before := version()
	time.Sleep(3 * time.Second) // heartbeats, and several times as long as it is kept back
	if now := version(); now != before {
		t.Errorf("written though nothing has changed: %s, and then %s", before, now)
	}

	kubectl(t, w.Fed, "patch", "cluster", "lyon", "--type=merge", "-p", `{"spec": {"drain": {"reason": "x", "evacuateAfter": "2020-01-01T00:00:00Z"}}}`)
	moved := w.until(t, "they move", "lyon", func(r v1alpha1.Replicas) bool {
		return r.ObservedGeneration == 2 && r.Elsewhere != nil && r.Desired == 0
	})
	if moved.Elsewhere.Desired != 7 || moved.Elsewhere.Pending == 0 {
		t.Errorf("moving %+v, elsewhere %+v", moved, moved.Elsewhere)
	}
	paris.Kill(t)
	w.until(t, "paris is away", "paris", func(r v1alpha1.Replicas) bool { return r.Message != "" })
	if r := w.until(t, "paris doesn't count", "lyon", func(r v1alpha1.Replicas) bool {
		return r.Elsewhere != nil && r.Elsewhere.Current == 0
	}); r.Elsewhere.Pending != 0 || r.Elsewhere.Desired != 0 {
		t.Errorf("elsewhere %+v", r.Elsewhere)
	}
}

// withoutReplicas is the definition of Clusters as it was before there were counts.
func withoutReplicas(t testing.TB) string {
	t.Helper()
	var crd map[string]any
	if err := yaml.Unmarshal([]byte(deploy.Clusters), &crd); err != nil {
		t.Fatal(err)
	}
	versions, _, _ := unstructured.NestedSlice(crd, "spec", "versions")
	version := versions[0].(map[string]any)
	status := []string{"schema", "openAPIV3Schema", "properties", "status", "properties", "replicas"}
	if _, is, _ := unstructured.NestedMap(version, status...); !is {
		t.Fatal("deploy/clusters.yaml has no status.replicas")
	}
	unstructured.RemoveNestedField(version, status...)
	version["additionalPrinterColumns"] = slices.DeleteFunc(version["additionalPrinterColumns"].([]any), func(c any) bool {
		return strings.HasPrefix(c.(map[string]any)["jsonPath"].(string), ".status.replicas.")
	})
	if err := unstructured.SetNestedSlice(crd, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(crd)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
