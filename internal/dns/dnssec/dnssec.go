// Package dnssec signs sets of records when they are asked for, and denies what isn't there.
//
// A Set is brought into canonical form (RFC 4034 section 6), so that it is signed once, whatever
// the order it is given in and whatever its TTL has come down to; the signature is kept until it
// ages (Kept). Denial is compact (RFC 9824): an NSEC record of the name that was asked for says what
// there is. Names have no end, and signatures of them do: a Kept makes so many of them a second.
//
// It knows no messages, and no clock: the time is an argument. Which keys sign when is package
// dnskey's.
package dnssec

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dnskey"
)

// Types of records that speak of signatures and keys (RFC 4034, RFC 7344, RFC 9824).
const (
	TypeDS      = 43
	TypeRRSIG   = 46
	TypeNSEC    = 47
	TypeDNSKEY  = 48
	TypeCDS     = 59
	TypeCDNSKEY = 60
	TypeNXNAME  = 128

	typeNS    = 2
	typeSOA   = 6
	typeDNAME = 39
	typeCNAME = 5
)

// A Signer signs the records of one zone, with the keys that it has been given last.
type Signer struct {
	zone []byte // on the wire
	kept *Kept
	with atomic.Pointer[keys]
}

// keys are those of a moment.
type keys struct {
	own  []key // sign the sets that are about keys
	data []key // sign all others
	sets [3]Keys
}

// Keys are the records of one of the types DNSKEY, CDS and CDNSKEY.
type Keys struct {
	Type    uint16
	TTL     uint32
	Records [][]byte // their data
}

// NewSigner signs nothing before it is given keys.
func NewSigner(zone dnsname.Name, kept *Kept) *Signer {
	return &Signer{zone: zone.Append(nil), kept: kept}
}

// Use has the zone signed as a plan says. Signatures by keys that sign on stay.
func (s *Signer) Use(p *dnskey.Plan) {
	next := &keys{own: s.keysOf(p.Keys), data: s.keysOf(p.Data)}
	next.sets = [3]Keys{{Type: TypeDNSKEY, TTL: p.TTL()}, {Type: TypeCDS, TTL: p.TTL()}, {Type: TypeCDNSKEY, TTL: p.TTL()}}
	for _, k := range p.Publish {
		next.sets[0].Records = append(next.sets[0].Records, k.Data())
	}
	for _, k := range p.Sync {
		next.sets[1].Records = append(next.sets[1].Records, k.DS())
		next.sets[2].Records = append(next.sets[2].Records, k.Data())
	}
	s.with.Store(next)
}

// keysOf are the keys as they sign, those that do so already with the mark they have.
func (s *Signer) keysOf(list []*dnskey.Key) (out []key) {
	old := s.with.Load()
	for _, k := range list {
		made := key{Key: k, tag: k.Tag(), mark: rand.Uint64()}
		if old != nil {
			for _, o := range slices.Concat(old.own, old.data) {
				if o.same(k) {
					made.mark = o.mark
				}
			}
		}
		out = append(out, made)
	}
	return out
}

// Zone is the name of the zone on the wire.
func (s *Signer) Zone() []byte { return s.zone }

// On says whether there are keys. Of nil there are none.
func (s *Signer) On() bool { return s != nil && s.with.Load() != nil }

// KeysOf are the records of a type that are about keys; nil: there are none.
func (s *Signer) KeysOf(t uint16) *Keys {
	if w := s.with.Load(); w != nil {
		for i := range w.sets {
			if k := &w.sets[i]; k.Type == t && len(k.Records) > 0 {
				return k
			}
		}
	}
	return nil
}

// maxKeys is by how many keys a set is signed at most: those of a rollover of several servers, each with its own.
const maxKeys = 8

// Signatures are the data of the RRSIG records of a set.
type Signatures struct {
	Made int // how many of them weren't kept

	list [maxKeys][]byte
	n    int
}

// All are the data, of each signature one.
func (s *Signatures) All() [][]byte { return s.list[:s.n] }

// How long signatures hold. A set that is remembered is given out for as long as its TTL after it
// was fetched, and clocks aren't right everywhere.
const (
	backdated = time.Hour
	lifetime  = 14 * 24 * time.Hour
	// refresh is how old one is that is made anew; no two at one moment.
	refresh = 7 * 24 * time.Hour
	spread  = 24 * time.Hour
)

// Sign gives the signatures of a set, at a time in seconds since 1970. scarce says that it is of a
// name of which there is no end, and that there may be none: ok is false then.
func (s *Signer) Sign(set *Set, now uint32, scarce, must bool, out *Signatures) (ok bool) {
	with := s.with.Load()
	out.n, out.Made = 0, 0
	if with == nil {
		return true
	}
	by := with.data
	if set.aboutKeys() {
		by = with.own
	}
	set.sort()
	a, b := s.kept.hash(set.canonical)
	in := &s.kept.names
	if scarce {
		in = &s.kept.others
	}
	for i := range min(len(by), maxKeys) {
		k := &by[i]
		id := [2]uint64{a ^ k.mark, b}
		sig := in.find(id, now)
		if sig == nil {
			if scarce && !s.kept.spend(now) && !must {
				s.kept.Refused.Add(1)
				return false
			}
			sig = s.make(k, set, id, now)
			in.put(sig, now, false)
			out.Made++
		}
		out.list[out.n] = sig.data
		out.n++
	}
	return true
}

// SignWhole gives the signatures of a set of a zone that is transferred, which began at a time in seconds since 1970.
func (s *Signer) SignWhole(set *Set, began uint32, out *Signatures) {
	with := s.with.Load()
	out.n, out.Made = 0, 0
	if with == nil {
		return
	}
	by := with.data
	if set.aboutKeys() {
		by = with.own
	}
	set.sort()
	a, b := s.kept.hash(set.canonical)
	for i := range min(len(by), maxKeys) {
		id := [2]uint64{a ^ by[i].mark, b}
		sig := s.kept.whole().find(id, began)
		if sig == nil {
			sig = s.makeWhole(&by[i], set, id, began)
			out.Made++
		}
		out.list[out.n] = sig.data
		out.n++
	}
}

// makeWhole makes a signature that isn't kept, unless another transfer does.
func (s *Signer) makeWhole(k *key, set *Set, id [2]uint64, began uint32) *signature {
	in := s.kept.whole()
	lock := &s.kept.making[id[1]%uint64(len(s.kept.making))]
	lock.Lock()
	defer lock.Unlock()
	sig := in.find(id, began)
	if sig == nil {
		s.kept.cores <- struct{}{}
		defer func() { <-s.kept.cores }()
		sig = s.make(k, set, id, began)
		in.put(sig, began, true)
	}
	return sig
}

// make makes a signature.
func (s *Signer) make(k *key, set *Set, id [2]uint64, now uint32) *signature {
	s.kept.Made.Add(1)
	return &signature{id: id, data: k.sign(s.zone, set, now), from: now, until: now + uint32((refresh+time.Duration(id[1]%uint64(spread)))/time.Second)}
}
