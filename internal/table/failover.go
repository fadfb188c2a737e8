package table

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// chooseActive decides for a service that is about to be answered so, and says so in it.
func (t *Table) chooseActive(s *service, out *snapshot.Service, now time.Duration) (l shard.Failovers, wake time.Duration) {
	p := t.policy.Choice
	if out.Policy != nil {
		p = *out.Policy
	}
	if p.Choice != snapshot.Failover {
		return l, 0
	}
	for f := range l {
		was := s.lead()[f]
		// Of two orders of the same words, one may be new.
		var orders, done []override.Order
		for _, o := range t.failbacks(s.key) {
			if countOf(done, o) < countOf(was.Done, o.String()) {
				done = append(done, o)
			} else {
				orders = append(orders, o)
			}
		}
		up := func(region string) bool { return out.HasAddress(snapshot.Family(f), region) }
		back := func(region string) bool {
			return slices.ContainsFunc(orders, func(o override.Order) bool { return o.Subject.Kind == override.Service || o.Subject.Name == region })
		}
		var at time.Duration
		if l[f], at = was.Next(p, up, back, now); at > 0 && (wake == 0 || at < wake) {
			wake = at
		}
		for _, o := range orders {
			if heeds(l[f], was, o) {
				done = append(done, o)
			}
		}
		for _, o := range done {
			l[f].Done = append(l[f].Done, o.String())
		}
		out.Active[f] = l[f].Active
	}
	return l, wake
}

func countOf[T comparable](list []T, x T) (n int) {
	for _, y := range list {
		if y == x {
			n++
		}
	}
	return n
}

// failbacks are the orders to go back that speak of a service, or of a region.
func (t *Table) failbacks(k snapshot.Key) (out []override.Order) {
	for _, o := range t.orders {
		if o.Action == override.Failback && (o.Subject.Kind == override.Region || o.Subject.Kind == override.Service && o.Subject.Namespace == k.Namespace && o.Subject.Name == k.Name) {
			out = append(out, o)
		}
	}
	return out
}

// heeds says whether a service has done what an order says: it has gone back, or there is
// nothing to go back from. What happens later is another matter.
func heeds(l, was shard.Failover, o override.Order) bool {
	at := slices.Index(l.Policy.Regions, l.Active)
	if at < 0 {
		return false
	}
	if o.Subject.Kind == override.Region {
		target := slices.Index(l.Policy.Regions, o.Subject.Name)
		return target >= 0 && at <= target
	}
	return at == 0 || was.Active != l.Active && slices.Index(l.Policy.Regions, was.Active) > at
}

// origin has the leads of a service begin where those of an earlier table or process
// were. While not all is known yet, each publication begins there anew: what isn't
// listed yet isn't down, and the first to be listed isn't the one that is preferred.
func (t *Table) origin(s *service) {
	if leads, ok := t.inherited[s.key]; ok {
		s.setLead(leads)
		if !t.beginning {
			delete(t.inherited, s.key)
		}
	} else if t.beginning && !s.carried() {
		s.led = nil
	}
}

// noteFailovers notes what has become of the leads of a service.
func (t *Table) noteFailovers(s *service, now shard.Failovers) {
	before := s.lead()
	for f := range now {
		was := &before[f]
		if !t.beginning && !was.Equal(now[f]) && (was.Remembers() || now[f].Remembers()) {
			t.releads[s.key] = true
		}
		if !t.beginning && len(was.Active) > 0 {
			for _, o := range now[f].Done {
				if countOf(now[f].Done, o) > countOf(was.Done, o) && !slices.Contains(t.heeded[o], s.key) {
					t.heeded[o] = append(t.heeded[o], s.key)
				}
			}
		}
	}
	if s.setLead(now); now.Decided() {
		t.judged[s.key] = true
	}
}

// noticePolicies notices policies of annotations that mean less than they say: with a region which no
// member is in, or nearest where nobody can be placed. It looks at services that have been judged anew, and
// at all where the regions have changed. Before every member has been listed, it isn't known.
func (t *Table) noticePolicies(f *snapshot.Federation, changed bool) {
	if !t.Settled() {
		return
	}
	check := func(k snapshot.Key) {
		if s := f.Service(k); s != nil && s.Policy != nil {
			for _, r := range UnknownRegions(f, *s.Policy) {
				t.notice("", shard.LesserPolicy, fmt.Sprintf("%s: policy %s: there is no region %s in the federation now", k, s.Policy, r))
			}
			// A host's is nearest where nobody says it.
			if s.Policy.Choice == snapshot.Nearest && t.policy.Placeless && k.Kind != snapshot.Host {
				t.notice("", shard.LesserPolicy, fmt.Sprintf("%s: policy %s: %s", k, s.Policy, shard.Placeless))
			}
		}
	}
	if changed {
		for k, s := range t.services {
			if s.led != nil {
				check(k)
			}
		}
	}
	for k := range t.judged {
		check(k)
	}
	clear(t.judged)
}

// UnknownRegions are those of a policy that aren't there.
func UnknownRegions(f *snapshot.Federation, p snapshot.Policy) (out []string) {
	for _, r := range p.Regions {
		if s, ok := f.Map.Scope(r); !ok || s.Zone != "" {
			out = append(out, r)
		}
	}
	return out
}

// announceDone says which orders to go back have had their effect.
func (t *Table) announceDone() {
	for _, o := range slices.Sorted(maps.Keys(t.heeded)) {
		what := t.heeded[o][0].String() + " is"
		if n := len(t.heeded[o]); n > 1 {
			what = fmt.Sprintf("%d services are", n)
		}
		t.say("override %q has had its effect: %s answered from there. It has no other, and can be taken back", o, what)
	}
	clear(t.heeded)
}

// remembers says whether anything follows from how its leads came about.
func (s *service) remembers() bool {
	return s.led != nil && slices.ContainsFunc(s.led[:], shard.Failover.Remembers)
}

// Failovers are what failover policies have come to, by service, where that isn't plain
// from what is up: a new table goes on from there.
func (t *Table) Failovers() map[snapshot.Key]shard.Failovers {
	out := maps.Clone(t.inherited)
	if t.beginning {
		return out // the rest isn't known yet
	}
	for k, s := range t.services {
		if s.remembers() {
			out[k] = *s.led
		}
	}
	return out
}

// ChangedFailovers are the failovers that have changed since the last call; a zero one is gone.
func (t *Table) ChangedFailovers() map[snapshot.Key]shard.Failovers {
	if len(t.releads) == 0 || t.beginning {
		return nil
	}
	out := make(map[snapshot.Key]shard.Failovers, len(t.releads))
	for k := range t.releads {
		var leads shard.Failovers
		if s := t.services[k]; s != nil && s.remembers() {
			leads = *s.led
		}
		out[k] = leads
	}
	clear(t.releads)
	return out
}

// RestoreFailovers takes over what another table, or an earlier process, had come to.
func (t *Table) RestoreFailovers(leads map[snapshot.Key]shard.Failovers) {
	maps.Copy(t.inherited, leads)
}

// follow ends the time in which leads begin where they were: what they have come to is
// theirs now. What isn't there, though all has been listed, is gone.
func (t *Table) follow() {
	listed := !slices.ContainsFunc(t.members, func(m *member) bool { return !m.vacant && !m.complete() })
	if listed {
		t.forgetRestored()
	}
	for k := range t.inherited {
		if s := t.services[k]; listed || s != nil && s.led != nil {
			delete(t.inherited, k)
			t.releads[k] = true
		}
	}
	for k, s := range t.services {
		if s.remembers() {
			t.releads[k] = true
		}
	}
}
