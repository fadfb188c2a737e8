package node

import (
	"fmt"
	"strings"
	"testing"
)

// down is the router's end of a cluster's link.
func (c *Cluster) down() string { return fmt.Sprintf("down%d", c.number) }

// Cut takes its link away, Join puts it back.
func (c *Cluster) Cut(t testing.TB) {
	t.Helper()
	run(t, c.bed.netns, "ip", "link", "set", c.down(), "down")
}

// Join puts back what Cut took away.
func (c *Cluster) Join(t testing.TB) {
	t.Helper()
	run(t, c.bed.netns, "ip", "link", "set", c.down(), "up")
	for _, to := range []string{fmt.Sprintf("10.97.%d.0/24", c.number), fmt.Sprintf("10.%d.0.0/24", 100+c.number)} {
		run(t, c.bed.netns, "ip", "route", "replace", to, "via", c.Node) // they went with the link
	}
}

// Lose has its link lose so many packets of a hundred, in both directions; 0: none.
func (c *Cluster) Lose(t testing.TB, percent int) {
	t.Helper()
	table := "loses" + c.down()
	_, _ = try(c.bed.netns, "nft", "delete", "table", "ip", table) // there may be none
	if percent == 0 {
		return
	}
	run(t, c.bed.netns, "nft", "add", "table", "ip", table)
	run(t, c.bed.netns, "nft", "add", "chain", "ip", table, "through", "{ type filter hook forward priority 0; }")
	for _, way := range []string{"iifname", "oifname"} {
		run(t, c.bed.netns, "nft", "add", "rule", "ip", table, "through", way, c.down(), "numgen", "random", "mod", "100", "<=", fmt.Sprint(percent-1), "counter", "drop")
	}
}

// Slow has its link let so many kilobits through in a second, towards the cluster; 0: all. What
// waits longer than half a second is lost. A kernel without netem, as many have none, can't delay
// packets otherwise.
func (c *Cluster) Slow(t testing.TB, kbit int) {
	t.Helper()
	_, _ = try(c.bed.netns, "tc", "qdisc", "del", "dev", c.down(), "root") // there may be none
	if kbit > 0 {
		run(t, c.bed.netns, "tc", "qdisc", "add", "dev", c.down(), "root", "tbf", "rate", fmt.Sprintf("%dkbit", kbit), "burst", "8kb", "latency", "500ms")
	}
}

// Confine has its pods reach nothing outside it but these addresses, as a NetworkPolicy does where there are
// plugins for it.
func (c *Cluster) Confine(t testing.TB, to ...string) {
	t.Helper()
	table := "confines" + c.down()
	run(t, c.bed.netns, "nft", "add", "table", "ip", table)
	run(t, c.bed.netns, "nft", "add", "chain", "ip", table, "through", "{ type filter hook forward priority 0; }")
	run(t, c.bed.netns, "nft", "add", "rule", "ip", table, "through", "iifname", c.down(), "ip", "saddr", fmt.Sprintf("10.%d.0.0/24", 100+c.number),
		"ip", "daddr", "!=", "{ "+strings.Join(to, ", ")+" }", "counter", "drop")
}
