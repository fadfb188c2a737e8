// Package memnet is a network in memory, for tests on the clock of testing/synctest: a
// goroutine that waits for a connection of memnet is idle in the eyes of that clock, and one
// that waits for a socket never is.
//
// A connection takes whatever is written, and writing never waits. A Network and its
// connections belong to the bubble that they were made in.
package memnet

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Network is addresses that can be listened at and dialed.
type Network struct {
	mu        sync.Mutex // guards the rest
	listeners map[string]*Listener
}

// A Listener takes connections to one address.
type Listener struct {
	network *Network
	address address
	queue   chan net.Conn
	closed  chan struct{}
}

var _ net.Listener = (*Listener)(nil)

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// Listen listens at HOST:PORT, which nobody else may.
func (n *Network) Listen(at string) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[at] != nil {
		return nil, fail("listen", at, syscall.EADDRINUSE)
	}
	l := &Listener{network: n, address: address(at), queue: make(chan net.Conn), closed: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = map[string]*Listener{}
	}
	n.listeners[at] = l
	return l, nil
}

// Dial connects to who listens at an address.
func (n *Network) Dial(ctx context.Context, _, at string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[at]
	n.mu.Unlock()
	if l == nil {
		return nil, fail("dial", at, syscall.ECONNREFUSED)
	}
	to, from := newStream(), newStream()
	client := &conn{in: from, out: to, local: "192.0.2.254:1", remote: l.address, read: newDeadline(), write: newDeadline()}
	server := &conn{in: to, out: from, local: l.address, remote: client.local, read: newDeadline(), write: newDeadline()}
	select {
	case l.queue <- server:
		return client, nil
	case <-l.closed:
		return nil, fail("dial", at, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, fail("dial", at, ctx.Err())
	}
}

func fail(op, at string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: address(at), Err: err}
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, fail("accept", string(l.address), net.ErrClosed)
	}
}

// Close has further connections refused; those that are there stay.
func (l *Listener) Close() error {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.network.listeners[string(l.address)] != l {
		return fail("close", string(l.address), net.ErrClosed)
	}
	delete(l.network.listeners, string(l.address))
	close(l.closed)
	return nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.address }

// A stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex // guards the rest
	data    []byte
	ended   bool          // nothing more comes
	unread  bool          // nobody reads any more
	changed chan struct{} // closed, and another made, at each change
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

// change changes it, and wakes who waits for that.
func (s *stream) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
	close(s.changed)
	s.changed = make(chan struct{})
}

// take reads what there is; a channel: there is nothing before it is closed.
func (s *stream) take(p []byte) (int, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.unread:
		return 0, nil, net.ErrClosed
	case len(s.data) > 0:
		n := copy(p, s.data)
		s.data = s.data[n:]
		return n, nil, nil
	case s.ended:
		return 0, nil, io.EOF
	}
	return 0, s.changed, nil
}

// A conn is one end of a connection.
type conn struct {
	in, out       *stream
	local, remote address
	read, write   *deadline
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		passed := c.read.passed()
		select {
		case <-passed:
			return 0, os.ErrDeadlineExceeded
		default:
		}
		n, changed, err := c.in.take(p)
		if changed == nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-changed:
		case <-passed:
		}
	}
}

func (c *conn) Write(p []byte) (n int, err error) {
	select {
	case <-c.write.passed():
		return 0, os.ErrDeadlineExceeded
	default:
	}
	c.out.change(func() {
		switch {
		case c.out.ended:
			err = net.ErrClosed
		case c.out.unread:
			err = syscall.EPIPE
		default:
			n = len(p)
			c.out.data = append(c.out.data, p...)
		}
	})
	if err != nil {
		return 0, fmt.Errorf("write to %s: %w", c.remote, err)
	}
	return n, nil
}

func (c *conn) Close() error {
	c.out.change(func() { c.out.ended = true })
	c.in.change(func() { c.in.unread, c.in.data = true, nil })
	c.read.set(time.Time{})
	c.write.set(time.Time{})
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.read.set(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.write.set(t)
	return nil
}

// A deadline is a moment that can be moved, also while somebody waits for it.
type deadline struct {
	mu    sync.Mutex // guards the rest
	timer *time.Timer
	over  chan struct{} // closed when it has passed
}

func newDeadline() *deadline { return &deadline{over: make(chan struct{})} }

func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// set moves it; zero: there is none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.over // its function runs, and is the one that closes it
	}
	d.timer = nil
	select {
	case <-d.over:
		d.over = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	over := d.over
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(over) })
	} else {
		close(over)
	}
}
