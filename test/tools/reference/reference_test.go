package main

import (
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// The manual's reference has all that the code has.
func TestFresh(t *testing.T) {
	if err := run(vector.Root(), true); err != nil {
		t.Error(err)
	}
}
