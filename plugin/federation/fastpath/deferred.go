package fastpath

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// chain has the chain of plugins answer a packet as CoreDNS would have, had it come
// by its own socket.
func (r *responder) chain(p *packet.Packet) int {
	return r.later(p, func(w *deferred) { w.serve(w.Query()) })
}

// slowPath has the chain answer a question for a name of a domain: with an OPT record
// that CoreDNS understands, in whose place that of the answer is put.
func (r *responder) slowPath(p *packet.Packet, d *domain) int {
	e, x, q := r.q.EDNS, r.reply.Extras, r.q.Strip(p.Buf[:p.N], &r.reply.Extras)
	return r.later(p, func(w *deferred) {
		if e.Present {
			x.Serial = d.of.Current.Load().Serial
			w.edns, w.extras, w.limit = &e, &x, q.Limit
		}
		w.serve(q.Bytes)
	})
}

// later has f answer a packet beside all others.
func (r *responder) later(p *packet.Packet, f func(*deferred)) int {
	r.tally.chain.add()
	w := &deferred{Deferred: p.Keep(), from: p.From, stream: p.Stream, server: r.server, jar: r.jar.Load()}
	if r.chained.put(job{
		do:   func() { defer w.Done(); f(w) },
		drop: w.drop,
	}) {
		r.tally.lost.add()
	}
	return 0
}

// drop has a question go unanswered in a datagram. Who has a connection would wait for an answer,
// and not ask again.
func (w *deferred) drop() {
	if !w.stream {
		w.Done()
		return
	}
	go func() { // whoever reads the connections can't wait until it is taken
		defer w.Done()
		if m := new(dns.Msg); m.Unpack(w.Query()) == nil {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure)) // who has gone needs none
		}
	}()
}

// A deferred is a question that the chain answers: the dns.ResponseWriter that it
// writes to.
type deferred struct {
	packet.Deferred
	from   netip.AddrPort
	stream bool // it came by a connection
	server *dnsserver.Server
	jar    *cookie.Keyring // nil: no cookies

	cookie *dns.EDNS0_COOKIE // due to the client, whoever answers
	room   int               // that there is for it

	// Of questions whose OPT record is seen to here.
	edns   *message.EDNS
	extras *message.Extras
	limit  int

	signature error  // of the question
	mac       string // of the signature, or of that of the message before (RFC 8945 sections 5.3.1 and 5.4.1)
	later     bool   // a message of several behind the first, of which the times are signed only
}

// reject writes the answer to a packet that CoreDNS's own server refuses for its header
// alone: what it isn't able to do, or what isn't put together as a query is. Its size is 0 if
// it isn't refused.
func reject(p *packet.Packet) (size int) {
	if p.N < message.HeaderSize {
		return 0
	}
	switch dns.DefaultMsgAcceptFunc(header16(p.Buf)) {
	case dns.MsgReject:
		return message.Reject(p.Buf, message.FormErr, false)
	case dns.MsgRejectNotImplemented:
		return message.Reject(p.Buf, message.NotImp, true)
	}
	return 0
}

// serve does with a query what CoreDNS's own server does before its plugins see
// it.
func (w *deferred) serve(query []byte) {
	m := new(dns.Msg)
	if len(query) < 12 {
		return
	}
	if err := m.Unpack(query); err != nil {
		h := header16(query)
		reply := &dns.Msg{MsgHdr: dns.MsgHdr{Id: h.Id, Response: true, Rcode: dns.RcodeFormatError}, Question: m.Question}
		reply.RecursionDesired, reply.CheckingDisabled = h.Bits&0x0100 != 0, h.Bits&0x0010 != 0
		_ = w.WriteMsg(reply)
		return
	}
	if t := m.IsTsig(); t != nil {
		w.mac = t.MAC
		if secret, ok := w.server.TsigSecret[t.Hdr.Name]; ok {
			w.signature = dns.TsigVerify(query, secret, "", false)
		} else {
			w.signature = dns.ErrSecret
		}
	}
	var sound bool
	if w.cookie, _, sound = zone.Recognize(w.jar, m, w.from.Addr().Unmap()); !sound {
		reply := new(dns.Msg).SetRcode(m, dns.RcodeFormatError)
		reply.SetEdns0(message.Payload, false)
		_ = w.WriteMsg(reply)
		return
	}
	switch o := m.IsEdns0(); {
	case o == nil:
	case w.stream && len(m.Question) == 1 && m.Question[0].Qclass == dns.ClassINET && (m.Question[0].Qtype == dns.TypeAXFR || m.Question[0].Qtype == dns.TypeIXFR):
		w.cookie = nil // of many messages
	case w.stream:
		w.room = dns.MaxMsgSize
	default:
		w.room = max(dns.MinMsgSize, int(o.UDPSize()))
	}
	ctx := context.Background()
	if c, ok := w.Deferred.(interface{ Context() context.Context }); ok {
		ctx = c.Context()
	}
	ctx = context.WithValue(ctx, dnsserver.Key{}, w.server)
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, 0)
	ctx = context.WithValue(ctx, Admitted{}, true)
	w.server.ServeDNS(ctx, w, m)
}

