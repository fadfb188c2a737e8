package udp

import (
	"bytes"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// A Deferred is a datagram that is answered later, by any goroutine. Done must be
// called once, whether it was answered or not.
type Deferred struct {
	Query []byte
	From  netip.AddrPort

	loop    *loop
	to      unix.Sockaddr
	control []byte
}

// deferred makes one of the datagram that is being answered.
func (l *loop) letter() *Deferred {
	m, s := &l.messages[l.at], l.slots[l.at]
	t := &Deferred{Query: bytes.Clone(l.packet.Buf[:l.packet.N]), From: l.packet.From, loop: l}
	if l.wild {
		l.reply(m)
		t.control = bytes.Clone(s.control[:m.hdr.Controllen])
	}
	if l.family == unix.AF_INET {
		t.to = &unix.SockaddrInet4{Port: int(t.From.Port()), Addr: t.From.Addr().As4()}
	} else {
		t.to = &unix.SockaddrInet6{Port: int(t.From.Port()), Addr: t.From.Addr().As16(), ZoneId: s.name.Scope_id}
	}
	l.letters.Add(1)
	return t
}

// Write sends an answer.
func (t *Deferred) Write(b []byte) error {
	_, err := unix.SendmsgN(t.loop.fd, b, t.control, t.to, 0)
	return os.NewSyscallError("sendmsg", err)
}

// To is the address that the socket is bound to.
func (t *Deferred) To() net.Addr { return t.loop.local }

// Done says that no answer will come any more.
func (t *Deferred) Done() {
	if t.loop != nil { // it came from a socket
		t.loop.letters.Done()
	}
}
