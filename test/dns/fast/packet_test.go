package fast

import (
	"encoding/binary"
	"strings"

	"github.com/miekg/dns"
)

// A packet is a datagram, with words on what it is for.
type packet struct {
	about string
	bytes []byte
}

// question is a packet with one question, for a name on the wire, and what stands
// behind it.
func question(flags uint16, name string, qtype uint16, opt string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 0}, flags)
	b = append(b, 0, 1, 0, 0, 0, 0, 0, 0)
	if opt != "" {
		b[11] = 1
	}
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, qtype)
	b = binary.BigEndian.AppendUint16(b, dns.ClassINET)
	return append(b, opt...)
}

// labels is a name on the wire. Its labels have no dots in them.
func labels(name string) string {
	var b strings.Builder
	for l := range strings.SplitSeq(name, ".") {
		if l != "" {
			b.WriteByte(byte(len(l)))
			b.WriteString(l)
		}
	}
	b.WriteByte(0)
	return b.String()
}

// mixed is a name in the case that a resolver might ask it in, to tell answers
// from forgeries.
func mixed(name string) string {
	b := []byte(name)
	for i, c := range b {
		if i%3 != 1 && 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// opt is an OPT record; flags are its extended code, version and flags.
func opt(size uint16, flags uint32, options ...string) string {
	all := strings.Join(options, "")
	b := binary.BigEndian.AppendUint16([]byte{0}, dns.TypeOPT)
	b = binary.BigEndian.AppendUint16(b, size)
	b = binary.BigEndian.AppendUint32(b, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(all)))
	return string(b) + all
}

func option(code uint16, data string) string {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return string(b) + data
}

// The options that are asked with (IANA's DNS EDNS0 Option Codes).
const (
	nsid        = 3
	subnet      = 8
	expire      = 9
	cookie      = 10
	keepalive   = 11
	padding     = 12
	ede         = 15
	zoneVersion = 19
	unknown     = 100
)

const clientCookie = "\x01\x02\x03\x04\x05\x06\x07\x08"

// A reading is what is known of a packet that holds a question of the usual form:
// at most an OPT record behind it, and in that whole options.
type reading struct {
	end     int // of the question
	name    string
	qtype   uint16
	edns    bool
	size    uint16
	flags   uint32
	options []field
	behind  int // bytes that belong to nothing
}

type field struct {
	code uint16
	data string
}

// read takes a packet apart; ok is false for any other form.
func read(p []byte) (r reading, ok bool) {
	if len(p) < 12 || p[2]&0xf8 != 0 || binary.BigEndian.Uint64(p[4:])&^1 != 1<<48 {
		return r, false
	}
	at := 12
	for at < len(p) && p[at] != 0 {
		if p[at] > 63 {
			return r, false
		}
		if at+1+int(p[at]) < len(p) {
			r.name += string(p[at+1:at+1+int(p[at])]) + "."
		}
		at += 1 + int(p[at])
	}
	r.end = at + 5
	if r.end > len(p) || at-12 > 254 {
		return r, false
	}
	r.qtype = binary.BigEndian.Uint16(p[at+1:])
	if binary.BigEndian.Uint16(p[at+3:]) != dns.ClassINET {
		return r, false
	}
	rest := p[r.end:]
	if p[11] == 0 {
		r.behind = len(rest)
		return r, true
	}
	if len(rest) < 11 || rest[0] != 0 || binary.BigEndian.Uint16(rest[1:]) != dns.TypeOPT {
		return r, false
	}
	r.edns, r.size, r.flags = true, binary.BigEndian.Uint16(rest[3:]), binary.BigEndian.Uint32(rest[5:])
	n := int(binary.BigEndian.Uint16(rest[9:]))
	if rest = rest[11:]; n > len(rest) {
		return r, false
	}
	r.behind = len(rest) - n
	for rest = rest[:n]; len(rest) > 0; {
		if len(rest) < 4 {
			return r, false
		}
		code, n := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		if len(rest) < 4+n {
			return r, false
		}
		r.options = append(r.options, field{code, string(rest[4 : 4+n])})
		rest = rest[4+n:]
	}
	return r, true
}

// limit is how long an answer may be.
func (r *reading) limit() int {
	if !r.edns {
		return 512
	}
	return max(512, min(int(r.size), 1232))
}

// has says whether there is an option of a code.
func (r *reading) has(code uint16) bool {
	for _, o := range r.options {
		if o.code == code {
			return true
		}
	}
	return false
}

// tidied is the packet without what CoreDNS stumbles over and nobody needs to
// answer it.
func (r *reading) tidied(p []byte) []byte {
	flags := binary.BigEndian.Uint16(p[2:])
	if !r.edns {
		return append(p[:12:12], p[12:r.end]...)
	}
	var keep []string
	for _, o := range r.options {
		if o.code == subnet || o.code == cookie || o.code == nsid {
			keep = append(keep, option(o.code, o.data))
		}
	}
	name := string(p[12 : r.end-4])
	return question(flags, name, r.qtype, opt(r.size, r.flags&0x00ff_8000, keep...))
}
