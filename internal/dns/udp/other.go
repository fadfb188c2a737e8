//go:build !linux

package udp

import (
	"errors"
	"net"
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

// Later is never called: there is no group.
func (g *Group) Later([]byte, netip.AddrPort, netip.AddrPort, int) packet.Deferred { return nil }

// Close is never called: there is no group.
func (g *Group) Close() error { return nil }

// A QUICSocket has connections of QUIC.
type QUICSocket struct{ *net.UDPConn }

// BindQUIC fails, as Open does.
func BindQUIC(netip.AddrPort, string, int, uint16) (*QUICSocket, error) {
	return nil, errors.New("sockets that share an address and are steered need Linux")
}

// Retire is never called: there is no socket.
func (s *QUICSocket) Retire(int) error { return nil }

// Leave is never called: there is no socket.
func (s *QUICSocket) Leave() error { return nil }
