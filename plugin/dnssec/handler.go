package dnssec

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnssec"
	"github.com/fedns/fedns/internal/dns/rrset"
	"github.com/fedns/fedns/internal/metric"
)

var (
	entries = metric.Dnssec.Gauges("cache_entries", "The number of elements in the dnssec cache.", "server", "type")
	hits    = metric.Dnssec.Counters("cache_hits_total", "The count of cache hits.", "server")
	misses  = metric.Dnssec.Counters("cache_misses_total", "The count of cache misses.", "server")
)

// Dnssec is the plugin.
type Dnssec struct {
	Next  plugin.Handler
	names plugin.Zones
	zones []*dnssec.Signer // one of each name
	kept  *dnssec.Kept
	now   func() time.Time
}

// Name implements plugin.Handler.
func (*Dnssec) Name() string { return name }

// in is the zone that a name is in, and who signs it; "": none is.
func (d *Dnssec) in(name string) (zone string, signer *dnssec.Signer) {
	zone = d.names.Matches(name)
	for i, z := range d.names {
		if z == zone {
			return zone, d.zones[i]
		}
	}
	return "", nil
}

// ServeDNS implements plugin.Handler.
func (d *Dnssec) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	state := request.Request{W: w, Req: r}
	zone, signer := d.in(state.Name())
	if zone == "" {
		return plugin.NextOrFailure(name, d.Next, ctx, w, r)
	}
	a := answer{d: d, ctx: ctx, w: w, r: r, must: state.Proto() != "udp" || overQUIC(ctx)}
	switch t := state.QType(); {
	case t == dns.TypeNXNAME: // RFC 9824 section 3.5
		return dns.RcodeFormatError, nil // which the server answers
	case t == dns.TypeDNSKEY && state.Name() == zone:
		m := new(dns.Msg).SetReply(r)
		m.Authoritative = true
		keys := signer.KeysOf(t)
		for _, data := range keys.Records {
			m.Answer = append(m.Answer, rrset.Record(zone, t, keys.TTL, data))
		}
		if state.Do() {
			return dns.RcodeSuccess, a.WriteMsg(m)
		}
		return dns.RcodeSuccess, w.WriteMsg(m)
	case !state.Do():
		return plugin.NextOrFailure(name, d.Next, ctx, w, r)
	}
	return plugin.NextOrFailure(name, d.Next, ctx, &writer{w, &a}, r)
}

// overQUIC says whether the question came in a stream, though its address is one of UDP.
func overQUIC(ctx context.Context) bool {
	s, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server)
	return ok && strings.HasPrefix(s.Addr, "quic://")
}

// A writer has what the plugins behind answer be signed.
type writer struct {
	dns.ResponseWriter
	answer *answer
}

// WriteMsg implements dns.ResponseWriter.
func (w *writer) WriteMsg(m *dns.Msg) error { return w.answer.WriteMsg(m) }

// Write implements dns.ResponseWriter.
func (w *writer) Write(b []byte) (int, error) {
	log.Warning("an answer isn't signed, since a plugin wrote it as bytes")
	return w.ResponseWriter.Write(b)
}

// An answer is one question's.
type answer struct {
	d   *Dnssec
	ctx context.Context //nolint:containedctx // that of one question, for whom the next plugin is asked again
	w   dns.ResponseWriter
	r   *dns.Msg

	must bool // there is nothing to ask again over

	signing rrset.Signing
}

// WriteMsg signs a message and sends it.
func (a *answer) WriteMsg(m *dns.Msg) error {
	a.signing.Now = uint32(a.d.now().Unix())
	signed, err := a.sign(m)
	switch {
	case errors.Is(err, rrset.ErrBudget):
		signed = truncated(m)
	case err != nil:
		log.Errorf("%s %s isn't signed: %v", a.r.Question[0].Name, dns.Type(a.r.Question[0].Qtype), err)
		signed = new(dns.Msg).SetRcode(a.r, dns.RcodeServerFailure)
	}
	server := metrics.WithServer(a.ctx)
	entries.WithLabelValues(server, "signature").Set(float64(a.d.kept.Len()))
	hits.WithLabelValues(server).Add(float64(a.signing.Found))
	misses.WithLabelValues(server).Add(float64(a.signing.Made))
	return a.w.WriteMsg(signed)
}

// truncated is a message that says nothing but to ask again over TCP.
func truncated(m *dns.Msg) *dns.Msg {
	out := *m
	out.Rcode, out.Truncated = dns.RcodeSuccess, true
	out.Answer, out.Ns, out.Extra = nil, nil, nil
	if o := m.IsEdns0(); o != nil {
		out.Extra = []dns.RR{o}
	}
	return &out
}

// delegated says whether a name is another zone's apex, which its own zone's servers don't say where they are asked for
// what isn't there of DS.
func (a *answer) delegated(owner string) bool {
	q := new(dns.Msg).SetQuestion(owner, dns.TypeNS)
	w := nonwriter.New(a.w)
	if _, err := plugin.NextOrFailure(name, a.d.Next, a.ctx, w, q); err != nil || w.Msg == nil {
		return false
	}
	for _, section := range [][]dns.RR{w.Msg.Answer, w.Msg.Ns} {
		if has(section, owner, dns.TypeNS) {
			return true
		}
	}
	return false
}
