//go:build tools

// Package tools keeps kwok in go.mod; nothing is ever built from the package
// itself.
package tools

import _ "sigs.k8s.io/kwok/cmd/kwok"
