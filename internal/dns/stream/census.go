package stream

import (
	"net/netip"
	"sync"
)

// A census counts connections, of all goroutines of a group.
type census struct {
	mu  sync.Mutex // guards the rest
	all int
	of  map[netip.Prefix]int
}

// The limits that one connection more is beyond.
const (
	within = iota
	beyondNetwork
	beyondAll
)

// enter counts one more, and says which limit it is beyond. It is counted in any case.
func (c *census) enter(network netip.Prefix, l Limits) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[netip.Prefix]int{}
	}
	c.all++
	c.of[network]++
	switch {
	case l.Network > 0 && c.of[network] > l.Network:
		return beyondNetwork
	case l.All > 0 && c.all > l.All:
		return beyondAll
	}
	return within
}

// leave counts one less.
func (c *census) leave(network netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.of[network]--; c.of[network] == 0 {
		delete(c.of, network)
	}
}
