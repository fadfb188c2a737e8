package zone

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A writer writes the records of a domain as they are at one moment.
type writer struct {
	*Block
	Domain   *Domain
	Static   *Static
	Snapshot *snapshot.Snapshot
	now      time.Duration // on the program's own clock
}

// records are all federated records of a domain, answered one name at a time by
// the engine that answers questions.
func (q *writer) records() iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		for _, m := range q.Domain.Members {
			f := q.Snapshot.Federations[m.Index]
			for svc := range f.Services() {
				for _, rr := range q.service(m, svc) {
					if !yield(rr) {
						return
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

// service gives the records of a service in every scope.
func (q *writer) service(m answer.Member, svc *snapshot.Service) (out []dns.RR) {
	f := q.Snapshot.Federations[m.Index]
	for _, scope := range f.Map.Scopes() {
		out = append(out, q.at(m, f, svc, scope)...)
	}
	return out
}

// hosted gives the records of a host, if it is in the domain.
func (q *writer) hosted(svc *snapshot.Service) (out []dns.RR) {
	owner := svc.Key.Name + "."
	d, rel := q.Block.Find(owner)
	if d != q.Domain {
		return nil
	}
	for _, t := range [...]answer.Type{answer.TypeA, answer.TypeAAAA} {
		a, apex := answer.Answer{}, rel == ""
		if apex {
			a, _ = d.atApex(q.Snapshot, q.Static, t, q.now)
		} else {
			a = Resolve(q.Snapshot, d.Members, q.Static, owner, dnsname.Labels(rel), t, q.now)
		}
		if a.Service == svc && (!apex || !a.NoRecords()) {
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
func (q *writer) at(m answer.Member, f *snapshot.Federation, svc *snapshot.Service, scope topology.Scope) []dns.RR {
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
func (q *writer) named(m answer.Member, labels []string, types ...answer.Type) []dns.RR {
	owner := strings.Join(labels, ".") + "."
	if q.Domain.Name != dnsname.Root {
		owner += string(q.Domain.Name)
	}
	if _, err := dnsname.Parse(owner); err != nil {
		return nil // too long to be one
	}
	var out []dns.RR
	for _, t := range types {
		a := answer.Resolve(q.Snapshot, []answer.Member{m}, labels, t, q.now)
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
func (q *writer) written(owner string, t answer.Type, a *answer.Answer) (out []dns.RR) {
	if a.NoRecords() {
		t = answer.Type(dns.TypeHINFO)
	}
	if a.Policy().Choice == snapshot.Failover { // which chooses for everybody
		a.Choose(&answer.Client{})
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
	r.Answer(a, &x, 0)
	for _, rr := range unpacked(r.End()).Answer {
		if rr.Header().Name == owner {
			out = append(out, rr)
		}
	}
	return out
}
