package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"weak"

	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/packet"
)

// Plain queries come to the group, everything else goes where it went before.
func TestSteering(t *testing.T) {
	plain := query(7, "something")
	set := func(at int, v ...byte) []byte {
		b := bytes.Clone(plain)
		copy(b[at:], v)
		return b
	}
	type row struct {
		what string
		b    []byte
		by   byte
	}
	rows := []row{
		{"a question", plain, byGroup},
		{"a header and no more", plain[:12], byGroup}, // it promises a question: whoever reads it finds out
		{"with an OPT record", set(11, 1), byGroup},
		{"all flags but QR", set(2, 0x07, 0xff), byGroup},
		{"a signature behind the OPT record", set(11, 2), byOther},
		{"256 additional records", set(10, 1, 0), byOther},
		{"a response", set(2, 0x80), byOther},
		{"no question", set(5, 0), byOther},
		{"two questions", set(5, 2), byOther},
		{"257 questions", set(4, 1), byOther},
		{"an answer", set(7, 1), byOther},
		{"256 answers", set(6, 1), byOther},
		{"an authority record", set(9, 1), byOther},
		{"256 authority records", set(8, 1), byOther},
		{"as many authority records as can be", set(8, 0xff, 0xff), byOther},
	}
	for op := byte(1); op < 16; op++ {
		rows = append(rows, row{fmt.Sprint("opcode ", op), set(2, op<<3), byOther})
	}
	for n := range 12 {
		rows = append(rows, row{fmt.Sprint(n, " bytes"), plain[:n], byOther})
	}
	o := beside(t, "127.0.0.1:0")
	e := &echo{by: byGroup}
	open(t, o, 3, e)
	c := dial(t, o.addr)
	for range 8 { // chance decides which socket of the group it is
		for _, r := range rows {
			if got := ask(t, c, r.b); got[3] != r.by {
				t.Errorf("%s: answered by %d, want %d", r.what, got[3], r.by)
			}
		}
	}
	if e.made.Load() != 3 || e.sockets.Load() != 3 {
		t.Errorf("%d responders for sockets of %d, want 3 of 3", e.made.Load(), e.sockets.Load())
	}
}

// Behind several others' sockets the group still gets the plain queries, and all
// of its sockets take part; the rest goes to the first of the others.
func TestSeveralOthers(t *testing.T) {
	first := beside(t, "127.0.0.1:0")
	others := []*neighbour{first, beside(t, first.addr.String()), beside(t, first.addr.String())}
	e := &echo{by: byGroup}
	g, err := Open(first.addr, "", len(others), 4, e)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, first.addr)
	for i := range 400 {
		q := query(uint16(i), "x")
		if i%4 == 0 {
			q[2] = 0x20 // NOTIFY
		}
		ask(t, c, q)
	}
	if n := first.n.Load(); n != 100 {
		t.Errorf("the first other socket got %d of 100 that aren't plain", n)
	}
	for _, o := range others[1:] {
		if n := o.n.Load(); n != 0 {
			t.Errorf("another socket got %d", n)
		}
	}
	// Fewer than 40 of 75 is one case of 10⁵.
	for i := range 4 {
		if n := e.n[i].Load(); n < 40 {
			t.Errorf("socket %d got %d of 300", i, n)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if got := ask(t, c, query(uint16(i), "x")); got[3] != byOther {
			t.Fatalf("answered by %d after Close", got[3])
		}
	}
}

// After Close, the other sockets share what comes as they did before Open: no program
// is left behind that gives all of it to one.
func TestCloseSpreads(t *testing.T) {
	first := beside(t, "127.0.0.1:0")
	others := []*neighbour{first, beside(t, first.addr.String()), beside(t, first.addr.String())}
	g, err := Open(first.addr, "", len(others), 2, &echo{by: byGroup})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		c := dial(t, first.addr) // from a port of its own: the kernel goes by addresses
		ask(t, c, query(uint16(i), "x"))
	}
	// Fewer than 50 of 100 is one case of 10⁹.
	for i, o := range others {
		if n := o.n.Load(); n < 50 {
			t.Errorf("socket %d got %d of 300", i, n)
		}
	}
}

