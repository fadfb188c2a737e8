package table

import (
	"maps"
	"slices"
	"time"
)

// HoldLeft is how long the shards of a silent cluster stay what they are; false: it isn't silent, or
// its silence withdraws nothing: it is over, set to keep, or most are silent.
func (t *Table) HoldLeft(cluster int, now time.Duration) (left time.Duration, ok bool) {
	m := t.members[cluster]
	if !m.silent || m.expired || t.isolated || t.policy.Keep {
		return 0, false
	}
	return max(m.counts+t.policy.Hold-now, 0), true
}

// GuardLeft is how long the guard still holds back what it has held back longest; false: nothing.
func (t *Table) GuardLeft(now time.Duration) (left time.Duration, ok bool) {
	for _, since := range t.guard.held {
		if l := max(since+t.policy.Guard.Time-now, 0); !ok || l < left {
			left, ok = l, true
		}
	}
	return left, ok
}

// Contested are the hosts on which a claim is refused, sorted.
func (a *Arbiter) Contested() (hosts []string) {
	a.settle()
	for _, h := range slices.Sorted(maps.Keys(a.contests)) {
		if slices.ContainsFunc(a.contests[h].claims, func(o *claimant) bool { return o.refused != "" }) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}
