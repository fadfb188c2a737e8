package stream

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dns/sockets"
)

const (
	maxMessage = 65535
	// events is how many connections are looked at with one call.
	events = 64
	// accepts is how many connections are accepted before others are looked at.
	accepts = 64
	// outSize is room for answers of several connections, beside the longest one.
	outSize = 64 << 10
	// turn is after how many rounds a loop lets others have its processor, which Go's
	// monitor would make it do after ten milliseconds, at a price.
	turn = 8
)

// A loop has the connections of one listener.
type loop struct {
	group    *Group
	listener int // -1: it is closed
	epoll    int
	alarm    int // an eventfd, of what is posted
	timer    int // a timerfd, of lookEvery
	parked   *os.File
	start    time.Time

	service   *Service
	responder packet.Responder
	conns     []*conn // by descriptor
	list      list
	now       int64 // of the round
	short     bool  // no connection can be accepted
	leaving   int64 // since when; 0: it isn't

	packet packet.Packet
	at     *conn  // whose question is being answered
	query  []byte // the same

	peer     unix.RawSockaddrAny // of a connection that is accepted
	peerSize uint32

	in    []byte
	out   []byte
	parts []part
	ready [events]unix.EpollEvent

	mu     sync.Mutex // guards the rest
	posted []func()
}

// A part is what of the answers is for one connection.
type part struct {
	conn     *conn
	from, to int
}

func newLoop(g *Group, addr netip.AddrPort, zone string) (l *loop, err error) {
	l = &loop{group: g, listener: -1, epoll: -1, alarm: -1, timer: -1, start: time.Now(), in: make([]byte, readSize), out: make([]byte, 0, outSize+header+maxMessage)}
	l.packet.Stream = true
	l.packet.Keep = func() packet.Deferred { return l.at.keep(l.query) }
	defer func() {
		if err != nil {
			err = errors.Join(err, l.discard())
		}
	}()
	if l.listener, err = listen(addr, zone); err != nil {
		return l, err
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return l, os.NewSyscallError("epoll_create1", err)
	}
	if l.alarm, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return l, os.NewSyscallError("eventfd", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return l, os.NewSyscallError("timerfd_create", err)
	}
	step := unix.NsecToTimespec(int64(lookEvery))
	if err = unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: step, Value: step}, nil); err != nil {
		return l, os.NewSyscallError("timerfd_settime", err)
	}
	for _, fd := range []int{l.listener, l.alarm, l.timer} {
		if err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return l, os.NewSyscallError("epoll_ctl", err)
		}
	}
	// While there is nothing to do, the descriptor of epoll waits in Go's own: a goroutine that
	// waits in a system call would hold a processor.
	if err = unix.SetNonblock(l.epoll, true); err != nil {
		return l, os.NewSyscallError("fcntl", err)
	}
	l.parked = os.NewFile(uintptr(l.epoll), "epoll")
	return l, nil
}

// discard closes what is open.
func (l *loop) discard() error {
	var errs []error
	if l.parked != nil {
		errs = append(errs, l.parked.Close())
		l.epoll = -1
	}
	for _, fd := range []*int{&l.listener, &l.epoll, &l.alarm, &l.timer} {
		if *fd >= 0 {
			errs = append(errs, os.NewSyscallError("close", unix.Close(*fd)))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}

// post has f done by the loop.
func (l *loop) post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posted = append(l.posted, f)
	if l.alarm >= 0 {
		_, _ = unix.Write(l.alarm, []byte{7: 1}) // fails only where it is rung already
	}
}

// clock is the time on the loop's own clock.
func (l *loop) clock() int64 { return int64(time.Since(l.start)) }

// control asks epoll for events of a descriptor.
func (l *loop) control(op, fd int, want uint32) {
	e := unix.EpollEvent{Events: want, Fd: int32(fd)}
	// It fails only where there is no memory: the connection is then closed as idle.
	_, _, _ = unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(l.epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
}

// poll looks who has something, and doesn't wait.
func (l *loop) poll() int {
	n, _, err := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.ready[0])), events, 0, 0, 0)
	if err != 0 {
		return 0
	}
	return int(n)
}

