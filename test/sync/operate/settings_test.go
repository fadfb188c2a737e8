package operate

import (
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// What fedsync runs with is told once: fedctl plan previews that fedsync, and kinds that
// fedctl init is told of are kept without a restart. All of it comes back from a backup.
func TestSettings(t *testing.T) {
	b := cluster.New(t)
	all := b.APIs(t, "lyon")
	lyon := all[0]
	w := newWorld(t, b, all...)
	said := func(key string) string {
		return field(w.Fed, "configmap", v1alpha1.System, v1alpha1.ConfigName, "{.data."+strings.ReplaceAll(key, ".", `\.`)+"}")
	}
	if _, stderr, code := w.fedctl(t, "plan"); code != 0 || !strings.Contains(stderr, "what fedsync runs with isn't known") {
		t.Errorf("before one has run: exit %d, %s", code, stderr)
	}
	w.Fed.Apply(t, shop)
	w.Fed.Apply(t, limits)
	w.Start(t, "--max-deletes", "1", "--lost-after", "7m", "--kind", "v1/LimitRange")
	eventually(t, lyon, "limitrange", "shop", "small", "{.metadata.name}", "small")
	eventually(t, lyon, "deployment", "shop", "web", "{.metadata.name}", "web")
	eventually(t, lyon, "configmap", "shop", "settings", "{.metadata.name}", "settings")
	server.Eventually(t, within, "it says what it runs with", func() bool { return said("fedsync.version") != "" })
	if said("fedsync.max-deletes") != "1" || said("fedsync.lost-after") != "7m0s" || said("fedsync.kinds") != "v1/LimitRange" || said("name") != "prod" || said("domain") != "example.com" {
		t.Errorf("it says %s", field(w.Fed, "configmap", v1alpha1.System, v1alpha1.ConfigName, "{.data}"))
	}
	w.Stop()

	kubectl(t, lyon, "delete", "-n", "shop", "limitrange", "small")
	kubectl(t, w.Fed, "delete", "-n", "shop", "service/web", "configmap/settings", "--wait=false")
	out, stderr, code := w.fedctl(t, "plan")
	for _, want := range []string{"create LimitRange shop/small", "waits for an operator:\n  cluster lyon: 2 deletions, more than 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("it doesn't say %q: exit %d\n%s%s", want, code, out, stderr)
		}
	}
	if stderr != "" {
		t.Errorf("without flags it says %s", stderr)
	}
	out, stderr, _ = w.fedctl(t, "plan", "--max-deletes", "2", "--kind", "v1/ResourceQuota")
	if strings.Contains(out, "more than") || strings.Contains(out, "LimitRange") || !strings.Contains(stderr, "fedsync runs with --max-deletes 1") || !strings.Contains(stderr, "fedsync runs with the kinds v1/LimitRange") {
		t.Errorf("with other flags:\n%s%s", out, stderr)
	}

	w.Start(t) // and no kinds
	server.Eventually(t, within, "it says what it runs with", func() bool { return said("fedsync.max-deletes") == "50" && said("fedsync.kinds") == "" })
	kubectl(t, w.Fed, "patch", "-n", v1alpha1.System, "configmap", v1alpha1.ConfigName, "-p", `{"data": {"kinds": "v1/LimitRange"}}`)
	eventually(t, lyon, "limitrange", "shop", "small", "{.metadata.name}", "small")
	server.Eventually(t, within, "it says what it keeps", func() bool { return said("fedsync.kinds") == "v1/LimitRange" })
	if n := strings.Count(w.Log.String(), "other kinds are to be kept now, beside the usual ones: v1/LimitRange"); n != 1 {
		t.Errorf("it began anew %d times", n)
	}
	roles(t, w, lyon)
	restored(t, b, w, lyon)
}

// With ClusterRoles, only those that somebody has made are federated: no other has so much
// as a mark. When they are dropped, nothing is left on any.
func roles(t *testing.T, w *world, lyon *cluster.Cluster) {
	const role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: mine}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n"
	w.Fed.Apply(t, role)
	// An older version has taken this one for federated.
	kubectl(t, w.Fed, "patch", "clusterrole", "view", "-p", `{"metadata": {"finalizers": ["fedns.io/fedsync"], "annotations": {"note": "kept"}}}`)
	kubectl(t, w.Fed, "patch", "-n", v1alpha1.System, "configmap", v1alpha1.ConfigName, "-p", `{"data": {"kinds": "rbac.authorization.k8s.io/v1/ClusterRole"}}`)
	eventually(t, lyon, "clusterrole", "", "mine", `{.metadata.labels.fedns\.io/managed-by}`, "fedsync")
	eventually(t, w.Fed, "clusterrole", "", "mine", "{.metadata.finalizers}", `["fedns.io/fedsync"]`)
	eventually(t, w.Fed, "clusterrole", "", "view", "{.metadata.finalizers}", "")
	marked := func(c *cluster.Cluster) string {
		return kubectl(t, c, "get", "clusterrole", "-o", `jsonpath={range .items[?(@.metadata.finalizers)]}{.metadata.name} {end}{range .items[?(@.metadata.labels.fedns\.io/managed-by)]}{.metadata.name} {end}`)
	}
	if got := marked(w.Fed); got != "mine " {
		t.Errorf("the federation's API has marks on %s", got)
	}
	if got := marked(lyon); got != "mine " {
		t.Errorf("lyon has marks on %s", got)
	}
	for line := range strings.Lines(w.Log.String()) {
		if strings.Contains(line, "ClusterRole system:") || strings.Contains(line, "ClusterRole admin") {
			t.Errorf("it speaks of one that isn't federated: %s", line)
		}
	}

	kubectl(t, w.Fed, "patch", "-n", v1alpha1.System, "configmap", v1alpha1.ConfigName, "-p", `{"data": {"kinds": "v1/LimitRange"}}`)
	server.Eventually(t, within, "nothing is left of it", func() bool {
		return strings.Contains(w.Log.String(), "nothing is left of kinds that aren't kept any more: rbac.authorization.k8s.io/v1/ClusterRole")
	})
	for _, c := range []*cluster.Cluster{w.Fed, lyon} {
		if got := field(c, "clusterrole", "", "mine", "{.rules[0].resources[0]}"); got != "pods" {
			t.Errorf("%s: the role is %q, want it to stay", c.Name, got)
		}
		if got := kubectl(t, c, "get", "clusterrole", "mine", "-o", "jsonpath={.metadata.finalizers}{.metadata.labels}{.metadata.annotations}"); strings.Contains(got, "fedns.io") {
			t.Errorf("%s: there is left %s", c.Name, got)
		}
	}
	eventually(t, w.Fed, "configmap", v1alpha1.System, v1alpha1.ConfigName, `{.data.fedsync\.dropped-kinds}`, "")
}

const limits = `
apiVersion: v1
kind: LimitRange
metadata: {name: small, namespace: shop}
spec: {limits: [{type: Container, max: {cpu: "1"}}]}
`
