package zone

import "github.com/miekg/dns"

// Unread says whether an answer is one to a query that can't be answered.
func Unread(b []byte) bool {
	return len(b) >= 12 && (b[3]&0x0f == dns.RcodeNotImplemented || b[3]&0x0f == dns.RcodeFormatError)
}

// ClearEcho clears what is of the query, or of a plugin that changes all answers, in
// the header of one that says that the query can't be answered.
func ClearEcho(b []byte) {
	const aa, tc, ra, ad = 0x04, 0x02, 0x80, 0x20
	b[2] &^= aa | tc
	b[3] &^= ra | ad
}
