package fastpath

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/packet"
)

// A doq is a server of DNS over QUIC (RFC 9250) at one address.
type doq struct {
	*quicServer
	service atomic.Pointer[doqService]
	room    chan struct{} // for questions that are being read or answered
}

// A doqService is how the questions are met. It changes with a reload, under connections.
type doqService struct {
	workers
	codes [3]prometheus.Counter
}

func doqLimitsOf(c *dnsserver.Config, s *dnsserver.Server) serverLimits {
	return serverLimits{
		conns: or(c.MaxQUICConnections, dnsserver.DefaultQUICMaxConnections), streams: or(c.MaxQUICStreams, dnsserver.DefaultMaxQUICStreams),
		workers: or(c.MaxQUICWorkerPoolSize, dnsserver.DefaultQUICStreamWorkers),
		read:    s.ReadTimeout, write: s.WriteTimeout, idle: s.IdleTimeout,
	}
}

// openDoQ serves at an address beside CoreDNS.
func openDoQ(local netip.AddrPort, others int, limits serverLimits, c *tls.Config, ended func(string)) (server, error) {
	s, err := openQUIC(local, others, limits, quicCodes{noError, excessiveLoad}, c, ended)
	if err != nil {
		return nil, err
	}
	return &doq{quicServer: s, room: make(chan struct{}, max(1, limits.workers))}, nil
}

// handle implements server.
func (d *doq) handle(h *Handler, c *tls.Config) {
	s := &doqService{workers: newWorkers(h)}
	for code := range s.codes {
		s.codes[code] = vars.QUICResponsesCount.WithLabelValues(h.addr, [...]string{"0x0", "0x1", "0x2"}[code])
	}
	d.config.Store(c)
	if d.service.Swap(s) == nil {
		go d.run()
	}
}

// run serves connections until the listener is closed.
func (d *doq) run() {
	for {
		c, err := d.next(context.Background())
		if err != nil {
			return
		}
		go d.serve(c)
	}
}

// serve answers what a connection asks: each question in a stream of its own, in any order.
func (d *doq) serve(c *quicConn) {
	for {
		s, err := c.AcceptStream(context.Background())
		if err != nil {
			return
		}
		select {
		case d.room <- struct{}{}:
		case <-c.Context().Done():
			return
		}
		c.touch()
		d.busy.Add(1)
		go d.answer(&doqStream{Stream: s, conn: c, of: d, service: d.service.Load()})
	}
}

// A doqStream is a question: a packet.Deferred.
type doqStream struct {
	*quic.Stream
	conn    *quicConn
	of      *doq
	service *doqService
	query   []byte
	failed  bool
	written int
}

// What is wrong with a connection, or a question (RFC 9250 section 8.4).
const (
	noError       quic.ApplicationErrorCode = 0
	internalError quic.StreamErrorCode      = 1
	protocolError quic.ApplicationErrorCode = 2
	excessiveLoad quic.ApplicationErrorCode = 4
)

// answer reads a question, and answers it.
func (d *doq) answer(s *doqStream) {
	w := s.service.take()
	defer s.service.free(w)
	n, err := s.read(w.buf)
	switch {
	case err == nil:
	case ofStream(err):
		s.abandon()
		return
	default: // it is all over for whoever doesn't keep to the protocol (section 4.3.3)
		s.end()
		s.service.codes[protocolError].Inc()
		_ = s.conn.CloseWithError(protocolError, err.Error()) // it has ended, however
		return
	}
	from, err := netip.ParseAddrPort(s.conn.RemoteAddr().String())
	if err != nil { // of a socket for datagrams it is one
		s.abandon()
		return
	}
	kept := false
	answer := w.answer(n, from, func() packet.Deferred {
		kept, s.query = true, slices.Clone(w.buf[:n])
		return s
	})
	if kept {
		return
	}
	if len(answer) > 0 {
		s.failed = s.Write(answer) != nil
	}
	s.Done()
}

var (
	errID        = errors.New("the message ID isn't 0")
	errKeepalive = errors.New("EDNS option edns-tcp-keepalive")
)

// read reads a question into b, and says how long it is.
func (s *doqStream) read(b []byte) (n int, err error) {
	if t := s.of.limits.read; t > 0 {
		_ = s.SetReadDeadline(time.Now().Add(t)) // of a stream it doesn't fail
	}
	if _, err := io.ReadFull(s.Stream, b[:2]); err != nil {
		return 0, err
	}
	n = int(binary.BigEndian.Uint16(b))
	if n < message.HeaderSize {
		return 0, errShort
	}
	if _, err := io.ReadFull(s.Stream, b[:n]); err != nil {
		return 0, err
	}
	if b[0] != 0 || b[1] != 0 { // section 4.2.1
		return 0, errID
	}
	q := message.Question{Stream: true}
	if q.Read(b[:n]); q.EDNS.Keepalive { // section 5.5.2
		return 0, errKeepalive
	}
	return n, nil
}

// ofStream says whether an error is of one stream, and not of how the other end keeps to the protocol.
func ofStream(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, new(*quic.StreamError)) || errors.As(err, new(*quic.IdleTimeoutError)) ||
		errors.As(err, new(*quic.ApplicationError)) || errors.As(err, new(*quic.TransportError)) || errors.Is(err, net.ErrClosed)
}

// Query implements packet.Deferred.
func (s *doqStream) Query() []byte { return s.query }

// Write implements packet.Deferred. There may be several, as of a transfer (section 4.2).
func (s *doqStream) Write(b []byte) error {
	if len(b) > message.MaxSize {
		return io.ErrShortBuffer
	}
	if t := s.of.limits.write; t > 0 {
		_ = s.SetWriteDeadline(time.Now().Add(t)) // of a stream it doesn't fail
	}
	frame := make([]byte, 2, 2+len(b))
	binary.BigEndian.PutUint16(frame, uint16(len(b)))
	_, err := s.Stream.Write(append(frame, b...))
	s.failed = s.failed || err != nil
	s.written++
	return err
}

// Done implements packet.Deferred: no answer will come any more.
func (s *doqStream) Done() {
	if s.written == 0 || s.failed {
		s.abandon()
		return
	}
	s.service.codes[noError].Inc()
	_ = s.Close() // says that it was the last; who has gone needs it not
	s.end()
}

// abandon says of a question that it gets no answer, or not the whole of it.
func (s *doqStream) abandon() {
	s.service.codes[internalError].Inc()
	s.CancelWrite(internalError)
	s.end()
}

func (s *doqStream) end() {
	<-s.of.room
	s.of.busy.Add(-1)
}

// To implements packet.Deferred.
func (s *doqStream) To() net.Addr { return s.conn.LocalAddr() }

// ConnectionState says how the connection is encrypted.
func (s *doqStream) ConnectionState() *tls.ConnectionState {
	state := s.conn.ConnectionState().TLS
	return &state
}
