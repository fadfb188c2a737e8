package udp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/packet"
)

// Letters are answered when their packets' buffers have long held others, in any
// order, by any goroutine, and reach who asked.
func TestLetters(t *testing.T) {
	const clients, each = 5, 100
	o := beside(t, "127.0.0.1:0")
	letters := make(chan packet.Deferred, clients*each)
	e := &echo{respond: func(p *packet.Packet) int {
		if p.Buf[12] == '!' { // answered at once, between them
			reply(p.Buf, byGroup)
			return p.N
		}
		letters <- p.Keep()
		return 0
	}}
	open(t, o, 2, e)
	var cs []*net.UDPConn
	for range clients {
		cs = append(cs, dial(t, o.addr))
	}
	for i := range each {
		for k, c := range cs {
			send(t, c, query(uint16(i), fmt.Sprintf("question %d of %d", i, k)))
			if i%20 == 19 {
				if got := ask(t, c, query(uint16(i), "!")); string(got[12:]) != "!" {
					t.Fatalf("a question between letters is answered with %q", got[12:])
				}
			}
		}
	}
	var kept []packet.Deferred
	for range clients * each {
		select {
		case l := <-letters:
			kept = append(kept, l)
		case <-time.After(patient):
			t.Fatalf("%d letters of %d", len(kept), clients*each)
		}
	}
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := len(kept) - 1 - part; i >= 0; i -= 4 {
				l := kept[i]
				if l.To().String() != o.addr.String() {
					t.Errorf("a letter to %v", l.To())
				}
				reply(l.Query(), byGroup)
				if err := l.Write(l.Query()); err != nil {
					t.Error(err)
				}
				l.Done()
			}
		})
	}
	wg.Wait()
	for k, c := range cs {
		self := c.LocalAddr().(*net.UDPAddr).AddrPort()
		n := 0
		for _, l := range kept {
			if to, ok := l.(*deferred).to.(*unix.SockaddrInet4); ok && to.Port == int(self.Port()) {
				n++
			}
		}
		if n != each {
			t.Errorf("client %d: %d letters are from it, want %d", k, n, each)
		}
		seen := map[uint16]bool{}
		for range each {
			b := receive(t, c)
			id := binary.BigEndian.Uint16(b)
			if want := fmt.Sprintf("question %d of %d", id, k); string(b[12:]) != want || b[3] != byGroup {
				t.Fatalf("client %d got %q, want %q", k, b[12:], want)
			}
			seen[id] = true
		}
		if len(seen) != each {
			t.Errorf("client %d: %d of %d are answered", k, len(seen), each)
		}
	}
}

// A letter that nobody answers costs nothing but its answer.
func TestLetterUnanswered(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	_, shut := open(t, o, 1, &echo{respond: func(p *packet.Packet) int {
		l := p.Keep()
		if p.Buf[12] == 'y' {
			b := bytes.Clone(p.Buf[:p.N])
			reply(b, byGroup)
			if err := l.Write(b); err != nil {
				t.Error(err)
			}
		}
		l.Done()
		return 0
	}})
	c := dial(t, o.addr)
	send(t, c, query(1, "no"))
	if got := ask(t, c, query(2, "yes")); string(got[12:]) != "yes" {
		t.Errorf("got %q", got[12:])
	}
	shut()
}

// Close waits for letters, and they can still be answered.
func TestCloseWaitsForLetters(t *testing.T) {
	for _, tt := range []struct{ listen, asked string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "127.0.0.9"}, {"[::]:0", "::1"},
	} {
		t.Run(tt.listen+" "+tt.asked, func(t *testing.T) { closeWaits(t, tt.listen, tt.asked) })
	}
}

func closeWaits(t *testing.T, listen, asked string) {
	o := beside(t, listen)
	addr := netip.AddrPortFrom(netip.MustParseAddr(asked), o.addr.Port())
	letters := make(chan packet.Deferred, 1)
	_, shut := open(t, o, 2, &echo{respond: func(p *packet.Packet) int {
		letters <- p.Keep()
		return 0
	}})
	c := dial(t, addr)
	send(t, c, query(1, "slow"))
	l := <-letters
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		shut()
	}()
	// It is closing once the other is asked.
	probe := dial(t, addr)
	eventually(t, "the address is given back", func() bool {
		select {
		case l := <-letters: // not yet
			l.Done()
		default:
		}
		send(t, probe, query(2, "probe"))
		return o.n.Load() > 0
	})
	select {
	case <-closed:
		t.Fatal("closed, with a letter unanswered")
	case <-time.After(20 * time.Millisecond):
	}
	reply(l.Query(), byGroup)
	if err := l.Write(l.Query()); err != nil {
		t.Error(err)
	}
	if got := receive(t, c); string(got[12:]) != "slow" {
		t.Errorf("got %q", got[12:])
	}
	l.Done()
	for {
		select {
		case l := <-letters: // of the probe
			l.Done()
			continue
		case <-closed:
		case <-time.After(patient):
			t.Fatal("still closing, with all letters done")
		}
		return
	}
}

