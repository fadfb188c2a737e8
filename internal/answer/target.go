package answer

import (
	"iter"

	"github.com/fedns/fedns/internal/names"
)

// A Target is what an SRV record leads to.
type Target struct {
	Port uint16
	Pod  *names.Target // a pod, whose label stands before the name behind the port's; nil: that name itself
}

// Targets are those of the SRV records, at most as many as an answer may have: of more,
// each answer has others, as Addrs has them.
func (a *Answer) Targets(turn uint32) iter.Seq[Target] {
	return func(yield func(Target) bool) {
		if a.Outcome != Found || !a.Target || a.Path.Port == "" {
			return
		}
		n := 0
		for i := range a.slots() {
			if _, ok := a.slot(i); ok {
				n++
			}
		}
		r := room{size: n, of: n}
		if a.limit > 0 {
			r.size = min(n, a.limit)
		}
		if n == 0 {
			return
		}
		skip := 0
		if r.size < n {
			skip = spread(turn, n)
		}
		for pass := range 2 {
			k := 0
			for i := range a.slots() {
				t, ok := a.slot(i)
				if !ok {
					continue
				}
				if (k >= skip) == (pass == 0) && (r.size == n || r.gives(k, turn)) && !yield(t) {
					return
				}
				k++
			}
		}
	}
}

// Pods says whether the SRV records lead to pods, each with its own name.
func (a *Answer) Pods() bool {
	return a.Inside && !a.Away && a.Path.Port != "" && a.Service.Local != nil && a.Service.Local.Targets != nil
}

// slots is how many targets there could be.
func (a *Answer) slots() int {
	switch {
	case a.Pods():
		return len(a.Service.Local.Targets)
	case a.Inside && !a.Away:
		return len(a.Service.Local.Ports)
	}
	return len(a.Service.Ports)
}

// slot is one of them; false: it hasn't got the port. Both labels were read when the
// answer was resolved.
func (a *Answer) slot(i int) (t Target, ok bool) {
	port, proto := a.Path.Port[1:], a.Path.Proto[1:]
	var p *names.Port
	switch local := a.Inside && !a.Away; {
	case a.Pods():
		t.Pod = &a.Service.Local.Targets[i]
		for j := range t.Pod.Ports {
			if q := &t.Pod.Ports[j]; q.Name == port && q.Proto == proto {
				return Target{q.Number, t.Pod}, true
			}
		}
		return t, false
	case local:
		p = &a.Service.Local.Ports[i]
	default:
		if p = &a.Service.Ports[i]; !p.In(a.End()) {
			return t, false
		}
	}
	return Target{Port: p.Number}, p.Name == port && p.Proto == proto
}