func (l *loop) run() {
	defer l.end()
	conn, err := l.parked.SyscallConn()
	if err != nil {
		l.fail(err)
		return
	}
	n := 0
	some := func(uintptr) bool { n = l.poll(); return n > 0 }
	for round := 1; l.leaving == 0 || l.list.size > 0 || l.listener >= 0; round++ {
		if n = l.poll(); n == 0 {
			if err := conn.Read(some); err != nil {
				l.fail(err)
				return
			}
		}
		l.now = l.clock()
		if s := l.group.service.Load(); s != l.service {
			l.service, l.responder = s, s.Responder(len(l.group.loops))
		}
		l.responder.Begin()
		for i := range n {
			l.meet(int(l.ready[i].Fd), l.ready[i].Events)
		}
		l.responder.End()
		l.send()
		if round%turn == 0 {
			runtime.Gosched()
		}
	}
}

// fail says what keeps a loop from going on, which nothing is known to do.
func (l *loop) fail(err error) {
	if s := l.group.service.Load(); s.Short != nil {
		s.Short(err)
	}
}

// end closes everything.
func (l *loop) end() {
	for l.list.first != nil {
		l.close(l.list.first)
	}
	l.deafen()
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.discard() // all is over
}

// meet does what a descriptor asks for.
func (l *loop) meet(fd int, what uint32) {
	switch fd {
	case l.listener:
		l.accept()
		return
	case l.alarm:
		l.heed()
		return
	case l.timer:
		l.look()
		return
	}
	if fd >= len(l.conns) || l.conns[fd] == nil {
		return // closed in this round
	}
	c := l.conns[fd]
	if c.secure != nil && c.secure.shaking.Load() {
		if what&unix.EPOLLOUT != 0 {
			c.mu.Lock()
			c.flush()
			c.mu.Unlock()
		}
		select {
		case c.secure.ready <- struct{}{}:
		default:
		}
		return
	}
	if what&unix.EPOLLOUT != 0 {
		c.mu.Lock()
		c.flush()
		on := c.over || c.relieved()
		c.mu.Unlock()
		if on {
			l.resume(c)
		}
		if c.closed {
			return
		}
	}
	switch {
	case what&unix.EPOLLIN != 0:
		l.read(c)
	case what&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
		l.close(c)
	}
}

// heed does what was posted.
func (l *loop) heed() {
	var b [8]byte
	_, _ = unix.Read(l.alarm, b[:]) // it says only that there is something
	l.mu.Lock()
	fs := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// accept takes connections that wait.
func (l *loop) accept() {
	for range accepts {
		l.peerSize = unix.SizeofSockaddrAny
		r, _, err := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(l.listener), uintptr(unsafe.Pointer(&l.peer)), uintptr(unsafe.Pointer(&l.peerSize)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch err {
		case 0:
			l.enter(int(r), addrOf(&l.peer))
		case unix.EAGAIN:
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			l.shortOf(err)
			return
		default: // it was over before it was accepted, or the network is down
		}
	}
}

// shortOf has no connection be accepted until the next look, and the one that has been silent for
// the longest end.
func (l *loop) shortOf(err error) {
	if !l.short && l.service.Short != nil {
		l.service.Short(err)
	}
	l.short = true
	l.control(unix.EPOLL_CTL_MOD, l.listener, 0)
	if l.list.first != nil {
		l.evict(l.list.first, "descriptors")
	}
}

// enter begins a connection, and reads what has come already.
func (l *loop) enter(fd int, from netip.AddrPort) {
	c := &conn{loop: l, fd: fd, from: from, network: sockets.NetworkOf(from.Addr()), active: l.now, began: l.now, watched: unix.EPOLLIN}
	for fd >= len(l.conns) {
		l.conns = append(l.conns, nil)
	}
	l.conns[fd] = c
	beyond := l.group.census.enter(c.network, l.service.Limits)
	l.list.push(c)
	switch beyond {
	case beyondAll:
		l.evict(l.list.first, "all")
	case beyondNetwork:
		first := l.list.first
		for first.network != c.network {
			first = first.behind
		}
		l.evict(first, "network")
	}
	if c.closed {
		return
	}
	if l.service.TLS != nil {
		c.begin(l.service.TLS)
		l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLET)
		return
	}
	l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN)
	l.read(c)
}

// shaken goes on with a connection whose handshake is over.
func (l *loop) shaken(c *conn, err error) {
	if c.closed {
		return
	}
	if err != nil {
		l.close(c)
		return
	}
	c.mu.Lock()
	c.watched = unix.EPOLLIN
	if len(c.pending) > 0 {
		c.watched = unix.EPOLLOUT
	}
	l.control(unix.EPOLL_CTL_MOD, c.fd, c.watched)
	c.mu.Unlock()
	c.active, c.began = l.now, l.now
	l.read(c) // what came with the end of the handshake
}

