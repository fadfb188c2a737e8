// Package probe asks from here whether targets answer, again and again, and
// reports when one begins or ceases to.
//
// A target is an address and a way to ask; those who want the same share it. A
// result is what this server sees: trouble of its own is no result, and nothing
// is said of a target before enough of them are in. What follows from a result is
// for others to judge.
package probe

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/health"
)

const (
	// inFlight bounds the probes under way, each a goroutine and a file descriptor.
	inFlight = 4096
	// crowd is how many of them may be anybody's. Targets that time out hold their place
	// longest: with the usual timings, 4,000 dead ones fit before the living have to wait
	// for them. The other half is for those who have less than their part of it, so that
	// nobody waits for the targets of others.
	crowd = inFlight / 2
	// tick is the least time between two looks at what is due. One wake-up for 50
	// probes is cheaper than 50, and nobody sees 10 ms.
	tick = 10 * time.Millisecond
	// A probe that begins this long after it was due is counted as late.
	late = 100 * time.Millisecond
)

// A Target is what is probed: an address, and how.
type Target struct {
	Addr netip.AddrPort
	Spec Spec
}

// A Result is what the probes of a target have come to.
type Result struct {
	State health.Probe
	Why   string    // what went wrong last; empty once a passing target passes
	Local string    // what keeps this server from asking, since At
	At    time.Time // of the last probe with a result
	Since time.Time // of the state
}

// A Prober probes a set of targets.
type Prober struct {
	report func(Target, Result)
	check  func(context.Context, Target) error // as ask

	wake chan struct{} // has something when there are new targets

	mu      sync.Mutex // guards the rest
	targets map[Target]*entry
	queue   queue // the same entries
	payers  map[Requester]*payer
	paying  int // payers that have targets
	flying  int
	running bool
}

// A payer is one that probes are made for.
type payer struct {
	flying  int
	waiting []*entry // that are due, until one of its probes is over
}

// An entry is one target of a prober.
type entry struct {
	target Target
	free   bool // the operator allows the address, whatever it is
	every  time.Duration
	payer  *payer
	at     int // in the queue
	due    time.Time
	since  time.Time // when it was due, while it waits for others of its payer
	busy   bool      // a probe is under way
	streak health.Streak
	result Result
}

// never is later than anything is due.
const never = 1000 * time.Hour

// New makes a prober without targets. When it runs, it calls report for each
// target that reaches a first state and for each change of it, one at a time for
// one target, but from several goroutines. A report can come in just after Set
// has taken its target out.
func New(report func(Target, Result)) *Prober {
	return &Prober{report: report, check: ask, wake: make(chan struct{}, 1), targets: map[Target]*entry{}, payers: map[Requester]*payer{}}
}

