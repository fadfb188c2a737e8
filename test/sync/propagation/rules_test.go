package propagation

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
)

func badInput(t *testing.T, w *world) {
	w.Fed.Apply(t, ns("bad")+deployment("bad", "web", inParisAndTokyo, 4))
	w.shares(t, "bad", "web", "2 2", "paris", "tokyo")
	for _, bad := range []struct{ key, value, text string }{
		{"fedns.io/preferences", `{"clusters":`, "not JSON"},
		{"fedns.io/preferences", `{"clusters":{"*":{"weight":-1}}}`, "weight -1"},
		{"fedns.io/preferences", `{"clusters":{"*":{"minReplicas":"two"}}}`, "string"},
		{"fedns.io/cluster-selector", `[{"key":"name","operator":"near","values":["paris"]}]`, `operator "near"`},
		{"fedns.io/tolerations", `[{"operator":"Sometimes"}]`, `operator "Sometimes"`},
	} {
		before := field(t, w.Fed, "deployment", "bad", "web", `metadata/annotations/`+strings.ReplaceAll(bad.key, "/", `\/`))
		annotate(t, w.Fed, "deployment", "bad", "web", bad.key, bad.value)
		w.says(t, "bad", "web", workload.BadAnnotation, bad.text)
		server.Eventually(t, within, "the condition says so", func() bool {
			c := w.record(t, "deployment", "bad", "web").Conditions
			return len(c) == 1 && c[0].Reason == workload.BadAnnotation
		})
		if got := w.replicas(t, "bad", "web", "paris", "tokyo"); got != "2 2" {
			t.Errorf("%s %s: replicas are %s, want those of the last good plan", bad.key, bad.value, got)
		}
		annotate(t, w.Fed, "deployment", "bad", "web", bad.key, before)
	}
	annotate(t, w.Fed, "deployment", "bad", "web", "fedns.io/preferences", `{"rebalance":true,"clusters":{"pariss":{"weight":1},"paris":{"weight":3},"tokyo":{"weight":1}}}`)
	w.says(t, "bad", "web", "UnknownCluster", "pariss")
	w.shares(t, "bad", "web", "3 1", "paris", "tokyo")

	// A namespace whose selector can't be read takes nothing away.
	annotate(t, w.Fed, "namespace", "", "bad", "fedns.io/cluster-selector", "all of them")
	w.says(t, "default", "bad", workload.BadAnnotation, "not JSON")
	w.Fed.Apply(t, ns("bad-after"))
	for _, m := range w.Members {
		there(t, m, "namespace", "", "bad-after")
		there(t, m, "namespace", "", "bad")
	}
	if get(t, w.Members["paris"], "deployment", "bad", "web") == nil {
		t.Error("a namespace's bad selector took what is in it away")
	}
	annotate(t, w.Fed, "namespace", "", "bad", "fedns.io/cluster-selector", "")
	remove(t, w.Fed, "namespace", "", "bad-after")
}

