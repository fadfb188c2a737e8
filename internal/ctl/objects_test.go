package ctl

import (
	"strings"
	"testing"
)

// toldOf is what a federation's API tells of its objects.
const toldOf = `{"kind": "PlacementList", "apiVersion": "fedns.io/v1alpha1", "metadata": {}, "items": [
	{"apiVersion": "fedns.io/v1alpha1", "kind": "Placement", "metadata": {"name": "deployment.web", "namespace": "shop", "managedFields": [{"manager": "fedsync"}]},
		"object": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web"},
		"status": {"state": "Failed", "why": "in tokyo: admission webhook denied it, since there is no red here at all", "desired": 7, "ready": 4, "since": "2026-01-31T11:00:00Z", "summary": "paris 4/4, tokyo 0/3 Failed",
			"clusters": [{"name": "paris", "state": "Applied", "desired": 4, "ready": 4}, {"name": "tokyo", "state": "Failed", "why": "admission webhook denied it, since there is no red here at all", "desired": 3, "ready": 0}]}},
	{"apiVersion": "fedns.io/v1alpha1", "kind": "Placement", "metadata": {"name": "configmap.settings", "namespace": "shop"},
		"object": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "settings"}, "status": {"state": "Applied", "clusters": [{"name": "paris", "state": "Applied"}]}},
	{"apiVersion": "fedns.io/v1alpha1", "kind": "Placement", "metadata": {"name": "horizontalpodautoscaler.a", "namespace": "mynamespace"},
		"object": {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "namespace": "mynamespace", "name": "a"}, "status": {"state": "NoCluster", "why": "no cluster is chosen for it"}},
	{"apiVersion": "fedns.io/v1alpha1", "kind": "Placement", "metadata": {"name": "namespace.shop", "namespace": "federation-system"},
		"object": {"apiVersion": "v1", "kind": "Namespace", "name": "shop"}, "status": {"state": "Applied", "clusters": [{"name": "paris", "state": "Applied"}, {"name": "tokyo", "state": "Applied"}]}}]}`

const twoClusters = `{"kind": "ClusterList", "apiVersion": "fedns.io/v1alpha1", "metadata": {}, "items": [
	{"kind": "Cluster", "apiVersion": "fedns.io/v1alpha1", "metadata": {"name": "tokyo"}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Unreachable", "message": "https://tokyo: connection refused"}]}},
	{"kind": "Cluster", "apiVersion": "fedns.io/v1alpha1", "metadata": {"name": "paris"}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "/readyz says ok"}]}}]}`

// How objects stand is told as fedsync says it, in the width of a terminal.
func TestStanding(t *testing.T) {
	h := newHome(t)
	const path = "/apis/fedns.io/v1alpha1/placements"
	for _, args := range []string{"get objects", "status"} {
		if out, stderr, code := h.fed(strings.Fields(args)...); code != 1 || out != "" || !strings.Contains(stderr, "has no kind Placement") || !strings.Contains(stderr, "hint: fedctl init again") {
			t.Errorf("%s of an older API: exit %d, %s%s", args, code, out, stderr)
		}
	}
	h.put(path, toldOf)
	h.put("/apis/fedns.io/v1alpha1/clusters", twoClusters)
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"get objects", 0, `
NAMESPACE    KIND                     NAME      DESIRED  READY  STATE      WHY
-            Namespace                shop                      Applied
mynamespace  HorizontalPodAutoscaler  a                         NoCluster  no cluster is chosen for it
shop         ConfigMap                settings                  Applied
shop         Deployment               web       7        4      Failed     in tokyo: admission webhook denied it, since there is no red here at all
`},
		{"get objects -n shop -o wide", 0, `
NAMESPACE  KIND        NAME      CLUSTER  DESIRED  READY  STATE    WHY
shop       ConfigMap   settings  paris                    Applied
shop       Deployment  web       paris    4        4      Applied
                                 tokyo    3        0      Failed   admission webhook denied it, since there is no red here at all
`},
		{"get objects --not-ok -o name", 0, "\nmynamespace/HorizontalPodAutoscaler/a\nshop/Deployment/web\n"},
		{"get objects --not-ok -o jsonpath={.items[*].metadata.name}", 0, "\nhorizontalpodautoscaler.a deployment.web"},
		{"get objects -n none", 0, "\n"},
		{"status", 0, `
CLUSTER  STATUS       OBJECTS  NOT OK  MESSAGE
paris    Ready        3        0
tokyo    Unreachable  2        1       https://tokyo: connection refused

2 of 4 objects as they should be
NAMESPACE    KIND                     NAME  DESIRED  READY  STATE      WHY
mynamespace  HorizontalPodAutoscaler  a                     NoCluster  no cluster is chosen for it
shop         Deployment               web   7        4      Failed     in tokyo: admission webhook denied it, since there is no red here at all
`},
		{"status --exit-code -o jsonpath={.objects}", notWell, "\n4"},
		{"status -n none -o jsonpath={.objects}", 0, "\n0"},
		{"status shop/deployments/web", 0, `
shop/Deployment/web: Failed, 4 of 7 ready, for 1h
  in tokyo: admission webhook denied it, since there is no red here at all
CLUSTER  DESIRED  READY  STATE    WHY
paris    4        4      Applied
tokyo    3        0      Failed   admission webhook denied it, since there is no red here at all
`},
		{"status -n shop deployment/web --exit-code -o name", notWell, "\nshop/Deployment/web\n"},
		{"status namespace/shop --exit-code", 0, `
Namespace/shop: Applied
CLUSTER  DESIRED  READY  STATE    WHY
paris                    Applied
tokyo                    Applied
`},
	} {
		out, stderr, code := h.fed(strings.Fields(tt.args)...)
		if code != tt.code || out != tt.want[1:] {
			t.Errorf("%s: exit %d, %s\n%s\nwant%s", tt.args, code, stderr, out, tt.want)
		}
	}
	h.columns = 80
	for _, args := range []string{"get objects", "get objects -o wide", "status", "status shop/Deployment/web"} {
		out, _, _ := h.fed(strings.Fields(args)...)
		for line := range strings.Lines(out) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
				t.Errorf("%s: %d wide: %s", args, n, line)
			}
		}
	}
	for args, want := range map[string]string{
		"status shop/Deployment/wep":      "did you mean shop/Deployment/web?",
		"status web":                      "neither NAMESPACE/KIND/NAME nor KIND/NAME",
		"status shop//web":                "neither",
		"status -n other shop/Service/x":  `isn't of the namespace "other"`,
		"status shop/Service/a-web --yes": "there is no flag --yes",
	} {
		if out, stderr, code := h.fed(strings.Fields(args)...); code == 0 || out != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %s%s", args, code, out, stderr)
		}
	}
	for line, want := range map[string]string{
		"status ":             "Namespace/shop mynamespace/HorizontalPodAutoscaler/a shop/ConfigMap/settings shop/Deployment/web :4",
		"status shop/D":       "shop/Deployment/web :4",
		"status -n shop ":     "ConfigMap/settings Deployment/web :4",
		"get objects -n ":     "mynamespace shop :4",
		"status shop/D shop/": ":4",
	} {
		out, _, _ := h.run(append([]string{"__complete", "--kubeconfig", h.kubeconfig(), "--context", "fed"}, strings.Split(line, " ")...)...)
		if got := strings.Join(strings.Fields(out), " "); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}
