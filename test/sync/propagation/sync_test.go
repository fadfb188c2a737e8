package propagation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// maxDeletes is low, for a test to reach it.
const maxDeletes = 8

// TestSync is the life of a federation of three members, of which oslo has no node.
func TestSync(t *testing.T) {
	t.Parallel() // it waits for most of its time
	b := cluster.New(t)
	b.IPv6 = "federation" // where its members have IPv4
	alive := b.Members(t, "paris", "tokyo", "oslo")
	paris, tokyo, oslo := alive[0], alive[1], alive[2]
	paris.AddNode(t, "n1", "eu", "eu-a")
	tokyo.AddNode(t, "n1", "ap", "ap-a")
	w := newWorld(t, b, paris, tokyo, oslo)
	w.Fed.Apply(t, ns("narrow")+strings.Replace(deployment("narrow", "wide", inParisAndTokyo, 12), `"nginx:1"`, `"nginx:1", resources: {requests: {cpu: 8}}`, 1)) // looked at in the end
	w.Start(t, "--debug", "--max-deletes", fmt.Sprint(maxDeletes), "--kind", "example.com/v1/Gadget", "--kind", "v1/PersistentVolumeClaim", "--kind", "v1/ResourceQuota", "--kind", "v1/LimitRange",
		"--kind", "rbac.authorization.k8s.io/v1/Role", "--kind", "discovery.k8s.io/v1/EndpointSlice")

	for _, test := range []struct {
		name string
		run  func(t *testing.T, w *world)
	}{
		{"keeps", keeps},
		{"waits", waits},
		{"placements", placements},
		{"all kinds", allKinds},
		{"services", services},
		{"names taken", namesTaken},
		{"refusals", refusals},
		{"bad input", badInput},
		{"overrides", overrides},
		{"placement", places},
		{"helm", installs},
		{"flux and argo", reconciles},
		{"autoscalers", autoscalers},
		{"jobs", jobs},
		{"dependencies", follows},
		{"a namespace deleted in a member", namespaceDeleted},
		{"orphans", orphans},
		{"too many deletions", tooMany},
		{"other kinds", otherKinds},
		{"what is said", told},
		{"a version that isn't served", hidden},
		{"a namespace is emptied", emptied},
		{"rights and credentials", rights},
		{"room", room},
		{"rest", rest},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, w) }) {
			return // the rest would fail of the same
		}
	}
}

const inParisAndTokyo = `fedns.io/cluster-selector: '[{"key":"name","operator":"in","values":["paris","tokyo"]}]'`

