package udp

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dns/sockets"
)

// A message is struct mmsghdr of recvmmsg(2).
type message struct {
	hdr  unix.Msghdr
	size uint32
}

// A slot is what one datagram is read into. Its answer goes back through the same.
type slot struct {
	buf     [packet.Size]byte
	name    unix.RawSockaddrInet6 // an IPv4 address fits too
	control [controlSize]byte
	iov     unix.Iovec
	// Slots whose buffers begin at the same offset of a page would share a few
	// lines of the cache.
	_ [3 * 64]byte
}

// controlSize is room for one IP_PKTINFO or IPV6_PKTINFO message.
const controlSize = 48

// A loop reads, answers and writes the datagrams of one socket.
type loop struct {
	group   *Group
	fd      int
	family  int
	local   net.Addr
	wild    bool // bound to no address: each datagram says where it came to
	stopped atomic.Bool
	letters sync.WaitGroup // that aren't answered yet

	messages []message
	slots    []*slot // of the messages: any, once answers have been sorted to the front
	packet   packet.Packet
	at       int // the message that packet is
}

func newLoop(fd, family int, local netip.AddrPort) *loop {
	wild := local.Addr().IsUnspecified()
	l := &loop{fd: fd, family: family, local: net.UDPAddrFromAddrPort(local), wild: wild, messages: make([]message, Batch), slots: make([]*slot, Batch)}
	slots := make([]slot, Batch)
	for i := range l.messages {
		s := &slots[i]
		l.slots[i] = s
		s.iov.Base = &s.buf[0]
		h := &l.messages[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&s.name))
		h.Iov = &s.iov
		h.SetIovlen(1)
		if wild {
			h.Control = &s.control[0]
		}
		l.reset(i)
	}
	l.packet.Keep = l.letter
	return l
}

// reset makes a message ready to be read into.
func (l *loop) reset(i int) {
	m := &l.messages[i]
	m.hdr.Namelen = unix.SizeofSockaddrInet6
	m.hdr.Iov.SetLen(packet.Size)
	if l.wild {
		m.hdr.SetControllen(controlSize)
	}
}

// nobody is the port of the peer that a socket is given to hear no others: discard
// (RFC 863), which never asks.
const nobody = 9

// withdraw keeps the kernel from giving the socket any datagram more.
func (l *loop) withdraw() error {
	a := l.local.(*net.UDPAddr).AddrPort()
	host := a.Addr()
	if l.wild {
		host = netip.IPv6Loopback()
		if l.family == unix.AF_INET {
			host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
	}
	_, sa, err := sockets.Sockaddr(netip.AddrPortFrom(host.WithZone(""), nobody), host.Zone())
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect", unix.Connect(l.fd, sa))
}

// stop makes run return once what waits has been answered.
func (l *loop) stop() {
	l.stopped.Store(true)
	// It is no connection, so the call fails; whoever waits wakes up all the same.
	_ = unix.Shutdown(l.fd, unix.SHUT_RD)
}

func (l *loop) run() {
	var (
		handler   *packet.Handler
		responder packet.Responder
	)
	for round := 1; ; round++ {
		last := l.stopped.Load() // before it is read: what comes until then is answered
		n, empty := l.read(last)
		if h := l.group.handler.Load(); h != handler {
			handler, responder = h, (*h).Responder(len(l.group.loops))
		}
		if n > 0 {
			l.answer(responder, n)
		} else if last && empty {
			return
		}
		if round%turn == 0 {
			runtime.Gosched()
		}
	}
}

// turn is after how many batches a loop lets others have its processor, which Go's
// monitor would make it do after ten milliseconds, at a price: it then looks after
// all processors every 20 µs for a while. Under load this many batches take two or
// three milliseconds.
const turn = 8

// read waits for datagrams, unless it is the last time, and says how many have come:
// 0 now and then, which means that there are none only if it is empty.
func (l *loop) read(last bool) (n int, empty bool) {
	flags := unix.MSG_WAITFORONE
	if last {
		flags = unix.MSG_DONTWAIT
	}
	got, _, err := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&l.messages[0])), Batch, uintptr(flags), 0, 0)
	if err != 0 {
		// EAGAIN: nobody asked. EINTR: a signal. Errors of datagrams sent before, such
		// as ECONNREFUSED, aren't reported to sockets without a connection.
		return 0, err == unix.EAGAIN
	}
	return int(got), false
}

// answer has n datagrams answered, and sends the answers.
func (l *loop) answer(r packet.Responder, n int) {
	r.Begin()
	out := 0
	for i := range n {
		m := &l.messages[i]
		if l.stopped.Load() && m.hdr.Namelen == 0 {
			continue // the end of the queue, not a datagram
		}
		s := l.slots[i]
		l.at = i
		p := &l.packet
		p.Buf, p.N, p.Cut = s.buf[:], int(m.size), m.hdr.Flags&unix.MSG_TRUNC != 0
		p.From = s.from()
		size := r.Respond(p)
		if size == 0 {
			continue
		}
		m.hdr.Iov.SetLen(size)
		l.reply(m)
		if out != i { // answers go to the front, so that one call sends them
			l.messages[out], l.messages[i] = l.messages[i], l.messages[out]
			l.slots[out], l.slots[i] = l.slots[i], l.slots[out]
		}
		out++
	}
	r.End()
	l.write(out)
	for i := range n {
		l.reset(i)
	}
}

// write sends the first n messages. One that can't be sent is left out, and is
// lost, as it would be anywhere on the way.
func (l *loop) write(n int) {
	for sent := 0; sent < n; {
		k, _, err := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&l.messages[sent])), uintptr(n-sent), 0, 0, 0)
		switch err {
		case 0:
			sent += int(k)
		case unix.EINTR:
		default:
			sent++
		}
	}
}

// from reads the address that a datagram came from.
func (s *slot) from() netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&s.name.Port))
	p := uint16(port[0])<<8 | uint16(port[1])
	if s.name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), p)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(s.name.Addr).Unmap(), p)
}

// reply makes a message that was read one that is sent: from the address that the
// datagram came to, through whatever interface leads back.
func (l *loop) reply(m *message) {
	if !l.wild || m.hdr.Controllen == 0 {
		return
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(m.hdr.Control))
	data := unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))
	switch {
	case c.Level == unix.SOL_IP && c.Type == unix.IP_PKTINFO:
		(*unix.Inet4Pktinfo)(data).Ifindex = 0
	case c.Level == unix.SOL_IPV6 && c.Type == unix.IPV6_PKTINFO:
		(*unix.Inet6Pktinfo)(data).Ifindex = 0
	}
}
