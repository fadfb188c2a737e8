package message

import (
	"bytes"
	"encoding/binary"
	"iter"

	"github.com/fedns/fedns/internal/dns/dnssec"
)

// An RR is a record that stands in no message: its names are whole, on the wire.
type RR struct {
	Name []byte
	Type uint16
	TTL  uint32
	Data []byte
}

// Own are the records of an answer that are of the name itself that was asked for, and not of where it leads. What they
// hold is added to room, where it stays.
func (r *Reply) Own(room *[]byte) iter.Seq[RR] {
	return func(yield func(RR) bool) {
		at := r.q.end
		for range r.an {
			next, owner := r.skip(at)
			t, data := binary.BigEndian.Uint16(r.b[next:]), next+10
			end := data + int(binary.BigEndian.Uint16(r.b[next+8:]))
			at = end
			if owner != HeaderSize {
				continue
			}
			b, from := *room, len(*room)
			b = r.expand(b, owner)
			middle := len(b)
			before, names := dnssec.Names(t)
			if names > 0 {
				b = append(b, r.b[data:data+before]...)
				data += before
				for range names {
					b = r.expand(b, data)
					data, _ = r.skip(data)
				}
			}
			b = append(b, r.b[data:end]...)
			*room = b
			if !yield(RR{b[from:middle:middle], t, binary.BigEndian.Uint32(r.b[next+4:]), b[middle:len(b):len(b)]}) {
				return
			}
		}
	}
}

// A Bulk is a message that is filled with records, as those of a zone transfer are. Names are compressed, in
// the data of the oldest types, too (RFC 3597 section 4). It is used over and over.
type Bulk struct {
	b    []byte
	size int
	n    int
	last int // where the name of the last record stands; 0: out of reach
	name []byte
	// places is where names of which others may be a beginning stand, by a hash of them, or up to bulkProbes behind; 0: nowhere.
	places [1 << bulkBits]uint16
}

const (
	// bulkBits makes twice the places that the names need that are in reach of pointers, 16 KiB: a record has 14
	// bytes at least.
	bulkBits = 12
	// bulkProbes bounds what names cost of which many have one hash.
	bulkProbes = 16
)

// Begin begins a message in b, behind the header and the question of which it is an answer; it is going to be of so many bytes
// at most.
func (m *Bulk) Begin(b []byte, size int) {
	*m = Bulk{b: b, size: size, name: m.name[:0]}
	if len(b) > HeaderSize {
		var x suffixes
		x.of(b[HeaderSize:])
		m.keep(&x, x.count, HeaderSize)
	}
}

// Add adds a record, and says whether there was room: if not, and there are others, the message is to be sent.
func (m *Bulk) Add(r *RR) bool {
	began := len(m.b)
	if m.last > 0 && bytes.Equal(m.name, r.Name) {
		m.b = binary.BigEndian.AppendUint16(m.b, 0xc000|uint16(m.last))
	} else {
		m.write(r.Name)
		if m.last = 0; began < 1<<14 {
			m.last, m.name = began, append(m.name[:0], r.Name...)
		}
	}
	m.b = binary.BigEndian.AppendUint16(m.b, r.Type)
	m.b = binary.BigEndian.AppendUint16(m.b, classIN)
	m.b = binary.BigEndian.AppendUint32(m.b, r.TTL)
	m.b = append(m.b, 0, 0)
	at, data := len(m.b), r.Data
	switch r.Type {
	case typeNS, typeCNAME, typeSOA, typePTR, typeMX:
		before, names := dnssec.Names(r.Type)
		m.b, data = append(m.b, data[:before]...), data[before:]
		for range names {
			data = data[m.write(data):]
		}
	}
	m.b = append(m.b, data...)
	if len(m.b) > m.size && m.n > 0 {
		m.b = m.b[:began]
		return false
	}
	binary.BigEndian.PutUint16(m.b[at-2:], uint16(len(m.b)-at))
	m.n++
	return true
}

// The types in whose data names may be compressed, beside those that are written elsewhere.
const (
	typePTR = 12
	typeMX  = 15
)

// End gives the message.
func (m *Bulk) End() []byte {
	binary.BigEndian.PutUint16(m.b[6:], uint16(m.n))
	return m.b
}

// suffixes are where the labels of a name begin, and the places of what begins there.
type suffixes struct {
	start [maxLabels]uint8
	place [maxLabels]uint16
	count int
	size  int // of the name, with the root
}

func (x *suffixes) of(name []byte) {
	for name[x.size] != 0 {
		x.start[x.count] = uint8(x.size)
		x.size += 1 + int(name[x.size])
		x.count++
	}
	// The hash is FNV's; whoever can choose names so that many have one has the zone a little larger.
	h, end := uint32(2166136261), x.size
	for i := x.count - 1; i >= 0; i-- {
		for _, c := range name[x.start[i]:end] {
			h = (h ^ uint32(c)) * 16777619
		}
		x.place[i], end = uint16((h^h>>bulkBits)&(1<<bulkBits-1)), int(x.start[i])
	}
	x.size++
}

// write writes a name that stands whole at the beginning of b, by a pointer to as much of it as there is already, and says
// how long it is.
func (m *Bulk) write(b []byte) (size int) {
	var x suffixes
	x.of(b)
	from := len(m.b)
	for i := range x.count {
		if at := m.find(x.place[i], b[x.start[i]:x.size]); at > 0 {
			m.b = append(m.b, b[:x.start[i]]...)
			m.b = binary.BigEndian.AppendUint16(m.b, 0xc000|at)
			m.keep(&x, i, from)
			return x.size
		}
	}
	m.b = append(m.b, b[:x.size]...)
	m.keep(&x, x.count, from)
	return x.size
}

// keep notes where the first suffixes of a name stand that begins at a place, as far as pointers reach.
func (m *Bulk) keep(x *suffixes, count, from int) {
	for i := range count {
		at := from + int(x.start[i])
		if at >= 1<<14 {
			return
		}
		for probe := range uint16(bulkProbes) {
			if place := &m.places[(x.place[i]+probe)%(1<<bulkBits)]; *place == 0 {
				*place = uint16(at)
				break
			}
		}
	}
}

// find says where a whole name with a hash stands; 0: nowhere that is known.
func (m *Bulk) find(place uint16, name []byte) (at uint16) {
	for probe := range uint16(bulkProbes) {
		at = m.places[(place+probe)%(1<<bulkBits)]
		if at == 0 || m.stands(int(at), name) {
			return at
		}
	}
	return 0
}

// stands says whether a whole name stands at a place of the message.
func (m *Bulk) stands(at int, name []byte) bool {
	for {
		size := int(m.b[at])
		if size >= 0xc0 {
			at = int(binary.BigEndian.Uint16(m.b[at:]) & 0x3fff)
			continue
		}
		if !bytes.HasPrefix(name, m.b[at:at+1+size]) {
			return false
		}
		if size == 0 {
			return true
		}
		at, name = at+1+size, name[1+size:]
	}
}