func places(t *testing.T, w *world) {
	paris, tokyo, oslo := w.Members["paris"], w.Members["tokyo"], w.Members["oslo"]
	w.Fed.Apply(t, ns("place")+configMap("place", "a", "", "blue")+deployment("place", "web", inParisAndTokyo, 6))
	for _, m := range w.Members {
		there(t, m, "configmap", "place", "a")
	}
	w.shares(t, "place", "web", "3 3", "paris", "tokyo")

	t.Run("selector", func(t *testing.T) {
		annotate(t, w.Fed, "configmap", "place", "a", "fedns.io/cluster-selector", `[{"key":"name","operator":"!=","values":["tokyo"]}]`)
		gone(t, tokyo, "configmap", "place", "a")
		there(t, oslo, "configmap", "place", "a")
		annotate(t, w.Fed, "configmap", "place", "a", "fedns.io/cluster-selector", "")
		there(t, tokyo, "configmap", "place", "a")
	})
	t.Run("selector of a namespace", func(t *testing.T) {
		w.Fed.Apply(t, ns("place-two")+configMap("place-two", "a", "", "blue"))
		there(t, tokyo, "configmap", "place-two", "a")
		annotate(t, w.Fed, "namespace", "", "place-two", "fedns.io/cluster-selector", `[{"key":"name","operator":"!=","values":["tokyo"]}]`)
		gone(t, tokyo, "namespace", "", "place-two")
		there(t, oslo, "configmap", "place-two", "a")
		annotate(t, w.Fed, "namespace", "", "place-two", "fedns.io/cluster-selector", "")
		there(t, tokyo, "configmap", "place-two", "a")
	})
	t.Run("taints", func(t *testing.T) {
		// The label is to see that fedsync has seen the taint.
		patch(t, w.Fed, "clusters", "", "oslo", `{"metadata":{"labels":{"full":"yes"}},"spec":{"taints":[{"key":"full","effect":"NoSchedule"}]}}`)
		w.Fed.Apply(t, configMap("place", "seen", `fedns.io/tolerations: '[{"operator":"Exists"}]', fedns.io/cluster-selector: '[{"key":"full","operator":"exists"}]'`, "blue"))
		there(t, oslo, "configmap", "place", "seen")
		w.Fed.Apply(t, configMap("place", "b", "", "blue")+configMap("place", "c", `fedns.io/tolerations: '[{"operator":"Exists"}]'`, "blue"))
		there(t, oslo, "configmap", "place", "c")
		there(t, paris, "configmap", "place", "b")
		w.stands(t, "configmap", "place", "b", "tokyo", workload.Applied)
		if get(t, oslo, "configmap", "place", "b") != nil {
			t.Error("a taint was ignored")
		}
		patch(t, w.Fed, "configmap", "place", "a", `{"data":{"color":"green"}}`)
		eventually(t, oslo, "configmap", "place", "a", "data/color", "green") // what is there stays, and is kept
		patch(t, w.Fed, "clusters", "", "oslo", `{"spec":{"taints":null}}`)
		there(t, oslo, "configmap", "place", "b")
	})
	t.Run("evacuation", func(t *testing.T) {
		at := time.Now().Add(1500 * time.Millisecond).UTC()
		patch(t, w.Fed, "clusters", "", "tokyo", fmt.Sprintf(`{"spec":{"drain":{"reason":"test","evacuateAfter":%q}}}`, at.Format(time.RFC3339)))
		w.shares(t, "place", "web", "6 0", "paris", "tokyo")
		if time.Now().Before(at.Truncate(time.Second)) {
			t.Error("they went before the time")
		}
		there(t, tokyo, "configmap", "place", "a")
		patch(t, w.Fed, "clusters", "", "tokyo", `{"spec":{"drain":null}}`)
		annotate(t, w.Fed, "deployment", "place", "web", "fedns.io/preferences", `{"rebalance":true,"clusters":{"*":{"weight":1}}}`)
		w.shares(t, "place", "web", "3 3", "paris", "tokyo")
	})
	// Three namespaces go; a few at a time, for --max-deletes counts what goes.
	remove(t, w.Fed, "namespace", "", "place-two")
	gone(t, w.Fed, "namespace", "", "place-two")
}

