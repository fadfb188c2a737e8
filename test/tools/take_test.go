package tools

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// kube is a repository of its own, in which what would be built is written down by a
// program named go, and what is taken says whose it is.
func kube(t *testing.T) (root string, env []string) {
	root = t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "test", "kube"), os.DirFS(at("test", "kube"))); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(at("Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "Makefile"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"node/fast/node-a", "node/heartbeat-with-lease/node-b", "pod/fast/pod-c"} {
		script(t, filepath.Join(root, "kwok", "kustomize", "stage", p+".yaml"), "")
	}
	script(t, filepath.Join(root, "path", "go"), `case $1 in
build)
	while [ $# -gt 0 ]; do [ "$1" = -o ] && echo built >"$2"; shift; done ;;
list)
	case $* in *Dir*) echo "`+root+`/kwok" ;; *) echo v1.36.3 ;; esac ;;
esac
`)
	return root, []string{"PATH=" + filepath.Join(root, "path") + ":" + os.Getenv("PATH")}
}

// programs says of each whose it is.
func programs(t *testing.T, root string) string {
	var all []string
	for _, p := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok"} {
		raw, err := os.ReadFile(filepath.Join(root, "bin", "kube", p))
		if err != nil {
			t.Fatal(err)
		}
		whose := "built"
		if strings.Contains(string(raw), "theirs") {
			whose = "theirs"
		}
		all = append(all, p+" "+whose)
	}
	return strings.Join(all, ", ")
}

// What is there of a control plane is taken, what is missing is built, and only once.
// Without the variable, all is built. What was taken from is never written to.
func TestTake(t *testing.T) {
	root, env := kube(t)
	assets := filepath.Join(root, "assets")
	for _, p := range []string{"etcd", "kube-apiserver", "kubectl"} {
		script(t, filepath.Join(assets, p), "echo theirs: "+p+" 1.2.3\n")
	}
	with := slices.Concat(env, []string{"KUBEBUILDER_ASSETS=" + assets})
	const mixed = "etcd theirs, kube-apiserver theirs, kube-controller-manager built, kube-scheduler built, kubectl theirs, kwok built"
	const own = "etcd built, kube-apiserver built, kube-controller-manager built, kube-scheduler built, kubectl built, kwok built"
	for i, step := range []struct {
		env   []string
		want  string
		says  string
		built bool // something is built
	}{
		{with, mixed, "kubectl: taken from " + assets + " (theirs: kubectl 1.2.3)", true},
		{with, mixed, "etcd: taken from " + assets, false},
		{env, own, "etcd (1 of 6): is being built", true},
		{env, own, "", false},
		{append(env, "KUBEBUILDER_ASSETS="+filepath.Join(root, "bin", "kube")), own, "", false},
		{with, mixed, "kube-apiserver: taken from ", false},
	} {
		out, code := run(t, root, step.env, "make", "kube")
		if code != 0 {
			t.Fatalf("step %d: exit %d\n%s", i, code, out)
		}
		if got := programs(t, root); got != step.want {
			t.Errorf("step %d: %s\nwant    %s\n%s", i, got, step.want, out)
		}
		if !strings.Contains(out, step.says) || strings.Contains(out, "is being built") != step.built {
			t.Errorf("step %d says\n%s", i, out)
		}
		for _, p := range []string{"etcd", "kube-apiserver", "kubectl"} {
			if raw, err := os.ReadFile(filepath.Join(assets, p)); err != nil || !strings.Contains(string(raw), "theirs") {
				t.Fatalf("step %d: %s was written to: %q, %v", i, p, raw, err)
			}
		}
	}
}

// A folder that can't be meant is an error, and nothing is built for minutes instead.
func TestTakeRefused(t *testing.T) {
	root, env := kube(t)
	empty, broken := filepath.Join(root, "empty"), filepath.Join(root, "broken")
	script(t, filepath.Join(empty, "README"), "")
	script(t, filepath.Join(broken, "etcd"), "echo made for another machine >&2; exit 1\n")
	for dir, want := range map[string]string{
		"/nonexistent": "KUBEBUILDER_ASSETS=/nonexistent: there is no such folder",
		empty:          "hint: setup-envtest use -p path prints the folder that has them",
		broken:         "etcd can't be run here: made for another machine",
	} {
		out, code := run(t, root, append(env, "KUBEBUILDER_ASSETS="+dir), "make", "kube")
		if code == 0 || !strings.Contains(out, want) || strings.Contains(out, "is being built") {
			t.Errorf("%s: exit %d\n%s", dir, code, out)
		}
	}
}
