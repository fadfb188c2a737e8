package fastpath

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"

	"github.com/fedns/fedns/internal/dns/udp"
)

// A quicServer has the QUIC connections of one address: those of DNS over QUIC (RFC 9250), or of
// HTTP/3.
type quicServer struct {
	socket    *udp.QUICSocket
	others    int
	transport *quic.Transport
	listener  *quic.Listener
	limits    serverLimits
	config    atomic.Pointer[tls.Config]
	says      quicCodes
	calm      *rate.Limiter    // of connections that begin
	ended     func(why string) // hears of connections that were ended because there were too many
	busy      atomic.Int64     // questions that are being answered

	mu    sync.Mutex // guards the rest
	conns map[*quic.Conn]*quicConn
}

// A quicConn is a connection.
type quicConn struct {
	*quic.Conn
	active atomic.Int64 // Unix nanoseconds of its last question, or its beginning
}

func (c *quicConn) touch() { c.active.Store(time.Now().UnixNano()) }

// quicCodes are what connections are told when they end: that nobody needs them any more, and that
// they have to make room.
type quicCodes struct{ noError, excessiveLoad quic.ApplicationErrorCode }

// openQUIC has the connections of an address beside CoreDNS.
func openQUIC(local netip.AddrPort, others int, limits serverLimits, says quicCodes, c *tls.Config, ended func(string)) (*quicServer, error) {
	ids := marked(rand.N[uint16](math.MaxUint16))
	socket, err := udp.BindQUIC(local, local.Addr().Zone(), others, uint16(ids))
	if err != nil {
		return nil, err
	}
	s := &quicServer{socket: socket, others: others, limits: limits, says: says, calm: rate.NewLimiter(calmRate, calmRate), ended: ended, conns: map[*quic.Conn]*quicConn{}}
	s.config.Store(c)
	s.transport = &quic.Transport{Conn: socket.UDPConn, VerifySourceAddress: s.wary, ConnectionIDGenerator: ids}
	s.listener, err = s.transport.Listen(
		&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.config.Load(), nil }},
		&quic.Config{
			MaxIdleTimeout:     limits.idle,
			MaxIncomingStreams: int64(limits.streams), MaxIncomingUniStreams: int64(limits.streams),
			Allow0RTT: true, // what comes so is answered when the handshake is over
		})
	if err != nil {
		_ = socket.Leave() // the other error is the reason
		return nil, err
	}
	return s, nil
}

// calmRate is how many connections may begin in a second before it may be a flood: a handshake takes
// some 0.3 ms of a processor, and whoever isn't where he says he is sends one packet for it.
const calmRate = 100

// wary has clients show that they are where they say they are (RFC 9000 section 8.1.2), when many
// begin, or half of the connections are in use: it may be a flood.
func (s *quicServer) wary(net.Addr) bool {
	if !s.calm.Allow() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limits.conns > 0 && len(s.conns) >= s.limits.conns/2
}

// next is the next connection. Where there are too many, the one that has been silent for the
// longest ends.
func (s *quicServer) next(ctx context.Context) (*quicConn, error) {
	inner, err := s.listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	c := &quicConn{Conn: inner}
	c.touch()
	s.mu.Lock()
	defer s.mu.Unlock()
	var silent *quicConn
	for _, o := range s.conns {
		if silent == nil || o.active.Load() < silent.active.Load() {
			silent = o
		}
	}
	if silent != nil && s.limits.conns > 0 && len(s.conns) >= s.limits.conns {
		delete(s.conns, silent.Conn)
		go func() { _ = silent.CloseWithError(s.says.excessiveLoad, "too many connections") }() // it has ended, however
		s.ended("quic")
	}
	s.conns[inner] = c
	context.AfterFunc(inner.Context(), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, inner)
	})
	return c, nil
}

// of is a connection as it is kept; nil: it has ended.
func (s *quicServer) of(c *quic.Conn) *quicConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[c]
}

// marked makes IDs of connections that begin with a mark.
type marked uint16

// idSize leaves ten bytes to chance, behind the mark.
const idSize = 12

// GenerateConnectionID implements quic.ConnectionIDGenerator.
func (m marked) GenerateConnectionID() (quic.ConnectionID, error) {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, idSize), uint16(m))[:idSize]
	_, err := crand.Read(b[2:])
	return quic.ConnectionIDFromBytes(b), err
}

// ConnectionIDLen implements quic.ConnectionIDGenerator.
func (marked) ConnectionIDLen() int { return idSize }

func (s *quicServer) bounds() serverLimits { return s.limits }

// leave implements server: it gives the address back when what was asked has been answered.
func (s *quicServer) leave(*sync.WaitGroup) error {
	err := s.socket.Retire(s.others)
	_ = s.listener.Close() // connections go on
	for end := time.Now().Add(serverGrace); s.busy.Load() > 0 && time.Now().Before(end); {
		time.Sleep(leaveStep)
	}
	s.mu.Lock()
	left := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range left {
		_ = c.CloseWithError(s.says.noError, "") // it has ended, however
	}
	_ = s.transport.Close()
	return errors.Join(err, s.socket.Leave())
}

// leaveStep is between two looks at whether all has been answered.
const leaveStep = 10 * time.Millisecond
