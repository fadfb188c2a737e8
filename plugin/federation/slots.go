package federation

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/dns/sockets"
)

// A slots is how many of a kind of work run at a time: in all, and of one network, so that nobody who holds
// as many as he can get keeps others out.
type slots struct {
	all, network int

	mu    sync.Mutex // guards the rest
	taken int
	of    map[netip.Prefix]int
	freed chan struct{} // is closed when one is given back
}

func newSlots(all, network int) *slots {
	return &slots{all: all, network: network, of: map[netip.Prefix]int{}, freed: make(chan struct{})}
}

// take waits for a slot, for so long at most. give gives it back; it is nil if there was none.
func (s *slots) take(ctx context.Context, from netip.Addr, wait time.Duration) (give func()) {
	network := sockets.NetworkOf(from)
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		freed, ok := s.try(network)
		if ok {
			return func() { s.give(network) }
		}
		select {
		case <-freed:
		case <-late.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *slots) try(network netip.Prefix) (freed <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == s.all || s.of[network] == s.network {
		return s.freed, false
	}
	s.taken++
	s.of[network]++
	return nil, true
}

func (s *slots) give(network netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.of[network]--; s.of[network] == 0 {
		delete(s.of, network)
	}
	close(s.freed)
	s.freed = make(chan struct{})
}
