// Package builtin names what Kubernetes brings with it: kinds that every API of these
// years serves in the same way, so that nobody has to ask how, and objects that each
// cluster makes by itself.
package builtin

import (
	"slices"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// A Kind is one as an API serves it.
type Kind = v1alpha1.Kind

// The kinds.
var (
	Namespaces          = Kind{Version: "v1", Name: "Namespace", Resource: "namespaces"}
	Services            = Kind{Version: "v1", Name: "Service", Resource: "services", Namespaced: true}
	Secrets             = Kind{Version: "v1", Name: "Secret", Resource: "secrets", Namespaced: true}
	ConfigMaps          = Kind{Version: "v1", Name: "ConfigMap", Resource: "configmaps", Namespaced: true}
	ServiceAccounts     = Kind{Version: "v1", Name: "ServiceAccount", Resource: "serviceaccounts", Namespaced: true}
	Nodes               = Kind{Version: "v1", Name: "Node", Resource: "nodes"}
	Events              = Kind{Version: "v1", Name: "Event", Resource: "events", Namespaced: true}
	Pods                = Kind{Version: "v1", Name: "Pod", Resource: "pods", Namespaced: true}
	VolumeClaims        = Kind{Version: "v1", Name: "PersistentVolumeClaim", Resource: "persistentvolumeclaims", Namespaced: true}
	Deployments         = Kind{Group: "apps", Version: "v1", Name: "Deployment", Resource: "deployments", Namespaced: true}
	StatefulSets        = Kind{Group: "apps", Version: "v1", Name: "StatefulSet", Resource: "statefulsets", Namespaced: true}
	ReplicaSets         = Kind{Group: "apps", Version: "v1", Name: "ReplicaSet", Resource: "replicasets", Namespaced: true}
	DaemonSets          = Kind{Group: "apps", Version: "v1", Name: "DaemonSet", Resource: "daemonsets", Namespaced: true}
	CronJobs            = Kind{Group: "batch", Version: "v1", Name: "CronJob", Resource: "cronjobs", Namespaced: true}
	Quotas              = Kind{Version: "v1", Name: "ResourceQuota", Resource: "resourcequotas", Namespaced: true}
	Limits              = Kind{Version: "v1", Name: "LimitRange", Resource: "limitranges", Namespaced: true}
	Jobs                = Kind{Group: "batch", Version: "v1", Name: "Job", Resource: "jobs", Namespaced: true}
	Autoscalers         = Kind{Group: "autoscaling", Version: "v2", Name: "HorizontalPodAutoscaler", Resource: "horizontalpodautoscalers", Namespaced: true}
	EndpointSlices      = Kind{Group: "discovery.k8s.io", Version: "v1", Name: "EndpointSlice", Resource: "endpointslices", Namespaced: true}
	Budgets             = Kind{Group: "policy", Version: "v1", Name: "PodDisruptionBudget", Resource: "poddisruptionbudgets", Namespaced: true}
	Ingresses           = Kind{Group: "networking.k8s.io", Version: "v1", Name: "Ingress", Resource: "ingresses", Namespaced: true}
	Roles               = Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Name: "Role", Resource: "roles", Namespaced: true}
	RoleBindings        = Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Name: "RoleBinding", Resource: "rolebindings", Namespaced: true}
	ClusterRoles        = Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Name: "ClusterRole", Resource: "clusterroles"}
	ClusterRoleBindings = Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Name: "ClusterRoleBinding", Resource: "clusterrolebindings"}
	Policies            = Kind{Group: "admissionregistration.k8s.io", Version: "v1", Name: "ValidatingAdmissionPolicy", Resource: "validatingadmissionpolicies"}
	PolicyBindings      = Kind{Group: "admissionregistration.k8s.io", Version: "v1", Name: "ValidatingAdmissionPolicyBinding", Resource: "validatingadmissionpolicybindings"}
	NetworkPolicies     = Kind{Group: "networking.k8s.io", Version: "v1", Name: "NetworkPolicy", Resource: "networkpolicies", Namespaced: true}
	Leases              = Kind{Group: "coordination.k8s.io", Version: "v1", Name: "Lease", Resource: "leases", Namespaced: true}
	Definitions         = Kind{Group: "apiextensions.k8s.io", Version: "v1", Name: "CustomResourceDefinition", Resource: "customresourcedefinitions"}
)

// all are those that Find finds.
var all = []Kind{
	Namespaces, Services, Secrets, ConfigMaps, ServiceAccounts, Pods, VolumeClaims, Deployments, StatefulSets, ReplicaSets,
	DaemonSets, Jobs, Autoscalers, Ingresses, Roles, RoleBindings, ClusterRoles, ClusterRoleBindings, Definitions, Policies, PolicyBindings, NetworkPolicies, Budgets,
}

// Find gives the kind of an object by what it says of itself, if it is one of those that need
// no asking.
func Find(apiVersion, name string) (k Kind, ok bool) {
	for _, k := range all {
		if k.APIVersion() == apiVersion && k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// native are the groups that API servers of Kubernetes serve themselves, by types of their
// own; those of definitions are others.
var native = []string{
	"", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "authentication.k8s.io", "authorization.k8s.io", "autoscaling",
	"batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io",
	"networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
}

// Native says whether API servers serve a group of kinds by themselves.
func Native(group string) bool { return slices.Contains(native, group) }
