// Package stream answers questions that come by connections, TCP and TLS (RFC 7766, RFC 7858),
// on sockets that share an address with another server's.
//
// A Group opens listeners of its own beside those that are there, and has the kernel give it
// every connection (SO_REUSEPORT, and a small program). One goroutine a listener accepts, reads,
// has questions answered as they come, and writes all that were answered of a connection with one
// call. It never waits for a connection: epoll says which have something. What is answered later,
// by a packet.Deferred, is written by whoever answers, in whatever order.
//
// A connection that is idle has no buffer and no goroutine; one that is encrypted has what
// crypto/tls keeps.
//
// It runs on Linux; elsewhere Open says so.
package stream

import (
	"crypto/tls"
	"time"

	"github.com/fedns/fedns/internal/dns/packet"
)

// A Service is how the connections of a group are met.
type Service struct {
	packet.Handler
	Limits
	// TLS is how connections are encrypted; nil: they aren't.
	TLS *tls.Config
	// Ended hears of each connection that was ended because there were too many, and why: "all",
	// "network", "descriptors" or "bytes".
	Ended func(why string)
	// Short hears once that no more connections can be accepted for now, and why.
	Short func(err error)
}

// Limits are what a connection may take. Those of time are never 0.
type Limits struct {
	Question time.Duration // until a question is there, whole; of the first one from the beginning of the connection
	Idle     time.Duration // without a question
	Write    time.Duration // without a byte taken of an answer
	Queries  int           // of a connection; 0: no limit
	All      int           // connections; 0: no limit
	Network  int           // those of a /24, or a /56 of IPv6; 0: no limit
}

const (
	// readSize is how much of a connection is read with one call: some 400 questions, half a
	// millisecond in which no other is answered.
	readSize = 16 << 10
	// header is the length before each message (RFC 1035 section 4.2.2).
	header = 2
	// shortest is the shortest question that there is: less is another protocol.
	shortest = 12
	// maxLater bounds how many questions of a connection wait to be answered later. Meanwhile no
	// more of it are read.
	maxLater = 64
	// maxHeld bounds what is kept, in all, of questions that aren't whole and of answers that
	// aren't taken.
	maxHeld = 32 << 20
	// lookEvery is how often it is looked which connections have been there for too long.
	lookEvery = 500 * time.Millisecond
	// quiet is for how long a connection must have had no question to be closed when a group is.
	quiet = 100 * time.Millisecond
	// grace is how long Close waits for deferred answers, and for connections to be quiet: as
	// CoreDNS does for what is under way when it stops.
	grace = 5 * time.Second
)
