package message_test

import (
	"encoding/binary"
	"strings"

	"github.com/miekg/dns"
)

// A query is a packet put together by hand: also what no client would send.
type query struct {
	flags  uint16
	counts [4]uint16 // QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT
	name   string    // on the wire
	qtype  uint16
	class  uint16
	behind string // the question
}

// ask is an ordinary question for a name without escapes.
func ask(name string, qtype uint16) query {
	return query{counts: [4]uint16{1}, name: labels(name), qtype: qtype, class: dns.ClassINET}
}

// with is the question with an OPT record.
func (q query) with(opt string) query {
	q.counts[3], q.behind = 1, opt
	return q
}

// id is of every packet.
const id = 0xbeef

func (q query) packet() []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = binary.BigEndian.AppendUint16(b, q.flags)
	for _, n := range q.counts {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	b = append(b, q.name...)
	b = binary.BigEndian.AppendUint16(b, q.qtype)
	b = binary.BigEndian.AppendUint16(b, q.class)
	return append(b, q.behind...)
}

// labels is a name on the wire, with its last byte.
func labels(name string) string {
	var b strings.Builder
	for l := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if l != "" {
			b.WriteString(label(l))
		}
	}
	b.WriteByte(0)
	return b.String()
}

func label(l string) string { return string(rune(len(l))) + l }

// opt is an OPT record. flags are the extended code, the version and the flags.
func opt(size uint16, flags uint32, options ...string) string {
	all := strings.Join(options, "")
	b := binary.BigEndian.AppendUint16([]byte{0}, dns.TypeOPT)
	b = binary.BigEndian.AppendUint16(b, size)
	b = binary.BigEndian.AppendUint32(b, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(all)))
	return string(b) + all
}

// option is an option of an OPT record.
func option(code uint16, data string) string {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return string(b) + data
}

// The codes of options, and what a COOKIE option may hold.
const (
	nsid        = 3
	subnet      = 8
	cookie      = 10
	padding     = 12
	zoneVersion = 19
	unknown     = 100

	clientCookie = "\x01\x02\x03\x04\x05\x06\x07\x08"
	serverCookie = "\x01\x00\x00\x00\x65\x00\x00\x00\x11\x12\x13\x14\x15\x16\x17\x18"
)

// questionEnd is where the question of a packet ends that holds together.
func questionEnd(p []byte) int {
	at := 12
	for p[at] != 0 {
		at += 1 + int(p[at])
	}
	return at + 5
}
