package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/packet"
)

// A neighbour is a server that was at the address before us: it greets whom it accepts.
type neighbour struct {
	net.Listener
	addr     netip.AddrPort
	accepted atomic.Int64
}

const greeting = "neighbour"

// beside listens at an address, as CoreDNS does.
func beside(t testing.TB, addr string) *neighbour {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); e != nil {
			return e
		}
		return err
	}}
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	o := &neighbour{Listener: l, addr: l.Addr().(*net.TCPAddr).AddrPort()}
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.accepted.Add(1)
			_, _ = io.WriteString(c, greeting)
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		ended.Wait()
	})
	return o
}

// An echo answers with what was asked, as an answer.
type echo struct {
	respond func(*packet.Packet) int // instead, if it isn't nil
	asked   atomic.Int64
}

func (e *echo) Responder(int) packet.Responder { return &echoer{echo: e} }

type echoer struct {
	*echo
	begun bool
}

func (e *echoer) Begin() {
	if e.begun {
		panic("Begin twice")
	}
	e.begun = true
}

func (e *echoer) End() {
	if !e.begun {
		panic("End without Begin")
	}
	e.begun = false
}

func (e *echoer) Respond(p *packet.Packet) int {
	if !e.begun {
		panic("Respond before Begin")
	}
	e.asked.Add(1)
	if e.respond != nil {
		return e.respond(p)
	}
	p.Buf[2] |= 0x80
	return p.N
}

// plain is a service with limits that nobody meets.
func plain(h packet.Handler) *Service {
	return &Service{Handler: h, Limits: Limits{Question: patient, Idle: patient, Write: patient}}
}

// open opens a group beside o that ends with the test, unless it did before.
func open(t testing.TB, o *neighbour, n int, s *Service) (g *Group, shut func()) {
	t.Helper()
	g, err := Open(o.addr, "", 1, n, s)
	if err != nil {
		t.Fatal(err)
	}
	shut = sync.OnceFunc(func() {
		if err := g.Leave(); err != nil {
			t.Error(err)
		}
		g.Wait()
		if held := g.held.Load(); held != 0 {
			t.Errorf("%d bytes are held when all is over", held)
		}
		if g.census.all != 0 || len(g.census.of) != 0 {
			t.Errorf("%d connections are counted when all is over, of %d networks", g.census.all, len(g.census.of))
		}
	})
	t.Cleanup(shut)
	return g, shut
}

func dial(t testing.TB, addr netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patient)); err != nil {
		t.Fatal(err)
	}
	return c
}

// query is a question as it goes over a connection.
func query(id uint16, text string) []byte {
	b := make([]byte, header+shortest, header+shortest+len(text))
	binary.BigEndian.PutUint16(b, uint16(shortest+len(text)))
	binary.BigEndian.PutUint16(b[header:], id)
	return append(b, text...)
}

func write(t testing.TB, c io.Writer, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// answer reads one.
func answer(c io.Reader) (id uint16, text string, err error) {
	var size [header]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return 0, "", err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return 0, "", err
	}
	return binary.BigEndian.Uint16(b), string(b[shortest:]), nil
}

// expect reads an answer, and compares.
func expect(t testing.TB, c io.Reader, id uint16, text string) {
	t.Helper()
	gotID, got, err := answer(c)
	if err != nil || gotID != id || got != text {
		t.Fatalf("got %d %.40q, %v; want %d %.40q", gotID, got, err, id, text)
	}
}

// over reads to the end, of which there must be one.
func over(t testing.TB, c net.Conn) {
	t.Helper()
	var b bytes.Buffer
	_, err := io.Copy(&b, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection is open")
	}
}
