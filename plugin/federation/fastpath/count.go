package fastpath

import (
	"time"

	"github.com/coredns/coredns/plugin/acl"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/plugin/federation/zone"
)

var (
	listening = metric.Fedns.Gauges("fast_path",
		"Whether questions to a server are answered past the chain of plugins where they can be (1), or by the chain only (0).", "server")
	below = metric.Fedns.Gauges("xdp_queues",
		"How many queues of an interface are answered below the kernel's sockets, by AF_XDP; 0: sockets answer.", "interface")
	questions = metric.Fedns.Counters("fast_questions_total",
		"Questions that came by the fast path, by the way they took from there: fast, chain, or lost (256 waited for the chain already; of connections 4096, and they get SERVFAIL).", "server", "way")
	RateLimited = metric.Fedns.Counters("rate_limited_total",
		"Answers beyond the rate of their client's network, by what became of them: drop, slip (truncated), or would be with rrl observe.", "server", "action")
)

// A counter counts between two flushes what a counter is then told.
type counter struct {
	n       uint64
	counter prometheus.Counter // nil until there is something to count
	vec     *prometheus.CounterVec
	labels  []string
	tally   *counters
}

func (c *counter) add() {
	if c.vec == nil {
		return // CoreDNS doesn't count either
	}
	if c.n == 0 {
		c.tally.dirty = append(c.tally.dirty, c)
	}
	c.n++
}

// sample is how many answers there are to one that is measured: a histogram takes
// longer than an answer does.
const sample = 64

// A counters counts what one socket answers. CoreDNS's own counters and ours are told
// once a batch, before its answers are sent: whoever has an answer finds it
// counted.
type counters struct {
	of       *Handler
	dirty    []*counter
	domains  []*perDomain // nil: of a zone of plugin file, of which there may be thousands, that nothing was asked of
	outcomes [zone.Outcomes][zone.Scopes]counter
	fast     counter
	chain    counter
	lost     counter
	mirrored counter
	limited  [rrl.Pass]counter
	answered uint64
}

// perDomain is what CoreDNS counts by zone.
type perDomain struct {
	requests [2][len(countedTypes) + 1]counter // by family, type
	rcodes   [6]counter
	do       counter
	allowed  counter // by acl
	duration prometheus.Observer
	request  prometheus.Observer
	response prometheus.Observer
}

// countedTypes are those that CoreDNS counts by name (plugin/metrics/vars); others
// are "other".
var countedTypes = [...]uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeSRV, dns.TypeANY, dns.TypeSOA, dns.TypeNS, dns.TypeTXT, dns.TypeMX, dns.TypePTR,
	dns.TypeHTTPS, dns.TypeSVCB, dns.TypeDNSKEY, dns.TypeDS, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeRRSIG, dns.TypeAXFR, dns.TypeIXFR,
}

// typeIndex is where a type is counted.
func typeIndex(t uint16) int {
	for i, c := range countedTypes {
		if c == t {
			return i
		}
	}
	return len(countedTypes)
}

func newTally(h *Handler) *counters {
	t := &counters{of: h, domains: make([]*perDomain, len(h.domains))}
	set := t.set
	for o := range t.outcomes {
		for scope := range t.outcomes[o] {
			what, where := zone.Outcome{What: uint8(o), Scope: uint8(scope)}.Labels()
			set(&t.outcomes[o][scope], zone.Answers, h.addr, what, where)
		}
	}
	set(&t.fast, questions, h.addr, "fast")
	set(&t.chain, questions, h.addr, "chain")
	set(&t.lost, questions, h.addr, "lost")
	set(&t.mirrored, Reflected, h.addr)
	for v := range t.limited {
		set(&t.limited[v], RateLimited, h.addr, h.limit.Action(rrl.Verdict(v)))
	}
	for i := range h.domains {
		if h.domains[i].file == nil {
			t.domains[i] = t.perDomain(&h.domains[i])
		}
	}
	return t
}

// set makes a counter.
func (t *counters) set(c *counter, vec *prometheus.CounterVec, labels ...string) {
	*c = counter{vec: vec, labels: labels, tally: t}
}

// perDomain makes the counters of a domain.
func (t *counters) perDomain(d *domain) *perDomain {
	p := &perDomain{}
	if d.zone != "" {
		p.fill(t.of.addr, d.zone, t.of.proto, d.plugin(), t.set)
	}
	if d.part.Allowed {
		t.set(&p.allowed, acl.RequestAllowCount, t.of.addr, noView)
	}
	return p
}

// noView is what is counted as the view: nobody has one here.
const noView = ""

// fill names the counters of CoreDNS for one zone.
func (p *perDomain) fill(server, zone, proto, plugin string, set func(*counter, *prometheus.CounterVec, ...string)) {
	const view = noView
	for f, family := range [2]string{"1", "2"} {
		for i := range p.requests[f] {
			name := "other"
			if i < len(countedTypes) {
				name = dns.Type(countedTypes[i]).String()
			}
			set(&p.requests[f][i], vars.RequestCount, server, zone, view, proto, family, name)
		}
	}
	for i := range p.rcodes {
		set(&p.rcodes[i], vars.ResponseRcode, server, zone, view, dns.RcodeToString[i], plugin)
	}
	set(&p.do, vars.RequestDo, server, zone, view)
	p.duration = vars.RequestDuration.WithLabelValues(server, zone, view)
	p.request = vars.RequestSize.WithLabelValues(server, zone, view, proto)
	p.response = vars.ResponseSize.WithLabelValues(server, zone, view, proto)
}

// count tells of an answer of a domain as CoreDNS's prometheus plugin would; of
// sizes and durations of one in so many.
func (t *counters) count(r *responder, p *packet.Packet, d *domain, size int, rcode byte) {
	t.fast.add()
	c := t.domains[d.index]
	if c == nil {
		c = t.perDomain(d)
		t.domains[d.index] = c
	}
	family := 1
	if p.From.Addr().Is4() {
		family = 0
	}
	c.requests[family][typeIndex(r.q.Type)].add()
	c.rcodes[rcode].add()
	if r.q.EDNS.DO {
		c.do.add()
	}
	c.allowed.add()
	if t.answered++; t.answered%sample == 0 && c.duration != nil {
		c.duration.Observe(time.Since(r.began).Seconds())
		c.request.Observe(float64(p.N))
		c.response.Observe(float64(size))
	}
}

// flush tells the counters.
func (t *counters) flush() {
	for _, c := range t.dirty {
		if c.counter == nil {
			c.counter = c.vec.WithLabelValues(c.labels...)
		}
		c.counter.Add(float64(c.n))
		c.n = 0
	}
	t.dirty = t.dirty[:0]
}
