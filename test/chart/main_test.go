// Package chart installs fedns by its Helm chart.
package chart

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

var dir = filepath.Join(vector.Root(), "deploy", "charts", "fedns")

// said are the two values that have no default.
var said = []string{"--set", "domain=fed.example.com", "--set", "federation=fed"}

// helm runs it, with nothing of its user's; kubeconfig may be "".
func helm(t testing.TB, kubeconfig string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(vector.Root(), "bin", "tools", "helm"), args...)
	home := t.TempDir()
	cmd.Env = []string{"HOME=" + home, "KUBECONFIG=" + kubeconfig, "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Run(); err != nil && strings.Contains(err.Error(), "no such file") {
		t.Fatalf("%v: run `make helm`", err)
	}
	return out.String(), errs.String(), err
}

// must is what it prints where it has to succeed.
func must(t testing.TB, kubeconfig string, args ...string) string {
	t.Helper()
	out, errs, err := helm(t, kubeconfig, args...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s%s", strings.Join(args, " "), err, out, errs)
	}
	return out
}