// Close doesn't wait for ever: a letter that is answered when it has returned still
// reaches who asked, and then the socket is gone too.
func TestCloseLeavesLetters(t *testing.T) {
	t.Parallel()
	o := beside(t, "127.0.0.1:0")
	letters := make(chan packet.Deferred, 1)
	g, err := Open(o.addr, "", 1, 1, &echo{respond: func(p *packet.Packet) int {
		letters <- p.Keep()
		return 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, o.addr)
	send(t, c, query(1, "very slow"))
	l := <-letters
	socket := fmt.Sprintf("/proc/self/fd/%d", g.loops[0].fd)
	was, err := os.Readlink(socket)
	if err != nil {
		t.Fatal(err)
	}
	began, over := time.Now(), make(chan error, 1)
	go func() { over <- g.Close() }()
	select {
	case err := <-over:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Close waits for a letter that nobody answers")
	}
	if took := time.Since(began); took < grace {
		t.Errorf("Close took %v, want %v", took, grace)
	}
	if got := ask(t, dial(t, o.addr), query(2, "later")); got[3] != byOther {
		t.Errorf("answered by %d after Close", got[3])
	}
	reply(l.Query(), byGroup)
	if err := l.Write(l.Query()); err != nil {
		t.Error(err)
	}
	l.Done()
	if got := receive(t, c); string(got[12:]) != "very slow" {
		t.Errorf("got %q", got[12:])
	}
	eventually(t, "the socket is closed", func() bool {
		is, _ := os.Readlink(socket)
		return is != was
	})
}

// A group that still has letters takes nothing from the next one on its address.
func TestOpenWhileLettersWait(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	letters := make(chan packet.Deferred, 1)
	old, err := Open(o.addr, "", 1, 2, &echo{respond: func(p *packet.Packet) int {
		letters <- p.Keep()
		return 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, o.addr)
	send(t, c, query(1, "slow"))
	l := <-letters
	closed := make(chan error, 1)
	go func() { closed <- old.Close() }()
	probe := dial(t, o.addr)
	eventually(t, "the address is given back", func() bool {
		select {
		case l := <-letters: // not yet
			l.Done()
		default:
		}
		send(t, probe, query(2, "probe"))
		return o.n.Load() > 0
	})
	open(t, o, 2, &echo{by: byGroup})
	tr := begin(t, o.addr, 4)
	eventually(t, "the new group answers", func() bool { return tr.by[byGroup].Load() > 500 || tr.sent.Load() > 60 && tr.answered() == 0 })
	tr.whole(t)
	reply(l.Query(), byGroup)
	if err := l.Write(l.Query()); err != nil {
		t.Error(err)
	}
	l.Done()
	if got := receive(t, c); string(got[12:]) != "slow" {
		t.Errorf("got %q", got[12:])
	}
	for waiting := true; waiting || len(letters) > 0; {
		select {
		case l := <-letters: // of the probe
			l.Done()
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
			closed, waiting = nil, false
		}
	}
}

// What came past the sockets is answered by them, from the address that it came to.
func TestLater(t *testing.T) {
	for _, tt := range []struct{ bound, to string }{
		{"127.0.0.1:0", "127.0.0.1"},
		{"0.0.0.0:0", "127.0.0.7"},
		{"[::1]:0", "::1"},
		{"[::]:0", "::1"},
		{"[::]:0", "127.0.0.7"},
	} {
		o := beside(t, tt.bound)
		g, _ := open(t, o, 1, &echo{by: byGroup})
		to := netip.AddrPortFrom(netip.MustParseAddr(tt.to), o.addr.Port())
		c := dial(t, to)
		from := c.LocalAddr().(*net.UDPAddr).AddrPort()
		q := query(7, "later")
		l := g.Later(q, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), to, 1)
		if !bytes.Equal(l.Query(), q) {
			t.Errorf("%s: the question is %q", tt.bound, l.Query())
		}
		if err := l.Write([]byte("the answer")); err != nil {
			t.Errorf("%s to %s: %v", tt.bound, to, err)
		} else if got := receive(t, c); string(got) != "the answer" {
			t.Errorf("%s: %q", tt.bound, got)
		}
		l.Done()
	}
}
