package sockets

import (
	"net/netip"
	"sync"
	"time"
)

// ConnLimits are how many TCP connections others may have to this process.
type ConnLimits struct {
	All     int // 0: no limit
	Network int // of a /24, or a /56 of IPv6
}

// lookEvery is how often it is looked who has too many. As many as a flood opens meanwhile are
// there for no longer than that.
const lookEvery = 250 * time.Millisecond

// A Warden ends TCP connections where there are more than there may be: those that have been
// silent for the longest. CoreDNS accepts whatever comes, for as long as there are descriptors; and
// those are needed for manifests and for APIs, too.
type Warden struct {
	ended func(why string) // hears of each that is ended; "all" or "network"

	mu     sync.Mutex // guards the rest
	ports  map[uint16]bool
	limits ConnLimits
	stop   chan struct{}
}

// NewWarden is one that watches nothing.
func NewWarden(ended func(why string)) *Warden { return &Warden{ended: ended} }

// Watch has it watch connections to ports, in the place of those before.
func (w *Warden) Watch(ports []uint16, l ConnLimits) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports, w.limits = map[uint16]bool{}, l
	for _, p := range ports {
		w.ports[p] = true
	}
	if w.stop == nil {
		w.stop = make(chan struct{})
		go w.run(w.stop)
	}
}

// Close ends it; connections stay.
func (w *Warden) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
}

func (w *Warden) run(stop <-chan struct{}) {
	dir, err := openOwn()
	if err != nil {
		return // it can't be seen here who is connected
	}
	defer dir.Close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.look(dir)
		case <-stop:
			return
		}
	}
}

// NetworkOf is what is limited together: a /24, or a /56 of IPv6.
func NetworkOf(a netip.Addr) netip.Prefix {
	bits := 24
	if a = a.Unmap().WithZone(""); a.Is6() {
		bits = 56
	}
	p, _ := a.Prefix(bits) // of a valid address, as many as it has
	return p
}
