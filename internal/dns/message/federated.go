package message

import (
	"encoding/binary"
	"net/netip"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/topology"
)

// Answer writes what the federations have for the name, or that there is nothing, with
// what the client is told beside. turn rotates the addresses.
func (r *Reply) Answer(a *answer.Answer, x *Extras, turn uint32) {
	r.note(a, x)
	if !r.sign() { // the records that led here have TTLs of their own
		return
	}
	r.normal, r.reduced = a.Normal, a.TTL
	switch a.Outcome {
	case answer.NotReady:
		r.Fail()
	case answer.NameError:
		if r.rcode = NXDomain; r.signer != nil && !r.q.EDNS.CO {
			r.rcode = NoError // RFC 9824 section 3.1
		}
		r.deny(a, x.Serial)
	case answer.NoData:
		if !r.chain(a) {
			return
		}
		if a.NoRecords() && r.q.Type == typeHINFO {
			r.hinfo(a.TTL, "\x04down\x00")
			return
		}
		r.deny(a, x.Serial)
	case answer.Found:
		if r.chain(a) {
			r.records(a, turn)
		}
	}
}

// chain writes the CNAMEs that lead to the end. It is false if they don't fit.
func (r *Reply) chain(a *answer.Answer) bool {
	s, ttl := a.Scope, a.TTL
	if r.away = a.LeavesCluster; r.away {
		ttl = a.AliasTTL // of what the cluster itself says
		if !r.step(a, s, ttl) || !r.sign() {
			return false
		}
		r.by(r.d.Lead)
	}
	for range a.Hops {
		if r.an > 0 {
			ttl = a.TTL
		}
		if s = s.Up(); !r.step(a, s, ttl) {
			return false
		}
	}
	return true
}

// step writes one of them: but for one to a name that is too long to exist, to which a
// short one can lead.
func (r *Reply) step(a *answer.Answer, to topology.Scope, ttl uint32) bool {
	began, before := len(r.b), r.mark
	size := 0
	if r.away {
		size = r.lead(to, ttl)
	} else {
		size = r.cname(a, to, ttl)
	}
	fits := r.end()
	switch {
	case size > maxName:
		r.b, r.mark = r.b[:began], before
		return true
	case !fits:
		r.truncate(began)
		return false
	}
	r.an++
	return true
}

// cname leads from the name written last to the one in a wider scope, and says how long
// that is.
func (r *Reply) cname(a *answer.Answer, to topology.Scope, ttl uint32) (size int) {
	host := r.n.count - r.d.Labels - len(a.Path.Scope)
	r.header(r.owner, typeCNAME, ttl)
	r.owner = uint16(len(r.b))
	r.wire(0, host)
	size = r.length(0, host) + r.length(r.domain(), r.n.count) + 1
	switch spelled := to.Region != "" && len(a.Path.Scope) == 2; {
	case spelled: // by the question
		size += r.length(r.domain()-1, r.domain())
		r.point(r.domain() - 1)
	case to.Region != "":
		size += 1 + len(to.Region)
		r.label(to.Region)
		r.point(r.domain())
	default:
		r.point(r.domain())
	}
	return size
}

// lead leads from the name written last, in a cluster's own domain or from there, to
// the one in a scope of the federation's domain, and says how long that is.
func (r *Reply) lead(to topology.Scope, ttl uint32) (size int) {
	r.header(r.owner, typeCNAME, ttl)
	r.owner = uint16(len(r.b))
	r.wire(0, r.inside())
	size = r.length(0, r.inside()) + len(r.d.Lead.Name) + 1
	if to.Zone != "" {
		r.label(to.Zone)
		size += 1 + len(to.Zone)
	}
	switch {
	case to.Region == "":
		r.outer()
	case r.lowRegion != 0:
		r.b = binary.BigEndian.AppendUint16(r.b, 0xc000|r.lowRegion)
		size += 1 + len(to.Region)
	default:
		r.lowRegion = uint16(len(r.b))
		r.label(to.Region)
		r.outer()
		size += 1 + len(to.Region)
	}
	return size
}

// inside is the index of the label where a cluster's domain begins: those before it,
// FEDERATION.svc included, are the same in the federation's.
func (r *Reply) inside() int { return r.domain() + 2 }

// outer ends a name with the domain where the question's leads.
func (r *Reply) outer() {
	switch name := r.d.Lead.Name; {
	case len(name) == 0:
		r.b = append(r.b, 0)
	case r.lowDomain != 0:
		r.b = binary.BigEndian.AppendUint16(r.b, 0xc000|r.lowDomain)
	default:
		r.lowDomain = uint16(len(r.b))
		r.b = append(append(r.b, name...), 0)
	}
}

// records writes those of the end of the chain.
func (r *Reply) records(a *answer.Answer, turn uint32) {
	switch r.q.Type {
	case typeA, typeAAAA:
		began := len(r.b)
		n, ok := r.addresses(a, r.q.Type == typeA, turn)
		if !ok {
			r.truncate(began)
			return
		}
		r.an += n
	case typeSRV:
		r.services(a, turn)
	case typeANY:
		if a.Target {
			r.Any(a.TTL)
		}
	}
}