// Set replaces the targets. What is known of those that stay is kept; new ones
// begin within their interval, each at another moment; what was known of those
// that go is forgotten. Targets to be probed by None are left out.
func (p *Prober) Set(jobs []Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	was := len(p.queue)
	next := make(map[Target]*entry, len(jobs))
	p.queue = make(queue, 0, len(jobs))
	for by, x := range p.payers {
		if x.waiting = nil; x.flying == 0 {
			delete(p.payers, by)
		}
	}
	paying := map[*payer]bool{}
	for _, j := range jobs {
		if j.Spec.Kind == None || next[j.Target] != nil {
			continue
		}
		e := p.targets[j.Target]
		if e == nil {
			e = &entry{target: j.Target, due: now.Add(rand.N(j.Every))}
		}
		if !e.since.IsZero() {
			e.due, e.since = e.since, time.Time{}
		}
		if j.Every < e.every && e.due.Sub(now) > j.Every { // others that it had to make way for are gone
			e.due = now.Add(rand.N(j.Every))
		}
		e.every, e.free = j.Every, j.Free
		if e.payer = p.payers[j.Requester]; e.payer == nil {
			e.payer = &payer{}
			p.payers[j.Requester] = e.payer
		}
		paying[e.payer] = true
		e.at = len(p.queue)
		next[j.Target] = e
		p.queue = append(p.queue, e)
	}
	p.paying = len(paying)
	p.targets = next
	heap.Init(&p.queue)
	if p.running {
		held.Add(float64(len(p.queue) - was))
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Result is what the probes of t have come to, if it is a target.
func (p *Prober) Result(t Target) (Result, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.targets[t]
	if e == nil {
		return Result{}, false
	}
	return e.result, true
}

// Run probes until ctx ends.
func (p *Prober) Run(ctx context.Context) {
	p.run(true)
	defer p.run(false)
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		due, wait := p.due(time.Now())
		for _, e := range due {
			wg.Go(func() { p.probe(ctx, e) })
		}
		timer.Reset(wait)
	}
}

// run shows in the metrics that the prober runs, or doesn't any more.
func (p *Prober) run(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running = on; on {
		held.Add(float64(len(p.queue)))
	} else {
		held.Sub(float64(len(p.queue)))
	}
}

// due takes what is to be probed now, as far as the bounds let it, and says when
// to look again. What has to wait stays due: it is late, but the first in line.
func (p *Prober) due(now time.Time) (out []*flight, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := false
	for _, x := range p.payers {
		n := min(p.room(x), len(x.waiting))
		for _, e := range x.waiting[:n] {
			e.due, e.since = e.since, time.Time{}
			heap.Fix(&p.queue, e.at)
		}
		x.waiting = x.waiting[n:]
		waiting = waiting || len(x.waiting) > 0
	}
	for len(p.queue) > 0 && p.flying < inFlight {
		e := p.queue[0]
		if e.due.After(now) {
			break
		}
		if e.busy {
			// The last one takes as long as its interval. Two at a time would
			// report in any order.
			e.due = now.Add(tick)
			heap.Fix(&p.queue, 0)
			continue
		}
		if p.room(e.payer) == 0 {
			e.since, e.due = e.due, now.Add(never)
			e.payer.waiting = append(e.payer.waiting, e)
			waiting = true
			heap.Fix(&p.queue, 0)
			continue
		}
		if now.Sub(e.due) > late {
			lates.Inc()
		}
		e.busy = true
		p.flying++
		e.payer.flying++
		out = append(out, &flight{e, e.payer, e.free})
		e.due = now.Add(jitter(e.every))
		heap.Fix(&p.queue, 0)
	}
	wait = time.Hour // nothing to do until Set says so
	if len(p.queue) > 0 {
		wait = max(p.queue[0].due.Sub(now), tick)
	}
	if waiting {
		wait = tick
	}
	return out, wait
}

// room is how many more probes may be under way for a payer: as many as fit while there
// is no crowd, and then its part.
func (p *Prober) room(x *payer) int {
	part := max(1, crowd/max(1, p.paying))
	return max(0, crowd-p.flying, part-x.flying)
}

// A flight is a probe under way.
type flight struct {
	*entry
	by   *payer
	free bool
}

// jitter is the time to the next probe: up to a tenth off, so that targets don't
// fall into step, and those of several servers neither.
func jitter(interval time.Duration) time.Duration {
	return interval - interval/10 + rand.N(interval/5)
}

// probe asks once.
func (p *Prober) probe(ctx context.Context, e *flight) {
	began := time.Now()
	var err error
	// What it was when it became a target may have changed: addresses move.
	if why := Refused(e.target.Addr.Addr()); why != "" && !e.free {
		err = refusal(why)
	} else {
		limited, cancel := context.WithTimeout(ctx, e.target.Spec.Timeout)
		err = p.check(limited, e.target)
		cancel()
	}
	if err != nil && ctx.Err() != nil {
		err = context.Canceled // whatever else it looks like
	}
	at := time.Now()
	why, local := reason(e.target.Addr, err)
	switch {
	case local:
		locals.Inc()
	case err != nil:
		failures.Inc()
	default:
		passes.Inc()
	}
	if !local {
		seconds.Observe(at.Sub(began).Seconds())
	}
	if r, changed := p.take(e.entry, at, why, local); changed {
		p.report(e.target, r)
	}
	p.mu.Lock()
	e.busy = false
	p.flying--
	e.by.flying--
	p.mu.Unlock()
}

// take adds the result of a probe, and says whether that changes the state of a
// target.
func (p *Prober) take(e *entry, at time.Time, why string, local bool) (Result, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &e.result
	if local {
		r.Local = why
		return *r, false
	}
	r.Local = ""
	e.streak = e.streak.Next(why == "", e.target.Spec.Damping)
	was := r.State
	r.State, r.At = e.streak.State(), at
	if r.State != was {
		r.Since = at
	}
	if why != "" || r.State == health.Passing {
		r.Why = why
	}
	return *r, r.State != was && p.targets[e.target] == e
}

// A queue is a heap of entries, the next one due at its top.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j], q[i].at, q[j].at = q[j], q[i], j, i }
func (q *queue) Push(any)          { panic("probe: Set makes the queue anew") }
func (q *queue) Pop() any          { panic("probe: Set makes the queue anew") }
