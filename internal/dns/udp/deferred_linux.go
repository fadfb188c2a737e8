package udp

import (
	"bytes"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/packet"
)

// A deferred is a datagram that is answered later: a packet.Deferred.
type deferred struct {
	loop    *loop
	query   []byte
	to      unix.Sockaddr
	control []byte
}

// deferred makes one of the datagram that is being answered.
func (l *loop) letter() packet.Deferred {
	m, s := &l.messages[l.at], l.slots[l.at]
	from := l.packet.From
	t := &deferred{loop: l, query: bytes.Clone(l.packet.Buf[:l.packet.N])}
	if l.wild {
		l.reply(m)
		t.control = bytes.Clone(s.control[:m.hdr.Controllen])
	}
	if l.family == unix.AF_INET {
		t.to = &unix.SockaddrInet4{Port: int(from.Port()), Addr: from.Addr().As4()}
	} else {
		t.to = &unix.SockaddrInet6{Port: int(from.Port()), Addr: from.Addr().As16(), ZoneId: s.name.Scope_id}
	}
	l.letters.Add(1)
	return t
}

// Query implements packet.Deferred.
func (t *deferred) Query() []byte { return t.query }

// Write sends an answer.
func (t *deferred) Write(b []byte) error {
	_, err := unix.SendmsgN(t.loop.fd, b, t.control, t.to, 0)
	return os.NewSyscallError("sendmsg", err)
}

// To is the address that the socket is bound to.
func (t *deferred) To() net.Addr { return t.loop.local }

// Done says that no answer will come any more.
func (t *deferred) Done() { t.loop.letters.Done() }
