package cluster

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Kubectl runs it as an administrator of the cluster, and gives what it prints.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs(t), "kubectl"), args...)
	cmd.Env = []string{"KUBECONFIG=" + c.Kubeconfig, "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: kubectl %q: %v\n%s", c.Name, args, err, out)
	}
	return string(out)
}
