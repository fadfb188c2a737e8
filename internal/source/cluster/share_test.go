package cluster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fedns/fedns/internal/shard"
)

// Objects that say the same of their ports share it, and nobody else's list changes with one of them.
func TestShared(t *testing.T) {
	var lists shared[shard.Port]
	port := func(name string) shard.Port { return shard.Port{Name: name, Proto: "tcp", Number: 80} }
	a, b := lists.of([]shard.Port{port("http")}), lists.of(append(make([]shard.Port, 0, 8), port("http")))
	if &a[0] != &b[0] {
		t.Error("two copies of one list")
	}
	if cap(a) != 1 {
		t.Error("who adds to a list writes into everybody's")
	}
	two := []shard.Port{port("http"), port("metrics")}
	if got := lists.of(two); !slices.Equal(got, two) || len(lists.of(nil)) > 0 {
		t.Errorf("%v, of two; %v of none", got, lists.of(nil))
	}
	for i := range 3 * maxShared {
		if got := lists.of([]shard.Port{port(fmt.Sprint(i))}); got[0].Name != fmt.Sprint(i) {
			t.Fatal(got)
		}
	}
	if len(lists.lists) > maxShared {
		t.Errorf("%d lists are kept", len(lists.lists))
	}
}
