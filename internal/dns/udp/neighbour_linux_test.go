package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/pkg/reuseport"

	"github.com/fedns/fedns/internal/dns/packet"
)

// Who answered, in the fourth byte of what comes back.
const (
	byOther = 1 // the socket that was there before
	byGroup = 2 // a group's handler; further ones count on
)

// query is a DNS header with flags and counts as a plain query has them, and
// something to tell it by behind it.
func query(id uint16, tail string) []byte {
	b := []byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(b, id)
	return append(b, tail...)
}

// reply turns a datagram into the answer to it.
func reply(b []byte, by byte) {
	b[2] |= 0x80
	b[3] = by
}

// A neighbour is another server on an address: Go's own socket, as CoreDNS has it.
// It answers everything, however short, and counts what comes.
type neighbour struct {
	*net.UDPConn
	addr netip.AddrPort
	n    atomic.Int64
}

// beside opens a neighbour, on a port of its own if addr has none.
func beside(t testing.TB, addr string) *neighbour {
	t.Helper()
	c, err := reuseport.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	o := &neighbour{UDPConn: c.(*net.UDPConn)}
	o.addr = o.LocalAddr().(*net.UDPAddr).AddrPort()
	var ended sync.WaitGroup
	ended.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := o.ReadFromUDPAddrPort(b)
			if err != nil {
				return // closed
			}
			o.n.Add(1)
			short := make([]byte, 12)
			copy(short, b[:min(n, 1024)])
			out := slices.Concat(short, b[12:max(12, min(n, 1024))])
			reply(out, byOther)
			_, _ = o.WriteToUDPAddrPort(out, from) // the client may have gone
		}
	})
	t.Cleanup(func() {
		o.Close()
		ended.Wait()
	})
	return o
}

// An echo answers with what was asked.
type echo struct {
	by      byte
	respond func(*packet.Packet) int // instead, if it isn't nil

	sockets atomic.Int64 // what Responder was called with
	made    atomic.Int64 // responders
	n       [8]atomic.Int64
	batch   atomic.Int64 // the most datagrams between a Begin and an End
}

// Responder implements Handler.
func (e *echo) Responder(n int) packet.Responder {
	e.sockets.Store(int64(n))
	return &echoer{echo: e, number: int(e.made.Add(1)) - 1}
}

type echoer struct {
	*echo
	number int
	begun  bool
	since  int64
}

func (e *echoer) Begin() {
	if e.begun {
		panic("Begin twice")
	}
	e.begun, e.since = true, 0
}

func (e *echoer) End() {
	if !e.begun {
		panic("End without Begin")
	}
	e.begun = false
	e.batch.Store(max(e.batch.Load(), e.since))
}

func (e *echoer) Respond(p *packet.Packet) int {
	if !e.begun {
		panic("Respond before Begin")
	}
	e.since++
	e.n[e.number%len(e.n)].Add(1)
	if e.respond != nil {
		return e.respond(p)
	}
	reply(p.Buf, e.by)
	return p.N
}

// open opens a group beside o that is closed with the test, unless it was before.
func open(t testing.TB, o *neighbour, n int, h packet.Handler) (g *Group, shut func()) {
	t.Helper()
	g, err := Open(o.addr, "", 1, n, h)
	if err != nil {
		t.Fatal(err)
	}
	shut = sync.OnceFunc(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(shut)
	return g, shut
}

// dial connects to an address: what comes from any other isn't seen.
func dial(t testing.TB, addr netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t testing.TB, c *net.UDPConn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// receive reads one datagram.
func receive(t testing.TB, c *net.UDPConn) []byte {
	t.Helper()
	b := make([]byte, 1<<16)
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// ask sends a datagram and reads one.
func ask(t testing.TB, c *net.UDPConn, b []byte) []byte {
	t.Helper()
	send(t, c, b)
	return receive(t, c)
}

// A gate holds a handler up, so that datagrams gather behind it.
type gate struct{ waiting, open chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}, 64), make(chan struct{})} }

func (g *gate) pass() {
	select {
	case g.waiting <- struct{}{}:
	default:
	}
	<-g.open
}

// traffic asks without pause from several clients, no more at a time than any
// socket's queue holds, and minds that each question is answered once.
type traffic struct {
	sent atomic.Int64
	by   [8]atomic.Int64 // answers, by who gave them
	halt func()          // stops asking, and waits for what is under way
}

// patient is how long an answer may take that isn't lost.
const patient = 2 * time.Second

func begin(t *testing.T, addr netip.AddrPort, clients int) *traffic {
	t.Helper()
	const window = 16 // of one client
	tr := &traffic{}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range clients {
		c := dial(t, addr)
		room := make(chan struct{}, window)
		var seen [1 << 16]atomic.Bool // asked, and not answered
		quiet := make(chan struct{})  // nothing more is asked
		wg.Go(func() {
			defer close(quiet)
			for n := uint16(0); !stop.Load(); n++ {
				select {
				case room <- struct{}{}:
				case <-time.After(patient):
					continue // all of them are lost, or it has been halted
				}
				seen[n].Store(true)
				tr.sent.Add(1)
				if _, err := c.Write(query(n, string(rune('a'+i)))); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			b := make([]byte, 64)
			for last := time.Now(); ; {
				_ = c.SetReadDeadline(time.Now().Add(patient / 20))
				n, err := c.Read(b)
				if err != nil { // nothing, for now
					select {
					case <-quiet:
						if len(room) == 0 || time.Since(last) > patient {
							return
						}
					default:
					}
					continue
				}
				last = time.Now()
				id := binary.BigEndian.Uint16(b)
				if n != 13 || b[12] != byte('a'+i) || b[2]&0x80 == 0 {
					t.Errorf("client %d got %x", i, b[:n])
					return
				}
				if !seen[id].CompareAndSwap(true, false) {
					t.Errorf("client %d: question %d is answered twice", i, id)
					return
				}
				tr.by[b[3]].Add(1)
				<-room
			}
		})
	}
	tr.halt = sync.OnceFunc(func() {
		stop.Store(true)
		wg.Wait()
	})
	t.Cleanup(tr.halt)
	return tr
}

// answered is how many answers have come.
func (tr *traffic) answered() (n int64) {
	for i := range tr.by {
		n += tr.by[i].Load()
	}
	return n
}

// more waits until n more questions have been answered.
func (tr *traffic) more(t *testing.T, n int64) {
	t.Helper()
	n += tr.answered()
	eventually(t, "more is answered", func() bool { return tr.answered() >= n })
}

// whole ends the traffic: every question was answered.
func (tr *traffic) whole(t *testing.T) {
	t.Helper()
	tr.halt()
	if sent, n := tr.sent.Load(), tr.answered(); sent != n || sent == 0 {
		t.Errorf("%d questions, %d answers", sent, n)
	}
}

// What one datagram takes, there and back: the client's part included.
func BenchmarkEcho(b *testing.B) {
	o := beside(b, "127.0.0.1:0")
	open(b, o, 1, &echo{by: byGroup})
	c := dial(b, o.addr)
	q, a := query(1, "ten bytes."), make([]byte, 64)
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	b.ReportAllocs()
	for b.Loop() {
		for range Batch {
			if _, err := c.Write(q); err != nil {
				b.Fatal(err)
			}
		}
		for range Batch {
			if _, err := c.Read(a); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*Batch), "ns/datagram")
}
