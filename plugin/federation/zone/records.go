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
	"github.com/fedns/fedns/internal/dns/rrset"
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

	// Used over and over.
	question message.Question
	reply    message.Reply
	packet   []byte
	rrs      []message.RR // that were given last
	room     []byte       // what they hold
}

// records are all federated records of a domain, answered one name at a time by
// the engine that answers questions.
func (q *writer) records() iter.Seq[message.RR] {
	return func(yield func(message.RR) bool) {
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

// service gives the records of a service in every scope, until the next one's are asked for.
func (q *writer) service(m answer.Member, svc *snapshot.Service) []message.RR {
	q.rrs, q.room = q.rrs[:0], q.room[:0]
	f := q.Snapshot.Federations[m.Index]
	for _, scope := range f.Map.Scopes() {
		q.at(m, f, svc, scope)
	}
	return q.rrs
}

// hosted gives the records of a host, if it is in the domain, until the next one's are asked for.
func (q *writer) hosted(svc *snapshot.Service) []message.RR {
	q.rrs, q.room = q.rrs[:0], q.room[:0]
	owner := svc.Key.Name + "."
	d, rel := q.Block.Find(owner)
	if d != q.Domain {
		return nil
	}
	for _, t := range [...]answer.Type{answer.TypeA, answer.TypeAAAA} {
		a, apex := answer.Answer{}, rel == ""
		if apex {
			d.atApex(&a, q.Snapshot, q.Static, t, q.now)
		} else {
			Resolve(&a, q.Snapshot, d.Members, q.Static, owner, dnsname.Labels(rel), t, q.now)
		}
		if a.Service == svc && (!apex || !a.NoRecords()) {
			rrs := q.written(owner, t, &a)
			if a.NoRecords() {
				return rrs // of either family
			}
		}
	}
	return q.rrs
}

// at adds the records of a service in one scope, of its ports, and of the short
// forms.
func (q *writer) at(m answer.Member, f *snapshot.Federation, svc *snapshot.Service, scope topology.Scope) {
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
	for _, s := range spell {
		labels := slices.Concat(host, s)
		q.named(m, labels, answer.TypeA, answer.TypeAAAA)
		for i, p := range svc.Ports {
			if i > 0 && p.Name == svc.Ports[i-1].Name && p.Proto == svc.Ports[i-1].Proto {
				continue // another number of the same port: its records came with the first
			}
			q.named(m, append([]string{"_" + p.Name, "_" + p.Proto}, labels...), answer.TypeSRV)
		}
	}
}

// named adds the records that stand at a name itself: those of the types, or
// the CNAME that is there instead.
func (q *writer) named(m answer.Member, labels []string, types ...answer.Type) {
	owner := strings.Join(labels, ".") + "."
	if q.Domain.Name != dnsname.Root {
		owner += string(q.Domain.Name)
	}
	if _, err := dnsname.Parse(owner); err != nil {
		return // too long to be one
	}
	before := len(q.rrs)
	for _, t := range types {
		a := answer.Resolve(q.Snapshot, []answer.Member{m}, labels, t, q.now)
		rrs := q.written(owner, t, &a)
		if a.NoRecords() || len(rrs) > 0 && rrs[0].Type == dns.TypeCNAME {
			q.rrs = append(q.rrs[:before], rrs...) // whatever the type
			return
		}
	}
}

// written adds, and gives, the records of a name itself in the answer to a question for it, as it is
// written for whoever asks: of a name that has none, the one by which secondaries know that it
// exists.
func (q *writer) written(owner string, t answer.Type, a *answer.Answer) []message.RR {
	if a.NoRecords() {
		t = answer.Type(dns.TypeHINFO)
	}
	if a.Policy().Choice == snapshot.Failover { // which chooses for everybody
		a.Choose(&answer.Client{})
	}
	q.packet = append(q.packet[:0], make([]byte, message.HeaderSize)...)
	q.packet[5] = 1 // one question
	q.packet = dnsname.Name(owner).Append(q.packet)
	q.packet = append(q.packet, byte(t>>8), byte(t), 0, dns.ClassINET)
	q.question.Read(q.packet)
	x := message.Extras{Serial: q.Snapshot.Serial}
	q.reply.Begin(q.packet, &q.question, dns.MaxMsgSize, &x)
	q.reply.In(&q.Static.wire)
	q.reply.Answer(a, &x, 0)
	q.packet = q.reply.End() // which may be elsewhere
	before := len(q.rrs)
	q.rrs = slices.AppendSeq(q.rrs, q.reply.Own(&q.room))
	return q.rrs[before:]
}

// rrsOf are records as CoreDNS has them.
func rrsOf(list []message.RR) []dns.RR {
	out := make([]dns.RR, len(list))
	for i := range list {
		out[i] = rrOf(&list[i])
	}
	return out
}

func rrOf(r *message.RR) dns.RR {
	name, _, err := dns.UnpackDomainName(r.Name, 0)
	if err != nil {
		panic("federation: a name that was written can't be read: " + err.Error())
	}
	return rrset.Record(name, r.Type, r.TTL, r.Data)
}

// wireOf is a record as it is on the wire, names whole.
func wireOf(rr dns.RR) message.RR {
	name, data, err := rrset.Wire(rr)
	if err != nil {
		panic("federation: what was parsed can't be packed: " + err.Error())
	}
	h := rr.Header()
	return message.RR{Name: name, Type: h.Rrtype, TTL: h.Ttl, Data: data}
}
