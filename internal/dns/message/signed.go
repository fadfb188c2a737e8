package message

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnssec"
)

// A section is one of the parts of an answer.
type section uint8

// The sections behind the question (RFC 1035 section 4.1).
const (
	answers section = iota
	authority
	additional
)

// A signing is the state of an answer that is being signed: a section at a time, once its records are
// written, whatever they are. The signatures come behind them.
type signing struct {
	signer   *dnssec.Signer // of what is written; nil: nothing is signed
	signed   bool           // there was one
	now      uint32
	part     section // that is written
	start    int     // where it begins
	answered int     // where the answer section ends, once it has
	open     int     // where the records begin that aren't signed
	endless  bool    // there is no end of names such as the one that records are of
	wild     int     // its label that the wildcard stands in the place of which it is one of; -1: of none
	normal   uint32  // the TTL of what the federations have, when
	reduced  uint32  // this one may be a shorter one for a while
	types    []uint16
	apex     bool // the types are those of the domain's own name

	work *signingWork
}

// A signingWork is used over and over.
type signingWork struct {
	set    dnssec.Set
	sigs   dnssec.Signatures
	names  []byte
	pieces []piece
	types  []uint16
	star   []byte
	gaps   []gap
}

// A gap is where nothing stands below a name but its wildcard, which is proven by an NSEC record: of a name in it that is right
// behind one that stands, with the types that the wildcard has, since it is one of its names itself. It is the same
// for all names in the gap, and is signed once.
type gap struct {
	signer         *dnssec.Signer
	ttl            uint32
	encloser       int    // where the name stands in the answer that it is below
	before, behind string // labels that exist; "": there are none
	types          []uint16
}

// A piece is a record that was written.
type piece struct {
	owner     int // where its name stands
	from, to  int // the same in lower case, in names
	t         uint16
	ttl       uint32
	data, end int
	done      bool
}

// begun is the state at the beginning of an answer, behind a question that ends at a place.
func (s *signing) begun(end int, now uint32) signing {
	if s.work != nil {
		s.work.gaps = s.work.gaps[:0]
	}
	return signing{now: now, start: end, open: end, wild: -1, work: s.work}
}

// by has what follows be signed as a domain is.
func (r *Reply) by(d *Domain) {
	if r.signer = nil; r.q.EDNS.DO && d.Signer.On() {
		r.signer, r.signed = d.Signer, true
		if r.work == nil {
			r.work = &signingWork{}
		}
	}
}

// section ends the one that is written and begins another. It is false where the answer ends.
func (r *Reply) section(next section) bool {
	if !r.sign() || !r.prove() {
		return false
	}
	if r.part == answers {
		r.answered = len(r.b)
	}
	r.part, r.start = next, len(r.b)
	return true
}

// Exist says which types of static records the name has that is going to be denied: at the domain's own, there are more.
func (r *Reply) Exist(types []uint16, apex bool) { r.types, r.apex = types, apex }

// Signing says whether what is written is signed.
func (r *Reply) Signing() bool { return r.signer != nil }

// Endless says that there is no end of names such as the one that records are of, and that each is signed by itself.
func (r *Reply) Endless() { r.endless = true }

// Wildcard says that records of the name are those of the wildcard that stands in the place of a label and those before it, and that there are none
// between two labels there, in wire form; "": before all, or behind. They are signed as the wildcard's (RFC 4035 section 3.1.3.3),
// with the proof that nothing is closer. a is what the federations have for it.
func (r *Reply) Wildcard(label int, before, behind string, a *answer.Answer) {
	w := r.work
	w.names, _ = dnssec.Behind(w.names[:0], before, r.length(label+1, r.n.count)+1)
	if string(w.names) == r.n.labels[label] {
		r.endless = true // it is where the gap begins
		return
	}
	r.wild = label
	n := len(w.gaps)
	w.gaps = slices.Grow(w.gaps, 1)[:n+1]
	w.gaps[n] = gap{r.signer, r.soaNow().negative(), r.base + int(r.n.starts[label+1]), before, behind, r.exist(w.gaps[n].types[:0], a)}
}

// prove writes and signs what proves that nothing is closer than the wildcards of which records were written. It is false where the answer ends.
func (r *Reply) prove() bool {
	if r.work == nil || len(r.work.gaps) == 0 || r.cut {
		return true
	}
	w, signer := r.work, r.signer
	r.part, r.start = authority, len(r.b)
	for i := range w.gaps {
		g := &w.gaps[i]
		if slices.ContainsFunc(w.gaps[:i], func(o gap) bool { return r.same(&o, g) }) {
			continue
		}
		r.signer = g.signer
		if !r.gap(g) || !r.sign() {
			return false
		}
	}
	w.gaps, r.signer = w.gaps[:0], signer
	return true
}

// same says whether two gaps are one.
func (r *Reply) same(a, b *gap) bool {
	if a.before != b.before || a.signer != b.signer {
		return false
	}
	w := r.work
	w.names, w.star = r.expand(w.names[:0], a.encloser), r.expand(w.star[:0], b.encloser)
	return bytes.Equal(w.names, w.star)
}

