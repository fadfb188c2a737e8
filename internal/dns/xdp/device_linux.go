package xdp

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// A table is who answers at an address.
type table map[netip.AddrPort]*Listener

// A device is an interface with our program and sockets on it. They go with the process, however it
// ends.
type device struct {
	index   int
	filter  *filter
	link    link.Link
	loops   []*loop
	now     table
	table   atomic.Pointer[table]
	started bool // the loops are
	stopped atomic.Bool
	broken  atomic.Bool // a socket of it is
	running sync.WaitGroup
}

// mostQueues is how many queues an interface may have: each takes 4 MB and a thread.
const mostQueues = 64

// open attaches the program, and opens a socket for each queue. Frames go to the kernel until it
// listens at an address.
func open(index int) (d *device, err error) {
	d = &device{index: index}
	d.table.Store(&table{})
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
			d = nil
		}
	}()
	if d.filter, err = newFilter(mostQueues); err != nil {
		return d, err
	}
	if d.link, err = link.AttachXDP(link.XDPOptions{Program: d.filter.program, Interface: index}); err != nil {
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
			return d, errors.New("another XDP program is there, and an interface takes one")
		}
		return d, fmt.Errorf("program: %w", err)
	}
	for q := 0; ; q++ {
		s, err := newSocket(index, q)
		if err != nil {
			err = errors.Join(err, s.close())
		}
		if errors.Is(err, unix.EINVAL) && q > 0 {
			break // there are no more
		}
		if err != nil {
			return d, fmt.Errorf("queue %d: %w", q, err)
		}
		l := &loop{device: d, socket: s}
		l.packet.Keep = l.keep
		d.loops = append(d.loops, l)
		if q == mostQueues {
			return d, fmt.Errorf("it has more than %d queues; ethtool -L changes that", mostQueues)
		}
		if err := d.filter.sockets.Put(uint32(q), uint32(s.fd)); err != nil {
			return d, fmt.Errorf("queue %d: %w", q, err)
		}
	}
	// Each loop is in a system call for most of the time. A goroutine that is keeps its processor only while another
	// is idle (see fastpath's own sockets).
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + len(d.loops))
	d.started = true
	for _, l := range d.loops {
		d.running.Go(l.run)
	}
	return d, nil
}

// lost says whether the interface was taken away.
func (d *device) lost() bool {
	info, err := d.link.Info()
	return d.broken.Load() || err != nil || info.XDP() == nil || int(info.XDP().Ifindex) != d.index
}

// settle is how long a frame may take from the program to its ring.
const settle = 10 * time.Millisecond

// listen has those of t answer.
func (d *device) listen(t table) error {
	if maps.Equal(d.now, t) {
		return nil
	}
	// Who answers is known before frames come, and until none come any more.
	both := maps.Clone(d.now)
	if both == nil {
		both = table{}
	}
	maps.Copy(both, t)
	d.table.Store(&both)
	var errs []error
	gone := false
	for at := range both {
		_, is := t[at]
		_, was := d.now[at]
		switch {
		case is && !was:
			errs = append(errs, d.filter.take(at))
		case was && !is:
			errs = append(errs, d.filter.leave(at))
			gone = true
		}
	}
	if gone {
		time.Sleep(settle)
	}
	d.now = t
	d.table.Store(&t)
	return errors.Join(errs...)
}

// close gives the interface back to the kernel; what has come before is answered.
func (d *device) close() error {
	var errs []error
	if d.link != nil {
		errs = append(errs, d.link.Close())
	}
	if len(d.now) > 0 {
		time.Sleep(settle)
	}
	d.stopped.Store(true)
	if d.started {
		d.running.Wait()
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) - len(d.loops))
	}
	for _, l := range d.loops {
		errs = append(errs, l.socket.close())
	}
	if d.filter != nil {
		errs = append(errs, d.filter.close())
	}
	return errors.Join(errs...)
}
