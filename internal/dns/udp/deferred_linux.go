package udp

import (
	"bytes"
	"net"
	"net/netip"
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

// Later makes a question that did not come by the sockets, but to their address, one that is answered
// later by one of them. link is the number of the interface that it came by. The group is not closed
// meanwhile.
func (g *Group) Later(query []byte, from, to netip.AddrPort, link int) packet.Deferred {
	l := g.loops[0]
	t := &deferred{loop: l, query: query}
	if l.family == unix.AF_INET {
		t.to = &unix.SockaddrInet4{Port: int(from.Port()), Addr: from.Addr().As4()}
		if l.wild {
			t.control = unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: to.Addr().As4()})
		}
	} else {
		sa := &unix.SockaddrInet6{Port: int(from.Port()), Addr: from.Addr().As16()}
		if from.Addr().IsLinkLocalUnicast() && from.Addr().Is6() {
			sa.ZoneId = uint32(link)
		}
		t.to = sa
		if l.wild {
			t.control = unix.PktInfo6(&unix.Inet6Pktinfo{Addr: to.Addr().As16()})
		}
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
