package dnskey

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // digests of DS records
	_ "crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// An Anchor is a DS record, by which a parent points to a key (RFC 4034 section 5).
type Anchor struct {
	Tag       uint16
	Algorithm Algorithm
	Kind      uint8 // of the digest
	Digest    []byte
}

// digests are the kinds of digests that parents have.
var digests = map[uint8]crypto.Hash{1: crypto.SHA1, digestSHA256: crypto.SHA256, 4: crypto.SHA384}

// ParseAnchor reads one as records are written: TAG ALGORITHM KIND DIGEST.
func ParseAnchor(text string) (a Anchor, err error) {
	var digest string
	if _, err := fmt.Sscan(text, &a.Tag, (*uint8)(&a.Algorithm), &a.Kind, &digest); err != nil {
		return a, fmt.Errorf("%q is no DS record, such as 60485 13 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A", text)
	}
	if a.Digest, err = hex.DecodeString(digest); err != nil {
		return a, fmt.Errorf("%q: the digest of a DS record is hexadecimal", text)
	}
	return a, nil
}

func (a Anchor) String() string {
	return fmt.Sprintf("%d %d %d %s", a.Tag, a.Algorithm, a.Kind, strings.ToUpper(hex.EncodeToString(a.Digest)))
}

// Is says whether a DS record points to the key.
func (k *Key) Is(a Anchor) bool {
	hash, known := digests[a.Kind]
	if !known || a.Tag != k.Tag() || a.Algorithm != k.Algorithm {
		return false
	}
	h := hash.New()
	h.Write(k.Zone.Append(nil))
	h.Write(k.Data())
	return bytes.Equal(h.Sum(nil), a.Digest)
}

// Unanchored is from when on a parent points to none of the keys that sign the keys of a zone: whoever verifies finds it forged then.
// It is now where that is so already; false: never, as the dates are.
func Unanchored(zone dnsname.Name, keys []*Key, anchors []Anchor, now time.Time) (from time.Time, ok bool) {
	for _, at := range append([]time.Time{now}, changes(keys, now)...) {
		p, err := PlanAt(zone, keys, at)
		if err != nil || !slices.ContainsFunc(p.Keys, func(k *Key) bool { return slices.ContainsFunc(anchors, k.Is) }) {
			return at, true
		}
	}
	return time.Time{}, false
}
