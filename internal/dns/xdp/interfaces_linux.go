package xdp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lookEvery is how often it is looked whether an interface is there, is up, and which addresses it has.
// What changes meanwhile is met by the kernel's sockets, or at worst is answered for so much longer at
// an address that has gone.
const lookEvery = 2 * time.Second

// Interfaces are those whose frames are answered.
type Interfaces struct {
	tell  Tell
	every time.Duration // it is looked

	mu  sync.Mutex // guards the rest
	all map[string]*watched
}

// New has none yet.
func New(tell Tell) *Interfaces {
	return &Interfaces{tell: tell, every: lookEvery, all: map[string]*watched{}}
}

// Listen has a listener answer what comes by the named interfaces, and by no others, to its address: in
// the place of one that did so before.
func (s *Interfaces) Listen(at netip.AddrPort, names []string, l Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		w := s.all[name]
		if w == nil {
			w = &watched{name: name, tell: s.tell, every: s.every, listeners: map[netip.AddrPort]*Listener{}}
			s.all[name] = w
		}
		w.set(at, &l)
	}
	s.leave(at, func(name string) bool { return !slices.Contains(names, name) })
}

// Leave ends what Listen has begun. What has come before is answered.
func (s *Interfaces) Leave(at netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(at, func(string) bool { return true })
}

func (s *Interfaces) leave(at netip.AddrPort, of func(name string) bool) {
	for name, w := range s.all {
		if of(name) && w.set(at, nil) == 0 {
			delete(s.all, name)
		}
	}
}

// A watched interface is one of those, there or not.
type watched struct {
	name  string
	tell  Tell
	every time.Duration
	stop  context.CancelFunc // of who looks at it
	over  sync.WaitGroup

	mu        sync.Mutex // guards the rest
	listeners map[netip.AddrPort]*Listener
	device    *device // nil: it can't be answered
	said      string
}

// set has a listener at an address, or none, and says how many there are. While there are any, the
// interface is looked after.
func (w *watched) set(at netip.AddrPort, l *Listener) (n int) {
	w.mu.Lock()
	if l != nil {
		w.listeners[at] = l
	} else {
		delete(w.listeners, at)
	}
	n = len(w.listeners)
	if n > 0 || w.device != nil {
		w.look()
	}
	w.mu.Unlock()
	switch {
	case n > 0 && w.stop == nil:
		ctx, cancel := context.WithCancel(context.Background())
		w.stop = cancel
		w.over.Go(func() { w.run(ctx) })
	case n == 0 && w.stop != nil:
		w.stop()
		w.over.Wait()
	}
	return n
}

func (w *watched) run(ctx context.Context) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.mu.Lock()
			if len(w.listeners) > 0 {
				w.look()
			}
			w.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// look makes of the interface what can be made of it now, and says so if that is news.
func (w *watched) look() {
	err := w.adapt()
	if err != nil && w.device != nil {
		err = errors.Join(err, w.device.close())
		w.device = nil
	}
	said, queues := "", 0
	if err != nil {
		said = err.Error()
	}
	if w.device != nil {
		queues = len(w.device.loops)
		said = fmt.Sprint(queues)
	}
	if len(w.listeners) > 0 && said != w.said {
		w.said = said
		w.tell(w.name, queues, err)
	}
}

func (w *watched) adapt() error {
	if len(w.listeners) == 0 {
		return errors.New("nobody answers there")
	}
	i, err := net.InterfaceByName(w.name)
	if err != nil {
		return errors.New("there is no such interface")
	}
	if err := usable(i); err != nil {
		return err
	}
	if w.device != nil && (w.device.index != i.Index || w.device.lost()) {
		err := w.device.close()
		w.device = nil
		if err != nil {
			return err
		}
	}
	here, err := addresses(i)
	if err != nil {
		return err
	}
	if w.device == nil {
		if w.device, err = open(i.Index); err != nil {
			return err
		}
	}
	return w.device.listen(endpoints(w.listeners, here, w.name))
}

// usable says why an interface can't be answered.
func usable(i *net.Interface) error {
	switch {
	case len(i.HardwareAddr) != 6:
		return errors.New("it isn't Ethernet")
	case i.Flags&net.FlagUp == 0:
		return errors.New("it is down")
	case i.MTU < leastMTU || i.MTU > mostMTU:
		return fmt.Errorf("its MTU is %d; it has to be from %d to %d", i.MTU, leastMTU, mostMTU)
	}
	return capable()
}

// needed are the capabilities without which the kernel refuses.
var needed = map[string]int{"BPF": unix.CAP_BPF, "NET_ADMIN": unix.CAP_NET_ADMIN, "NET_RAW": unix.CAP_NET_RAW}

// capable says which capability this process lacks.
func capable() error {
	var have [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	var lacks []string
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if n := needed[name]; have[n/32].Effective&(1<<(n%32)) == 0 {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	return fmt.Errorf("fedns lacks the capability %s (in a pod, capabilities: {add: [%[1]s]})", strings.Join(lacks, ", "))
}

// addresses are those that questions come to by an interface: its own, and those of the loopback interface, where
// addresses are that are announced from more than one place. Those of other interfaces aren't: a VLAN's come by
// the interface below it, and hardware may have taken the tag off.
func addresses(i *net.Interface) (out []netip.Addr, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if o.Index != i.Index && o.Flags&net.FlagLoopback == 0 {
			continue
		}
		addrs, err := o.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			if ip := p.Addr().Unmap().WithZone(""); !ip.IsLoopback() && (o.Index == i.Index || !ip.IsLinkLocalUnicast()) {
				out = append(out, ip)
			}
		}
	}
	return out, nil
}

// endpoints are who answers at which of the addresses that are here: whoever listens there, else
// whoever listens at all of them, as the kernel has it.
func endpoints(listeners map[netip.AddrPort]*Listener, here []netip.Addr, name string) table {
	out := table{}
	for _, specific := range []bool{false, true} { // which replaces the others
		for at, l := range listeners {
			if at.Addr().IsUnspecified() == specific {
				continue
			}
			for _, a := range here {
				switch {
				case specific && (a != at.Addr().WithZone("") || at.Addr().Zone() != "" && at.Addr().Zone() != name):
				case !specific && (at.Addr().Is4() && a.Is6() || slices.Contains(l.Except, a)):
				default:
					out[netip.AddrPortFrom(a, at.Port())] = l
				}
			}
		}
	}
	return out
}
