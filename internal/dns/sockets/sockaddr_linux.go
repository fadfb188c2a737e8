package sockets

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sockaddr is an address as system calls take it, of the family that a socket for it is of; zone
// is the name of an interface, for an address that means something on one link only.
func Sockaddr(addr netip.AddrPort, zone string) (family int, sa unix.Sockaddr, err error) {
	a := addr.Addr()
	if a.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: a.As4()}, nil
	}
	sa6 := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: a.As16()}
	if zone != "" {
		i, err := net.InterfaceByName(zone)
		if err != nil {
			return 0, nil, err
		}
		sa6.ZoneId = uint32(i.Index)
	}
	return unix.AF_INET6, sa6, nil
}
