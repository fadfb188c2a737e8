package stream

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dns/sockets"
)

// A tally counts why connections were ended.
type tally struct {
	sync.Mutex
	of map[string]int
}

func (y *tally) ended(why string) {
	y.Lock()
	defer y.Unlock()
	if y.of == nil {
		y.of = map[string]int{}
	}
	y.of[why]++
}

func (y *tally) count(why string) int {
	y.Lock()
	defer y.Unlock()
	return y.of[why]
}

// Each limit of time ends what goes beyond it, and nothing else.
func TestTimes(t *testing.T) {
	const short = 50 * time.Millisecond
	for _, tt := range []struct {
		name   string
		limits Limits
		sent   [][]byte // a while between them
		ends   bool
	}{
		{"silent from the beginning", Limits{Question: short, Idle: patient, Write: patient}, nil, true},
		{"silent from the beginning, and may be", Limits{Question: patient, Idle: short, Write: short}, nil, false},
		{"half a question", Limits{Question: short, Idle: patient, Write: patient}, [][]byte{query(1, "q")[:9]}, true},
		{"half a question, drop by drop", Limits{Question: 8 * short, Idle: patient, Write: patient}, slices.Collect(slices.Chunk(query(1, strings.Repeat("q", 600)), 1)), true},
		{"half a second question", Limits{Question: short, Idle: patient, Write: patient}, [][]byte{slices.Concat(query(1, "q"), query(2, "q")[:9])}, true},
		{"idle", Limits{Question: patient, Idle: short, Write: patient}, [][]byte{query(1, "q")}, true},
		{"idle, and may be", Limits{Question: short, Idle: patient, Write: short}, [][]byte{query(1, "q")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := beside(t, "127.0.0.1:0")
			open(t, o, 1, &Service{Handler: &echo{}, Limits: tt.limits})
			c := dial(t, o.addr)
			go func() {
				for _, b := range tt.sent {
					if _, err := c.Write(b); err != nil {
						return
					}
					if len(tt.sent) > 1 {
						time.Sleep(short / 10)
					}
				}
			}()
			if tt.ends {
				over(t, c)
				return
			}
			_ = c.SetReadDeadline(time.Now().Add(3 * lookEvery))
			if _, err := io.Copy(io.Discard, c); err == nil || !strings.Contains(err.Error(), "timeout") {
				t.Errorf("it was ended: %v", err)
			}
		})
	}
}

// Who takes nothing of its answers is ended; what it was to get is held no longer.
func TestNotTaken(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	long := strings.Repeat("z", 60000)
	g, _ := open(t, o, 1, &Service{Handler: &echo{respond: func(p *packet.Packet) int { return shortest + copy(p.Buf[shortest:], long) }},
		Limits: Limits{Question: patient, Idle: patient, Write: 50 * time.Millisecond}})
	c := dial(t, o.addr)
	go func() {
		for {
			if _, err := c.Write(query(1, "q")); err != nil {
				return
			}
		}
	}()
	eventually(t, "something is held", func() bool { return g.held.Load() > 0 })
	eventually(t, "it is held no longer, since the connection has ended", func() bool { return g.held.Load() == 0 })
}

// A connection has as many questions as it may.
func TestQueries(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	s := plain(&echo{})
	s.Queries = 3
	open(t, o, 1, s)
	c := dial(t, o.addr)
	write(t, c, slices.Concat(query(1, "a"), query(2, "b"), query(3, "c"), query(4, "d")))
	for i, text := range []string{"a", "b", "c"} {
		expect(t, c, uint16(i+1), text)
	}
	over(t, c)
}

// Beyond a limit of connections the one ends that has been silent for the longest, of its network where that
// has too many; whoever has just asked stays.
func TestTooMany(t *testing.T) {
	for _, tt := range []struct {
		name, why string
		limits    Limits
	}{{"in all", "all", Limits{All: 5}}, {"of a network", "network", Limits{Network: 5}}} {
		t.Run(tt.name, func(t *testing.T) {
			o := beside(t, "127.0.0.1:0")
			var y tally
			s := plain(&echo{})
			s.All, s.Network, s.Ended = tt.limits.All, tt.limits.Network, y.ended
			open(t, o, 1, s)
			var cs []*net.TCPConn
			for range 5 {
				c := dial(t, o.addr)
				write(t, c, query(1, "q"))
				expect(t, c, 1, "q")
				cs = append(cs, c)
			}
			write(t, cs[0], query(2, "q")) // now the second has been silent for the longest
			expect(t, cs[0], 2, "q")
			c := dial(t, o.addr)
			write(t, c, query(3, "q"))
			expect(t, c, 3, "q")
			over(t, cs[1])
			for _, c := range []*net.TCPConn{cs[0], cs[2], cs[3], cs[4], c} {
				write(t, c, query(4, "q"))
				expect(t, c, 4, "q")
			}
			if n := y.count(tt.why); n != 1 {
				t.Errorf("%d ended because of %s, want 1", n, tt.why)
			}
		})
	}
}

