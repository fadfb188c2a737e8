package zone

import (
	"iter"
	"maps"
	"slices"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/snapshot"
)

// A Moment is what a federation's names under a domain were written from.
type Moment struct{ s *snapshot.Snapshot }

// Groups gives the records of a federation's services under a domain, each service's together under its global name:
// of all of them, or of those that aren't as they were at a moment before. One that is gone has none.
func (d *Domain) Groups(b *Block, federation int, was *Moment) (now *Moment, groups iter.Seq2[string, []dns.RR], whole bool) {
	w := &writer{Block: b, Domain: d, Static: d.Static.Load(), Snapshot: b.Current.Load(), now: pipeline.Now()}
	now = &Moment{w.Snapshot}
	f := w.Snapshot.Federations[federation]
	whole = was == nil || !f.SameScopes(was.s.Federations[federation])
	return now, func(yield func(string, []dns.RR) bool) {
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
					return yield(name, nil)
				case k.Kind == snapshot.Host:
					return yield(name, w.hosted(svc))
				}
				return yield(name, w.service(m, svc))
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

// Delegation gives the records by which the zone above leads here: the name servers of the domain, and the addresses of those
// of them that are in it, each under its name.
func (d *Domain) Delegation() iter.Seq2[string, []dns.RR] {
	a := d.Static.Load()
	return func(yield func(string, []dns.RR) bool) {
		names := map[string][]dns.RR{}
		for _, rr := range a.Records {
			ns, ok := rr.(*dns.NS)
			if !ok || ns.Hdr.Name != string(d.Name) {
				continue
			}
			names[string(d.Name)] = append(names[string(d.Name)], ns)
			if _, in := d.Name.Under(ns.Ns); !in {
				continue
			}
			for _, glue := range a.Records {
				if h := glue.Header(); h.Name == ns.Ns && (h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA) {
					names[ns.Ns] = append(names[ns.Ns], glue)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !yield(name, names[name]) {
				return
			}
		}
	}
}
