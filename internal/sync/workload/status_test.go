package workload

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestStatus(t *testing.T) {
	const done = `"conditions":[{"type":"SuccessCriteriaMet","status":"True"},{"type":"Complete","status":"True"}]`
	well := func(at string) string {
		times := `"lastTransitionTime":"` + at + `","lastUpdateTime":"` + at + `"`
		return `"conditions":[{"type":"Progressing","status":"True","reason":"NewReplicaSetAvailable",` + times + `},{"type":"Available","status":"True",` + times + `}]`
	}
	ill := strings.ReplaceAll(strings.Replace(well("2026-01-01T00:00:00Z"), "NewReplicaSetAvailable", "ProgressDeadlineExceeded", 1), `"True"`, `"False"`)
	for _, test := range []struct {
		name, kind, was string
		parts           map[string]string
		all             bool
		want            string
	}{
		{"Deployments add up", "Deployment", `{}`, map[string]string{"a": `{"observedGeneration":1,"replicas":2,"readyReplicas":1}`, "b": `{"observedGeneration":1,"replicas":3}`}, true,
			`{"availableReplicas":0,"observedGeneration":7,"readyReplicas":1,"replicas":5,"unavailableReplicas":0,"updatedReplicas":0}`},
		{"a Deployment is available where it is so everywhere", "Deployment", `{}`, map[string]string{"a": `{"observedGeneration":1,` + well("2026-01-02T00:00:00Z") + `}`, "b": `{"observedGeneration":1,` + well("2026-01-03T00:00:00Z") + `}`}, true,
			`{"availableReplicas":0,"conditions":[{"lastTransitionTime":"2026-01-03T00:00:00Z","lastUpdateTime":"2026-01-03T00:00:00Z","message":"Deployment has minimum availability.","reason":"MinimumReplicasAvailable","status":"True","type":"Available"},` +
				`{"lastTransitionTime":"2026-01-03T00:00:00Z","lastUpdateTime":"2026-01-03T00:00:00Z","message":"Deployment has successfully progressed.","reason":"NewReplicaSetAvailable","status":"True","type":"Progressing"}],"observedGeneration":7,"readyReplicas":0,"replicas":0,"unavailableReplicas":0,"updatedReplicas":0}`},
		{"and isn't where one isn't", "Deployment", `{}`, map[string]string{"a": `{"observedGeneration":1,` + well("2026-01-02T00:00:00Z") + `}`, "b": `{"observedGeneration":1,` + ill + `}`}, true,
			`{"availableReplicas":0,"conditions":[{"lastTransitionTime":"2026-01-01T00:00:00Z","lastUpdateTime":"2026-01-01T00:00:00Z","message":"Deployment does not have minimum availability in b.","reason":"MinimumReplicasUnavailable","status":"False","type":"Available"},` +
				`{"lastTransitionTime":"2026-01-01T00:00:00Z","lastUpdateTime":"2026-01-01T00:00:00Z","message":"Deployment has timed out progressing in b.","reason":"ProgressDeadlineExceeded","status":"False","type":"Progressing"}],"observedGeneration":7,"readyReplicas":0,"replicas":0,"unavailableReplicas":0,"updatedReplicas":0}`},
		{"nor where it isn't yet", "Deployment", `{}`, map[string]string{"a": `{"observedGeneration":1,` + well("2026-01-02T00:00:00Z") + `}`}, false,
			`{"availableReplicas":0,"conditions":[{"lastTransitionTime":"2026-01-02T00:00:00Z","lastUpdateTime":"2026-01-02T00:00:00Z","message":"Deployment is not in all clusters yet.","reason":"MinimumReplicasUnavailable","status":"False","type":"Available"},` +
				`{"lastTransitionTime":"2026-01-02T00:00:00Z","lastUpdateTime":"2026-01-02T00:00:00Z","message":"Deployment is not in all clusters yet.","reason":"ReplicaSetUpdated","status":"True","type":"Progressing"}],"readyReplicas":0,"replicas":0,"unavailableReplicas":0,"updatedReplicas":0}`},
		{"what no controller has said isn't said", "Deployment", `{"conditions":[{"type":"Available","status":"True"}]}`, map[string]string{"a": `{"observedGeneration":1}`}, true,
			`{"availableReplicas":0,"conditions":null,"observedGeneration":7,"readyReplicas":0,"replicas":0,"unavailableReplicas":0,"updatedReplicas":0}`},
		{"one that isn't everywhere isn't observed", "Deployment", `{}`, map[string]string{"a": `{"observedGeneration":1,"replicas":2}`}, false,
			`{"availableReplicas":0,"readyReplicas":0,"replicas":2,"unavailableReplicas":0,"updatedReplicas":0}`},
		{"nor is one that a controller hasn't looked at", "ReplicaSet", `{}`, map[string]string{"a": `{"replicas":2}`}, true,
			`{"availableReplicas":0,"fullyLabeledReplicas":0,"readyReplicas":0,"replicas":2}`},
		{"load balancers are united, in the order of the clusters", "Service", `{}`, map[string]string{"b": `{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"},{"hostname":"h"}]}}`, "a": `{"loadBalancer":{"ingress":[{"ip":"192.0.2.2"},{"ip":"192.0.2.1"}]}}`}, true,
			`{"loadBalancer":{"ingress":[{"ip":"192.0.2.2"},{"ip":"192.0.2.1"},{"hostname":"h"}]}}`},
		{"none is said to be none", "Ingress", `{}`, map[string]string{"a": `{}`}, true, `{"loadBalancer":{"ingress":null}}`},
		{"a Job that runs", "Job", `{}`, map[string]string{"a": `{"active":1,"startTime":"2026-01-02T00:00:00Z"}`, "b": `{"succeeded":2,"startTime":"2026-01-01T00:00:00Z","completionTime":"2026-01-05T00:00:00Z",` + done + `}`}, true,
			`{"active":1,"failed":0,"ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":2,"terminating":0}`},
		{"a Job that is complete", "Job", `{"startTime":"2026-01-03T00:00:00Z"}`, map[string]string{"a": `{"succeeded":1,"startTime":"2026-01-02T00:00:00Z","completionTime":"2026-01-04T00:00:00Z",` + done + `}`, "b": `{"succeeded":2,"startTime":"2026-01-01T00:00:00Z","completionTime":"2026-01-05T00:00:00Z",` + done + `}`}, true,
			`{"active":0,"completionTime":"2026-01-05T00:00:00Z","conditions":[{"status":"True","type":"SuccessCriteriaMet"},{"status":"True","type":"Complete"}],"failed":0,"ready":0,"startTime":"2026-01-03T00:00:00Z","succeeded":3,"terminating":0}`},
		{"but not where it hasn't begun", "Job", `{}`, map[string]string{"a": `{"succeeded":1,"startTime":"2026-01-02T00:00:00Z","completionTime":"2026-01-04T00:00:00Z",` + done + `}`}, false,
			`{"active":0,"failed":0,"ready":0,"startTime":"2026-01-02T00:00:00Z","succeeded":1,"terminating":0}`},
		{"one that failed, while another runs", "Job", `{}`, map[string]string{"a": `{"failed":1,"startTime":"2026-01-02T00:00:00Z","conditions":[{"type":"Failed","status":"True","reason":"X"}]}`, "b": `{"active":1,"startTime":"2026-01-02T00:00:00Z"}`}, true,
			`{"active":1,"conditions":[{"reason":"X","status":"True","type":"FailureTarget"}],"failed":1,"ready":0,"startTime":"2026-01-02T00:00:00Z","succeeded":0,"terminating":0}`},
		{"one that failed", "Job", `{}`, map[string]string{"a": `{"failed":1,"startTime":"2026-01-02T00:00:00Z","conditions":[{"type":"Failed","status":"True","reason":"X"}]}`, "b": `{"succeeded":1,"startTime":"2026-01-02T00:00:00Z","completionTime":"2026-01-05T00:00:00Z",` + done + `}`}, true,
			`{"active":0,"conditions":[{"reason":"X","status":"True","type":"FailureTarget"},{"reason":"X","status":"True","type":"Failed"}],"failed":1,"ready":0,"startTime":"2026-01-02T00:00:00Z","succeeded":1,"terminating":0}`},
		{"counts don't fall with a cluster that leaves", "Job", `{"succeeded":5,"failed":1}`, map[string]string{"a": `{"succeeded":2,"startTime":"2026-01-02T00:00:00Z"}`}, true,
			`{"active":0,"failed":1,"ready":0,"startTime":"2026-01-02T00:00:00Z","succeeded":5,"terminating":0}`},
		{"what has ended stays so", "Job", `{"succeeded":2,` + done + `}`, map[string]string{"a": `{"active":4}`}, true, `{"conditions":[{"status":"True","type":"SuccessCriteriaMet"},{"status":"True","type":"Complete"}],"succeeded":2}`},
		{"a CronJob ran when it last did anywhere", "CronJob", `{"active":[{"name":"x"}]}`, map[string]string{"a": `{"lastScheduleTime":"2026-01-02T00:00:00Z"}`, "b": `{"lastScheduleTime":"2026-01-01T00:00:00Z","lastSuccessfulTime":"2026-01-03T00:00:00Z"}`}, true,
			`{"active":null,"lastScheduleTime":"2026-01-02T00:00:00Z","lastSuccessfulTime":"2026-01-03T00:00:00Z"}`},
		{"a budget adds up", "PodDisruptionBudget", `{}`, map[string]string{"a": `{"observedGeneration":1,"expectedPods":2,"disruptionsAllowed":1}`, "b": `{"observedGeneration":1,"expectedPods":3}`}, true,
			`{"currentHealthy":0,"desiredHealthy":0,"disruptionsAllowed":1,"expectedPods":5,"observedGeneration":7}`},
		{"a claim is as large as the smallest", "PersistentVolumeClaim", `{}`, map[string]string{"a": `{"phase":"Bound","capacity":{"storage":"2Gi"},"accessModes":["ReadWriteOnce"]}`, "b": `{"phase":"Bound","capacity":{"storage":"1024Mi"},"accessModes":["ReadWriteOnce"]}`}, true,
			`{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1024Mi"},"phase":"Bound"}`},
		{"and bound when all are", "PersistentVolumeClaim", `{}`, map[string]string{"a": `{"phase":"Bound","capacity":{"storage":"2Gi"}}`, "b": `{"phase":"Pending"}`}, true, `{"phase":"Pending"}`},
		{"and everywhere", "PersistentVolumeClaim", `{}`, map[string]string{"a": `{"phase":"Bound","capacity":{"storage":"2Gi"}}`}, false, `{"phase":"Pending"}`},
		{"and lost when one is", "PersistentVolumeClaim", `{}`, map[string]string{"a": `{"phase":"Lost"}`, "b": `{"phase":"Pending"}`}, true, `{"phase":"Lost"}`},
		{"quotas add up", "ResourceQuota", `{}`, map[string]string{"a": `{"hard":{"cpu":"1500m","pods":"3"},"used":{"cpu":"1"}}`, "b": `{"hard":{"cpu":"500m","pods":"3"}}`}, true, `{"hard":{"cpu":"2","pods":"6"},"used":{"cpu":"1"}}`},
		{"a route is accepted where it is so everywhere", "HTTPRoute", `{}`, map[string]string{
			"a": `{"parents":[{"controllerName":"x.io/c","parentRef":{"name":"g"},"conditions":[{"type":"Accepted","status":"True","reason":"R","lastTransitionTime":"2026-01-01T00:00:00Z","observedGeneration":3},{"type":"ResolvedRefs","status":"True","reason":"R","lastTransitionTime":"2026-01-01T00:00:00Z"}]}]}`,
			"b": `{"parents":[{"controllerName":"x.io/c","parentRef":{"name":"g"},"conditions":[{"type":"Accepted","status":"True","reason":"R","lastTransitionTime":"2026-01-01T00:00:00Z"},{"type":"ResolvedRefs","status":"False","reason":"R","lastTransitionTime":"2026-01-01T00:00:00Z","message":"no Service"}]},{"controllerName":"x.io/d","parentRef":{"name":"g","group":"","port":80},"conditions":[{"type":"Accepted","status":"True","reason":"R","lastTransitionTime":"2026-01-01T00:00:00Z"}]}]}`,
		}, true, `{"parents":[{"conditions":[{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"","reason":"R","status":"True","type":"Accepted"},{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"in cluster b: no Service","reason":"R","status":"False","type":"ResolvedRefs"}],"controllerName":"x.io/c","parentRef":{"name":"g"}},{"conditions":[{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"","reason":"R","status":"True","type":"Accepted"}],"controllerName":"x.io/d","parentRef":{"group":"","name":"g","port":80}}]}`},
		{"and by nobody where no cluster says so any more", "HTTPRoute", `{"parents":[{"controllerName":"c"}]}`, map[string]string{"a": `{}`}, true, `{"parents":[]}`},
		{"a Job that is nowhere", "Job", `{}`, nil, true, `{"active":0,"failed":0,"ready":0,"succeeded":0,"terminating":0}`},
		{"nothing is told of these", "ConfigMap", `{}`, map[string]string{"a": `{}`}, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var parts []Part
			for c, s := range test.parts {
				parts = append(parts, Part{Cluster: c, Generation: 1, Status: parse(t, s)})
			}
			got := kind(t, test.kind).Status(parts, parse(t, test.was), 7, test.all)
			text := ""
			if got != nil {
				text = jsonOf(got)
			}
			if text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
		})
	}
}

