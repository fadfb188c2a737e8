package dnssec

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"time"

	"github.com/fedns/fedns/internal/dnskey"
)

// A key is one that signs.
type key struct {
	*dnskey.Key
	tag  uint16
	mark uint64 // in the place of the key where signatures are looked up
}

// same says whether it is a key that has been read again.
func (k *key) same(o *dnskey.Key) bool {
	return k.Algorithm == o.Algorithm && k.Flags == o.Flags && bytes.Equal(k.Public, o.Public)
}

// sign makes the data of an RRSIG record (RFC 4034 section 3.1) over a sorted set. The same at the same time
// gives the same: ECDSA without chance (RFC 6979), as Ed25519 is.
func (k *key) sign(zone []byte, set *Set, now uint32) []byte {
	b := make([]byte, 0, 18+len(zone)+max(len(set.canonical), 64))
	b = binary.BigEndian.AppendUint16(b, set.Type)
	b = append(b, byte(k.Algorithm), set.labels)
	b = binary.BigEndian.AppendUint32(b, set.TTL)
	b = binary.BigEndian.AppendUint32(b, now+uint32(lifetime/time.Second))
	b = binary.BigEndian.AppendUint32(b, now-uint32(backdated/time.Second))
	b = binary.BigEndian.AppendUint16(b, k.tag)
	b = append(b, zone...)
	head := len(b)
	b = append(b, set.canonical...)
	return k.signature(b[:head:head], b)
}

// signature adds the signature over a message.
func (k *key) signature(to, message []byte) []byte {
	if k.Algorithm == dnskey.ED25519 {
		s, err := k.Signer.Sign(nil, message, crypto.Hash(0))
		if err != nil {
			panic("dnssec: key " + k.String() + ": " + err.Error())
		}
		return append(to, s...)
	}
	sum := sha256.Sum256(message)
	s, err := k.Signer.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		panic("dnssec: key " + k.String() + ": " + err.Error())
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(s, &rs); err != nil {
		panic("dnssec: key " + k.String() + ": " + err.Error())
	}
	var raw [64]byte // RFC 6605 section 4
	rs.R.FillBytes(raw[:32])
	rs.S.FillBytes(raw[32:])
	return append(to, raw[:]...)
}
