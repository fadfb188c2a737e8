package stream

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/dns/sockets"
)

// A Listener is for a server of connections that isn't this package's: it has those of an address that others
// listen at, too.
type Listener struct {
	net.Listener
	leave func() error
}

// Listen opens a listener beside others, as Open does.
func Listen(addr netip.AddrPort, zone string, others int) (*Listener, error) {
	fd, err := listen(addr, zone)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "listener")
	inner, err := net.FileListener(f) // which has a descriptor of its own
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := sockets.Steer(fd, others, 1); err != nil {
		return nil, errors.Join(err, inner.Close(), f.Close())
	}
	l := &Listener{Listener: inner}
	l.leave = sync.OnceValue(func() error {
		err := sockets.Steer(fd, 0, others)
		time.Sleep(quiet) // connections that had begun are for it
		return errors.Join(err, inner.Close(), f.Close())
	})
	return l, nil
}

// Leave gives the address back: connections from now on are for the other listeners.
func (l *Listener) Leave() error { return l.leave() }