func keeps(t *testing.T, w *world) {
	paris, tokyo, oslo := w.Members["paris"], w.Members["tokyo"], w.Members["oslo"]
	w.Fed.Apply(t, ns("shop")+deployment("shop", "web", inParisAndTokyo, 7)+configMap("shop", "settings", "note: mine", "blue")+`
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: alone, namespace: shop}
spec: {replicas: 4, selector: {matchLabels: {app: alone}}, template: {metadata: {labels: {app: alone}}, spec: {containers: [{name: c, image: c}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: c, image: c}]}}}
---
apiVersion: v1
kind: Secret
metadata: {name: password, namespace: shop, annotations: {fedns.io/cluster-selector: "[]"}}
stringData: {password: secret}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
`)
	for _, m := range w.Members {
		eventually(t, m, "configmap", "shop", "settings", "data/color", "blue")
		eventually(t, m, "secret", "shop", "password", "data/password", "c2VjcmV0")
		eventually(t, m, "ingress", "shop", "web", `metadata/labels/fedns.io\/export`, "true")
		there(t, m, "daemonset", "shop", "agent")
		there(t, m, "replicaset", "shop", "alone")
	}
	eventually(t, w.Fed, "deployment", "shop", "web", "status/readyReplicas", "7")
	server.Eventually(t, within, "the Deployment's generation is observed", func() bool {
		return field(t, w.Fed, "deployment", "shop", "web", "status/observedGeneration") == field(t, w.Fed, "deployment", "shop", "web", "metadata/generation")
	})
	eventually(t, w.Fed, "daemonset", "shop", "agent", "status/numberReady", "2")
	if s := w.stands(t, "configmap", "shop", "settings", "oslo", workload.Applied); s.Applied == "" || s.At == nil {
		t.Errorf("a ConfigMap stands as %+v, want a hash and a time", s)
	}
	if got := field(t, paris, "configmap", "shop", "settings", "metadata/annotations/note"); got != "mine" {
		t.Errorf("an annotation of the federated object is %q in a member", got)
	}
	sum := 0
	for _, m := range w.Members {
		var n int
		_, _ = fmt.Sscan(field(t, m, "replicaset", "shop", "alone", "spec/replicas"), &n) // what isn't there is none
		sum += n
	}
	if sum != 4 {
		t.Errorf("the ReplicaSets have %d replicas in all, want 4", sum)
	}

	// Of numbers that speak of all pods each cluster has its part.
	w.Fed.Apply(t, strings.Replace(deployment("shop", "rolling", inParisAndTokyo, 4), "spec:\n", "spec:\n  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 2}}\n", 1)+`
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: rolling, namespace: shop}
spec: {minAvailable: 2, selector: {matchLabels: {app: rolling}}}
`)
	for _, m := range []*cluster.Cluster{paris, tokyo} {
		eventually(t, m, "deployment", "shop", "rolling", "spec/strategy/rollingUpdate", `{"maxSurge":0,"maxUnavailable":1}`)
		eventually(t, m, "poddisruptionbudget", "shop", "rolling", "spec/minAvailable", "1")
		w.stands(t, "poddisruptionbudget", "shop", "rolling", m.Name, workload.Applied)
	}
	eventually(t, oslo, "poddisruptionbudget", "shop", "rolling", "spec/minAvailable", "0")

	// What has names and volumes is in one cluster.
	w.Fed.Apply(t, `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop, annotations: {fedns.io/preferences: '{"clusters":{"tokyo":{"weight":2},"paris":{"weight":1}}}'}}
spec: {replicas: 3, serviceName: db, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: db}]}}}
`)
	eventually(t, tokyo, "statefulset", "shop", "db", "spec/replicas", "3")
	if s := w.stands(t, "statefulset", "shop", "db", "tokyo", workload.Applied); !strings.Contains(s.placed.Why, "whole") || get(t, paris, "statefulset", "shop", "db") != nil {
		t.Errorf("a StatefulSet stands as %+v", w.record(t, "statefulset", "shop", "db").Clusters)
	}
	// It says how it is there.
	eventually(t, w.Fed, "statefulset", "shop", "db", "status/readyReplicas", "3")

	t.Run("what is changed by hand comes back", func(t *testing.T) {
		before := w.replicas(t, "shop", "web", "paris", "tokyo")
		patch(t, paris, "deployment", "shop", "web", `{"spec":{"replicas":9}}`)
		w.shares(t, "shop", "web", before, "paris", "tokyo")
		patch(t, paris, "deployment", "shop", "web", `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"evil:1"}]}}}}`)
		eventually(t, paris, "deployment", "shop", "web", "spec/template/spec/containers/0/image", "nginx:1")
		patch(t, tokyo, "configmap", "shop", "settings", `{"data":{"color":"red"}}`)
		eventually(t, tokyo, "configmap", "shop", "settings", "data/color", "blue")
		remove(t, tokyo, "configmap", "shop", "settings")
		there(t, tokyo, "configmap", "shop", "settings")
		// With its label gone, no watch tells of it.
		patch(t, tokyo, "configmap", "shop", "settings", `{"data":{"color":"red"},"metadata":{"labels":{"fedns.io/managed-by":null}}}`)
		eventually(t, tokyo, "configmap", "shop", "settings", `metadata/labels/fedns.io\/managed-by`, "fedsync")
		eventually(t, tokyo, "configmap", "shop", "settings", "data/color", "blue")
		patch(t, tokyo, "configmap", "shop", "settings", `{"metadata":{"annotations":{"fedns.io/federation":null}}}`)
		eventually(t, tokyo, "configmap", "shop", "settings", `metadata/annotations/fedns.io\/federation`, "prod")
	})
	t.Run("what others add stays", func(t *testing.T) {
		patch(t, paris, "configmap", "shop", "settings", `{"data":{"theirs":"x"},"metadata":{"labels":{"theirs":"x"}}}`)
		patch(t, w.Fed, "configmap", "shop", "settings", `{"data":{"color":"green","more":"1"}}`)
		eventually(t, paris, "configmap", "shop", "settings", "data", `{"color":"green","more":"1","theirs":"x"}`)
		patch(t, w.Fed, "configmap", "shop", "settings", `{"data":{"more":null}}`)
		eventually(t, paris, "configmap", "shop", "settings", "data", `{"color":"green","theirs":"x"}`)
		if got := field(t, paris, "deployment", "shop", "web", `metadata/annotations/deployment.kubernetes.io\/revision`); got == "" {
			t.Error("the Deployment controller's annotation is gone")
		}
	})
	t.Run("what is deleted goes everywhere", func(t *testing.T) {
		remove(t, w.Fed, "configmap", "shop", "settings")
		gone(t, w.Fed, "configmap", "shop", "settings")
		for _, m := range w.Members {
			if get(t, m, "configmap", "shop", "settings") != nil {
				t.Errorf("%s: it was there when the federated one had gone", m.Name)
			}
		}
	})
}

