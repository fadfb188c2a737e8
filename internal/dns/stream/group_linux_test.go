package stream

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/dns/packet"
)

// Questions are answered as they come: one after the other, many at once, in pieces of any size, and
// on one connection after the other.
func TestQuestions(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	open(t, o, 2, plain(&echo{}))
	for range 20 {
		c := dial(t, o.addr)
		write(t, c, query(1, "first"))
		expect(t, c, 1, "first")
		_ = c.Close()
	}
	c := dial(t, o.addr)
	var many []byte
	for i := range 3000 { // more than is read at once
		many = append(many, query(uint16(i), fmt.Sprint("question ", i))...)
	}
	go func() { _, _ = c.Write(many) }()
	for i := range 3000 {
		expect(t, c, uint16(i), fmt.Sprint("question ", i))
	}
	for _, b := range query(7, "in pieces") {
		write(t, c, []byte{b})
	}
	expect(t, c, 7, "in pieces")
	for cut := range len(query(0, "cut")) + 1 {
		two := slices.Concat(query(1, "cut"), query(2, "cut"))
		write(t, c, two[:cut])
		time.Sleep(time.Millisecond)
		write(t, c, two[cut:])
		expect(t, c, 1, "cut")
		expect(t, c, 2, "cut")
	}
	long := strings.Repeat("x", maxMessage-shortest)
	go func() { _, _ = c.Write(slices.Concat(query(1, long), query(2, "short"), query(3, long))) }()
	expect(t, c, 1, long)
	expect(t, c, 2, "short")
	expect(t, c, 3, long)
	if n := o.accepted.Load(); n > 0 {
		t.Errorf("the neighbour got %d connections", n)
	}
}

// Whoever ends its half of the connection behind the last question gets all answers, and the end.
func TestHalfClosed(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	letters := make(chan packet.Deferred, 1)
	open(t, o, 1, plain(&echo{respond: func(p *packet.Packet) int {
		if p.Buf[shortest] == 'l' {
			letters <- p.Keep()
			return 0
		}
		return p.N
	}}))
	c := dial(t, o.addr)
	write(t, c, slices.Concat(query(1, "later"), query(2, "now")))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	expect(t, c, 2, "now")
	l := <-letters
	if to := l.To().String(); to != o.addr.String() {
		t.Errorf("the question came to %s, want %s", to, o.addr)
	}
	if err := l.Write(l.Query()); err != nil {
		t.Fatal(err)
	}
	l.Done()
	expect(t, c, 1, "later")
	over(t, c)
}

// What is answered later comes in whatever order, several answers for one question too; only so many
// wait, and what is behind them in the connection waits with them, and isn't lost.
func TestLater(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	letters := make(chan packet.Deferred, 10*maxLater)
	e := &echo{respond: func(p *packet.Packet) int { letters <- p.Keep(); return 0 }}
	open(t, o, 1, plain(e))
	c := dial(t, o.addr)
	const all = 5 * maxLater
	var b []byte
	for i := range all {
		b = append(b, query(uint16(i), "later")...)
	}
	write(t, c, b)
	eventually(t, "as many wait as may", func() bool { return e.asked.Load() == maxLater })
	time.Sleep(10 * time.Millisecond)
	if n := e.asked.Load(); n != maxLater {
		t.Errorf("%d questions wait, %d may", n, maxLater)
	}
	seen, enough := map[uint16]int{}, make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-enough:
					return
				case l := <-letters:
					for range 2 {
						if err := l.Write(l.Query()); err != nil {
							t.Error(err)
						}
					}
					l.Done()
				}
			}
		})
	}
	for range 2 * all {
		id, text, err := answer(c)
		if err != nil || text != "later" {
			t.Fatal(text, err)
		}
		seen[id]++
	}
	close(enough)
	wg.Wait()
	for i := range all {
		if seen[uint16(i)] != 2 {
			t.Errorf("question %d has %d answers", i, seen[uint16(i)])
		}
	}
}

// Who writes and doesn't read is kept waiting, and takes no memory; it gets everything when it reads.
func TestSlowReader(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	long := strings.Repeat("y", 60000)
	g, _ := open(t, o, 1, plain(&echo{respond: func(p *packet.Packet) int {
		return shortest + copy(p.Buf[shortest:], long)
	}}))
	c := dial(t, o.addr)
	const all = 2000 // 120 MB of answers
	go func() {
		for i := range all {
			if _, err := c.Write(query(uint16(i), "long")); err != nil {
				return
			}
		}
	}()
	eventually(t, "something is held", func() bool { return g.held.Load() > 0 })
	quick := dial(t, o.addr)
	write(t, quick, query(1, "quick"))
	expect(t, quick, 1, long)
	if held := g.held.Load(); held > 64<<20 {
		t.Errorf("%d bytes are held", held)
	}
	for i := range all {
		expect(t, c, uint16(i), long)
	}
}

// A group that leaves gives the address back, answers what it was asked, and ends its connections.
func TestLeave(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	letters := make(chan packet.Deferred, 1)
	_, shut := open(t, o, 2, plain(&echo{respond: func(p *packet.Packet) int {
		if p.Buf[shortest] == 'l' {
			letters <- p.Keep()
			return 0
		}
		return p.N
	}}))
	idle, busy := dial(t, o.addr), dial(t, o.addr)
	write(t, idle, query(1, "now"))
	expect(t, idle, 1, "now")
	write(t, busy, query(2, "later"))
	l := <-letters
	ended := make(chan struct{})
	go func() { shut(); close(ended) }()
	over(t, idle)
	if err := l.Write(l.Query()); err != nil {
		t.Error(err)
	}
	l.Done()
	expect(t, busy, 2, "later")
	over(t, busy)
	<-ended
	c := dial(t, o.addr)
	got := make([]byte, len(greeting))
	if _, err := c.Read(got); err != nil || string(got) != greeting {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

// While groups come and go at one address, every connection is one's, and every question is answered.
func TestComeAndGo(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(o.addr))
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(patient))
				var b [64]byte
				n := 0
				if _, err = c.Write(query(1, "q")); err == nil {
					n, err = c.Read(b[:])
				}
				got := string(b[:n])
				// The neighbour doesn't read what it is asked: its end is a reset, perhaps.
				if err == nil && got != greeting && !strings.HasSuffix(got, "q") {
					t.Errorf("got %q", got)
				}
				if err != nil && !strings.Contains(err.Error(), "reset") {
					t.Error(err)
				}
				_ = c.Close()
			}
		})
	}
	for range 5 {
		_, shut := open(t, o, 2, plain(&echo{}))
		time.Sleep(20 * time.Millisecond)
		shut()
	}
	close(stop)
	wg.Wait()
}

// What isn't a question ends the connection: a message without a header, another protocol. What was
// asked before is answered.
func TestNoQuestion(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	open(t, o, 1, plain(&echo{}))
	for _, b := range [][]byte{{0, 0}, {0, 6, 1, 2, 3, 4, 5, 6}} {
		c := dial(t, o.addr)
		write(t, c, slices.Concat(query(1, "before"), b))
		expect(t, c, 1, "before")
		over(t, c)
	}
	c := dial(t, o.addr)
	write(t, c, bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 5000))
	_ = c.CloseWrite()
	over(t, c)
}
