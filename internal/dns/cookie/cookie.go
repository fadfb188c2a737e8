// Package cookie makes and checks DNS cookies (RFC 7873), by which a client that
// has had an answer before is told from one that forges its address.
//
// A server cookie is what RFC 9018 section 4 says, so servers of any make behind
// one address accept each other's, if they share the secrets. The package keeps
// nothing of a client and never looks at the clock. What is owed to a client with
// a bad cookie is the caller's to decide.
package cookie

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"net/netip"

	"github.com/dchest/siphash"
)

const (
	// ClientLen is the length of a client cookie.
	ClientLen = 8
	serverLen = 16 // of a server cookie as RFC 9018 has it; others may be 8 to 32 long
	version   = 1  // of RFC 9018, and the only one there is
)

// The ages of a server cookie in seconds, all from RFC 9018 section 4.3.
const (
	lifetime = 60 * 60 // no older than this
	renewal  = 30 * 60 // a new one is given beyond this
	skew     = 5 * 60  // from the future by no more than this: servers' clocks differ
)

// A Verdict is what a server cookie is worth. The zero value is the cautious one.
type Verdict uint8

// The verdicts.
const (
	Bad   Verdict = iota // not ours, not this client's, or not of this time
	Good                 // the client has had an answer at this address
	Aging                // good, but older than half an hour: give a new one
)

func (v Verdict) String() string { return [...]string{"bad", "good", "aging"}[v] }

// Split takes the data of a COOKIE option apart. There is a server cookie only if
// the client has one. Not ok is FORMERR (RFC 7873 section 5.2.2): the data is
// neither 8 bytes long nor 16 to 40.
func Split(option []byte) (client, server []byte, ok bool) {
	if n := len(option); n != ClientLen && (n < 16 || n > 40) {
		return nil, nil, false
	}
	return option[:ClientLen:ClientLen], option[ClientLen:], true
}

// A Keyring makes cookies with its first secret and accepts those of any. It doesn't
// change: new secrets are a new keyring.
type Keyring struct {
	keys    []key
	tickets [][32]byte
}

// A key is a secret as SipHash takes it.
type key struct{ k0, k1 uint64 }

// New returns a keyring of at least one secret.
func New(secrets ...Secret) *Keyring {
	if len(secrets) == 0 {
		panic("cookie: a jar without a secret can make no cookie")
	}
	j := &Keyring{}
	for _, s := range secrets {
		mac := hmac.New(sha256.New, s[:])
		mac.Write([]byte(ticketLabel))
		j.tickets = append(j.tickets, [32]byte(mac.Sum(nil)))
		j.keys = append(j.keys, key{binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:])})
	}
	return j
}

// ticketLabel parts the keys of tickets from all else that is made of secrets.
const ticketLabel = "fedns TLS session tickets 1"

// TicketKeys are keys for TLS session tickets (RFC 5077, RFC 8446 section 2.2) that follow from the secrets: servers that share
// these go on with each other's sessions, and forget them with these. The first makes tickets, all read them.
func (j *Keyring) TicketKeys() [][32]byte { return j.tickets }

// Check says what a server cookie is worth that came with a client cookie of 8
// bytes from an address. Now is in seconds since 1970, and may have wrapped around.
func (j *Keyring) Check(client, server []byte, from netip.Addr, now uint32) Verdict {
	if len(client) != ClientLen || len(server) != serverLen || server[0] != version {
		return Bad
	}
	// Serial number arithmetic (RFC 1982): the difference, with its sign, is right
	// across the wrap of 2106, where a comparison isn't. It comes before the hash
	// because it tells nothing of the secret and a replayed flood then costs little.
	age := int32(now - binary.BigEndian.Uint32(server[4:]))
	if age > lifetime || age < -skew {
		return Bad
	}
	var buf [maxInput]byte
	// The reserved bytes are hashed as they came. They must not be refused for not
	// being zero (RFC 9018 section 4.2): a later server of the set may use them.
	in := input(&buf, client, server[:8], from)
	for _, k := range j.keys {
		// To stop at the first that fits tells which secret it was, not what it is.
		if sum := k.hash(in); subtle.ConstantTimeCompare(sum[:], server[8:]) == 1 {
			if age > renewal {
				return Aging
			}
			return Good
		}
	}
	return Bad
}

// Append appends the server cookie for a client cookie of 8 bytes from an address.
// Now is in seconds since 1970.
func (j *Keyring) Append(b, client []byte, from netip.Addr, now uint32) []byte {
	var head [8]byte // version, three reserved bytes that are zero, timestamp
	head[0] = version
	binary.BigEndian.PutUint32(head[4:], now)
	var buf [maxInput]byte
	sum := j.keys[0].hash(input(&buf, client, head[:], from))
	return append(append(b, head[:]...), sum[:]...)
}

// maxInput is the length of what is hashed for IPv6; it is 12 less for IPv4.
const maxInput = ClientLen + 8 + 16

// input lays out in buf what is hashed (RFC 9018 section 4.4): client cookie, the
// server cookie without its hash, address. An IPv4 address is 4 bytes on a socket
// of either family, since the servers that share the secrets need not share that.
func input(buf *[maxInput]byte, client, head []byte, from netip.Addr) []byte {
	in := append(append(buf[:0], client...), head...)
	if from.Is4() || from.Is4In6() {
		ip := from.As4()
		return append(in, ip[:]...)
	}
	ip := from.As16()
	return append(in, ip[:]...)
}

// hash is SipHash-2-4, written little endian as its authors do. The vectors of RFC
// 9018 appendix A come out so, and not the other way around.
func (k key) hash(in []byte) (sum [8]byte) {
	binary.LittleEndian.PutUint64(sum[:], siphash.Hash(k.k0, k.k1, in))
	return sum
}
