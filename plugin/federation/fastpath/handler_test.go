package fastpath

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// However many domains there are, those that a name is in are found, the longest first.
func TestAbove(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	name := func() (out string) {
		for range r.IntN(5) {
			out += []string{"a", "bb", "c", `d\.e`, `f\\`, "e"}[r.IntN(6)] + "."
		}
		if out == "" {
			return "."
		}
		return out
	}
	for _, n := range []int{1, 3, few, few + 1, 40, 200} {
		h := &Handler{}
		for range n {
			d := dnsname.Name(name())
			if !slices.ContainsFunc(h.domains, func(o domain) bool { return o.name == d }) {
				h.domains = append(h.domains, domain{name: d})
			}
		}
		h.arrange()
		for range 2000 {
			asked := name()
			var got, want []dnsname.Name
			for d, at := h.above(asked, 0); d != nil; d, at = h.above(asked, at) {
				got = append(got, d.name)
			}
			for i := range h.domains {
				if _, ok := h.domains[i].name.Under(asked); ok {
					want = append(want, h.domains[i].name)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("of %d domains, %q is in %q, want %q", len(h.domains), asked, got, want)
			}
		}
	}
}

func BenchmarkAbove(b *testing.B) {
	for _, n := range []int{1, few, few + 1, 5000} {
		h := &Handler{}
		for i := range n {
			h.domains = append(h.domains, domain{name: dnsname.Name(fmt.Sprintf("zone%d.example.com.", i))})
		}
		h.arrange()
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				h.above("web.shop.fed.svc.zone0.example.com.", 0)
			}
		})
	}
}
