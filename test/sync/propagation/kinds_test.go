package propagation

import (
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/server"
)

// allKinds is what a split means for the kinds that aren't shown elsewhere, and what they say of
// themselves.
func allKinds(t *testing.T, w *world) {
	paris, tokyo := w.Members["paris"], w.Members["tokyo"]
	w.Fed.Apply(t, ns("kinds")+`
apiVersion: v1
kind: ServiceAccount
metadata: {name: app, namespace: kinds, annotations: {a: b}}
imagePullSecrets: [{name: pull}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: kinds}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "app:reader", namespace: kinds}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: v1
kind: LimitRange
metadata: {name: limits, namespace: kinds}
spec: {limits: [{type: Container, default: {cpu: 1m}}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: kinds}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: kinds}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: outside, namespace: kinds, labels: {kubernetes.io/service-name: outside}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints: [{addresses: [192.0.2.7]}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: kinds, annotations: {fedns.io/preferences: '{"clusters":{"tokyo":{"weight":2},"paris":{"weight":1}}}'}}
spec: {schedule: "0 3 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: everywhere, namespace: kinds, annotations: {fedns.io/everywhere: "true"}}
spec: {schedule: "0 3 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}}}}
`)
	for _, m := range w.Members {
		eventually(t, m, "serviceaccount", "kinds", "app", "imagePullSecrets/0/name", "pull")
		there(t, m, "networkpolicy", "kinds", "deny")
		eventually(t, m, "role", "kinds", "app:reader", "rules/0/verbs/0", "get")
		there(t, m, "limitrange", "kinds", "limits")
		there(t, m, "persistentvolumeclaim", "kinds", "data")
		there(t, m, "endpointslice", "kinds", "outside")
		there(t, m, "cronjob", "kinds", "everywhere")
	}
	if p := w.placed(t, "role", "kinds", "app:reader"); p.Status.State != "" && p.Object.Name != "app:reader" {
		t.Errorf("the Role's Placement is about %v", p.Object)
	}
	w.stands(t, "role", "kinds", "app:reader", "paris", workload.Applied)
	if n := len(list(t, w.Fed, "serviceaccount", "kinds")); n != 1 { // no controller makes the default one there
		t.Errorf("%d accounts are in the federation's API", n)
	}
	if get(t, paris, "serviceaccount", "kinds", "default") == nil {
		t.Error("each cluster's own account is gone")
	}

	// Once, and not in each cluster, unless somebody says so.
	there(t, tokyo, "cronjob", "kinds", "nightly")
	if s := w.stands(t, "cronjob", "kinds", "nightly", "tokyo", workload.Applied); !strings.Contains(s.placed.Why, "whole") || get(t, paris, "cronjob", "kinds", "nightly") != nil {
		t.Errorf("a CronJob stands as %+v", w.record(t, "cronjob", "kinds", "nightly").Clusters)
	}
	patch(t, tokyo, "cronjob", "kinds", "nightly", `{"status":{"lastScheduleTime":"2026-01-01T03:00:00Z","lastSuccessfulTime":"2026-01-01T03:01:00Z"}}`, "status")
	eventually(t, w.Fed, "cronjob", "kinds", "nightly", "status/lastSuccessfulTime", "2026-01-01T03:01:00Z")

	// A claim is bound when it is so everywhere; what bound it in one cluster is of that cluster.
	for name, m := range w.Members {
		if name != "paris" {
			patch(t, m, "persistentvolumeclaim", "kinds", "data", `{"status":{"phase":"Bound","accessModes":["ReadWriteOnce"],"capacity":{"storage":"2Gi"}}}`, "status")
		}
	}
	w.stands(t, "persistentvolumeclaim", "kinds", "data", "paris", workload.Applied)
	if phase := field(t, w.Fed, "persistentvolumeclaim", "kinds", "data", "status/phase"); phase != "Pending" {
		t.Errorf("the claim is %s, and not bound in paris", phase)
	}
	patch(t, paris, "persistentvolumeclaim", "kinds", "data", `{"status":{"phase":"Bound","accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"}}}`, "status")
	eventually(t, w.Fed, "persistentvolumeclaim", "kinds", "data", "status/phase", "Bound")
	eventually(t, w.Fed, "persistentvolumeclaim", "kinds", "data", "status/capacity/storage", "1Gi")

	// Each cluster has the whole quota, and the federation what all have used. (Before its status is
	// there, an API server lets nothing be made that it counts.)
	w.Fed.Apply(t, "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: kinds}\nspec: {hard: {requests.cpu: 10}}\n")
	for _, m := range w.Members {
		eventually(t, m, "resourcequota", "kinds", "q", `spec/hard/requests.cpu`, "10")
		patch(t, m, "resourcequota", "kinds", "q", `{"status":{"hard":{"requests.cpu":"10"},"used":{"requests.cpu":"1500m"}}}`, "status")
	}
	eventually(t, w.Fed, "resourcequota", "kinds", "q", "status/used/requests.cpu", "4500m")
	eventually(t, w.Fed, "resourcequota", "kinds", "q", "status/hard/requests.cpu", "30")

	// No pod's name is in two clusters.
	w.Fed.Apply(t, ns("parts")+`
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: parts
  namespace: parts
  annotations:
    fedns.io/preferences: '{"clusters":{"*":{"weight":1,"maxReplicas":10}}}'
    fedns.io/cluster-selector: '[{"key":"name","operator":"in","values":["paris","tokyo"]}]'
spec:
  replicas: 3
  ordinals: {start: 0}
  serviceName: parts
  selector: {matchLabels: {app: parts}}
  template: {metadata: {labels: {app: parts}}, spec: {containers: [{name: c, image: c}]}}
`)
	pods := func() (names []string) {
		for _, m := range []string{"paris", "tokyo"} {
			for _, p := range list(t, w.Members[m], "pod", "parts") {
				if strings.HasPrefix(p.GetName(), "parts-") {
					names = append(names, p.GetName())
				}
			}
		}
		slices.Sort(names)
		return names
	}
	start := field(t, tokyo, "statefulset", "parts", "parts", "spec/ordinals/start")
	eventually(t, w.Fed, "statefulset", "parts", "parts", "status/readyReplicas", "3")
	eventually(t, paris, "statefulset", "parts", "parts", "spec/ordinals/start", "0")
	eventually(t, tokyo, "statefulset", "parts", "parts", "spec/ordinals/start", "10")
	if got := pods(); len(got) != 3 || got[0] != "parts-0" || !slices.Contains(got, "parts-10") {
		t.Errorf("its pods are %q, tokyo's from %s", got, start)
	}
	patch(t, w.Fed, "statefulset", "parts", "parts", `{"spec":{"replicas":5}}`)
	server.Eventually(t, within, "it is scaled", func() bool { return len(slices.Compact(pods())) == 5 })
	eventually(t, tokyo, "statefulset", "parts", "parts", "spec/ordinals/start", "10")
}
