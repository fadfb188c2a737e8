package dnssec

import "slices"

// How long a name can be on the wire, and a label.
const (
	maxName  = 255
	maxLabel = 63
)

// Next adds the name that comes right behind another in canonical order, both on the wire and in lower
// case (RFC 4470 section 3.1.2, RFC 9824 section 3.1).
func Next(b, name []byte) []byte {
	if len(name)+2 <= maxName {
		return append(append(b, 1, 0), name...)
	}
	from := len(b)
	b = append(b, name...)
	for b[from] != 0 {
		size := int(b[from])
		end := from + 1 + size
		if len(b)-from < maxName && size < maxLabel { // a zero byte more
			b = slices.Insert(b, end, 0)
			b[from]++
			return b
		}
		if last := raise(b[from+1 : end]); last > 0 {
			b[from] = byte(last)
			return slices.Delete(b, from+1+last, end)
		}
		b = slices.Delete(b, from, end)
	}
	return b
}

// raise makes of a label the next one that isn't longer, and gives its size; 0: there is none.
func raise(label []byte) int {
	for i := len(label) - 1; i >= 0; i-- {
		if label[i] < 0xff {
			if label[i]++; label[i] == 'A' {
				label[i] = 'Z' + 1 // which is lower case
			}
			return i + 1 // what stood behind it is gone
		}
	}
	return 0
}

// Behind adds the first label that is behind another one, in canonical order, below a name of a size on the wire; "": the
// first of all. It isn't ok where there is none.
func Behind(b []byte, label string, above int) (out []byte, ok bool) {
	from := len(b)
	b = append(b, label...)
	if len(label) < maxLabel && len(label)+2+above <= maxName {
		return append(b, 0), true
	}
	size := raise(b[from:])
	return b[:from+size], size > 0
}

// Last adds the last label, in canonical order, that can stand below a name of a size on the wire.
func Last(b []byte, above int) []byte {
	for range min(maxLabel, maxName-1-above) {
		b = append(b, 0xff)
	}
	return b
}

// Bitmap adds the types that there are at a name (RFC 4034 section 4.1.2).
func Bitmap(b []byte, types []uint16) []byte {
	var few [32]uint16
	sorted := append(few[:0], types...)
	slices.Sort(sorted)
	window, at := -1, 0
	for _, t := range sorted {
		if w := int(t >> 8); w != window {
			window, at = w, len(b)
			b = append(b, byte(w), 0)
		}
		low := int(t & 0xff)
		for int(b[at+1]) <= low/8 {
			b = append(b, 0)
			b[at+1]++
		}
		b[at+2+low/8] |= 0x80 >> (low % 8)
	}
	return b
}