func services(t *testing.T, w *world) {
	paris, tokyo := w.Members["paris"], w.Members["tokyo"]
	w.Fed.Apply(t, ns("net")+`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: net, annotations: {fedns.io/ttl: 60s}}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: net, labels: {fedns.io/export: "false"}}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: a, port: 80}, {name: b, port: 81, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere, namespace: net}
spec: {type: ExternalName, externalName: example.com}
`)
	for _, m := range w.Members {
		eventually(t, m, "service", "net", "web", `metadata/annotations/fedns.io\/ttl`, "60s")
		eventually(t, m, "service", "net", "headless", `metadata/labels/fedns.io\/export`, "false")
		eventually(t, m, "service", "net", "headless", "spec/clusterIP", "None")
		eventually(t, m, "service", "net", "elsewhere", "spec/externalName", "example.com")
	}
	// What the federation's API has filled in is asked of no cluster, however it was told of
	// the rest: applied, as above, or made with all its defaults.
	made := object(t, "apiVersion: v1\nkind: Service\nmetadata: {name: made, namespace: net}\nspec: {selector: {app: web}, ports: [{port: 80}]}")
	if _, err := api(t, w.Fed).Create(t.Context(), kinds["service"], made, "somebody"); err != nil {
		t.Fatal(err)
	}
	for name, asked := range map[string]string{"web": `"f:externalTrafficPolicy"`, "made": `"f:selector"`} {
		for _, m := range w.Members {
			there(t, m, "service", "net", name)
			var ours string
			for _, f := range get(t, m, "service", "net", name).GetManagedFields() {
				if f.Manager == "fedsync" {
					ours += f.FieldsV1.String()
				}
			}
			if !strings.Contains(ours, asked) {
				t.Errorf("%s: fedsync asks for %s, want %s to be in it", name, ours, asked)
			}
			for _, filled := range []string{"f:clusterIP", "f:ipFamil", "f:nodePort", "f:healthCheckNodePort"} {
				if strings.Contains(ours, filled) {
					t.Errorf("%s: fedsync asks for %s, which nobody has", name, filled)
				}
			}
		}
	}
	own := func(m *cluster.Cluster) string {
		var all []string
		for _, f := range []string{"spec/clusterIP", "spec/ports/0/nodePort", "spec/healthCheckNodePort", "spec/ipFamilies"} {
			all = append(all, field(t, m, "service", "net", "web", f))
		}
		return strings.Join(all, " ")
	}
	before := own(paris)
	for c, want := range map[*cluster.Cluster]string{w.Fed: `["IPv6"]`, paris: `["IPv4"]`} {
		if is := field(t, c, "service", "net", "web", "spec/ipFamilies"); is != want {
			t.Errorf("%s: web has addresses of %s, want %s", c.Name, is, want)
		}
	}
	status := func(m *cluster.Cluster, ingress string) {
		patch(t, m, "service", "net", "web", `{"status":{"loadBalancer":{"ingress":`+ingress+`}}}`, "status")
	}
	status(paris, `[{"ip":"192.0.2.1","ipMode":"VIP"},{"ip":"192.0.2.9","ipMode":"VIP"}]`)
	status(tokyo, `[{"ip":"192.0.2.2","ipMode":"VIP"},{"ip":"192.0.2.9","ipMode":"VIP"}]`)
	ip := func(all ...string) string {
		var out []string
		for _, a := range all {
			out = append(out, `{"ip":"`+a+`","ipMode":"VIP"}`)
		}
		return "[" + strings.Join(out, ",") + "]"
	}
	eventually(t, w.Fed, "service", "net", "web", "status/loadBalancer/ingress", ip("192.0.2.1", "192.0.2.9", "192.0.2.2"))
	status(paris, "null")
	eventually(t, w.Fed, "service", "net", "web", "status/loadBalancer/ingress", ip("192.0.2.2", "192.0.2.9"))
	status(tokyo, "null")
	eventually(t, w.Fed, "service", "net", "web", "status/loadBalancer/ingress", "")
	patch(t, w.Fed, "service", "net", "web", `{"spec":{"ports":[{"port":80,"targetPort":8080}]}}`)
	eventually(t, paris, "service", "net", "web", "spec/ports/0/targetPort", "8080")
	if after := own(paris); after != before {
		t.Errorf("the member's own address and ports were %s, and are %s", before, after)
	}
	status(paris, ip("192.0.2.1"))
	eventually(t, w.Fed, "service", "net", "web", "status/loadBalancer/ingress", ip("192.0.2.1"))
	patch(t, w.Fed, "service", "net", "web", `{"spec":{"type":"ExternalName","externalName":"example.net","externalTrafficPolicy":null,"clusterIP":null,"clusterIPs":null}}`)
	for _, m := range w.Members {
		eventually(t, m, "service", "net", "web", "spec/externalName", "example.net")
		w.stands(t, "service", "net", "web", m.Name, workload.Applied)
	}
}

