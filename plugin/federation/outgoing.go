package federation

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/zone"
)

var transfersEnded = metric.Fedns.Counters("transfers_total",
	"Zone transfers that were asked for, by what became of them: done, aborted (the client went away), stalled (the client took less than 64 KiB in 5 s), or refused (ten ran already, or four of its network).", "server", "outcome")

const (
	// transfersAtOnce is how many transfers run at a time, of all zones of the process together. A
	// federation of 10,000 services takes half a second of a core. BIND has as many (transfers-out).
	transfersAtOnce = 10
	// transfersOfNetwork is how many of these are of one network: two that hold all they can get leave some to
	// others, and all secondaries of a site have their turn soon.
	transfersOfNetwork = 4
	// transferWait is how long who comes when there are too many waits: nobody has given up by then, Knot at the earliest
	// (tcp-remote-io-timeout, 5 s); and who is told to come again may do so after minutes (BIND's min-retry-time).
	transferWait = 3 * time.Second
	// transferStall is how long the writing of a message may take: of 64 KiB, so that a secondary has to take 100 kbit/s.
	transferStall = 5 * time.Second
)

// running are the transfers that run.
var running = newSlots(transfersAtOnce, transfersOfNetwork)

// transferring has a transfer go through the chain, if there aren't too many. due is the cookie of
// what isn't a transfer; it may be nil.
func (e *edge) transferring(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, from netip.Addr, due *dns.EDNS0_COOKIE) (int, error) {
	count := func(outcome string) { transfersEnded.WithLabelValues(metrics.WithServer(ctx), outcome).Inc() }
	out := &outgoingWriter{ResponseWriter: w, due: due, stall: e.of.transfers.stall}
	give := running.take(ctx, from, transferWait)
	if give == nil {
		count("refused")
		crowded.say("the transfer of %s to %s is refused: %d run, or %d of its network", r.Question[0].Name, from, transfersAtOnce, transfersOfNetwork)
		m := new(dns.Msg).SetRcode(r, dns.RcodeServerFailure) // as who asks again does
		if o := r.IsEdns0(); o != nil {
			m.SetEdns0(dns.MinMsgSize, o.Do())
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeOther, ExtraText: "too many zone transfers at a time"})
		}
		return dns.RcodeSuccess, out.WriteMsg(m)
	}
	defer give()
	rcode, err := plugin.NextOrFailure(e.Name(), e.next, ctx, out, r)
	switch {
	case out.stalled.Load():
		count("stalled")
		unread.say("the transfer of %s to %s is ended: of a message, not all was taken for %v", r.Question[0].Name, from, transferStall)
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

// What is logged of transfers that there are too many of, and of those that nobody reads.
var crowded, unread seldom

// A seldom logs what others can have happen as often as they like: once a minute.
type seldom struct {
	mu   sync.Mutex // guards the rest
	last time.Time
	left int // since then
}

func (s *seldom) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.last.IsZero() || now.Sub(s.last) >= time.Minute {
		if s.left > 0 {
			format, args = format+" (and %d times more of such, since the last line)", append(args, s.left)
		}
		s.last, s.left = now, 0
		observe.Log.Warningf(format, args...)
		return
	}
	s.left++
}

// An outgoingWriter writes a transfer, or why there is none: with a cookie, as whatever is one message. A
// connection of whose window too little is taken ends: CoreDNS sets no deadline for what is written.
type outgoingWriter struct {
	dns.ResponseWriter
	due     *dns.EDNS0_COOKIE
	stall   time.Duration // 0: transferStall
	failed  bool
	stalled atomic.Bool
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
	defer w.guard().Stop()
	err := w.ResponseWriter.WriteMsg(m)
	w.failed = w.failed || err != nil
	return err
}

// Write implements dns.ResponseWriter.
func (w *outgoingWriter) Write(b []byte) (int, error) {
	defer w.guard().Stop()
	n, err := w.ResponseWriter.Write(b)
	w.failed = w.failed || err != nil
	return n, err
}

// guard ends the connection if a message isn't taken in time.
func (w *outgoingWriter) guard() *time.Timer {
	return time.AfterFunc(cmp.Or(w.stall, transferStall), func() {
		w.stalled.Store(true)
		sockets.Abort(addrPort(w.LocalAddr()), addrPort(w.RemoteAddr()))
	})
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	return netip.AddrPort{}
}