func TestNetworks(t *testing.T) {
	var c census
	l := Limits{All: 4, Network: 2}
	for _, tt := range []struct {
		from string
		want int
	}{
		{"192.0.2.1", within}, {"192.0.2.200", within}, {"192.0.2.3", beyondNetwork}, {"::ffff:192.0.3.1", within},
		{"2001:db8::1", beyondAll}, {"2001:db8:0:ff::1", beyondAll}, {"2001:db8:0:1::1", beyondNetwork},
	} {
		if got := c.enter(sockets.NetworkOf(netip.MustParseAddr(tt.from)), l); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.from, got, tt.want)
		}
	}
}

// Where there are no descriptors left, the log hears of it once, nothing spins, and whoever comes is
// served for one that has been silent.
func TestNoDescriptors(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	var y, short tally
	s := plain(&echo{})
	s.Ended, s.Short = y.ended, func(err error) { short.ended(err.Error()) }
	open(t, o, 1, s)
	first := dial(t, o.addr)
	write(t, first, query(1, "q"))
	expect(t, first, 1, "q")
	late := dial(t, o.addr) // before there are none left for this end of it
	write(t, late, query(2, "q"))
	expect(t, late, 2, "q")

	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	// The next one that is opened has the lowest free number: there is none below the limit.
	none := before
	none.Cur = uint64(fd + 1)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore := sync.OnceFunc(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	defer restore()
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(o.addr.Port()), Addr: o.addr.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, query(3, "q")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	n, err := unix.Read(fd, b)
	if err != nil || !bytes.HasSuffix(b[:n], []byte("q")) {
		t.Errorf("got %q, %v", b[:n], err)
	}
	restore()
	if y.count("descriptors") < 1 || len(short.of) != 1 {
		t.Errorf("ended %v, said %v", y.of, short.of)
	}
	over(t, first)
}

// Thousands of connections come at once, ask, and go; nothing is left of them.
func TestStorm(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	e := &echo{}
	open(t, o, 2, plain(e))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 100 {
				c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(o.addr))
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(patient))
				_ = c.SetLinger(0)
				if _, err := c.Write(query(1, "q")); err != nil {
					t.Error(err)
				}
				if _, text, err := answer(c); err != nil || text != "q" {
					t.Error(text, err)
				}
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	if n := e.asked.Load(); n != 2000 {
		t.Errorf("%d questions, want 2000", n)
	}
}

// The handler changes under questions: none is lost, and none answered by what was before when that has
// been seen to have changed.
func TestHandle(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	by := func(b byte) *Service {
		return plain(&echo{respond: func(p *packet.Packet) int { p.Buf[shortest] = b; return p.N }})
	}
	g, _ := open(t, o, 2, by('0'))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		c := dial(t, o.addr)
		wg.Go(func() {
			for last := "0"; ; {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.Write(query(1, "?")); err != nil {
					t.Error(err)
					return
				}
				_, text, err := answer(c)
				if err != nil || text < last {
					t.Errorf("%q behind %q, %v", text, last, err)
					return
				}
				last = text
			}
		})
	}
	for b := byte('1'); b <= '9'; b++ {
		time.Sleep(5 * time.Millisecond)
		g.Handle(by(b))
	}
	close(stop)
	wg.Wait()
}

// An idle connection holds next to nothing.
func TestIdleMemory(t *testing.T) {
	var c conn
	if size := int(unsafe.Sizeof(c)); size > 512 {
		t.Errorf("%d bytes", size)
	}
	o := beside(t, "127.0.0.1:0")
	g, _ := open(t, o, 1, plain(&echo{}))
	d := dial(t, o.addr)
	write(t, d, query(1, "q"))
	expect(t, d, 1, "q")
	if held := g.held.Load(); held != 0 {
		t.Errorf("%d bytes are held of an idle connection", held)
	}
}
