package message

import (
	"encoding/binary"

	"github.com/fedns/fedns/internal/answer"
)

// Extras are what the OPT record of an answer says beside what is answered.
type Extras struct {
	NSID   []byte   // the server's identity; nil: it has none
	Serial uint32   // of the domain, for ZONEVERSION (RFC 9660)
	Labels int      // of the domain's name, for the same
	Cookie [16]byte // the server's part, if the client sent its own
	Idle   uint16   // how long a connection may be idle, in tenths of a second
	Scope  uint8    // how long the prefix is whose clients all get this answer (RFC 7871 section 7.2.1)
	Time   uint32   // in seconds since 1970, for signatures
}

// opt puts the OPT record together that goes behind the records: none, if the
// question has none (RFC 6891 section 7). a is nil where there is nothing to tell
// beside the records; extended are the upper bits of the response code.
// needed is how much of it is there in any case: what is behind are options of which a
// client can do without.
func (q *Question) opt(a *answer.Answer, x *Extras, extended byte) (opt []byte, needed int) {
	if !q.EDNS.Present {
		return nil, 0
	}
	q.scratch = q.EDNS.Header(q.scratch[:0], extended)
	if a != nil {
		for n := range a.Notes() {
			at := len(q.scratch)
			q.scratch = n.Append(begin(q.scratch, n.Code))
			end(q.scratch[at:])
		}
	}
	needed = len(q.scratch)
	q.scratch = q.EDNS.Options(q.scratch, x)
	Close(q.scratch)
	return q.scratch, needed
}

// Note adds an extended error (RFC 8914) to an OPT record.
func Note(opt []byte, code uint16, text string) []byte {
	at := len(opt)
	opt = append(begin(opt, code), text...)
	end(opt[at:])
	return opt
}

// begin begins the option of an extended error, end fills in its length.
func begin(b []byte, code uint16) []byte {
	b = append(b, 0, optionEDE, 0, 0)
	return binary.BigEndian.AppendUint16(b, code)
}

func end(option []byte) { binary.BigEndian.PutUint16(option[2:], uint16(len(option)-4)) }

// optHeader is the size of an OPT record without options.
const optHeader = 11

// optFlags is where its flags stand.
const optFlags = 7

// Header begins the OPT record of an answer: the size that is taken here, version
// 0, and of the flags at most DO; CO is of signed answers (see Reply.End).
func (e *EDNS) Header(b []byte, extended byte) []byte {
	do := byte(0)
	if e.DO {
		do = 0x80
	}
	return append(b, 0, 0, typeOPT, Payload>>8, Payload&0xff, extended, 0, do, 0, 0, 0)
}

// Close fills in how long the options of an OPT record are.
func Close(opt []byte) {
	binary.BigEndian.PutUint16(opt[optHeader-2:], uint16(len(opt)-optHeader))
}

// zoneVersion is the size of a ZONEVERSION option of type SOA-SERIAL, without its
// header (RFC 9660 section 2.1).
const zoneVersion = 2 + 4

// Options adds the options that don't depend on what is answered.
func (e *EDNS) Options(b []byte, x *Extras) []byte {
	if e.cookie {
		b = option(b, optionCookie, len(e.client)+len(x.Cookie))
		b = append(b, e.client[:]...)
		b = append(b, x.Cookie[:]...)
	}
	if e.subnetSize > 0 && !e.unheeded {
		b = option(b, optionSubnet, e.subnetSize)
		at := len(b)
		b = append(b, e.subnet[:e.subnetSize]...)
		b[at+3] = x.Scope
	}
	if e.NSID && x.NSID != nil {
		b = option(b, optionNSID, len(x.NSID))
		b = append(b, x.NSID...)
	}
	if e.Keepalive {
		b = option(b, optionKeepalive, 2)
		b = binary.BigEndian.AppendUint16(b, x.Idle)
	}
	if e.ZoneVersion {
		b = option(b, optionZoneVersion, zoneVersion)
		b = append(b, byte(x.Labels), 0) // type 0: the serial of the SOA record
		b = binary.BigEndian.AppendUint32(b, x.Serial)
	}
	return b
}

func option(b []byte, code uint16, size int) []byte {
	b = binary.BigEndian.AppendUint16(b, code)
	return binary.BigEndian.AppendUint16(b, uint16(size))
}
