//go:build !linux

package load

import "testing"

// pin can't be done here.
func pin(t testing.TB, _ int) {
	t.Helper()
	t.Skip("CPUs can be chosen on Linux only")
}
