package propagation

import (
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// overrides are what is different in a cluster: exactly that, for as long as it is said.
func overrides(t *testing.T, w *world) {
	paris, tokyo := w.Members["paris"], w.Members["tokyo"]
	const image, node = "spec/template/spec/containers/0/image", "spec/template/spec/nodeSelector"
	say := func(text string) { annotate(t, w.Fed, "deployment", "differ", "web", "fedns.io/overrides", text) }
	// changed are the fields in which an object isn't what it was.
	changed := func(c *cluster.Cluster, was workload.Object) (out []string) {
		for _, x := range workload.Compare(was, spec(t, c)) {
			out = append(out, x.Path)
		}
		return out
	}

	w.Fed.Apply(t, ns("differ")+deployment("differ", "web", inParisAndTokyo, 6))
	w.shares(t, "differ", "web", "3 3", "paris", "tokyo")
	w.stands(t, "deployment", "differ", "web", "paris", workload.Applied)
	first, other := spec(t, paris), spec(t, tokyo)

	say(`
- clusters: [paris]
  patch:
  - {op: replace, path: /spec/template/spec/containers/0/image, value: "registry.example.fr/nginx:1"}
  - {op: add, path: /spec/template/spec/nodeSelector, value: {zone: eu-a}}
- selector: [{key: name, operator: in, values: [paris]}]
  merge: {metadata: {annotations: {example.com/tier: "1"}}}
`)
	eventually(t, paris, "deployment", "differ", "web", image, "registry.example.fr/nginx:1")
	eventually(t, paris, "deployment", "differ", "web", node, `{"zone":"eu-a"}`)
	w.stands(t, "deployment", "differ", "web", "paris", workload.Applied)
	if got := changed(paris, first); !slices.Equal(got, []string{"metadata.annotations[example.com/tier]", "spec.template.spec.containers[web].image", "spec.template.spec.nodeSelector"}) {
		t.Errorf("in paris %q have changed", got)
	}
	if got := changed(tokyo, other); len(got) > 0 {
		t.Errorf("in tokyo %q have changed", got)
	}
	// It is kept there, whoever changes it.
	patch(t, paris, "deployment", "differ", "web", `{"spec":{"template":{"spec":{"nodeSelector":{"zone":"elsewhere"}}}}}`)
	eventually(t, paris, "deployment", "differ", "web", node, `{"zone":"eu-a"}`)

	// Less of it: what is said no more goes, and nothing else changes.
	second := spec(t, paris)
	say(`[{"clusters":["paris"],"patch":[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.example.fr/nginx:1"}]}]`)
	eventually(t, paris, "deployment", "differ", "web", node, "")
	w.stands(t, "deployment", "differ", "web", "paris", workload.Applied)
	if got := changed(paris, second); !slices.Equal(got, []string{"metadata.annotations[example.com/tier]", "spec.template.spec.nodeSelector"}) {
		t.Errorf("in paris %q have changed", got)
	}

	// What is wrong is said, and changes nothing.
	third := spec(t, paris)
	for text, want := range map[string]string{
		`[{"clusters":["paris"],"merge":{"metadata":{"name":"other"}}}]`: "only labels and annotations can be different",
		`{paris:`: "neither YAML nor JSON",
	} {
		say(text)
		w.says(t, "differ", "web", workload.BadAnnotation, want)
		w.stands(t, "deployment", "differ", "web", "tokyo", workload.Failed)
		if got := append(changed(paris, third), changed(tokyo, other)...); len(got) > 0 {
			t.Errorf("%s has changed %q", text, got)
		}
	}
	// One that leads nowhere holds up its cluster, and no other.
	say(`[{"clusters":["paris"],"patch":[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"half"},{"op":"replace","path":"/spec/template/spec/initContainers/0/image","value":"x"}]}]`)
	w.says(t, "differ", "web", "OverrideFailed", "cluster paris: annotation fedns.io/overrides: rule 1: replace /spec/template/spec/initContainers/0/image: the object says nothing there")
	patch(t, w.Fed, "deployment", "differ", "web", `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:2"}]}}}}`)
	eventually(t, tokyo, "deployment", "differ", "web", image, "nginx:2")
	server.Eventually(t, within, "it is said of paris", func() bool {
		return strings.Contains(w.stands(t, "deployment", "differ", "web", "paris", workload.Failed).placed.Why, "initContainers")
	})
	if got := changed(paris, third); len(got) > 0 {
		t.Errorf("in paris %q have changed", got)
	}

	// Replicas are a part of the sum.
	say(`[{"clusters":["paris"],"merge":{"spec":{"replicas":1}}}]`)
	w.shares(t, "differ", "web", "1 5", "paris", "tokyo")

	// Without it, all is as in the federated object.
	say("")
	annotate(t, w.Fed, "deployment", "differ", "web", "fedns.io/preferences", `{"rebalance":true,"clusters":{"*":{"weight":1}}}`)
	w.shares(t, "differ", "web", "3 3", "paris", "tokyo")
	w.stands(t, "deployment", "differ", "web", "paris", workload.Applied)
	if got := changed(paris, first); !slices.Equal(got, []string{"spec.template.spec.containers[web].image"}) || field(t, paris, "deployment", "differ", "web", image) != "nginx:2" {
		t.Errorf("in paris %q have changed in the end", got)
	}
}

// spec is what somebody has said of the Deployment, and not what counts or notes that.
func spec(t testing.TB, c *cluster.Cluster) workload.Object {
	t.Helper()
	o := get(t, c, "deployment", "differ", "web")
	if o == nil {
		t.Fatal("it isn't there")
	}
	notes := o.GetAnnotations()
	delete(notes, "fedns.io/applied")
	delete(notes, "deployment.kubernetes.io/revision")
	return workload.Object{"metadata": map[string]any{"labels": o.Object["metadata"].(map[string]any)["labels"], "annotations": texts(notes)}, "spec": o.Object["spec"]}
}

func texts(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}
