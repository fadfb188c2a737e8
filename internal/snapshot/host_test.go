package snapshot

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Hosts that come and go are those that a plain map describes, with what is above
// them, and no edit shows in the states before it.
func TestHosts(t *testing.T) {
	all := []string{"example.com", "shop.example.com", "a.shop.example.com", "*.shop.example.com", "*.example.com", "www.example.net", "x.*.example.com"}
	f := NewFederation("fed")
	model := map[string]Key{}
	type state struct {
		f    *Federation
		text string
	}
	describe := func(f *Federation) string {
		var out []string
		for s := range f.Hosts() {
			out = append(out, s.Key.String())
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	var states []state
	for range 500 {
		e := f.Edit()
		for range 1 + rand.IntN(4) {
			k := Key{Namespace: fmt.Sprint("n", rand.IntN(2)), Name: all[rand.IntN(len(all))], Kind: Host}
			if rand.IntN(2) == 0 {
				e.Set(&Service{Key: k})
				model[k.Name] = k
			} else if e.Remove(k); model[k.Name] == k {
				delete(model, k.Name)
			}
		}
		f = e.Done()
		states = append(states, state{f, describe(f)})
		if f.HostCount() != len(model) || f.Size() != 0 {
			t.Fatalf("%d hosts and %d services, want %d", f.HostCount(), f.Size(), len(model))
		}
		for _, name := range append(all, "com", "net", "", "shop", "b.shop.example.com", "*.a.shop.example.com") {
			s, k := f.Host(name), model[name]
			if (s != nil) != (k != Key{}) || s != nil && (s.Key != k || f.Service(k) != s || f.Service(Key{Namespace: "else", Name: name, Kind: Host}) != nil) {
				t.Fatalf("%s: %v, want %v", name, s, k)
			}
			above := slices.ContainsFunc(slices.Collect(maps.Keys(model)), func(h string) bool { return h == name || strings.HasSuffix(h, "."+name) })
			if name != "" && f.Hosted(name) != above {
				t.Fatalf("%s: hosted is %v among %v", name, f.Hosted(name), model)
			}
		}
	}
	for i, s := range states {
		if got := describe(s.f); got != s.text {
			t.Fatalf("state %d has become %s; it was %s", i, got, s.text)
		}
	}
}