func autoscalers(t *testing.T, w *world) {
	paris, tokyo := w.Members["paris"], w.Members["tokyo"]
	scaler := func(name, target, annotations string, least, most int) string {
		return fmt.Sprintf(`
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: %s, namespace: scale, annotations: {%s}}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %s}
  minReplicas: %d
  maxReplicas: %d
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
`, name, annotations, target, least, most)
	}
	w.Fed.Apply(t, ns("scale")+deployment("scale", "web", inParisAndTokyo, 4)+deployment("scale", "own", inParisAndTokyo, 4))
	w.shares(t, "scale", "web", "2 2", "paris", "tokyo")
	w.shares(t, "scale", "own", "2 2", "paris", "tokyo")
	w.Fed.Apply(t, scaler("web", "web", inParisAndTokyo, 4, 9))
	paris.Apply(t, scaler("theirs", "own", "", 1, 9))
	there(t, paris, "horizontalpodautoscaler", "scale", "web")
	there(t, tokyo, "horizontalpodautoscaler", "scale", "web")
	server.Eventually(t, within, "the ranges add up", func() bool {
		return field(t, paris, "horizontalpodautoscaler", "scale", "web", "spec/minReplicas")+field(t, tokyo, "horizontalpodautoscaler", "scale", "web", "spec/minReplicas") == "22" &&
			slices.Contains([]string{"45", "54"}, field(t, paris, "horizontalpodautoscaler", "scale", "web", "spec/maxReplicas")+field(t, tokyo, "horizontalpodautoscaler", "scale", "web", "spec/maxReplicas"))
	})
	// An autoscaler scales, by the subresource, and fedsync leaves it alone, whatever
	// else it has to write.
	for _, name := range []string{"web", "own"} {
		patch(t, paris, "deployment", "scale", name, `{"spec":{"replicas":5}}`, "scale")
		patch(t, w.Fed, "deployment", "scale", name, `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:2"}]}}}}`)
		eventually(t, paris, "deployment", "scale", name, "spec/template/spec/containers/0/image", "nginx:2")
		w.stands(t, "deployment", "scale", name, "paris", workload.Applied)
		if got := field(t, paris, "deployment", "scale", name, "spec/replicas"); got != "5" {
			t.Errorf("Deployment %s has %s replicas, want what its autoscaler said", name, got)
		}
	}
	// What scales up to one replica scales one, in one cluster, and what has none has no
	// autoscaler.
	w.Fed.Apply(t, deployment("scale", "one", inParisAndTokyo, 6))
	w.shares(t, "scale", "one", "3 3", "paris", "tokyo")
	w.Fed.Apply(t, scaler("one", "one", inParisAndTokyo, 1, 1))
	server.Eventually(t, within, "there is one", func() bool {
		return slices.Contains([]string{"1 0", "0 1"}, w.replicas(t, "scale", "one", "paris", "tokyo"))
	})
	server.Eventually(t, within, "there is one autoscaler", func() bool {
		return field(t, paris, "horizontalpodautoscaler", "scale", "one", "spec/maxReplicas")+field(t, tokyo, "horizontalpodautoscaler", "scale", "one", "spec/maxReplicas") == "1"
	})
	patch(t, w.Fed, "horizontalpodautoscaler", "scale", "one", `{"spec":{"minReplicas":2,"maxReplicas":8}}`)
	w.shares(t, "scale", "one", "1 1", "paris", "tokyo")
	for _, m := range []string{"paris", "tokyo"} {
		eventually(t, w.Members[m], "horizontalpodautoscaler", "scale", "one", "spec/maxReplicas", "4")
	}
	// Without it they are what they were to be.
	remove(t, paris, "horizontalpodautoscaler", "scale", "theirs")
	w.shares(t, "scale", "own", "2 2", "paris", "tokyo")
}

func jobs(t *testing.T, w *world) {
	job := func(name string, completions int, more string) string {
		return fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: %s, namespace: work, annotations: {%s}}
spec:
  parallelism: %[3]d
  completions: %[3]d
  %[4]s
  template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}
