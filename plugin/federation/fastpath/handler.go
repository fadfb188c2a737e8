// Package fastpath answers questions in datagrams and by connections past CoreDNS's chain of plugins, from
// sockets of its own beside CoreDNS's: what package zone answers by itself; what a plugin has
// to see, and all else, goes to the chain, a few at a time, the oldest dropped first.
//
// Listeners.Listen opens the sockets of an address, for the server blocks (Owner) that answer
// there. A Handler is what answers at an address, one responder a socket; Respond is the life
// of a question. Nothing is allocated for an answer.
package fastpath

import (
	"errors"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/filezone"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// A Handler answers the questions of one address that come in datagrams, or by connections, past
// CoreDNS's own sockets: what federation knows from bytes to bytes, the rest
// through the chain of plugins.
//
// It gives what the chain would, but for what CoreDNS can't be brought to do:
//
//   - questions longer than 512 bytes are read (CoreDNS: FORMERR)
//   - an empty ZONEVERSION option is answered (CoreDNS: FORMERR)
//   - options that are put together wrongly and that nobody here needs are
//     ignored, as unknown ones are (CoreDNS: FORMERR)
//   - unknown EDNS flags are cleared for every name, the size that is advertised is
//     the server's own, and BADVERS has both, and DO, whatever follows
//   - NSID and a client subnet are answered for every name of the domains, also
//     where another plugin answers, and NSID without setting DO; COOKIE for every
//     question of the address, also where no server block answers
//   - FORMERR to a client subnet that is put together wrongly has an OPT record
//   - a COOKIE of an impossible length is FORMERR also where no server block answers
//   - an answer that fills 512 bytes goes without the COOKIE, rather than without
//     records
//   - FORMERR has the question where there is one, and not the AD, RA and TC that came
type Handler struct {
	addr    string // as CoreDNS names the server
	server  *dnsserver.Server
	domains []domain                        // the longest names first
	byName  map[string]int                  // which of them it is
	longest int                             // of the names
	jar     *atomic.Pointer[cookie.Keyring] // nil in it: no cookies
	limit   rrl.Policy
	seed    maphash.Seed
	chained *queue         // of what the chain answers
	zones   []dnsname.Name // of all server blocks of the address
	proto   string         // that CoreDNS's metrics count by
	idle    uint16         // for how long a connection may be, in tenths of a second
}

// New answers for an address as CoreDNS names it, with so many goroutines for what the
// chain has to answer.
func New(addr string, workers int) *Handler {
	return &Handler{addr: addr, proto: "udp", chained: newQueue(workers, queueRoom)}
}

// overStreams answers what comes by connections as h does what comes in datagrams.
func (h *Handler) overStreams(workers int, idle time.Duration) *Handler {
	s := *h
	s.proto, s.idle = "tcp", uint16(min(idle/(100*time.Millisecond), math.MaxUint16))
	s.limit = rrl.Policy{Mode: "off"} // whoever has a connection is where it says it is
	s.chained = newQueue(workers, streamRoom)
	return &s
}

// A domain is one of zone, with what the plugins beside it need to see, or a zone of plugin file.
type domain struct {
	*zone.Domain
	of     *zone.Block
	file   *filezone.Zone // nil: it is a domain
	name   dnsname.Name
	index  int // of its counts
	labels int
	except []dnsname.Name  // below it, and other server blocks'
	above  bool            // another server block is above it, which CoreDNS asks for DS records
	zone   string          // that CoreDNS's metrics count it by; "": they aren't asked for
	nsid   []byte          // what the nsid plugin says this server is
	needs  bypass.Combined // of the other plugins
	part   bypass.Effects  // of them that is done here
}

// Add has questions for names in a domain answered.
func (h *Handler) Add(f *Owner, d *zone.Domain, beside bypass.Neighbours, needed bypass.Combined, done bypass.Effects) {
	h.add(domain{Domain: d, of: &f.Block, name: d.Name, needs: needed, part: done}, f.Config, beside)
}

// add has questions be answered for names in a domain of a server block.
func (h *Handler) add(d domain, cfg *dnsserver.Config, beside bypass.Neighbours) {
	d.labels, d.above, d.nsid = len(dnsname.Labels(string(d.name))), beside.Above, identity(cfg)
	d.except = append(d.except, beside.Below...)
	if zones := countedBy(cfg); zones != nil {
		d.zone = plugin.Zones(zones).Matches(string(d.name))
		if d.zone == "" {
			d.zone = "." // as CoreDNS has it
		}
	}
	h.domains = append(h.domains, d)
}

// arrange has domains be found, once all are there.
func (h *Handler) arrange() {
	slices.SortStableFunc(h.domains, func(a, b domain) int { return len(b.name) - len(a.name) })
	h.byName = make(map[string]int, len(h.domains))
	for i := range h.domains {
		h.domains[i].index = i
		h.byName[string(h.domains[i].name)] = i
		h.longest = max(h.longest, len(h.domains[i].name))
	}
}

// few is how many domains are looked at one after the other: as many as cost what two look-ups in a table do.
const few = 8

// above finds the next shorter one of the domains that a name, in lower case, is in; nil: there is none. at begins at 0.
func (h *Handler) above(name string, at int) (d *domain, next int) {
	if len(h.domains) <= few {
		for ; at < len(h.domains); at++ {
			if _, ok := h.domains[at].name.Under(name); ok {
				return &h.domains[at], at + 1
			}
		}
		return nil, at
	}
	for at = max(at, len(name)-h.longest); at < len(name); at++ {
		if at > 0 && name[at-1] != '.' {
			continue
		}
		if i, ok := h.byName[name[at:]]; ok {
			if _, ok := h.domains[i].name.Under(name); ok { // else that dot is part of a label
				return &h.domains[i], at + 1
			}
		}
	}
	if i, ok := h.byName["."]; ok && at == len(name) && name != "." {
		return &h.domains[i], at + 1
	}
	return nil, at
}

// Guard sets what holds for every question, whatever it asks, once all domains are there. The server blocks of
// one address can't differ in it.
func (h *Handler) Guard(owners []*Owner) error {
	first := owners[0].Guards
	for _, f := range owners[1:] {
		if f.Guards != first {
			return errors.New("its server blocks disagree on rrl or cookies")
		}
	}
	h.arrange()
	h.jar, h.limit, h.seed = &owners[0].Keyring, first.RateLimit, maphash.MakeSeed()
	return nil
}

// Responder implements packet.Handler.
func (h *Handler) Responder(n int) packet.Responder {
	r := &responder{Handler: h, reply: zone.Transaction{Turn: rand.Uint32()}, tally: newTally(h)}
	r.find = r.aliased
	r.reply.Idle = h.idle
	if h.limit.Limited() {
		// Chance spreads what one network asks over all sockets.
		l := h.limit.Limit
		l.Rate = max(1, l.Rate/n)
		r.table = rrl.New(l, h.seed)
	}
	return r
}

// A responder answers the questions of one socket.
type responder struct {
	*Handler
	q     message.Question
	name  string // that is asked for, in lower case and presentation form
	reply zone.Transaction
	find  func(string) (*zone.Block, *zone.Domain) // see followed
	table *rrl.Table
	tally *counters
	query []byte    // that is kept while its answer is written
	began time.Time // of the batch
	wall  uint32    // the same, in seconds since 1970
}

// Begin implements packet.Responder.
func (r *responder) Begin() {
	r.began, r.reply.Now = time.Now(), pipeline.Now()
	r.wall = uint32(r.began.Unix())
	r.reply.Time = r.wall
}

// End implements packet.Responder.
func (r *responder) End() { r.tally.flush() }

// Respond implements packet.Responder.
func (r *responder) Respond(p *packet.Packet) int {
	if !p.Stream && Reflects(p.From.Port()) {
		r.tally.mirrored.add()
		return 0
	}
	q := &r.q
	q.Stream = p.Stream
	reading := q.Read(p.Buf[:p.N])
	if reading == message.Ignore {
		return 0
	}
	var d *domain
	if reading != message.Unsupported && reading != message.BadVersion {
		if r.name = q.Name.String(); !q.Plain() {
			var err error
			if r.name, err = zone.Presented(p.Buf[:p.N], message.HeaderSize); err != nil {
				return r.chain(p)
			}
		}
		d = r.domain(r.name)
	}
	var need bypass.Kinds
	if d != nil {
		need = d.needs.Of(q, r.name, p.From.Addr())
		if d.part.Size > 0 {
			q.EDNS.Size = min(q.EDNS.Size, d.part.Size)
		}
	}
	holder := r.checkCookie(p, d)
	if r.table != nil && !holder && !r.limit.Exempt(p.From.Addr()) {
		if verdict := r.table.Take(p.From.Addr(), r.reply.Now); verdict != rrl.Pass {
			if need&bypass.Silent != 0 {
				verdict = rrl.Drop // it may be one that gets no answer at all
			}
			r.tally.limited[verdict].add()
			switch {
			case r.limit.Mode == "observe":
			case verdict == rrl.Drop || reading == message.Unsupported:
				return 0
			default:
				size := message.Truncate(p.Buf, q, &r.reply.Extras)
				if d != nil {
					d.part.Flags.Apply(p.Buf)
				}
				return size
			}
		}
	}
	switch {
	case reading == message.BadVersion:
		return message.Version(p.Buf, q)
	case d == nil || p.Cut:
		if reading == message.Unsupported {
			if size := reject(p); size > 0 {
				return size
			}
		}
		return r.chain(p)
	case d.file != nil:
		if reading == message.Plain {
			if size := r.fromFile(p, d, need); size > 0 {
				return size
			}
		}
		return r.chain(p)
	case reading == message.BadSubnet && need&bypass.Failed != 0:
		return r.chain(p)
	case reading == message.BadSubnet || reading == message.BadCookie && r.jar.Load() != nil:
		size := message.Refuse(p.Buf, q, message.FormErr, &r.reply.Extras)
		if reading == message.BadSubnet { // the other is said before any plugin
			d.part.Flags.Apply(p.Buf)
			zone.ClearEcho(p.Buf)
		}
		refused := zone.Outcome{What: zone.Refused, Scope: zone.NoScope}
		r.tally.outcomes[refused.What][refused.Scope].add()
		d.of.Traffic.Count(zone.Subject{}, refused)
		r.tally.count(r, p, d, size, message.FormErr)
		return size
	}
	size, out := r.answer(p, d, need)
	switch {
	case size > 0:
	case p.Stream && (q.Type == dns.TypeAXFR || q.Type == dns.TypeIXFR):
		return r.chain(p) // of many messages
	default:
		return r.slowPath(p, d)
	}
	d.part.Flags.Apply(p.Buf)
	r.tally.outcomes[out.What][out.Outcome.Scope].add()
	r.tally.count(r, p, d, size, p.Buf[3]&0x0f)
	d.of.Traffic.Count(out.Subject, out.Outcome)
	return size
}

// checkCookie looks at the client's cookie, says whether it has shown that it is
// where it says it is, and sets what the OPT record of the answer will hold.
func (r *responder) checkCookie(p *packet.Packet, d *domain) (holder bool) {
	e := &r.q.EDNS
	r.reply.Scope = 0
	switch {
	case d == nil:
		e.ZoneVersion, r.reply.NSID = false, nil
	case d.file != nil:
		r.reply.Labels, r.reply.NSID = d.labels, d.nsid
		e.NoSubnet() // file goes by none
	default:
		r.reply.Serial, r.reply.Labels, r.reply.NSID = d.of.Current.Load().Serial, d.labels, d.nsid
		if e.HasSubnet() {
			d.of.IgnoreSubnet(&r.q, d.Domain, p.From.Addr())
		}
	}
	client, server, ok := e.Cookie()
	if !ok {
		return false
	}
	jar := r.jar.Load()
	if jar == nil {
		e.NoCookie()
		return false
	}
	verdict := jar.Check(client, server, p.From.Addr(), r.wall)
	if verdict == cookie.Good {
		copy(r.reply.Cookie[:], server)
	} else {
		jar.Append(r.reply.Cookie[:0], client, p.From.Addr(), r.wall)
	}
	return verdict != cookie.Bad
}

// domain finds the domain that a name, in lower case, is in; nil: none whose
// questions are answered here.
func (r *responder) domain(name string) *domain {
	var own *domain // of which a DS record isn't (see zone.Block.Asked)
	var d *domain
	for at := 0; ; {
		if d, at = r.above(name, at); d == nil {
			return own
		}
		apex := len(name) == len(d.name)
		if d.file != nil && r.q.Type == dns.TypeDS && (apex || d.above) {
			return nil // by CoreDNS's rules
		}
		if apex && r.q.Type == dns.TypeDS && own == nil {
			own = d
			continue
		}
		for _, e := range d.except {
			if _, ok := e.Under(name); ok {
				return nil
			}
		}
		return d
	}
}

// aliased finds the domain of a name that a CNAME leads to, if no plugin needs to see what
// is said of it.
func (r *responder) aliased(name string) (*zone.Block, *zone.Domain) {
	d := r.domain(name)
	if d == nil || d.file != nil || d.needs.Of(&r.q, name, r.reply.From) != 0 {
		return nil, nil
	}
	return d.of, d.Domain
}

// answer writes the answer to the question in p, if it is one for names in the
// domain and none that another plugin needs to see; else its size is 0.
func (r *responder) answer(p *packet.Packet, d *domain, need bypass.Kinds) (size int, out zone.Result) {
	q := &r.q
	switch q.Type {
	case dns.TypeAXFR, dns.TypeIXFR, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeNXNAME:
		return 0, out
	case dns.TypeDS:
		if d.above {
			return 0, out
		}
	}
	if need&bypass.Whatever == bypass.Whatever {
		return 0, out
	}
	a := &r.reply
	a.Of, a.Domain, a.Static, a.Snapshot = d.of, d.Domain, d.Static.Load(), d.of.Current.Load()
	a.From = p.From.Addr()
	a.Network, _ = q.EDNS.Subnet()
	a.Serial, a.Scope = a.Snapshot.Serial, 0
	a.Turn++
	a.Reply.Begin(p.Buf, q, q.Limit(), &a.Extras)
	labels := q.Labels(d.labels)
	if !q.Plain() {
		rel, _ := d.Name.Under(r.name)
		labels = dnsname.Labels(rel)
	}
	out = a.Respond(q, r.name, labels, r.find)
	if out.PassOn || need&out.Kinds != 0 || out.Follow != "" && r.serves(out.Follow) {
		return 0, out
	}
	return len(a.Reply.End()), out
}

// serves says whether a server block of the address may have something for a name of which
// nothing is known here.
func (h *Handler) serves(name string) bool {
	return slices.ContainsFunc(h.zones, func(z dnsname.Name) bool { _, ok := z.Under(name); return ok })
}
