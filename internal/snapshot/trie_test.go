package snapshot

import (
	"strconv"
	"testing"
)

// fnv is a hash that everybody can work out.
func fnv(k Key) uint32 {
	h := uint32(2166136261)
	for _, p := range []string{k.Kind.String(), k.Namespace, k.Name} {
		for i := range len(p) {
			h = (h ^ uint32(p[i])) * 16777619
		}
		h *= 16777619
	}
	h ^= h >> 15
	h *= 0x846ca68b
	return h ^ h>>16
}

// A tenant may choose names so that, by a hash that he knows, all fall into one place: nobody's question walks through them.
func TestNamesThatCollide(t *testing.T) {
	victim := Key{Namespace: "shop", Name: "web"}
	e := NewFederation("fed").Edit()
	e.Set((&Service{Key: victim}).Freeze())
	n := 0
	for i := 0; n < 20; i++ {
		k := Key{Namespace: "evil", Name: "s" + strconv.Itoa(i)}
		if fnv(k)>>16 == fnv(victim)>>16 {
			e.Set((&Service{Key: k}).Freeze())
			n++
		}
	}
	f := e.Done()
	longest := 0
	for _, p := range f.services.pages {
		if p == nil {
			continue
		}
		for _, chain := range p.slots {
			length := 0
			for ; chain != nil; chain = chain.next {
				length++
			}
			longest = max(longest, length)
		}
	}
	if longest > 3 {
		t.Errorf("of %d services, %d share a slot", f.Size(), longest)
	}
	if f.Service(victim) == nil {
		t.Error("the one that was there isn't found")
	}
}
