// Package gitops runs the controllers of Flux and Argo CD against a federation's API, as they run
// against a cluster's: they apply what a repository holds, wait for it, judge it, and prune.
package gitops

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// tool is the path of what make gitops-controllers has put into bin/tools; without it the test is skipped,
// since it takes long to build.
func tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(vector.Root(), "bin", "tools", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s isn't built: make gitops-controllers builds it, and make e2e-gitops runs this", name)
	}
	return path
}

// A world is a federation of two members with nodes, and no fedsync yet.
type world struct{ *federation.World }

func newWorld(t testing.TB) *world {
	t.Helper()
	b := cluster.New(t)
	members := b.Members(t, "paris", "tokyo")
	for _, m := range members {
		m.AddNode(t, "n1", "eu", "eu-a")
	}
	return &world{federation.New(t, b, members...)}
}

// start runs one of the controllers until the test ends.
func start(t testing.TB, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	log := &server.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	home := t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "GIT_CONFIG_NOSYSTEM=1"}, env...)
	gone, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _ = cmd.Process.Kill(); t.Failed() { // it keeps nothing
			text := log.String()
			t.Logf("%s %s printed, at last:\n%s", filepath.Base(name), args[0], text[max(0, len(text)-8000):])
		}
		<-gone
	})
}

// run is what a command prints, or why it went wrong.
func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// get is a field of an object, by kubectl's jsonpath; "": it, or the object, isn't there.
func get(c *cluster.Cluster, namespace, what, path string) string {
	out, err := exec.Command(filepath.Join(vector.Root(), "bin", "kube", "kubectl"), "--kubeconfig", c.Kubeconfig, "-n", namespace, "get", what, "-o", "jsonpath="+path).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// within is how long controllers may take on a busy machine.
const within = 3 * time.Minute

// eventually waits for a field to have a value.
func eventually(t testing.TB, c *cluster.Cluster, namespace, what, path, want string) {
	t.Helper()
	got := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s: %s: %s is %q", c.Name, what, path, got)
		}
	}()
	server.Eventually(t, within, fmt.Sprintf("%s: %s %s is %q", what, namespace, path, want), func() bool {
		got = get(c, namespace, what, path)
		return got == want
	})
}

// sum adds up a count in the members.
func (w *world) sum(what, path string) (n int) {
	for _, m := range w.Members {
		i, _ := strconv.Atoi("0" + get(m, "apps", what, path)) // none: the field isn't there
		n += i
	}
	return n
}

// available says how what was applied has to stand in the members when a controller calls it ready.
func (w *world) available(t *testing.T, who, image string) {
	t.Helper()
	for what, want := range map[string][2]string{"deployment/web": {"{.status.availableReplicas}", "4"}, "statefulset/store": {"{.status.readyReplicas}", "2"}, "job/once": {"{.status.succeeded}", "2"}} {
		if n := w.sum(what, want[0]); strconv.Itoa(n) != want[1] {
			t.Errorf("%d of %s in the members, and %s has waited for %s", n, what, who, want[1])
		}
	}
	for _, m := range w.Members {
		if got := get(m, "apps", "deployment/web", "{.spec.template.spec.containers[0].image}"); got != image {
			t.Errorf("%s has %q, and %s has waited for %q", m.Name, got, who, image)
		}
	}
}

// versions are those of what a repository holds, in the federation's API and in the members. Where two
// controllers fight, they go up.
func (w *world) versions(t testing.TB) string {
	t.Helper()
	var out strings.Builder
	for _, c := range []*cluster.Cluster{w.Fed, w.Members["paris"], w.Members["tokyo"]} {
		for _, what := range []string{"namespace/apps", "deployment/web", "statefulset/store", "job/once", "configmap/settings", "service/web"} {
			fmt.Fprintf(&out, "%s %s %s\n", c.Name, what, get(c, "apps", what, "{.metadata.resourceVersion}"))
		}
	}
	return out.String()
}

// nowhere waits until something is neither in the federation's API nor in a member.
func (w *world) nowhere(t testing.TB, namespace, what string) {
	t.Helper()
	for _, c := range []*cluster.Cluster{w.Fed, w.Members["paris"], w.Members["tokyo"]} {
		eventually(t, c, namespace, what, "{.metadata.name}", "")
	}
}

// objects is what a repository holds. A place that no node has is as an image that can't be had: pods that
// don't start, and a rollout that ends late.
func objects(image, place string) map[string]string {
	selector := "{}"
	if place != "" {
		selector = "{place: " + place + "}"
	}
	return map[string]string{
		"namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: apps}\n",
		"web.yaml": fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: apps}
spec:
  replicas: 4
  progressDeadlineSeconds: 5
  minReadySeconds: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {nodeSelector: %s, containers: [{name: web, image: %q}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: apps}
spec: {selector: {app: web}, ports: [{port: 80}]}
`, selector, image),
		"store.yaml": `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store, namespace: apps}
spec: {replicas: 2, serviceName: store, selector: {matchLabels: {app: store}}, template: {metadata: {labels: {app: store}}, spec: {containers: [{name: c, image: c}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: apps}
spec: {parallelism: 2, completions: 2, template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: apps}
data: {color: blue}
`,
	}
}
