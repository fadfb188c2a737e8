//go:build !linux

package udp

import (
	"errors"
	"net/netip"

	"github.com/fedns/fedns/internal/dns/packet"
)

// A Group is the sockets of one address.
type Group struct{}

// Open fails: steering needs Linux.
func Open(netip.AddrPort, string, int, int, packet.Handler) (*Group, error) {
	return nil, errors.New("sockets that share an address and are steered need Linux")
}

// Handle is never called: there is no group.
func (g *Group) Handle(packet.Handler) {}

// Close is never called: there is no group.
func (g *Group) Close() error { return nil }
