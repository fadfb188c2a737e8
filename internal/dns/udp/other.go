//go:build !linux

package udp

import (
	"errors"
	"net"
	"net/netip"
)

// A Group is the sockets of one address.
type Group struct{}

// Open fails: steering needs Linux.
func Open(netip.AddrPort, string, int, int, Handler) (*Group, error) {
	return nil, errors.New("sockets that share an address and are steered need Linux")
}

// Handle is never called: there is no group.
func (g *Group) Handle(Handler) {}

// Close is never called: there is no group.
func (g *Group) Close() error { return nil }

// A Deferred is a datagram that is answered later.
type Deferred struct {
	Query []byte
	From  netip.AddrPort
}

// Write is never called: there is no group.
func (t *Deferred) Write([]byte) error { return nil }

// To is never called: there is no group.
func (t *Deferred) To() net.Addr { return nil }

// Done is never called: there is no group.
func (t *Deferred) Done() {}
