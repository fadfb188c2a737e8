package table

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fedns/fedns/internal/shard"
)

// Whatever is put in and taken out, in whatever order, the index has what a map has.
func TestSliceIndex(t *testing.T) {
	var x sliceIndex
	want := map[shard.SliceKey]*shard.Slice{}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 40_000 {
		n := r.IntN(1 + i%4000) // it grows and shrinks
		k := shard.SliceKey{Namespace: fmt.Sprint(n % 3), Name: fmt.Sprint(n)}
		if r.IntN(3) > 0 {
			sl := &shard.Slice{Key: k}
			x.set(sl)
			want[k] = sl
		} else {
			x.remove(k)
			delete(want, k)
		}
		if x.size != len(want) || x.get(k) != want[k] {
			t.Fatalf("step %d: %d slices, want %d; %v is %v, want %v", i, x.size, len(want), k, x.get(k), want[k])
		}
		if 4*x.size > 3*len(x.slots) {
			t.Fatalf("step %d: %d slices on %d slots", i, x.size, len(x.slots))
		}
	}
	for k, sl := range want {
		if x.get(k) != sl {
			t.Errorf("%v is %v, want %v", k, x.get(k), sl)
		}
	}
	all := slices.Collect(x.keys())
	if len(all) != len(want) {
		t.Errorf("%d keys, want %d", len(all), len(want))
	}
	for k := range x.keys() { // each is met, though what is taken out moves others
		if want[k] == nil {
			t.Errorf("%v is met twice", k)
		}
		x.remove(k)
		delete(want, k)
	}
	if x.size != 0 || len(want) > 0 || len(x.slots) > 8 {
		t.Errorf("left are %d, on %d slots, and %d that were not met", x.size, len(x.slots), len(want))
	}
}
