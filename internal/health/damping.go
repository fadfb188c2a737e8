package health

// A Probe is what probing a target has come to. The zero value is the cautious
// one: nothing is withdrawn for a target of which nothing is known.
type Probe uint8

// The states of a probed target.
const (
	Unprobed Probe = iota
	Failing
	Passing
)

func (p Probe) String() string { return [...]string{"unprobed", "failing", "passing"}[p] }

// Damping says how many results in a row it takes to change one's mind. Less than
// one is one.
type Damping struct {
	Fall int // failures until a target is failing
	Rise int // passes until it is passing again
}

// A Streak is the results of one target so far. The zero value has none.
type Streak struct {
	state Probe
	run   int // results in a row that speak against state
}

// State is what the results have come to.
func (s Streak) State() Probe { return s.state }

// Next adds a result. The first pass decides at once: a target that answers need
// not wait to be believed. A first failure doesn't: a target that has just been
// added isn't withdrawn for one lost packet.
func (s Streak) Next(ok bool, d Damping) Streak {
	to, after := Failing, d.Fall
	if ok {
		to, after = Passing, d.Rise
		if s.state == Unprobed {
			after = 1
		}
	}
	if to == s.state {
		return Streak{state: to}
	}
	if s.run++; s.run >= after {
		return Streak{state: to}
	}
	return s
}
