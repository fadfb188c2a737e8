package stream

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// A conn is a connection. Its goroutine, the loop's, reads it and closes it; whoever has an
// answer writes to it.
type conn struct {
	loop    *loop
	fd      int
	from    netip.AddrPort
	network netip.Prefix

	before, behind *conn // in the loop's list

	asked  int    // questions so far
	active int64  // when the last of them came, or the connection
	began  int64  // when what is in rest did
	rest   []byte // of a question that isn't whole, or that waits

	secure *secure // nil: it isn't encrypted

	mu      sync.Mutex // guards the rest
	drained *sync.Cond // nobody waits, if it is nil
	pending []byte     // what the other end hasn't taken yet
	stuck   int64      // since when it hasn't
	later   int        // questions that are answered later
	waits   bool       // what is in rest, for some of these
	over    bool       // no more is read: it is closed when what was asked has been answered
	watched uint32     // what epoll is asked for
	closed  bool
}

// push writes, or keeps what can't be written now. mu is held.
func (c *conn) push(b []byte) error {
	if c.closed {
		return net.ErrClosed
	}
	if len(c.pending) == 0 {
		n, err := send(c.fd, b)
		if err != nil {
			// The connection is closed by its goroutine, which is told by epoll.
			_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
			return err
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		c.stuck = c.loop.clock()
	}
	c.pending = append(c.pending, b...)
	if c.loop.group.held.Add(int64(len(b))) > maxHeld {
		_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
		return io.ErrShortBuffer
	}
	c.watch()
	return nil
}

// flush writes what is pending. mu is held.
func (c *conn) flush() {
	if len(c.pending) == 0 || c.closed {
		return
	}
	n, err := send(c.fd, c.pending)
	if err != nil {
		_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
		return
	}
	if n > 0 {
		c.stuck = c.loop.clock()
		c.loop.group.held.Add(int64(-n))
	}
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
		c.watch()
		if c.drained != nil {
			c.drained.Broadcast()
		}
	}
}

// watch has epoll tell what is to be known. mu is held.
func (c *conn) watch() {
	want := uint32(0)
	if len(c.pending) > 0 {
		want |= unix.EPOLLOUT
	} else if !c.over && !c.waits {
		want |= unix.EPOLLIN
	}
	if want == c.watched || c.closed || c.secure != nil && c.secure.shaking.Load() {
		return
	}
	c.watched = want
	c.loop.control(unix.EPOLL_CTL_MOD, c.fd, want)
}

// write writes what is encrypted on the way, if the connection is so.
func (c *conn) write(b []byte) error {
	if c.secure != nil {
		_, err := c.secure.Write(b)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.push(b)
}

// idle says whether all that was asked has been answered, and taken.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.later == 0 && len(c.pending) == 0
}

// crowded says whether what more was asked has to wait: for answers that come later, or until the
// other end takes those that are there.
func (c *conn) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.later >= maxLater || len(c.pending) > 0
}

// relieved says whether what waits needs to no more. mu is held.
func (c *conn) relieved() bool { return c.waits && c.later <= maxLater/2 && len(c.pending) == 0 }

// A deferred is a question that is answered later: a packet.Deferred.
type deferred struct {
	conn  *conn
	query []byte
}

// keep makes one of the question that is being answered.
func (c *conn) keep(query []byte) *deferred {
	c.loop.group.letters.Add(1)
	c.mu.Lock()
	c.later++
	c.mu.Unlock()
	return &deferred{c, slices.Clone(query)}
}

// Query implements packet.Deferred.
func (d *deferred) Query() []byte { return d.query }

// Write sends an answer, when those before have been taken.
func (d *deferred) Write(b []byte) error {
	if len(b) > maxMessage {
		return io.ErrShortBuffer
	}
	c := d.conn
	c.mu.Lock()
	for len(c.pending) > 0 && !c.closed {
		if c.drained == nil {
			c.drained = sync.NewCond(&c.mu)
		}
		c.drained.Wait() // the loop closes what isn't taken in time
	}
	c.mu.Unlock()
	frame := make([]byte, header, header+len(b))
	frame[0], frame[1] = byte(len(b)>>8), byte(len(b))
	return c.write(append(frame, b...))
}

// To is this end of the connection.
func (d *deferred) To() net.Addr {
	c := d.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return &net.TCPAddr{}
	}
	sa, err := unix.Getsockname(c.fd)
	if err != nil {
		return &net.TCPAddr{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	}
	return &net.TCPAddr{}
}

// ConnectionState says how the connection is encrypted; nil: it isn't.
func (d *deferred) ConnectionState() *tls.ConnectionState {
	if d.conn.secure == nil {
		return nil
	}
	state := d.conn.secure.ConnectionState()
	return &state
}

// Done says that no answer will come any more.
func (d *deferred) Done() {
	c := d.conn
	c.mu.Lock()
	c.later--
	on := c.over && c.later == 0 || c.relieved()
	c.mu.Unlock()
	if on {
		c.loop.post(func() { c.loop.resume(c) })
	}
	c.loop.group.letters.Done()
}
