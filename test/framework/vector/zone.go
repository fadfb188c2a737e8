package vector

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// within says whether a name is another or below it.
func within(above, name string) bool { return name == above || strings.HasSuffix(name, "."+above) }

// RandomName is a name in or below a random zone.
func RandomName(r *rand.Rand) string {
	var labels []string
	for range r.IntN(5) {
		labels = append(labels, []string{"a", "b", "c", "d", "*"}[min(r.IntN(9), 8)%5])
	}
	return strings.Join(append(labels, "example.com."), ".")
}

// RandomZone is one with a few names of each kind.
func RandomZone(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("$ORIGIN example.com.\n$TTL 60\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n")
	kinds := map[string]int{"example.com.": 0, "ns1.example.com.": 0}
	moved := []string{}
	for range 14 {
		owner := RandomName(r)
		if _, ok := kinds[owner]; ok || slices.ContainsFunc(moved, func(m string) bool { return within(m, owner) }) {
			continue
		}
		kind := r.IntN(7)
		kinds[owner] = kind
		target := RandomName(r)
		wild := strings.HasPrefix(owner, "*.")
		switch {
		case kind == 0 && !wild:
			fmt.Fprintf(&b, "%s NS ns1.%s\n%s NS ns1\nns1.%s A 192.0.2.54\n", owner, owner, owner, owner)
			kinds["ns1."+owner] = 0
		case kind == 1 && target != owner:
			fmt.Fprintf(&b, "%s CNAME %s\n", owner, target)
		case kind == 2:
			fmt.Fprintf(&b, "%s MX 10 %s\n%s TXT x\n", owner, target, owner)
		case kind == 3 && !wild && r.IntN(3) == 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(kinds)), func(o string) bool { return o != owner && within(owner, o) }):
			fmt.Fprintf(&b, "%s DNAME %s\n", owner, target)
			moved = append(moved, owner)
		case kind == 4:
			fmt.Fprintf(&b, "%s SRV 1 2 80 %s\n", owner, target)
		default:
			fmt.Fprintf(&b, "%s A 192.0.2.%d\n%s A 192.0.2.%d\n", owner, 1+r.IntN(9), owner, 10+r.IntN(9))
		}
	}
	return b.String()
}
