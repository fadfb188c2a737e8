// Package rrl limits how many answers a second go to one network, so that queries
// with a forged source make the server no amplifier.
//
// A network is a /24 of IPv4 or a /56 of IPv6: what one victim is likely to have.
// A table has room for 65,536 of them and never grows, so what is exact has an
// end. When a network finds its set full, the one that has been idle the longest
// is forgotten for it:
//
//   - The error is to pass too much, never too little. Networks don't share an
//     entry, and one that comes back after it was forgotten is as good as new.
//   - If the forgotten one was idle for a second, there is no error at all.
//   - A network at its limit is the last to go, because its next answer is furthest
//     away. A flood from a million addresses doesn't free it.
//   - Five networks of one set that are all at the limit are one too many; two of
//     them take turns and get away. Of ten thousand floods at once that is some
//     twenty. The sets are chosen by a keyed hash, so it is nobody's choice which.
//
// It never looks at the clock.
package rrl

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"time"
)

// A Limit is what one network gets.
type Limit struct {
	Rate int // answers a second, and how many at once after a second of silence
	// Slip is how often a limited answer is sent truncated: every Slip-th, 1 for all,
	// 0 for none, at most MaxSlip. A real client whose network is forged then tries
	// again over TCP; none would leave it to its luck.
	Slip int
}

// MaxSlip is the largest Slip: the count has the bits that a network's name leaves.
const MaxSlip = 1<<countBits - 1

// A Verdict is what becomes of an answer. The zero value is the cautious one.
type Verdict uint8

// The verdicts.
const (
	Drop Verdict = iota // send nothing
	Slip                // send it empty and truncated
	Pass                // send it
)

func (v Verdict) String() string { return [...]string{"drop", "slip", "pass"}[v] }

const (
	setBits   = 14
	ways      = 4 // entries of 16 bytes: a set is a cache line
	countBits = 7
)

// An entry is what is known of one network. The zero value is right as it is: it
// stands for ::/56, which has been idle for ever, and is the first to be replaced.
type entry struct {
	name uint64 // the network in 57 bits, and how many answers were limited since the last slip
	// due is GCRA's theoretical arrival time: when the network would be idle again
	// if it asked nothing more. It is at most a second away.
	due time.Duration
}

// A Table counts the answers of one socket's loop, the only one that may use it.
type Table struct {
	interval time.Duration // of answers at the limit
	ahead    time.Duration // how far due may be away for an answer to pass
	slip     uint64
	seed     maphash.Seed
	sets     *[1 << setBits][ways]entry
}

// New returns an empty table of 1 MiB. The seed is random, and secret: whoever
// knows it can choose networks that fall into one set.
func New(l Limit, seed maphash.Seed) *Table {
	if l.Rate < 1 || l.Rate > int(time.Second) {
		panic(fmt.Sprintf("rrl: a rate of %d is not between 1 and %d answers a second", l.Rate, time.Second))
	}
	if l.Slip < 0 || l.Slip > MaxSlip {
		panic(fmt.Sprintf("rrl: a slip of %d is not between 0 and %d", l.Slip, MaxSlip))
	}
	// Rounded down, so that the limit is never less than was asked for. Of a million
	// a second it is nothing more, of seven million 0.6 %.
	interval := time.Second / time.Duration(l.Rate)
	return &Table{
		interval: interval,
		ahead:    interval * time.Duration(l.Rate-1),
		slip:     uint64(l.Slip),
		seed:     seed,
		sets:     new([1 << setBits][ways]entry),
	}
}

// Take says what becomes of an answer to an address. Now is the time since any
// fixed moment that was before the first call.
//
// The limited answers are counted for each network: a count for all would let one
// network's flood decide which answers slip to another.
func (t *Table) Take(from netip.Addr, now time.Duration) Verdict {
	e := t.entry(networkOf(from))
	if e.due-now <= t.ahead {
		e.due = max(e.due, now) + t.interval
		return Pass
	}
	// No monotonic clock leads further than a second. If this one went back, the
	// network waits a second for it, not until it is where it was.
	e.due = min(e.due, now+time.Second)

	if t.slip == 0 {
		return Drop
	}
	e.name++
	if e.name&MaxSlip < t.slip {
		return Drop
	}
	e.name &^= MaxSlip
	return Slip
}

// entry finds a network's entry, or gives it that of its set which has been idle
// the longest.
func (t *Table) entry(network uint64) *entry {
	set := t.set(network)
	for i := range set {
		if e := &set[i]; e.name>>countBits == network {
			return e
		}
	}
	// Which is the idlest can't be predicted, so this is a loop of its own that
	// compiles without a branch: a sixth less for a flood of random addresses.
	idlest, due := 0, set[0].due
	for i := range set {
		if d := set[i].due; d < due {
			idlest, due = i, d
		}
	}
	e := &set[idlest]
	*e = entry{name: network << countBits}
	return e
}

func (t *Table) set(network uint64) *[ways]entry {
	return &t.sets[maphash.Comparable(t.seed, network)&(1<<setBits-1)]
}

// networkOf is the number of an address's /24 or /56. The bit above the 56 keeps
// IPv4 apart. An IPv4 address is one on a socket of either family.
func networkOf(a netip.Addr) uint64 {
	if a.Is4() || a.Is4In6() {
		b := a.As4()
		return 1<<56 | uint64(binary.BigEndian.Uint32(b[:])>>8)
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:]) >> 8
}
