package node

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// A Link is what becomes of the packets between a cluster and the others, in each direction.
type Link struct {
	Delay time.Duration // how long each takes
	Loss  int           // how many of a hundred don't arrive
	Kbit  int           // how many kilobits pass in a second; 0: all. What would wait for more than half a second is lost.
	Seed  uint64        // of what decides which are lost
}

// Cut takes the links of its nodes away, Join puts them back.
func (c *Cluster) Cut(t testing.TB) {
	t.Helper()
	for _, n := range c.Nodes {
		run(t, n.netns, "ip", "link", "set", "up0", "down") // this end: the router's routes stay
	}
}

// Join puts back what Cut took away.
func (c *Cluster) Join(t testing.TB) {
	t.Helper()
	for _, n := range c.Nodes {
		run(t, n.netns, "ip", "link", "set", "up0", "up")
		run(t, n.netns, "ip", "route", "replace", "default", "via", n.up) // it went with the link
	}
}

// Degrade makes its link a bad one, until it is called again; Link{} is the good one. The cluster
// is one of one node, and isn't cut off meanwhile. Many kernels have no netem, so it is done here:
// packets go from a TUN device at one end to one at the other by way of the test.
func (c *Cluster) Degrade(t testing.TB, l Link) {
	t.Helper()
	if len(c.Nodes) > 1 {
		t.Fatalf("%s has several links", c.Name)
	}
	n, router := c.Nodes[0], c.bed.netns
	ways := []string{n.Address + "/32", n.pods, fmt.Sprintf("10.97.%d.0/24", c.number)}
	if c.bad != nil {
		run(t, router, "ip", "route", "del", ways[0])
		for _, to := range ways[1:] {
			run(t, router, "ip", "route", "replace", to, "via", n.Address)
		}
		run(t, n.netns, "ip", "route", "replace", "default", "via", n.up)
		c.bad()
		c.bad = nil
	}
	if l == (Link{}) {
		return
	}
	name := fmt.Sprintf("bad%d", c.number)
	down, err := openTUN(router, name)
	if err != nil {
		t.Fatalf("%s: a TUN device in %s: %v", c.Name, router, err)
	}
	up, err := openTUN(n.netns, name)
	if err != nil {
		t.Fatalf("%s: a TUN device in %s: %v", c.Name, n.netns, err)
	}
	run(t, router, "ip", "link", "set", name, "up")
	run(t, n.netns, "ip", "link", "set", name, "up")
	c.bad = relay(l, down, up)
	t.Cleanup(func() {
		if c.bad != nil {
			c.bad()
		}
	})
	run(t, n.netns, "ip", "route", "replace", "default", "dev", name, "src", n.Address)
	for _, to := range ways {
		run(t, router, "ip", "route", "replace", to, "dev", name)
	}
}

// Confine has its pods reach nothing outside it but these addresses, as a NetworkPolicy does where there are
// plugins for it.
func (c *Cluster) Confine(t testing.TB, to ...string) {
	t.Helper()
	pods := fmt.Sprintf("10.%d.0.0/16", 100+c.number)
	to = append(to, pods)
	for _, n := range c.Nodes {
		to = append(to, n.Address)
	}
	table := "confines" + c.Nodes[0].link
	run(t, c.bed.netns, "nft", "add", "table", "ip", table)
	run(t, c.bed.netns, "nft", "add", "chain", "ip", table, "through", "{ type filter hook forward priority 0; }")
	run(t, c.bed.netns, "nft", "add", "rule", "ip", table, "through", "ip", "saddr", pods, "ip", "daddr", "!=", "{ "+strings.Join(to, ", ")+" }", "counter", "drop")
}

// A line is one direction of a link: it says when a packet arrives.
type line struct {
	Link
	random *rand.Rand
	free   time.Time // when what was sent before has left
}

// queue is how long a packet may wait for its turn on a line of so many kilobits.
const queue = 500 * time.Millisecond

// arrives says when a packet of so many bytes that is sent at now arrives, if it does.
func (l *line) arrives(now time.Time, size int) (at time.Time, ok bool) {
	if l.random.IntN(100) < l.Loss {
		return time.Time{}, false
	}
	if l.free.Before(now) {
		l.free = now
	}
	if l.free.Sub(now) > queue {
		return time.Time{}, false
	}
	if l.Kbit > 0 {
		l.free = l.free.Add(time.Duration(size) * 8 * time.Millisecond / time.Duration(l.Kbit))
	}
	return l.free.Add(l.Delay), true
}
