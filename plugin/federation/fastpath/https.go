package fastpath

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/coredns/coredns/plugin/pkg/doh"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/net/netutil"

	"github.com/fedns/fedns/internal/dns/http2"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dns/stream"
)

// A web is a server of questions over HTTPS (RFC 8484) at one address.
type web struct {
	webHandler
	listener *stream.Listener
	server   *http.Server // of connections, and of requests by HTTP/1.1
	second   *http2.Server
	limits   serverLimits
	config   atomic.Pointer[tls.Config]
}

// A webHandler answers questions that are requests.
type webHandler struct{ service atomic.Pointer[webService] }

func webLimitsOf(c *dnsserver.Config, s *dnsserver.Server) serverLimits {
	return serverLimits{
		conns: or(c.MaxHTTPSConnections, dnsserver.DefaultHTTPSMaxConnections), streams: or(c.MaxHTTPSStreams, dnsserver.DefaultHTTPSMaxStreams),
		read: s.ReadTimeout, write: s.WriteTimeout, idle: s.IdleTimeout,
	}
}

// A webService is how the questions are met. It changes with a reload, under connections.
type webService struct {
	workers
	statuses [600]prometheus.Counter
}

// newWebService counts responses in CoreDNS's own counters of them.
func newWebService(h *Handler, responses *prometheus.CounterVec) *webService {
	s := &webService{workers: newWorkers(h)}
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound, http.StatusInternalServerError} {
		s.statuses[status] = responses.WithLabelValues(h.addr, strconv.Itoa(status))
	}
	return s
}

// openWeb serves at an address beside CoreDNS.
func openWeb(local netip.AddrPort, others int, limits serverLimits, _ *tls.Config, _ func(string)) (server, error) {
	l, err := stream.Listen(local, local.Addr().Zone(), others)
	if err != nil {
		return nil, err
	}
	w := &web{listener: l, limits: limits}
	w.server = &http.Server{
		Handler: w, ReadTimeout: limits.read, WriteTimeout: limits.write, IdleTimeout: limits.idle,
		ErrorLog: stdlog.New(io.Discard, "", 0), // what strangers do wrong
	}
	w.second = http2.NewServer(&w.webHandler, http2.Limits{Streams: limits.streams, Read: limits.read, Write: limits.write, Idle: limits.idle})
	w.server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) { w.second.Serve(c) },
	}
	w.server.RegisterOnShutdown(w.second.Shutdown)
	return w, nil
}

func (w *web) bounds() serverLimits { return w.limits }

// leave implements server.
func (w *web) leave(going *sync.WaitGroup) error {
	err := w.listener.Leave()
	going.Go(w.shutdown)
	return err
}

// handle implements server.
func (w *web) handle(h *Handler, c *tls.Config) {
	w.service.Store(newWebService(h, vars.HTTPSResponsesCount))
	first := w.config.Swap(c) == nil
	if !first {
		return
	}
	var in net.Listener = w.listener
	if w.limits.conns > 0 {
		in = netutil.LimitListener(in, w.limits.conns)
	}
	in = tls.NewListener(in, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return w.config.Load(), nil }})
	go func() { _ = w.server.Serve(in) }() // until the listener is closed
}

// shutdown ends the connections. What was asked is answered.
func (w *web) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), serverGrace)
	defer cancel()
	_ = w.server.Shutdown(ctx) // who takes longer is cut off with the process
}

// A webClient is who has sent a request, and how it is answered.
type webClient interface {
	// reply answers the request before respond returns, and replyLater at any time.
	reply(a *webResponse)
	replyLater(a *webResponse)
	// request is what plugins look into.
	request() *http.Request
}

// A webRequest is what may be a question.
type webRequest struct {
	webClient
	method, path, query string
	body                io.Reader
	from                netip.AddrPort
}

// A webResponse is what is said to it.
type webResponse struct {
	status  int
	control string // for how long it may be kept
	body    []byte // a DNS message; with any status but 200, words
}

