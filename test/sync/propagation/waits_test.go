package propagation

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// waits is that who waits for a Deployment in one cluster can wait for a federated one: kubectl
// wait, and kubectl rollout status.
func waits(t *testing.T, w *world) {
	kubectl := func(args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(vector.Root(), "bin", "kube", "kubectl"), append([]string{"--kubeconfig", w.Fed.Kubeconfig, "-n", "shop"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	limit := "--timeout=" + within.String()
	kubectl("wait", "--for=condition=Available", "deployment/web", limit)
	kubectl("set", "image", "deployment/web", "web=nginx:2")
	kubectl("rollout", "status", "deployment/web", limit)
	for _, m := range []string{"paris", "tokyo"} {
		eventually(t, w.Members[m], "deployment", "shop", "web", "spec/template/spec/containers/0/image", "nginx:2")
	}
	kubectl("wait", "--for=condition=Progressing", "deployment/web", limit)
	eventually(t, w.Fed, "deployment", "shop", "web", "status/conditions/1/reason", "NewReplicaSetAvailable")
	kubectl("set", "image", "deployment/web", "web=nginx:1")
	kubectl("rollout", "status", "deployment/web", limit)
}
