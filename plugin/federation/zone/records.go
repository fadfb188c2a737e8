package zone

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// batch is how many records go to the transfer plugin at once; it packs them into
// messages itself.
const Batch = 500

// Transfer writes the zone, until ctx ends: then nobody wants it any more.
func (d *Domain) Transfer(ctx context.Context, f *Block, serial uint32) <-chan []dns.RR {
	a, s := d.Static.Load(), f.Current.Load()
	q := Query{Domain: d, Static: a, Snapshot: s, Of: f}
	soa := a.serialized(s.Serial, false)
	ch := make(chan []dns.RR)
	put := func(rrs []dns.RR) bool {
		select {
		case ch <- rrs:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(ch)
		if !put([]dns.RR{soa}) || serial != 0 && int32(serial-s.Serial) >= 0 || !put(a.Records) {
			return
		}
		var rrs []dns.RR
		for rr := range q.records() {
			if rrs = append(rrs, rr); len(rrs) == Batch {
				if !put(rrs) {
					return
				}
				rrs = nil
			}
		}
		put(append(rrs, soa))
	}()
	return ch
}

// records are all federated records of a domain, answered one name at a time by
// the engine that answers questions.
func (q *Query) records() iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		for _, m := range q.Domain.Members {
			f := q.Snapshot.Federations[m.Index]
			scopes := f.Map.Scopes()
			for svc := range f.Services() {
				for _, scope := range scopes {
					for _, rr := range q.at(m, f, svc, scope) {
						if !yield(rr) {
							return
						}
					}
				}
			}
			for svc := range f.Hosts() {
				for _, rr := range q.hosted(svc) {
					if !yield(rr) {
						return
					}
				}
			}
		}
	}
}

// hosted gives the records of a host, if it is in the domain.
func (q *Query) hosted(svc *snapshot.Service) (out []dns.RR) {
	owner := svc.Key.Name + "."
	d, rel := q.Of.Find(owner)
	if d != q.Domain {
		return nil
	}
	for _, t := range [...]answer.Type{answer.TypeA, answer.TypeAAAA} {
		a := Resolve(q.Snapshot, d.Members, q.Static, owner, dnsname.Labels(rel), t, pipeline.Now())
		if a.Service == svc {
			rrs := q.written(owner, t, &a)
			if a.NoRecords() {
				return rrs // of either family
			}
			out = append(out, rrs...)
		}
	}
	return out
}

// at gives the records of a service in one scope, of its ports, and of the short
// forms.
func (q *Query) at(m answer.Member, f *snapshot.Federation, svc *snapshot.Service, scope topology.Scope) []dns.RR {
	spell := [][]string{nil}
	if scope.Zone != "" {
		spell[0] = []string{scope.Zone, scope.Region}
		if f.Map.Short(scope) {
			spell = append(spell, []string{scope.Zone})
		}
	} else if scope.Region != "" {
		spell[0] = []string{scope.Region}
	}
	host := []string{svc.Key.Name, svc.Key.Namespace, f.Name, svc.Key.Kind.String()}
	var out []dns.RR
	for _, s := range spell {
		labels := slices.Concat(host, s)
		out = append(out, q.named(m, labels, answer.TypeA, answer.TypeAAAA)...)
		for i, p := range svc.Ports {
			if i > 0 && p.Name == svc.Ports[i-1].Name && p.Proto == svc.Ports[i-1].Proto {
				continue // another number of the same port: its records came with the first
			}
			out = append(out, q.named(m, append([]string{"_" + p.Name, "_" + p.Proto}, labels...), answer.TypeSRV)...)
		}
	}
	return out
}

// named gives the records that stand at a name itself: those of the types, or
// the CNAME that is there instead.
func (q *Query) named(m answer.Member, labels []string, types ...answer.Type) []dns.RR {
	owner := strings.Join(labels, ".") + "."
	if q.Domain.Name != dnsname.Root {
		owner += string(q.Domain.Name)
	}
	if _, err := dnsname.Parse(owner); err != nil {
		return nil // too long to be one
	}
	var out []dns.RR
	for _, t := range types {
		a := answer.Resolve(q.Snapshot, []answer.Member{m}, labels, t, pipeline.Now())
		rrs := q.written(owner, t, &a)
		if a.NoRecords() || len(rrs) > 0 && rrs[0].Header().Rrtype == dns.TypeCNAME {
			return rrs // whatever the type
		}
		out = append(out, rrs...)
	}
	return out
}

// written are the records of a name itself in the answer to a question for it, as it is
// written for whoever asks: of a name that has none, the one by which secondaries know that it
// exists.
func (q *Query) written(owner string, t answer.Type, a *answer.Answer) (out []dns.RR) {
	if a.NoRecords() {
		t = answer.Type(dns.TypeHINFO)
	}
	packet, err := new(dns.Msg).SetQuestion(owner, uint16(t)).Pack()
	if err != nil {
		panic("federation: a name that was parsed can't be packed: " + err.Error())
	}
	var asked message.Question
	var r message.Reply
	asked.Read(packet)
	x := message.Extras{Serial: q.Snapshot.Serial}
	r.Begin(packet, &asked, dns.MaxMsgSize, &x)
	r.In(&q.Static.wire)
	r.Answer(a, &x, q.Turn)
	for _, rr := range unpacked(r.End()).Answer {
		if rr.Header().Name == owner {
			out = append(out, rr)
		}
	}
	return out
}
