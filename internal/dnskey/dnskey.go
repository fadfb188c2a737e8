// Package dnskey knows the keys that a zone is signed with: as BIND's dnssec-keygen writes them
// into files, with the dates that say what each is for and when.
//
// A rollover is a file and a date: PlanAt says, for a moment, which keys are published, which sign
// what, and what is wrong. It is a function of keys and a time, for a server that signs and for
// whoever looks at the keys from elsewhere.
package dnskey

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// An Algorithm is how a key signs, by its number in DNS (RFC 8624).
type Algorithm uint8

// The algorithms. Every validator has to know the first; the second is the fastest here, and not
// every registry takes it yet.
const (
	ECDSAP256SHA256 Algorithm = 13
	ED25519         Algorithm = 15
)

func (a Algorithm) String() string {
	switch a {
	case ECDSAP256SHA256:
		return "ECDSAP256SHA256"
	case ED25519:
		return "ED25519"
	}
	return fmt.Sprint("algorithm ", uint8(a))
}

// Zone is the name of a zone as keys have it.
func Zone(name string) (dnsname.Name, error) { return dnsname.Parse(name) }

// The flags of a key (RFC 4034 section 2.1.1, RFC 5011 section 7).
const (
	flagZone   = 0x0100
	flagRevoke = 0x0080
	flagEntry  = 0x0001
)

// A Key is one key of a zone.
type Key struct {
	Zone      dnsname.Name
	Algorithm Algorithm
	Flags     uint16
	Public    []byte // as it stands in the DNSKEY record
	TTL       uint32 // of that record as its file has it; 0: it says none
	Dates     Dates
	Signer    crypto.Signer // nil: it is another server's, and only published here
	Path      string        // of its files, without what ends their names
}

// Entry says whether the parent points to the key, or is to (a KSK or CSK), and not only other keys
// of the zone do (a ZSK).
func (k *Key) Entry() bool { return k.Flags&flagEntry != 0 }

// Revoked says whether the key is to be believed no more.
func (k *Key) Revoked() bool { return k.Flags&flagRevoke != 0 }

// Data is the key as its DNSKEY record has it, and its CDNSKEY record (RFC 7344).
func (k *Key) Data() []byte {
	b := binary.BigEndian.AppendUint16(nil, k.Flags)
	return append(append(b, 3, byte(k.Algorithm)), k.Public...)
}

// Tag is the number by which records speak of the key (RFC 4034 appendix B).
func (k *Key) Tag() uint16 {
	sum := uint32(0)
	for i, c := range k.Data() {
		if i%2 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
	}
	return uint16(sum + sum>>16)
}

// digestSHA256 is the one kind of digest that everybody takes (RFC 8624 section 3.3).
const digestSHA256 = 2

// DS is what the parent has to say of the key, as a record has it.
func (k *Key) DS() []byte {
	h := sha256.New()
	h.Write(k.Zone.Append(nil))
	h.Write(k.Data())
	b := binary.BigEndian.AppendUint16(nil, k.Tag())
	return h.Sum(append(b, byte(k.Algorithm), digestSHA256))
}

// DSText is the same in presentation form.
func (k *Key) DSText() string {
	ds := k.DS()
	return fmt.Sprintf("%d %d %d %s", k.Tag(), k.Algorithm, digestSHA256, strings.ToUpper(hex.EncodeToString(ds[4:])))
}

// Record is the DNSKEY record, in presentation form.
func (k *Key) Record() string {
	ttl := ""
	if k.TTL > 0 {
		ttl = fmt.Sprint(k.TTL, " ")
	}
	return fmt.Sprintf("%s %sIN DNSKEY %d 3 %d %s", k.Zone, ttl, k.Flags, k.Algorithm, base64.StdEncoding.EncodeToString(k.Public))
}

// FileName is how files of the key are called, without what ends their names.
func (k *Key) FileName() string { return fmt.Sprintf("K%s+%03d+%05d", k.Zone, k.Algorithm, k.Tag()) }

func (k *Key) String() string {
	return fmt.Sprintf("%d (%s, algorithm %d)", k.Tag(), k.Zone, k.Algorithm)
}
