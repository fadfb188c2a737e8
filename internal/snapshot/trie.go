package snapshot

import (
	"hash/maphash"
	"slices"
	"unsafe"
)

// A trie is a persistent hash map: an edit copies what it touches, at most a
// root, a page and a chain, and leaves the rest shared with the trie it came
// from. So a change costs the same among a thousand entries and a million, and
// readers of the old one never notice. Two levels of at most 256 keep a chain to one or
// two entries up to 100,000.
type trie[K comparable, V value[K]] struct {
	pages *[fan]*page[K, V]
	size  int
	owner *owner // the edit that made pages, and may change them in place
}

const fan = 256

// A value has its key: a copy of it would be one line of memory more that a question looks at.
type value[K comparable] interface {
	comparable
	key() K
}

// A page has about as many slots as entries, a power of two up to fan: a question's way through a thousand
// services is through memory that the processor's cache holds.
type page[K comparable, V value[K]] struct {
	owner *owner // the edit that made it, and may change it in place
	slots []*entry[K, V]
	size  int // how many entries it has
}

// firstSlots are how many a page begins with.
const firstSlots = 4

// An entry is a link of a chain of those whose hashes share a slot. It is never
// changed.
type entry[K comparable, V value[K]] struct {
	value V
	next  *entry[K, V]
	hash  uint32 // of its key
}

// slot is where the chain of a hash stands.
func (p *page[K, V]) slot(hash uint32) **entry[K, V] {
	return &p.slots[int(hash>>16)&(len(p.slots)-1)]
}

// find looks for a key; a nil page has none.
func (p *page[K, V]) find(hash uint32, key K) (v V, ok bool) {
	if p == nil {
		return v, false
	}
	return find(*p.slot(hash), hash, key)
}

// all calls yield for each entry until it says false; a nil page has none.
func (p *page[K, V]) all(yield func(*entry[K, V]) bool) bool {
	if p == nil {
		return true
	}
	for _, e := range p.slots {
		for ; e != nil; e = e.next {
			if !yield(e) {
				return false
			}
		}
	}
	return true
}

// grow gives the page twice as many slots.
func (p *page[K, V]) grow(o *owner) {
	old := p.slots
	p.slots = make([]*entry[K, V], 2*len(old))
	o.made += size(p.slots)
	for _, e := range old {
		for ; e != nil; e = e.next {
			slot := p.slot(e.hash)
			*slot = &entry[K, V]{e.value, *slot, e.hash}
			o.made += int(unsafe.Sizeof(*e))
		}
	}
}

// An owner is the identity of one edit, and what that has made: so it isn't empty, as distinct owners
// need distinct addresses.
type owner struct {
	made int // in bytes
}

func (t *trie[K, V]) get(hash uint32, key K) (v V, ok bool) {
	if t.pages == nil {
		return v, false
	}
	return t.pages[hash>>24].find(hash, key)
}

// all calls yield for each entry until it says false.
func (t *trie[K, V]) all(yield func(V) bool) {
	if t.pages == nil {
		return
	}
	for _, p := range t.pages {
		if !p.all(func(e *entry[K, V]) bool { return yield(e.value) }) {
			return
		}
	}
}

// changes calls yield for each key whose value isn't the one that it has in o, with both, until
// it says false; a value that isn't there is zero. What both share isn't looked at.
func (t *trie[K, V]) changes(o *trie[K, V], yield func(here, there V) bool) (all bool) {
	if t.pages == o.pages {
		return true
	}
	var none [fan]*page[K, V]
	ours, theirs := t.pages, o.pages
	if ours == nil {
		ours = &none
	}
	if theirs == nil {
		theirs = &none
	}
	var zero V
	for i := range ours {
		p, q := ours[i], theirs[i]
		if p == q {
			continue
		}
		here := p.all(func(e *entry[K, V]) bool {
			v, _ := q.find(e.hash, e.value.key())
			return v == e.value || yield(e.value, v)
		})
		there := here && q.all(func(e *entry[K, V]) bool {
			_, ok := p.find(e.hash, e.value.key())
			return ok || yield(zero, e.value)
		})
		if !there {
			return false
		}
	}
	return true
}

