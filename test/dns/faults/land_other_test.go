//go:build !linux

package faults

import "testing"

// cutOff needs network namespaces.
func cutOff(t *testing.T, _ *world) { t.Skip("only Linux has network namespaces") }