---
`, name, inParisAndTokyo, completions, more)
	}
	paris, tokyo := w.Members["paris"], w.Members["tokyo"]
	w.Fed.Apply(t, ns("work")+job("plain", 4, "")+job("short", 3, "ttlSecondsAfterFinished: 0")+job("kept", 2, "ttlSecondsAfterFinished: 3600")+
		job("indexed", 4, "completionMode: Indexed")+job("first", 4, "completionMode: Indexed\n  successPolicy: {rules: [{succeededIndexes: \"0\"}]}"))
	// Each index of one whose pods aren't alike is run once, in one cluster.
	for name, index := range map[string]string{"indexed": "0-3", "first": ""} {
		eventually(t, w.Fed, "job", "work", name, "status/conditions/1/type", "Complete")
		if got := field(t, w.Fed, "job", "work", name, "status/completedIndexes"); index != "" && got != index {
			t.Errorf("%s has done the indexes %q", name, got)
		}
		in := w.record(t, "job", "work", name).Clusters
		if got := field(t, paris, "job", "work", name, "spec/completions") + field(t, tokyo, "job", "work", name, "spec/completions"); got != "4" {
			t.Errorf("%s: completions of 4 are split into %q", name, got)
		}
		if p := w.placed(t, "job", "work", name).Status.Clusters; len(in) != 1 || len(p) != 1 || !strings.Contains(p[0].Why, "whole") {
			t.Errorf("%s stands as %+v, %+v", name, in, p)
		}
	}
	eventually(t, w.Fed, "job", "work", "plain", "status/succeeded", "4")
	eventually(t, w.Fed, "job", "work", "plain", "status/conditions/1/type", "Complete")
	eventually(t, w.Fed, "job", "work", "kept", "status/conditions/1/type", "Complete")
	// No API server without controllers takes one away that has ended; a cluster's does.
	server.Eventually(t, within, "what is kept for no time is gone everywhere", func() bool {
		return get(t, w.Fed, "job", "work", "short") == nil && get(t, paris, "job", "work", "short") == nil && get(t, tokyo, "job", "work", "short") == nil
	})
	if got := field(t, paris, "job", "work", "plain", "spec/completions") + field(t, tokyo, "job", "work", "plain", "spec/completions"); got != "22" {
		t.Errorf("completions of 4 are split into %q", got)
	}
	remove(t, paris, "job", "work", "plain")
	w.stands(t, "job", "work", "plain", "paris", workload.Finished)
	// Not even by a fedsync that has seen nothing of it.
	w.Stop()
	w.Restart(t)
	w.Fed.Apply(t, configMap("work", "after", "", "blue"))
	for _, m := range []string{"paris", "tokyo"} {
		w.stands(t, "configmap", "work", "after", m, workload.Applied)
		if get(t, w.Members[m], "job", "work", "short") != nil {
			t.Errorf("%s: a Job that had ended runs again", m)
		}
		if get(t, w.Members[m], "job", "work", "kept") == nil {
			t.Errorf("%s: what is kept for an hour is gone", m)
		}
	}
	if get(t, w.Fed, "job", "work", "kept") == nil {
		t.Error("what is kept for an hour is gone")
	}
	if get(t, paris, "job", "work", "plain") != nil {
		t.Error("a Job that had ended runs again")
	}
}

func namespaceDeleted(t *testing.T, w *world) {
	paris := w.Members["paris"]
	w.Fed.Apply(t, ns("lost")+configMap("lost", "a", "", "blue")+deployment("lost", "web", inParisAndTokyo, 2))
	w.stands(t, "configmap", "lost", "a", "paris", workload.Applied)
	there(t, paris, "deployment", "lost", "web")
	uid := field(t, paris, "namespace", "", "lost", "metadata/uid")
	remove(t, paris, "namespace", "", "lost")
	server.Eventually(t, within, "it is another one", func() bool {
		now := field(t, paris, "namespace", "", "lost", "metadata/uid")
		return now != "" && now != uid
	})
	there(t, paris, "configmap", "lost", "a")
	there(t, paris, "deployment", "lost", "web")

	// One that doesn't get away is waited for, and nothing is lost by it.
	patch(t, paris, "configmap", "lost", "a", `{"metadata":{"finalizers":["example.com/slow"]}}`)
	remove(t, paris, "namespace", "", "lost")
	w.stands(t, "configmap", "lost", "a", "paris", workload.Deleting)
	w.stands(t, "deployment", "lost", "web", "paris", workload.Pending)
	patch(t, paris, "configmap", "lost", "a", `{"metadata":{"finalizers":null}}`)
	w.stands(t, "configmap", "lost", "a", "paris", workload.Applied)
	w.stands(t, "deployment", "lost", "web", "paris", workload.Applied)
}

func orphans(t *testing.T, w *world) {
	w.Fed.Apply(t, ns("left")+configMap("left", "a", "fedns.io/orphan: 'true'", "blue")+configMap("left", "b", "", "blue"))
	for _, m := range w.Members {
		there(t, m, "configmap", "left", "a")
		there(t, m, "configmap", "left", "b")
	}
	remove(t, w.Fed, "configmap", "left", "a")
	gone(t, w.Fed, "configmap", "left", "a")
	// By kubectl's own word, what depends on it included; and what goes in the foreground,
	// goes.
	w.Fed.Apply(t, configMap("left", "c", "", "blue")+configMap("left", "d", "", "blue"))
	for _, m := range w.Members {
		there(t, m, "configmap", "left", "c")
		there(t, m, "configmap", "left", "d")
	}
	patch(t, w.Fed, "configmap", "left", "b", fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"c","uid":%q}]}}`, field(t, w.Fed, "configmap", "left", "c", "metadata/uid")))
	for name, cascade := range map[string]metav1.DeletionPropagation{"c": metav1.DeletePropagationOrphan, "d": metav1.DeletePropagationForeground} {
		if err := w.Fed.Client.CoreV1().ConfigMaps("left").Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &cascade}); err != nil {
			t.Fatal(err)
		}
		gone(t, w.Fed, "configmap", "left", name)
	}
	eventually(t, w.Fed, "configmap", "left", "b", "metadata/ownerReferences", "")
	for _, m := range w.Members {
		gone(t, m, "configmap", "left", "d")
	}
	annotate(t, w.Fed, "namespace", "", "left", "fedns.io/orphan", "true")
	remove(t, w.Fed, "namespace", "", "left")
	gone(t, w.Fed, "namespace", "", "left")
	for _, m := range w.Members {
		for _, name := range []string{"a", "b", "c"} {
			if got := field(t, m, "configmap", "left", name, "data/color"); got != "blue" {
				t.Errorf("%s: what was to be left is %q", m.Name, got)
			}
			if got := field(t, m, "configmap", "left", name, `metadata/labels/fedns.io\/managed-by`); got != "" {
				t.Errorf("%s: it still says that it is managed", m.Name)
			}
		}
	}
}

