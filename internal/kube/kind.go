package kube

import (
	"fmt"
	"strings"
)

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
