package message

// A Set is the records of one name and one type, as they are written.
type Set struct {
	Type    uint16
	Records []Record
	Sigs    []Record // the RRSIG records over them that the file has, for who asks for signatures
}

// A Record is one of them.
type Record struct {
	TTL  uint32
	Data []byte  // what stands before the name, or all there is
	Name *Target // that ends the data and may be shortened; nil: there is none
	// Glue are the addresses of the name that the record leads to; nil: none, or they
	// come with another record of the set.
	Glue *Glue
}

// A Glue is the addresses of a name.
type Glue struct {
	Owner Target
	Sets  []*Set
}

// Any stands for all records of the name (RFC 8482 section 4.2).
func (r *Reply) Any(ttl uint32) { r.hinfo(ttl, "\x07RFC8482\x00") }

func (r *Reply) hinfo(ttl uint32, says string) {
	began := len(r.b)
	r.header(r.owner, typeHINFO, ttl)
	r.b = append(r.b, says...)
	if !r.end() {
		r.truncate(began)
		return
	}
	r.an++
}

// SOA answers the question for the domain's own.
func (r *Reply) SOA(x *Extras) { r.soa(x.Serial, false) }

// Set writes a set of static records of the name, and if there is room for them, the
// addresses of the names that it leads to.
func (r *Reply) Set(s *Set) {
	began := len(r.b)
	n, ok := r.set(r.owned, s)
	if !ok {
		r.truncate(began)
		return
	}
	r.an += n
	if r.section(additional) {
		r.glue(s, true)
	}
}

// Referral writes where the names below a label are to be asked for, of which the name is
// one. Glue isn't dispensable there (RFC 9471). ds is nil where the delegation isn't signed.
func (r *Reply) Referral(label int, ns, ds *Set) {
	if !r.section(authority) {
		return
	}
	began := len(r.b)
	owner := func() { r.ancestor(label) }
	n, ok := r.set(owner, ns)
	switch {
	case !ok || !r.q.EDNS.DO:
	case ds != nil:
		var m int
		m, ok = r.set(owner, ds)
		n += m
	case r.signer != nil: // that there is none
		ok = r.nsec(owner, began, []uint16{typeNS})
		n++
	}
	r.authority = r.an > 0 // which a CNAME that leads there is
	if !ok {
		r.truncate(began)
		return
	}
	r.ns += n
	if r.section(additional) {
		r.signer = nil // the addresses are others'
		r.glue(ns, false)
	}
}

// Alias writes a CNAME record of the name to a target, on the wire with its last byte: n is
// set to that, and records are of it from now on. sigs are over it. It is false if it
// doesn't fit.
func (r *Reply) Alias(ttl uint32, target []byte, sigs []Record, n *Name) bool {
	began := len(r.b)
	r.header(r.owner, typeCNAME, ttl)
	at := len(r.b)
	r.b = append(r.b, target...)
	signed, ok := 0, r.end()
	if ok && r.q.EDNS.DO {
		signed, ok = r.some(r.owned, typeRRSIG, sigs)
	}
	if _, read := n.Read(r.b[at:]); !ok || !read {
		r.truncate(began)
		return false
	}
	r.an += 1 + signed
	if (r.endless || r.wild >= 0) && !r.sign() {
		return false
	}
	r.stand(n, at)
	return true
}

// Last is the message up to the name that an Alias leads to, which is the last in it, and
// where that begins.
func (r *Reply) Last() (message []byte, at int) { return r.b, r.base }

// Moved writes the DNAME record of a label, below which the name is (RFC 6672). It is false
// if it doesn't fit.
func (r *Reply) Moved(label int, s *Set) bool {
	began := len(r.b)
	n, ok := r.set(func() { r.ancestor(label) }, s)
	if !ok {
		r.truncate(began)
		return false
	}
	r.an += n
	return true
}

// TooLong says that a name has moved to one that is too long to be one (RFC 6672 section 2.2).
func (r *Reply) TooLong() { r.rcode = yxDomain }

// owned writes the name that records are of.
func (r *Reply) owned() { r.pointer(int(r.owner)) }

// ancestor writes the name from a label on, as it is in the static records: in lower case.
func (r *Reply) ancestor(label int) {
	if !r.n.mixed || label == r.n.count {
		r.pointer(r.base + int(r.n.starts[label]))
		return
	}
	r.wire(label, r.n.count)
	r.b = append(r.b, 0)
}

// set writes a set with its signatures, and says how many records. It is false if it
// doesn't fit.
func (r *Reply) set(owner func(), s *Set) (n int, ok bool) {
	if n, ok = r.some(owner, s.Type, s.Records); ok && r.q.EDNS.DO && len(s.Sigs) > 0 {
		var m int
		m, ok = r.some(owner, typeRRSIG, s.Sigs)
		n += m
	}
	return n, ok
}

// some writes records of one name and type.
func (r *Reply) some(owner func(), t uint16, records []Record) (n int, ok bool) {
	for i := range records {
		rr := &records[i]
		if len(r.b)+len(rr.Data) > r.limit {
			return 0, false // before it is written: it may be longer than the buffer
		}
		owner()
		r.fields(t, rr.TTL)
		r.b = append(r.b, rr.Data...)
		if rr.Name != nil {
			r.target(rr.Name)
		}
		if !r.end() {
			return 0, false
		}
	}
	return len(records), true
}

// glue writes the addresses of the names that a set leads to: all, or if they don't fit
// and are dispensable, none.
func (r *Reply) glue(s *Set, dispensable bool) {
	began, n := len(r.b), 0
	for i := range s.Records {
		g := s.Records[i].Glue
		if g == nil {
			continue
		}
		for _, addrs := range g.Sets {
			m, ok := r.set(func() { r.target(&g.Owner) }, addrs)
			if !ok {
				r.b = r.b[:began]
				r.cut = r.cut || !dispensable
				return
			}
			n += m
		}
	}
	r.ar += n
}

// Join is the name on the wire that has the labels before another one, and a target, with its
// last byte, in place of the rest (RFC 6672 section 2.2). It is false if that is too long
// to be one.
func (n *Name) Join(before int, target []byte) ([]byte, bool) {
	b := make([]byte, 0, maxName)
	for _, l := range n.labels[:before] {
		b = append(append(b, byte(len(l))), l...)
	}
	b = append(b, target...)
	return b, len(b) <= maxName
}
