package propagation

import (
	"fmt"
	"testing"

	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/server"
)

// follows is a Namespace that isn't for the clusters, but for two workloads and what they need.
func follows(t *testing.T, w *world) {
	paris, tokyo, oslo := w.Members["paris"], w.Members["tokyo"], w.Members["oslo"]
	in := func(cluster string) string { return `[{"key":"name","operator":"=","values":["` + cluster + `"]}]` }
	needy := func(name, cluster, more string) string {
		return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  namespace: own
  annotations: {fedns.io/propagate: "true", fedns.io/follow: dependencies, fedns.io/cluster-selector: '%[2]s'}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers: [{name: web, image: "nginx:1", envFrom: [{configMapRef: {name: conf}}, {secretRef: {name: perhaps, optional: true}}]}]
      %[3]s
---
`, name, in(cluster), more)
	}
	missing := func(name, want string) {
		t.Helper()
		server.Eventually(t, within, name+" is told to be "+want, func() bool {
			return w.placed(t, "deployment", "own", name).Status.State == want
		})
	}

	w.Fed.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: own, annotations: {fedns.io/propagate: \"false\"}}}\n---\n"+
		configMap("own", "conf", "", "blue")+configMap("own", "other", "", "blue")+"apiVersion: v1\nkind: Secret\nmetadata: {name: key, namespace: own}\nstringData: {a: b}\n---\n"+
		needy("web", "paris", "volumes: [{name: v, projected: {sources: [{secret: {name: key}}]}}]\n      imagePullSecrets: [{name: pull}]"))
	there(t, paris, "configmap", "own", "conf")
	there(t, paris, "secret", "own", "key")
	eventually(t, w.Fed, "deployment", "own", "web", "status/readyReplicas", "1")
	w.says(t, "own", "web", workload.DependencyMissing, "Secret pull, which its pods need, isn't in the federation")
	missing("web", workload.DependencyMissing)
	if n := w.events(t, "own", "web", workload.DependencyMissing, "perhaps"); n > 0 {
		t.Error("what can be done without is missed")
	}
	w.Fed.Apply(t, "{apiVersion: v1, kind: Secret, metadata: {name: pull, namespace: own}}")
	there(t, paris, "secret", "own", "pull")
	missing("web", string(workload.Applied))
	if get(t, paris, "configmap", "own", "other") != nil || get(t, tokyo, "namespace", "", "own") != nil || get(t, oslo, "namespace", "", "own") != nil {
		t.Error("what isn't for the clusters is there")
	}

	// Two of them, and then one that moves.
	w.Fed.Apply(t, needy("api", "tokyo", ""))
	there(t, tokyo, "configmap", "own", "conf")
	there(t, tokyo, "deployment", "own", "api")
	if get(t, tokyo, "secret", "own", "key") != nil {
		t.Error("what the other one needs is there")
	}
	annotate(t, w.Fed, "deployment", "own", "web", "fedns.io/cluster-selector", in("tokyo"))
	there(t, tokyo, "secret", "own", "key")
	there(t, tokyo, "deployment", "own", "web")
	gone(t, paris, "deployment", "own", "web")
	gone(t, paris, "secret", "own", "key")
	gone(t, paris, "namespace", "", "own")
	// What is changed goes there, too.
	patch(t, w.Fed, "configmap", "own", "conf", `{"data":{"color":"green"}}`)
	eventually(t, tokyo, "configmap", "own", "conf", "data/color", "green")

	// Another one instead: the first stays until no pod of before is left, and for others.
	w.Fed.Apply(t, configMap("own", "next", "", "teal"))
	patch(t, w.Fed, "deployment", "own", "api", `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:1","envFrom":[{"configMapRef":{"name":"next"}}]}]}}}}`)
	there(t, tokyo, "configmap", "own", "next")
	eventually(t, w.Fed, "deployment", "own", "api", "status/updatedReplicas", "1")
	if get(t, tokyo, "configmap", "own", "conf") == nil {
		t.Error("what one still needs has left with the other")
	}
	patch(t, w.Fed, "deployment", "own", "web", `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:1","envFrom":[{"configMapRef":{"name":"next"}}]}]}}}}`)
	gone(t, tokyo, "configmap", "own", "conf")
	eventually(t, w.Fed, "deployment", "own", "web", "status/readyReplicas", "1")
}
