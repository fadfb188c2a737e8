// Package message reads questions and writes answers as bytes, in place: the answer
// takes the place of the question in the buffer it came in, and nothing is
// allocated.
//
// It reads what nearly every query is: one question of class IN and at most an
// OPT record. What a name means is package answer's; everything else that can
// come in a packet is left to a reader that allocates.
package message

import (
	"encoding/binary"
	"net/netip"

	"github.com/fedns/fedns/internal/dns/cookie"
)

// Limits and numbers of RFC 1035 section 4.1 and RFC 6891 section 6.1.
const (
	// HeaderSize is where the question begins.
	HeaderSize = 12

	maxName   = 255 // with the root label
	maxLabels = 127
	classIN   = 1
	typeOPT   = 41

	// MinSize is the size that every client takes (RFC 1035 section 2.3.4).
	MinSize = 512
	// MaxSize is the longest message there can be: by a connection its length comes before it, in
	// two bytes (RFC 1035 section 4.2.2).
	MaxSize = 65535
	// Payload is the largest UDP message that is sent or advertised: what crosses
	// today's networks without being fragmented (RFC 9715 section 3, DNS flag day 2020).
	Payload = 1232
)

// A Parsed says what a packet turned out to be.
type Parsed uint8

// The readings.
const (
	Plain       Parsed = iota // a question that can be answered here
	Unsupported               // anything else: who knows all of DNS must read it
	Ignore                    // nothing to answer: too short, or an answer itself
	BadCookie                 // a question with a COOKIE option of an impossible length
	BadSubnet                 // a question with a client subnet that is put together wrongly
	BadVersion                // a question in a version of EDNS later than 0
)

// A Question is what a query asks, read in place. It is used over and over; what
// it gave is over when the next packet is read.
type Question struct {
	Name // that is asked for; over with the next Read
	Type uint16
	EDNS EDNS
	end  int // of the question section in the packet

	// Stream: it came by a connection, by which answers of any length go. It is said before Read.
	Stream bool

	scratch []byte // for the OPT record of the answer
}

// EDNS is what the OPT record of a query says (RFC 6891 section 6.1).
type EDNS struct {
	Present     bool
	DO          bool
	CO          bool   // takes NXDOMAIN with a proof that says only that there are no records (RFC 9824 section 5)
	Size        uint16 // of the largest answer the client takes, as it says
	NSID        bool   // asks for the server's identity (RFC 5001)
	ZoneVersion bool   // asks for the serial (RFC 9660)
	Keepalive   bool   // asks how long a connection may be idle (RFC 7828)

	client     [8]byte // of the COOKIE option (RFC 7873)
	server     [32]byte
	cookie     bool
	serverSize int

	subnet     [4 + 16]byte // the client's, as RFC 7871 section 6 has it
	subnetSize int          // 0: there is none
	unheeded   bool         // it isn't sent back
}

// The options that are understood (IANA's DNS EDNS0 Option Codes).
const (
	optionNSID        = 3
	optionSubnet      = 8
	optionCookie      = 10
	optionKeepalive   = 11
	optionEDE         = 15
	optionZoneVersion = 19
)

// Read takes a packet apart. It keeps nothing of it.
func (q *Question) Read(p []byte) Parsed {
	q.EDNS = EDNS{}
	if len(p) < HeaderSize || p[2]&0x80 != 0 {
		return Ignore
	}
	// Opcode QUERY, one question, no answer, no authority, at most one additional
	// record. AA, TC, RA and Z say nothing in a query (RFC 8906 section 8.1.3).
	if p[2]&0x78 != 0 || binary.BigEndian.Uint64(p[4:])&^1 != 1<<48 {
		return Unsupported
	}
	size, ok := q.Name.Read(p[HeaderSize:])
	if q.end = HeaderSize + size + 4; !ok || q.end > len(p) {
		return Unsupported
	}
	q.Type = binary.BigEndian.Uint16(p[q.end-4:])
	if binary.BigEndian.Uint16(p[q.end-2:]) != classIN {
		return Unsupported
	}
	if p[11] == 1 {
		reading := q.EDNS.read(p[q.end:])
		q.EDNS.Keepalive = q.EDNS.Keepalive && q.Stream // says nothing in a datagram (RFC 7828 section 3.3.2)
		return reading
	}
	return Plain
}

