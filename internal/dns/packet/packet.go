// Package packet is what a transport and whoever answers give each other: a question as it
// came, and the answer in its place.
package packet

import (
	"net"
	"net/netip"
)

// A Handler answers what comes to an address.
type Handler interface {
	// Responder gives what answers for one of n goroutines that read.
	Responder(n int) Responder
}

// A Responder answers what one goroutine reads, one question at a time.
type Responder interface {
	// Begin is called before the questions of a batch are answered.
	Begin()
	// Respond puts the answer to p in p.Buf and gives its length; 0: there is none,
	// or it comes later, by a Deferred.
	Respond(p *Packet) int
	// End is called before the answers of a batch are sent.
	End()
}

// A Packet is a question that was read.
type Packet struct {
	Buf    []byte // room for the answer; the question is the first N
	N      int
	Cut    bool // the question was longer than Buf
	Stream bool // it came by a connection, whose other end is where it says, and takes answers of any length
	From   netip.AddrPort

	// Keep gives the means to answer later. What Buf holds is over when Respond returns.
	Keep func() Deferred
}

// A Deferred is a question that is answered later, by any goroutine. Done must be
// called once, whether it was answered or not.
type Deferred interface {
	// Query is the question, whose bytes are whose it is now.
	Query() []byte
	// Write sends an answer; a connection takes several.
	Write([]byte) error
	// To is the address that the question came to.
	To() net.Addr
	// Done says that no answer will come any more.
	Done()
}

// Size is how long a datagram is read to. Queries are shorter by far; padding may
// bring one to a few hundred bytes.
const Size = 4096

// New makes a packet of a datagram that didn't come from a socket.
func New(query []byte, from netip.AddrPort, keep func() Deferred) *Packet {
	p := &Packet{Buf: make([]byte, Size), N: min(len(query), Size), Cut: len(query) > Size, From: from, Keep: keep}
	copy(p.Buf, query)
	return p
}
