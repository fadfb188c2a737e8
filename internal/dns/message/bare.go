package message

import "encoding/binary"

// A Stripped is a question without what only its OPT record's answer is about.
type Stripped struct {
	Bytes []byte // a packet
	Limit int    // how long the answer may be, its own OPT record included
}

// Strip makes a packet of q, which was read from p, for a reader that would stumble
// over some options, or answer them wrongly: the OPT record has the size that is
// left for the answer, DO, and the client's subnet.
func (q *Question) Strip(p []byte, x *Extras) Stripped {
	b := make([]byte, q.end, q.end+optHeader+4+len(q.EDNS.subnet))
	copy(b, p)
	b[11] = 0
	if !q.EDNS.Present {
		return Stripped{b, q.Limit()}
	}
	b[11] = 1
	at := len(b)
	b = q.EDNS.Header(b, 0)
	spare := len(q.EDNS.Options(nil, x))
	if n := q.EDNS.subnetSize; n > 0 {
		b = option(b, optionSubnet, n)
		b = append(b, q.EDNS.subnet[:n]...)
		if !q.EDNS.unheeded {
			spare -= 4 + n // the answer has it, too
		}
		Close(b[at:])
	}
	binary.BigEndian.PutUint16(b[at+3:], uint16(max(MinSize, q.Limit()-spare)))
	return Stripped{b, q.Limit()}
}
