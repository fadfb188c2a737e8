package join

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/server"
)

func yaml(t *testing.T, o *kube.Object) string {
	t.Helper()
	text, err := sigsyaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(server.Patience(0)); !ok(); time.Sleep(20 * time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// eventuallyThen does something as soon as a condition holds, beside the test.
func eventuallyThen(t *testing.T, then func(), ok func() bool) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for !ok() {
			select {
			case <-done:
				then()
				return
			case <-time.After(time.Millisecond):
			}
		}
		then()
	}()
	t.Cleanup(func() {
		close(done)
		<-ended
	})
}

// merge gives the contexts of several kubeconfigs; the last one's users count.
func merge(t *testing.T, paths ...string) []byte {
	t.Helper()
	all, err := (&clientcmd.ClientConfigLoadingRules{Precedence: paths}).Load()
	if err != nil {
		t.Fatal(err)
	}
	last, err := clientcmd.LoadFromFile(paths[len(paths)-1])
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(all.AuthInfos, last.AuthInfos)
	maps.Copy(all.Contexts, last.Contexts)
	text, err := clientcmd.Write(*all)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// put writes what fedsync would into a member: a namespace with things in it.
func put(t *testing.T, d *desk, context, federation, ns string) {
	t.Helper()
	api := d.open(context)
	objects, err := kube.Parse(fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s, labels: {fedns.io/export: "true"}}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: %[1]s}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: %[1]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: nginx}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: %[1]s}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
`, ns))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		k, _ := builtin.Find(o.GetAPIVersion(), o.GetKind())
		labels := o.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels["fedns.io/managed-by"] = "fedsync"
		o.SetLabels(labels)
		o.SetAnnotations(map[string]string{"fedns.io/federation": federation, "fedns.io/applied": "abc"})
		if _, _, err := api.Apply(t.Context(), k, o, kube.How{Manager: "fedsync"}); err != nil {
			t.Fatal(err)
		}
	}
	// What the controllers and the kubelets make of it comes by and by, and is a part of
	// how things stand.
	server.Eventually(t, 60*time.Second, "the pods of "+ns+" are ready", func() bool {
		slices, err := api.List(t.Context(), endpointSlices, ns, "")
		if err != nil {
			t.Fatal(err)
		}
		ready := 0
		for _, s := range slices {
			ends, _ := s.Object["endpoints"].([]any)
			ready += strings.Count(fmt.Sprint(ends...), "ready:true")
		}
		return ready == 2
	})
}

var endpointSlices = kube.Kind{Group: "discovery.k8s.io", Version: "v1", Name: "EndpointSlice", Resource: "endpointslices", Namespaced: true}