// WriteMsg implements dns.ResponseWriter.
func (w *deferred) WriteMsg(m *dns.Msg) error {
	if w.cookie != nil {
		if whole := zone.WithCookie(m, w.cookie); whole.Len() <= w.room {
			m = whole
		}
	}
	if t := m.IsTsig(); t != nil {
		secret, ok := w.server.TsigSecret[t.Hdr.Name]
		if !ok && t.Error != dns.RcodeBadKey {
			return dns.ErrSecret
		}
		b, mac, err := dns.TsigGenerate(m, secret, w.mac, w.later)
		if err != nil {
			return err
		}
		w.mac = mac
		return w.Deferred.Write(b)
	}
	b, err := w.pack(m)
	if err != nil {
		return err
	}
	if zone.Unread(b) {
		zone.ClearEcho(b)
	}
	return w.Deferred.Write(b)
}

// pack makes bytes of an answer, with the OPT record that the question is due.
func (w *deferred) pack(m *dns.Msg) ([]byte, error) {
	if w.edns == nil {
		return m.Pack()
	}
	var errs []*dns.EDNS0_EDE
	bare := *m
	bare.Extra = nil
	for _, rr := range m.Extra {
		o, ok := rr.(*dns.OPT)
		if !ok {
			bare.Extra = append(bare.Extra, rr)
			continue
		}
		for _, option := range o.Option {
			switch option := option.(type) {
			case *dns.EDNS0_EDE:
				errs = append(errs, option)
			case *dns.EDNS0_SUBNET:
				w.extras.Scope = option.SourceScope
			}
		}
	}
	bare.Rcode &= 0xf
	b, err := bare.Pack()
	if err != nil {
		return nil, err
	}
	opt := w.edns.Header(nil, byte(m.Rcode>>4))
	for _, e := range errs {
		opt = message.Note(opt, e.InfoCode, e.ExtraText)
	}
	whole := w.edns.Options(opt, w.extras)
	if len(b)+len(whole) > w.limit && !bare.Compress {
		bare.Compress = true
		if b, err = bare.Pack(); err != nil {
			return nil, err
		}
	}
	if len(b)+len(whole) <= w.limit {
		opt = whole
	}
	message.Close(opt)
	b = append(b, opt...)
	b[11]++ // a federation's answer has fewer than 255 additional records
	return b, nil
}

// The rest of dns.ResponseWriter.

func (w *deferred) LocalAddr() net.Addr         { return w.Deferred.To() }
func (w *deferred) Write(b []byte) (int, error) { return len(b), w.Deferred.Write(b) }
func (w *deferred) Close() error                { return nil }
func (w *deferred) TsigStatus() error           { return w.signature }
func (w *deferred) TsigTimersOnly(later bool)   { w.later = later }
func (w *deferred) Hijack()                     {}

// RemoteAddr says by its type how the question came.
func (w *deferred) RemoteAddr() net.Addr {
	if w.stream {
		return net.TCPAddrFromAddrPort(w.from)
	}
	return net.UDPAddrFromAddrPort(w.from)
}

// ConnectionState implements dns.ConnectionStater; nil where nothing is encrypted.
func (w *deferred) ConnectionState() *tls.ConnectionState {
	if c, ok := w.Deferred.(dns.ConnectionStater); ok {
		return c.ConnectionState()
	}
	return nil
}

// header16 reads the header of a message as the library's accept function wants
// it.
func header16(b []byte) dns.Header {
	u := func(i int) uint16 { return uint16(b[i])<<8 | uint16(b[i+1]) }
	return dns.Header{Id: u(0), Bits: u(2), Qdcount: u(4), Ancount: u(6), Nscount: u(8), Arcount: u(10)}
}
