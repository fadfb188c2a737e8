package federation

import (
	"context"
	"crypto/tls"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/plugin/federation/zone"
)

var transfersEnded = metric.Fedns.Counters("transfers_total",
	"Zone transfers that were asked for, by what became of them: done, aborted (the client went away, or read nothing), or refused (ten ran already).", "server", "outcome")

// transfersAtOnce is how many transfers run at a time, of all zones of the process together. A
// federation of 10,000 services takes half a second of a core; secondaries that are told to wait try
// again. BIND has as many (transfers-out).
const transfersAtOnce = 10

// running are the transfers that run.
var running = make(chan struct{}, transfersAtOnce)

// transferring has a transfer go through the chain, if there aren't too many. due is the cookie of
// what isn't a transfer; it may be nil.
func (e *edge) transferring(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, due *dns.EDNS0_COOKIE) (int, error) {
	count := func(outcome string) { transfersEnded.WithLabelValues(metrics.WithServer(ctx), outcome).Inc() }
	out := &outgoingWriter{ResponseWriter: w, due: due}
	select {
	case running <- struct{}{}:
	default:
		count("refused")
		m := new(dns.Msg).SetRcode(r, dns.RcodeServerFailure) // as who asks again does
		if o := r.IsEdns0(); o != nil {
			m.SetEdns0(dns.MinMsgSize, o.Do())
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeOther, ExtraText: "too many zone transfers at a time"})
		}
		return dns.RcodeSuccess, out.WriteMsg(m)
	}
	defer func() { <-running }()
	rcode, err := plugin.NextOrFailure(e.Name(), e.next, ctx, out, r)
	switch {
	case out.failed:
		count("aborted")
	case rcode == dns.RcodeSuccess && err == nil:
		count("done")
	}
	if !plugin.ClientWrite(rcode) && due != nil {
		return dns.RcodeSuccess, out.WriteMsg(new(dns.Msg).SetRcode(r, rcode)) // CoreDNS would answer so itself, past all plugins
	}
	return rcode, err
}

// An outgoingWriter writes a transfer, or why there is none: with a cookie, as whatever is one message.
type outgoingWriter struct {
	dns.ResponseWriter
	due    *dns.EDNS0_COOKIE
	failed bool
}

// ConnectionState implements dns.ConnectionStater.
func (w *outgoingWriter) ConnectionState() *tls.ConnectionState {
	return connectionState(w.ResponseWriter)
}

// WriteMsg implements dns.ResponseWriter.
func (w *outgoingWriter) WriteMsg(m *dns.Msg) error {
	if w.due != nil && m.Rcode != dns.RcodeSuccess {
		m = zone.WithCookie(m, w.due)
	}
	err := w.ResponseWriter.WriteMsg(m)
	if err != nil {
		w.failed = true
	}
	return err
}