func find[K comparable, V value[K]](chain *entry[K, V], hash uint32, key K) (v V, ok bool) {
	for e := chain; e != nil; e = e.next {
		if e.hash == hash && e.value.key() == key {
			return e.value, true
		}
	}
	return v, false
}

// page gives the page of hash, which o may change, and makes the root
// and the page o's if they aren't.
func (t *trie[K, V]) page(o *owner, hash uint32) *page[K, V] {
	if t.pages == nil || t.owner != o {
		pages := new([fan]*page[K, V])
		if t.pages != nil {
			*pages = *t.pages
		}
		t.pages, t.owner = pages, o
		o.made += int(unsafe.Sizeof(*pages))
	}
	p := t.pages[hash>>24]
	if p == nil || p.owner != o {
		q := &page[K, V]{owner: o}
		if p == nil {
			q.slots = make([]*entry[K, V], firstSlots)
		} else {
			q.slots, q.size = slices.Clone(p.slots), p.size
		}
		o.made += int(unsafe.Sizeof(*q)) + size(q.slots)
		t.pages[hash>>24] = q
		p = q
	}
	return p
}

// set puts a value in, in place of the one of its key, which has the hash.
func (t *trie[K, V]) set(o *owner, hash uint32, v V) {
	p := t.page(o, hash)
	rest, found := without(*p.slot(hash), hash, v.key())
	if !found {
		t.size++
		if p.size++; p.size > len(p.slots) && len(p.slots) < fan {
			p.grow(o)
			rest = *p.slot(hash)
		}
	}
	slot := p.slot(hash)
	*slot = &entry[K, V]{v, rest, hash}
	o.made += int(unsafe.Sizeof(**slot))
}

func (t *trie[K, V]) remove(o *owner, hash uint32, key K) {
	p := t.page(o, hash)
	slot := p.slot(hash)
	rest, found := without(*slot, hash, key)
	*slot = rest
	if found {
		t.size--
		p.size--
	}
}

// without is a chain without a key: the links before it anew, those behind it
// shared.
func without[K comparable, V value[K]](chain *entry[K, V], hash uint32, key K) (rest *entry[K, V], found bool) {
	if chain == nil {
		return nil, false
	}
	if chain.hash == hash && chain.value.key() == key {
		return chain.next, true
	}
	if rest, found = without(chain.next, hash, key); !found {
		return chain, false
	}
	return &entry[K, V]{chain.value, rest, chain.hash}, true
}

// A number is how many of something a key has.
type number[K comparable] struct {
	of K
	n  int
}

func (c *number[K]) key() K { return c.of }

// counted is how many a trie of numbers has of a key.
func counted[K comparable](t *trie[K, *number[K]], hash uint32, key K) int {
	if c, ok := t.get(hash, key); ok {
		return c.n
	}
	return 0
}

// raise adds to the number of a key.
func raise[K comparable](t *trie[K, *number[K]], o *owner, hash uint32, key K, by int) {
	if n := counted(t, hash, key) + by; n == 0 {
		t.remove(o, hash, key)
	} else {
		t.set(o, hash, &number[K]{key, n})
	}
}

// seed is this process's own: else who may choose names could have many share a slot, and every question for one of
// them, and for whatever else is there, walk through all.
var seed = maphash.MakeSeed()

// hash is a name's; the trie uses the upper bits.
func hash(name string) uint32 { return uint32(maphash.String(seed, name) >> 32) }

// odd is between "ab","c" and "a","bc".
const odd = 0x9e3779b97f4a7c15

// Hash is that of a name in a namespace, by this process's own seed.
func Hash(namespace, name string) uint64 {
	return maphash.String(seed, namespace)*odd + maphash.String(seed, name)
}

// hashIn is that of a name in a namespace, among those of a kind.
func hashIn(k Kind, namespace, name string) uint32 {
	return uint32((Hash(namespace, name) + uint64(k)*odd) >> 32)
}

func (k Key) hash() uint32 { return hashIn(k.Kind, k.Namespace, k.Name) }
