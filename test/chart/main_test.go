// Package chart installs fedns by its Helm chart.
package chart

import (
	"bytes"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedns/fedns/internal/ctl"
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

// merged is a kubeconfig with the contexts of others, each by its cluster's name.
func merged(t testing.TB, kubeconfigs ...string) string {
	t.Helper()
	all := clientcmdapi.NewConfig()
	for _, path := range kubeconfigs {
		one, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(all.Clusters, one.Clusters)
		maps.Copy(all.AuthInfos, one.AuthInfos)
		maps.Copy(all.Contexts, one.Contexts)
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*all, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// fedctl runs it over a kubeconfig, and gives what it prints.
func fedctl(t testing.TB, kubeconfig string, args ...string) string {
	t.Helper()
	env := map[string]string{"KUBECONFIG": kubeconfig, "FEDNS_SERVER": "http://127.0.0.1:1"} // a server that isn't there
	var out, errs bytes.Buffer
	if code := ctl.Run(t.Context(), ctl.Env{Stdout: &out, Stderr: &errs, Getenv: func(k string) string { return env[k] }, Now: time.Now, Version: "test"}, args); code != 0 {
		t.Fatalf("fedctl %s: exit %d\n%s%s", strings.Join(args, " "), code, &out, &errs)
	}
	return out.String()
}