// While handlers change all the time, every question is answered once; from when
// Handle has returned, by the new one.
func TestHandle(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	g, _ := open(t, o, 2, &echo{by: byGroup})
	tr := begin(t, o.addr, 4)
	c := dial(t, o.addr)
	for i := range 200 {
		by := byte(byGroup + i%5)
		g.Handle(&echo{by: by})
		for range 3 {
			if got := ask(t, c, query(uint16(i), "")); got[3] != by {
				t.Fatalf("change %d: answered by %d, want %d", i, got[3], by)
			}
		}
	}
	tr.whole(t)
	for by := byGroup; by < byGroup+5; by++ {
		if tr.by[by].Load() == 0 {
			t.Errorf("handler %d answered nothing of the traffic", by)
		}
	}
	if n := o.n.Load(); n != 0 {
		t.Errorf("%d went to the other socket", n)
	}
}

// A handler that was replaced isn't kept in memory by sockets that nobody asks.
func TestHandleForgets(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	old := &echo{by: byGroup}
	g, _ := open(t, o, 2, old)
	ask(t, dial(t, o.addr), query(1, ""))
	gone := weak.Make(old) // and nobody here has it any more
	g.Handle(&echo{by: byGroup})
	eventually(t, "the old handler is gone", func() bool {
		runtime.GC()
		return gone.Value() == nil
	})
}

// Close gives the address back without a question being lost, again and again.
func TestClose(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	tr := begin(t, o.addr, 4)
	fds := descriptors(t)
	for range 25 {
		g, shut := open(t, o, 3, &echo{by: byGroup})
		ours := tr.by[byGroup].Load()
		eventually(t, "the group answers", func() bool { return tr.by[byGroup].Load() > ours+200 })
		shut()
		ours = tr.by[byGroup].Load()
		tr.more(t, 200)
		// A window of each client was on its way back at most.
		if n := tr.by[byGroup].Load() - ours; n > 64 {
			t.Errorf("%d answered by the group after Close", n)
		}
		if n := len(g.loops); n != 3 {
			t.Fatalf("%d loops", n)
		}
	}
	tr.whole(t)
	if n := descriptors(t); n != fds {
		t.Errorf("%d file descriptors, %d before", n, fds)
	}
}

// A signal that interrupts a socket's goroutine in its wait, as Go's own and those to
// the program do, doesn't make it take an address that is given back for one whose
// queue is empty.
func TestCloseInterrupted(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	tr := begin(t, o.addr, 4)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
			}
			tasks, err := os.ReadDir("/proc/self/task")
			if err != nil {
				t.Error(err)
				return
			}
			for _, task := range tasks {
				tid, _ := strconv.Atoi(task.Name())
				_ = unix.Tgkill(os.Getpid(), tid, unix.SIGURG) // it may have ended
			}
			time.Sleep(100 * time.Microsecond) // between two rounds of signals
		}
	}()
	for range 50 {
		_, shut := open(t, o, 2, &echo{by: byGroup})
		ours := tr.by[byGroup].Load()
		eventually(t, "the group answers", func() bool { return tr.by[byGroup].Load() > ours+50 })
		shut()
	}
	close(done)
	<-ended
	tr.whole(t)
}

