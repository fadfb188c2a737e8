package xdp

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Where things are in an Ethernet frame (IEEE 802.3) and in the headers behind it (RFC 791, 8200, 768).
const (
	ethernetSize = 14
	ipv4Size     = 20
	ipv6Size     = 40
	udpSize      = 8

	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	protoUDP  = 17

	// frameSize is the room of a frame: half a page, which is what XDP takes on a link of 1,500 bytes.
	frameSize = 2048

	// hops is how far an answer goes, as far as Linux's own do.
	hops = 64
)

// The MTUs that are taken. Below, an answer of the size that the server gives over UDP might not fit (that
// is what IPv6 asks of every link: RFC 8200 section 5); above, a frame doesn't fit into its half of a page.
const (
	leastMTU = 1280
	mostMTU  = 1500
)

// A datagram is where a question is in its frame.
type datagram struct {
	from, to netip.AddrPort
	ip       int // the offset of the IP header
	payload  int // that of the question
	size     int // of the question
}

// read finds the datagram that a frame holds: one whole, without options, extension headers or a VLAN tag, and
// with good checksums. A sum that is the pseudo header's alone is good, too: it is what a sender on this host
// leaves to hardware that a virtual link doesn't have.
func read(frame []byte) (d datagram, ok bool) {
	if len(frame) < ethernetSize+ipv4Size+udpSize || frame[6]&1 != 0 { // it would be answered to many
		return d, false
	}
	d.ip = ethernetSize
	h := frame[ethernetSize:]
	var src, dst netip.Addr
	var pseudo uint64
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		total := int(binary.BigEndian.Uint16(h[2:]))
		if h[0] != 0x45 || total < ipv4Size+udpSize || total > len(h) || binary.BigEndian.Uint16(h[6:])&0x3fff != 0 || h[9] != protoUDP || fold(sum(h[:ipv4Size], 0)) != 0xffff {
			return d, false
		}
		src, dst = netip.AddrFrom4([4]byte(h[12:])), netip.AddrFrom4([4]byte(h[16:]))
		pseudo = sum(h[12:20], protoUDP)
		h = h[ipv4Size:total]
		d.payload = ethernetSize + ipv4Size + udpSize
	case etherIPv6:
		if len(h) < ipv6Size+udpSize {
			return d, false
		}
		length := int(binary.BigEndian.Uint16(h[4:]))
		if h[0]>>4 != 6 || h[6] != protoUDP || length < udpSize || length > len(h)-ipv6Size {
			return d, false
		}
		src, dst = netip.AddrFrom16([16]byte(h[8:])), netip.AddrFrom16([16]byte(h[24:]))
		pseudo = sum(h[8:40], protoUDP)
		h = h[ipv6Size : ipv6Size+length]
		d.payload = ethernetSize + ipv6Size + udpSize
	default:
		return d, false
	}
	length := int(binary.BigEndian.Uint16(h[4:]))
	if length < udpSize || length > len(h) || !speaks(src) || src == dst {
		return d, false
	}
	pseudo += uint64(length)
	switch check := binary.BigEndian.Uint16(h[6:]); {
	case check == 0:
		if src.Is6() {
			return d, false // RFC 8200 section 8.1
		}
	case fold(sum(h[:length], pseudo)) == 0xffff, check == fold(pseudo):
	default:
		return d, false
	}
	d.from = netip.AddrPortFrom(src, binary.BigEndian.Uint16(h[0:]))
	d.to = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(h[2:]))
	d.size = length - udpSize
	return d, d.from.Port() != 0
}

// speaks says whether a host may ask from an address: what else comes the kernel drops (RFC 1122 section 3.2.1.3).
func speaks(a netip.Addr) bool {
	if a.Is4() {
		first := a.As4()[0]
		return first != 0 && first != 127 && first < 224
	}
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.Is4In6()
}

// answer makes the frame of a question that of its answer, which is in the question's place and has so
// many bytes: from where it went, to the station that it came from. It gives the frame's length. id tells it from
// others over IPv4, should it become fragments on its way (RFC 6864 section 4.3).
func (d *datagram) answer(frame []byte, size int, id uint16) int {
	var mac [6]byte
	copy(mac[:], frame)
	copy(frame[:6], frame[6:12])
	copy(frame[6:12], mac[:])
	h := frame[d.ip:]
	udp := frame[d.payload-udpSize : d.payload+size]
	length := len(udp)
	var pseudo uint64
	if d.payload-d.ip == ipv4Size+udpSize {
		binary.BigEndian.PutUint16(h[2:], uint16(ipv4Size+length))
		binary.BigEndian.PutUint16(h[4:], id)
		clear(h[6:8]) // no fragment, and one that may become some, as sockets have it
		h[1], h[8] = 0, hops
		clear(h[10:12])
		src := [4]byte(h[12:16])
		copy(h[12:16], h[16:20])
		copy(h[16:20], src[:])
		binary.BigEndian.PutUint16(h[10:], ^fold(sum(h[:ipv4Size], 0)))
		pseudo = sum(h[12:20], protoUDP)
	} else {
		binary.BigEndian.PutUint32(h, 6<<28)
		binary.BigEndian.PutUint16(h[4:], uint16(length))
		h[7] = hops
		src := [16]byte(h[8:24])
		copy(h[8:24], h[24:40])
		copy(h[24:40], src[:])
		pseudo = sum(h[8:40], protoUDP)
	}
	port := [2]byte(udp[:2])
	copy(udp[:2], udp[2:4])
	copy(udp[2:4], port[:])
	binary.BigEndian.PutUint16(udp[4:], uint16(length))
	clear(udp[6:8])
	check := ^fold(sum(udp, pseudo+uint64(length)))
	if check == 0 {
		check = 0xffff // 0 says that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return d.payload + size
}

// sum adds what b has, in words of 16 bits, to an Internet checksum (RFC 1071): eight bytes at a time, the
// carries at the end.
func sum(b []byte, start uint64) uint64 {
	var carry uint64
	s := start
	for len(b) >= 8 {
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	var last uint64
	for i, c := range b {
		last |= uint64(c) << (56 - 8*i)
	}
	s, carry = bits.Add64(s, last, carry)
	s, _ = bits.Add64(s, 0, carry)
	// A multiple of 2^16-1 more or less changes nothing: the halves are added until they fit.
	return s>>32 + s&0xffffffff
}

// fold makes the sum one word of 16 bits.
func fold(s uint64) uint16 {
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
