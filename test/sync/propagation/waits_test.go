package propagation

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// waits is that who waits for a Deployment in one cluster can wait for a federated one: kubectl
// wait, kubectl rollout status, and Helm.
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

// everything is a chart with one of each of those that Helm waits for.
const everything = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 3, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "{{ .Values.image }}"}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec: {replicas: 2, serviceName: store, selector: {matchLabels: {app: store}}, template: {metadata: {labels: {app: store}}, spec: {containers: [{name: c, image: "{{ .Values.image }}"}]}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: alone}
spec: {replicas: 3, selector: {matchLabels: {app: alone}}, template: {metadata: {labels: {app: alone}}, spec: {containers: [{name: c, image: c}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: c, image: c}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {parallelism: 2, completions: 2, template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {selector: {app: store}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
`

// installs is that Helm waits for what it has installed in a federation until it is there in the
// clusters.
func installs(t *testing.T, w *world) {
	bin := filepath.Join(vector.Root(), "bin", "tools", "helm")
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v (hint: make helm)", err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Chart.yaml": "{apiVersion: v2, name: everything, version: 1.0.0}", "values.yaml": `{image: "c:1"}`, "templates/all.yaml": everything,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.Fed.Apply(t, strings.Replace(ns("helm"), "metadata: {", "metadata: {annotations: {"+inParisAndTokyo+"}, ", 1))
	helm := func(args ...string) {
		t.Helper()
		cmd := exec.Command(bin, append(args, "--kubeconfig", w.Fed.Kubeconfig, "--namespace", "helm", "--timeout", "1m")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	image := func(want string) {
		t.Helper()
		ready := 0
		for _, m := range []string{"paris", "tokyo"} {
			if got := field(t, w.Members[m], "deployment", "helm", "web", "spec/template/spec/containers/0/image"); got != want {
				t.Errorf("%s has %s, and Helm has waited for %s", m, got, want)
			}
			n, err := strconv.Atoi("0" + field(t, w.Members[m], "deployment", "helm", "web", "status/availableReplicas"))
			if err != nil {
				t.Error(err)
			}
			ready += n
		}
		if ready != 3 {
			t.Errorf("%d are available, and Helm has waited for 3", ready)
		}
		if got := field(t, w.Fed, "statefulset", "helm", "store", "status/readyReplicas"); got != "2" {
			t.Errorf("%s of the StatefulSet are ready, and Helm has waited for 2", got)
		}
	}
	helm("install", "everything", dir, "--wait", "--wait-for-jobs")
	image("c:1")
	helm("upgrade", "everything", dir, "--set", "image=c:2", "--wait", "--wait-for-jobs")
	image("c:2")
	for _, what := range []string{"deployment/web", "statefulset/store", "daemonset/agent"} {
		out, err := exec.Command(filepath.Join(vector.Root(), "bin", "kube", "kubectl"), "--kubeconfig", w.Fed.Kubeconfig, "-n", "helm", "rollout", "status", what, "--timeout="+within.String()).CombinedOutput()
		if err != nil {
			t.Errorf("rollout status %s: %v: %s", what, err, out)
		}
	}
}

// reconciles is that Flux, which applies objects and waits for them, and Argo CD, which goes on
// with the next wave when it holds those of the last to be healthy, do so with federated ones: by
// their own code.
func reconciles(t *testing.T, w *world) {
	tool := func(stdin, name string, args ...string) (string, error) {
		t.Helper()
		bin := filepath.Join(vector.Root(), "bin", "tools", name)
		if _, err := os.Stat(bin); err != nil {
			t.Fatalf("%v (hint: make gitops)", err)
		}
		cmd := exec.Command(bin, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	w.Fed.Apply(t, strings.Replace(ns("gitops"), "metadata: {", "metadata: {annotations: {"+inParisAndTokyo+"}, ", 1))
	objects := strings.NewReplacer("{{ .Values.image }}", "c:1", "metadata: {", "metadata: {namespace: gitops, ").Replace(everything)
	if out, err := tool(objects, "flux", w.Fed.Kubeconfig, "2m"); err != nil {
		t.Fatalf("Flux: %v: %s", err, out)
	}
	for what, count := range map[string]string{"deployment/web": "availableReplicas", "replicaset/alone": "availableReplicas", "statefulset/store": "readyReplicas"} {
		kind, name, _ := strings.Cut(what, "/")
		sum := 0
		for _, m := range []string{"paris", "tokyo"} {
			n, _ := strconv.Atoi("0" + field(t, w.Members[m], kind, "gitops", name, "status/"+count))
			sum += n
		}
		if want := field(t, w.Fed, kind, "gitops", name, "spec/replicas"); strconv.Itoa(sum) != want {
			t.Errorf("%d of %s are ready in the clusters, and Flux has waited for %s", sum, what, want)
		}
	}
	health := func() string {
		t.Helper()
		list, err := exec.Command(filepath.Join(vector.Root(), "bin", "kube", "kubectl"), "--kubeconfig", w.Fed.Kubeconfig, "-n", "gitops", "get", "deployments,statefulsets,replicasets,daemonsets,jobs,services,configmaps", "-o", "yaml").Output()
		if err != nil {
			t.Fatal(err)
		}
		out, err := tool(string(list), "argocd")
		if err != nil {
			t.Fatalf("Argo CD: %v: %s", err, out)
		}
		return out
	}
	// For a Job, Flux's library waits until it has begun; its controller, with a reader of its own, until it has ended.
	server.Eventually(t, within, "Argo CD holds the Job to have ended", func() bool { return strings.Contains(health(), "Job once Healthy ") })
	for line := range strings.Lines(health()) {
		if !strings.Contains(line, " Healthy ") {
			t.Errorf("Argo CD, of what Flux has waited for: %s", line)
		}
	}
	// What has no place to run is waited for, by both.
	stuck := `{apiVersion: apps/v1, kind: Deployment, metadata: {name: stuck, namespace: gitops}, spec: {replicas: 2, selector: {matchLabels: {app: stuck}}, template: {metadata: {labels: {app: stuck}}, spec: {nodeSelector: {no: where}, containers: [{name: c, image: c}]}}}}`
	server.Eventually(t, within, "Flux says what it has waited for", func() bool {
		out, err := tool(stuck, "flux", w.Fed.Kubeconfig, "5s")
		if err == nil {
			t.Fatalf("Flux, of what can't run: %s", out)
		}
		// Its client may have no time left for the last question, and then says that.
		return strings.Contains(out, "stuck") && strings.Contains(out, "InProgress")
	})
	if all := health(); !strings.Contains(all, "Deployment stuck Progressing ") {
		t.Errorf("Argo CD, of what can't run: %s", all)
	}
}
