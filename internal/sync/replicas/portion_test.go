package replicas

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

func TestPortions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 30).Draw(t, "n")
		weights := map[string]int64{}
		total := int64(0)
		for i := range rapid.IntRange(0, 5).Draw(t, "clusters") {
			w := rapid.Int64Range(0, 10).Draw(t, "weight")
			weights[fmt.Sprint("c", i)] = w
			total += w
		}
		got := Portions(n, weights, "shop/web")
		sum := int64(0)
		for name, w := range weights {
			sum += got[name]
			if n <= total && got[name] > w || w == 0 && got[name] != 0 {
				t.Fatalf("%s gets %d of %d by its %d of %d", name, got[name], n, w, total)
			}
			if total > 0 && (got[name] < n*w/total || got[name] > (n*w+total-1)/total) {
				t.Fatalf("%s gets %d of %d, by %d of %d", name, got[name], n, w, total)
			}
		}
		if total > 0 && sum != n || total == 0 && sum != 0 {
			t.Fatalf("%v are %d of %d", got, sum, n)
		}
		if again := Portions(n, maps.Clone(weights), "shop/web"); !maps.Equal(again, got) {
			t.Fatalf("again: %v, was %v", again, got)
		}
	})
}
