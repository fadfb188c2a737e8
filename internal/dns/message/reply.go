package message

import (
	"encoding/binary"
	"net/netip"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/topology"
)

// The types of records that are written (RFC 1035 section 3.2.2, RFC 3596, RFC 2782).
const (
	typeA     = uint16(answer.TypeA)
	typeAAAA  = uint16(answer.TypeAAAA)
	typeCNAME = uint16(answer.TypeCNAME)
	typeSRV   = uint16(answer.TypeSRV)
	typeANY   = uint16(answer.TypeANY)
	typeSOA   = 6
	typeHINFO = 13
)

// The response codes that are written (RFC 1035 section 4.1.1, RFC 6891 section 9).
const (
	NoError    = 0
	FormErr    = 1
	ServFail   = 2
	NXDomain   = 3
	badVersion = 16
)

// A Domain is what is said of a domain itself in answers about names in it.
type Domain struct {
	Name   []byte // its labels on the wire, without the last byte
	Labels int    // how many
	SOA    SOA
	// Lead is where the names of a cluster's own domain lead; nil for other domains.
	Lead *Domain
}

// A SOA is the record of that type that negative answers carry (RFC 2308).
type SOA struct {
	TTL     uint32 // the lesser of its own and MINIMUM
	MName   Target
	RName   Target
	Numbers [4]uint32 // REFRESH, RETRY, EXPIRE, MINIMUM; the serial is the snapshot's
}

// A Target is a name in a record: the labels on the wire, without the last byte,
// that stand before the domain or, if Absolute, before the root.
type Target struct {
	Labels   []byte
	Absolute bool
}

// A reply is put together behind the question.
type reply struct {
	q          *Question
	d          *Domain
	b          []byte
	limit      int // of the records, so that the OPT record fits behind them
	an, ns, ar int
	owner      uint16 // where the name stands that records are of
	// Where the domain, and the region before it, stand in lower case; 0: nowhere yet.
	lowDomain, lowRegion uint16
	away                 bool // the domain is that where the question's leads

	data int // where the data of the record that was begun last begins
}

// Room is how long the buffer of an answer must be: a record is written before it is
// known whether it fits.
const Room = 2 * Payload

// Answer writes the answer to q into p, the buffer q was read from, which has at least
// Room bytes, and gives its length. turn rotates the addresses. ok is false if the records don't fit the
// client in a way that is cared for here; the question then still stands in p.
func Answer(p []byte, q *Question, d *Domain, a *answer.Answer, x *Extras, turn uint32) (size int, ok bool) {
	r := reply{q: q, d: d, owner: headerSize}
	r.b = p[:q.end:Room]
	opt := q.opt(a, x, 0)
	r.limit = q.Limit() - len(opt)
	truncated, ok := r.records(a, x.Serial, turn)
	if !ok {
		return 0, false
	}
	flags, rcode := byte(0x84), byte(NoError) // QR, AA
	switch a.Outcome {
	case answer.NameError:
		rcode = NXDomain
	case answer.NotReady:
		flags, rcode = 0x80, ServFail
	}
	if truncated {
		flags |= 0x02
	}
	return r.finish(flags, rcode, opt), true
}

// Refuse writes an answer that only says what is wrong with the question. It has no
// authority.
func Refuse(p []byte, q *Question, rcode byte, x *Extras) int {
	r := reply{q: q, b: p[:q.end:len(p)]}
	return r.finish(0x80, rcode, q.opt(nil, x, 0))
}

// Version writes the answer to a question in a later version of EDNS: which one is
// spoken here (RFC 6891 section 6.1.3).
func Version(p []byte, q *Question) int {
	r := reply{q: q, b: p[:q.end:len(p)]}
	return r.finish(0x80, badVersion&0xf, q.opt(nil, &Extras{}, badVersion>>4))
}

// Truncate writes the answer that only says to come again over TCP.
func Truncate(p []byte, q *Question, x *Extras) int {
	r := reply{q: q, b: p[:q.end:len(p)]}
	return r.finish(0x86, NoError, q.opt(nil, x, 0))
}

