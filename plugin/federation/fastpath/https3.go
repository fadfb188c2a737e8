package fastpath

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A web3 is a server of questions over HTTP/3 at one address.
type web3 struct {
	*quicServer
	webHandler
	server *http3.Server
}

func web3LimitsOf(c *dnsserver.Config, s *dnsserver.Server) serverLimits {
	return serverLimits{
		conns: or(c.MaxHTTPS3Connections, dnsserver.DefaultHTTPSMaxConnections), streams: or(c.MaxHTTPS3Streams, dnsserver.DefaultHTTPS3MaxStreams),
		read: s.ReadTimeout, write: s.WriteTimeout, idle: s.IdleTimeout,
	}
}

// openWeb3 serves at an address beside CoreDNS.
func openWeb3(local netip.AddrPort, others int, limits serverLimits, c *tls.Config, ended func(string)) (server, error) {
	s, err := openQUIC(local, others, limits, quicCodes{quic.ApplicationErrorCode(http3.ErrCodeNoError), quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad)}, c, ended)
	if err != nil {
		return nil, err
	}
	w := &web3{quicServer: s}
	w.server = &http3.Server{
		Handler: w, MaxHeaderBytes: dnsserver.DefaultHTTPS3MaxHeaderBytes, IdleTimeout: limits.idle,
		ConnContext: func(ctx context.Context, c *quic.Conn) context.Context {
			return context.WithValue(ctx, quicConnKey{}, s.of(c))
		},
	}
	return w, nil
}

// quicConnKey is what a request has its connection by.
type quicConnKey struct{}

// handle implements server.
func (w *web3) handle(h *Handler, c *tls.Config) {
	w.config.Store(http3.ConfigureTLSConfig(c))
	if w.service.Swap(newWebService(h, vars.HTTPS3ResponsesCount)) == nil {
		go func() { _ = w.server.ServeListener(web3Listener{w.quicServer}) }() // until it is closed
	}
}

// ServeHTTP implements http.Handler.
func (w *web3) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	w.busy.Add(1)
	defer w.busy.Add(-1)
	if c, _ := r.Context().Value(quicConnKey{}).(*quicConn); c != nil {
		c.touch()
	}
	w.webHandler.ServeHTTP(to, r)
}

// A web3Listener gives the connections of a quicServer.
type web3Listener struct{ *quicServer }

// Accept implements http3.QUICListener.
func (l web3Listener) Accept(ctx context.Context) (*quic.Conn, error) {
	c, err := l.next(ctx)
	if err != nil {
		return nil, err
	}
	return c.Conn, nil
}

// Addr implements http3.QUICListener.
func (l web3Listener) Addr() net.Addr { return l.listener.Addr() }

// Close implements http3.QUICListener.
func (l web3Listener) Close() error { return l.listener.Close() }
