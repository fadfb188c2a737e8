// Package workload decides what every cluster is to hold, and what has to be done
// for it to be so.
//
// It asks nobody and does nothing: federated objects, clusters and what is in
// them come in, steps and what to say of them go out. The same input always gives
// the same steps, and the time is an argument.
package workload

import (
	"slices"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// A Sort is a kind of objects that is kept in every cluster.
type Sort struct {
	v1alpha1.Kind
	// Order is when it is written: what others need comes first.
	Order int
	// Scale are the fields of spec that are split over the clusters.
	Scale []string
	// Export says that the clusters' objects get the label that DNS selects by.
	Export bool
	// strip takes away what belongs to one API server and not to the object.
	strip func(spec map[string]any)
	// status puts the statuses of the clusters' objects together; nil: there is
	// nothing to tell. was is what the federated object says now, and all says that
	// every cluster that should have it has it.
	status func(parts []Part, was Object, all bool) map[string]any
	// kept are the fields of a status that status needs.
	kept []string
}

// Kinds are those that are kept in every cluster without being asked for.
func Kinds() []*Sort {
	return []*Sort{
		{Kind: v1alpha1.Kind{Version: "v1", Name: "Namespace", Resource: "namespaces"}, Order: 0, strip: stripNamespace},
		{Kind: v1alpha1.Kind{Version: "v1", Name: "ConfigMap", Resource: "configmaps", Namespaced: true}, Order: 1},
		{Kind: v1alpha1.Kind{Version: "v1", Name: "Secret", Resource: "secrets", Namespaced: true}, Order: 1},
		{
			Kind: v1alpha1.Kind{Version: "v1", Name: "Service", Resource: "services", Namespaced: true}, Order: 2,
			Export: true, strip: stripService, status: balancers, kept: []string{"loadBalancer"},
		},
		{
			Kind: v1alpha1.Kind{Group: "networking.k8s.io", Version: "v1", Name: "Ingress", Resource: "ingresses", Namespaced: true}, Order: 2,
			Export: true, status: balancers, kept: []string{"loadBalancer"},
		},
		{
			Kind: v1alpha1.Kind{Group: "apps", Version: "v1", Name: "Deployment", Resource: "deployments", Namespaced: true}, Order: 3,
			Scale: []string{"replicas"}, status: sums(deploymentCounts...), kept: deploymentCounts,
		},
		{
			Kind: v1alpha1.Kind{Group: "apps", Version: "v1", Name: "ReplicaSet", Resource: "replicasets", Namespaced: true}, Order: 3,
			Scale: []string{"replicas"}, status: sums(replicaSetCounts...), kept: replicaSetCounts,
		},
		{
			Kind: v1alpha1.Kind{Group: "apps", Version: "v1", Name: "DaemonSet", Resource: "daemonsets", Namespaced: true}, Order: 3,
			status: sums(daemonSetCounts...), kept: daemonSetCounts,
		},
		{
			Kind: v1alpha1.Kind{Group: "batch", Version: "v1", Name: "Job", Resource: "jobs", Namespaced: true}, Order: 3,
			Scale: []string{"parallelism", "completions"}, strip: stripJob, status: jobs, kept: jobFields,
		},
		{
			Kind: v1alpha1.Kind{Group: "autoscaling", Version: "v2", Name: "HorizontalPodAutoscaler", Resource: "horizontalpodautoscalers", Namespaced: true}, Order: 4,
			Scale: []string{"minReplicas", "maxReplicas"}, status: sums("currentReplicas", "desiredReplicas"), kept: []string{"currentReplicas", "desiredReplicas"},
		},
	}
}

// Other is a kind that is copied as it is.
func Other(k v1alpha1.Kind) *Sort { return &Sort{Kind: k, Order: 2} }

// workload says whether pods come of objects of this kind, and a count of them is
// split.
func (s *Sort) workload() bool { return slices.Contains(s.Scale, "replicas") }

// A Key names a federated object, and its like in the clusters.
type Key struct {
	*Sort
	Namespace, Name string
}

// String is as kubectl would have it: Deployment shop/web.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind.Name + " " + k.Name
	}
	return k.Kind.Name + " " + k.Namespace + "/" + k.Name
}

// systemNamespaces are each cluster's own.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease", v1alpha1.System}

// own are objects that Kubernetes makes in every cluster by itself.
var own = []struct{ kind, namespace, name string }{
	{"Namespace", "", "default"},
	{"Service", "default", "kubernetes"},
	{"ConfigMap", "", "kube-root-ca.crt"},
	{"CustomResourceDefinition", "", "clusters." + v1alpha1.Group}, // of the federation itself
}

// Federated says whether an object is one to be kept in the clusters: not what
// Kubernetes makes there by itself, nor what something else there makes.
func Federated(k Key, o Object) bool {
	if slices.Contains(systemNamespaces, k.Namespace) || k.Kind.Name == "Namespace" && slices.Contains(systemNamespaces, k.Name) {
		return false
	}
	for _, x := range own {
		if x.kind == k.Kind.Name && x.name == k.Name && (x.namespace == "" || x.namespace == k.Namespace) {
			return false
		}
	}
	if k.Kind.Name == "Secret" && text(o, "type") == "kubernetes.io/service-account-token" {
		return false
	}
	// A Namespace is where others' objects are, whoever made it.
	return k.Kind.Name == "Namespace" || !Owned(o)
}

// Owned says whether a controller made an object out of another one.
func Owned(o Object) bool {
	return slices.ContainsFunc(mapsOf(at(o, "metadata", "ownerReferences")), func(r map[string]any) bool { return r["controller"] == true })
}
