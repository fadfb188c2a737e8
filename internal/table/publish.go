package table

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A Transition is a change of state of a shard, for the log.
type Transition struct {
	Key      snapshot.Key
	Cluster  topology.ClusterName
	From, To health.Verdict
}

func (c Transition) String() string {
	return fmt.Sprintf("%s in %s: %s (%s)", c.Key, c.Cluster, c.To.State, c.To.Why)
}

// A Changed is a service that is answered otherwise than before a publication; nil: it isn't known.
type Changed struct{ Before, After *snapshot.Service }

// Key is the service's.
func (c Changed) Key() snapshot.Key {
	if c.After != nil {
		return c.After.Key
	}
	return c.Before.Key
}

// Changed gives what the last Publish has changed.
func (t *Table) Changed() []Changed { return t.changed }

func (t *Table) noteChanged(before, after *snapshot.Service) {
	if before == nil && after == nil || before != nil && after != nil && slices.Equal(before.Shards, after.Shards) {
		return
	}
	t.changed = append(t.changed, Changed{before, after})
}

// Publish gives the state after f with all that has changed since the last call,
// and which shards came up or went down. now is on the clock of Silence. f stays
// as it is.
func (t *Table) Publish(f *snapshot.Federation, now time.Duration) (*snapshot.Federation, []Transition) {
	t.arbiter.settle()
	e := f.Edit()
	var moved []Transition
	ds := make([]decision, 0, len(t.dirty))
	for k := range t.dirty {
		d := decision{key: k, old: f.Service(k)}
		if d.old != nil && t.arbiter.lost(t, k) {
			for _, s := range d.old.Shards { // by a rule, and nothing that the guard is for
				d.ordered = append(d.ordered, s.Addr)
			}
		}
		if s := t.services[k]; s != nil {
			t.judge(s, &d, now, &moved)
			for i := range t.members {
				t.forget(s, i)
			}
		}
		t.noteExempted(&d)
		ds = append(ds, d)
	}
	clear(t.exempted)
	// A map keeps the room it once needed, and to walk through that costs as much
	// as the entries did: after a first listing, each change would.
	t.dirty = map[snapshot.Key]bool{}
	t.changed = nil
	for i, s := range t.applyGuard(ds, now) {
		if !t.beginning { // what becomes known first is no change
			t.noteChanged(ds[i].old, s)
		}
		if s != nil {
			e.Set(s)
		} else {
			e.Remove(ds[i].key)
		}
	}
	if t.scopes {
		e.Topology(t.atlas(f.Map))
	}
	if t.scopes || t.memberChanged {
		heard := slices.ContainsFunc(t.members, (*member).complete)
		e.SetListed(heard, t.Settled(), t.unlisted())
		e.Home(t.home())
	}
	anew := t.scopes || t.memberChanged
	t.scopes, t.memberChanged = false, false
	for _, m := range t.members {
		m.settled = m.complete()
	}
	t.begun()
	t.announceDone()
	slices.SortFunc(moved, func(a, b Transition) int {
		return cmp.Or(cmp.Compare(a.Key.String(), b.Key.String()), cmp.Compare(a.Cluster, b.Cluster))
	})
	next := e.Done()
	t.noticeVainOrders(next)
	t.noticePolicies(next, anew)
	return next, moved
}

// atlas is the map of all members' places. A member that has not been listed
// counts with what the configuration says of it. While the guard holds addresses
// back, the names they are answered at stay too.
func (t *Table) atlas(current *topology.Map) *topology.Map {
	var places []topology.Place
	if len(t.guard.held) > 0 {
		for _, s := range current.Scopes() {
			places = append(places, topology.Place(s))
		}
	}
	for _, m := range t.members {
		places = append(places, m.places...)
	}
	a := topology.New(places)
	for _, name := range a.Clashes() {
		t.notice("", shard.ScopeClash, fmt.Sprintf("%q is a zone and a region; the short name is the region's", name))
	}
	return a
}

