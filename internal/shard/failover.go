package shard

import (
	"math"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/snapshot"
)

// A Failover is what a failover policy remembers of the addresses of one family that a
// service has: which region is answered from, and since when those of its list are
// up. Each family goes its own way: a region without an address of the one that is
// asked for has nothing to answer with.
type Failover struct {
	Active string
	Policy snapshot.Policy
	Since  []time.Duration // by the policy's regions; Never while it isn't up
	Done   []string        // the orders to go back that have had their effect: each has it once
}

// Failovers are those of a service.
type Failovers [snapshot.Families]Failover

// Decided says whether anything has been decided.
func (l Failovers) Decided() bool { return l[0].Policy.Choice == snapshot.Failover }

// Never is since when a region is up that isn't.
const Never = time.Duration(math.MinInt64)

// Equal says whether two leads have come to the same.
func (l Failover) Equal(o Failover) bool {
	return l.Active == o.Active && l.Policy.Equal(o.Policy) && slices.Equal(l.Since, o.Since) && slices.Equal(l.Done, o.Done)
}

// Remembers says whether anything follows from how a lead came about. A policy that goes back at
// once is always where it prefers to be.
func (l Failover) Remembers() bool { return l.Policy.Failback != snapshot.Failback{} }

// Next is what becomes of a lead now. up says of a region whether a shard is up in
// it, back whether an operator wants it gone back to. wake is when time alone may
// change it; 0: never.
//
// When the region that is answered from has no shard any more, the first of the list
// that has one takes its place at once. The way back to one that is preferred is what
// the policy's Failback says.
func (l Failover) Next(p snapshot.Policy, up, back func(region string) bool, now time.Duration) (n Failover, wake time.Duration) {
	n = Failover{Active: l.Active, Policy: p, Since: slices.Repeat([]time.Duration{Never}, len(p.Regions))}
	first := -1
	for i, r := range p.Regions {
		if !up(r) {
			continue
		}
		n.Since[i] = now
		if l.Policy.Equal(p) && l.Since[i] != Never {
			n.Since[i] = l.Since[i]
		}
		if first < 0 {
			first = i
		}
	}
	if first < 0 {
		n.Active = ""
		return n, 0
	}
	current := slices.Index(p.Regions, l.Active)
	if current < 0 || n.Since[current] == Never {
		n.Active = p.Regions[first]
		return n, 0
	}
	for i, r := range p.Regions[:current] {
		switch {
		case n.Since[i] == Never:
			continue
		case back(r), !p.Failback.Manual && now-n.Since[i] >= p.Failback.After:
			n.Active = r
			return n, wake
		case !p.Failback.Manual:
			if at := n.Since[i] + p.Failback.After; wake == 0 || at < wake {
				wake = at
			}
		}
	}
	return n, wake
}
