package stream

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/sockets"
)

// A Group is the listeners of one address.
type Group struct {
	loops   []*loop
	others  int
	service atomic.Pointer[Service]
	census  census
	held    atomic.Int64 // bytes, of maxHeld
	running sync.WaitGroup
	// listening are the loops whose listeners are open.
	listening sync.WaitGroup
	letters   sync.WaitGroup // that aren't answered yet
	shaking   sync.WaitGroup // handshakes
}

// Open opens n listeners beside the others that are bound to addr, which must have
// been so with SO_REUSEPORT by the same user, and has them get all connections.
// others is how many there are.
func Open(addr netip.AddrPort, zone string, others, n int, s *Service) (*Group, error) {
	g := &Group{others: others}
	g.service.Store(s)
	for range n {
		l, err := newLoop(g, addr, zone)
		if err != nil {
			return nil, fmt.Errorf("tcp %s: %w", addr, errors.Join(err, g.discard()))
		}
		g.loops = append(g.loops, l)
	}
	// Before it is attached, the kernel spreads connections over all listeners, and
	// those opened here aren't read yet: they wait in their queues.
	if err := sockets.Steer(g.loops[0].listener, others, n); err != nil {
		return nil, fmt.Errorf("tcp %s: steer: %w", addr, errors.Join(err, g.discard()))
	}
	g.listening.Add(n)
	for _, l := range g.loops {
		g.running.Go(l.run)
	}
	return g, nil
}

// Handle has connections, those that are there too, be met otherwise from now on. Those that are
// encrypted stay so.
func (g *Group) Handle(s *Service) { g.service.Store(s) }

// Leave gives the address back: connections from now on are for the other listeners. Those that
// are here are closed when they have been quiet for a moment: what was asked is answered. Wait
// waits for it.
func (g *Group) Leave() error {
	// To the others by number, and not by taking the program away: that would spread
	// connections over ours, too, which are about to close.
	err := sockets.Steer(g.loops[0].listener, 0, g.others)
	for _, l := range g.loops {
		l.post(l.leave)
	}
	g.listening.Wait()
	return err
}

// Wait waits until the connections of a group that leaves have ended, and for answers that are
// still to come for them, for no longer than grace.
func (g *Group) Wait() {
	g.running.Wait()
	g.shaking.Wait()
	done := make(chan struct{})
	go func() {
		g.letters.Wait()
		close(done)
	}()
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C: // whoever answers then finds the connection closed
	}
}

// discard closes what hasn't run.
func (g *Group) discard() error {
	var errs []error
	for _, l := range g.loops {
		errs = append(errs, l.discard())
	}
	return errors.Join(errs...)
}

// backlog is how many connections may wait to be accepted: what Go's listeners have by default.
const backlog = 4096

// listen opens a listener that shares addr.
func listen(addr netip.AddrPort, zone string) (fd int, err error) {
	family, sa, err := sockets.Sockaddr(addr, zone)
	if err != nil {
		return -1, err
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	set := func(level, option, value int, name string) {
		if err == nil {
			err = os.NewSyscallError("setsockopt "+name, unix.SetsockoptInt(fd, level, option, value))
		}
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, "SO_REUSEADDR")
	set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT")
	// Connections inherit it: answers are written as much at once as there is.
	set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, "TCP_NODELAY")
	if family == unix.AF_INET6 {
		set(unix.SOL_IPV6, unix.IPV6_V6ONLY, 0, "IPV6_V6ONLY") // as Go's own listeners have it
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, sa))
	}
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, backlog))
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}