// finish completes the header. RD and CD are the question's, as BIND and NSD have
// it; Z, RA and AD are 0.
func (r *reply) finish(flags, rcode byte, opt []byte) int {
	if len(opt) > 0 {
		r.b = append(r.b, opt...)
		r.ar++
	}
	r.b[2] = flags | r.b[2]&0x01
	r.b[3] = rcode | r.b[3]&0x10
	binary.BigEndian.PutUint16(r.b[6:], uint16(r.an))
	binary.BigEndian.PutUint16(r.b[8:], uint16(r.ns))
	binary.BigEndian.PutUint16(r.b[10:], uint16(r.ar))
	return len(r.b)
}

// records writes all records but OPT.
func (r *reply) records(a *answer.Answer, serial, turn uint32) (truncated, ok bool) {
	if a.Outcome == answer.NameError || a.Outcome == answer.NotReady {
		return false, a.Outcome == answer.NotReady || r.soa(serial)
	}
	s := a.Scope
	if r.away = a.Away; r.away && !r.lead(s, a.Near) {
		return false, false
	}
	for range a.Steps {
		s = s.Up()
		if r.away && !r.lead(s, a.TTL) || !r.away && !r.cname(a, s) {
			return false, false
		}
	}
	if a.Outcome == answer.NoData {
		return false, r.soa(serial)
	}
	switch r.q.Type {
	case typeA, typeAAAA:
		n := r.addresses(a, r.q.Type == typeA, turn)
		r.an += max(n, 0)
		return n < 0, true
	case typeSRV:
		if a.Parted() {
			return false, r.parted(a, turn)
		}
		if a.Pods() {
			return false, r.pods(a, turn)
		}
		return false, r.srv(a, turn)
	case typeANY:
		if a.Target {
			return false, r.hinfo(a)
		}
	}
	return false, true
}

// header begins a record of the name that stands at owner; its end fills in how long
// it is.
func (r *reply) header(owner, t uint16, ttl uint32) {
	r.b = binary.BigEndian.AppendUint16(r.b, 0xc000|owner)
	r.fields(t, ttl)
}

// fields goes on behind the name.
func (r *reply) fields(t uint16, ttl uint32) {
	r.b = binary.BigEndian.AppendUint16(r.b, t)
	r.b = binary.BigEndian.AppendUint16(r.b, classIN)
	r.b = binary.BigEndian.AppendUint32(r.b, ttl)
	r.b = append(r.b, 0, 0)
	r.data = len(r.b)
}

// end ends a record. It is false if there was no room for it.
func (r *reply) end() bool {
	binary.BigEndian.PutUint16(r.b[r.data-2:], uint16(len(r.b)-r.data))
	return len(r.b) <= r.limit
}

// addresses writes the addresses of one family at the end of the chain, and says
// how many; less than 0: not all fit, and none was written (RFC 2181 section 9).
func (r *reply) addresses(a *answer.Answer, v4 bool, turn uint32) int {
	began, n := len(r.b), 0
	for addr := range a.Addrs(v4, turn) {
		if !r.address(a.TTL, addr) {
			r.b = r.b[:began]
			return -1
		}
		n++
	}
	return n
}

func (r *reply) address(ttl uint32, addr netip.Addr) bool {
	if addr.Is4() {
		b := addr.As4()
		r.header(r.owner, typeA, ttl)
		r.b = append(r.b, b[:]...)
		return r.end()
	}
	b := addr.As16()
	r.header(r.owner, typeAAAA, ttl)
	r.b = append(r.b, b[:]...)
	return r.end()
}

// cname leads from the name written last to the one in a wider scope.
func (r *reply) cname(a *answer.Answer, to topology.Scope) bool {
	host := r.q.count - r.d.Labels - len(a.Path.Scope)
	r.header(r.owner, typeCNAME, a.TTL)
	r.owner = uint16(len(r.b))
	r.wire(0, host)
	whole := r.length(0, host) + r.length(r.domain(), r.q.count) + 1
	switch spelled := to.Region != "" && len(a.Path.Scope) == 2; {
	case spelled: // by the question
		whole += r.length(r.domain()-1, r.domain())
		r.point(r.domain() - 1)
	case to.Region != "":
		whole += 1 + len(to.Region)
		r.label(to.Region)
		r.point(r.domain())
	default:
		r.point(r.domain())
	}
	r.an++
	// A short name can lead to one that is too long to exist.
	return whole <= maxName && r.end()
}