// TestCompare holds Diff to what it says of itself.
func TestCompare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anything(t, 3), anything(t, 3)
		want, have := Object{"x": a}, Object{"x": b}
		if d := Diff(want, want); len(d) != 0 {
			t.Fatalf("something differs from itself: %v", d)
		}
		if d := Compare(want, want); len(d) != 0 {
			t.Fatalf("something differs from itself: %v", d)
		}
		if same := jsonOf(a) == jsonOf(b); same != (len(Compare(have, want)) == 0) && !sorted(a, b) {
			t.Fatalf("%s and %s: %v", jsonOf(a), jsonOf(b), Compare(have, want))
		}
		more, ok := clone(b).(map[string]any)
		if !ok {
			return
		}
		more["added"] = "by others"
		if x, y := Diff(want, have), Diff(want, Object{"x": more}); len(x) == 0 && len(y) != 0 {
			t.Fatalf("what others add is taken for a change: %v", y)
		}
	})
}

// sorted says that the order of named elements may be all that differs.
func sorted(a, b any) bool { return len(jsonOf(a)) == len(jsonOf(b)) }

// anything is a value as JSON has them, without null.
func anything(t *rapid.T, depth int) any {
	n := 3
	if depth > 0 {
		n = 6
	}
	switch rapid.IntRange(0, n-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"a", "b"}).Draw(t, "string")
	case 1:
		return int64(rapid.IntRange(0, 3).Draw(t, "number"))
	case 2:
		return rapid.Bool().Draw(t, "bool")
	case 3:
		out := map[string]any{}
		for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"name", "port", "k"}), 0, 3, rapid.ID[string]).Draw(t, "keys") {
			out[k] = anything(t, depth-1)
		}
		return out
	}
	out := []any{}
	for range rapid.IntRange(0, 3).Draw(t, "length") {
		out = append(out, anything(t, depth-1))
	}
	return out
}
