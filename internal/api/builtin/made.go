package builtin

import "slices"

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
	case "Namespace":
		return name == "default"
	case "Service":
		return namespace == "default" && name == "kubernetes"
	case "ConfigMap":
		return name == "kube-root-ca.crt" // in every namespace
	}
	return false
}

// InUse says whether an object is of those that come into a namespace with its use, and go
// with it: where there is nothing else, it is empty.
func InUse(kind, name string) bool {
	switch kind {
	case "Event", "Endpoints": // Endpoints are a Service's, and don't say so
		return true
	case "ServiceAccount":
		return name == "default"
	}
	return Everywhere(kind, "", name)
}

// TokenType is the type of Secrets that hold a token of a ServiceAccount, which means
// nothing in another cluster.
const TokenType = "kubernetes.io/service-account-token"
