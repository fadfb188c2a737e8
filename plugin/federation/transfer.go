package federation

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/transfer"
	"github.com/coredns/coredns/plugin/tsig"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/plugin/federation/zone"
)

var transferForms = metric.Fedns.Counters("transfer_forms_total",
	"Zone transfers of federated domains, by what was written: axfr (all of it), ixfr (the difference), or current (there was nothing newer).", "server", "form")

// messageSize bounds a message, so that a TSIG has room in 64 KiB, and a name that another compresses less well.
const messageSize = 62000

// transfers say who may have which domain, and who hears of its changes.
type transfers struct {
	rules    map[*zone.Domain][]transferRule
	notified map[*zone.Domain][]notified
	stall    time.Duration // 0: transferStall
}

func (t *transfers) allow(d *zone.Domain, rules []transferRule) {
	if t.rules == nil {
		t.rules = map[*zone.Domain][]transferRule{}
	}
	t.rules[d] = append(t.rules[d], rules...)
}

func (t *transfers) notify(d *zone.Domain, to []notified) {
	if t.notified == nil {
		t.notified = map[*zone.Domain][]notified{}
	}
	for _, n := range to {
		if !slices.ContainsFunc(t.notified[d], func(o notified) bool { return o.addr == n.addr }) {
			t.notified[d] = append(t.notified[d], n)
		}
	}
}

// allowed says whether who asks may have a domain, by what the stanzas say.
func (t *transfers) allowed(ctx context.Context, d *zone.Domain, state request.Request) bool {
	s := secondary(ctx, state)
	return slices.ContainsFunc(t.rules[d], func(r transferRule) bool { return r.allows(s) })
}

// secondary is who asks. The plugin tsig has verified the key.
func secondary(ctx context.Context, state request.Request) zone.Secondary {
	at, _ := netip.ParseAddr(state.IP())
	key, _ := tsig.ValidatedKeyName(ctx)
	return zone.Secondary{Addr: at.Unmap().WithZone(""), Key: key}
}

// transferOf says whether a zone transfer is asked for, by a way that takes many messages.
func transferOf(state request.Request) bool {
	t := state.QType()
	return (t == dns.TypeAXFR || t == dns.TypeIXFR) && state.Proto() != "udp"
}

// byTCP says whether who may have a domain asks for a difference in a datagram: that doesn't fit, and one record says so.
func (f *Federation) byTCP(ctx context.Context, d *zone.Domain, state request.Request) bool {
	if state.QType() != dns.TypeIXFR || string(d.Name) != state.Name() || !f.transfers.allowed(ctx, d, state) {
		return false
	}
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

// transfer hands a domain to who may have it.
func (f *Federation) transfer(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, d *zone.Domain) (int, error) {
	select {
	case <-f.ready:
	default:
		return dns.RcodeServerFailure, errNotReady
	}
	var since *uint32
	if r.Question[0].Qtype == dns.TypeIXFR {
		soa := (*dns.SOA)(nil)
		if len(r.Ns) == 1 {
			soa, _ = r.Ns[0].(*dns.SOA)
		}
		if soa == nil {
			return dns.RcodeSuccess, w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeFormatError)) // RFC 1995 section 3
		}
		since = &soa.Serial
	}
	t := d.Transfer(&f.Block, secondary(ctx, request.Request{W: w, Req: r}), since)
	defer transferForms.WithLabelValues(metrics.WithServer(ctx), string(t.Form)).Inc()
	head, err := replyTo(r)
	if err != nil {
		return dns.RcodeFormatError, err
	}
	s := &stream{ResponseWriter: w, raw: r.IsTsig() == nil && ctx.Value(dnsserver.HTTPRequestKey{}) == nil}
	for b := range ahead(head, t.Records) {
		if err := s.send(b); err != nil {
			return dns.RcodeSuccess, err // nobody reads an answer any more
		}
	}
	t.Done()
	return dns.RcodeSuccess, nil
}

// replyTo is the header of an answer, and its question.
func replyTo(r *dns.Msg) ([]byte, error) {
	m := new(dns.Msg).SetReply(r)
	m.Authoritative = true
	return m.Pack()
}

// ahead gives the messages that records make, each of which is made while the one before is sent.
func ahead(head []byte, records iter.Seq[message.RR]) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		made, stop := make(chan []byte, 1), make(chan struct{})
		var maker sync.WaitGroup
		defer maker.Wait()
		defer close(stop)
		maker.Go(func() {
			defer close(made)
			var m message.Bulk
			begin := func() { m.Begin(append(make([]byte, 0, dns.MaxMsgSize), head...), messageSize) }
			put := func() bool {
				select {
				case made <- m.End():
					begin()
					return true
				case <-stop:
					return false
				}
			}
			begin()
			for r := range records {
				if m.Add(&r) {
					continue
				}
				if !put() {
					return
				}
				m.Add(&r)
			}
			put()
		})
		for b := range made {
			if !yield(b) {
				return
			}
		}
	}
}

// errNotReady is SERVFAIL: a secondary would keep for hours what isn't the whole zone.
var errNotReady = errors.New("not everything is known yet that stands in the zone")

// A stream writes messages to a secondary.
type stream struct {
	dns.ResponseWriter
	raw   bool // but for the first, which plugins may want to see, bytes are written as they are: nobody signs them
	begun bool
}

func (s *stream) send(b []byte) error {
	if s.begun && s.raw {
		_, err := s.Write(b)
		return err
	}
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		return err
	}
	m.Compress = true
	if err := s.WriteMsg(m); err != nil {
		return err
	}
	s.TsigTimersOnly(true) // of the next messages (RFC 8945 section 5.3.1)
	s.begun = true
	return nil
}

// A transferGate stands in the place of the plugin transfer, where that is in the server block: it goes by
// what that says of who may have a zone, and hands those of federations out itself. That plugin would give
// no difference, and would not say to whom a zone goes.
type transferGate struct {
	transfer.Transfer // as it was
	of                *Federation
}

// gate puts the gate in.
func (f *Federation) gate() {
	if t, ok := f.Config.Handler("transfer").(*transfer.Transfer); ok {
		g := &transferGate{*t, f}
		*t = transfer.Transfer{Next: g} // which knows no zone, and passes everything on
	}
}

// ServeDNS implements plugin.Handler.
func (g *transferGate) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	state := request.Request{W: w, Req: r}
	d, _ := g.of.Find(state.Name())
	if !transferOf(state) || d == nil || d.Lead != nil || string(d.Name) != state.Name() {
		return g.Transfer.ServeDNS(ctx, w, r)
	}
	if g.of.transfers.allowed(ctx, d, state) {
		return g.of.transfer(ctx, w, r, d)
	}
	allows := g.Transfer
	allows.Transferers = []transfer.Transferer{admitted{}} //nolint:misspell // as CoreDNS has it
	rcode, err := allows.ServeDNS(ctx, w, r)
	if errors.Is(err, errAdmitted) {
		return g.of.transfer(ctx, w, r, d)
	}
	return rcode, err
}

// admitted is asked for a zone by the plugin transfer if who wants it may have it.
type admitted struct{}

var errAdmitted = errors.New("it may have the zone")

// Transfer implements transfer.Transferer.
func (admitted) Transfer(string, uint32) (<-chan []dns.RR, error) { return nil, errAdmitted }