// The kernel numbers sockets anew when one is closed. That some of the others have
// gone since Open, as with fewer sockets after a reload, loses nothing: neither while
// the group is there nor while it waits for its letters.
func TestCloseWithFewerOthers(t *testing.T) {
	first := beside(t, "127.0.0.1:0")
	second, third := beside(t, first.addr.String()), beside(t, first.addr.String())
	letters := make(chan packet.Deferred, 1)
	g, err := Open(first.addr, "", 3, 2, &echo{respond: func(p *packet.Packet) int {
		if p.Buf[12] == 'L' {
			letters <- p.Keep()
			return 0
		}
		reply(p.Buf, byGroup)
		return p.N
	}})
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	third.Close()
	tr := begin(t, first.addr, 4)
	tr.more(t, 500)
	var l packet.Deferred
	eventually(t, "the group has a letter", func() bool {
		// From here or there, until it goes to the group.
		send(t, dial(t, first.addr), query(1, "Letter"))
		select {
		case l = <-letters:
			return true
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
	closed := make(chan error, 1)
	go func() { closed <- g.Close() }()
	before := first.n.Load()
	eventually(t, "the address is given back", func() bool { return first.n.Load() > before+500 })
	tr.more(t, 500)
	l.Done()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	tr.whole(t)
}

// What has come before Close is answered by the group, however long it has to wait.
func TestCloseAnswers(t *testing.T) {
	for _, tt := range []struct{ listen, asked string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"},
	} {
		t.Run(tt.listen+" "+tt.asked, func(t *testing.T) { closeAnswers(t, tt.listen, tt.asked) })
	}
}

func closeAnswers(t *testing.T, listen, asked string) {
	const n = 200 // fits the queue of any socket
	o := beside(t, listen)
	addr := netip.AddrPortFrom(netip.MustParseAddr(asked), o.addr.Port())
	held := newGate()
	e := &echo{by: byGroup, respond: func(p *packet.Packet) int {
		held.pass()
		reply(p.Buf, byGroup)
		return p.N
	}}
	_, shut := open(t, o, 2, e)
	c := dial(t, addr)
	for i := range n {
		send(t, c, query(uint16(i), ""))
	}
	<-held.waiting
	var closing sync.WaitGroup
	closing.Go(shut)
	// From some moment on, plain queries go to the other.
	probe := dial(t, addr)
	before := 0
	eventually(t, "the address is given back", func() bool {
		send(t, probe, query(0, "probe"))
		before++
		return o.n.Load() > 0
	})
	close(held.open)
	closing.Wait()
	seen := map[uint16]bool{}
	for range n {
		b := receive(t, c)
		if b[3] != byGroup {
			t.Errorf("question %x is answered by %d", b[:2], b[3])
		}
		seen[binary.BigEndian.Uint16(b)] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d are answered", len(seen), n)
	}
	for range before {
		receive(t, probe)
	}
}

// Every third datagram isn't answered: the answers of the others are whole, and go
// to who asked.
func TestDrops(t *testing.T) {
	const clients, each = 7, 60
	o := beside(t, "127.0.0.1:0")
	held := newGate()
	e := &echo{by: byGroup, respond: func(p *packet.Packet) int {
		held.pass()
		id := binary.BigEndian.Uint16(p.Buf)
		if id%3 == 0 {
			return 0
		}
		reply(p.Buf, byGroup)
		// Shorter than the question, longer, or the same.
		switch id % 4 {
		case 0:
			return 13
		case 1:
			copy(p.Buf[p.N:], bytes.Repeat(p.Buf[12:13], 1000))
			return p.N + 1000
		}
		return p.N
	}}
	open(t, o, 2, e)
	var cs []*net.UDPConn
	for range clients {
		cs = append(cs, dial(t, o.addr))
	}
	for i := range each {
		for k, c := range cs {
			send(t, c, query(uint16(i), strings.Repeat(string(rune('a'+k)), 1+i*5)))
		}
	}
	<-held.waiting
	close(held.open)
	for k, c := range cs {
		want := map[uint16]int{}
		for i := range each {
			switch size := 13 + i*5; {
			case i%3 == 0:
			case i%4 == 0:
				want[uint16(i)] = 13
			case i%4 == 1:
				want[uint16(i)] = size + 1000
			default:
				want[uint16(i)] = size
			}
		}
		for len(want) > 0 {
			b := receive(t, c)
			id := binary.BigEndian.Uint16(b)
			if len(b) != want[id] {
				t.Fatalf("client %d: question %d has an answer of %d bytes, want %d", k, id, len(b), want[id])
			}
			delete(want, id)
			if rest := bytes.TrimLeft(b[12:], string(rune('a'+k))); len(rest) > 0 {
				t.Fatalf("client %d: question %d is answered with %q", k, id, b[12:])
			}
		}
	}
	if e.batch.Load() != Batch {
		t.Errorf("the largest batch had %d datagrams, want %d", e.batch.Load(), Batch)
	}
}

// Bound to no address, an answer comes from the one that was asked.
func TestWildcard(t *testing.T) {
	for _, tt := range []struct {
		listen string
		asked  []string
	}{
		{"127.0.0.1:0", []string{"127.0.0.1"}},
		{"[::1]:0", []string{"::1"}},
		{"[::]:0", []string{"127.0.0.1", "127.0.0.9", "127.3.2.1", "::1"}}, // Go's own for any host, 0.0.0.0 too
		{"0.0.0.0:0", []string{"127.0.0.1", "127.0.0.9", "::1"}},
	} {
		t.Run(tt.listen, func(t *testing.T) {
			o := beside(t, tt.listen)
			wildcard(t, o, tt.asked)
		})
	}
	// Nothing in CoreDNS makes a socket of IPv4 only for 0.0.0.0; others may.
	t.Run("udp4", func(t *testing.T) {
		o := beside(t, "[::1]:0") // somebody beside whom the test's cleanup is easy; another family
		o4 := &neighbour{addr: netip.AddrPortFrom(netip.IPv4Unspecified(), o.addr.Port())}
		l, err := listen(o4.addr, "")
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(l.fd)
		wildcard(t, o4, []string{"127.0.0.1", "127.0.0.9"})
	})
}

func wildcard(t *testing.T, o *neighbour, asked []string) {
	var mu sync.Mutex
	sources := map[netip.AddrPort]bool{}
	var late sync.WaitGroup
	e := &echo{respond: func(p *packet.Packet) int {
		mu.Lock()
		defer mu.Unlock()
		sources[p.From] = true
		reply(p.Buf, byGroup)
		if p.Buf[12] == 's' {
			return p.N
		}
		l := p.Keep()
		b := bytes.Clone(p.Buf[:p.N])
		late.Go(func() {
			defer l.Done()
			if err := l.Write(b); err != nil {
				t.Error(err)
			}
		})
		return 0
	}}
	open(t, o, 2, e)
	for _, a := range asked {
		// A connected socket hears only whom it asks.
		c := dial(t, netip.AddrPortFrom(netip.MustParseAddr(a), o.addr.Port()))
		for i := range 6 {
			for _, kind := range []string{"soon", "late"} {
				q := query(uint16(i), kind)
				if got := ask(t, c, q); got[3] != byGroup || string(got[12:]) != kind {
					t.Errorf("%s asked: answer %x", a, got)
				}
			}
		}
		self := c.LocalAddr().(*net.UDPAddr).AddrPort()
		self = netip.AddrPortFrom(self.Addr().Unmap(), self.Port())
		mu.Lock()
		if !sources[self] {
			t.Errorf("a question from %v came from one of %v", self, sources)
		}
		mu.Unlock()
	}
	late.Wait()
}

// Datagrams of all lengths: those that don't fit are cut and said to be so, and the
// next one is itself again.
func TestSizes(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	e := &echo{respond: func(p *packet.Packet) int {
		cut, last := byte(0), p.Buf[p.N-1]
		if p.Cut {
			cut = 1
		}
		out := binary.BigEndian.AppendUint32(p.Buf[:12], uint32(p.N))
		out = append(out, cut, last)
		reply(out, byGroup)
		return len(out)
	}}
	g, _ := open(t, o, 1, e)
	c := dial(t, o.addr)
	for _, size := range []int{12, 13, 511, 512, 513, 1232, 1500, packet.Size - 1, packet.Size, packet.Size + 1, 2 * packet.Size, 65507, 18} {
		q := query(1, strings.Repeat("x", size-12))
		if size > 12 {
			q[size-1] = 'z'
		}
		got := ask(t, c, q)
		n, cut, last := int(binary.BigEndian.Uint32(got[12:])), got[16] == 1, got[17]
		want := byte('z')
		if size > packet.Size {
			want = 'x'
		}
		if len(got) != 18 || n != min(size, packet.Size) || cut != (size > packet.Size) || size != 12 && last != want {
			t.Errorf("%d bytes: answer %x, of %d, cut %v, last %c", size, got, n, cut, last)
		}
	}
	// The longest answer fills the buffer.
	g.Handle(&echo{respond: func(p *packet.Packet) int {
		reply(p.Buf, byGroup)
		p.Buf[packet.Size-1] = 'e'
		return packet.Size
	}})
	if got := ask(t, c, query(2, "")); len(got) != packet.Size || got[packet.Size-1] != 'e' {
		t.Errorf("an answer of %d bytes has come as %d", packet.Size, len(got))
	}
}

// An answer that can't be sent, here to port 0, takes no other with it.
func TestUnsendable(t *testing.T) {
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_UDP)
	if errors.Is(err, unix.EPERM) {
		t.Skip("datagrams from port 0 can only be made by root")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(raw)
	o := beside(t, "127.0.0.1:0")
	held := newGate()
	open(t, o, 1, &echo{respond: func(p *packet.Packet) int {
		held.pass()
		reply(p.Buf, byGroup)
		return p.N
	}})
	c := dial(t, o.addr)
	to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	const n = 100
	for i := range n {
		send(t, c, query(uint16(i), "x"))
		if i%3 == 0 {
			q := query(1, "nobody")
			b := make([]byte, 8, 8+len(q)) // port 0, and no checksum
			binary.BigEndian.PutUint16(b[2:], o.addr.Port())
			binary.BigEndian.PutUint16(b[4:], uint16(8+len(q)))
			if err := unix.Sendto(raw, append(b, q...), 0, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(held.open)
	seen := map[uint16]bool{}
	for range n {
		seen[binary.BigEndian.Uint16(receive(t, c))] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d are answered", len(seen), n)
	}
}

// Open says what is wrong, and leaves nothing behind.
func TestOpenFails(t *testing.T) {
	alone, err := net.ListenPacket("udp", "127.0.0.1:0") // without SO_REUSEPORT
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	fds := descriptors(t)
	for _, tt := range []struct {
		what string
		addr netip.AddrPort
		zone string
		err  error
	}{
		{"somebody has it for himself", alone.LocalAddr().(*net.UDPAddr).AddrPort(), "", syscall.EADDRINUSE},
		{"not an address of this host", netip.MustParseAddrPort("192.0.2.1:5353"), "", syscall.EADDRNOTAVAIL},
		{"no such interface", netip.MustParseAddrPort("[fe80::1]:5353"), "nowhere0", nil},
	} {
		g, err := Open(tt.addr, tt.zone, 1, 2, &echo{})
		if err == nil || g != nil || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, %v", tt.what, g, err)
			continue
		}
		if !strings.HasPrefix(err.Error(), "udp "+tt.addr.String()+": ") {
			t.Errorf("%s: the error doesn't say where: %v", tt.what, err)
		}
	}
	if n := descriptors(t); n != fds {
		t.Errorf("%d file descriptors, %d before", n, fds)
	}
}

// Two groups of two addresses with one port have nothing to do with each other.
func TestTwoAddresses(t *testing.T) {
	a := beside(t, "127.0.0.1:0")
	b := beside(t, fmt.Sprint("127.0.0.2:", a.addr.Port()))
	_, shut := open(t, a, 2, &echo{by: byGroup})
	open(t, b, 2, &echo{by: byGroup + 1})
	ca, cb := dial(t, a.addr), dial(t, b.addr)
	look := func(c *net.UDPConn, by byte) {
		t.Helper()
		for i := range 10 {
			if got := ask(t, c, query(uint16(i), "")); got[3] != by {
				t.Errorf("answered by %d, want %d", got[3], by)
			}
		}
	}
	look(ca, byGroup)
	look(cb, byGroup+1)
	shut()
	look(ca, byOther)
	look(cb, byGroup+1)
}

// A datagram costs no allocation.
func TestAllocations(t *testing.T) {
	const n = 100 * Batch
	o := beside(t, "127.0.0.1:0")
	open(t, o, 1, &echo{by: byGroup})
	c := dial(t, o.addr)
	q, a := query(1, "ten bytes."), make([]byte, 64)
	ask(t, c, q)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n / Batch {
		for range Batch {
			send(t, c, q)
		}
		for range Batch {
			if _, err := c.Read(a); err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.Mallocs - before.Mallocs; got > n/20 {
		t.Errorf("%d datagrams took %d allocations", n, got)
	}
}

// descriptors counts the files that are open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