// gap writes the record of one. It is false if it doesn't fit.
func (r *Reply) gap(g *gap) bool {
	began, w := len(r.b), r.work
	w.names = r.expand(w.names[:0], g.encloser)
	r.b = append(r.b, 0)
	r.b, _ = dnssec.Behind(r.b, g.before, len(w.names))
	r.b[began] = byte(len(r.b) - began - 1)
	r.pointer(g.encloser)
	r.fields(dnssec.TypeNSEC, g.ttl)
	at := len(r.b)
	if r.b = append(append(r.b, 0), g.behind...); g.behind == "" {
		r.b = dnssec.Last(r.b, len(w.names))
	}
	r.b[at] = byte(len(r.b) - at - 1)
	r.b = append(r.b, w.names...)
	r.bitmap(g.types)
	if !r.end() {
		r.truncate(began)
		return false
	}
	r.ns++
	return true
}

// bitmap ends an NSEC record with the types that there are, beside its own and that of its signature.
func (r *Reply) bitmap(types []uint16) {
	var few [32]uint16
	r.b = dnssec.Bitmap(r.b, append(append(few[:0], types...), dnssec.TypeRRSIG, dnssec.TypeNSEC))
}

// Keys writes the records of the domain's keys of a type, and says whether there are any.
func (r *Reply) Keys(t uint16) bool {
	if !r.d.Signer.On() {
		return false
	}
	keys := r.d.Signer.KeysOf(t)
	if keys == nil {
		return false
	}
	began := len(r.b)
	for _, data := range keys.Records {
		r.header(r.owner, t, keys.TTL)
		r.b = append(r.b, data...)
		if !r.end() {
			r.truncate(began)
			return true
		}
	}
	r.an += len(keys.Records)
	return true
}

// deny says that there is nothing of the type at the name, and proves it to who asks for that.
func (r *Reply) deny(a *answer.Answer, serial uint32) {
	if r.signer == nil {
		r.soa(serial, true)
		return
	}
	types := r.work.types[:0]
	if a.Outcome == answer.NameError {
		r.endless = true
		types = append(types, dnssec.TypeNXNAME)
	} else {
		types = r.exist(types, a)
	}
	r.work.types = types
	owner := func() { r.pointer(int(r.owner)) }
	if r.wild >= 0 {
		owner = func() { r.b = append(r.b, 1, '*'); r.pointer(r.base + int(r.n.starts[r.wild+1])) }
	}
	if a.Outcome != answer.NameError && (r.q.Type == dnssec.TypeNSEC || r.q.Type == dnssec.TypeRRSIG) {
		if r.nsec(owner, len(r.b), types) {
			r.an++
		}
		return
	}
	if r.soa(serial, true); r.cut {
		return
	}
	if r.nsec(owner, len(r.b), types) {
		r.ns++
	}
}

// exist adds the types of records that there are at the name.
func (r *Reply) exist(types []uint16, a *answer.Answer) []uint16 {
	types = append(types, r.types...)
	if r.apex {
		types = append(types, typeSOA)
		for _, t := range [...]uint16{dnssec.TypeDNSKEY, dnssec.TypeCDS, dnssec.TypeCDNSKEY} {
			if r.signer.KeysOf(t) != nil && !slices.Contains(r.types, t) {
				types = append(types, t)
			}
		}
	}
	switch {
	case a.NoRecords() && !r.apex:
		return append(types, typeHINFO) // see Answer
	case !a.Target:
		return types
	case a.Path.Port != "":
		return append(types, typeSRV)
	}
	if a.Has(true) {
		types = append(types, typeA)
	}
	if a.Has(false) {
		types = append(types, typeAAAA)
	}
	return types
}

// nsec writes the record that says which types there are at a name. It is false if it doesn't fit, and what is
// behind a place is taken back.
func (r *Reply) nsec(owner func(), began int, types []uint16) bool {
	at := len(r.b)
	owner()
	r.fields(dnssec.TypeNSEC, r.soaNow().negative())
	w := r.work
	w.names = r.expand(w.names[:0], at)
	r.b = dnssec.Next(r.b, w.names)
	r.bitmap(types)
	if !r.end() {
		r.truncate(began)
		return false
	}
	return true
}

// soaNow is the SOA record of the domain whose records are written.
func (r *Reply) soaNow() *SOA {
	if r.away {
		return &r.d.Lead.SOA
	}
	return &r.d.SOA
}

// expand adds the name that stands at a place: whole, and in lower case.
func (r *Reply) expand(b []byte, at int) []byte {
	from := len(b)
	for {
		switch size := int(r.b[at]); {
		case size >= 0xc0:
			at = int(binary.BigEndian.Uint16(r.b[at:]) & 0x3fff)
		case size == 0:
			b = append(b, 0)
			dnssec.Lower(b[from:])
			return b
		default:
			b = append(b, r.b[at:at+1+size]...)
			at += 1 + size
		}
	}
}

