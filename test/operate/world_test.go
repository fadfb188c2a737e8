// Package operate runs fedctl over a federation that fedsync keeps, as operators do,
// and measures what fedsync takes.
package operate

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/fedtest"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/bed"
	"github.com/fedns/fedns/test/serve"
)

// binary builds fedsync once.
var binary = sync.OnceValues(func() (string, error) { return serve.Build("fedsync") })

// A world is a federation's API, its members, and a fedsync that may run.
type world struct {
	fed     *bed.Cluster
	members map[string]*bed.Cluster
	cmd     *exec.Cmd
	done    chan struct{}
	log     *serve.Buffer
	metrics string
	args    []string
}

// federate makes a federation's API and joins members to it, with all rights.
func federate(t testing.TB, b *bed.Bed, members ...*bed.Cluster) *world {
	t.Helper()
	w := &world{fed: b.API(t, "federation"), members: map[string]*bed.Cluster{}, log: &serve.Buffer{}}
	w.fed.Apply(t, deploy.Clusters)
	w.fed.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+fedapi.System+"}\n")
	serve.Eventually(t, 10*time.Second, "clusters are served", func() bool {
		_, err := w.kubectlErr("get", "clusters.fedns.io")
		return err == nil
	})
	for _, m := range members {
		w.join(t, m, "")
	}
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("fedsync printed:\n%s", w.log.String())
		}
	})
	return w
}

// join makes a Cluster object and its Secret; spec is more of its YAML, in flow
// style, such as "region: us,".
func (w *world) join(t testing.TB, m *bed.Cluster, spec string) {
	t.Helper()
	w.members[m.Name] = m
	config, err := os.ReadFile(m.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(string(config))
	if err != nil {
		t.Fatal(err)
	}
	w.fed.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: %[1]s-fedsync, namespace: %[2]s}
stringData: {kubeconfig: %[3]s}
---
apiVersion: fedns.io/v1alpha1
kind: Cluster
metadata: {name: %[1]s, labels: {name: %[1]s}}
spec: {%[4]s secretRef: {name: %[1]s}}
`, m.Name, fedapi.System, text, spec))
}

// start starts fedsync.
func (w *world) start(t testing.TB, args ...string) {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	w.metrics = fmt.Sprint("127.0.0.1:", fedtest.Port(t))
	w.args = args
	w.cmd = exec.Command(bin, append([]string{"-kubeconfig", w.fed.Kubeconfig, "-federation", "prod", "-lease", "0", "-listen", w.metrics}, args...)...)
	w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	cmd := w.cmd
	go func() { _ = cmd.Wait(); close(done) }() // how it ended is told by what it printed
	w.done = done
}

// stop ends fedsync as an operator would.
func (w *world) stop() { w.end(syscall.SIGTERM) }

func (w *world) end(with syscall.Signal) {
	if w.cmd == nil {
		return
	}
	_ = w.cmd.Process.Signal(with) // it may have ended by itself
	select {
	case <-w.done:
	case <-time.After(10 * time.Second):
		_ = w.cmd.Process.Kill()
		<-w.done
	}
	w.cmd = nil
}

// kubectl runs kubectl against a cluster, and gives what it prints.
func kubectl(t testing.TB, c *bed.Cluster, args ...string) string {
	t.Helper()
	out, err := run(c, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (w *world) kubectlErr(args ...string) (string, error) { return run(w.fed, args...) }

func run(c *bed.Cluster, args ...string) (string, error) {
	cmd := exec.Command(fedtest.Root()+"/bin/kube/kubectl", append([]string{"--kubeconfig", c.Kubeconfig}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// open is a way to a cluster's API.
func open(t testing.TB, c *bed.Cluster) *kube.API {
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
func field(c *bed.Cluster, kind, ns, name, path string) string {
	out, err := run(c, "get", kind, "-n", ns, name, "-o", "jsonpath="+path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// within is how long what fedsync does at once may take on a busy machine.
const within = 20 * time.Second

// eventually waits for a field to have a value.
func eventually(t testing.TB, c *bed.Cluster, kind, ns, name, path, want string) {
	t.Helper()
	var got string
	serve.Eventually(t, within, fmt.Sprintf("%s: %s %s/%s: %s is %q", c.Name, kind, ns, name, path, want), func() bool {
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