// lead leads from the name written last, in a cluster's own domain or from there, to
// the one in a scope of the federation's domain.
func (r *reply) lead(to topology.Scope, ttl uint32) bool {
	r.header(r.owner, typeCNAME, ttl)
	r.owner = uint16(len(r.b))
	r.wire(0, r.inside())
	whole := r.length(0, r.inside()) + len(r.d.Lead.Name) + 1
	if to.Zone != "" {
		r.label(to.Zone)
		whole += 1 + len(to.Zone)
	}
	switch {
	case to.Region == "":
		r.outer()
	case r.lowRegion != 0:
		r.b = binary.BigEndian.AppendUint16(r.b, 0xc000|r.lowRegion)
		whole += 1 + len(to.Region)
	default:
		r.lowRegion = uint16(len(r.b))
		r.label(to.Region)
		r.outer()
		whole += 1 + len(to.Region)
	}
	r.an++
	return whole <= maxName && r.end()
}

// inside is the index of the label where a cluster's domain begins: those before it,
// FEDERATION.svc included, are the same in the federation's.
func (r *reply) inside() int { return r.domain() + 2 }

// outer ends a name with the domain where the question's leads.
func (r *reply) outer() {
	switch name := r.d.Lead.Name; {
	case len(name) == 0:
		r.b = append(r.b, 0)
	case r.lowDomain != 0:
		r.b = binary.BigEndian.AppendUint16(r.b, 0xc000|r.lowDomain)
	default:
		r.lowDomain = uint16(len(r.b))
		r.b = append(append(r.b, name...), 0)
	}
}

// length is how long labels of the question are on the wire.
func (r *reply) length(from, to int) int { return int(r.q.starts[to]) - int(r.q.starts[from]) }

// domain is the index of the label where the domain begins.
func (r *reply) domain() int { return r.q.count - r.d.Labels }

// point ends a name with the domain, or with the region before it, whose label's
// index is given: in lower case, which whoever compares names byte by byte expects, and
// so by a pointer to the question only if that is in lower case, too.
func (r *reply) point(label int) {
	low := &r.lowDomain
	if label < r.domain() {
		low = &r.lowRegion
	}
	switch {
	case label == r.q.count:
		r.b = append(r.b, 0)
		return
	case !r.q.mixed:
		*low = headerSize + uint16(r.q.starts[label])
	case *low == 0:
		*low = uint16(len(r.b))
		if label < r.domain() {
			r.wire(label, r.domain())
			r.point(r.domain())
			return
		}
		r.wire(label, r.q.count)
		r.b = append(r.b, 0)
		return
	}
	r.b = binary.BigEndian.AppendUint16(r.b, 0xc000|*low)
}

// wire writes labels of the question, in lower case.
func (r *reply) wire(from, to int) {
	for _, l := range r.q.labels[from:to] {
		r.label(l)
	}
}

func (r *reply) label(l string) { r.b = append(append(r.b, byte(len(l))), l...) }

// srv writes a record for each port, and the addresses of the target if there is
// room for them: the name behind the port's, in the form that was asked. It isn't
// compressed (RFC 2782).
func (r *reply) srv(a *answer.Answer, turn uint32) bool {
	const port = 2 // labels: _PORT._PROTO
	host := r.q.count - r.d.Labels - len(a.Path.Scope)
	label, rest := "", host
	if a.Steps > 0 {
		rest = r.domain()
		if to := a.End(); to.Region != "" && len(a.Path.Scope) == 2 {
			rest--
		} else {
			label = to.Region
		}
	}
	target := uint16(0)
	for t := range a.Targets(turn) {
		target = r.service(a, &t)
		if r.away {
			r.leads(port, a.End())
		} else {
			r.wire(port, host)
			if label != "" {
				r.label(label)
			}
			r.wire(rest, r.q.count)
			r.b = append(r.b, 0)
		}
		if !r.end() {
			return false
		}
		r.an++
	}
	began := len(r.b)
	r.owner = target
	v4 := r.addresses(a, true, turn)
	v6 := r.addresses(a, false, turn)
	if v4 < 0 || v6 < 0 {
		r.b = r.b[:began] // dispensable: the client asks for what it misses
		return true
	}
	r.ar += v4 + v6
	return true
}

