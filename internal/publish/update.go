package publish

import (
	"maps"
	"slices"

	"github.com/miekg/dns"
)

// messageSize bounds an update: over TCP it has 64 KiB, and a TSIG has to fit in.
const messageSize = 60000

// A state is what is believed to stand at a name.
type state uint8

const (
	free   state = iota // nothing that is ours: there may be somebody else's
	ours                // the records that there are said to be, and the TXT record
	unsure              // it is ours, with whatever records
)

// A step is a name's part of an update.
type step struct {
	name   string
	state  state
	before []dns.RR
	after  []dns.RR
	gone   bool // the name isn't to be there any more
}

// steps are what takes names to what they are to be.
func steps(want, there Names) (out []step) {
	all := maps.Clone(there)
	if all == nil {
		all = Names{}
	}
	maps.Copy(all, want)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, owned := there[name]
		after, wanted := want[name]
		s := step{name: name, before: before, after: after, gone: !wanted}
		if owned {
			s.state = ours
		}
		if !owned || !wanted || !same(before, after) {
			out = append(out, s)
		}
	}
	return out
}

// messages puts steps into as few updates of the zone as there is room for: mostly one.
func (s *Server) messages(all []step) (out []batch) {
	m := s.update(all)
	if m.Len() > messageSize && len(all) > 1 {
		half := len(all) / 2
		return append(s.messages(all[:half]), s.messages(all[half:])...)
	}
	return []batch{{all, m}}
}

// A batch is an update with what it is made of.
type batch struct {
	steps []step
	msg   *dns.Msg
}

// update is the message that does some steps, all or none of them (RFC 2136).
func (s *Server) update(all []step) *dns.Msg {
	m := new(dns.Msg).SetUpdate(s.Zone)
	for _, x := range all {
		t := s.mark(x.name)
		at := func(rtype uint16) []dns.RR {
			return []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: x.name, Rrtype: rtype, Class: dns.ClassINET}}}
		}
		if x.state == free {
			if x.name == s.Zone { // which has its own records
				for _, rtype := range addresses {
					m.RRsetNotUsed(at(rtype))
				}
			} else {
				m.NameNotUsed(at(dns.TypeANY)) // section 2.4.5
			}
			m.RRsetNotUsed([]dns.RR{t})
			m.Insert([]dns.RR{t})
			m.Insert(copies(x.after))
			continue
		}
		m.Used([]dns.RR{dns.Copy(t)})   // section 2.4.2
		for _, rtype := range Managed { // what goes comes first: no record is added beside a CNAME (section 3.4.2.2)
			before, after := of(x.before, rtype), of(x.after, rtype)
			if x.state == unsure && !s.own(x.name, rtype) || len(before) > 0 && !same(before, after) {
				m.RemoveRRset(at(rtype))
			}
		}
		for _, rtype := range Managed {
			before, after := of(x.before, rtype), of(x.after, rtype)
			if x.state == unsure || !same(before, after) {
				m.Insert(copies(after))
			}
		}
		if x.gone {
			m.RemoveRRset([]dns.RR{t})
		}
	}
	return m
}

// copies are records for a message to change.
func copies(rrs []dns.RR) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
	}
	return out
}