// judge works out what is answered for a service; none if no member has it.
func (t *Table) judge(s *service, d *decision, now time.Duration, moved *[]Transition) {
	fs, note := t.evaluate(s, now)
	t.notePanic(s.key, note)
	for i, p := range s.pieces {
		if p == nil || !t.members[i].complete() {
			continue
		}
		m := t.members[i]
		before := p.verdict()
		var v health.Verdict
		var places []topology.Place
		var checks []shard.Check
		if at := slices.IndexFunc(fs, func(f evaluation) bool { return f.cluster == i }); at >= 0 {
			v, checks = fs[at].verdict, fs[at].checks
			if v.State == health.Up {
				places = fs[at].places
			}
		}
		// What a shard turns out to be that hasn't been answered is no change of it.
		news := m.settled && !(t.beginning && !p.carried && before.Awaits != "")
		if news && (v.State == health.Up || before.State == health.Up) {
			t.note(s, value(p.places), places, now)
		}
		was, is := before.State == health.Up, v.State == health.Up
		// What has never been up doesn't go down.
		if news && (was != is || p.lived && before.State == health.Unknown && v.State == health.Down) {
			to := v
			if to == (health.Verdict{}) {
				to = health.Verdict{State: health.Down, Why: "gone"}
			}
			*moved = append(*moved, Transition{s.key, m.Name, before, to})
		}
		p.lived = (p.lived || v.State == health.Up) && v != (health.Verdict{})
		if v.State != before.State || v.Why != before.Why {
			p.since = now
		}
		t.count(i, p, v)
		t.relink(s.key, p, checks)
		if !slices.Equal(value(p.places), places) {
			p.places = t.placesOf(places)
		}
	}
	if len(fs) == 0 {
		t.forgetRecent(s)
		t.noteFailovers(s, shard.Failovers{})
		delete(t.wakes, s.key)
		delete(t.crowded, s.key)
		delete(t.holding, s.key)
		return
	}
	s.recent = slices.DeleteFunc(s.recent, func(r snapshot.Recent) bool { return r.Until <= now })
	t.origin(s)
	d.new = t.build(s, fs)
	d.new.Note = note
	t.crowd(d.new)
	delete(t.wakes, s.key)
	leads, wake := t.chooseActive(s, d.new, now)
	if t.noteFailovers(s, leads); wake > 0 {
		t.wakes[s.key] = wake
	}
	if p := d.new.Policy; p != nil && p.Choice == snapshot.Nearest && t.policy.Placeless {
		t.judged[s.key] = true
	}
	t.await(d.new)
	for _, f := range fs {
		d.ordered = append(d.ordered, f.ordered...)
	}
}

// placesOf is a list of places for a piece to keep; of one place, the one that all share.
func (t *Table) placesOf(list []topology.Place) *[]topology.Place {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return share(t.places, list[0], list)
	}
	return &list
}

// build puts the findings about a service together to what is answered.
func (t *Table) build(s *service, fs []evaluation) *snapshot.Service {
	out := &snapshot.Service{
		Key:    s.key,
		Recent: slices.Clone(s.recent),
		TTL:    t.ttl(s, fs),
		Policy: t.choice(s, fs),
	}
	t.noticeUnheard(s, fs)
	n := 0
	for _, f := range fs {
		if f.verdict.State == health.Up {
			n += len(f.places) * len(f.addrs)
		}
	}
	out.Shards = slices.Grow(out.Shards, n)
	reasons := map[health.Reason]int{}
	ports := map[shard.Port][]topology.Place{}
	ups := map[topology.Place]bool{}
	for _, f := range fs {
		if f.near != nil {
			out.Local = f.near.freeze()
		}
		reasons[f.verdict.Why]++
		var places []topology.Place
		if f.verdict.State == health.Up {
			places = f.places
		}
		for _, place := range places {
			ups[place] = true
			for _, a := range f.addrs {
				out.Shards = append(out.Shards, snapshot.Shard{Place: place, Addr: a, Cluster: uint16(f.cluster), Weight: t.weight(s.pieces[f.cluster].object)})
			}
		}
		if f.evidence.Silent {
			where := places
			if len(where) == 0 {
				where = t.members[f.cluster].own()
			}
			for _, place := range where {
				out.Silent = append(out.Silent, snapshot.Silent{Place: place, Stale: f.verdict.Stale})
			}
		}
		for _, place := range f.open {
			out.Awaits = append(out.Awaits, snapshot.Await{Place: place.Canonical(), What: string(f.verdict.Awaits), Hold: f.hold})
		}
		for _, port := range s.pieces[f.cluster].object.Ports {
			ports[port] = append(ports[port], t.placesOfPort(&f, s.pieces[f.cluster], port, places)...)
		}
	}
	out.Ports = freezePorts(ports, ups)
	if len(out.Shards) == 0 {
		out.Down = commonestReason(reasons)
	}
	out.Unsure = s.key.Kind == snapshot.Host && !slices.ContainsFunc(fs, func(f evaluation) bool { return f.hold || !f.evidence.Unattached })
	if s.key.Kind == snapshot.Host {
		switch alias := t.alias(s, fs); {
		case alias != "" && alias != shard.AnyRegion:
			out.Policy = &snapshot.Policy{Choice: snapshot.Failover, Regions: []string{alias}}
		case alias == "" && out.Policy == nil:
			out.Policy = &nearest
		}
	}
	return out.Freeze()
}

