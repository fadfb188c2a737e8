package snapshot

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// An order is what a sorted list is, whatever comes and goes, and what it came from stays as it was.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var o, was order
	var list, before []string
	w := new(owner)
	for i := range 5000 {
		name := fmt.Sprintf("%c.%d.example.com", 'a'+r.IntN(4), r.IntN(60))
		if r.IntN(3) == 0 {
			name = fmt.Sprintf("*.%c.example.com", 'a'+r.IntN(4))
		}
		at, in := slices.BinarySearchFunc(list, name, dnsname.Compare)
		switch behind := ""; {
		case r.IntN(2) == 0 && !in:
			o.add(w, name)
			list = slices.Insert(list, at, name)
		case r.IntN(2) == 0:
			o.remove(w, name)
			if in {
				list = slices.Delete(list, at, at+1)
			}
		case !in:
			first := ""
			if at > 0 {
				first = list[at-1]
			}
			if at < len(list) {
				behind = list[at]
			}
			if b, a := o.around(name); b != first || a != behind {
				t.Fatalf("around %s: %q, %q, want %q, %q", name, b, a, first, behind)
			}
		}
		if i%100 == 0 {
			if got := names(was.root, nil); !slices.Equal(got, before) {
				t.Fatalf("the one before has changed: %q, was %q", got, before)
			}
			was, before, w = o, slices.Clone(list), new(owner)
		}
		if got := names(o.root, nil); !slices.Equal(got, list) {
			t.Fatalf("%q, want %q", got, list)
		}
	}
}

func names(b *branch, to []string) []string {
	if b == nil {
		return to
	}
	return names(b.right, append(names(b.left, to), b.name))
}
