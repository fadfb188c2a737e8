package kube

import (
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// NewRoleBinding makes a RoleBinding by which a service account of the namespace System may do in another what a role
// says.
func NewRoleBinding(namespace, name string, kind Kind, role, account string) *Object {
	o := builtin.RoleBindings.New(namespace, name)
	o.Object["roleRef"] = map[string]any{"apiGroup": kind.Group, "kind": kind.Name, "name": role}
	o.Object["subjects"] = []any{map[string]any{"kind": builtin.ServiceAccounts.Name, "name": account, "namespace": v1alpha1.System}}
	return o
}
