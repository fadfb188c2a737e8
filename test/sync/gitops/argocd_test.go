package gitops

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// application is an Application that keeps a folder of a repository, as most people have it.
const application = `
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default, namespace: argocd}
spec:
  sourceRepos: ["*"]
  destinations: [{server: "*", namespace: "*"}]
  clusterResourceWhitelist: [{group: "*", kind: "*"}]
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: everything, namespace: argocd, finalizers: [resources-finalizer.argocd.argoproj.io]}
spec:
  project: default
  source: {repoURL: %q, path: ., targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: apps}
  syncPolicy: {automated: {prune: true, selfHeal: true}}
`

// argocd is where Argo CD itself has its settings, in a namespace that isn't federated.
const argocd = `
apiVersion: v1
kind: Namespace
metadata: {name: argocd, annotations: {fedns.io/propagate: "false"}}
---
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, namespace: argocd, labels: {app.kubernetes.io/name: argocd-secret, app.kubernetes.io/part-of: argocd}}
stringData: {server.secretkey: for the test}
---
`

// An app is Argo CD's Application, and the repository that it keeps.
type app struct {
	*world
	dir string
}

// commit writes a revision into the repository, and has it looked at.
func (a *app) commit(t testing.TB, files map[string]string) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(a.dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, a.dir, "git", "add", "-A")
	run(t, a.dir, "git", "-c", "user.name=test", "-c", "user.email=test@test.invalid", "commit", "-q", "-m", "change")
}

// refresh has the repository looked at now.
func (a *app) refresh(t testing.TB) {
	t.Helper()
	a.Fed.Kubectl(t, "annotate", "--overwrite", "-n", "argocd", "application/everything", "argocd.argoproj.io/refresh=normal")
	eventually(t, a.Fed, "argocd", "application/everything", `{.metadata.annotations.argocd\.argoproj\.io/refresh}`, "")
}

// revision is the last one.
func (a *app) revision(t testing.TB) string {
	return strings.TrimSpace(run(t, a.dir, "git", "rev-parse", "HEAD"))
}

const healthy = "{.status.sync.status} {.status.health.status}"

