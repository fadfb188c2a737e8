package dnssec

import (
	"bytes"
	"encoding/binary"
)

// A Set is records of one name and type in canonical form. It is used over and over.
type Set struct {
	Type      uint16
	TTL       uint32 // the original one
	labels    uint8  // of the owner, without the root and a wildcard
	owner     []byte
	data      []byte // of the records, one after the other
	records   []span
	canonical []byte // all of it; set by sort
}

// A span is the data of one record.
type span struct{ from, to int }

// Begin begins a set: owner is on the wire and in lower case.
func (s *Set) Begin(owner []byte, t uint16, ttl uint32) {
	s.Type, s.TTL, s.labels = t, ttl, 0
	s.owner, s.data, s.records = append(s.owner[:0], owner...), s.data[:0], s.records[:0]
	for at := 0; owner[at] != 0; at += 1 + int(owner[at]) {
		s.labels++
	}
	if bytes.HasPrefix(owner, []byte("\x01*")) {
		s.labels-- // RFC 4034 section 3.1.3
	}
}

// aboutKeys says whether the records have to be signed by keys that the parent points to (RFC 4035
// section 2.2, RFC 7344 section 4.1).
func (s *Set) aboutKeys() bool {
	return s.Type == TypeDNSKEY || s.Type == TypeCDS || s.Type == TypeCDNSKEY
}

// Names says where names stand in the data of a type, in which upper and lower case are the same
// (RFC 4034 section 6.2, RFC 6840 section 5.1): behind so many bytes, and how many. NAPTR has them
// behind its strings.
func Names(t uint16) (before, count int) {
	switch t {
	case typeNS, 3, 4, typeCNAME, 7, 8, 9, 12, typeDNAME: // MD, MF, MB, MG, MR, PTR
		return 0, 1
	case typeSOA, 14, 17: // MINFO, RP
		return 0, 2
	case 15, 18, 21, 36: // MX, AFSDB, RT, KX
		return 2, 1
	case 26: // PX
		return 2, 2
	case 33: // SRV
		return 6, 1
	}
	return 0, 0
}

// typeNAPTR has order and preference, and three strings before its name.
const typeNAPTR = 35

// Record adds a record, whose data is written by add: whole, names without pointers.
func (s *Set) Record(add func(b []byte) []byte) {
	from := len(s.data)
	s.data = add(s.data)
	s.lower(s.data[from:])
	s.records = append(s.records, span{from, len(s.data)})
}

// lower brings the names in the data of a record into lower case.
func (s *Set) lower(data []byte) {
	before, count := Names(s.Type)
	if s.Type == typeNAPTR {
		before, count = 4, 1
		for range 3 {
			if before < len(data) {
				before += 1 + int(data[before])
			}
		}
	}
	for at := before; count > 0 && at < len(data); count-- {
		at += Lower(data[at:])
	}
}

// Lower brings a name that stands whole at the beginning of b into lower case, and says how long
// it is.
func Lower(b []byte) (size int) {
	for size < len(b) && b[size] != 0 {
		end := min(size+1+int(b[size]), len(b))
		for i := size + 1; i < end; i++ {
			if c := b[i]; 'A' <= c && c <= 'Z' {
				b[i] = c + 'a' - 'A'
			}
		}
		size = end
	}
	return size + 1
}

// sort brings the records into their order, each once (RFC 4034 section 6.3), and writes the whole
// set as it is signed.
func (s *Set) sort() {
	r := s.records
	for i := 1; i < len(r); i++ { // there are few, and often in order
		for j := i; j > 0 && bytes.Compare(s.data[r[j].from:r[j].to], s.data[r[j-1].from:r[j-1].to]) < 0; j-- {
			r[j], r[j-1] = r[j-1], r[j]
		}
	}
	b := s.canonical[:0]
	for i := range r {
		data := s.data[r[i].from:r[i].to]
		if i > 0 && bytes.Equal(data, s.data[r[i-1].from:r[i-1].to]) {
			continue
		}
		b = append(b, s.owner...)
		b = binary.BigEndian.AppendUint16(b, s.Type)
		b = append(b, 0, 1) // IN
		b = binary.BigEndian.AppendUint32(b, s.TTL)
		b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
		b = append(b, data...)
	}
	s.canonical = b
}
