package table

import (
	"net/netip"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// An Explanation is all that is known of a service, and what follows from it now.
type Explanation struct {
	Shards []Explained
	// Answered is what the findings come to: nil if no member that counts has the
	// service. It is what the next publication would show, but for the guard.
	Answered *snapshot.Service
	Held     bool // the guard keeps addresses that have gone
	// Done are the orders to go back that have had their effect on it.
	Done []string
	// Ungranted are what members have of it and may not have.
	Ungranted []string
}

// An Explained is one cluster's shard with its evidence.
type Explained struct {
	Cluster  topology.ClusterName
	Evidence health.Evidence
	Verdict  health.Verdict
	Since    time.Duration    // when the verdict and its reason became what they are, as far as this table goes back
	Places   []topology.Place // where it is answered if it is up, and would be if it isn't
	Addrs    []netip.Addr
	Hosts    []string // load balancers' names
	Checks   []Checked
	Closed   []snapshot.Key // Services in front that let nobody in
	// Inside is how its own cluster reaches it, of the one whose own domain is answered
	// here.
	Inside *Inside
}

// An Inside is a shard as the pods of its own cluster reach it.
type Inside struct {
	Verdict health.Verdict
	Addrs   []netip.Addr
}

// A Checked is a probe with what it has come to.
type Checked struct {
	shard.Check
	State health.Probe
	Note  string // what keeps it from being probed, or from being probed as it says
}

// Explain gives what is known of a service at a moment; as if the clusters that
// lost says were gone.
func (t *Table) Explain(k snapshot.Key, now time.Duration, lost func(topology.ClusterName) bool) Explanation {
	s := t.services[k]
	e := Explanation{Ungranted: t.ungranted(k)}
	if s == nil {
		return e
	}
	fs, note := t.evaluate(s, now)
	_, e.Held = t.guard.held[k]
	for i := range fs {
		f := &fs[i]
		m := t.members[f.cluster]
		if lost != nil && lost(m.Name) {
			f.verdict, f.open = health.Verdict{State: health.Down, Why: "lost, as asked"}, nil
			if f.near != nil {
				f.near.verdict = f.verdict
			}
		}
		x := Explained{
			Cluster: m.Name, Evidence: f.evidence, Verdict: f.verdict, Places: slices.Clone(f.places),
			Addrs: slices.Clone(f.addrs), Closed: f.closed, Hosts: s.pieces[f.cluster].object.Extras().Hosts, Since: now,
		}
		if p := s.pieces[f.cluster]; p.verdict().State == f.verdict.State && p.verdict().Why == f.verdict.Why {
			x.Since = p.since
		}
		for _, c := range f.checks {
			seen := Checked{Check: c, State: t.checked(c)}
			if known := t.checks[c]; known != nil {
				seen.Note = known.note
			}
			x.Checks = append(x.Checks, seen)
		}
		x.Checks = append(x.Checks, f.unheeded...)
		if f.near != nil {
			x.Inside = &Inside{f.near.verdict, slices.Clone(f.near.addrs)}
		}
		e.Shards = append(e.Shards, x)
	}
	// Clusters that have it, but whose word doesn't count yet.
	for i, p := range s.pieces {
		if m := t.members[i]; p != nil && p.object != nil && !m.complete() {
			e.Shards = append(e.Shards, Explained{Cluster: m.Name, Verdict: health.Judge(health.Evidence{}, health.Policy{})})
		}
	}
	if len(fs) > 0 {
		e.Answered = t.build(s, fs)
		e.Answered.Note = note
		leads, _ := t.chooseActive(s, e.Answered, now)
		for _, l := range leads {
			for _, o := range l.Done {
				if !slices.Contains(e.Done, o) {
					e.Done = append(e.Done, o)
				}
			}
		}
	}
	return e
}

// ServicesUp lists the services that any cluster has, with whether each of their shards is up
// and fresh: as they were published last, so that nothing is judged anew.
func (t *Table) ServicesUp() map[snapshot.Key]bool {
	out := map[snapshot.Key]bool{}
	for k, s := range t.services {
		if !t.arbiter.holds(t, k) {
			continue
		}
		there, well := false, true
		for i, p := range s.pieces {
			if p != nil && p.object != nil && t.members[i].MayExport(k) {
				there = true
				well = well && p.verdict().State == health.Up && !p.verdict().Stale
			}
		}
		if there {
			out[k] = well
		}
	}
	return out
}

// A Preview is what an order would make of a service.
type Preview struct {
	Before, After *snapshot.Service
}

// Preview gives the services that would be answered otherwise under other orders.
func (t *Table) Preview(orders []override.Order, now time.Duration) []Preview {
	current := t.orders
	defer func() { t.orders = current }()
	var out []Preview
	for k := range t.services {
		t.orders = current
		before := t.Explain(k, now, nil).Answered
		t.orders = orders
		after := t.Explain(k, now, nil).Answered
		if before == nil || after == nil || slices.Equal(before.Shards, after.Shards) && before.Active == after.Active {
			continue
		}
		out = append(out, Preview{before, after})
	}
	return out
}

// Orders are the orders that hold now.
func (t *Table) Orders() []override.Order { return slices.Clone(t.orders) }
