// Package xdp answers questions below the kernel's own UDP: a program at a network interface
// sorts out plain questions to addresses that are answered at, and gives their frames to AF_XDP
// sockets, one for each queue of the interface; answers go back in the same frames. All else goes to
// the kernel as it did before.
//
// Interfaces are those that are to be answered at. One that can't be, or can't be any more, is
// told of once, and looked at again and again: meanwhile questions come to the kernel's sockets,
// which are there for all that the program leaves, too.
//
// It runs on Linux; elsewhere every interface is one that can't be.
package xdp

import (
	"net/netip"

	"github.com/fedns/fedns/internal/dns/packet"
)

// A Listener answers at an address.
type Listener struct {
	Handler packet.Handler
	// Except are addresses at which others answer, of a listener at the unspecified address.
	Except []netip.Addr
	// Later makes a question one that is answered later, by a socket. link is the number of the
	// interface that it came by.
	Later func(query []byte, from, to netip.AddrPort, link int) packet.Deferred
}

// Tell hears what has become of an interface: how many queues of it are answered, or why none is.
type Tell func(name string, queues int, err error)
