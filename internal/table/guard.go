package table

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A guard keeps withdrawals from being believed too fast: a federation that loses
// most of its addresses at once has rather lost its sources than its shards.
//
// What counts is what goes and has nothing in its place: a Service whose cluster gives
// it another address has lost none. And a Service waits only if so many of the others'
// addresses go: what one does by itself, however often and with however many, is its
// own affair.
type guard struct {
	held   map[snapshot.Key]time.Duration // services of which addresses stay for now, and since when
	recent map[gone]time.Duration         // what went lately and has nothing in its place, and when
	total  int                            // addresses that are answered
	up     int                            // services that have some
	down   map[snapshot.Key]time.Duration // services that had some lately, and when they lost them
}

// A gone is an address of a service that isn't answered at a place any more.
type gone struct {
	key     snapshot.Key
	cluster uint16
	addr    netip.Addr
	place   topology.Place
}

// lately counts the addresses that went, by service, each once wherever it went.
func (g *guard) lately() map[snapshot.Key]int {
	if len(g.recent) == 0 {
		return nil
	}
	seen := make(map[gone]bool, len(g.recent))
	out := map[snapshot.Key]int{}
	for x := range g.recent {
		if x.place = (topology.Place{}); !seen[x] {
			seen[x] = true
			out[x.key]++
		}
	}
	return out
}

// settle forgets what went of a service and is answered again, or has something in its
// place: one that comes and goes isn't many that go.
func (g *guard) settle(d *decision, now *snapshot.Service) {
	if len(g.recent) == 0 || now == nil {
		return
	}
	for _, s := range now.Shards {
		delete(g.recent, gone{d.key, s.Cluster, s.Addr, s.Place})
	}
	for at, n := range d.spare {
		for x := range g.recent {
			if n > 0 && x.key == d.key && x.cluster == at.cluster && x.place == at.place {
				delete(g.recent, x)
				n--
			}
		}
	}
}

// count keeps the numbers of what is answered.
func (g *guard) count(d *decision, out *snapshot.Service, now time.Duration) {
	was, is := addresses(d.old), addresses(out)
	g.total += is - was
	switch {
	case was == 0 && is > 0:
		g.up++
		delete(g.down, d.key)
	case was > 0 && is == 0:
		if g.up--; len(d.lost) > 0 {
			g.down[d.key] = now
		}
	}
}

// A spot is a place that a cluster's shard is answered at.
type spot struct {
	cluster uint16
	place   topology.Place
}

// A decision is what judging a service has come to, before the guard.
type decision struct {
	key      snapshot.Key
	old, new *snapshot.Service // nil: not known
	ordered  []netip.Addr      // addresses that go by an operator's order
	lost     []snapshot.Shard  // entries that would go, not by an order, and have nothing in their place
	spare    map[spot]int      // entries that come, and are in the place of none of those that go
}

// weigh works out what is lost. An address that is answered elsewhere still is lost to
// the names of its place.
func (d *decision) weigh() {
	has := func(s *snapshot.Service, x snapshot.Shard) bool {
		return s != nil && slices.ContainsFunc(s.Shards, func(o snapshot.Shard) bool { return o.Addr == x.Addr && o.Place == x.Place })
	}
	if d.new != nil {
		for _, s := range d.new.Shards {
			if !has(d.old, s) {
				if d.spare == nil {
					d.spare = map[spot]int{}
				}
				d.spare[spot{s.Cluster, s.Place}]++
			}
		}
	}
	if d.old == nil {
		return
	}
	for _, s := range d.old.Shards {
		if slices.Contains(d.ordered, s.Addr) || has(d.new, s) {
			continue
		}
		if at := (spot{s.Cluster, s.Place}); d.spare[at] > 0 {
			d.spare[at]--
			continue
		}
		d.lost = append(d.lost, s)
	}
}

// addresses counts the addresses of a service.
func addresses(s *snapshot.Service) int {
	if s == nil {
		return 0
	}
	return distinct(s.Shards)
}

func distinct(shards []snapshot.Shard) int {
	n := 0
	for i, s := range shards {
		if !slices.ContainsFunc(shards[:i], func(o snapshot.Shard) bool { return o.Addr == s.Addr }) {
			n++
		}
	}
	return n
}

// A loss is what goes of all addresses within the guard's time.
type loss struct {
	shard.Guard
	going, of int                  // addresses
	lately    map[snapshot.Key]int // addresses by service, of what went before
	who       map[snapshot.Key]bool
	services  int // that have addresses, or had some lately
}