// Limit is how long the answer may be.
func (q *Question) Limit() int {
	if q.Stream {
		return MaxSize
	}
	if !q.EDNS.Present {
		return MinSize
	}
	return max(MinSize, min(int(q.EDNS.Size), Payload)) // smaller values are taken for 512 (RFC 6891 section 6.2.3)
}

// read takes the OPT record apart that begins at o.
func (e *EDNS) read(o []byte) Parsed {
	// Root name, type, size, extended code, version, flags, length.
	if len(o) < 11 || o[0] != 0 || binary.BigEndian.Uint16(o[1:]) != typeOPT {
		return Unsupported
	}
	e.Present = true
	e.Size = binary.BigEndian.Uint16(o[3:])
	e.DO, e.CO = o[7]&0x80 != 0, o[7]&0xc0 == 0xc0
	version, size := o[6], int(binary.BigEndian.Uint16(o[9:]))
	if len(o) < 11+size {
		return Unsupported
	}
	if version != 0 {
		return BadVersion
	}
	reading := Plain
	for o = o[11 : 11+size]; len(o) > 0; {
		if len(o) < 4 {
			return Unsupported
		}
		code, n := binary.BigEndian.Uint16(o), int(binary.BigEndian.Uint16(o[2:]))
		if len(o) < 4+n {
			return Unsupported
		}
		data := o[4 : 4+n]
		o = o[4+n:]
		switch code {
		case optionNSID:
			e.NSID = true
		case optionZoneVersion:
			e.ZoneVersion = true
		case optionKeepalive:
			e.Keepalive = true
		case optionSubnet:
			if !sound(data) {
				reading = BadSubnet
			} else if e.subnetSize == 0 {
				e.subnetSize = copy(e.subnet[:], data)
			}
		case optionCookie:
			if e.cookie || reading == BadCookie {
				continue // all but the first are ignored (RFC 7873 section 5.2)
			}
			client, server, ok := cookie.Split(data)
			if !ok {
				reading = BadCookie
				continue
			}
			e.cookie = true
			copy(e.client[:], client)
			e.serverSize = copy(e.server[:], server)
		}
	}
	return reading
}

// sound says whether a client subnet is put together as RFC 7871 section 6 says.
func sound(o []byte) bool {
	if len(o) < 4 {
		return false
	}
	bits := 0 // family 0 goes with no address at all
	switch binary.BigEndian.Uint16(o) {
	case 0:
	case 1:
		bits = 32
	case 2:
		bits = 128
	default:
		return false
	}
	source, scope, addr := int(o[2]), int(o[3]), o[4:]
	if source > bits || scope != 0 || len(addr) != (source+7)/8 {
		return false
	}
	return source%8 == 0 || addr[len(addr)-1]<<(source%8) == 0
}

// Subnet is the network that the client is said to be in (RFC 7871). ok is false if
// nothing is said; a prefix of length 0 asks not to be told from others.
func (e *EDNS) Subnet() (p netip.Prefix, ok bool) {
	if e.subnetSize == 0 {
		return netip.Prefix{}, false
	}
	var a [16]byte
	copy(a[:], e.subnet[4:e.subnetSize])
	addr := netip.AddrFrom16(a)
	if e.subnet[1] <= 1 { // family 0 has no address
		addr = netip.AddrFrom4([4]byte(a[:4]))
	}
	return netip.PrefixFrom(addr, int(e.subnet[2])), true
}

// HasSubnet says whether there is a client subnet.
func (e *EDNS) HasSubnet() bool { return e.subnetSize > 0 }

// NoSubnet has the client's subnet not be sent back: whoever doesn't go by it says nothing of
// it (RFC 7871 section 7.2.1).
func (e *EDNS) NoSubnet() { e.unheeded = true }

// Cookie gives the client's and the server's part of the COOKIE option. ok is
// false if there is none.
func (e *EDNS) Cookie() (client, server []byte, ok bool) {
	return e.client[:], e.server[:e.serverSize], e.cookie
}

// NoCookie forgets the COOKIE option: it is answered as an unknown one is.
func (e *EDNS) NoCookie() { e.cookie = false }
