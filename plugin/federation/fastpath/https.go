package fastpath

import (
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
	"golang.org/x/net/netutil"

	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dns/stream"
)

// A web is a server of questions over HTTPS (RFC 8484) at one address.
type web struct {
	webHandler
	listener *stream.Listener
	server   *http.Server
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
	if limits.streams > 0 {
		w.server.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: limits.streams}
	}
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

// The headers of every answer.
var (
	dnsMessage = []string{doh.MimeType}
	notKept    = []string{"max-age=0"}
)

// ServeHTTP implements http.Handler.
func (w *webHandler) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	s := w.service.Load()
	if r.URL.Path != doh.Path {
		s.refuse(to, http.StatusNotFound, "")
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil { // of a listener for TCP it is one
		s.refuse(to, http.StatusInternalServerError, "")
		return
	}
	worker := s.take()
	defer s.free(worker)
	n, err := question(r, worker.buf)
	if err != nil {
		s.refuse(to, http.StatusBadRequest, err.Error())
		return
	}
	later := (*webDeferred)(nil)
	answer := worker.answer(n, from, func() packet.Deferred {
		later = &webDeferred{request: r, query: slices.Clone(worker.buf[:n]), done: make(chan struct{})}
		return later
	})
	if later != nil {
		<-later.done
		answer = later.answer
	}
	if len(answer) == 0 {
		s.refuse(to, http.StatusInternalServerError, "no answer of one message")
		return
	}
	header := to.Header()
	header["Content-Type"] = dnsMessage
	header["Content-Length"] = []string{strconv.Itoa(len(answer))}
	if ttl, ok := message.LeastTTL(answer); ok {
		header["Cache-Control"] = []string{"max-age=" + strconv.FormatUint(uint64(ttl), 10)}
	} else {
		header["Cache-Control"] = notKept
	}
	s.statuses[http.StatusOK].Inc()
	_, _ = to.Write(answer) // who has gone needs none
}

// refuse says that it was no question, or has no answer.
func (s *webService) refuse(to http.ResponseWriter, status int, why string) {
	s.statuses[status].Inc()
	http.Error(to, why, status)
}

var (
	errMethod = errors.New("the method isn't GET or POST")
	errNone   = errors.New("there is no question, or not just one, as dns=")
	errBase64 = errors.New("the question isn't base64url without padding")
	errLong   = errors.New("the question is longer than a DNS message can be")
	errShort  = errors.New("the question is shorter than a DNS message can be")
)

// question reads it into b, and says how long it is.
func question(r *http.Request, b []byte) (n int, err error) {
	switch r.Method {
	case http.MethodGet:
		text, err := parameter(r.URL)
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
		n, err = io.ReadFull(r.Body, b)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // shorter than there is room
		case err != nil:
			return 0, err
		default:
			if more, _ := r.Body.Read(make([]byte, 1)); more > 0 {
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
func parameter(u *url.URL) (string, error) {
	if text, ok := strings.CutPrefix(u.RawQuery, "dns="); ok && !strings.ContainsAny(text, "&%+;") {
		return text, nil
	}
	all := u.Query()["dns"]
	if len(all) != 1 {
		return "", errNone
	}
	return all[0], nil
}

// A webDeferred is a question that the chain answers: a packet.Deferred.
type webDeferred struct {
	request *http.Request
	query   []byte
	answer  []byte
	written int
	done    chan struct{}
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
	at, _ := d.request.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return at
}

// Done implements packet.Deferred.
func (d *webDeferred) Done() { close(d.done) }

// ConnectionState says how the connection is encrypted.
func (d *webDeferred) ConnectionState() *tls.ConnectionState { return d.request.TLS }

// Context is what plugins look into.
func (d *webDeferred) Context() context.Context {
	return context.WithValue(d.request.Context(), dnsserver.HTTPRequestKey{}, d.request)
}
