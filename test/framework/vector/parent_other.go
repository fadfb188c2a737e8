//go:build !linux

package vector

import "syscall"

// dieWithParent has nothing to ask for: only Linux can. A test that ends in
// order cleans up all the same.
func dieWithParent() *syscall.SysProcAttr { return nil }