// skip is where what follows a name at a place begins, and where that name stands whole, or begins to.
func (r *Reply) skip(at int) (next, whole int) {
	if r.b[at] >= 0xc0 {
		return at + 2, int(binary.BigEndian.Uint16(r.b[at:]) & 0x3fff)
	}
	whole = at
	for r.b[at] != 0 {
		if r.b[at] >= 0xc0 {
			return at + 2, whole
		}
		at += 1 + int(r.b[at])
	}
	return at + 1, whole
}

// sign adds the signatures of the records that were written since it was called last. Where they don't
// fit, the section is taken back (RFC 4035 section 3.1.1), with TC but for additional records. It is false
// where the answer ends with that.
func (r *Reply) sign() bool {
	from, to := r.open, len(r.b)
	r.open = to
	if r.signer == nil || r.cut || from >= to {
		return true
	}
	w := r.work
	r.pieces(from, to)
	n := 0
	for i := range w.pieces {
		p := &w.pieces[i]
		if p.done || !r.ours(i) {
			continue
		}
		name := w.names[p.from:p.to]
		if own := p.owner == r.base; own && r.wild >= 0 {
			w.star = append(append(w.star[:0], 1, '*'), name[r.n.starts[r.wild+1]:]...)
			w.set.Begin(w.star, p.t, r.original(p))
		} else {
			w.set.Begin(name, p.t, r.original(p))
		}
		for j := i; j < len(w.pieces); j++ {
			if o := &w.pieces[j]; o.t == p.t && bytes.Equal(w.names[o.from:o.to], name) {
				o.done = true
				r.canonical(o)
			}
		}
		scarce := r.endless && p.owner == r.base
		if !r.signer.Sign(&w.set, r.now, scarce, r.size > Payload, &w.sigs) {
			return r.unsigned(true)
		}
		for _, sig := range w.sigs.All() {
			if p.owner < 1<<14 {
				r.pointer(p.owner)
			} else {
				r.b = append(r.b, name...)
			}
			r.fields(typeRRSIG, p.ttl)
			r.b = append(r.b, sig...)
			if !r.end() {
				return r.unsigned(false)
			}
			n++
		}
	}
	r.open = len(r.b)
	*r.count() += n
	return true
}

// count is that of the section.
func (r *Reply) count() *int {
	return [...]*int{&r.an, &r.ns, &r.ar}[r.part]
}

// unsigned takes the section back for which there are no signatures, or all.
func (r *Reply) unsigned(all bool) bool {
	if r.part == additional && !all {
		r.b, r.ar, r.signer = r.b[:r.start], 0, nil
		r.open = r.start
		return true
	}
	if all {
		r.start, r.an = r.q.end, 0
	}
	if r.part == answers {
		r.an = 0
	}
	r.ns, r.ar = 0, 0
	r.truncate(r.start)
	return false
}

// pieces finds the records between two places.
func (r *Reply) pieces(from, to int) {
	w := r.work
	w.names, w.pieces = w.names[:0], w.pieces[:0]
	for at := from; at < to; {
		var p piece
		at, p.owner = r.skip(at)
		if n := len(w.pieces); n > 0 && w.pieces[n-1].owner == p.owner {
			p.from, p.to = w.pieces[n-1].from, w.pieces[n-1].to
		} else {
			p.from = len(w.names)
			w.names = r.expand(w.names, p.owner)
			p.to = len(w.names)
		}
		p.t, p.ttl = binary.BigEndian.Uint16(r.b[at:]), binary.BigEndian.Uint32(r.b[at+4:])
		p.data = at + 10
		p.end = p.data + int(binary.BigEndian.Uint16(r.b[at+8:]))
		at = p.end
		w.pieces = append(w.pieces, p)
	}
}

// ours says whether a record is one that is signed: no delegation, no signature, and no CNAME that is made
// of a DNAME (RFC 6672 section 5.3.1).
func (r *Reply) ours(i int) bool {
	switch w := r.work; w.pieces[i].t {
	case typeRRSIG:
		return false
	case typeNS:
		return bytes.Equal(w.names[w.pieces[i].from:w.pieces[i].to], r.signer.Zone())
	case typeCNAME:
		return i == 0 || w.pieces[i-1].t != typeDNAME
	}
	return true
}

// original is the TTL that a record has when nothing is amiss.
func (r *Reply) original(p *piece) uint32 {
	switch {
	case p.t == typeSOA:
		return r.soaNow().TTL
	case p.ttl == r.reduced && r.normal > 0 && p.t != dnssec.TypeNSEC:
		return max(r.normal, p.ttl)
	}
	return p.ttl
}

// canonical adds a record to the set that is signed.
func (r *Reply) canonical(p *piece) {
	r.work.set.Record(func(b []byte) []byte {
		at := p.data
		before, names := dnssec.Names(p.t)
		if names > 0 {
			b = append(b, r.b[at:at+before]...)
			at += before
			for range names {
				b = r.expand(b, at)
				at, _ = r.skip(at)
			}
		}
		return append(b, r.b[at:p.end]...)
	})
}