func namesTaken(t *testing.T, w *world) {
	paris, tokyo := w.Members["paris"], w.Members["tokyo"]
	// One of a stranger, one of another federation, and a namespace of a stranger.
	paris.Apply(t, ns("taken")+configMap("taken", "a", "", "theirs"))
	tokyo.Apply(t, ns("taken")+strings.Replace(configMap("taken", "a", "fedns.io/federation: test", "theirs"), "{name: a,", "{name: a, labels: {fedns.io/managed-by: fedsync},", 1))
	rv := field(t, paris, "configmap", "taken", "a", "metadata/resourceVersion")
	w.Fed.Apply(t, ns("taken")+configMap("taken", "a", "", "ours")+configMap("taken", "b", "", "ours"))
	eventually(t, w.Members["oslo"], "configmap", "taken", "a", "data/color", "ours")
	w.stands(t, "configmap", "taken", "a", "paris", workload.NameTaken)
	if s := w.stands(t, "configmap", "taken", "a", "tokyo", workload.NameTaken); !strings.Contains(s.placed.Why, `federation "test"`) {
		t.Errorf("it says %q, want the other federation's name", s.Error)
	}
	w.stands(t, "namespace", "", "taken", "paris", workload.NameTaken)
	eventually(t, paris, "configmap", "taken", "b", "data/color", "ours") // a stranger's namespace is a namespace
	w.says(t, "taken", "a", "NameTaken", "paris")
	if now := field(t, paris, "configmap", "taken", "a", "metadata/resourceVersion"); now != rv {
		t.Error("the stranger's object was written to")
	}
	if c := w.record(t, "configmap", "taken", "a").Conditions; len(c) != 1 || c[0].Status != "False" || c[0].Reason != "NameTaken" {
		t.Errorf("conditions are %+v, want Propagated to be false", c)
	}
	if n := w.events(t, "taken", "a", "NameTaken", "paris"); n != 1 {
		t.Errorf("it was said %d times", n)
	}

	annotate(t, w.Fed, "configmap", "taken", "a", "fedns.io/adopt", "true")
	for _, m := range w.Members {
		eventually(t, m, "configmap", "taken", "a", "data/color", "ours")
		eventually(t, m, "configmap", "taken", "a", `metadata/annotations/fedns.io\/federation`, "prod")
	}
	unions(t, w)
	// The namespace isn't ours in paris and tokyo, and stays with what is in it.
	paris.Apply(t, configMap("taken", "theirs", "", "theirs"))
	remove(t, w.Fed, "namespace", "", "taken")
	gone(t, w.Fed, "namespace", "", "taken")
	gone(t, w.Members["oslo"], "namespace", "", "taken")
	gone(t, paris, "configmap", "taken", "a")
	if field(t, paris, "configmap", "taken", "theirs", "data/color") != "theirs" {
		t.Error("a stranger's object went with the federated namespace")
	}
}

