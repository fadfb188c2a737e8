package message

import "unsafe"

// A Name is a name of a packet, read in place. It is used over and over; what it gave
// is over when the next one is read.
type Name struct {
	// In lower case, its labels as they are on the wire, with a dot behind each: what
	// stands in presentation form if no label needs escapes. A label that begins at i
	// here begins as far behind the first one in the packet.
	text   [maxName]byte
	size   int
	labels [maxLabels]string
	count  int
	mixed  bool // it isn't all lower case in the packet
	plain  bool // no label needs escapes
	starts [maxLabels + 1]uint8
}

// Read reads the name that stands whole at the beginning of b, and gives its size with the
// root label. It is false for one that is compressed, or that doesn't hold together.
func (n *Name) Read(b []byte) (size int, ok bool) {
	at, count := 0, 0
	n.mixed, n.plain = false, true
	for {
		if at >= len(b) {
			return 0, false
		}
		size := int(b[at])
		if size == 0 {
			break
		}
		next := at + 1 + size
		if size > 63 || next >= len(b) || next >= maxName || count == maxLabels {
			return 0, false
		}
		out := n.text[at : at+size : at+size]
		for i, c := range b[at+1 : next] {
			l := lower[c]
			if l == 0 {
				n.plain, l = false, c
			}
			n.mixed = n.mixed || l != c
			out[i] = l
		}
		n.text[at+size] = '.'
		n.starts[count] = uint8(at)
		n.labels[count] = unsafe.String(&n.text[at], size)
		count++
		at = next
	}
	n.count, n.size = count, at
	n.starts[count] = uint8(at)
	if count == 0 { // the root
		n.text[0], n.size = '.', 1
	}
	return at + 1, true
}

// String is the name in presentation form if it is Plain: absolute, in lower case.
func (n *Name) String() string { return unsafe.String(&n.text[0], n.size) }

// Plain says whether no label of the name needs escapes.
func (n *Name) Plain() bool { return n.plain }

// Labels are those of the name but for the last n, which are a domain's, as they are on
// the wire.
func (n *Name) Labels(but int) []string { return n.labels[:n.count-but] }

// Suffix is the name from a label on, in the form of String.
func (n *Name) Suffix(label int) string { return n.String()[n.starts[label]:] }

// lower maps the bytes that stand in presentation form as they are to lower case,
// and all others to 0 (RFC 1035 section 5.1, RFC 4343).
var lower = func() (t [256]byte) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = c
		if 'A' <= c && c <= 'Z' {
			t[c] = c + 'a' - 'A'
		}
	}
	for _, c := range `."'@;()\` {
		t[c] = 0
	}
	return t
}()