// nearest is how hosts are answered that don't say it otherwise: as a load balancer
// for the world.
var nearest = snapshot.Policy{Choice: snapshot.Nearest}

// freezePorts sorts the ports, and says of each where it is only if that isn't
// wherever a shard is up.
func freezePorts(ports map[shard.Port][]topology.Place, ups map[topology.Place]bool) []snapshot.Port {
	if len(ports) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(ports), func(a, b shard.Port) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Number, b.Number))
	})
	out := make([]snapshot.Port, 0, len(keys))
	for _, k := range keys {
		places := slices.Clone(ports[k])
		slices.SortFunc(places, topology.Place.Compare)
		places = slices.Compact(places)
		if len(places) == len(ups) {
			places = nil
		} else if places == nil {
			places = []topology.Place{}
		}
		out = append(out, snapshot.Port{Name: k.Name, Proto: k.Proto, Number: k.Number, Places: places})
	}
	return out
}

// agreed is what the members' objects say of something, of those that say anything, if they say the same. Else it is
// nothing, and instead says what counts: in which order a server has seen them is its own, and others have another. The zero
// value says nothing.
func agreed[T comparable](t *Table, s *service, fs []evaluation, what, instead string, of func(*shard.Service) T) T {
	var none, said T
	says := func(i int) T { return of(s.pieces[fs[i].cluster].object) }
	disagree := false
	for i := range fs {
		switch v := says(i); {
		case v == none || v == said:
		case said == none:
			said = v
		default:
			disagree = true
		}
	}
	if !disagree {
		return said
	}
	var from, against topology.ClusterName // the first two by name
	for _, i := range t.byName(fs) {
		switch v, name := says(i), t.members[fs[i].cluster].Name; {
		case v == none || from != "" && v == said:
		case from == "":
			said, from = v, name
		case against == "":
			against = name
		}
	}
	t.notice("", shard.Disagreement, fmt.Sprintf("%s: clusters %q and %q disagree on %s; %s", s.key, from, against, what, instead))
	return none
}

// byName are the indexes of fs in the order of the clusters' names.
func (t *Table) byName(fs []evaluation) []int {
	out := make([]int, len(fs))
	for i := range fs {
		out[i] = i
	}
	slices.SortFunc(out, func(a, b int) int {
		return cmp.Compare(t.members[fs[a].cluster].Name, t.members[fs[b].cluster].Name)
	})
	return out
}

// policyOf is the policy that a Service spells; nil: none. What doesn't parse has
// been left out where it was read.
func policyOf(text string) *snapshot.Policy {
	if text == "" {
		return nil
	}
	p, err := snapshot.ParsePolicy(strings.Fields(text))
	if err != nil {
		return nil
	}
	return &p
}

// commonestReason says why no shard is up, the commonest reason first.
func commonestReason(reasons map[health.Reason]int) string {
	list := slices.SortedFunc(maps.Keys(reasons), func(a, b health.Reason) int {
		return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(list))
	for i, r := range list {
		parts[i] = fmt.Sprintf("%s in %d", r, reasons[r])
	}
	if len(parts) == 1 && reasons[list[0]] == 1 {
		return "no shard is up: " + string(list[0]) + " in 1 cluster"
	}
	return "no shard is up: " + strings.Join(parts, ", ") + " clusters"
}