func refusals(t *testing.T, w *world) {
	paris, tokyo := w.Members["paris"], w.Members["tokyo"]
	tokyo.Apply(t, `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-red}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]}
  validations: [{expression: "!has(object.data) || !('color' in object.data) || object.data.color != 'red'", message: no red here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-red}
spec: {policyName: no-red, validationActions: [Deny]}
`)
	server.Eventually(t, within, "the policy is in force", func() bool {
		_, err := api(t, tokyo).Create(t.Context(), kinds["configmap"], object(t, configMap("default", "probe", "", "red")), "somebody")
		if err == nil {
			remove(t, tokyo, "configmap", "default", "probe")
		}
		return err != nil
	})
	w.Fed.Apply(t, ns("strict")+configMap("strict", "a", "", "red")+configMap("strict", "b", "", "blue"))
	eventually(t, paris, "configmap", "strict", "a", "data/color", "red")
	eventually(t, tokyo, "configmap", "strict", "b", "data/color", "blue")
	if s := w.stands(t, "configmap", "strict", "a", "tokyo", workload.Failed); !strings.Contains(s.placed.Why, "no red here") {
		t.Errorf("it says %q, want what the cluster says", s.Error)
	}
	w.says(t, "strict", "a", "Refused", "no red here")
	// Another version is tried at once, whatever became of the last one.
	patch(t, w.Fed, "configmap", "strict", "a", `{"data":{"color":"blue"}}`)
	eventually(t, tokyo, "configmap", "strict", "a", "data/color", "blue")
	w.stands(t, "configmap", "strict", "a", "tokyo", workload.Applied)
	if n := w.events(t, "strict", "a", "Refused", ""); n != 1 {
		t.Errorf("it was said %d times", n)
	}

	// What a cluster can't change: a selector that differs from the adopted one's.
	paris.Apply(t, strings.Replace(deployment("strict", "web", "", 1), "app: web", "app: other", 2))
	w.Fed.Apply(t, deployment("strict", "web", "fedns.io/adopt: 'true'", 3))
	if s := w.stands(t, "deployment", "strict", "web", "paris", workload.Failed); !strings.Contains(s.placed.Why, "immutable") {
		t.Errorf("it says %q, want that the selector is immutable", s.Error)
	}
	w.stands(t, "deployment", "strict", "web", "tokyo", workload.Applied)
	if got := field(t, paris, "deployment", "strict", "web", "spec/selector/matchLabels/app"); got != "other" {
		t.Errorf("the adopted Deployment selects %q", got)
	}
	remove(t, paris, "deployment", "strict", "web")
	w.stands(t, "deployment", "strict", "web", "paris", workload.Applied)

	// A cluster that changes what it is given isn't written to for ever.
	tokyo.Apply(t, `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: paint}
spec:
  reinvocationPolicy: Never
  failurePolicy: Fail
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]}
  matchConditions: [{name: painted, expression: "has(object.data) && 'color' in object.data && object.data.color == 'white'"}]
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{data: {'color': 'grey'}}"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: paint}
spec: {policyName: paint}
`)
	n := 0
	server.Eventually(t, within, "white is painted over", func() bool {
		n++
		name := fmt.Sprint("probe-", n)
		tokyo.Apply(t, configMap("default", name, "", "white"))
		return field(t, tokyo, "configmap", "default", name, "data/color") == "grey"
	})
	w.Fed.Apply(t, configMap("strict", "white", "", "white"))
	w.stands(t, "configmap", "strict", "white", "tokyo", workload.Applied)
	rv := field(t, tokyo, "configmap", "strict", "white", "metadata/resourceVersion")
	patch(t, tokyo, "configmap", "strict", "white", `{"metadata":{"labels":{"theirs":"x"}}}`) // it is seen again
	steps := w.metric(t, "fedsync_steps_total")
	w.Fed.Apply(t, configMap("strict", "after", "", "blue"))
	w.stands(t, "configmap", "strict", "after", "tokyo", workload.Applied)
	if more := w.metric(t, "fedsync_steps_total") - steps; more > 3 {
		t.Errorf("%v steps for one ConfigMap in three clusters (version %s)", more, rv)
	}
}
