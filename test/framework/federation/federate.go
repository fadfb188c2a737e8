// Package federation makes federations for tests: an API with the kind Cluster, members
// that are joined to it, and a fedsync that keeps them.
package federation

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/restmapper"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// Binary builds fedsync once a test run, and gives its path.
var Binary = sync.OnceValues(func() (string, error) { return server.Build("fedsync") })

// A World is a federation's API, its members, and a fedsync that may run.
type World struct {
	Fed     *cluster.Cluster
	Members map[string]*cluster.Cluster
	Log     *server.Buffer // what fedsync prints
	Metrics string         // host:port
	Args    []string       // that fedsync was started with last
	Cmd     *exec.Cmd      // nil: it doesn't run
	Done    <-chan struct{}
}

// New makes a federation's API and joins members to it, with all rights. Its fedsync
// ends with the test.
func New(t testing.TB, b *cluster.Bed, members ...*cluster.Cluster) *World {
	t.Helper()
	w := &World{Fed: b.API(t, "federation"), Members: map[string]*cluster.Cluster{}, Log: &server.Buffer{}}
	w.Prepare(t)
	for _, m := range members {
		w.Join(t, m, "")
	}
	t.Cleanup(func() {
		w.Stop()
		if t.Failed() {
			t.Logf("fedsync printed:\n%s", w.Log.String())
		}
	})
	return w
}

// Prepare makes an API a federation's.
func (w *World) Prepare(t testing.TB) {
	t.Helper()
	w.Fed.Apply(t, strings.Join(deploy.Definitions, "\n---\n"))
	w.Fed.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+v1alpha1.System+"}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+v1alpha1.ConfigName+", namespace: "+v1alpha1.System+"}\ndata: {name: prod, domain: example.com}\n")
	api, err := kube.Open(kube.Config{Kubeconfig: w.Fed.Kubeconfig, Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	server.Eventually(t, 30*time.Second, "clusters are served, and the API says so", func() bool {
		for _, k := range []kube.Kind{v1alpha1.Clusters, v1alpha1.Placements} {
			if _, err := api.List(t.Context(), k, "", ""); err != nil {
				return false
			}
		}
		// Apply goes by what the API says that it serves, which comes later.
		all, err := restmapper.GetAPIGroupResources(w.Fed.Client.Discovery())
		return err == nil && slices.ContainsFunc(all, func(g *restmapper.APIGroupResources) bool {
			return g.Group.Name == v1alpha1.Clusters.Group && len(g.VersionedResources[v1alpha1.Clusters.Version]) > 0
		})
	})
}

// Join makes a Cluster object and its Secret; spec is more of its YAML, in flow
// style, such as "region: us,".
func (w *World) Join(t testing.TB, m *cluster.Cluster, spec string) {
	t.Helper()
	w.Members[m.Name] = m
	config, err := os.ReadFile(m.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w.JoinWith(t, m.Name, string(config), spec)
}

// JoinWith is Join for whatever a kubeconfig leads to.
func (w *World) JoinWith(t testing.TB, name, kubeconfig, spec string) {
	t.Helper()
	text, err := json.Marshal(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w.Fed.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: %[1]s-fedsync, namespace: %[2]s}
stringData: {kubeconfig: %[3]s}
---
apiVersion: fedns.io/v1alpha1
kind: Cluster
metadata: {name: %[1]s, labels: {name: %[1]s}}
spec: {%[4]s secretRef: {name: %[1]s}}
`, name, v1alpha1.System, text, spec))
}

// Secret gives fedns the kubeconfig of a file for a member.
func (w *World) Secret(t testing.TB, name, kubeconfig string) {
	t.Helper()
	config, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(string(config))
	if err != nil {
		t.Fatal(err)
	}
	w.Fed.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\nstringData: {kubeconfig: %s}\n", name, v1alpha1.System, text))
}

// Start starts fedsync, alone unless args say otherwise.
func (w *World) Start(t testing.TB, args ...string) {
	t.Helper()
	w.StartAt(t, fmt.Sprint("127.0.0.1:", vector.Port(t)), args...)
}

// StartAt is Start where its metrics are to be at an address.
func (w *World) StartAt(t testing.TB, metrics string, args ...string) {
	t.Helper()
	bin, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	w.Metrics = metrics
	w.Args = args
	w.Cmd, w.Done = w.Launch(t, bin, append([]string{"--lease", "0", "--listen", w.Metrics}, args...)...)
}

// Restart starts it as it was started last.
func (w *World) Restart(t testing.TB) {
	t.Helper()
	w.Start(t, w.Args...)
}

// Launch starts a fedsync that nobody ends. gone is closed when it has.
func (w *World) Launch(t testing.TB, bin string, args ...string) (cmd *exec.Cmd, gone <-chan struct{}) {
	t.Helper()
	cmd = exec.Command(bin, append([]string{"--kubeconfig", w.Fed.Kubeconfig, "--federation", "prod"}, args...)...)
	cmd.Stdout, cmd.Stderr = w.Log, w.Log
	gone, err := vector.Start(cmd) // how it ended is told by what it printed
	if err != nil {
		t.Fatal(err)
	}
	return cmd, gone
}

// Stop ends fedsync as an operator would.
func (w *World) Stop() { w.end(syscall.SIGTERM) }

// Kill ends it without a warning.
func (w *World) Kill() { w.end(syscall.SIGKILL) }

func (w *World) end(with syscall.Signal) {
	if w.Cmd == nil {
		return
	}
	_ = w.Cmd.Process.Signal(with) // it may have ended by itself
	select {
	case <-w.Done:
	case <-time.After(10 * time.Second):
		_ = w.Cmd.Process.Kill()
		<-w.Done
	}
	w.Cmd = nil
}
