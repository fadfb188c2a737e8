package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/pipeline/history"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

const (
	// together is from how many shards on, that change in one way with one publication, an
	// event tells of all of them: the death of a cluster mustn't bury the day before it.
	together = 4
	// fewServices, fewScopes and fewAddresses are how many of each an event names.
	fewServices  = 20
	fewScopes    = 20
	fewAddresses = 16
)

// History is what has changed lately.
func (p *Pipeline) History() *history.Log { return p.history }

// A standing is what events tell of a member, as it was when they were made last.
type standing struct {
	name           topology.ClusterName
	silent, listed bool
	fell           bool // it is silent, and that was said; else it only hasn't been heard since this process began
}

// A remembered is what events are made by: how a federation stood at the last publication.
type remembered struct {
	members map[string]standing // by identity
	orders  map[string]bool     // lines
}

// A published is what a publication has changed in one federation.
type published struct {
	moved   []table.Transition
	changed []table.Changed
	said    []string
}

// record tells the history what has changed. It comes after the publication: an answer
// doesn't wait for anybody who looks.
func (w *worker) record(next *snapshot.Snapshot, all []published) {
	w.untold += next.Own()
	if !w.settled {
		return // nothing has changed that was known before
	}
	if w.stood == nil {
		w.stood = make([]*remembered, len(w.tables))
	}
	var events []report.Event
	changed := false
	for i, p := range all {
		name := w.federations[i].Name
		first := len(events)
		events = append(events, w.clusterEvents(i)...)
		for _, text := range p.said {
			events = append(events, report.Event{Kind: report.EventNotice, To: text})
		}
		events = append(events, shardEvents(p.moved, p.changed)...)
		for n := range events[first:] {
			events[first+n].Federation = name
		}
		changed = changed || len(p.changed) > 0
	}
	w.history.Add(w.Pipeline, time.Now(), next, w.untold, changed, events)
	w.untold = 0
}

// clusterEvents says which members have fallen silent, were heard again, have come or left,
// and which orders hold or don't any more.
func (w *worker) clusterEvents(i int) (out []report.Event) {
	t, was := w.tables[i], w.stood[i]
	is := &remembered{members: map[string]standing{}, orders: map[string]bool{}}
	w.stood[i] = is
	for j, m := range w.slotsOf(i) {
		s := standing{name: m.Name, listed: t.Complete(j)}
		_, s.silent = t.Silent(j)
		is.members[m.Identity] = s
	}
	for _, o := range w.inForce[i] {
		is.orders[o.String()] = true
	}
	if was == nil {
		return nil
	}
	say := func(s standing, from, to string, reason string) {
		out = append(out, report.Event{Kind: report.EventCluster, Cluster: string(s.name), From: from, To: to, Reason: reason})
	}
	for id, s := range is.members {
		before, known := was.members[id]
		switch {
		case !known:
			say(s, "", "member", "")
		case s.silent && !before.silent:
			say(s, "heard", "silent", w.trouble(i, id))
			s.fell = true
		case s.silent:
			s.fell = before.fell
		case before.silent && (before.fell || w.history.Silent(w.federations[i].Name, string(s.name))):
			say(s, "silent", "heard", "")
		}
		is.members[id] = s
		if known && s.listed && !before.listed {
			say(s, "not listed yet", "listed", "")
		}
	}
	for id, s := range was.members {
		if _, still := is.members[id]; !still {
			say(s, "member", "left", "")
		}
	}
	slices.SortFunc(out, func(a, b report.Event) int { return cmp.Compare(a.Cluster, b.Cluster) })
	for _, line := range slices.Sorted(maps.Keys(is.orders)) {
		if !was.orders[line] {
			out = append(out, report.Event{Kind: report.EventOrder, From: "", To: "in force", Reason: line})
		}
	}
	for _, line := range slices.Sorted(maps.Keys(was.orders)) {
		if !is.orders[line] {
			out = append(out, report.Event{Kind: report.EventOrder, From: "in force", To: "over", Reason: line})
		}
	}
	return out
}

// trouble is why a member can't be read; "": nobody says.
func (w *worker) trouble(i int, identity string) string {
	for _, m := range w.slotsOf(i) {
		if r, ok := m.Source.(interface{ Trouble() string }); ok && m.Identity == identity {
			return r.Trouble()
		}
	}
	return ""
}

