package filezone

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/pkg/response"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/rrset"
	"github.com/fedns/fedns/internal/dns/static"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// kept is the answer of a node for a name: asked of the plugin once.
func (i *index) kept(n *node, q asked, name string) *Answer {
	for {
		was := n.answers.Load()
		if was != nil {
			for j := range *was {
				if (*was)[j].asked == q {
					return (*was)[j].Answer
				}
			}
		}
		a, err := i.ask(n, q, strings.Clone(name)) // which is over with the question
		if err != nil {
			a = nil
		}
		var all []kept
		if was != nil {
			all = slices.Clone(*was)
		}
		all = append(all, kept{q, a})
		if n.answers.CompareAndSwap(was, &all) {
			return a
		}
	}
}

// A made is an answer of the plugin's.
type made struct {
	name          string // that is asked for; "": any
	an, ns, extra []dns.RR
	rcode         int
	referral      bool
	away          bool // the last record leads elsewhere
}

var (
	errFailed = errors.New("it is a failure")
	errClass  = errors.New("it is of another class")
	errAlias  = errors.New("it doesn't lead from one name to the next")
)

// ask asks the plugin.
func (i *index) ask(n *node, q asked, name string) (*Answer, error) {
	if q.from != referral && n.alias && len(n.elem.Type(dns.TypeCNAME)) > 1 {
		return nil, errAlias
	}
	t := q.t
	if q.from == referral {
		t = dns.TypeA // as good as any
	}
	m := made{name: name}
	var result file.Result
	state := request.Request{W: asker{}, Req: new(dns.Msg).SetQuestion(name, t)}
	m.an, m.ns, m.extra, result = i.lookup.Lookup(context.Background(), state, name)
	switch result {
	case file.NameError:
		m.rcode = dns.RcodeNameError
	case file.ServerFailure: // or the whole server has to be asked
		if m.away = len(m.an) > 0; !m.away {
			return nil, errFailed
		}
	}
	if m.referral = q.from == referral; m.referral {
		m.name = "" // it is the same for all names
	}
	return i.made(&m)
}

// An asker is whom nothing is written to.
type asker struct{ dns.ResponseWriter }

// RemoteAddr implements dns.ResponseWriter.
func (asker) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// made is an answer as it is kept.
func (i *index) made(m *made) (*Answer, error) {
	a := &Answer{Serial: i.serial, Sections: message.Sections{Rcode: byte(m.rcode), Referral: m.referral}}
	kind, _ := response.Typify(&dns.Msg{MsgHdr: dns.MsgHdr{Rcode: m.rcode}, Answer: m.an, Ns: m.ns}, time.Time{})
	switch response.Classify(kind) {
	case response.Success:
		if a.Kinds = bypass.Found; len(m.ns)+len(m.extra) > 0 && kind == response.NoError {
			a.Kinds |= bypass.Padded
		}
	case response.Denial:
		a.Kinds = bypass.Denied
	default:
		a.Kinds = bypass.Failed
	}
	var err error
	if a.Sections.Answer, err = i.sets(m.name, m.an); err != nil {
		return nil, err
	}
	if servers := i.lookup.NS; len(m.ns) > 0 && len(m.ns) == len(servers) && &m.ns[0] == &servers[0] {
		a.Sections.Authority = i.servers // one for all
	} else if a.Sections.Authority, err = i.sets(m.name, m.ns); err != nil {
		return nil, err
	}
	if a.Sections.Additional, err = i.sets(m.name, m.extra); err != nil || !m.away {
		return a, err
	}
	a.Lead = &zone.Lead{From: i.wire, Found: i.servers, Nothing: i.nothing.Sections.Authority}
	at := m.name
	for _, rr := range m.an {
		c, ok := rr.(*dns.CNAME)
		if !ok || c.Hdr.Name != at {
			return nil, errAlias
		}
		if at = c.Target; at != dnsname.Lower(at) || strings.Contains(at, `\`) {
			return nil, errAlias
		}
		w := make([]byte, 256)
		end, err := dns.PackDomainName(at, w, 0, nil, false)
		if err != nil {
			return nil, err
		}
		a.Lead.Aliases = append(a.Lead.Aliases, zone.Alias{TTL: c.Hdr.Ttl, Target: w[:end:end]})
	}
	a.Lead.To = at
	return a, nil
}

// sets are records as they are written: in a row those of one name and one type. name is the one that is asked
// for.
func (i *index) sets(name string, rrs []dns.RR) (out []message.Owned, err error) {
	last := ""
	for _, rr := range rrs {
		h := rr.Header()
		if h.Class != dns.ClassINET {
			return nil, errClass
		}
		r, err := i.record(rr)
		if err != nil {
			return nil, err
		}
		owner := dnsname.Lower(h.Name)
		if len(out) == 0 || owner != last || out[len(out)-1].Type != h.Rrtype {
			s := message.Owned{Type: h.Rrtype}
			if owner != name {
				t, err := static.Target(dnsname.Name(i.origin), owner)
				if err != nil {
					return nil, err
				}
				s.Owner = &t
			}
			out = append(out, s)
		}
		last = owner
		s := &out[len(out)-1]
		s.Records = append(s.Records, r)
	}
	return out, nil
}

// record is a record as it is written: as the plugin spells it.
func (i *index) record(rr dns.RR) (message.Record, error) {
	rr = dns.Copy(rr) // who packs a record notes its length in it
	if p, ok := rr.(*dns.PTR); ok && p.Ptr != dnsname.Lower(p.Ptr) {
		_, data, err := rrset.Wire(rr)
		return message.Record{TTL: p.Hdr.Ttl, Data: data}, err
	}
	return static.Record(dnsname.Name(i.origin), rr)
}