func tooMany(t *testing.T, w *world) {
	text := ns("many")
	for i := range maxDeletes + 3 {
		text += configMap("many", fmt.Sprint("m-", i), "", "blue")
	}
	w.Fed.Apply(t, text)
	for _, m := range w.Members {
		server.Eventually(t, within, "all are there", func() bool { return len(ours(t, m, "configmap", "many")) == maxDeletes+3 })
	}
	for i := range maxDeletes + 3 {
		remove(t, w.Fed, "configmap", "many", fmt.Sprint("m-", i))
	}
	waiting := func() string {
		return field(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting", "data/paris")
	}
	server.Eventually(t, within, "they wait", func() bool { return strings.Count(waiting(), "\n") == maxDeletes+3 })
	w.stands(t, "configmap", "many", "m-0", "paris", workload.Waiting)
	if n := len(ours(t, w.Members["paris"], "configmap", "many")); n != maxDeletes+3 {
		t.Errorf("%d are left, want all", n)
	}
	// A list that is deleted by hand is written anew; another digest confirms nothing.
	remove(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting")
	server.Eventually(t, within, "they still wait", func() bool { return strings.Count(waiting(), "\n") == maxDeletes+3 })
	annotate(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting", "fedns.io/confirmed", "another")
	// The next fedsync asks again, and for the same.
	w.Stop()
	w.Restart(t)
	server.Eventually(t, within, "they still wait", func() bool { return w.metric(t, "fedsync_waiting_deletions") == float64(3*(maxDeletes+3)) })
	if n := len(ours(t, w.Members["paris"], "configmap", "many")); n != maxDeletes+3 {
		t.Errorf("%d are left, want all", n)
	}
	w.confirm(t)
	for _, m := range w.Members {
		server.Eventually(t, within, "they are gone", func() bool { return len(ours(t, m, "configmap", "many")) == 0 })
	}
	gone(t, w.Fed, "configmap", "many", "m-0")
}

// otherKinds begins with a kind that isn't served anywhere: not even by the
// federation's API, when fedsync began.
func otherKinds(t *testing.T, w *world) {
	paris, tokyo, oslo := w.Members["paris"], w.Members["tokyo"], w.Members["oslo"]
	for _, c := range []*cluster.Cluster{w.Fed, paris, oslo} {
		c.Apply(t, federation.Gadgets)
	}
	server.Eventually(t, within, "gadgets are served", func() bool {
		_, err := api(t, w.Fed).List(t.Context(), kinds["gadget"], "", "")
		return err == nil
	})
	w.Stop()
	w.Restart(t) // rather than wait for a minute
	w.Fed.Apply(t, ns("other")+"apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g, namespace: other}\nspec: {size: 3, parts: [a, b]}\n")
	eventually(t, paris, "gadget", "other", "g", "spec/size", "3")
	w.stands(t, "gadget", "other", "g", "paris", workload.Applied)
	w.stands(t, "gadget", "other", "g", "tokyo", workload.NotServed)
	tokyo.Apply(t, federation.Gadgets)
	eventually(t, tokyo, "gadget", "other", "g", "spec/size", "3")
	patch(t, tokyo, "gadget", "other", "g", `{"spec":{"size":4}}`)
	eventually(t, tokyo, "gadget", "other", "g", "spec/size", "3")
	// Its definition goes again, and with it the objects.
	crd := builtin.Definitions
	if err := api(t, oslo).Delete(t.Context(), crd, "", "gadgets.example.com", ""); err != nil {
		t.Fatal(err)
	}
	w.stands(t, "gadget", "other", "g", "oslo", workload.NotServed)
	oslo.Apply(t, federation.Gadgets)
	eventually(t, oslo, "gadget", "other", "g", "spec/size", "3")
	remove(t, w.Fed, "gadget", "other", "g")
	for _, c := range []*cluster.Cluster{w.Fed, paris, tokyo, oslo} {
		gone(t, c, "gadget", "other", "g")
	}
}

func rights(t *testing.T, w *world) {
	oslo := w.Members["oslo"]
	t.Run("a kind that may not be listed", func(t *testing.T) {
		oslo.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: fedsync}
rules:
- {apiGroups: [""], resources: [namespaces, services, configmaps, nodes], verbs: ["*"]}
- {apiGroups: [apps, batch, autoscaling, networking.k8s.io, example.com], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: fedsync}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: fedsync}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: fedns}]
`)
		config, err := os.ReadFile(oslo.ReadOnly(t))
		if err != nil {
			t.Fatal(err)
		}
		w.credentials(t, "oslo", string(config))
		w.Fed.Apply(t, ns("few")+configMap("few", "a", "", "blue")+"apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: few, annotations: {fedns.io/cluster-selector: \"[]\"}}\nstringData: {a: b}\n")
		there(t, oslo, "configmap", "few", "a")
		there(t, w.Members["paris"], "secret", "few", "s")
		if s := w.stands(t, "secret", "few", "s", "oslo", workload.Failed); !strings.Contains(s.placed.Why, "forbidden") {
			t.Errorf("it says %q, want that it is forbidden", s.Error)
		}
	})
	t.Run("credentials that aren't any", func(t *testing.T) {
		w.credentials(t, "oslo", "nonsense")
		w.Fed.Apply(t, configMap("few", "b", "", "blue"))
		there(t, oslo, "configmap", "few", "b") // it goes on with those it has
		w.Stop()
		w.Restart(t)
		eventually(t, w.Fed, "clusters", "", "oslo", "status/conditions/0/reason", "NoCredentials")
		w.Fed.Apply(t, configMap("few", "c", "", "blue"))
		there(t, w.Members["paris"], "configmap", "few", "c")
		w.stands(t, "configmap", "few", "a", "oslo", workload.Unreachable)
		remove(t, w.Fed, "secret", v1alpha1.System, "oslo-fedsync")
	})
	t.Run("good ones", func(t *testing.T) {
		w.Join(t, oslo, "")
		there(t, oslo, "configmap", "few", "c")
		there(t, oslo, "secret", "few", "s")
		eventually(t, w.Fed, "clusters", "", "oslo", "status/conditions/0/status", "True")
	})
	t.Run("a cluster that is joined twice", func(t *testing.T) {
		config, err := os.ReadFile(oslo.Kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		w.Fed.Apply(t, "apiVersion: fedns.io/v1alpha1\nkind: Cluster\nmetadata: {name: zwilling}\nspec: {secretRef: {name: zwilling}}\n")
		w.credentials(t, "zwilling", string(config))
		eventually(t, w.Fed, "clusters", "", "zwilling", "status/conditions/0/reason", "Twin")
		remove(t, w.Fed, "clusters", "", "zwilling")
	})
	t.Run("a cluster that leaves and comes back", func(t *testing.T) {
		remove(t, w.Fed, "clusters", "", "oslo")
		server.Eventually(t, within, "its metrics are gone", func() bool {
			return w.metric(t, `fedsync_cluster_reachable{cluster="oslo"}`) == 0 && !strings.Contains(w.scrape(t), `cluster="oslo"`)
		})
		patch(t, oslo, "configmap", "few", "a", `{"data":{"color":"red"}}`)
		w.Fed.Apply(t, configMap("few", "d", "", "blue"))
		w.stands(t, "configmap", "few", "d", "paris", workload.Applied)
		if field(t, oslo, "configmap", "few", "a", "data/color") != "red" || get(t, oslo, "configmap", "few", "d") != nil {
			t.Error("a cluster that had left was written to")
		}
		w.Join(t, oslo, "")
		eventually(t, oslo, "configmap", "few", "a", "data/color", "blue")
		there(t, oslo, "configmap", "few", "d")
	})
}

// room is looked at in the end: that pods find no room is believed after a minute.
func room(t *testing.T, w *world) {
	// A node of 32 cores has room for four pods that want eight; half of the twelve
	// were asked for in each.
	w.Members["tokyo"].AddNode(t, "n2", "ap", "ap-b")
	w.Members["tokyo"].AddNode(t, "n3", "ap", "ap-b")
	server.Eventually(t, 2*time.Minute, "tokyo, which has room, gets what has none in paris", func() bool {
		return w.replicas(t, "narrow", "wide", "paris", "tokyo") == "4 8"
	})
}

// rest is that nothing is written where nothing is to be done.
func rest(t *testing.T, w *world) {
	versions := func() string {
		var all []string
		for _, c := range []*cluster.Cluster{w.Fed, w.Members["paris"], w.Members["tokyo"], w.Members["oslo"]} {
			for _, s := range workload.Kinds() {
				for _, o := range list(t, c, strings.ToLower(s.Kind.Name), "") {
					all = append(all, c.Name+" "+s.Kind.Name+" "+o.GetNamespace()+"/"+o.GetName()+" "+o.GetResourceVersion())
				}
			}
			if c == w.Fed {
				for _, o := range list(t, c, "clusters", "") {
					all = append(all, "Cluster "+o.GetName()+" "+o.GetResourceVersion())
				}
			}
		}
		return strings.Join(all, "\n")
	}
	// What a cluster refuses is tried again, once a minute.
	steps := func() float64 {
		n := w.metric(t, "fedsync_steps_total")
		for c := range w.Members {
			n -= w.metric(t, fmt.Sprintf(`fedsync_steps_total{cluster=%q,outcome="refused"`, c))
		}
		return n
	}
	gone(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting") // what the last fedsync had to ask
	var before string
	done := -1.0
	server.Eventually(t, 2*time.Minute, "nothing happens for two seconds", func() bool {
		now, n := versions(), steps()
		quiet := now == before && n == done
		if before, done = now, n; !quiet {
			time.Sleep(2 * time.Second) // that is the rest
		}
		return quiet
	})
	const long = 5 * time.Second
	end := time.Now().Add(long)
	server.Eventually(t, 2*long, "the time is over", func() bool { return time.Now().After(end) })
	if after := versions(); after != before {
		t.Errorf("something was written in %v of rest:\n%s", long, changed(before, after))
	}
	if n := steps() - done; n != 0 {
		t.Errorf("%v steps in %v of rest", n, long)
	}
	if n := w.metric(t, `fedsync_objects{cluster="paris",kind="ConfigMap",state="Applied"}`); n < 5 {
		t.Errorf("the metrics count %v ConfigMaps in paris", n)
	}
	cpu := w.metric(t, "process_cpu_seconds_total")
	end = time.Now().Add(long)
	server.Eventually(t, 2*long, "the time is over", func() bool { return time.Now().After(end) })
	t.Logf("at rest: %.1f%% of a core, %.0f MB", 100*(w.metric(t, "process_cpu_seconds_total")-cpu)/long.Seconds(), w.metric(t, "process_resident_memory_bytes")/1e6)
}

func changed(before, after string) string {
	var out []string
	for line := range strings.Lines(after) {
		if !strings.Contains(before, line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// ours are the names of the objects of fedsync.
func ours(t testing.TB, c *cluster.Cluster, kind, ns string) (names []string) {
	t.Helper()
	all, err := api(t, c).List(t.Context(), kinds[kind], ns, v1alpha1.ManagedBy+"="+v1alpha1.Fedsync)
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	for _, o := range all {
		names = append(names, o.GetNamespace()+"/"+o.GetName())
	}
	return names
}

// confirm does what fedctl confirm does.
func (w *world) confirm(t testing.TB) {
	t.Helper()
	digest := `metadata/annotations/fedns.io\/digest`
	there(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting")
	annotate(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting", "fedns.io/confirmed", field(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting", digest))
}

// credentials writes the kubeconfig of a cluster.
func (w *world) credentials(t testing.TB, cluster, kubeconfig string) {
	t.Helper()
	text, err := json.Marshal(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w.Fed.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s-fedsync, namespace: %s}\nstringData: {kubeconfig: %s}\n", cluster, v1alpha1.System, text))
}

// union is a Deployment with two halves of unions: of its strategy, and of its volume.
func union(ns, annotations, strategy, volume string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: union, namespace: %s, annotations: {%s}}
spec:
  replicas: 1
  strategy: %s
  selector: {matchLabels: {app: union}}
  template:
    metadata: {labels: {app: union}}
    spec: {containers: [{name: web, image: "nginx:1"}], volumes: [{name: v, %s}]}
---
`, ns, annotations, strategy, volume)
}

// unions takes over what can't be merged with ours: whole, in one write, and so that it
// is ours from then on.
func unions(t *testing.T, w *world) {
	paris := w.Members["paris"]
	const inParis = `fedns.io/cluster-selector: '[{"key":"name","operator":"in","values":["paris"]}]'`
	paris.Apply(t, union("taken", "theirs: kept", `{type: RollingUpdate, rollingUpdate: {maxSurge: 2, maxUnavailable: 1}}`, `emptyDir: {medium: Memory}`))
	w.Fed.Apply(t, union("taken", inParis, `{type: Recreate}`, `configMap: {name: b}`))
	w.stands(t, "deployment", "taken", "union", "paris", workload.NameTaken)
	before := field(t, paris, "deployment", "taken", "union", "metadata/generation")
	annotate(t, w.Fed, "deployment", "taken", "union", "fedns.io/adopt", "true")
	w.stands(t, "deployment", "taken", "union", "paris", workload.Applied)
	for path, want := range map[string]string{
		"spec/strategy": `{"type":"Recreate"}`, "spec/template/spec/volumes/0/configMap/name": "b", "spec/template/spec/volumes/0/emptyDir": "",
		"metadata/annotations/theirs": "kept", "spec/template/spec/containers/0/image": "nginx:1",
	} {
		if got := field(t, paris, "deployment", "taken", "union", path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if now := field(t, paris, "deployment", "taken", "union", "metadata/generation"); before != "1" || now != "2" {
		t.Errorf("it was generation %s, and is %s, want it to be one write", before, now)
	}
	// It is noted as applied by a second write, behind the one that counts.
	server.Eventually(t, within, "all of it is applied", func() bool {
		for _, m := range get(t, paris, "deployment", "taken", "union").GetManagedFields() {
			if m.Manager == "fedsync" && m.Operation == "Update" {
				return false
			}
		}
		return true
	})
	// Broken off between the two, it is noted with the next write: what is ours and no longer wanted goes.
	if _, err := paris.Client.AppsV1().Deployments("taken").Patch(t.Context(), "union", types.MergePatchType, []byte(`{"spec":{"minReadySeconds":7}}`), metav1.PatchOptions{FieldManager: v1alpha1.Fedsync}); err != nil {
		t.Fatal(err)
	}
	patch(t, w.Fed, "deployment", "taken", "union", `{"spec":{"revisionHistoryLimit":3}}`)
	eventually(t, paris, "deployment", "taken", "union", "spec/revisionHistoryLimit", "3")
	eventually(t, paris, "deployment", "taken", "union", "spec/minReadySeconds", "")
	// Ours, too, may change from one half to the other, with what the API server has filled in.
	w.Fed.Apply(t, union("taken", inParis, `{type: RollingUpdate}`, `emptyDir: {}`))
	eventually(t, paris, "deployment", "taken", "union", "spec/strategy/type", "RollingUpdate")
	eventually(t, paris, "deployment", "taken", "union", "spec/template/spec/volumes/0/configMap", "")
	patch(t, w.Fed, "deployment", "taken", "union", `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null},"template":{"spec":{"volumes":[{"name":"v","configMap":{"name":"b"}}]}}}}`)
	eventually(t, paris, "deployment", "taken", "union", "spec/strategy", `{"type":"Recreate"}`)
	eventually(t, paris, "deployment", "taken", "union", "spec/template/spec/volumes/0/emptyDir", "")
	w.stands(t, "deployment", "taken", "union", "paris", workload.Applied)
}
