package dnssec

import "slices"

// maxName is how long a name can be on the wire.
const maxName = 255

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
		if len(b)-from < maxName && size < 63 { // a zero byte more
			b = slices.Insert(b, end, 0)
			b[from]++
			return b
		}
		for last := end - 1; last > from; last-- {
			if b[last] < 0xff {
				b[last]++
				if b[last] == 'A' {
					b[last] = 'Z' + 1 // which is lower case
				}
				// What stood behind it is gone.
				b[from] = byte(last - from)
				return slices.Delete(b, last+1, end)
			}
		}
		b = slices.Delete(b, from, end)
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
