package workload

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Who installs things waits by rules of their own for what they have installed. Flux and Helm go
// by kstatus, which is asked itself. Argo CD's rules (gitops-engine, pkg/health) are here as
// far as they look at a status.

// A rule is why an object isn't healthy for Argo CD; "": it is.
type rule func(o Object, n func(path ...string) int64) string

func seen(n func(path ...string) int64) bool {
	return n("metadata", "generation") <= n("status", "observedGeneration")
}

var argo = map[string]rule{
	"Deployment": func(o Object, n func(...string) int64) string {
		c := conditionOf(object(o, "status"), "Progressing")
		switch {
		case !seen(n):
			return "Progressing: not observed"
		case c != nil && c["reason"] == "ProgressDeadlineExceeded":
			return "Degraded: deadline"
		case n("status", "updatedReplicas") < n("spec", "replicas"):
			return "Progressing: not updated"
		case n("status", "replicas") > n("status", "updatedReplicas"):
			return "Progressing: old replicas"
		case n("status", "availableReplicas") < n("status", "updatedReplicas"):
			return "Progressing: not available"
		}
		return ""
	},
	"StatefulSet": func(o Object, n func(...string) int64) string {
		switch {
		case n("status", "observedGeneration") == 0 || !seen(n):
			return "Progressing: not observed"
		case n("status", "readyReplicas") < n("spec", "replicas"):
			return "Progressing: not ready"
		case text(o, "status", "updateRevision") != text(o, "status", "currentRevision"):
			return "Progressing: another revision"
		}
		return ""
	},
	"ReplicaSet": func(o Object, n func(...string) int64) string {
		switch {
		case !seen(n):
			return "Progressing: not observed"
		case condition(object(o, "status"), "ReplicaFailure") != nil:
			return "Degraded: " + text(condition(object(o, "status"), "ReplicaFailure"), "message")
		case n("status", "availableReplicas") < n("spec", "replicas"):
			return "Progressing: not available"
		}
		return ""
	},
	"DaemonSet": func(_ Object, n func(...string) int64) string {
		switch {
		case !seen(n):
			return "Progressing: not observed"
		case n("status", "updatedNumberScheduled") < n("status", "desiredNumberScheduled"):
			return "Progressing: not updated"
		case n("status", "numberAvailable") < n("status", "desiredNumberScheduled"):
			return "Progressing: not available"
		}
		return ""
	},
	"Job": func(o Object, _ func(...string) int64) string {
		switch s := object(o, "status"); {
		case condition(s, "Failed") != nil:
			return "Degraded: failed"
		case condition(s, "Complete") == nil:
			return "Progressing"
		}
		return ""
	},
	"HorizontalPodAutoscaler": func(o Object, _ func(...string) int64) string {
		for _, c := range mapsOf(at(o, "status", "conditions")) {
			kind, reason := text(c, "type"), text(c, "reason")
			switch {
			case kind == "AbleToScale" && slices.Contains([]string{"FailedGetScale", "FailedUpdateScale"}, reason),
				kind == "ScalingActive" && slices.Contains([]string{"FailedGetResourceMetric", "InvalidSelector"}, reason):
				return "Degraded: " + text(c, "message")
			case slices.Contains([]string{"AbleToScale", "ScalingLimited"}, kind) && c["status"] == "True":
				return ""
			}
		}
		return "Progressing"
	},
	"Ingress": func(o Object, _ func(...string) int64) string {
		if len(mapsOf(at(o, "status", "loadBalancer", "ingress"))) == 0 {
			return "Progressing"
		}
		return ""
	},
	"Service": func(o Object, _ func(...string) int64) string {
		if text(o, "spec", "type") == "LoadBalancer" && len(mapsOf(at(o, "status", "loadBalancer", "ingress"))) == 0 {
			return "Progressing"
		}
		return ""
	},
}

