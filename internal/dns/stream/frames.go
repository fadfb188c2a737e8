package stream

import "encoding/binary"

// next takes the first message off what a connection has sent. It isn't ok if it isn't there whole.
func next(b []byte) (message, rest []byte, ok bool) {
	if len(b) < header {
		return nil, b, false
	}
	end := header + int(binary.BigEndian.Uint16(b))
	if len(b) < end {
		return nil, b, false
	}
	return b[header:end], b[end:], true
}

// missing is how many bytes of the first message aren't there yet, as far as that is known.
func missing(b []byte) int {
	if len(b) < header {
		return header - len(b)
	}
	return max(0, header+int(binary.BigEndian.Uint16(b))-len(b))
}
