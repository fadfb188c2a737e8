// Package udp answers datagrams in batches, on sockets that share an address with
// another server's.
//
// The kernel lets sockets of one user share an address (SO_REUSEPORT) and asks a
// small program which of them a datagram is for. A Group opens its own sockets
// beside those that are there, and takes what a Handler is made for; the rest goes
// where it went. Each socket has one goroutine, which reads up to a batch of
// datagrams with one call, has each answered in its place, and writes the answers
// with another: no allocation, no lock, no goroutine a query.
//
// It runs on Linux; elsewhere Open says so.
package udp

import (
	"net/netip"
	"time"
)

// Batch is how many datagrams are read and written with one call. More buys
// nothing: at 64 the call itself is a hundredth of what the kernel spends on each
// datagram.
const Batch = 64

// Size is how long a datagram is read to. Queries are shorter by far; padding may
// bring one to a few hundred bytes.
const Size = 4096

// A Handler answers the datagrams of a group.
type Handler interface {
	// Responder gives what answers those of one socket of n.
	Responder(n int) Responder
}

// A Responder answers the datagrams of one socket, one at a time.
type Responder interface {
	// Begin is called before the datagrams of a batch are answered. now is on the
	// clock of the handler.
	Begin()
	// Respond puts the answer to p in p.Buf and gives its length; 0: there is none,
	// or it comes later, by a Deferred.
	Respond(p *Packet) int
	// End is called before the answers of a batch are sent.
	End()
}

// A Packet is a datagram that was read.
type Packet struct {
	Buf  []byte // Size bytes; the datagram is the first N
	N    int
	Cut  bool // the datagram was longer than Buf
	From netip.AddrPort

	keep func() *Deferred
}

// Keep gives the means to answer the packet later. What Buf holds is over when
// Respond returns.
func (p *Packet) Keep() *Deferred { return p.keep() }

// NewPacket makes a packet that didn't come from a socket.
func NewPacket(query []byte, from netip.AddrPort, keep func() *Deferred) *Packet {
	p := &Packet{Buf: make([]byte, Size), N: min(len(query), Size), Cut: len(query) > Size, From: from, keep: keep}
	copy(p.Buf, query)
	return p
}

// patience is how long a socket waits for a datagram before its goroutine looks
// whether there is something else to do: a new handler holds on to the old one's
// memory for no longer.
const readTimeout = time.Second
