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

// soon is how long a connection waits for the rest of a question before it goes on with the next: the rest of one
// that comes in several packets has a goroutine of its own, which most have no need of.
const soon = time.Millisecond

// serve answers what a connection asks: each question in a stream of its own, in any order.
func (d *doq) serve(c *quicConn) {
	room := make([]byte, 0, usualQuestion)
	for {
		inner, err := c.AcceptStream(context.Background())
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
		s := &doqStream{Stream: inner, conn: c, of: d, service: d.service.Load(), in: room}
		_ = s.SetReadDeadline(time.Now().Add(soon)) // of a stream it doesn't fail
		if err := s.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			s.answer(err)
			continue
		}
		s.in = slices.Clone(s.in)
		go func() {
			until := time.Time{}
			if t := d.limits.read; t > 0 {
				until = time.Now().Add(t)
			}
			_ = s.SetReadDeadline(until) // of a stream it doesn't fail
			s.answer(s.read())
		}()
	}
}

// A doqStream is a question: a packet.Deferred.
type doqStream struct {
	*quic.Stream
	conn    *quicConn
	of      *doq
	service *doqService
	in      []byte // what has come of it, with the length before it
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

// answer answers a question that has been read, unless that failed.
func (s *doqStream) answer(err error) {
	switch {
	case err == nil:
		s.reply(s.in[2:])
	case ofStream(err):
		s.abandon()
	default:
		s.breach(err)
	}
}

// writtenAtOnce is how long an answer is that fits into a packet: it is kept until it is sent, and nobody waits for that.
const writtenAtOnce = 1000

// reply answers a question.
func (s *doqStream) reply(q []byte) {
	from, ok := s.conn.RemoteAddr().(*net.UDPAddr)
	if !ok { // of a socket for datagrams it is one
		s.abandon()
		return
	}
	w := s.service.take()
	defer s.service.free(w)
	n := copy(w.buf, q)
	if w.keepsAlive(n) { // section 5.5.2
		s.breach(errKeepalive)
		return
	}
	kept := false
	answer := w.answer(n, from.AddrPort(), func() packet.Deferred {
		kept, s.query = true, slices.Clone(q)
		return s
	})
	switch {
	case kept:
	case len(answer) == 0:
		s.Done()
	case len(answer) > writtenAtOnce:
		answer = slices.Clone(answer)
		go func() {
			_ = s.Write(answer) // which Done hears of
			s.Done()
		}()
	default:
		_ = s.Write(answer) // which Done hears of
		s.Done()
	}
}

// breach ends the connection: it is all over for whoever doesn't keep to the protocol (section 4.3.3).
func (s *doqStream) breach(why error) {
	s.end()
	s.service.codes[protocolError].Inc()
	_ = s.conn.CloseWithError(protocolError, why.Error()) // it has ended, however
}

var (
	errID        = errors.New("the message ID isn't 0")
	errKeepalive = errors.New("EDNS option edns-tcp-keepalive")
)

// usualQuestion is what most questions fit into, with their length.
const usualQuestion = 512

// read reads what is left of a question.
func (s *doqStream) read() error {
	for {
		size := 2
		if len(s.in) >= size {
			n := int(binary.BigEndian.Uint16(s.in))
			if n < message.HeaderSize {
				return errShort
			}
			size += n
		}
		if len(s.in) == size {
			break
		}
		s.in = slices.Grow(s.in, size-len(s.in))
		n, err := s.Stream.Read(s.in[len(s.in):size])
		s.in = s.in[:len(s.in)+n]
		if n == 0 && err != nil {
			return err
		}
	}
	if s.in[2] != 0 || s.in[3] != 0 { // section 4.2.1
		return errID
	}
	return nil
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
