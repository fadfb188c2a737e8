package replicas

import "time"

// patience is how long the scheduler may look for a node: an autoscaler of nodes
// or the end of a rollout often helps sooner.
const patience = time.Minute

// memory is how long a full cluster counts as full after its last pod that waited
// is gone. A plan without overflow takes those pods away, and they are all that
// tells; without memory each minute would try the same again, and take running
// replicas from other clusters for it.
const memory = 10 * time.Minute

// A Pod is one of an object's in a member. One that is being deleted is none.
type Pod struct {
	Running       bool
	Unschedulable time.Time // since when PodScheduled is False with reason Unschedulable; zero: it isn't
}

// A State is what a member says of an object.
type State struct {
	Spec  int64 // what it was asked for
	Ready int64
	Pods  []Pod // not needed if Complete
}

// Complete says that all that was asked for is ready, and the pods tell no more.
func (s State) Complete() bool { return s.Ready >= s.Spec }

// An Estimate is what a State comes to.
type Estimate struct {
	Running int64 // pods that run, ready or not

	// Held is what counts as the cluster's own: what it was asked for, except what
	// it has no room for. Pods that aren't ready count: v1 counted the ready ones,
	// and after a rollout or a crash gave the replicas to whichever cluster was
	// ready first (kubernetes #39856, #46119).
	Held int64

	Capacity *int64 // nil: nothing waits for room
}

// Estimate judges a state.
func (s State) Estimate(now time.Time) Estimate {
	e := Estimate{Running: s.Ready, Held: s.Spec}
	if s.Complete() {
		return e
	}
	var running, waiting int64
	for _, p := range s.Pods {
		if p.Running {
			running++
		}
		if !p.Unschedulable.IsZero() && now.Sub(p.Unschedulable) > patience {
			waiting++
		}
	}
	e.Running = max(running, s.Ready)
	if waiting == 0 {
		return e
	}
	// In a rollout that has no room for its surge, pods wait, but there is room for
	// those that run.
	room := max(s.Spec-waiting, running)
	e.Capacity = &room
	e.Held = min(s.Spec, room)
	return e
}

// A Limit remembers a capacity. The zero value remembers none.
type Limit struct {
	Capacity int64
	Seen     time.Time // when pods last waited
}

// Next is what is remembered after a state.
func (l Limit) Next(s State, now time.Time) Limit {
	if c := s.Estimate(now).Capacity; c != nil {
		return Limit{Capacity: *c, Seen: now}
	}
	if s.Complete() && s.Spec > l.Capacity || now.Sub(l.Seen) > memory {
		return Limit{} // there was room, or it is time to ask again
	}
	return l
}

// Room is the capacity for a Cluster; nil: no bound is known.
func (l Limit) Room() *int64 {
	if l.Seen.IsZero() {
		return nil
	}
	return &l.Capacity
}
