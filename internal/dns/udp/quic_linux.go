package udp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/sockets"
)

// A QUICSocket has connections of QUIC that come to an address at which others have theirs, too.
// Which are whose is seen by their IDs: ours begin with a mark.
type QUICSocket struct {
	*net.UDPConn
	mark uint16
}

// BindQUIC opens a socket beside the others that are bound to addr, as Open does, and has it get
// all connections that begin from now on. Those that the others have go on there.
func BindQUIC(addr netip.AddrPort, zone string, others int, mark uint16) (*QUICSocket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			err = os.NewSyscallError("setsockopt SO_REUSEPORT", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		})
		return errors.Join(cerr, err)
	}}
	network := "udp4"
	if addr.Addr().Is6() {
		network = "udp" // of IPv6's unspecified address, IPv4 too
	}
	c, err := lc.ListenPacket(context.Background(), network, netip.AddrPortFrom(addr.Addr().WithZone(zone), addr.Port()).String())
	if err != nil {
		return nil, err
	}
	s := &QUICSocket{c.(*net.UDPConn), mark}
	if err := s.steer(others, others); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

// Retire has connections that begin from now on go to the first of the others, of which there are so
// many. Those that are here go on.
func (s *QUICSocket) Retire(others int) error { return s.steer(others, 0) }

// Leave gives the address back.
func (s *QUICSocket) Leave() error { return errors.Join(s.control(sockets.Unsteer), s.Close()) }

// steer tells the kernel which socket a datagram is for, by number, in the order in which they were
// bound: ours if it is of a connection with our mark, new if it may begin one, else the first. It
// goes by what no version of QUIC changes (RFC 8999 section 5), and by version 1's types of packets
// (RFC 9000 section 17.2). What is shorter is for the first.
func (s *QUICSocket) steer(ours, fresh int) error {
	const (
		form    = 0x80 // a long header
		kind    = 0x30 // of version 1: Initial, 0-RTT, Handshake and Retry
		zeroRTT = 0x10
		shortID = 1 // where IDs begin
		longID  = 6
	)
	return s.control(func(fd int) error {
		return sockets.SteerBy(fd, []bpf.Instruction{
			bpf.LoadAbsolute{Off: 0, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: form, SkipTrue: 3},
			bpf.LoadAbsolute{Off: shortID, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(s.mark), SkipTrue: 5},
			bpf.RetConstant{Val: 0},
			bpf.LoadAbsolute{Off: longID, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(s.mark), SkipTrue: 2},
			bpf.LoadAbsolute{Off: 0, Size: 1},
			bpf.Jump{Skip: 1},
			bpf.RetConstant{Val: uint32(ours)},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: kind},
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: zeroRTT, SkipTrue: 1},
			bpf.RetConstant{Val: uint32(fresh)},
			bpf.RetConstant{Val: 0},
		})
	})
}

func (s *QUICSocket) control(f func(fd int) error) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = f(int(fd)) })
	return errors.Join(err, failed)
}
