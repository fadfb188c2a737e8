//go:build !linux

package stream

import (
	"errors"
	"net"
	"net/netip"
)

// A Group is the listeners of one address.
type Group struct{}

// Open fails: steering needs Linux.
func Open(netip.AddrPort, string, int, int, *Service) (*Group, error) {
	return nil, errors.New("sockets that share an address and are steered need Linux")
}

// Handle is never called: there is no group.
func (g *Group) Handle(*Service) {}

// Leave is never called: there is no group.
func (g *Group) Leave() error { return nil }

// Wait is never called: there is no group.
func (g *Group) Wait() {}

// A conn is a connection: there is none.
type conn struct{ before, behind *conn }

// A Listener is for a server of connections that isn't this package's.
type Listener struct{ net.Listener }

// Listen fails, as Open does.
func Listen(netip.AddrPort, string, int) (*Listener, error) {
	return nil, errors.New("sockets that share an address and are steered need Linux")
}

// Leave is never called: there is no listener.
func (l *Listener) Leave() error { return nil }