// read has answered what a connection has sent.
func (l *loop) read(c *conn) {
	if c.secure != nil {
		l.decrypt(c)
		return
	}
	if len(c.rest) > 0 {
		l.complete(c)
		return
	}
	n, err := receive(c.fd, l.in)
	switch {
	case err == unix.EAGAIN:
	case err != 0:
		l.close(c)
	case n == 0:
		l.finish(c)
	default:
		l.take(c, l.in[:n])
	}
}

// decrypt reads what there is, record by record.
func (l *loop) decrypt(c *conn) {
	for room := readSize; room > 0; {
		n, err := c.secure.Read(l.in)
		if n > 0 {
			room -= n
			b := l.in[:n]
			if len(c.rest) == 0 {
				l.take(c, b)
			} else if l.hold(c, b); !c.closed && missing(c.rest) == 0 {
				l.take(c, l.held(c))
			}
			if c.closed || c.waits || c.over {
				return
			}
		}
		switch {
		case err == nil:
		case errors.As(err, new(again)):
			return
		case errors.Is(err, io.EOF):
			l.finish(c)
			return
		default:
			l.close(c)
			return
		}
	}
	l.post(func() { l.resume(c) }) // what crypto/tls has read ahead isn't seen by epoll
}

// complete reads on where a question isn't whole.
func (l *loop) complete(c *conn) {
	// As much as has come is room for as much again: nobody has memory be taken by announcing much.
	room := min(missing(c.rest)+readSize, len(c.rest)+readSize)
	n, err := receive(c.fd, l.in[:min(room, len(l.in))])
	switch {
	case err == unix.EAGAIN:
		return
	case err != 0 || n == 0:
		l.close(c) // half a question
		return
	}
	if l.hold(c, l.in[:n]); !c.closed && missing(c.rest) == 0 {
		l.take(c, l.held(c))
	}
}

// held gives what was kept, and keeps it no longer.
func (l *loop) held(c *conn) []byte {
	b := c.rest
	c.rest = nil
	l.group.held.Add(int64(-len(b)))
	return b
}

// hold keeps what isn't whole.
func (l *loop) hold(c *conn, b []byte) {
	if len(c.rest) == 0 {
		c.began = l.now
	}
	c.rest = append(c.rest, b...)
	if l.group.held.Add(int64(len(b))) > maxHeld {
		l.evict(c, "bytes")
	}
}

// take has answered what is whole of what a connection has sent, and keeps the rest.
func (l *loop) take(c *conn, b []byte) {
	some, over, waits := false, false, false
	for {
		question, rest, ok := next(b)
		if !ok {
			break
		}
		if len(question) < shortest { // another protocol, or none
			over = true
			break
		}
		if waits = c.crowded(); waits {
			break
		}
		b, some = rest, true
		l.ask(c, question)
		if c.asked++; c.asked == l.service.Queries {
			over = true
			break
		}
	}
	if some {
		c.active = l.now
		l.list.touch(c)
	}
	switch {
	case over:
		l.finish(c)
	case len(b) > 0:
		l.hold(c, b)
	}
	if waits && !c.closed {
		c.mu.Lock()
		c.waits = true
		c.watch()
		on := c.relieved() // meanwhile
		c.mu.Unlock()
		if on {
			l.post(func() { l.resume(c) })
		}
	}
}

// resume goes on with a connection on which something has been waiting.
func (l *loop) resume(c *conn) {
	if c.closed {
		return
	}
	if c.waits {
		c.mu.Lock()
		c.waits = false
		c.watch()
		c.mu.Unlock()
		l.take(c, l.held(c))
	}
	if c.secure != nil && !c.closed && !c.over && !c.waits {
		l.read(c)
	}
	l.settle(c)
}

// ask has one question answered.
func (l *loop) ask(c *conn, question []byte) {
	if cap(l.out)-len(l.out) < header+maxMessage {
		l.flush()
	}
	at := len(l.out)
	p := &l.packet
	p.Buf = l.out[at+header : at+header+maxMessage]
	p.N, p.From = copy(p.Buf, question), c.from
	l.at, l.query = c, question
	size := l.responder.Respond(p)
	if size == 0 {
		return
	}
	l.out = l.out[:at+header+size]
	binary.BigEndian.PutUint16(l.out[at:], uint16(size))
	if last := len(l.parts) - 1; last >= 0 && l.parts[last].conn == c {
		l.parts[last].to = len(l.out)
		return
	}
	l.parts = append(l.parts, part{c, at, len(l.out)})
}

// flush writes what was answered before the round is over.
func (l *loop) flush() {
	l.responder.End()
	l.send()
	l.responder.Begin()
}

