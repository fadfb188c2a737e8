//go:build !linux

package xdp

import (
	"errors"
	"net/netip"
)

// Interfaces are those whose frames are answered: none.
type Interfaces struct{ tell Tell }

// New has none.
func New(tell Tell) *Interfaces { return &Interfaces{tell} }

// Listen says that it can't be done.
func (s *Interfaces) Listen(_ netip.AddrPort, names []string, _ Listener) {
	for _, name := range names {
		s.tell(name, 0, errors.New("AF_XDP needs Linux"))
	}
}

// Leave has nothing to leave.
func (s *Interfaces) Leave(netip.AddrPort) {}
