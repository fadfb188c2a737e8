package builtin

import (
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// What Kubernetes makes by itself stands here once. It isn't copied to other clusters, and
// keeps nobody from taking a namespace away.

// SystemNamespaces are each cluster's own, with all that is in them.
var SystemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// Identity is the namespace by whose UID clusters are told apart.
const Identity = "kube-system"

// Permanent says whether an API server doesn't let a namespace go.
func Permanent(namespace string) bool {
	return namespace == "default" || slices.Contains(SystemNamespaces, namespace)
}

// Everywhere says whether every cluster has an object of that kind and name by itself, or
// every namespace in it, and makes it again when it is gone.
func Everywhere(kind, namespace, name string) bool {
	switch kind {
	case Namespaces.Name:
		return name == "default"
	case Services.Name:
		return namespace == "default" && name == "kubernetes"
	case ConfigMaps.Name:
		return name == "kube-root-ca.crt" // in every namespace
	case "ServiceCIDR":
		return name == "kubernetes"
	case "PriorityClass":
		return strings.HasPrefix(name, "system-") // which nobody else may use
	case Definitions.Name, "APIService":
		return strings.HasSuffix(name, "."+v1alpha1.Group) // what the federation itself goes by
	}
	return false
}

// made are labels and annotations of what an API server, a controller of Kubernetes, an
// add-on manager or fedctl has made, and makes again; "" is any value.
var made = map[string]string{
	"kubernetes.io/bootstrapping":               "", // roles and bindings
	"addonmanager.kubernetes.io/mode":           "", // what a distribution brings
	"kubernetes.io/cluster-service":             "", // what older ones bring
	"kube-aggregator.kubernetes.io/automanaged": "", // APIServices of what the API server serves
	"apf.kubernetes.io/autoupdate-spec":         "", // flows and priorities
	"ipaddress.kubernetes.io/managed-by":        "", // addresses that were given out
	"app.kubernetes.io/managed-by":              "fedctl",
}

// reserved are what names of roles begin with that are Kubernetes's, or ours.
var reserved = []string{"system:", v1alpha1.Group + ":"}

// Made says whether an object isn't for other clusters: each has its own, by itself or by
// fedctl, and another's would be in the way.
func Made(kind, namespace, name string, labels, annotations map[string]string) bool {
	if Everywhere(kind, namespace, name) || InUse(kind, name) || slices.ContainsFunc(reserved, func(p string) bool { return strings.HasPrefix(name, p) }) {
		return true
	}
	for key, want := range made {
		for _, have := range []map[string]string{labels, annotations} {
			if v, ok := have[key]; ok && (want == "" || v == want) {
				return true
			}
		}
	}
	return false
}

// InUse says whether an object is of those that come into a namespace with its use, and go
// with it: where there is nothing else, it is empty.
func InUse(kind, name string) bool {
	switch kind {
	case Events.Name, "Endpoints": // Endpoints are a Service's, and don't say so
		return true
	case ServiceAccounts.Name:
		return name == "default"
	}
	return Everywhere(kind, "", name)
}

// TokenType is the type of Secrets that hold a token of a ServiceAccount, which means
// nothing in another cluster.
const TokenType = "kubernetes.io/service-account-token"
