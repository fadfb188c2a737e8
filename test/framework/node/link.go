package node

import (
	"fmt"
	"strings"
	"testing"
)

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

// Lose has its link lose so many packets of a hundred, in both directions; 0: none.
func (c *Cluster) Lose(t testing.TB, percent int) {
	t.Helper()
	table := "loses" + c.Nodes[0].link
	_, _ = try(c.bed.netns, "nft", "delete", "table", "ip", table) // there may be none
	if percent == 0 {
		return
	}
	run(t, c.bed.netns, "nft", "add", "table", "ip", table)
	run(t, c.bed.netns, "nft", "add", "chain", "ip", table, "through", "{ type filter hook forward priority 0; }")
	for _, way := range []string{"iifname", "oifname"} {
		run(t, c.bed.netns, "nft", "add", "rule", "ip", table, "through", way, c.Nodes[0].link, "numgen", "random", "mod", "100", "<=", fmt.Sprint(percent-1), "counter", "drop")
	}
}

// Slow has its link let so many kilobits through in a second, towards the cluster; 0: all. What
// waits longer than half a second is lost. A kernel without netem, as many have none, can't delay
// packets otherwise.
func (c *Cluster) Slow(t testing.TB, kbit int) {
	t.Helper()
	_, _ = try(c.bed.netns, "tc", "qdisc", "del", "dev", c.Nodes[0].link, "root") // there may be none
	if kbit > 0 {
		run(t, c.bed.netns, "tc", "qdisc", "add", "dev", c.Nodes[0].link, "root", "tbf", "rate", fmt.Sprintf("%dkbit", kbit), "burst", "8kb", "latency", "500ms")
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