// mime is what the body is.
func (a *webResponse) mime() string {
	if a.status == http.StatusOK {
		return doh.MimeType
	}
	return "text/plain; charset=utf-8"
}

// respond answers a request. later says that it isn't answered yet.
func (s *webService) respond(r *webRequest) (later bool) {
	if r.path != doh.Path {
		s.refuse(r, http.StatusNotFound, "")
		return false
	}
	worker := s.take()
	defer s.free(worker)
	n, err := r.question(worker.buf)
	if err != nil {
		s.refuse(r, http.StatusBadRequest, err.Error())
		return false
	}
	answer := worker.answer(n, r.from, func() packet.Deferred {
		later = true
		return &webDeferred{service: s, client: r.webClient, asked: r.request(), query: slices.Clone(worker.buf[:n])}
	})
	if !later {
		a := s.response(answer)
		r.reply(&a)
	}
	return later
}

// refuse says that it was no question.
func (s *webService) refuse(r *webRequest, status int, why string) {
	s.statuses[status].Inc()
	r.reply(&webResponse{status: status, body: []byte(why + "\n")})
}

// The least that is said of how long an answer may be kept.
const notKept = "max-age=0"

// response is that with an answer.
func (s *webService) response(answer []byte) webResponse {
	a := webResponse{status: http.StatusOK, control: notKept, body: answer}
	if len(answer) == 0 {
		a = webResponse{status: http.StatusInternalServerError, body: []byte("no answer of one message\n")}
	} else if ttl, ok := message.LeastTTL(answer); ok {
		a.control = "max-age=" + strconv.FormatUint(uint64(ttl), 10)
	}
	s.statuses[a.status].Inc()
	return a
}

// A webExchange is a request by HTTP/1.1 or HTTP/3.
type webExchange struct {
	to   http.ResponseWriter
	r    *http.Request
	done chan struct{} // closed when it has been answered later
}

// ServeHTTP implements http.Handler.
func (w *webHandler) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	x := webExchange{to, r, make(chan struct{})}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil { // of a listener's it is one
		http.Error(to, "", http.StatusInternalServerError)
		return
	}
	if w.service.Load().respond(&webRequest{x, r.Method, r.URL.Path, r.URL.RawQuery, r.Body, from}) {
		<-x.done
	}
}

func (x webExchange) request() *http.Request { return x.r }

func (x webExchange) reply(a *webResponse) {
	header := x.to.Header()
	header["Content-Type"] = []string{a.mime()}
	header["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	if a.status == http.StatusOK {
		header["Cache-Control"] = []string{a.control}
	} else {
		header["X-Content-Type-Options"] = []string{noSniff}
	}
	x.to.WriteHeader(a.status)
	_, _ = x.to.Write(a.body) // who has gone needs none
}

func (x webExchange) replyLater(a *webResponse) {
	x.reply(a)
	close(x.done)
}

// noSniff keeps browsers from guessing what words are.
const noSniff = "nosniff"

// A webRequest2 is a request by HTTP/2.
type webRequest2 struct{ *http2.Request }

// Respond implements http2.Handler.
func (w *webHandler) Respond(r *http2.Request) {
	path, query, _ := strings.Cut(r.Target, "?")
	if path != doh.Path { // unless it is spelled otherwise
		if u, err := url.ParseRequestURI(r.Target); err == nil {
			path = u.Path
		}
	}
	from, _ := r.Conn().RemoteAddr().(*net.TCPAddr) // of a listener's it is one
	w.service.Load().respond(&webRequest{webRequest2{r}, r.Method, path, query, bytes.NewReader(r.Body), from.AddrPort()})
}

func (r webRequest2) reply(a *webResponse)      { r.answer(a, r.Answer) }
func (r webRequest2) replyLater(a *webResponse) { r.answer(a, r.AnswerLater) }

func (r webRequest2) answer(a *webResponse, by func(*http2.Response)) {
	fields := [2]hpack.HeaderField{{Name: "content-type", Value: a.mime()}, {Name: "cache-control", Value: a.control}}
	if a.status != http.StatusOK {
		fields[1] = hpack.HeaderField{Name: "x-content-type-options", Value: noSniff}
	}
	by(&http2.Response{Status: a.status, Fields: fields[:], Body: a.body})
}

