// Package http2 serves requests of HTTP/2 (RFC 9113) whose bodies and responses are short, as those of DNS are (RFC 8484).
//
// A connection has one goroutine, which has each request answered as it reads it, and writes the responses to
// all that had come with one call. A request may be answered later, by any goroutine. net/http has a goroutine,
// several messages between goroutines and a write for each request: most of what an answer costs.
//
// Server.Serve is the life of a connection; frames and header compression are golang.org/x/net/http2's.
package http2

import (
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
)

// MaxBody is the longest body that a request is asked for: a DNS message is no longer (RFC 1035 section 4.2.2). One
// that has more is answered when it has a byte more.
const MaxBody = 65535

// Limits are those of a server's connections. What is 0 has no limit.
type Limits struct {
	Streams int           // requests at once
	Read    time.Duration // for a body, and for how a connection begins
	Write   time.Duration // for a client to take what is written
	Idle    time.Duration // without a request
}

// A Handler answers requests. Each is to be answered once: by Answer before Respond has returned, or by AnswerLater
// afterwards.
type Handler interface {
	Respond(r *Request)
}

// A Request is one of a client.
type Request struct {
	Method, Target, Authority string
	Fields                    []hpack.HeaderField // all but these; valid until Respond returns
	Body                      []byte              // at most MaxBody bytes and one more

	conn   *conn
	id     uint32 // of its stream
	length int64  // of the body, as the client says; negative: it doesn't
	early  bool   // it is answered before it has come whole
}

// Conn is the connection that it came by.
func (r *Request) Conn() net.Conn { return r.conn.net }

// Answer answers the request: with the others that had come with it.
func (r *Request) Answer(a *Response) { r.conn.answer(r.id, a) }

// AnswerLater is Answer once Respond has returned. It waits for nobody.
func (r *Request) AnswerLater(a *Response) {
	r.conn.answer(r.id, a)
	r.conn.flushSoon()
}

// A Response is the answer to a request. Nothing of it is kept.
type Response struct {
	Status int
	Fields []hpack.HeaderField // all but the status, the length of the body, and the date
	Body   []byte
}

// A Server has connections.
type Server struct {
	handler Handler
	limits  Limits

	mu     sync.Mutex
	conns  map[*conn]bool
	ending bool
}

// NewServer makes one.
func NewServer(h Handler, l Limits) *Server {
	return &Server{handler: h, limits: l, conns: map[*conn]bool{}}
}

// Serve answers the requests of a connection until it ends, and closes it.
func (s *Server) Serve(nc net.Conn) {
	c := newConn(s, nc)
	defer c.end()
	s.mu.Lock()
	ending := s.ending
	s.conns[c] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	if ending {
		c.goAway()
		c.leave()
	}
	c.run()
}

// parting is how long a client has to hear that a connection ends: longer than a packet takes to anywhere and back.
const parting = time.Second

// Shutdown has every connection end, once what clients ask before they know of it is answered. It waits for nobody.
func (s *Server) Shutdown() {
	s.mu.Lock()
	s.ending = true
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.goAway()
	}
	time.AfterFunc(parting, func() {
		for _, c := range conns {
			c.leave()
		}
	})
}
