package status

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/geoindex"
	"github.com/fedns/fedns/plugin/federation/zone"
)

const (
	// A preview names as many services as somebody reads before deciding; it
	// counts all of them.
	usualPreview   = 100
	largestPreview = 10000
	// fewKnown is how many names are told to whoever mistyped one.
	fewKnown = 20
)

// Preview answers /api/v1/preview.
func (s *Status) Preview(ctx context.Context, v url.Values) (any, error) {
	n, err := limit(v, usualPreview, largestPreview)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := report.Preview{Changes: []report.Change{}, Orphans: []string{}, Unknown: []report.Unknown{}, Futile: []report.NoEffect{}}
	var more orders
	for _, line := range v["order"] {
		read, err := override.Parse(line)
		switch {
		case err != nil:
			return nil, bad("order %q: %v", line, err)
		case len(read) != 1:
			return nil, bad("order %q: is not one line of a file of overrides", line)
		case read[0].Expired(now):
			return nil, bad("order %q: has expired already", line)
		}
		more = append(more, read[0])
		out.Orders = append(out.Orders, read[0].String())
	}
	var back []override.Subject
	for _, text := range v["undrain"] {
		sub, err := override.ParseSubject(text)
		if err != nil {
			return nil, bad("undrain: %v", err)
		}
		back = append(back, sub)
	}
	if len(more)+len(back) == 0 {
		return nil, bad("order: none is given").with(`preview?order=drain cluster/NAME reason "...", or preview?undrain=cluster/NAME`)
	}
	for _, name := range v["federation"] {
		if !slices.ContainsFunc(s.Federations, func(st FederationConfig) bool { return st.Name == name }) {
			return nil, bad("federation: there is no federation %q", name)
		}
	}
	// Every service is judged twice, and meanwhile nothing is published: one
	// preview at a time.
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	current := s.Block.Current.Load()
	var asked []*snapshot.Federation
	var usual []snapshot.Policy
	for i, st := range s.Federations {
		if v.Has("federation") && !slices.Contains(v["federation"], st.Name) {
			continue
		}
		asked, usual = append(asked, current.Federations[i]), append(usual, st.Policy.Choice)
		// What the file says by now is as good as in force: of two operators, the
		// second must see what the first has done.
		file, _ := st.Overrides.Orders(now)
		changed, ok := s.Pipe.Preview(ctx, i, func(now []override.Order) []override.Order {
			for _, o := range file {
				if !slices.Contains(now, o) {
					now = append(now, o)
				}
			}
			return append(slices.DeleteFunc(now, func(o override.Order) bool { return slices.Contains(back, o.Subject) }), more...)
		})
		if !ok {
			return nil, errEnded
		}
		s.changes(&out, i, current.Federations[i], changed, n)
	}
	for _, o := range more {
		if known, ok := s.subject(asked, v["federation"], o.Subject); !ok {
			out.Unknown = append(out.Unknown, report.Unknown{Subject: o.Subject.String(), Known: known})
		} else if why := futile(asked, usual, o); why != "" {
			out.Futile = append(out.Futile, report.NoEffect{Order: o.String(), Why: why})
		}
	}
	return out, nil
}

// futile says why an order can't change anything in any of some federations, one of
// which knows its subject; "": it may.
func futile(asked []*snapshot.Federation, usual []snapshot.Policy, o override.Order) (why string) {
	for i, f := range asked {
		because := shard.NoEffect(f, usual[i], o)
		if because == "" && (o.Subject.Kind != override.Service || serves(f, o.Subject)) {
			return ""
		}
		why = cmp.Or(because, why)
	}
	return why
}

// serves says whether a federation has anything of a service's name.
func serves(f *snapshot.Federation, sub override.Subject) bool {
	return slices.ContainsFunc(append(snapshot.Kinds[:], snapshot.Host), func(k snapshot.Kind) bool {
		return f.Service(snapshot.Key{Namespace: sub.Namespace, Name: sub.Name, Kind: k}) != nil
	})
}

// changes adds what changes in one federation.
func (s *Status) changes(out *report.Preview, federation int, f *snapshot.Federation, changed []table.Preview, limit int) {
	slices.SortFunc(changed, func(a, b table.Preview) int { return cmp.Compare(a.After.Key.String(), b.After.Key.String()) })
	for _, c := range changed {
		names := s.compare(federation, f, c)
		if len(names) == 0 {
			continue // a shard that nobody is given, by the policy or by the region of an alias
		}
		out.Services++
		what := c.After.Key.String() + " of federation " + f.Name
		if len(c.Before.Shards) > 0 && len(c.After.Shards) == 0 {
			if out.Orphaned++; out.Orphaned <= limit {
				out.Orphans = append(out.Orphans, what)
			}
		}
		if len(out.Changes) < limit {
			out.Changes = append(out.Changes, report.Change{Federation: f.Name, Service: c.After.Key.String(), Names: names})
		}
	}
}

