package geo

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"net/netip"
)

// A RankingID names one of a Table's rankings. 0 is none: the place is unknown.
type RankingID uint32

// What is no ranking's id.
const (
	absent  RankingID = 1<<32 - 1                       // nothing is said of these addresses
	divided           = absent - 1                      // not all addresses of this /64 have the same
	inForms           = divided - RankingID(len(forms)) // and up: it's that of the IPv4 address in them
)

// A Table says of every address which ranking is its own. It never changes, and any
// number of readers may use it at once.
//
// It holds the addresses in order, cut into runs of one ranking each, and makes a
// block only when asked: the widest one around the address that doesn't leave its run.
// So no two halves of a block are left to be merged, and a lone network in an empty
// space costs two runs, where a trie has a node for each of its bits.
type Table struct {
	v4    spans[uint32]
	v6    spans[uint64] // of the upper halves of addresses
	deep  runs          // of the /64s that are divided, a few, and of nothing between these
	atlas *Atlas

	rankings []uint16 // the cells of ids 1, 2..., one after the other
	nets     []Net
}

// Lookup says which ranking an address has, and the length of the widest block around
// it in which every address has that one: a.Prefix(length), and so length is what
// RFC 7871 calls the SCOPE PREFIX-LENGTH. An IPv6 address that holds an IPv4 one has
// the ranking of that (see Embedded); the length is still that of the IPv6 block.
func (t *Table) Lookup(a netip.Addr) (id RankingID, length int) {
	// On a socket of both families, IPv4 is mapped: as common, and found as soon. If all
	// of IPv4 is one, the block is wider than that form.
	if a.Is4() || a.Is4In6() && len(t.v4.ids) > 1 {
		b := a.As4()
		id, length = t.find4(binary.BigEndian.Uint32(b[:]))
		return id, a.BitLen() - 32 + length
	}
	if !a.IsValid() {
		return 0, 0
	}
	b := a.As16()
	id, length = t.find6(num{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])})
	if id < inForms {
		return id, length
	}
	f := &forms[id-inForms]
	id, length = t.find4(f.v4(b))
	return id, f.at + length
}

func (t *Table) find4(v uint32) (RankingID, int) {
	bucket := v >> 16
	return t.v4.find(v, t.v4.index[bucket], t.v4.index[bucket+1])
}

// All that has been given to anyone so far is in 2000::/3, so the index of IPv6 is one
// of the 16 bits after these three. Below it are the IPv4-mapped addresses, above it
// the private ones, and with either just a few runs.
const (
	global      = 1 << 61
	globalShift = 64 - 3 - 16
)

// find6 also finds that an address is of a form.
func (t *Table) find6(v num) (RankingID, int) {
	low, high := uint32(0), uint32(len(t.v6.starts)-1)
	switch bucket := (v.hi - global) >> globalShift; {
	case bucket < 1<<16:
		low, high = t.v6.index[bucket], t.v6.index[bucket+1]
	case v.hi < global:
		high = t.v6.index[0]
	default:
		low = t.v6.index[1<<16]
	}
	id, length := t.v6.find(v.hi, low, high)
	if id == divided {
		return t.deep.find(v)
	}
	return id, length
}

// Ranking is what an id stands for. For 0 it is the zero Ranking.
func (t *Table) Ranking(id RankingID) Ranking {
	if id == 0 {
		return Ranking{}
	}
	n := t.atlas.cells()
	end := int(id) * n
	return Ranking{t.atlas, t.rankings[end-n : end : end]}
}

// Rankings is how many rankings there are. Their ids are 1 to that.
func (t *Table) Rankings() int {
	if t.atlas.cells() == 0 {
		return 0
	}
	return len(t.rankings) / t.atlas.cells()
}

// Net is the operator's word that an address's ranking comes from, if it does.
func (t *Table) Net(a netip.Addr) (n Net, ok bool) {
	a = Embedded(a)
	for _, candidate := range t.nets {
		if candidate.Prefix.Contains(a) && (!ok || candidate.Prefix.Bits() > n.Prefix.Bits()) {
			n, ok = candidate, true
		}
	}
	return n, ok
}

// Blocks lists the blocks that Lookup answers with, in order, IPv4 before IPv6, but for
// those of addresses that hold an IPv4 one: they are the IPv4 blocks in other forms.
func (t *Table) Blocks() iter.Seq2[netip.Prefix, RankingID] {
	return func(yield func(netip.Prefix, RankingID) bool) {
		for n, more := (num{}), true; more; more = n != (num{}) {
			v := uint32(n.hi >> 32)
			id, length := t.find4(v)
			if !yield(netip.PrefixFrom(addr4(v), length), id) {
				return
			}
			n = n.last(length).next()
		}
		for n, more := (num{}), true; more; more = n != (num{}) {
			id, length := t.find6(n)
			if id < inForms {
				if !yield(netip.PrefixFrom(addr6(n), length), id) {
					return
				}
			}
			n = n.last(length).next()
		}
	}
}

// spans are runs as they are searched: span i goes from starts[i] to before the next.
type spans[T uint32 | uint64] struct {
	starts []T
	ids    []RankingID
	// index has the spans in which 1<<16 blocks begin, and last the one in which the
	// last block ends: a search is nearly over before it starts.
	index []uint32
}

// makeSpans takes the upper bits of what the runs start with. They must differ.
func makeSpans[T uint32 | uint64](r runs, first T, shift int) spans[T] {
	s := spans[T]{make([]T, len(r)), make([]RankingID, len(r)), make([]uint32, 1<<16+1)}
	for i := range r {
		s.starts[i], s.ids[i] = T(r[i].start.hi>>(64-width[T]())), r[i].id
	}
	at := 0
	for i := range s.index {
		v := first + T(i)<<shift // where block i begins
		if i == 1<<16 {
			v-- // where the last one ends
		}
		for at+1 < len(r) && s.starts[at+1] <= v {
			at++
		}
		s.index[i] = uint32(at)
	}
	return s
}

func width[T uint32 | uint64]() int { return bits.Len64(uint64(^T(0))) }

// find finds the span of a value among those from low to high, and how many leading
// bits of it make a block that doesn't leave the span.
func (s *spans[T]) find(v T, low, high uint32) (RankingID, int) {
	for low < high { // it's the last one that doesn't start after v
		middle := (low + high + 1) / 2
		if v < s.starts[middle] {
			high = middle - 1
		} else {
			low = middle
		}
	}
	// The block must have neither the value before the span nor the one after.
	shared := 0
	if start := s.starts[low]; start > 0 {
		shared = 1 + bits.LeadingZeros64(uint64(v^(start-1)))
	}
	if int(low)+1 < len(s.starts) {
		shared = max(shared, 1+bits.LeadingZeros64(uint64(v^s.starts[low+1])))
	}
	return s.ids[low], max(0, shared-(64-width[T]()))
}