// service begins an SRV record, up to its target, and says where that stands.
func (r *reply) service(a *answer.Answer, t *answer.Target) (target uint16) {
	r.header(r.owner, typeSRV, a.TTL)
	r.b = append(r.b, 0, 0, 0, 0) // priority, weight
	r.b = binary.BigEndian.AppendUint16(r.b, t.Port)
	return uint16(len(r.b))
}

// pods is srv of a cluster's own headless Service: each record leads to a pod, whose
// addresses are those of its own name.
func (r *reply) pods(a *answer.Answer, turn uint32) bool {
	const port = 2                   // labels: _PORT._PROTO
	var targets [Payload / 20]uint16 // no record is shorter
	for t := range a.Targets(turn) {
		target := r.service(a, &t)
		r.label(t.Pod.Label)
		r.wire(port, r.q.count)
		r.b = append(r.b, 0)
		if !r.end() || len(r.b)-int(target) > maxName {
			return false
		}
		targets[r.an] = target
		r.an++
	}
	began, i := len(r.b), 0
	for t := range a.Targets(turn) {
		r.owner = targets[i]
		for _, s := range t.Pod.Shards {
			if !r.address(a.TTL, s.Addr) {
				r.b, r.ar = r.b[:began], 0 // dispensable
				return true
			}
			r.ar++
		}
		i++
	}
	return true
}

// parted is srv where the port isn't the same everywhere: each record leads to the service's
// name in the place where it is so.
func (r *reply) parted(a *answer.Answer, turn uint32) bool {
	const port = 2 // labels: _PORT._PROTO
	host := r.q.count - r.d.Labels - len(a.Path.Scope)
	var targets [Payload / 20]uint16 // no record is shorter
	n := 0
	for t := range a.Targets(turn) {
		target := r.service(a, &t)
		to := a.End()
		if t.Narrow {
			to = t.At
		}
		if r.away {
			r.leads(port, to)
		} else {
			r.wire(port, host)
			for _, l := range [...]string{to.Zone, to.Region} {
				if l != "" {
					r.label(l)
				}
			}
			r.wire(r.domain(), r.q.count)
			r.b = append(r.b, 0)
		}
		if !r.end() || len(r.b)-int(target) > maxName || n == len(targets) {
			return false
		}
		targets[n] = target
		n++
		r.an++
	}
	began := len(r.b)
	n = 0
	for t := range a.Targets(turn) {
		r.owner = targets[n]
		n++
		for addr := range a.Behind(&t) {
			if !r.address(a.TTL, addr) {
				r.b, r.ar = r.b[:began], 0 // dispensable
				return true
			}
			r.ar++
		}
	}
	return true
}

// leads writes, whole, the name from a label on that a question of a cluster's own domain
// leads to in a scope.
func (r *reply) leads(from int, to topology.Scope) {
	r.wire(from, r.inside())
	for _, l := range [...]string{to.Zone, to.Region} {
		if l != "" {
			r.label(l)
		}
	}
	r.b = append(append(r.b, r.d.Lead.Name...), 0)
}

// hinfo stands for all records of a name (RFC 8482 section 4.2).
func (r *reply) hinfo(a *answer.Answer) bool {
	const says = "\x07RFC8482\x00"
	r.header(r.owner, typeHINFO, a.TTL)
	r.b = append(r.b, says...)
	r.an++
	return r.end()
}

// soa writes the SOA record of the domain: what a resolver needs to remember that
// there is nothing, and for how long (RFC 2308 section 3).
func (r *reply) soa(serial uint32) bool {
	s := &r.d.SOA
	if r.away {
		s = &r.d.Lead.SOA
	}
	r.zone()
	r.fields(typeSOA, s.TTL)
	r.target(&s.MName)
	r.target(&s.RName)
	r.b = binary.BigEndian.AppendUint32(r.b, serial)
	for _, n := range s.Numbers {
		r.b = binary.BigEndian.AppendUint32(r.b, n)
	}
	r.ns++
	return r.end()
}

func (r *reply) target(t *Target) {
	r.b = append(r.b, t.Labels...)
	if t.Absolute {
		r.b = append(r.b, 0)
		return
	}
	r.zone()
}

// zone ends a name with the domain whose SOA record it is about.
func (r *reply) zone() {
	if r.away {
		r.outer()
		return
	}
	r.point(r.domain())
}
