package geo

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// A num is an address as a number. An IPv4 address is its upper 32 bits, so that a
// prefix is as long in either family, and the last address is all ones.
type num struct{ hi, lo uint64 }

func numOf(a netip.Addr) num {
	if a.Is4() {
		b := a.As4()
		return num{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}
	}
	b := a.As16()
	return num{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func addr4(v uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

func addr6(n num) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b)
}

func (n num) compare(m num) int { return cmp.Or(cmp.Compare(n.hi, m.hi), cmp.Compare(n.lo, m.lo)) }

// next is the number after it, and 0 after the last.
func (n num) next() num {
	lo, carry := bits.Add64(n.lo, 1, 0)
	return num{n.hi + carry, lo}
}

func (n num) prev() num {
	lo, borrow := bits.Sub64(n.lo, 1, 0)
	return num{n.hi - borrow, lo}
}

// last is the last number of the block of that many leading bits.
func (n num) last(length int) num {
	return num{n.hi | ^uint64(0)>>length, n.lo | ^uint64(0)>>max(length-64, 0)} // a shift by 64 or more gives 0
}

// common is how many leading bits it shares with a different number.
func (n num) common(m num) int {
	if n.hi != m.hi {
		return bits.LeadingZeros64(n.hi ^ m.hi)
	}
	return 64 + bits.LeadingZeros64(n.lo^m.lo)
}