// TestArgoCD is that Argo CD's application controller keeps a repository in a federation: it is healthy when
// what it has applied is available in the members, progressing before, degraded where that can't be; it leaves
// all alone when nothing changes, and what it prunes goes everywhere.
func TestArgoCD(t *testing.T) {
	bin := tool(t, "argocd-controllers")
	definitions, err := os.ReadFile(tool(t, "argocd-controllers.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	a := &app{world: w, dir: filepath.Join(t.TempDir(), "everything")}
	run(t, "", "git", "init", "-q", "-b", "main", a.dir)
	a.commit(t, objects("c:1", ""))

	w.Fed.Apply(t, argocd+strings.Replace(string(definitions), "  name: argocd-cm\n", "  name: argocd-cm\n  namespace: argocd\n", 1))
	for _, crd := range []string{"applications.argoproj.io", "appprojects.argoproj.io"} {
		w.Fed.Kubectl(t, "wait", "--for=condition=Established", "--timeout=1m", "crd/"+crd)
	}
	w.Fed.Apply(t, fmt.Sprintf(application, "file://"+a.dir))
	ports := map[string]string{}
	for _, name := range []string{"redis", "repository", "repository's metrics", "metrics"} {
		ports[name] = fmt.Sprint(vector.Port(t))
	}
	data := t.TempDir()
	env := []string{
		"ARGOCD_FAKE_IN_CLUSTER=true", "KUBECONFIG=" + w.Fed.Kubeconfig, "ARGOCD_GPG_ENABLED=false", "HOSTNAME=argocd-application-controller-0",
		"ARGOCD_TLS_DATA_PATH=" + data, "ARGOCD_SSH_DATA_PATH=" + data, "ARGOCD_PLUGINSOCKFILEPATH=" + data, "ARGOCD_ASK_PASS_SOCK=" + filepath.Join(data, "askpass"),
	}
	start(t, nil, bin, "redis", "127.0.0.1:"+ports["redis"])
	start(t, env, bin, "argocd-repo-server", "--address=127.0.0.1", "--port="+ports["repository"], "--metrics-address=127.0.0.1", "--metrics-port="+ports["repository's metrics"], "--redis=127.0.0.1:"+ports["redis"])
	start(t, env, bin, "argocd-application-controller", "--kubeconfig="+w.Fed.Kubeconfig, "--namespace=argocd", "--redis=127.0.0.1:"+ports["redis"], "--repo-server=127.0.0.1:"+ports["repository"], "--metrics-port="+ports["metrics"])

	// While nobody brings it to the members, it isn't healthy.
	eventually(t, w.Fed, "argocd", "application/everything", healthy, "Synced Progressing")
	w.Start(t)
	eventually(t, w.Fed, "argocd", "application/everything", healthy, "Synced Healthy")
	w.available(t, "Argo CD", "c:1")

	// Nothing is written when nothing changes, by either.
	quiet(t, w)
	was := w.versions(t)
	for range 3 {
		a.refresh(t)
		if got := get(w.Fed, "argocd", "application/everything", healthy); got != "Synced Healthy" {
			t.Errorf("looked at again, it is %s", got)
		}
	}
	if now := w.versions(t); now != was {
		t.Errorf("looked at three times, nothing has changed, and there was\n%sand is\n%s", was, now)
	}
	if n := get(w.Fed, "argocd", "application/everything", "{.status.history[*].id}"); n != "0" {
		t.Errorf("it was synced more than once: %s", n)
	}
	// Nor is there anything to do for who applies and compares in the API server.
	w.Fed.Kubectl(t, "patch", "-n", "argocd", "application/everything", "--type=merge", "-p", `{"metadata":{"annotations":{"argocd.argoproj.io/compare-options":"ServerSideDiff=true"}},"spec":{"syncPolicy":{"syncOptions":["ServerSideApply=true"]}}}`)
	a.refresh(t)
	eventually(t, w.Fed, "argocd", "application/everything", healthy, "Synced Healthy")
	// What somebody has changed there is put right, in the members too.
	w.Fed.Kubectl(t, "scale", "-n", "apps", "deployment/web", "--replicas=9")
	server.Eventually(t, within, "replicas are as in the repository", func() bool {
		return get(w.Fed, "apps", "deployment/web", "{.spec.replicas}") == "4" && w.sum("deployment/web", "{.spec.replicas}") == 4
	})
	eventually(t, w.Fed, "argocd", "application/everything", healthy, "Synced Healthy")

	// One that can't run is degraded; then it can.
	a.commit(t, objects("c:2", "nowhere"))
	a.refresh(t)
	eventually(t, w.Fed, "argocd", "application/everything", healthy, "Synced Degraded")
	a.commit(t, objects("c:3", ""))
	a.refresh(t)
	eventually(t, w.Fed, "argocd", "application/everything", healthy+" {.status.sync.revision}", "Synced Healthy "+a.revision(t))
	w.available(t, "Argo CD", "c:3")

	// What says whose it is in the federation's API doesn't go to members: who runs there as well would prune it.
	const tracking = `{.metadata.annotations.argocd\.argoproj\.io/tracking-id}`
	if get(w.Fed, "apps", "deployment/web", tracking) == "" {
		t.Error("Argo CD doesn't mark what is its own")
	}
	for _, m := range w.Members {
		if got := get(m, "apps", "deployment/web", tracking); got != "" {
			t.Errorf("%s has the mark %q", m.Name, got)
		}
	}

	// What isn't in the repository any more goes everywhere, and nothing else.
	fewer := objects("c:3", "")
	delete(fewer, "store.yaml")
	a.commit(t, fewer)
	a.refresh(t)
	for _, what := range []string{"statefulset/store", "job/once", "configmap/settings"} {
		w.nowhere(t, "apps", what)
	}
	eventually(t, w.Fed, "argocd", "application/everything", healthy, "Synced Healthy")
	if n := w.sum("deployment/web", "{.status.availableReplicas}"); n != 4 {
		t.Errorf("%d of the Deployment are left", n)
	}
	w.Fed.Kubectl(t, "delete", "-n", "argocd", "application/everything", "--timeout=3m")
	w.nowhere(t, "", "namespace/apps")
}