// send writes what was answered.
func (l *loop) send() {
	for i, p := range l.parts {
		_ = p.conn.write(l.out[p.from:p.to]) // one that can't be written to is closed
		l.parts[i].conn = nil
	}
	l.parts, l.out = l.parts[:0], l.out[:0]
}

// finish goes on where no more will be asked: what was is answered still.
func (l *loop) finish(c *conn) {
	l.flush()
	c.mu.Lock()
	c.over = true
	c.watch()
	c.mu.Unlock()
	l.settle(c)
}

// settle closes a connection of which nothing more is to come.
func (l *loop) settle(c *conn) {
	if !c.closed && c.over && c.idle() {
		l.close(c)
	}
}

// evict closes a connection because there is too much.
func (l *loop) evict(c *conn, why string) {
	l.close(c)
	if l.service.Ended != nil {
		l.service.Ended(why)
	}
}

// close closes a connection.
func (l *loop) close(c *conn) {
	if c.secure != nil && !c.secure.shaking.Load() && !c.closed {
		_ = c.secure.CloseWrite() // whoever has gone needs no farewell
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	_ = unix.Close(c.fd) // of a socket it doesn't fail
	l.group.held.Add(int64(-len(c.pending) - len(c.rest)))
	c.pending, c.rest = nil, nil
	if c.drained != nil {
		c.drained.Broadcast()
	}
	c.mu.Unlock()
	if c.secure != nil {
		select {
		case c.secure.ready <- struct{}{}:
		default:
		}
	}
	l.conns[c.fd] = nil
	l.list.remove(c)
	l.group.census.leave(c.network)
}

// look closes connections that take too long.
func (l *loop) look() {
	var b [8]byte
	_, _ = unix.Read(l.timer, b[:]) // it says only that it is time
	if l.short {
		l.short = false
		l.control(unix.EPOLL_CTL_MOD, l.listener, unix.EPOLLIN)
	}
	if l.leaving > 0 {
		l.dismiss()
	}
	for c := l.list.first; c != nil; {
		behind := c.behind
		if l.overdue(c) {
			l.close(c)
		}
		c = behind
	}
}

// overdue says whether a connection has had its time.
func (l *loop) overdue(c *conn) bool {
	limits := &l.service.Limits
	c.mu.Lock()
	stuck, busy := int64(0), c.later > 0 || c.waits
	if len(c.pending) > 0 {
		stuck = c.stuck
	}
	c.mu.Unlock()
	switch {
	case stuck > 0:
		return l.now-stuck > int64(limits.Write)
	case busy:
		return false // somebody is at it
	case len(c.rest) > 0 || c.asked == 0:
		return l.now-c.began > int64(limits.Question)
	}
	return l.now-c.active > int64(limits.Idle)
}

// leave has the loop end when its connections have been quiet.
func (l *loop) leave() {
	l.leaving = max(1, l.now)
	step := unix.NsecToTimespec(int64(quiet / 4))
	_ = unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: step, Value: step}, nil) // it was right before
}

// dismiss closes what is quiet, and all if it takes too long. The listener is there for as
// long: connections that had begun are for it.
func (l *loop) dismiss() {
	late := l.now-l.leaving > int64(grace)
	if l.listener >= 0 && l.now-l.leaving > int64(quiet) {
		l.accept()
		l.deafen()
	}
	for c := l.list.first; c != nil; {
		behind := c.behind
		if late || l.now-c.active > int64(quiet) && c.idle() && len(c.rest) == 0 {
			l.close(c)
		}
		c = behind
	}
}

// deafen closes the listener.
func (l *loop) deafen() {
	if l.listener >= 0 {
		_ = unix.Close(l.listener) // of a socket it doesn't fail
		l.listener = -1
		l.group.listening.Done()
	}
}

// receive reads what there is: EAGAIN, nothing now; 0 bytes, nothing any more.
func receive(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
		switch err {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, err
		}
	}
}

// send writes what can be written now.
func send(fd int, b []byte) (int, error) {
	for {
		n, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		switch err {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}

// addrOf reads an address.
func addrOf(sa *unix.RawSockaddrAny) netip.AddrPort {
	port := func(p *uint16) uint16 { b := (*[2]byte)(unsafe.Pointer(p)); return uint16(b[0])<<8 | uint16(b[1]) }
	if sa.Addr.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port(&v4.Port))
	}
	v6 := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
	return netip.AddrPortFrom(netip.AddrFrom16(v6.Addr).Unmap(), port(&v6.Port))
}
