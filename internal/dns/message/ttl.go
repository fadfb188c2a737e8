package message

import "encoding/binary"

// LeastTTL is for how long an answer may be kept as a whole (RFC 8484 section 5.1): the least TTL of what was asked
// for, or of what says that there is none. It isn't ok if nothing in it may be kept, or if it doesn't hold together.
func LeastTTL(b []byte) (ttl uint32, ok bool) {
	if len(b) < HeaderSize {
		return 0, false
	}
	if code := b[3] & 0x0f; code != NoError && code != NXDomain {
		return 0, false
	}
	rest := b[HeaderSize:]
	for range binary.BigEndian.Uint16(b[4:]) {
		if rest, ok = past(rest); !ok || len(rest) < 4 {
			return 0, false
		}
		rest = rest[4:]
	}
	records := int(binary.BigEndian.Uint16(b[6:]))
	negative := records == 0
	if negative {
		records = int(binary.BigEndian.Uint16(b[8:]))
	}
	const fixed = 10 // type, class, TTL, length
	for i := range records {
		if rest, ok = past(rest); !ok || len(rest) < fixed {
			return 0, false
		}
		end := fixed + int(binary.BigEndian.Uint16(rest[8:]))
		if len(rest) < end {
			return 0, false
		}
		t := binary.BigEndian.Uint32(rest[4:])
		if negative && binary.BigEndian.Uint16(rest) == typeSOA && end >= fixed+4 {
			t = min(t, binary.BigEndian.Uint32(rest[end-4:])) // MINIMUM (RFC 2308 section 5)
		}
		if i == 0 || t < ttl {
			ttl = t
		}
		rest = rest[end:]
	}
	return ttl, records > 0
}

// past is what stands behind a name, which may be compressed.
func past(b []byte) ([]byte, bool) {
	for len(b) > 0 {
		switch size := int(b[0]); {
		case size == 0:
			return b[1:], true
		case size >= 0xc0:
			if len(b) < 2 {
				return nil, false
			}
			return b[2:], true
		case 1+size > len(b):
			return nil, false
		default:
			b = b[1+size:]
		}
	}
	return nil, false
}
