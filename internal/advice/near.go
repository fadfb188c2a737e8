package advice

import (
	"cmp"
	"slices"
)

// few is how many words are proposed to whoever mistyped one.
const few = 3

// Near are the few of a list that differ least from a word, if that is little.
func Near(word string, list []string) []string {
	type scored struct {
		text string
		n    int
	}
	most := 1 + len(word)/8
	var all []scored
	for _, x := range list {
		if n := Distance(word, x); n > 0 && n <= most {
			all = append(all, scored{x, n})
		}
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.text, b.text)) })
	var out []string
	for _, x := range slices.Compact(all) {
		if len(out) < few && x.n <= all[0].n+1 {
			out = append(out, x.text)
		}
	}
	return out
}

// Distance is how many letters have to be changed, added, left out, or swapped with the
// next, to make one word of another (optimal string alignment).
func Distance(a, b string) int {
	if a == b {
		return 0
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
