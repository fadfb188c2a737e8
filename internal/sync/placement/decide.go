package placement

import (
	"fmt"
	"slices"
)

// An Object is one to be placed.
type Object struct {
	Selector    Selector
	Tolerations []Toleration
}

// A Cluster is one that objects may be placed in.
type Cluster struct {
	Labels   map[string]string
	Taints   []Taint
	Evacuate bool // a drain sends its replicas elsewhere
}

// Replicas is what may become of an object's replicas in a cluster.
type Replicas uint8

// What may become of them. The zero value is the cautious one.
const (
	None Replicas = iota // they go to other clusters
	Keep                 // they may get fewer, not more
	Grow                 // package replicas decides
)

func (r Replicas) String() string { return [...]string{"none", "keep", "grow"}[r] }

// Ceiling bounds the replicas of a cluster that has so many now; nil is no bound.
func (r Replicas) Ceiling(current int64) *int64 {
	switch r {
	case Grow:
		return nil
	case Keep:
		return &current
	}
	return new(int64)
}

// A Decision is whether an object is to be in a cluster.
type Decision struct {
	Place    bool
	Replicas Replicas
	Why      string
	// Leaves is that it isn't to be there any more, but may stay until its replicas are
	// elsewhere: nothing drives it away.
	Leaves bool
}

// Decide says whether an object is to be in a cluster; present, whether it is there
// now. A selector weighs more than a taint, and a taint more than a drain: an object
// that doesn't belong to a cluster isn't kept there by anything.
func Decide(o Object, c Cluster, present bool) Decision {
	if ok, why := o.Selector.Matches(c.Labels); !ok {
		return Decision{Why: why, Leaves: present}
	}
	if t, ok := o.repelled(c, NoExecute); ok {
		return Decision{Why: fmt.Sprintf("taint %s isn't tolerated", t)}
	}
	t, tainted := o.repelled(c, NoSchedule)
	switch {
	case tainted && !present:
		return Decision{Why: fmt.Sprintf("taint %s isn't tolerated", t)}
	case c.Evacuate:
		return Decision{Place: true, Replicas: None, Why: "the cluster is drained: its replicas go to others"}
	case tainted:
		return Decision{Place: true, Replicas: Keep, Why: fmt.Sprintf("it was there before taint %s, and must not grow", t)}
	}
	return Decision{Place: true, Replicas: Grow, Why: "selected"}
}

// repelled is the first taint of that effect that nothing tolerates.
func (o Object) repelled(c Cluster, effect Effect) (Taint, bool) {
	for _, t := range c.Taints {
		if t.Effect == effect && !slices.ContainsFunc(o.Tolerations, func(have Toleration) bool { return have.tolerates(t) }) {
			return t, true
		}
	}
	return Taint{}, false
}
