package dnssec

import (
	"hash/maphash"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Kept keeps signatures, of all zones of a server: a bounded number, of which the ones go first
// that nobody has asked for longest. Nobody waits for anybody.
type Kept struct {
	names  table // of names that exist
	others table // of names of which there is no end: they take no place of the former
	// whole are those of transfers, which ask for all that there is, time and again.
	whole  func() *table  // made with the first
	making [64]sync.Mutex // each guards some of whole: what several ask for at once is made once
	cores  chan struct{}  // has room for those that make them: one core is left to who answers
	seeds  [2]maphash.Seed

	budget uint32        // how many of the latter are made in a second
	spent  atomic.Uint64 // the second, and how many in it

	Made    atomic.Uint64 // signatures
	Refused atomic.Uint64 // for want of budget
}

// Sizes of a Kept, in signatures of about 150 bytes: those of 20,000 services, each with its names of a
// few scopes, and as many denials as a resolver that asks for the same again may want.
const (
	keptNames  = 1 << 17
	keptOthers = 1 << 12
	// keptWhole has room for a zone of 100,000 shards, which come to a million sets and NSEC records: 170 MB, if such a one is
	// transferred, and else as little as is.
	keptWhole = 1 << 20
)

// NewKept makes one that allows for so many signatures a second of names of which there is no end.
func NewKept(budget uint32) *Kept { return NewKeptOf(keptNames, keptOthers, budget) }

// NewKeptOf makes one that keeps so many of names that exist, and so many others, or somewhat more.
func NewKeptOf(names, others int, budget uint32) *Kept {
	whole := sync.OnceValue(func() *table { t := newTable(keptWhole); return &t })
	return &Kept{whole: whole, cores: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)), names: newTable(names), others: newTable(others), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, budget: budget}
}

// Len is how many signatures are kept.
func (k *Kept) Len() int { return int(k.names.used.Load() + k.others.used.Load()) }

// hash tells sets apart: by so many bits, of which nobody outside knows anything, that two with the
// same aren't met.
func (k *Kept) hash(set []byte) (a, b uint64) {
	return maphash.Bytes(k.seeds[0], set), maphash.Bytes(k.seeds[1], set)
}

// spend says whether one more can be made in this second.
func (k *Kept) spend(now uint32) bool {
	for {
		was := k.spent.Load()
		is := was + 1
		if uint32(was>>32) != now {
			is = uint64(now)<<32 | 1
		}
		if uint32(is) > k.budget {
			return false
		}
		if k.spent.CompareAndSwap(was, is) {
			return true
		}
	}
}

// A signature is the data of one RRSIG record.
type signature struct {
	id    [2]uint64
	data  []byte
	from  uint32        // when it was made
	until uint32        // when it is made anew
	asked atomic.Uint32 // when it was asked for last, in seconds
}

// ways is how many places there are for each signature.
const ways = 8

// A table is where signatures are: each in one of a few places. It grows from nothing.
type table struct {
	places []atomic.Pointer[signature]
	mask   uint64
	used   *atomic.Int64 // how many places are taken
}

func newTable(size int) table {
	size = 1 << bits.Len(uint(max(size, ways)-1)) // places are told by bits of what they are for
	return table{used: new(atomic.Int64), places: make([]atomic.Pointer[signature], size), mask: uint64(size/ways - 1)}
}

// near are the places of a signature.
func (t *table) near(id [2]uint64) []atomic.Pointer[signature] {
	at := (id[0] & t.mask) * ways
	return t.places[at : at+ways]
}

// ahead, in seconds, is how much later than now a signature can have been made: the clock was set back. It is less than
// signatures are dated back, by as much as validators' clocks may be behind.
const ahead = 600

// find gives a signature that is young enough, or nil.
func (t *table) find(id [2]uint64, now uint32) *signature {
	for i := range t.near(id) {
		s := t.near(id)[i].Load()
		if s == nil || s.id != id {
			continue
		}
		if int32(s.until-now) <= 0 || int32(s.from-now) > ahead {
			return nil
		}
		if s.asked.Load() != now {
			s.asked.Store(now)
		}
		return s
	}
	return nil
}

// put keeps a signature in the place of an older one of the same, of none, or of the one that was
// asked for least lately. Who asks for all in turn spares those that were asked for since now: each would else drive out one that is asked for
// soon.
func (t *table) put(s *signature, now uint32, sparing bool) {
	s.asked.Store(now)
	places := t.near(s.id)
	at, oldest := 0, int32(-1)
	for i := range places {
		o := places[i].Load()
		if o == nil || o.id == s.id {
			if places[i].Swap(s) == nil {
				t.used.Add(1)
			}
			return
		}
		if age := int32(now - o.asked.Load()); age > oldest {
			at, oldest = i, age
		}
	}
	if !sparing || oldest > 0 {
		places[at].Store(s)
	}
}
