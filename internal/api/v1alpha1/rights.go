package v1alpha1

import "strings"

// What stands in a member has the federation's name in its own, so that several federations
// can share one. That name has no dots, and so none can be mistaken for another's.

// ReaderAccount is the service account of fedns in a member of a federation.
func ReaderAccount(federation string) string { return readerPrefix + federation }

// WriterAccount is that of fedsync, and the name of what gives it rights there: of the
// ClusterRole, and of the RoleBinding in each namespace that it may write in.
func WriterAccount(federation string) string { return WriterPrefix + federation }

const (
	readerPrefix = "fedns-"
	// WriterPrefix is what the names of fedsync's accounts begin with.
	WriterPrefix = "fedsync-"
)

// ObjectsRole is the ClusterRole that those RoleBindings give.
func ObjectsRole(federation string) string { return WriterAccount(federation) + objects }

const objects = ".objects"

// SecretsRole is the ClusterRole that fedsync gives itself in the federated namespaces of the federation's API, where
// it mayn't read all Secrets; the RoleBindings have its name.
const SecretsRole = Group + ":fedsync-secrets"

// WriterOf says whose a ClusterRole of fedsync's is; "": it is none.
func WriterOf(role string) (federation string) {
	name, ok := strings.CutPrefix(strings.TrimSuffix(role, objects), WriterPrefix)
	if !ok || strings.ContainsAny(name, ".:") {
		return ""
	}
	return name
}

// BoundTo is the Secret in System that the tokens of a service account are bound to: when it goes, they
// are worth nothing.
func BoundTo(account string) string { return account + ".tokens" }

// TokenLife is the annotation on a Secret with a member's kubeconfig that says how long its tokens
// last; fedsync renews them. Without it, they stay as they are.
const TokenLife = Group + "/token-life"

// NoSecrets is the annotation on fedsync's ClusterRole in a member that says that it may not have
// Secrets there.
const NoSecrets = Group + "/no-secrets"
