package snapshot

// A trie is a persistent hash map: an edit copies what it touches, at most a
// root, a page and a chain, and leaves the rest shared with the trie it came
// from. So a change costs the same among a thousand entries and a million, and
// readers of the old one never notice. Two levels of 256 keep a chain to one or
// two entries up to 100,000.
type trie[K, V comparable] struct {
	pages *[fan]*page[K, V]
	size  int
	owner *owner // the edit that made pages, and may change them in place
}

const fan = 256

type page[K, V comparable] struct {
	owner *owner // the edit that made it, and may change it in place
	slots [fan]*entry[K, V]
}

// An entry is a link of a chain of those whose hashes share a slot. It is never
// changed.
type entry[K, V comparable] struct {
	key   K
	value V
	next  *entry[K, V]
}

// An owner is the identity of one edit.
type owner struct{ _ byte } // not empty: distinct owners need distinct addresses

func (t *trie[K, V]) get(hash uint32, key K) (v V, ok bool) {
	if t.pages == nil {
		return v, false
	}
	p := t.pages[hash>>24]
	if p == nil {
		return v, false
	}
	return find(p.slots[hash>>16&0xff], key)
}

// all calls yield for each entry until it says false.
func (t *trie[K, V]) all(yield func(V) bool) {
	if t.pages == nil {
		return
	}
	for _, p := range t.pages {
		if p == nil {
			continue
		}
		for _, e := range p.slots {
			for ; e != nil; e = e.next {
				if !yield(e.value) {
					return
				}
			}
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
	var blank page[K, V]
	ours, theirs := t.pages, o.pages
	if ours == nil {
		ours = &none
	}
	if theirs == nil {
		theirs = &none
	}
	for i := range ours {
		p, q := ours[i], theirs[i]
		if p == q {
			continue
		}
		if p == nil {
			p = &blank
		}
		if q == nil {
			q = &blank
		}
		for j := range p.slots {
			if !differing(p.slots[j], q.slots[j], yield) {
				return false
			}
		}
	}
	return true
}

// differing is changes for two chains.
func differing[K, V comparable](here, there *entry[K, V], yield func(here, there V) bool) bool {
	if here == there {
		return true
	}
	var zero V
	for e := here; e != nil; e = e.next {
		v, _ := find(there, e.key)
		if v != e.value && !yield(e.value, v) {
			return false
		}
	}
	for e := there; e != nil; e = e.next {
		if _, ok := find(here, e.key); !ok && !yield(zero, e.value) {
			return false
		}
	}
	return true
}

func find[K, V comparable](chain *entry[K, V], key K) (v V, ok bool) {
	for e := chain; e != nil; e = e.next {
		if e.key == key {
			return e.value, true
		}
	}
	return v, false
}

// slot gives the chain of hash on a page that o may change, and makes the root
// and the page o's if they aren't.
func (t *trie[K, V]) slot(o *owner, hash uint32) **entry[K, V] {
	if t.pages == nil || t.owner != o {
		pages := new([fan]*page[K, V])
		if t.pages != nil {
			*pages = *t.pages
		}
		t.pages, t.owner = pages, o
	}
	p := t.pages[hash>>24]
	if p == nil || p.owner != o {
		q := &page[K, V]{owner: o}
		if p != nil {
			q.slots = p.slots
		}
		t.pages[hash>>24] = q
		p = q
	}
	return &p.slots[hash>>16&0xff]
}

func (t *trie[K, V]) set(o *owner, hash uint32, key K, v V) {
	slot := t.slot(o, hash)
	rest, found := without(*slot, key)
	*slot = &entry[K, V]{key, v, rest}
	if !found {
		t.size++
	}
}

func (t *trie[K, V]) remove(o *owner, hash uint32, key K) {
	slot := t.slot(o, hash)
	rest, found := without(*slot, key)
	*slot = rest
	if found {
		t.size--
	}
}

// without is a chain without a key: the links before it anew, those behind it
// shared.
func without[K, V comparable](chain *entry[K, V], key K) (rest *entry[K, V], found bool) {
	if chain == nil {
		return nil, false
	}
	if chain.key == key {
		return chain.next, true
	}
	if rest, found = without(chain.next, key); !found {
		return chain, false
	}
	return &entry[K, V]{chain.key, chain.value, rest}, true
}

// hash is FNV-1a, spread over the upper bits, which the trie uses.
func hash(parts ...string) uint32 {
	h := uint32(2166136261)
	for _, p := range parts {
		for i := 0; i < len(p); i++ {
			h = (h ^ uint32(p[i])) * 16777619
		}
		h *= 16777619 // between "ab","c" and "a","bc"
	}
	h ^= h >> 15
	h *= 0x846ca68b
	return h ^ h>>16
}

func (k Key) hash() uint32 { return hash(k.Kind.String(), k.Namespace, k.Name) }
