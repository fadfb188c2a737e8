package fedapi

import (
	"fmt"
	"strings"
)

// A Kind is a kind of objects as an API serves it.
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
