package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dns/sockets"
)

// A Group is the sockets of one address.
type Group struct {
	loops   []*loop
	handler atomic.Pointer[packet.Handler]
	running sync.WaitGroup
}

// Open opens n sockets beside the others that are bound to addr, which must have
// been so with SO_REUSEPORT by the same user, and steers plain queries to them.
// others is how many there are.
func Open(addr netip.AddrPort, zone string, others, n int, h packet.Handler) (*Group, error) {
	g := &Group{}
	g.handler.Store(&h)
	for range n {
		l, err := listen(addr, zone)
		if err != nil {
			return nil, fmt.Errorf("udp %s: %w", addr, errors.Join(err, g.discard()))
		}
		l.group = g
		g.loops = append(g.loops, l)
	}
	// Before it is attached, the kernel spreads datagrams over all sockets, and
	// those opened here aren't read yet: they wait in their queues.
	if err := steer(g.loops[0].fd, others, n); err != nil {
		return nil, fmt.Errorf("udp %s: steer: %w", addr, errors.Join(err, g.discard()))
	}
	for _, l := range g.loops {
		g.running.Go(l.run)
	}
	return g, nil
}

// Handle makes h answer what is read from now on.
func (g *Group) Handle(h packet.Handler) { g.handler.Store(&h) }

// grace is how long Close waits for deferred answers: as CoreDNS does for what is under way
// when it stops.
const grace = 5 * time.Second

// Close gives the address back: what comes from now on is for the other sockets,
// what has come before is answered. Deferred answers have a while to be; the sockets are
// there for as long as it takes.
func (g *Group) Close() error {
	err := g.giveBack()
	for _, l := range g.loops {
		l.stop()
	}
	g.running.Wait()
	closed := make(chan error, 1)
	go func() {
		for _, l := range g.loops {
			l.letters.Wait()
		}
		closed <- g.discard()
	}()
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case late := <-closed:
		return errors.Join(err, late)
	case <-patience.C:
		return err
	}
}

// giveBack has the kernel spread datagrams over the other sockets as it did before.
// Which numbers these have now isn't known: some may have gone. So the program goes,
// and ours each get a peer: a socket that has one gets nothing from anybody else, and
// since Linux 6.13 shares its address with nobody any more. What comes in between is
// answered still.
func (g *Group) giveBack() error {
	errs := []error{sockets.Unsteer(g.loops[0].fd)}
	for _, l := range g.loops {
		errs = append(errs, l.withdraw())
	}
	return errors.Join(errs...)
}

func (g *Group) discard() error {
	var errs []error
	for _, l := range g.loops {
		errs = append(errs, os.NewSyscallError("close", unix.Close(l.fd)))
	}
	return errors.Join(errs...)
}

// buffer is what the kernel is asked to keep of datagrams that wait: a tenth of a
// second's worth of small ones at the speed of one core. It grants what
// net.core.rmem_max allows.
const buffer = 4 << 20

// listen opens a socket that shares addr.
func listen(addr netip.AddrPort, zone string) (*loop, error) {
	family, sa, err := sockets.Sockaddr(addr, zone)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	set := func(level, option, value int, name string) {
		if err == nil {
			err = os.NewSyscallError("setsockopt "+name, unix.SetsockoptInt(fd, level, option, value))
		}
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT")
	wild := addr.Addr().IsUnspecified()
	if family == unix.AF_INET6 {
		set(unix.SOL_IPV6, unix.IPV6_V6ONLY, 0, "IPV6_V6ONLY") // as Go's own listeners have it
	}
	if wild {
		// The answer must come from where the question went.
		if family == unix.AF_INET6 {
			set(unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO")
		} else {
			set(unix.SOL_IP, unix.IP_PKTINFO, 1, "IP_PKTINFO")
		}
	}
	timeout := unix.NsecToTimeval(int64(readTimeout))
	if err == nil {
		err = os.NewSyscallError("setsockopt SO_RCVTIMEO", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	}
	if err == nil {
		// What is best to have, and can be done without: room for bursts; no
		// fragments made on the word of whoever sends ICMP (RFC 9715 section 3.1).
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, buffer)
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
		if family == unix.AF_INET6 {
			_ = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
		}
		err = os.NewSyscallError("bind", unix.Bind(fd, sa))
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return newLoop(fd, family, addr), nil
}
