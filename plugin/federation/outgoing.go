package federation

import (
	"context"
	"crypto/tls"
	"sync"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fedns/fedns/plugin/federation/observe"
)

var transfers = promauto.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: observe.PluginName, Name: "transfers_total",
	Help: "Zone transfers that were asked for, by what became of them: done, aborted (the client went away), or refused (there were too many at a time).",
}, []string{"server", "outcome"})

// transfersAtOnce is how many transfers run at a time, of all zones of the process together. A
// federation of 10,000 services takes half a second of a core; secondaries that are told to wait try
// again. BIND has as many (transfers-out).
const transfersAtOnce = 10

// outgoing are the transfers that run.
var outgoing = make(chan struct{}, transfersAtOnce)

// A passage is one transfer's way through the chain. The plugin transfer asks for a zone without
// saying for whom, and when its client has gone reads on to the end, for nobody.
type passage struct {
	context.Context
	abort context.CancelFunc
	once  sync.Once
	begun chan struct{} // closed once it is known who writes the zone
}

func (p *passage) begin() { p.once.Do(func() { close(p.begun) }) }

// passing is the passage that a zone asked for now is for.
var passing struct {
	turn sync.Mutex // held from the beginning of a passage until it is known who writes it

	mu  sync.Mutex // guards now
	now *passage
}

// passingNow is the passage of who calls, which is a chain that has its turn.
func passingNow() context.Context {
	passing.mu.Lock()
	p := passing.now
	passing.mu.Unlock()
	if p == nil {
		return context.Background() // nobody asks by way of a chain
	}
	p.begin()
	return p
}

// transferring has a transfer go through the chain, if there aren't too many.
func (e *edge) transferring(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	count := func(outcome string) { transfers.WithLabelValues(metrics.WithServer(ctx), outcome).Inc() }
	select {
	case outgoing <- struct{}{}:
	default:
		count("refused")
		m := new(dns.Msg).SetRcode(r, dns.RcodeServerFailure) // as who asks again does
		if o := r.IsEdns0(); o != nil {
			m.SetEdns0(dns.MinMsgSize, o.Do())
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeOther, ExtraText: "too many zone transfers at a time"})
		}
		return dns.RcodeSuccess, w.WriteMsg(m)
	}
	defer func() { <-outgoing }()
	p := &passage{begun: make(chan struct{})}
	p.Context, p.abort = context.WithCancel(ctx)
	defer p.abort()

	passing.turn.Lock()
	passing.mu.Lock()
	passing.now = p
	passing.mu.Unlock()
	go func() { // the next one's turn
		<-p.begun
		passing.mu.Lock()
		passing.now = nil
		passing.mu.Unlock()
		passing.turn.Unlock()
	}()
	defer p.begin()
	out := &outgoingWriter{ResponseWriter: w, passage: p}
	rcode, err := plugin.NextOrFailure(e.Name(), e.next, ctx, out, r)
	switch {
	case out.failed:
		count("aborted")
	case rcode == dns.RcodeSuccess && err == nil:
		count("done")
	}
	return rcode, err
}

// An outgoingWriter ends a transfer whose client has gone. It is used by one goroutine at a time.
type outgoingWriter struct {
	dns.ResponseWriter
	passage *passage
	failed  bool
}

// ConnectionState implements dns.ConnectionStater.
func (w *outgoingWriter) ConnectionState() *tls.ConnectionState {
	return connectionState(w.ResponseWriter)
}

// WriteMsg implements dns.ResponseWriter.
func (w *outgoingWriter) WriteMsg(m *dns.Msg) error {
	w.passage.begin() // another plugin's zone
	err := w.ResponseWriter.WriteMsg(m)
	if err != nil {
		w.failed = true
		w.passage.abort()
	}
	return err
}
