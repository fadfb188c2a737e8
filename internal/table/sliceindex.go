package table

import (
	"iter"
	"slices"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// A sliceIndex finds the slices of a member by their keys. There are as many as shards, and a map would hold each key once more:
// this holds pointers, and reads the keys where they stand. It is a hash table with linear probing.
type sliceIndex struct {
	slots []*shard.Slice // a power of two, at most three quarters of them taken
	size  int
}

// slot is where a key stands, or would.
func (x *sliceIndex) slot(k shard.SliceKey) int {
	mask := len(x.slots) - 1
	for i := x.home(k); ; i = (i + 1) & mask {
		if sl := x.slots[i]; sl == nil || sl.Key == k {
			return i
		}
	}
}

// home is where a key would stand if nothing else were there: no member can choose names that share a slot.
func (x *sliceIndex) home(k shard.SliceKey) int {
	return int(snapshot.Hash(k.Namespace, k.Name)) & (len(x.slots) - 1)
}

func (x *sliceIndex) get(k shard.SliceKey) *shard.Slice {
	if x.size == 0 {
		return nil
	}
	return x.slots[x.slot(k)]
}

// set puts a slice in, in the place of the one of its key.
func (x *sliceIndex) set(sl *shard.Slice) {
	if 4*(x.size+1) > 3*len(x.slots) {
		old := x.slots
		x.slots = make([]*shard.Slice, max(8, 2*len(old)))
		for _, o := range old {
			if o != nil {
				x.slots[x.slot(o.Key)] = o
			}
		}
	}
	i := x.slot(sl.Key)
	if x.slots[i] == nil {
		x.size++
	}
	x.slots[i] = sl
}

// remove takes a key out, and closes the gap: what was put behind it because it was there is found no more otherwise.
func (x *sliceIndex) remove(k shard.SliceKey) {
	if x.get(k) == nil {
		return
	}
	x.size--
	gap, mask := x.slot(k), len(x.slots)-1
	for i := (gap + 1) & mask; x.slots[i] != nil; i = (i + 1) & mask {
		// What is at home between the gap and where it stands can stay.
		if home := x.home(x.slots[i].Key); (i-home)&mask >= (i-gap)&mask {
			x.slots[gap], gap = x.slots[i], i
		}
	}
	x.slots[gap] = nil
	if 8*x.size < len(x.slots) { // what was there once isn't paid for ever
		old := x.slots
		x.slots, x.size = nil, 0
		for _, o := range old {
			if o != nil {
				x.set(o)
			}
		}
	}
}

// keys lists the keys that are there now, in no order, whatever is taken out meanwhile.
func (x *sliceIndex) keys() iter.Seq[shard.SliceKey] {
	return func(yield func(shard.SliceKey) bool) {
		for _, sl := range slices.Clone(x.slots) {
			if sl != nil && !yield(sl.Key) {
				return
			}
		}
	}
}
