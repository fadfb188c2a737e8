package v1alpha1

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A Kind is a kind of objects as an API serves it.
//
// +kubebuilder:object:generate=false
type Kind struct {
	Group, Version, Name string // "apps", "v1", "Deployment"; the core group is ""
	Resource             string // "deployments"
	Namespaced           bool
}

// ParseKind reads a kind as --kind has it: apps/v1/Deployment, or v1/Service. How
// it is served has still to be found out.
func ParseKind(s string) (Kind, error) {
	parts := strings.Split(strings.TrimPrefix(s, "/"), "/")
	if len(parts) == 2 {
		parts = append([]string{""}, parts...)
	}
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return Kind{}, fmt.Errorf("%q is not a kind, such as apps/v1/Deployment or v1/Service", s)
	}
	return Kind{Group: parts[0], Version: parts[1], Name: parts[2]}, nil
}

// String is as --kind has it: group/version/Kind, and version/Kind for the core.
func (k Kind) String() string { return k.APIVersion() + "/" + k.Name }

// APIVersion is what objects of this kind have in apiVersion.
func (k Kind) APIVersion() string {
	if k.Group == "" {
		return k.Version
	}
	return k.Group + "/" + k.Version
}

// New is an object of this kind, with nothing but its name.
func (k Kind) New(namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": k.APIVersion(), "kind": k.Name}}
	if k.Namespaced {
		o.SetNamespace(namespace)
	}
	o.SetName(name)
	return o
}

// Older compares resourceVersions, which are numbers that grow (KEP-5504).
func Older(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return len(a) < len(b) || len(a) == len(b) && a < b
}
