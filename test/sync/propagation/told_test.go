package propagation

import (
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
)

// told is that what the clusters don't take is said once, with what helps, and not again
// after a restart; and what is taken as it is.
func told(t *testing.T, w *world) {
	paris := w.Members["paris"]
	const limit = 256 << 10
	note := strings.Repeat("x", limit-len("note")-len("fedns.io/status")-330)
	w.Fed.Apply(t, ns("told")+configMap("told", "wide", "note: "+note, "blue")+`
apiVersion: v1
kind: Secret
metadata: {name: sh.helm.release.v1.web.v1, namespace: told}
type: helm.sh/release.v1
stringData: {release: x}
---
apiVersion: example.com/v1
kind: Gadget
metadata: {name: none, namespace: told}
spec: {size: 3, none: null}
`)
	// Whoever applies it at the server is told at once; not so who creates it.
	twice := object(t, strings.Replace(deployment("told", "twice", "", 3), `image: "nginx:1"`, `image: "nginx:1", env: [{name: A, value: a}, {name: A, value: b}]`, 1))
	if _, err := api(t, w.Fed).Create(t.Context(), kinds["deployment"], twice, "somebody"); err != nil {
		t.Fatal(err)
	}
	w.says(t, "told", "twice", "Duplicate", `no cluster takes it: .spec.template.spec.containers[name="web"].env: duplicate entries for key [name="A"]; name each once`)
	w.stands(t, "deployment", "told", "twice", "paris", workload.Failed)
	if n := w.events(t, "told", "twice", "Refused", ""); n != 0 {
		t.Errorf("it is said %d times more", n)
	}

	w.says(t, "told", "wide", "StatusShort", "leave no room for all of fedns.io/status")
	there(t, paris, "configmap", "told", "wide")
	w.stands(t, "configmap", "told", "wide", "paris", workload.Applied)

	eventually(t, paris, "gadget", "told", "none", "spec/size", "3")
	if spec := get(t, paris, "gadget", "told", "none").Object["spec"].(map[string]any); len(spec) != 2 {
		t.Errorf("what is null isn't there: %v", spec)
	}
	if get(t, paris, "secret", "told", "sh.helm.release.v1.web.v1") != nil || field(t, w.Fed, "secret", "told", "sh.helm.release.v1.web.v1", "metadata/finalizers") != "" {
		t.Error("Helm's record is kept in clusters")
	}

	w.Stop()
	before := strings.Count(w.Log.String(), "Deployment told/twice: Duplicate: ")
	w.Restart(t)
	server.Eventually(t, within, "it finds that anew", func() bool {
		return strings.Count(w.Log.String(), "Deployment told/twice: Duplicate: ") > before
	})
	w.Fed.Apply(t, configMap("told", "after", "", "blue"))
	w.stands(t, "configmap", "told", "after", "paris", workload.Applied) // events that wait are written before
	for name, reason := range map[string]string{"twice": "Duplicate", "wide": "StatusShort"} {
		if n := w.events(t, "told", name, reason, ""); n != 1 {
			t.Errorf("%s: %s is said %d times", name, reason, n)
		}
	}
	remove(t, w.Fed, "deployment", "told", "twice") // which is tried again each minute
	gone(t, w.Fed, "deployment", "told", "twice")
}

// hidden is that a deletion waits for a cluster that has an object in another version of its
// kind only.
func hidden(t *testing.T, w *world) {
	oslo := w.Members["oslo"]
	w.Fed.Apply(t, ns("hidden")+"apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g, namespace: hidden}\nspec: {size: 3}\n")
	eventually(t, oslo, "gadget", "hidden", "g", "spec/size", "3")
	w.stands(t, "gadget", "hidden", "g", "oslo", workload.Applied)
	const other = "  - {name: v2, served: true, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n"
	oslo.Apply(t, strings.Replace(federation.Gadgets, "{name: v1, served: true,", "{name: v1, served: false,", 1)+other)
	w.stands(t, "gadget", "hidden", "g", "oslo", workload.NotServed)
	remove(t, w.Fed, "gadget", "hidden", "g")
	gone(t, w.Members["paris"], "gadget", "hidden", "g")
	w.says(t, "hidden", "g", "DeletionWaits", "oslo")
	there(t, w.Fed, "gadget", "hidden", "g")
	oslo.Apply(t, federation.Gadgets+other)
	gone(t, w.Fed, "gadget", "hidden", "g")
	gone(t, oslo, "gadget", "hidden", "g")
}
