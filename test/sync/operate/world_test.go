// Package operate runs fedctl over a federation that fedsync keeps, as operators do,
// and measures what fedsync takes.
package operate

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A world is a federation, with what these tests ask of it.
type world struct {
	*federation.World
	mark int // in the log of fedsync: where the last run begins
}

func newWorld(t testing.TB, b *cluster.Bed, members ...*cluster.Cluster) *world {
	t.Helper()
	return &world{World: federation.New(t, b, members...)}
}

// kubectl runs kubectl against a cluster, and gives what it prints.
func kubectl(t testing.TB, c *cluster.Cluster, args ...string) string {
	t.Helper()
	out, err := run(c, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (w *world) kubectlErr(args ...string) (string, error) { return run(w.Fed, args...) }

func run(c *cluster.Cluster, args ...string) (string, error) {
	cmd := exec.Command(vector.Root()+"/bin/kube/kubectl", append([]string{"--kubeconfig", c.Kubeconfig}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// open is a way to a cluster's API.
func open(t testing.TB, c *cluster.Cluster) *kube.API {
	t.Helper()
	api, err := kube.Open(kube.Config{Kubeconfig: c.Kubeconfig, Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	return api
}

// field is a field of an object, by kubectl's jsonpath; "": it, or the object,
// isn't there.
func field(c *cluster.Cluster, kind, ns, name, path string) string {
	out, err := run(c, "get", kind, "-n", ns, name, "-o", "jsonpath="+path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// within is how long what fedsync does at once may take on a busy machine.
const within = 20 * time.Second

// eventually waits for a field to have a value.
func eventually(t testing.TB, c *cluster.Cluster, kind, ns, name, path, want string) {
	t.Helper()
	var got string
	server.Eventually(t, within, fmt.Sprintf("%s: %s %s/%s: %s is %q", c.Name, kind, ns, name, path, want), func() bool {
		got = field(c, kind, ns, name, path)
		return got == want
	})
}

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
