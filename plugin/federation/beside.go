package federation

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/coredns/caddy"

	"github.com/fedns/fedns/internal/pipeline"
)

// written is what the Corefile says of federations, and where.
type written struct {
	words []string
	files []string // it may import some
}

// writtenIn is all that c has still to read.
func writtenIn(c *caddy.Controller) (w written) {
	w.words = slices.Clone(c.ServerBlockKeys)
	for d := c.Dispenser; d.Next(); { // a copy of it: c stays where it is
		w.words = append(w.words, d.Val())
		if f := d.File(); !slices.Contains(w.files, f) {
			w.files = append(w.files, f)
		}
	}
	return w
}

// static is what answers depend on besides what clusters say: as it is now, and since
// when. In a file that can't be looked at nobody knows.
func (f *Federation) static() pipeline.Static {
	var b pipeline.Static
	digest := fnv.New64a()
	for _, word := range f.written.words {
		fmt.Fprintf(digest, "%q ", word)
	}
	files := slices.Clone(f.written.files)
	for _, d := range f.Domains {
		a := d.Static.Load()
		fmt.Fprintln(digest, a.SOA)
		for _, rr := range a.Records {
			fmt.Fprintln(digest, rr)
		}
		if d.File != "" {
			files = append(files, d.File)
		}
	}
	fmt.Fprintln(digest, f.signing.editions(time.Now()))
	b.Digest = digest.Sum64()
	for _, file := range files {
		if at := stampOf(file).mod; at.After(b.Made) {
			b.Made = at
		}
	}
	return b
}
