package message

import (
	"encoding/binary"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnssec"
)

// The types of records that are written (RFC 1035 section 3.2.2, RFC 3596, RFC 2782).
const (
	typeA     = uint16(answer.TypeA)
	typeAAAA  = uint16(answer.TypeAAAA)
	typeCNAME = uint16(answer.TypeCNAME)
	typeSRV   = uint16(answer.TypeSRV)
	typeANY   = uint16(answer.TypeANY)
	typeNS    = 2
	typeSOA   = 6
	typeHINFO = 13
	typeDNAME = 39
	typeRRSIG = 46
)

// The response codes that are written (RFC 1035 section 4.1.1, RFC 6891 section 9).
const (
	NoError    = 0
	FormErr    = 1
	ServFail   = 2
	NXDomain   = 3
	NotImp     = 4
	yxDomain   = 6
	badVersion = 16
)

// A Domain is what is said of a domain itself in answers about names in it.
type Domain struct {
	Name   []byte // its labels on the wire, without the last byte
	Labels int    // how many
	SOA    SOA
	// Lead is where the names of a cluster's own domain lead; nil for other domains.
	Lead *Domain
	// Signer signs its records for who asks for signatures; nil: it isn't signed.
	Signer *dnssec.Signer
}

// A SOA is the record of that type that negative answers carry (RFC 2308).
type SOA struct {
	TTL     uint32 // its own
	MName   Target
	RName   Target
	Numbers [4]uint32 // REFRESH, RETRY, EXPIRE, MINIMUM; the serial is the snapshot's
}

// negative is the TTL of what says that there is nothing (RFC 2308 section 5, RFC 9077).
func (s *SOA) negative() uint32 { return min(s.TTL, s.Numbers[3]) }

// A Target is a name in a record: the labels on the wire, without the last byte,
// that stand before the domain or, if Absolute, before the root.
type Target struct {
	Labels   []byte
	Absolute bool
}

// A Reply is an answer that is put together behind its question, a name and its records
// after the other. Sets of records are whole or not there: what doesn't fit sets TC, and
// ends the answer (RFC 2181 section 9). It is used over and over.
type Reply struct {
	q          *Question
	b          []byte
	size       int // how long the whole may be
	limit      int // of the records, so that the OPT record fits behind them
	an, ns, ar int
	rcode      byte
	authority  bool   // the answer is ours to give (AA)
	cut        bool   // not everything fits
	opt        []byte // whole
	spare      int    // how much of it has to be there in any case

	// The name that records are of: of the question, or where its CNAME leads.
	d    *Domain
	n    *Name
	base int // where it stands in the answer
	mark

	signing

	data   int   // where the data of the record that was begun last begins
	places []int // of the targets of SRV records; 0: of one that is no name
}

// A mark is what has to be taken back with records.
type mark struct {
	owner uint16 // where the name stands that records are of
	// Where the domain, and the region before it, stand in lower case; 0: nowhere yet.
	lowDomain, lowRegion uint16
	away                 bool // the domain is that where the question's leads
}

// Begin begins the answer to q, of at most size bytes, in p, the buffer that q was read
// from. One that is longer than p's capacity finds another place.
func (r *Reply) Begin(p []byte, q *Question, size int, x *Extras) {
	*r = Reply{q: q, b: p[:q.end:cap(p)], size: size, authority: true, places: r.places[:0], signing: r.begun(q.end, x.Time)}
	r.note(nil, x)
	r.stand(&q.Name, HeaderSize)
}

// stand has records be of another name.
func (r *Reply) stand(n *Name, base int) {
	r.n, r.base, r.mark = n, base, mark{owner: uint16(base)}
	r.endless, r.wild, r.types, r.apex = false, -1, nil, false
}

// In says in which domain the name is that records are of. It is false where the answer has ended: there is no
// room for the signatures of what was written of another domain.
func (r *Reply) In(d *Domain) bool {
	if d == r.d {
		return true
	}
	if !r.sign() {
		return false
	}
	r.d = d
	r.by(d)
	return true
}

// note puts together the OPT record with what a client is told beside the records, if
// there is room for that.
func (r *Reply) note(a *answer.Answer, x *Extras) {
	for {
		r.opt, r.spare = r.q.opt(a, x, 0)
		// Who takes no more than everybody does gets records rather than options.
		r.limit = max(min(MinSize, r.size)-r.spare, r.size-len(r.opt))
		if a == nil || len(r.b) <= r.limit {
			return
		}
		a = nil
	}
}

// End completes the answer, and gives it. Of the header RD and CD are the question's, as
// BIND and NSD have it; Z, RA and AD are 0.
func (r *Reply) End() []byte {
	if r.sign() {
		r.prove()
	}
	flags := byte(0x80) // QR
	if r.authority {
		flags |= 0x04
	}
	if r.cut {
		flags |= 0x02
	}
	if len(r.opt) > 0 {
		opt := r.opt
		if len(r.b)+len(opt) > r.size {
			opt = opt[:r.spare]
			Close(opt)
		}
		if r.signed && r.q.EDNS.CO {
			opt[optFlags] |= 0x40
		}
		r.b = append(r.b, opt...)
		r.ar++
	}
	r.b[2] = flags | r.b[2]&0x01
	r.b[3] = r.rcode | r.b[3]&0x10
	binary.BigEndian.PutUint16(r.b[6:], uint16(r.an))
	binary.BigEndian.PutUint16(r.b[8:], uint16(r.ns))
	binary.BigEndian.PutUint16(r.b[10:], uint16(r.ar))
	return r.b
}