// many says whether too much goes at once for a service's share of it to be believed:
// more than the guard's share of all addresses, and no less of the others alone. That is
// of the other services, or of their addresses, which aren't one service's then. The only
// service there is has no others.
func (l *loss) many(d *decision) bool {
	if l.Percent <= 0 || l.going <= l.Min || l.going*100 <= l.Percent*l.of {
		return false
	}
	lately := l.lately[d.key]
	own, all := distinct(d.lost)+lately, addresses(d.old)+lately
	others := len(l.who)
	if l.who[d.key] {
		others--
	}
	least := func(n, of int) bool { return n*100 >= l.Percent*of }
	return l.of == all || least(others, l.services-1) || others > 1 && least(l.going-own, l.of-all)
}

// applyGuard decides which withdrawals wait, and gives for each decision what is
// published of it.
func (t *Table) applyGuard(ds []decision, now time.Duration) []*snapshot.Service {
	g, p := &t.guard, t.policy.Guard
	maps.DeleteFunc(g.recent, func(_ gone, at time.Duration) bool { return now-at >= p.Time })
	maps.DeleteFunc(g.down, func(_ snapshot.Key, at time.Duration) bool { return now-at >= p.Time })
	l := loss{Guard: p, of: g.total, lately: g.lately(), who: map[snapshot.Key]bool{}, services: g.up + len(g.down)}
	for i := range ds {
		d := &ds[i]
		d.weigh()
		if _, held := g.held[d.key]; !held && len(d.lost) > 0 {
			l.going += distinct(d.lost)
			l.who[d.key] = true
		}
	}
	for k, n := range l.lately {
		l.going, l.of = l.going+n, l.of+n
		l.who[k] = true
	}
	for k := range g.held {
		l.who[k] = true
	}
	// Of services that are held, at least one address each would go; exactly how
	// many doesn't matter any more.
	l.going += len(g.held)

	out := make([]*snapshot.Service, len(ds))
	waited := len(g.held)
	if waited == 0 && slices.ContainsFunc(ds, func(d decision) bool { return len(d.lost) > 0 && l.many(&d) }) {
		t.say("guard: %d of %d addresses would go within %s: %s; they stay until they have been gone for that long", l.going, l.of, p.Time, t.cause(ds, &l))
	}
	for i := range ds {
		d := &ds[i]
		out[i] = d.new
		since, holding := g.held[d.key]
		switch {
		case len(d.lost) == 0:
			delete(g.held, d.key)
		case holding && now-since >= p.Time:
			delete(g.held, d.key)
		case holding:
			out[i] = d.keep(d.lost)
		case l.many(d):
			g.held[d.key] = now
			out[i] = d.keep(d.lost)
		case p.Percent > 0:
			for _, s := range d.lost {
				g.recent[gone{d.key, s.Cluster, s.Addr, s.Place}] = now
			}
		}
		g.settle(d, out[i])
		g.count(d, out[i], now)
	}
	if waited > 0 && len(g.held) == 0 {
		t.scopes = true // those that were kept can go
		t.say("guard: nothing is held back any more")
	}
	return out
}

// few is how many clusters and services are named where there may be thousands.
const few = 3

// cause says whose addresses go, the most first, before anything is done about it.
func (t *Table) cause(ds []decision, l *loss) string {
	clusters, services := map[string]int{}, map[string]int{}
	for i := range ds {
		for j, s := range ds[i].lost {
			if !slices.ContainsFunc(ds[i].lost[:j], func(o snapshot.Shard) bool { return o.Addr == s.Addr }) {
				clusters[string(t.members[s.Cluster].Name)]++
				services[ds[i].key.String()]++
			}
		}
	}
	for k, n := range l.lately {
		services[k.String()] += n
	}
	seen := map[gone]bool{}
	for x := range t.guard.recent {
		if x.place = (topology.Place{}); !seen[x] {
			seen[x] = true
			clusters[string(t.members[x.cluster].Name)]++
		}
	}
	delete(clusters, "") // one that has left, by an order
	return fmt.Sprintf("of clusters %s; of services %s", most(clusters), most(services))
}

// most spells what has the largest numbers.
func most(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, n := range names[:min(few, len(names))] {
		parts = append(parts, fmt.Sprintf("%s (%d)", n, counts[n]))
	}
	text := strings.Join(parts, ", ")
	if more := len(names) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// keep is what is published of a service whose losses wait.
func (d *decision) keep(lost []snapshot.Shard) *snapshot.Service {
	s := &snapshot.Service{Key: d.key}
	if d.new != nil {
		*s = *d.new
	} else {
		*s = *d.old
		s.Shards, s.Local = nil, nil
	}
	s.Shards = append(slices.Clone(s.Shards), lost...)
	s.Down = ""
	s.Note = "guard: too much would go at once; addresses that went are answered still"
	for _, l := range lost {
		if !slices.ContainsFunc(s.Silent, func(q snapshot.Silent) bool { return q.Place == l.Place }) {
			s.Silent = append(slices.Clone(s.Silent), snapshot.Silent{Place: l.Place, Stale: true})
		}
	}
	return s.Freeze()
}

// Held counts the services of which the guard holds withdrawals back.
func (t *Table) Held() int { return len(t.guard.held) }
