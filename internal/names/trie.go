package names

// A trie is a persistent hash map: an edit copies what it touches, at most a
// root, a page and a slot, and leaves the rest shared with the trie it came
// from. So a change costs the same among a thousand entries and a million, and
// readers of the old one never notice. Two levels of 256 keep a slot to one or
// two entries up to 100,000.
type trie[K comparable, V any] struct {
	pages *[fan]*page[K, V]
	size  int
}

const fan = 256

type page[K comparable, V any] struct {
	owner *owner // the edit that made it, and may change it in place
	slots [fan][]entry[K, V]
}

type entry[K comparable, V any] struct {
	key   K
	value V
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
	for i := range p.slots[hash>>16&0xff] {
		if e := &p.slots[hash>>16&0xff][i]; e.key == key {
			return e.value, true
		}
	}
	return v, false
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
		for _, slot := range p.slots {
			for _, e := range slot {
				if !yield(e.value) {
					return
				}
			}
		}
	}
}

// own copies the root, once an edit.
func (t *trie[K, V]) own() {
	pages := new([fan]*page[K, V])
	if t.pages != nil {
		*pages = *t.pages
	}
	t.pages = pages
}

// slot gives the slot of hash on a page that o may change.
func (t *trie[K, V]) slot(o *owner, hash uint32) *[]entry[K, V] {
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

// set and remove work on a trie that o owns the root of.
func (t *trie[K, V]) set(o *owner, hash uint32, key K, v V) {
	slot := t.slot(o, hash)
	next := make([]entry[K, V], 0, len(*slot)+1)
	for _, e := range *slot {
		if e.key != key {
			next = append(next, e)
		}
	}
	t.size += len(next) + 1 - len(*slot)
	*slot = append(next, entry[K, V]{key, v})
}

func (t *trie[K, V]) remove(o *owner, hash uint32, key K) {
	slot := t.slot(o, hash)
	var next []entry[K, V]
	for _, e := range *slot {
		if e.key != key {
			next = append(next, e)
		}
	}
	t.size += len(next) - len(*slot)
	*slot = next
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
