package sockets

import (
	"cmp"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// openOwn opens the list of this process's descriptors: at once, since there may be none left later.
func openOwn() (*os.File, error) { return os.Open("/proc/self/fd") }

// The states of connections that this side hasn't ended (tcp_states.h).
const (
	established = 1
	closeWait   = 8
)

// A conn is a connection to one of the ports.
type conn struct {
	fd     int
	peer   netip.AddrPort
	silent uint32 // for how long, in ms
}

// look ends what is too much.
func (w *Warden) look(dir *os.File) {
	w.mu.Lock()
	ports, l := w.ports, w.limits
	w.mu.Unlock()
	if _, err := dir.Seek(0, 0); err != nil {
		return
	}
	names, err := dir.Readdirnames(-1)
	least := min(cmp.Or(l.All, len(names)), cmp.Or(l.Network, len(names)))
	if err != nil || len(names) <= least || len(ports) == 0 {
		return // not even if each were a connection
	}
	var conns []conn
	for _, n := range names {
		if fd, err := strconv.Atoi(n); err == nil {
			if c, ok := connOf(fd, ports); ok {
				conns = append(conns, c)
			}
		}
	}
	slices.SortFunc(conns, func(a, b conn) int { return cmp.Compare(a.silent, b.silent) })
	all, of := 0, map[netip.Prefix]int{}
	for _, c := range conns {
		network := NetworkOf(c.peer.Addr())
		switch {
		case l.Network > 0 && of[network] >= l.Network:
			w.end(c, ports, "network")
		case l.All > 0 && all >= l.All:
			w.end(c, ports, "all")
		default:
			all++
			of[network]++
		}
	}
}

// connOf looks whether a descriptor is of a connection to one of the ports.
func connOf(fd int, ports map[uint16]bool) (c conn, ok bool) {
	at, err := unix.Getsockname(fd)
	if err != nil {
		return c, false
	}
	if local, is := addrOf(at); !is || !ports[local.Port()] {
		return c, false
	}
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return c, false // a listener
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State != established && info.State != closeWait {
		return c, false // another protocol, or it was ended
	}
	from, ok := addrOf(peer)
	return conn{fd, from, info.Last_data_recv}, ok
}

func addrOf(sa unix.Sockaddr) (netip.AddrPort, bool) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), true
	}
	return netip.AddrPort{}, false
}

// end ends a connection for both sides; who serves it finds that it is over. The descriptor may be
// another one's by now, so that it is looked at again under a number that nobody else closes.
func (w *Warden) end(c conn, ports map[uint16]bool, why string) {
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		fd = c.fd // there is none left, which is why this is to end
	} else {
		defer func() { _ = unix.Close(fd) }() // what it is of stays open
	}
	if now, ok := connOf(fd, ports); ok && now.peer == c.peer && unix.Shutdown(fd, unix.SHUT_RDWR) == nil {
		w.ended(why)
	}
}

// Abort ends the TCP connection between two addresses, if this process has it: whoever writes to it
// gets an error.
func Abort(local, peer netip.AddrPort) {
	dir, err := openOwn()
	if err != nil {
		return
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return
	}
	ports := map[uint16]bool{local.Port(): true}
	peer = netip.AddrPortFrom(peer.Addr().Unmap().WithZone(""), peer.Port())
	w := NewWarden(func(string) {})
	for _, n := range names {
		fd, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if c, ok := connOf(fd, ports); ok && netip.AddrPortFrom(c.peer.Addr().Unmap().WithZone(""), c.peer.Port()) == peer {
			w.end(c, ports, "")
		}
	}
}

// Descriptors are how many this process may have.
func Descriptors() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(l.Cur, 1<<30))
}
