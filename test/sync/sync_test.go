package sync

import (
	"testing"

	"github.com/fedns/fedns/test/bed"
)

const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {fedns.io/ttl: 60s}}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 7
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {color: blue, size: big}
`

// TestKeeps follows objects through their lives in two members.
func TestKeeps(t *testing.T) {
	b := bed.New(t)
	all := b.Members(t, "paris", "tokyo")
	paris, tokyo := all[0], all[1]
	paris.AddNode(t, "n1", "eu", "eu-a")
	tokyo.AddNode(t, "n1", "ap", "ap-a")
	w := federate(t, b, paris, tokyo)
	w.fed.Apply(t, shop)
	w.start(t, "-debug")
	for _, c := range all {
		eventually(t, c, "service", "shop", "web", "{.metadata.labels.fedns\\.io/export}", "true")
		eventually(t, c, "configmap", "shop", "settings", "{.data.color}", "blue")
	}
	eventually(t, w.fed, "deployment", "shop", "web", "{.status.readyReplicas}", "7")
	t.Log(kubectl(t, w.fed, "get", "clusters"))
	t.Log(kubectl(t, w.fed, "get", "deployment", "-n", "shop", "web", "-o", "yaml"))
	t.Log(kubectl(t, paris, "get", "deployment,svc,cm", "-n", "shop", "-o", "yaml"))

	// By hand: it comes back.
	kubectl(t, paris, "scale", "-n", "shop", "deployment", "web", "--replicas=9")
	eventually(t, paris, "deployment", "shop", "web", "{.spec.replicas}", "4")
	kubectl(t, tokyo, "patch", "-n", "shop", "configmap", "settings", "-p", `{"data":{"color":"red"}}`)
	eventually(t, tokyo, "configmap", "shop", "settings", "{.data.color}", "blue")
	kubectl(t, tokyo, "delete", "-n", "shop", "configmap", "settings")
	eventually(t, tokyo, "configmap", "shop", "settings", "{.data.color}", "blue")
	kubectl(t, w.fed, "patch", "-n", "shop", "configmap", "settings", "-p", `{"data":{"color":"green","size":null}}`)
	for _, c := range all {
		eventually(t, c, "configmap", "shop", "settings", "{.data}", `{"color":"green"}`)
	}
	kubectl(t, w.fed, "delete", "-n", "shop", "configmap", "settings", "--timeout=20s")
	for _, c := range all {
		eventually(t, c, "configmap", "shop", "settings", "{.metadata.name}", "")
	}
	kubectl(t, w.fed, "delete", "namespace", "shop", "--timeout=40s")
	for _, c := range all {
		eventually(t, c, "namespace", "", "shop", "{.metadata.name}", "")
	}
	t.Log(w.log.String())
}
