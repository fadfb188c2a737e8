//go:build tools

// Package tools keeps etcd in go.mod; nothing is ever built from the package
// itself.
package tools

import _ "go.etcd.io/etcd/server/v3"
