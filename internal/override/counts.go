package override

import "slices"

// A ClusterPlace is where shards can be: a cluster, and a place in it. Region and zone are ""
// where they aren't known.
type ClusterPlace struct{ Cluster, Region, Zone string }

// Covers says whether a subject speaks of all that is at a spot.
func (s Subject) Covers(at ClusterPlace) bool {
	switch s.Kind {
	case Cluster:
		return s.Name == at.Cluster
	case Region:
		return s.Name == at.Region
	case Zone:
		return s.Name == at.Zone
	}
	return false
}

// Of says whether a subject speaks of the shard of a service at a spot.
func (s Subject) Of(namespace, name string, at ClusterPlace) bool {
	if s.Kind == Service {
		return s.Namespace == namespace && s.Name == name
	}
	return s.Covers(at)
}

// contradicts says whether two orders can't both hold. Drain and down agree that shards
// are out; to go back to a region is about regions among each other.
func (a Action) contradicts(b Action) bool {
	return (a == Up) != (b == Up)
}

// Overruled gives the later orders of a list that count instead of the one at an index,
// wherever that speaks of anything; none: somewhere it counts itself, or one that
// agrees. spots are all that there are.
func Overruled(list []Order, at int, spots []ClusterPlace) (by []Order) {
	o := list[at]
	if o.Action == Failback {
		return nil
	}
	var about []ClusterPlace
	for _, s := range spots {
		if o.Subject.Kind == Service || o.Subject.Covers(s) {
			about = append(about, s)
		}
	}
	if about == nil {
		about = []ClusterPlace{{}} // nothing is known there: one about the same counts even so
	}
	for _, s := range about {
		last := o
		for _, later := range list[at+1:] {
			if later.Action != Failback && (later.Subject == o.Subject || later.Subject.Covers(s)) {
				last = later
			}
		}
		if !last.Action.contradicts(o.Action) {
			return nil
		}
		if !slices.Contains(by, last) {
			by = append(by, last)
		}
	}
	return by
}

// On is the last order that speaks of all the spots of a cluster, each as a whole; that
// one counts for it.
func On(list []Order, spots []ClusterPlace) (o Order, ok bool) {
	for _, o := range slices.Backward(list) {
		if o.Action != Failback && len(spots) > 0 && !slices.ContainsFunc(spots, func(s ClusterPlace) bool { return !o.Subject.Covers(s) }) {
			return o, true
		}
	}
	return o, false
}

// A Force is what is in force at a moment: the orders, the last of which counts, and
// where there are shards at all.
type Force struct {
	Orders []Order
	Places []ClusterPlace
}
