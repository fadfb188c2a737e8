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

import "time"

// Batch is how many datagrams are read and written with one call. More buys
// nothing: at 64 the call itself is a hundredth of what the kernel spends on each
// datagram.
const Batch = 64

// readTimeout is how long a socket waits for a datagram before its goroutine looks
// whether there is something else to do: a new handler holds on to the old one's
// memory for no longer.
const readTimeout = time.Second
