package stream

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A secure is what encrypts a connection. Its handshake has a goroutine of its own, since crypto/tls
// can't be brought to stop in the middle of one; from then on its loop reads it.
type secure struct {
	*tls.Conn
	shaking atomic.Bool
	ready   chan struct{} // there may be something to read, while it shakes
}

// again is what a reader of the connection says when there is nothing to be read now. crypto/tls
// goes on later with what is temporary.
type again struct{}

func (again) Error() string   { return "nothing to be read now" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// begin has a connection be encrypted.
func (c *conn) begin(config *tls.Config) {
	s := &secure{ready: make(chan struct{}, 1)}
	s.shaking.Store(true)
	s.Conn = tls.Server(raw{c}, config)
	c.secure = s
	g := c.loop.group
	g.shaking.Go(func() {
		err := s.Handshake()
		s.shaking.Store(false)
		c.loop.post(func() { c.loop.shaken(c, err) })
	})
}

// raw is what crypto/tls reads and writes.
type raw struct{ c *conn }

// Read implements net.Conn. During the handshake it waits.
func (r raw) Read(b []byte) (int, error) {
	c := r.c
	if len(b) == 0 {
		return 0, nil
	}
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return 0, net.ErrClosed
		}
		n, err := receive(c.fd, b)
		c.mu.Unlock()
		switch {
		case err == 0 && n == 0:
			return 0, io.EOF
		case err == 0:
			return n, nil
		case err != unix.EAGAIN:
			return 0, err
		case !c.secure.shaking.Load():
			return 0, again{}
		}
		<-c.secure.ready
	}
}

// Write implements net.Conn.
func (r raw) Write(b []byte) (int, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return len(b), r.c.push(b)
}

// The rest of net.Conn: the loop closes connections, and looks after the time.

func (r raw) Close() error                     { return nil }
func (r raw) LocalAddr() net.Addr              { return (&deferred{conn: r.c}).To() }
func (r raw) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(r.c.from) }
func (r raw) SetDeadline(time.Time) error      { return nil }
func (r raw) SetReadDeadline(time.Time) error  { return nil }
func (r raw) SetWriteDeadline(time.Time) error { return nil }