// request implements webClient.
func (r webRequest2) request() *http.Request {
	u, err := url.ParseRequestURI(r.Target)
	if err != nil {
		u = &url.URL{Path: r.Target}
	}
	conn := r.Conn()
	out := &http.Request{
		Method: r.Method, URL: u, Proto: "HTTP/2.0", ProtoMajor: 2, Header: http.Header{}, Body: http.NoBody, ContentLength: int64(len(r.Body)),
		Host: r.Authority, RemoteAddr: conn.RemoteAddr().String(), RequestURI: r.Target,
	}
	for _, f := range r.Fields {
		out.Header.Add(f.Name, f.Value)
	}
	if c, ok := conn.(*tls.Conn); ok {
		s := c.ConnectionState()
		out.TLS = &s
	}
	return out.WithContext(context.WithValue(context.Background(), http.LocalAddrContextKey, conn.LocalAddr()))
}

var (
	errMethod = errors.New("the method isn't GET or POST")
	errNone   = errors.New("there is no question, or not just one, as dns=")
	errBase64 = errors.New("the question isn't base64url without padding")
	errLong   = errors.New("the question is longer than a DNS message can be")
	errShort  = errors.New("the question is shorter than a DNS message can be")
)

// question reads it into b, and says how long it is.
func (r *webRequest) question(b []byte) (n int, err error) {
	switch r.method {
	case http.MethodGet:
		text, err := parameter(r.query)
		if err != nil {
			return 0, err
		}
		if base64.RawURLEncoding.DecodedLen(len(text)) > len(b) {
			return 0, errLong
		}
		if n, err = base64.RawURLEncoding.Decode(b, []byte(text)); err != nil {
			return 0, errBase64
		}
	case http.MethodPost:
		n, err = io.ReadFull(r.body, b)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // shorter than there is room
		case err != nil:
			return 0, err
		default:
			if more, _ := r.body.Read(make([]byte, 1)); more > 0 {
				return 0, errLong
			}
		}
	default:
		return 0, errMethod
	}
	if n < message.HeaderSize {
		return 0, errShort
	}
	return n, nil
}

// parameter finds the one of the name dns. A query that is nothing but that isn't taken apart.
func parameter(query string) (string, error) {
	if text, ok := strings.CutPrefix(query, "dns="); ok && !strings.ContainsAny(text, "&%+;") {
		return text, nil
	}
	values, _ := url.ParseQuery(query) // what can't be read is left out
	all := values["dns"]
	if len(all) != 1 {
		return "", errNone
	}
	return all[0], nil
}

// A webDeferred is a question that the chain answers: a packet.Deferred.
type webDeferred struct {
	service *webService
	client  webClient
	asked   *http.Request
	query   []byte
	answer  []byte
	written int
}

// Query implements packet.Deferred.
func (d *webDeferred) Query() []byte { return d.query }

var errSeveral = errors.New("an answer over HTTPS is one message")

// Write implements packet.Deferred. What is the first of several isn't taken for an answer.
func (d *webDeferred) Write(b []byte) error {
	if d.written++; d.written > 1 {
		d.answer = nil
		return errSeveral
	}
	d.answer = slices.Clone(b)
	return nil
}

// To implements packet.Deferred.
func (d *webDeferred) To() net.Addr {
	at, _ := d.asked.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return at
}

// Done implements packet.Deferred.
func (d *webDeferred) Done() {
	a := d.service.response(d.answer)
	d.client.replyLater(&a)
}

// ConnectionState says how the connection is encrypted.
func (d *webDeferred) ConnectionState() *tls.ConnectionState { return d.asked.TLS }

// Context is what plugins look into.
func (d *webDeferred) Context() context.Context {
	return context.WithValue(d.asked.Context(), dnsserver.HTTPRequestKey{}, d.asked)
}