// TestHealth is what Argo CD, and what Flux and Helm, make of federated objects, by what the
// clusters say of theirs.
func TestHealth(t *testing.T) {
	const (
		times    = `"lastTransitionTime":"2026-01-01T00:00:00Z","lastUpdateTime":"2026-01-01T00:00:00Z"`
		rolled   = `"conditions":[{"type":"Available","status":"True","reason":"MinimumReplicasAvailable",` + times + `},{"type":"Progressing","status":"True","reason":"NewReplicaSetAvailable",` + times + `}]`
		rolling  = `"conditions":[{"type":"Available","status":"True","reason":"MinimumReplicasAvailable",` + times + `},{"type":"Progressing","status":"True","reason":"ReplicaSetUpdated",` + times + `}]`
		expired  = `"conditions":[{"type":"Available","status":"False",` + times + `},{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded",` + times + `}]`
		deployed = `{"observedGeneration":1,"replicas":2,"updatedReplicas":2,"readyReplicas":2,"availableReplicas":2,` + rolled + `}`
		set      = `{"observedGeneration":1,"replicas":4,"readyReplicas":4,"currentReplicas":4,"updatedReplicas":4,"availableReplicas":4,"currentRevision":"x","updateRevision":"x"}`
		replicas = `{"observedGeneration":1,"replicas":2,"fullyLabeledReplicas":2,"readyReplicas":2,"availableReplicas":2}`
		daemons  = `{"observedGeneration":1,"desiredNumberScheduled":2,"currentNumberScheduled":2,"updatedNumberScheduled":2,"numberReady":2,"numberAvailable":2}`
		complete = `{"succeeded":2,"startTime":"2026-01-01T00:00:00Z","completionTime":"2026-01-02T00:00:00Z","conditions":[{"type":"SuccessCriteriaMet","status":"True"},{"type":"Complete","status":"True"}]}`
		scales   = `{"observedGeneration":1,"currentReplicas":2,"desiredReplicas":2,"conditions":[{"type":"AbleToScale","status":"True","reason":"ReadyForNewScale"},{"type":"ScalingActive","status":"True","reason":"ValidMetricFound"},{"type":"ScalingLimited","status":"False","reason":"DesiredWithinRange"}]}`
		balanced = `{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}`
	)
	fourReplicas := `{"replicas":4}`
	for _, tt := range []struct {
		name, kind, spec string
		a, b             string // statuses; "": it isn't there
		argo             string
		kstatus          status.Status
	}{
		{"a Deployment that is well", "Deployment", fourReplicas, deployed, deployed, "", status.CurrentStatus},
		{"one that has none in a cluster", "Deployment", `{"replicas":2}`, deployed, `{"observedGeneration":1,` + rolled + `}`, "", status.CurrentStatus},
		{"one that isn't everywhere yet", "Deployment", fourReplicas, deployed, "", "Progressing: not observed", status.InProgressStatus},
		{"one that rolls", "Deployment", fourReplicas, deployed, `{"observedGeneration":1,"replicas":3,"updatedReplicas":1,"readyReplicas":2,"availableReplicas":2,` + rolling + `}`, "Progressing: not updated", status.InProgressStatus},
		{"one whose new pods aren't available", "Deployment", fourReplicas, deployed, `{"observedGeneration":1,"replicas":2,"updatedReplicas":2,"readyReplicas":1,"availableReplicas":1,` + rolling + `}`, "Progressing: not available", status.InProgressStatus},
		{"one that gets no further", "Deployment", fourReplicas, deployed, `{"observedGeneration":1,"replicas":2,"updatedReplicas":2,` + expired + `}`, "Degraded: deadline", status.FailedStatus},
		{"one that a cluster hasn't looked at", "Deployment", fourReplicas, deployed, `{"observedGeneration":0,` + rolled + `}`, "Progressing: not observed", status.InProgressStatus},
		{"one of which replicas move", "Deployment", fourReplicas, deployed, `{"observedGeneration":1,"replicas":3,"updatedReplicas":3,"readyReplicas":3,"availableReplicas":3,` + rolled + `}`, "", status.InProgressStatus},
		{"a StatefulSet that is well", "StatefulSet", fourReplicas, set, "-", "", status.CurrentStatus},
		{"one that isn't ready", "StatefulSet", fourReplicas, `{"observedGeneration":1,"replicas":4,"readyReplicas":3,"currentReplicas":4,"updatedReplicas":4,"currentRevision":"x","updateRevision":"x"}`, "-", "Progressing: not ready", status.InProgressStatus},
		{"one that rolls, too", "StatefulSet", fourReplicas, `{"observedGeneration":1,"replicas":4,"readyReplicas":4,"currentReplicas":3,"updatedReplicas":1,"currentRevision":"x","updateRevision":"y"}`, "-", "Progressing: another revision", status.InProgressStatus},
		{"a ReplicaSet that is well", "ReplicaSet", fourReplicas, replicas, replicas, "", status.CurrentStatus},
		{"one whose pods are refused", "ReplicaSet", fourReplicas, replicas, `{"observedGeneration":1,"conditions":[{"type":"ReplicaFailure","status":"True","reason":"FailedCreate","message":"quota"}]}`, "Degraded: in b: quota", status.InProgressStatus},
		{"a DaemonSet that is well", "DaemonSet", `{}`, daemons, daemons, "", status.CurrentStatus},
		{"one that has no node in a cluster", "DaemonSet", `{}`, daemons, `{"observedGeneration":1,"desiredNumberScheduled":0,"numberReady":0}`, "", status.CurrentStatus},
		{"one that isn't available", "DaemonSet", `{}`, daemons, `{"observedGeneration":1,"desiredNumberScheduled":1,"currentNumberScheduled":1,"updatedNumberScheduled":1}`, "Progressing: not available", status.InProgressStatus},
		{"a Job that is complete", "Job", `{}`, complete, complete, "", status.CurrentStatus},
		{"one that runs", "Job", `{}`, complete, `{"active":1,"startTime":"2026-01-01T00:00:00Z"}`, "Progressing", status.CurrentStatus}, // which kstatus has of a Job that has begun
		{"one that failed", "Job", `{}`, complete, `{"failed":1,"startTime":"2026-01-01T00:00:00Z","conditions":[{"type":"Failed","status":"True"}]}`, "Degraded: failed", status.FailedStatus},
		{"an autoscaler that is well", "HorizontalPodAutoscaler", `{}`, scales, scales, "", status.CurrentStatus},
		{"one without metrics", "HorizontalPodAutoscaler", `{}`, scales, `{"observedGeneration":1,"conditions":[{"type":"AbleToScale","status":"True"},{"type":"ScalingActive","status":"False","reason":"FailedGetResourceMetric","message":"none"}]}`, "", status.CurrentStatus},
		{"one without a target", "HorizontalPodAutoscaler", `{}`, scales, `{"observedGeneration":1,"conditions":[{"type":"AbleToScale","status":"False","reason":"FailedGetScale","message":"no web"}]}`, "Degraded: in b: no web", status.CurrentStatus},
		{"an Ingress with an address", "Ingress", `{}`, balanced, balanced, "", status.CurrentStatus},
		{"an Ingress without", "Ingress", `{}`, `{}`, `{}`, "Progressing", status.CurrentStatus},
		{"a Service with an address", "Service", `{"type":"LoadBalancer","clusterIP":"10.0.0.1"}`, balanced, `{}`, "", status.CurrentStatus},
		{"a Service without", "Service", `{"type":"LoadBalancer","clusterIP":"10.0.0.1"}`, `{}`, `{}`, "Progressing", status.CurrentStatus},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := kind(t, tt.kind)
			var parts []Part
			all := true
			for name, text := range map[string]string{"a": tt.a, "b": tt.b} {
				switch text {
				case "": // it is to be there
					all = false
				case "-": // it isn't for this one
				default:
					parts = append(parts, Part{Cluster: name, Generation: 1, Status: part(parse(t, text), s.kept)})
				}
			}
			const generation = int64(3)
			o := parse(t, fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"x","namespace":"ns","generation":%d},"spec":%s}`, s.Kind.APIVersion(), tt.kind, generation, tt.spec))
			if tt.kind == "Deployment" {
				put(o, "progressDeadlineSeconds", 600) // as every API server has it
			}
			o["status"] = map[string]any{"observedGeneration": generation - 1} // what it was before
			if s.unseen {
				o["status"] = map[string]any{}
			}
			for f, v := range s.Status(parts, Object{}, generation, all) {
				if v != nil {
					o["status"].(map[string]any)[f] = said(v)
				}
			}
			n := func(path ...string) int64 { n, _ := number(o, path...); return n }
			if got := argo[tt.kind](o, n); got != tt.argo {
				t.Errorf("Argo CD: %q, want %q: %s", got, tt.argo, jsonOf(o["status"]))
			}
			got, err := status.Compute(&unstructured.Unstructured{Object: o})
			if err != nil || got.Status != tt.kstatus {
				t.Errorf("kstatus: %v, %v, want %s: %s", got, err, tt.kstatus, jsonOf(o["status"]))
			}
		})
	}
}