// Fail takes all records back: nothing is said that would be remembered.
func (r *Reply) Fail() {
	r.b, r.an, r.ns, r.ar, r.cut = r.b[:r.q.end], 0, 0, 0, false
	r.authority, r.rcode, r.signer = false, ServFail, nil
	if r.work != nil {
		r.work.gaps = r.work.gaps[:0]
	}
}

// Refuse writes an answer that only says what is wrong with the question. It has no
// authority.
func Refuse(p []byte, q *Question, rcode byte, x *Extras) int {
	var r Reply
	r.Begin(p, q, len(p), x)
	r.authority, r.rcode = false, rcode
	return len(r.End())
}

// Reject writes an answer that is nothing but a header: to what isn't read any further. The
// operation that was asked for is said again where it is what is wrong.
func Reject(p []byte, rcode byte, opcode bool) int {
	kept := byte(0x01) // RD
	if opcode {
		kept |= 0x78
	}
	p[2], p[3] = 0x80|p[2]&kept, rcode|p[3]&0x10 // CD
	clear(p[4:HeaderSize])
	return HeaderSize
}

// Version writes the answer to a question in a later version of EDNS: which one is
// spoken here (RFC 6891 section 6.1.3).
func Version(p []byte, q *Question) int {
	var r Reply
	r.Begin(p, q, len(p), &Extras{})
	r.opt, _ = q.opt(nil, &Extras{}, badVersion>>4)
	r.authority, r.rcode = false, badVersion&0xf
	return len(r.End())
}

// Truncate writes the answer that only says to come again over TCP.
func Truncate(p []byte, q *Question, x *Extras) int {
	var r Reply
	r.Begin(p, q, len(p), x)
	r.cut = true
	return len(r.End())
}

// pointer writes the name that stands whole at a place of the answer, by a pointer if
// one reaches there (RFC 1035 section 4.1.4).
func (r *Reply) pointer(at int) {
	if at < 1<<14 {
		r.b = binary.BigEndian.AppendUint16(r.b, 0xc000|uint16(at))
		return
	}
	for {
		size := 1 + int(r.b[at])
		r.b = append(r.b, r.b[at:at+size]...)
		if at += size; size == 1 {
			return
		}
	}
}

// header begins a record of the name that stands at owner; its end fills in how long
// it is.
func (r *Reply) header(owner, t uint16, ttl uint32) {
	r.pointer(int(owner))
	r.fields(t, ttl)
}

// fields goes on behind the name.
func (r *Reply) fields(t uint16, ttl uint32) {
	r.b = binary.BigEndian.AppendUint16(r.b, t)
	r.b = binary.BigEndian.AppendUint16(r.b, classIN)
	r.b = binary.BigEndian.AppendUint32(r.b, ttl)
	r.b = append(r.b, 0, 0)
	r.data = len(r.b)
}

// end ends a record. It is false if there was no room for it.
func (r *Reply) end() bool {
	binary.BigEndian.PutUint16(r.b[r.data-2:], uint16(len(r.b)-r.data))
	return len(r.b) <= r.limit
}

// truncate takes back what didn't fit, from a place on, and ends the answer.
func (r *Reply) truncate(from int) {
	r.b, r.cut = r.b[:from], true
}

// soa writes the SOA record of the domain: to the question for it, or as what a
// resolver needs to remember that there is nothing, and for how long (RFC 2308 section 3).
func (r *Reply) soa(serial uint32, negative bool) {
	s := &r.d.SOA
	if r.away {
		s = &r.d.Lead.SOA
	}
	if negative && !r.section(authority) {
		return
	}
	ttl, began := s.TTL, len(r.b)
	if negative {
		ttl = s.negative()
	}
	r.zone()
	r.fields(typeSOA, ttl)
	r.target(&s.MName)
	r.target(&s.RName)
	r.b = binary.BigEndian.AppendUint32(r.b, serial)
	for _, n := range s.Numbers {
		r.b = binary.BigEndian.AppendUint32(r.b, n)
	}
	if !r.end() {
		r.truncate(began)
		return
	}
	if negative {
		r.ns++
	} else {
		r.an++
	}
}

func (r *Reply) target(t *Target) {
	r.b = append(r.b, t.Labels...)
	if t.Absolute {
		r.b = append(r.b, 0)
		return
	}
	r.zone()
}

// zone ends a name with the domain whose records are written.
func (r *Reply) zone() {
	if r.away {
		r.outer()
		return
	}
	r.point(r.domain())
}

// domain is the index of the label where the domain begins.
func (r *Reply) domain() int { return r.n.count - r.d.Labels }

// length is how long labels of the name are on the wire.
func (r *Reply) length(from, to int) int { return int(r.n.starts[to]) - int(r.n.starts[from]) }

// point ends a name with the domain, or with the region before it, whose label's
// index is given: in lower case, which whoever compares names byte by byte expects, and
// so by a pointer to the name only if that is in lower case, too.
func (r *Reply) point(label int) {
	low := &r.lowDomain
	if label < r.domain() {
		low = &r.lowRegion
	}
	switch {
	case label == r.n.count:
		r.b = append(r.b, 0)
		return
	case !r.n.mixed:
		*low = uint16(r.base + int(r.n.starts[label]))
	case *low == 0:
		*low = uint16(len(r.b))
		if label < r.domain() {
			r.wire(label, r.domain())
			r.point(r.domain())
			return
		}
		r.wire(label, r.n.count)
		r.b = append(r.b, 0)
		return
	}
	r.b = binary.BigEndian.AppendUint16(r.b, 0xc000|*low)
}

// wire writes labels of the name, in lower case.
func (r *Reply) wire(from, to int) {
	for _, l := range r.n.labels[from:to] {
		r.label(l)
	}
}

func (r *Reply) label(l string) { r.b = append(append(r.b, byte(len(l))), l...) }
