package snapshot

import (
	"maps"
	"strconv"
	"testing"

	"pgregory.net/rapid"
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

// A pair is a number by another one.
type pair struct{ k, v int }

func (p pair) key() int { return p.k }

// A trie holds what a map would, at every moment that somebody keeps, and says what differs between two of them: with
// pages that grow, keys that share a slot, and some that share a hash.
func TestTrie(t *testing.T) {
	type state struct {
		trie trie[int, pair]
		want map[int]int
	}
	rapid.Check(t, func(t *rapid.T) {
		hash := func(key int) uint32 { return uint32(key%3)<<24 | uint32(key%40)<<16 }
		states := []state{{want: map[int]int{}}}
		for range rapid.IntRange(1, 6).Draw(t, "edits") {
			s := states[len(states)-1]
			s.want = maps.Clone(s.want)
			o := &owner{}
			for range rapid.IntRange(0, 80).Draw(t, "changes") {
				key := rapid.IntRange(0, 100).Draw(t, "key")
				if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
					s.trie.remove(o, hash(key), key)
					delete(s.want, key)
					continue
				}
				v := rapid.IntRange(1, 3).Draw(t, "value")
				s.trie.set(o, hash(key), pair{key, v})
				s.want[key] = v
			}
			states = append(states, s)
		}
		for i, s := range states {
			all := map[int]int{} // how often each value is there
			for p := range s.trie.all {
				all[p.v]++
			}
			want := map[int]int{}
			for key := range 101 {
				p, ok := s.trie.get(hash(key), key)
				v := p.v
				if w, there := s.want[key]; v != w || ok != there {
					t.Fatalf("state %d: key %d has %d (%v), want %d (%v)", i, key, v, ok, w, there)
				}
				if ok {
					want[v]++
				}
			}
			if !maps.Equal(all, want) || s.trie.size != len(s.want) {
				t.Fatalf("state %d: values %v, want %v; %d entries, want %d", i, all, want, s.trie.size, len(s.want))
			}
			for j, o := range states {
				got, want := map[[2]int]int{}, map[[2]int]int{}
				s.trie.changes(&o.trie, func(here, there pair) bool { got[[2]int{here.v, there.v}]++; return true })
				for key := range 101 {
					if v, w := s.want[key], o.want[key]; v != w {
						want[[2]int{v, w}]++
					}
				}
				if !maps.Equal(got, want) {
					t.Fatalf("between states %d and %d differ %v, want %v", i, j, got, want)
				}
			}
		}
	})
}
