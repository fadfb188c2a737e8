package zone

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/snapshot"
)

// A Moment is what a federation's names under a domain were written from.
type Moment struct{ s *snapshot.Snapshot }

// Complete says whether every cluster of a federation has been listed: what isn't there then is gone.
func (m *Moment) Complete(federation int) bool { return len(m.s.Federations[federation].Unlisted) == 0 }

// A Group is what is written together: a service under its global name, or a host.
type Group struct {
	Name    string
	Service *snapshot.Service // nil: it is gone, or no service
}

// Groups gives the records of a federation's services under a domain, each service's together:
// of all of them, or of those that aren't as they were at a moment before. One that is gone has none.
func (d *Domain) Groups(b *Block, federation int, was *Moment) (now *Moment, groups iter.Seq2[Group, []dns.RR], whole bool) {
	w := &writer{Block: b, Domain: d, Static: d.Static.Load(), Snapshot: b.Current.Load(), now: pipeline.Now()}
	now = &Moment{w.Snapshot}
	f := w.Snapshot.Federations[federation]
	whole = was == nil || !f.SameScopes(was.s.Federations[federation])
	return now, func(yield func(Group, []dns.RR) bool) {
		for _, m := range d.Members {
			if m.Index != federation {
				continue
			}
			of := func(k snapshot.Key) bool {
				svc := f.Service(k)
				name := k.Name + "."
				if k.Kind != snapshot.Host {
					name = k.Name + "." + k.Namespace + "." + f.Name + "." + k.Kind.String() + "." + string(d.Name)
				}
				switch {
				case svc == nil:
					return yield(Group{name, nil}, nil)
				case k.Kind == snapshot.Host:
					return yield(Group{name, svc}, rrsOf(w.hosted(svc)))
				}
				return yield(Group{name, svc}, rrsOf(w.service(m, svc)))
			}
			if !whole {
				for k := range f.Changes(was.s.Federations[federation]) {
					if k.Kind == snapshot.Host && f.Host(k.Name) != nil && f.Service(k) == nil {
						continue // another namespace holds it now
					}
					if !of(k) {
						return
					}
				}
				return
			}
			for svc := range f.Services() {
				if !of(svc.Key) {
					return
				}
			}
			for svc := range f.Hosts() {
				if !of(svc.Key) {
					return
				}
			}
		}
	}, whole
}

// A Delegating is how the zone above leads to a domain.
type Delegating struct {
	Domain *Domain
	Block  *Block
	last   map[string][]dns.RR // the addresses of name servers that are hosts
}

// Groups gives the records: the name servers of the domain, and the addresses of those of them that are in it, each under its
// name. They are those of the file, or of the host that a name server is: of the Service that it is reached by. Where nothing of that
// is up they stay as they were, since without addresses nobody would come.
func (g *Delegating) Groups() iter.Seq2[Group, []dns.RR] {
	d := g.Domain
	w := &writer{Block: g.Block, Domain: d, Static: d.Static.Load(), Snapshot: g.Block.Current.Load(), now: pipeline.Now()}
	names := map[string][]dns.RR{}
	for _, rr := range w.Static.Records {
		ns, ok := rr.(*dns.NS)
		if !ok || ns.Hdr.Name != string(d.Name) {
			continue
		}
		names[string(d.Name)] = append(names[string(d.Name)], ns)
		if _, in := d.Name.Under(ns.Ns); !in {
			continue
		}
		at := dnsname.Lower(ns.Ns)
		for _, glue := range w.Static.Records {
			if h := glue.Header(); h.Name == at && (h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA) {
				names[at] = append(names[at], glue)
			}
		}
		if names[at] == nil {
			if addrs := g.hosted(w, at); addrs != nil {
				names[at] = addrs
			}
		}
	}
	return func(yield func(Group, []dns.RR) bool) {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !yield(Group{Name: name}, names[name]) {
				return
			}
		}
	}
}

// hosted are the addresses of a host, or the last ones.
func (g *Delegating) hosted(w *writer, name string) (addrs []dns.RR) {
	for _, m := range g.Domain.Members {
		svc := w.Snapshot.Federations[m.Index].Host(strings.TrimSuffix(name, "."))
		if svc == nil {
			continue
		}
		for _, rr := range rrsOf(w.hosted(svc)) {
			if t := rr.Header().Rrtype; t == dns.TypeA || t == dns.TypeAAAA {
				addrs = append(addrs, rr)
			}
		}
	}
	if addrs == nil {
		return g.last[name]
	}
	if g.last == nil {
		g.last = map[string][]dns.RR{}
	}
	g.last[name] = addrs
	return addrs
}