// compare gives the names of a service that are answered otherwise before and
// after, in each scope that it has shards in.
func (s *Status) compare(federation int, f *snapshot.Federation, c table.Preview) []report.NameChange {
	scopes := map[topology.Scope]bool{topology.Global: true}
	for _, sh := range slices.Concat(c.Before.Shards, c.After.Shards) {
		scope := topology.Scope(sh.Place)
		scopes[scope], scopes[scope.Up()] = true, true
	}
	out := []report.NameChange{}
	d := s.Block.Home(federation)
	if c.After.Key.Kind == snapshot.Host {
		scopes = map[topology.Scope]bool{topology.Global: true}
		d, _ = s.Block.Find(c.After.Key.Name + ".")
	}
	if d == nil {
		return out
	}
	before, after := replace(f, c.Before.Key, c.Before), replace(f, c.After.Key, c.After)
	for _, scope := range slices.SortedFunc(maps.Keys(scopes), func(a, b topology.Scope) int { return topology.Place(a).Compare(topology.Place(b)) }) {
		out = append(out, s.differ(d, federation, before, after, spell(d, f.Name, c.After.Key, scope))...)
	}
	return out
}

// differ asks for a name in two states of a federation, as clients everywhere do. Those that
// see the same change stand together.
func (s *Status) differ(d *zone.Domain, federation int, before, after *snapshot.Federation, name string) (out []report.NameChange) {
	was, is := answered(d, federation, before, name), answered(d, federation, after, name)
	viewers := []geoindex.Viewer{{}}
	if was.Service != nil && was.Policy().Choice == snapshot.Nearest || is.Service != nil && is.Policy().Choice == snapshot.Nearest {
		viewers = s.Block.Geo[federation].Viewers()
	}
	for _, v := range viewers {
		n := report.NameChange{Name: name, Before: leads(d, &was, v.Client), After: leads(d, &is, v.Client)}
		if n.Before.To == n.After.To && slices.Equal(n.Before.Addresses, n.After.Addresses) {
			continue
		}
		same := slices.IndexFunc(out, func(o report.NameChange) bool {
			return o.Before.To == n.Before.To && o.After.To == n.After.To && slices.Equal(o.Before.Addresses, n.Before.Addresses) && slices.Equal(o.After.Addresses, n.After.Addresses)
		})
		if same < 0 {
			out, same = append(out, n), len(out)
		}
		if len(viewers) > 1 {
			out[same].Clients = append(out[same].Clients, v.Name)
		}
	}
	if len(out) == 1 && len(out[0].Clients) == len(viewers) {
		out[0].Clients = nil // everybody
	}
	return out
}

// answered asks the engine for a name, in one state of a federation.
func answered(d *zone.Domain, federation int, f *snapshot.Federation, name string) (a answer.Answer) {
	all := make([]*snapshot.Federation, federation+1)
	all[federation] = f
	var member []answer.Member
	for _, m := range d.Members {
		if m.Index == federation {
			member = append(member, m)
		}
	}
	rel, _ := d.Name.Under(name)
	zone.Resolve(&a, &snapshot.Snapshot{Federations: all}, member, d.Static.Load(), name, dnsname.Labels(rel), answer.TypeA, pipeline.Now())
	return a
}

// leads says where a name leads that is answered so, for a client.
func leads(d *zone.Domain, a *answer.Answer, c answer.Client) report.Leads {
	out := report.Leads{Addresses: []string{}}
	if a.Hops > 0 {
		out.To = a.Path.At(a.End()) + "." + string(d.Name)
	}
	if p := a.Policy(); p.Choice != snapshot.All {
		out.By = p.String()
	}
	for _, addr := range slices.Concat(a.Possible(c, true), a.Possible(c, false)) {
		out.Addresses = append(out.Addresses, addr.String())
	}
	if len(out.Addresses) == 0 {
		out.Why = a.Why
	}
	return out
}

// subject says whether an order speaks of anything that is known, and if it
// doesn't, of what it could.
func (s *Status) subject(asked []*snapshot.Federation, only []string, sub override.Subject) (known []string, ok bool) {
	known = []string{}
	for _, f := range asked {
		for _, scope := range f.Map.Scopes() {
			if sub.Kind == override.Zone && scope.Zone != "" {
				known = append(known, scope.Zone)
			}
			if sub.Kind == override.Region && scope.Region != "" {
				known = append(known, scope.Region)
			}
		}
		if sub.Kind == override.Service && serves(f, sub) {
			return nil, true
		}
	}
	if sub.Kind == override.Cluster {
		for _, st := range s.Federations {
			if len(only) > 0 && !slices.Contains(only, st.Name) {
				continue
			}
			for _, c := range st.Members() {
				known = append(known, string(c.Name))
			}
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	ok = slices.Contains(known, sub.Name) && sub.Kind != override.Service
	return known[:min(len(known), fewKnown)], ok
}
