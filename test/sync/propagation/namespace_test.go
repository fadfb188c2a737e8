package propagation

import (
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
	"github.com/fedns/fedns/test/framework/server"
)

// emptied is that nothing of a Namespace is in the one that is made in its place: the
// federation's API has no controller that would empty it.
func emptied(t *testing.T, w *world) {
	const unkept = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: old, namespace: emptied, finalizers: [example.com/hold]}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: somebody}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: emptied}
---
apiVersion: v1
kind: Pod
metadata: {name: lonely, namespace: emptied}
spec: {containers: [{name: c, image: c}]}
---
apiVersion: example.com/v1
kind: Gadget
metadata: {name: held, namespace: emptied, finalizers: [example.com/hold]}
---
`
	w.Fed.Apply(t, ns("emptied")+unkept+configMap("emptied", "kept", "", "blue"))
	there(t, w.Members["paris"], "configmap", "emptied", "kept")
	remove(t, w.Fed, "namespace", "", "emptied")
	w.says(t, "default", "emptied", "NamespaceStays", "it stays: it holds Gadget emptied/held, which a finalizer of somebody else's keeps")
	patch(t, w.Fed, "gadget", "emptied", "held", `{"metadata": {"finalizers": null}}`)
	w.says(t, "default", "emptied", "NamespaceStays", "it stays: it holds RoleBinding old (finalizers example.com/hold)")
	condition := func(kind string) string {
		o := get(t, w.Fed, "namespace", "", "emptied")
		if o == nil {
			return "it is gone"
		}
		for _, c := range o.Object["status"].(map[string]any)["conditions"].([]any) {
			if m := c.(map[string]any); m["type"] == kind {
				return m["status"].(string) + " " + m["message"].(string)
			}
		}
		return "it isn't said"
	}
	if got := condition("NamespaceFinalizersRemaining"); !strings.Contains(got, "True ") || !strings.Contains(got, "example.com/hold in 1 resource instances") {
		t.Errorf("it says %s", got)
	}
	if got := condition("NamespaceContentRemaining"); !strings.Contains(got, "rolebindings.rbac.authorization.k8s.io has 1 resource instances") {
		t.Errorf("it says %s", got)
	}
	gone(t, w.Members["paris"], "configmap", "emptied", "kept")
	if _, err := api(t, w.Fed).Merge(t.Context(), builtin.RoleBindings, "emptied", "old", map[string]any{"metadata": map[string]any{"finalizers": nil}}, "somebody", ""); err != nil {
		t.Fatal(err)
	}
	gone(t, w.Fed, "namespace", "", "emptied")

	w.Fed.Apply(t, ns("emptied"))
	var held []string
	err := contents.Holds(t.Context(), api(t, w.Fed), "emptied", func(k kube.Kind, o *kube.Object) bool {
		if !builtin.InUse(k.Name, o.GetName()) {
			held = append(held, k.Name+" "+o.GetName())
		}
		return true
	})
	if err != nil || len(held) > 0 {
		t.Errorf("the new one has %q, %v", held, err)
	}
	remove(t, w.Fed, "namespace", "", "emptied")
	gone(t, w.Fed, "namespace", "", "emptied")
	server.Eventually(t, within, "it is gone from paris, too", func() bool { return get(t, w.Members["paris"], "namespace", "", "emptied") == nil })
}