// shardEvents makes events of what has changed in one federation with one publication.
func shardEvents(moved []table.Transition, changed []table.Changed) (out []report.Event) {
	of := make(map[snapshot.Key]*table.Changed, len(changed))
	for i := range changed {
		of[changed[i].Key()] = &changed[i]
	}
	type way struct {
		cluster topology.ClusterName
		from    health.State
		to      health.Verdict
	}
	alike := map[way][]table.Transition{}
	var ways []way
	told := map[snapshot.Key]bool{}
	for _, m := range moved {
		k := way{m.Cluster, m.From.State, health.Verdict{State: m.To.State, Why: m.To.Why}}
		if alike[k] == nil {
			ways = append(ways, k)
		}
		alike[k] = append(alike[k], m)
		told[m.Key] = true
	}
	shard := func(k way, list []table.Transition) {
		e := report.Event{Kind: report.EventShard, Cluster: string(k.cluster), From: k.from.String(), To: k.to.State.String(), Reason: string(k.to.Why), Count: len(list)}
		for _, m := range list {
			e.Services = append(e.Services, Spell(m.Key))
			addScopes(&e, of[m.Key])
			if len(e.Services) == fewServices {
				break
			}
		}
		addAddresses(&e, of[list[0].Key])
		out = append(out, e)
	}
	for _, k := range ways {
		if list := alike[k]; len(list) >= together {
			shard(k, list)
		} else {
			for i := range list {
				shard(k, list[i:i+1])
			}
		}
	}
	var others []*table.Changed
	for i := range changed {
		if !told[changed[i].Key()] {
			others = append(others, &changed[i])
		}
	}
	slices.SortFunc(others, func(a, b *table.Changed) int { return cmp.Compare(a.Key().String(), b.Key().String()) })
	service := func(list []*table.Changed) {
		e := report.Event{Kind: report.EventService, From: answered(list[0].Before), To: answered(list[0].After), Count: len(list)}
		if s := list[0].After; s != nil {
			e.Reason = cmp.Or(s.Note, s.Down)
		}
		for _, c := range list[:min(len(list), fewServices)] {
			e.Services = append(e.Services, Spell(c.Key()))
			addScopes(&e, c)
		}
		addAddresses(&e, list[0])
		out = append(out, e)
	}
	if len(others) >= together {
		service(others)
	} else {
		for i := range others {
			service(others[i : i+1])
		}
	}
	return out
}

// answered says in a word how a service is answered.
func answered(s *snapshot.Service) string {
	switch {
	case s == nil:
		return "unknown"
	case len(s.Shards) == 0:
		return "no address"
	}
	return "answered"
}

// Spell gives a service as explain and orders take it: KIND/NAMESPACE/NAME.
func Spell(k snapshot.Key) string {
	return [...]string{"service", "ingress", "host"}[k.Kind] + "/" + k.Namespace + "/" + k.Name
}

func addAddresses(e *report.Event, c *table.Changed) {
	if c != nil {
		e.Before, e.After = addressesOf(c.Before), addressesOf(c.After)
	}
}

func addressesOf(s *snapshot.Service) (out []string) {
	if s == nil {
		return nil
	}
	for _, x := range s.Shards {
		if a := x.Addr.String(); !slices.Contains(out, a) {
			if out = append(out, a); len(out) == fewAddresses {
				break
			}
		}
	}
	return out
}

// addScopes notes the scopes in which a service is answered otherwise.
func addScopes(e *report.Event, c *table.Changed) {
	if c == nil {
		return
	}
	var places []topology.Place
	for _, s := range []*snapshot.Service{c.Before, c.After} {
		if s != nil {
			for _, x := range s.Shards {
				places = append(places, x.Place, topology.Place{Region: x.Place.Region}, topology.Place{})
			}
		}
	}
	slices.SortFunc(places, topology.Place.Compare)
	for _, p := range slices.Compact(places) {
		at := report.Place(p)
		if len(e.Scopes) < fewScopes && !slices.Contains(e.Scopes, at) && !slices.EqualFunc(in(c.Before, p), in(c.After, p), func(a, b snapshot.Shard) bool { return a.Addr == b.Addr }) {
			e.Scopes = append(e.Scopes, at)
		}
	}
}

func in(s *snapshot.Service, p topology.Place) []snapshot.Shard {
	if s == nil {
		return nil
	}
	return s.In(topology.Scope(p))
}
