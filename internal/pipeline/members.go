package pipeline

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
)

// Begin gives a federation, before Run, the members that a registry told of earlier,
// with its orders. listed is whether the registry has ever been listed; else names
// that aren't known are waited for until it has been, or StartupWait is over.
func (p *Pipeline) Begin(federation int, ms []Member, orders []override.Order, listed bool) {
	f := &p.federations[federation]
	for _, m := range ms {
		m.registered = true
		f.Members = append(f.Members, m)
	}
	f.orders, f.expects = orders, !listed
}

// Members makes those that a registry tells of the members of a federation, beside
// those of its configuration, and its orders hold from then on. A member of the
// same identity stays as it is, source and all, and only what is said of it changes;
// the sources of the others are ended and started. listed is as in Begin. It is
// false if p or ctx has ended.
func (p *Pipeline) Members(ctx context.Context, federation int, ms []Member, orders []override.Order, listed bool) bool {
	return p.inspect(ctx, func(w *worker) {
		if listed {
			w.tables[federation].ExpectMembers(false)
		}
		w.reconcile(federation, ms, orders)
	})
}

// AdoptHolders has hosts held by those that other servers of the federation hold them for, for as long as these claim them. They have
// been there all the while; what a server that starts knows is of earlier, or what objects say. Once its start is
// over, nothing that it holds changes hands.
func (p *Pipeline) AdoptHolders(ctx context.Context, federation int, holders map[string]string) {
	if len(holders) == 0 {
		return
	}
	p.inspect(ctx, func(w *worker) {
		if t := w.tables[federation]; !t.StartupOver() {
			t.AdoptHolders(holders)
		}
	})
}

// Holders are the hosts that several claim, by the namespace of the federation that holds it; nil if p or ctx has ended.
func (p *Pipeline) Holders(ctx context.Context, federation int) (out map[string]string) {
	p.inspect(ctx, func(w *worker) { out = w.tables[federation].Holders() })
	return out
}

// A slot is a member at its index in the table, with what runs for it.
type slot struct {
	Member
	end    func()        // ends its source
	since  time.Duration // when its listing began to be waited for
	waived bool          // it has had its time
}

// slotsOf are the members of a federation, by index.
func (w *worker) slotsOf(federation int) iter.Seq2[int, *slot] {
	return func(yield func(int, *slot) bool) {
		for j, s := range w.seats[federation] {
			if s != nil && !yield(j, s) {
				return
			}
		}
	}
}

// attach gives a member a slot, and starts its source.
func (w *worker) attach(i, j int, m Member) {
	ctx, cancel := context.WithCancel(w.ctx)
	s := &slot{Member: m, end: cancel, since: Now()}
	if j == len(w.seats[i]) {
		w.seats[i] = append(w.seats[i], nil)
	}
	w.seats[i][j] = s
	w.wg.Go(func() {
		m.Source.Run(ctx, func(c ...shard.Change) {
			w.send(ctx, func(w *worker) { w.apply(i, j, s, c) })
		})
		if w.ctx.Err() == nil && m.OnLeave != nil {
			m.OnLeave()
		}
	})
}

// detach takes a member out. Its source ends in its own time; what it still says
// comes from nobody.
func (w *worker) detach(i, j int) {
	s := w.seats[i][j]
	s.end()
	w.seats[i][j] = nil
	w.tables[i].Leave(j, Now())
	if k := w.keepers[i]; k != nil {
		k.forget(s.Identity)
	}
	notices.DeletePartialMatch(prometheus.Labels{"federation": w.federations[i].Name, "cluster": string(s.Name)})
}

func (w *worker) reconcile(i int, ms []Member, orders []override.Order) {
	t := w.tables[i]
	for j, s := range w.slotsOf(i) {
		if !s.registered {
			continue
		}
		at := slices.IndexFunc(ms, func(m Member) bool { return m.Identity == s.Identity })
		if at < 0 {
			w.detach(i, j)
			continue
		}
		if now := ms[at].Cluster; !now.Equal(&s.Cluster) {
			s.Cluster = now
			t.Change(j, now)
		}
	}
	for _, m := range ms {
		if slices.ContainsFunc(w.seats[i], func(s *slot) bool { return s != nil && s.Identity == m.Identity }) {
			continue
		}
		m.registered = true
		w.attach(i, t.Join(m.Cluster), m)
	}
	w.drains[i] = orders
	w.override(i)
}

// override has a table follow what a registry and the file of overrides order: what
// stands in the file is the last word, since whoever writes it is nearer.
func (w *worker) override(i int) {
	w.tables[i].Override(slices.Concat(w.drains[i], w.filed[i]))
}

// overdue calls late for all that is waited for, with the moment when its time is over
// and what has to be done then: the clusters of a disk, members that haven't been listed,
// the registry, and what else has to be known in the beginning.
func (w *worker) overdue(late func(at time.Duration, giveUp func())) {
	if w.restored {
		late(w.began+StartupWait, func() { w.renew = true })
	}
	for i, t := range w.tables {
		if n := t.AwaitedRoutes(); n > 0 {
			late(w.began+word, func() {
				w.log.Warn("federation "+w.federations[i].Name+": no controller has said within "+word.String()+" whether it accepts some routes; they count as none", "routes", n)
				t.EndRouteWait()
			})
		}
		if t.Settled() && t.StartupOver() {
			continue
		}
		if t.ExpectsMembers() {
			late(w.began+StartupWait, t.EndMemberWait)
		}
		for j, s := range w.slotsOf(i) {
			if !s.waived && (!t.Complete(j) || t.Partial(j)) {
				late(s.since+StartupWait, func() {
					s.waived = true
					w.log.Warn("cluster " + string(s.Name) + ": not listed within " + StartupWait.String() + "; going on without it")
					t.EndWaitFor(j)
				})
			}
		}
		if !t.StartupOver() {
			late(w.began+StartupWait, func() { w.beginAnyway(i) })
		}
	}
}

// beginAnyway answers for a federation from what is known.
func (w *worker) beginAnyway(i int) {
	t := w.tables[i]
	if n := t.Waiting(); n > 0 {
		w.log.Warn("federation "+w.federations[i].Name+": not everything is known within "+StartupWait.String()+" that answers depend on; going on without it", "services", n)
	}
	t.EndStartup()
}

// giveUpOverdue stops waiting for what has had its time.
func (w *worker) giveUpOverdue() {
	now := Now()
	w.overdue(func(at time.Duration, giveUp func()) {
		if now >= at {
			giveUp()
		}
	})
}
