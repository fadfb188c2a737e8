package propagation

import (
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// placements is that kubectl shows how each federated object stands, in objects that go with it.
func placements(t *testing.T, w *world) {
	table := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(filepath.Join(vector.Root(), "bin", "kube", "kubectl"), append([]string{"--kubeconfig", w.Fed.Kubeconfig, "get", "placements"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var lines []string
		for line := range strings.Lines(string(out)) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return strings.Join(lines, "\n")
	}
	shows := func(want string, args ...string) {
		t.Helper()
		got := ""
		defer func() {
			if t.Failed() {
				t.Logf("kubectl get placements %q:\n%s", args, got)
			}
		}()
		server.Eventually(t, within, want, func() bool {
			got = table(args...)
			return strings.Contains("\n"+got+"\n", "\n"+want+"\n")
		})
	}
	shows("NAME KIND DESIRED READY STATE WHY", "-n", "shop")
	shows("deployment.web Deployment 7 7 Applied", "-n", "shop")
	shows("daemonset.agent DaemonSet 2 2 Applied", "-n", "shop")
	shows("statefulset.db StatefulSet 3 3 Applied", "-n", "shop")
	shows("secret.password Secret Applied", "-n", "shop")
	shows(v1alpha1.System+" namespace.shop Namespace Applied", "-A") // what is in no namespace has it there
	d := w.placed(t, "deployment", "shop", "web")
	if d.Status.Summary != "paris 4/4, tokyo 3/3" && d.Status.Summary != "paris 3/3, tokyo 4/4" || len(d.Status.Clusters) != 2 {
		t.Errorf("it says %+v", d.Status)
	}
	shows("secret.password Secret Applied", "-n", "shop", "--field-selector", "object.kind=Secret")
	if wide := table("-n", "shop", "deployment.web", "-o", "wide"); !strings.Contains(wide, " Applied "+d.Status.Summary+" ") {
		t.Errorf("kubectl get -o wide shows\n%s", wide)
	}

	// What people read isn't on the object, where there is little room.
	if r := w.record(t, "statefulset", "shop", "db"); r.Clusters[0].Why != "" || r.Conditions[0].Message != "" {
		t.Errorf("fedns.io/status says %s", r)
	}

	// Nothing is written again when nothing changes, and by another fedsync neither.
	versions := func() map[string]string {
		out := map[string]string{}
		for _, o := range list(t, w.Fed, "placement", "") {
			out[o.GetNamespace()+"/"+o.GetName()] = o.GetResourceVersion()
		}
		return out
	}
	before := versions()
	server.Eventually(t, within, "all that has happened is told", func() bool {
		time.Sleep(2 * time.Second) // as long as any write is put off, and more
		was := before
		before = versions()
		return maps.Equal(was, before)
	})
	w.Stop()
	w.Restart(t)
	w.Fed.Apply(t, configMap("shop", "later", "", "blue"))
	w.stands(t, "configmap", "shop", "later", "paris", workload.Applied)
	time.Sleep(2 * time.Second) // as long as any write is put off, and more
	now := versions()
	delete(now, "shop/configmap.later")
	if !maps.Equal(now, before) {
		t.Errorf("written again: %v, and before %v", now, before)
	}

	// What is changed or removed comes back; what is about nothing goes.
	patch(t, w.Fed, "placement", "shop", "deployment.web", `{"status":{"state":"Lost"}}`)
	remove(t, w.Fed, "placement", "shop", "secret.password")
	w.Fed.Apply(t, "apiVersion: fedns.io/v1alpha1\nkind: Placement\nmetadata: {name: stray, namespace: shop}\nobject: {apiVersion: apps/v1, kind: Deployment, namespace: shop, name: none}\nstatus: {state: Applied}\n")
	shows("deployment.web Deployment 7 7 Applied", "-n", "shop")
	shows("secret.password Secret Applied", "-n", "shop")
	gone(t, w.Fed, "placement", "shop", "stray")

	remove(t, w.Fed, "configmap", "shop", "later")
	gone(t, w.Fed, "configmap", "shop", "later")
	gone(t, w.Fed, "placement", "shop", "configmap.later")
}
