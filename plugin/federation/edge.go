package federation

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/plugin/federation/fastpath"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// An edge stands before all plugins of a server block, for what holds whatever is
// asked and whoever answers: how much the client takes, and its cookie.
type edge struct {
	next plugin.Handler
	of   *Federation
}

// addEdge puts an edge before the plugins of a configuration, and has zone transfers pass those by that can't take them.
func (f *Federation) addEdge(cfg *dnsserver.Config) {
	for i, made := range cfg.Plugin {
		cfg.Plugin[i] = func(next plugin.Handler) plugin.Handler {
			h := made(next)
			if h.Name() == keepsOne {
				h = &passed{h, next}
			}
			return h
		}
	}
	cfg.Plugin = slices.Insert(cfg.Plugin, 0, plugin.Plugin(func(next plugin.Handler) plugin.Handler { return &edge{next, f} }))
}

// keepsOne is the plugin that keeps what is answered, to write less of it: of the messages of a zone transfer it writes the last
// one, and signs it as one that others have come before.
const keepsOne = "minimal"

// passed is a plugin that zone transfers pass by.
type passed struct {
	plugin.Handler
	next plugin.Handler
}

// ServeDNS implements plugin.Handler.
func (p *passed) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if transferOf(request.Request{W: w, Req: r}) {
		return plugin.NextOrFailure(p.Name(), p.next, ctx, w, r)
	}
	return p.Handler.ServeDNS(ctx, w, r)
}

// Name implements plugin.Handler.
func (e *edge) Name() string { return observe.PluginName + "/edge" }

// ServeDNS implements plugin.Handler.
func (e *edge) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if loop, _ := ctx.Value(dnsserver.LoopKey{}).(int); loop > 0 || len(r.Question) == 0 {
		return plugin.NextOrFailure(e.Name(), e.next, ctx, w, r) // another plugin asks
	}
	if zone.HasMisplacedOption(r) {
		ctx = context.WithValue(ctx, zone.MisplacedOption{}, true)
	}
	w = streamed(w, r)
	state := request.Request{W: w, Req: r}
	if at, ok := w.RemoteAddr().(*net.UDPAddr); ok && fastpath.Reflects(uint16(at.Port)) {
		fastpath.Reflected.WithLabelValues(metrics.WithServer(ctx)).Inc()
		return dns.RcodeSuccess, nil
	}
	w = compressed(w, r)
	from, err := netip.ParseAddr(state.IP())
	if err != nil {
		return plugin.NextOrFailure(e.Name(), e.next, ctx, w, r)
	}
	due, _, sound := zone.Recognize(e.of.Keyring.Load(), r, from)
	if !sound {
		zone.Answers.WithLabelValues(metrics.WithServer(ctx), "refused", "none").Inc()
		return dns.RcodeSuccess, w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeFormatError))
	}
	if transferOf(state) { // many messages; who asks has made a connection
		return e.transferring(ctx, w, r, from, due)
	}
	if due == nil {
		return plugin.NextOrFailure(e.Name(), e.next, ctx, w, r)
	}
	w = &cookieWriter{w, due}
	rcode, err := plugin.NextOrFailure(e.Name(), e.next, ctx, w, r)
	if !plugin.ClientWrite(rcode) {
		// CoreDNS would answer so itself, past all plugins.
		m := new(dns.Msg).SetRcode(r, rcode)
		state.SizeAndDo(m)
		_ = w.WriteMsg(m) // whoever has gone away needs no answer
		return dns.RcodeSuccess, err
	}
	return rcode, err
}

// A cookieWriter puts a cookie into what is written.
type cookieWriter struct {
	dns.ResponseWriter
	due *dns.EDNS0_COOKIE
}

// WriteMsg implements dns.ResponseWriter.
func (w *cookieWriter) WriteMsg(m *dns.Msg) error {
	return w.ResponseWriter.WriteMsg(zone.WithCookie(m, w.due))
}

// ConnectionState implements dns.ConnectionStater.
func (w *cookieWriter) ConnectionState() *tls.ConnectionState {
	return connectionState(w.ResponseWriter)
}

// streamed is a writer by which all of CoreDNS can tell how much a client takes: one
// that has come over QUIC takes as much as over TCP (RFC 9250 section 4.4), though
// its address is UDP's, by which CoreDNS goes. But for transfers: CoreDNS ends a
// stream of QUIC with the first message.
func streamed(w dns.ResponseWriter, r *dns.Msg) dns.ResponseWriter {
	s, ok := w.(*request.ScrubWriter)
	if !ok || r.Question[0].Qtype == dns.TypeAXFR || r.Question[0].Qtype == dns.TypeIXFR {
		return w
	}
	switch s.ResponseWriter.(type) {
	case *dnsserver.DoQWriter, *dnsserver.DoHWriter:
	default:
		return w
	}
	from := s.RemoteAddr()
	if u, ok := from.(interface{ Unwrap() net.Addr }); ok { // behind a proxy
		from = u.Unwrap()
	}
	u, ok := from.(*net.UDPAddr)
	if !ok {
		return w
	}
	return request.NewScrubWriter(r, &streamWriter{s.ResponseWriter, net.TCPAddr{IP: u.IP, Port: u.Port, Zone: u.Zone}})
}

// A streamWriter writes to a stream of QUIC.
type streamWriter struct {
	dns.ResponseWriter
	from net.TCPAddr
}

// RemoteAddr implements dns.ResponseWriter.
func (w *streamWriter) RemoteAddr() net.Addr { return &w.from }

// ConnectionState implements dns.ConnectionStater.
func (w *streamWriter) ConnectionState() *tls.ConnectionState {
	return connectionState(w.ResponseWriter)
}

func connectionState(w dns.ResponseWriter) *tls.ConnectionState {
	if c, ok := w.(dns.ConnectionStater); ok {
		return c.ConnectionState()
	}
	return nil
}

// A clearWriter clears what CoreDNS echoes of the header of a query that it can't
// answer. No plugin sees such, and they don't come to the fast path.
type clearWriter struct{ dns.Writer }

// Write implements dns.Writer.
func (w clearWriter) Write(b []byte) (int, error) {
	if zone.Unread(b) {
		b = slices.Clone(b) // which is the caller's
		zone.ClearEcho(b)
	}
	return w.Writer.Write(b)
}