// addresses writes the addresses of one family at the end of the chain, and says
// how many. It is false if they don't fit.
func (r *Reply) addresses(a *answer.Answer, v4 bool, turn uint32) (n int, ok bool) {
	for addr := range a.Addrs(v4, turn) {
		if !r.address(int(r.owner), a.TTL, addr) {
			return 0, false
		}
		n++
	}
	return n, true
}

func (r *Reply) address(owner int, ttl uint32, addr netip.Addr) bool {
	r.pointer(owner)
	if addr.Is4() {
		b := addr.As4()
		r.fields(typeA, ttl)
		r.b = append(r.b, b[:]...)
		return r.end()
	}
	b := addr.As16()
	r.fields(typeAAAA, ttl)
	r.b = append(r.b, b[:]...)
	return r.end()
}

// port is how many labels stand before a service's name in that of a port: _PORT._PROTO.
const port = 2

// services writes a record for each port, and the addresses of the targets if there is
// room for them: else the client asks for what it misses. Targets aren't compressed
// (RFC 2782).
func (r *Reply) services(a *answer.Answer, turn uint32) {
	began, parted := len(r.b), a.Parted()
	r.places = r.places[:0]
	for t := range a.Targets(turn) {
		at := len(r.b)
		r.header(r.owner, typeSRV, a.TTL)
		r.b = append(r.b, 0, 0, 0, 0) // priority, weight
		r.b = binary.BigEndian.AppendUint16(r.b, t.Port)
		target := len(r.b)
		switch {
		case t.Pod != nil:
			r.label(t.Pod.Label)
			r.wire(port, r.n.count)
			r.b = append(r.b, 0)
		case t.Narrow:
			r.host(a, t.At)
		case parted:
			r.host(a, a.End())
		default:
			r.asked(a)
		}
		fits := r.end()
		switch {
		case len(r.b)-target > maxName: // no name
			r.b = r.b[:at]
			target = 0
		case !fits:
			r.truncate(began)
			return
		}
		r.places = append(r.places, target)
	}
	for _, at := range r.places {
		if at > 0 {
			r.an++
		}
	}
	if !r.section(additional) {
		return
	}
	end := len(r.b)
	if n, ok := r.behind(a, parted, turn); ok {
		r.ar += n
	} else {
		r.b = r.b[:end]
	}
}

// behind writes the addresses of the targets of the SRV records, whose places have been
// noted, and says how many. It is false if they don't fit.
func (r *Reply) behind(a *answer.Answer, parted bool, turn uint32) (n int, ok bool) {
	if !parted && !a.Pods() {
		if len(r.places) == 0 {
			return 0, true
		}
		r.owner = uint16(r.places[0]) // the same of all
		v4, ok4 := r.addresses(a, true, turn)
		v6, ok6 := r.addresses(a, false, turn)
		return v4 + v6, ok4 && ok6
	}
	i := 0
	for t := range a.Targets(turn) {
		owner := r.places[i]
		i++
		if owner == 0 {
			continue
		}
		if t.Pod != nil {
			for _, s := range t.Pod.Shards {
				if !r.address(owner, a.TTL, s.Addr) {
					return 0, false
				}
				n++
			}
			continue
		}
		for addr := range a.Behind(t.At) {
			if !r.address(owner, a.TTL, addr) {
				return 0, false
			}
			n++
		}
	}
	return n, true
}

// asked writes, whole, the name behind the port's at the end of the chain, in the form that
// was asked.
func (r *Reply) asked(a *answer.Answer) {
	host := r.n.count - r.d.Labels - len(a.Path.Scope)
	switch to := a.End(); {
	case r.away:
		r.leads(port, to)
		return
	case a.Hops == 0:
		r.wire(port, r.n.count)
	case to.Region != "" && len(a.Path.Scope) == 2: // spelled by the question
		r.wire(port, host)
		r.wire(r.domain()-1, r.n.count)
	default:
		r.wire(port, host)
		if to.Region != "" {
			r.label(to.Region)
		}
		r.wire(r.domain(), r.n.count)
	}
	r.b = append(r.b, 0)
}

// host writes, whole, the service's name in a scope.
func (r *Reply) host(a *answer.Answer, to topology.Scope) {
	if r.away {
		r.leads(port, to)
		return
	}
	r.wire(port, r.n.count-r.d.Labels-len(a.Path.Scope))
	r.scope(to)
	r.wire(r.domain(), r.n.count)
	r.b = append(r.b, 0)
}

// leads writes, whole, the name from a label on that a question of a cluster's own domain
// leads to in a scope.
func (r *Reply) leads(from int, to topology.Scope) {
	r.wire(from, r.inside())
	r.scope(to)
	r.b = append(append(r.b, r.d.Lead.Name...), 0)
}

func (r *Reply) scope(s topology.Scope) {
	for _, l := range [...]string{s.Zone, s.Region} {
		if l != "" {
			r.label(l)
		}
	}
}
