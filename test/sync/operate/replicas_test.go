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
	// The definition of an older version has no such field, and there are no Placements: the rest is told even so.
	w.Fed.Apply(t, withoutReplicas(t))
	kubectl(t, w.Fed, "delete", "crd", "placements.fedns.io")
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
	server.Eventually(t, within, "it says that there are no Placements, once", func() bool {
		return strings.Count(w.Log.String(), "it has no kind Placement, as of an older version: how each object stands is told in fedns.io/status only; fedctl init again mends that") == 1
	})
	const told = `{.metadata.annotations.fedns\.io/status}`
	server.Eventually(t, within, "what isn't everywhere is told on the object", func() bool {
		return strings.Contains(field(w.Fed, "deployment", "shop", "web", told), `"reason":"Applied"`)
	})
	if _, stderr, code := w.fedctl(t, "get", "objects"); code != 1 || !strings.Contains(stderr, "hint: fedctl init again brings it") {
		t.Errorf("get objects exits with %d, %s", code, stderr)
	}
	w.Stop()
	w.Fed.Apply(t, deploy.Clusters+"\n---\n"+deploy.Placements)
	w.Restart(t)
	w.placements(t)

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

// placements is that how objects stand is told by fedctl, with what isn't as it should be.
func (w *world) placements(t *testing.T) {
	server.Eventually(t, within, "it is told of all objects", func() bool {
		out, _, code := w.fedctl(t, "get", "objects", "-o", "name")
		return code == 0 && out == "Namespace/shop\nshop/ConfigMap/settings\nshop/Deployment/web\nshop/Service/web\n"
	})
	server.Eventually(t, within, "no pod is ready", func() bool {
		out, _, code := w.fedctl(t, "status", "shop/Deployment/web", "--exit-code")
		return code == 3 && strings.HasPrefix(out, "shop/Deployment/web: Applied, 0 of 7 ready, for ") && strings.Contains(out, "\n  0 of 7 are ready\nCLUSTER  DESIRED  READY  STATE    WHY\nlyon ")
	})
	server.Eventually(t, within, "all is told in sum", func() bool {
		out, _, code := w.fedctl(t, "status", "--exit-code")
		return code == 3 && strings.Contains(out, "\nlyon     Ready   4        0\n") && strings.Contains(out, "\n3 of 4 objects as they should be\nNAMESPACE  KIND        NAME  DESIRED  READY  STATE    WHY\nshop       Deployment  web   7        0      Applied  0 of 7 are ready\n")
	})
	if out, _, code := w.fedctl(t, "get", "objects", "--not-ok", "-n", "shop", "-o", "name"); code != 0 || out != "shop/Deployment/web\n" {
		t.Errorf("what isn't as it should be: exit %d, %s", code, out)
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
