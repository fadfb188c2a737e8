package gitops

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// sources is the kind by which Flux's kustomize-controller is told where an artifact is. Its own
// source-controller fills in the status, of repositories that it fetches; here, the test does.
const sources = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %s.source.toolkit.fluxcd.io}
spec:
  group: source.toolkit.fluxcd.io
  scope: Namespaced
  names: {kind: %s, plural: %s}
  versions:
  - {name: v1, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// kustomization has what is there be applied, waited for, and pruned. What it failed at it tries again at once.
const kustomization = `
apiVersion: v1
kind: Namespace
metadata: {name: flux-system, annotations: {fedns.io/propagate: "false"}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: everything, namespace: flux-system}
spec: {interval: 1h, url: "https://git.invalid/everything"}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: everything, namespace: flux-system}
spec:
  interval: 1h
  retryInterval: 2s
  timeout: 2m
  prune: true
  wait: true
  path: ./
  sourceRef: {kind: GitRepository, name: everything}
`

// A repository is served as source-controller serves artifacts: a packed folder with its digest.
type repository struct {
	*world
	artifact atomic.Pointer[[]byte]
	server   *httptest.Server
}

func (w *world) repository(t testing.TB) *repository {
	r := &repository{world: w}
	r.server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		_, _ = out.Write(*r.artifact.Load()) // who hangs up asks again
	}))
	t.Cleanup(r.server.Close)
	return r
}

// commit publishes a revision.
func (r *repository) commit(t testing.TB, revision string, files map[string]string) {
	t.Helper()
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	folder := tar.NewWriter(packed)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := folder.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := folder.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	content := out.Bytes()
	r.artifact.Store(&content)
	r.Fed.Kubectl(t, "patch", "-n", "flux-system", "gitrepository/everything", "--subresource=status", "--type=merge", "-p", fmt.Sprintf(
		`{"status":{"observedGeneration":1,"conditions":[{"type":"Ready","status":"True","reason":"Succeeded","message":"stored","lastTransitionTime":%[1]q}],"artifact":{"digest":"sha256:%[2]x","lastUpdateTime":%[1]q,"path":"everything.tar.gz","revision":%[3]q,"url":%[4]q,"size":%[5]d}}}`,
		time.Now().UTC().Format(time.RFC3339), sha256.Sum256(content), revision, r.server.URL+"/everything.tar.gz", len(content)))
}

// status is what Flux says of a revision that it has tried.
func (r *repository) status(path string) string {
	return get(r.Fed, "flux-system", "kustomization/everything", path)
}

const ready = `{.status.conditions[?(@.type=="Ready")].`

// TestFlux is that Flux's kustomize-controller keeps a repository in a federation: it is ready when what it
// has applied is available in the members, fails where that can't be, leaves it alone when nothing changes,
// and what it prunes goes everywhere.
func TestFlux(t *testing.T) {
	bin := tool(t, "kustomize-controller")
	definitions, err := os.ReadFile(tool(t, "kustomize-controller.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	all := string(definitions)
	for _, kind := range []string{"GitRepository", "OCIRepository", "Bucket", "ExternalArtifact"} {
		plural := strings.ToLower(strings.TrimSuffix(kind, "y")) + "ies"
		if !strings.HasSuffix(kind, "y") {
			plural = strings.ToLower(kind) + "s"
		}
		all += "\n---\n" + fmt.Sprintf(sources, plural, kind, plural)
	}
	w.Fed.Apply(t, all)
	for _, crd := range []string{"kustomizations.kustomize.toolkit.fluxcd.io", "gitrepositories.source.toolkit.fluxcd.io", "externalartifacts.source.toolkit.fluxcd.io"} {
		w.Fed.Kubectl(t, "wait", "--for=condition=Established", "--timeout=1m", "crd/"+crd)
	}
	w.Fed.Apply(t, kustomization)
	r := w.repository(t)
	r.commit(t, "main@sha1:1", objects("c:1", ""))
	start(t, []string{"RUNTIME_NAMESPACE=flux-system", "KUBECONFIG=" + w.Fed.Kubeconfig}, bin, "--watch-all-namespaces", "--enable-leader-election=false",
		fmt.Sprint("--metrics-addr=127.0.0.1:", vector.Port(t)), fmt.Sprint("--health-addr=127.0.0.1:", vector.Port(t)))

	// While nobody brings it to the members, it isn't ready.
	eventually(t, w.Fed, "apps", "deployment/web", "{.metadata.name}", "web")
	eventually(t, w.Fed, "flux-system", "kustomization/everything", `{.status.conditions[?(@.type=="Reconciling")].status}`, "True")
	if got := r.status(ready + "status}"); got == "True" {
		t.Errorf("ready before anything is in a member")
	}
	w.Start(t)
	eventually(t, w.Fed, "flux-system", "kustomization/everything", ready+"status}", "True")
	w.available(t, "Flux", "c:1")

	// Nothing is written when nothing changes, by either.
	quiet(t, w)
	was := w.versions(t)
	for i := range 3 {
		at := fmt.Sprint("look ", i)
		w.Fed.Kubectl(t, "annotate", "--overwrite", "-n", "flux-system", "kustomization/everything", "reconcile.fluxcd.io/requestedAt="+at)
		eventually(t, w.Fed, "flux-system", "kustomization/everything", "{.status.lastHandledReconcileAt}", at)
		eventually(t, w.Fed, "flux-system", "kustomization/everything", ready+"status}", "True")
	}
	if now := w.versions(t); now != was {
		t.Errorf("looked at three times, nothing has changed, and there was\n%sand is\n%s", was, now)
	}

	// One that can't run fails, and says which; then it can.
	r.commit(t, "main@sha1:2", objects("c:2", "nowhere"))
	eventually(t, w.Fed, "flux-system", "kustomization/everything", ready+"reason}", "HealthCheckFailed")
	if got := r.status(ready + "message}"); !strings.Contains(got, "Deployment/apps/web") {
		t.Errorf("it failed with %q", got)
	}
	r.commit(t, "main@sha1:3", objects("c:3", ""))
	eventually(t, w.Fed, "flux-system", "kustomization/everything", "{.status.lastAppliedRevision}", "main@sha1:3")
	w.available(t, "Flux", "c:3")

	// What isn't in the repository any more goes everywhere, and nothing else, though fedsync is away meanwhile.
	w.Stop()
	fewer := objects("c:3", "")
	delete(fewer, "store.yaml")
	r.commit(t, "main@sha1:4", fewer)
	server.Eventually(t, within, "the StatefulSet is being deleted", func() bool {
		return get(w.Fed, "apps", "statefulset/store", "{.metadata.deletionTimestamp}") != ""
	})
	w.Restart(t)
	for _, what := range []string{"statefulset/store", "job/once", "configmap/settings"} {
		w.nowhere(t, "apps", what)
	}
	eventually(t, w.Fed, "flux-system", "kustomization/everything", "{.status.lastAppliedRevision}", "main@sha1:4")
	if n := w.sum("deployment/web", "{.status.availableReplicas}"); n != 4 {
		t.Errorf("%d of the Deployment are left", n)
	}
	w.Fed.Kubectl(t, "delete", "-n", "flux-system", "kustomization/everything", "--timeout=3m")
	w.nowhere(t, "", "namespace/apps")
}

// quiet waits until nothing is written to what a repository holds.
func quiet(t testing.TB, w *world) {
	t.Helper()
	was := ""
	server.Eventually(t, within, "nothing is written any more", func() bool {
		now := w.versions(t)
		same := now == was
		was = now
		if !same {
			time.Sleep(time.Second) // between two looks that are to be the same
		}
		return same
	})
}
