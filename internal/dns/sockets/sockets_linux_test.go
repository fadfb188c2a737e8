package sockets

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary, started with this in its environment, is another server: it shares
// an address, says so, and ends with its standard input.
const asServer = "SOCKETS_TEST_SERVER"

var beside = flag.Int("looks", 30, "how often it is looked beside sockets that come and go, of which each look keeps all processors busy")

func TestMain(m *testing.M) {
	if what := os.Getenv(asServer); what != "" {
		serve(what)
		return
	}
	os.Exit(m.Run())
}

func serve(what string) {
	network, address, _ := strings.Cut(what, " ")
	c, err := share(network, address)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer c.Close()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// share listens as CoreDNS does.
func share(network, address string) (io.Closer, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, cerr)
	}}
	if strings.HasPrefix(network, "udp") {
		return lc.ListenPacket(context.Background(), network, address)
	}
	return lc.Listen(context.Background(), network, address)
}

// another starts another server.
func another(t *testing.T, network, address string) (pid int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	// With the race detector, a program waits for a second before it ends.
	cmd.Env = append(os.Environ(), asServer+"="+network+" "+address, "GORACE=atexit_sleep_ms=0")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	said := make([]byte, 5)
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "ready" {
		t.Fatalf("%s %s: it says %q, %v", network, address, said, err)
	}
	return cmd.Process.Pid
}

func port(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, p, _ := net.SplitHostPort(l.Addr().String())
		l.Close()
		if try("udp", ":"+p) == nil && try("tcp", ":"+p) == nil {
			return p
		}
	}
}

// Whoever answers at an address, or at one that it overlaps with, is found and named.
func TestLook(t *testing.T) {
	for _, tt := range []struct{ there, here string }{
		{"127.0.0.1", "127.0.0.1"},
		{"127.0.0.1", ""},
		{"", "127.0.0.1"},
		{"", ""},
		{"0.0.0.0", "127.0.0.1"},
		{"0.0.0.0", ""},
		{"::1", ""},
		{"", "::1"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(fmt.Sprintf("%s %q by %q", network, tt.here, tt.there), func(t *testing.T) {
				p := port(t)
				pid := another(t, network, net.JoinHostPort(tt.there, p))
				err := Look(network, net.JoinHostPort(tt.here, p), true)
				var taken *Taken
				if !errors.As(err, &taken) || len(taken.By) != 1 || taken.By[0].PID != pid || taken.By[0].Name == "" {
					t.Errorf("%v, want pid %d", err, pid)
				}
				other := map[string]string{"udp": "tcp", "tcp": "udp"}[network]
				if err := Look(other, net.JoinHostPort(tt.here, p), true); err != nil {
					t.Errorf("%s is free: %v", other, err)
				}
			})
		}
	}
	p := port(t)
	another(t, "udp", "127.0.0.1:"+p)
	for _, free := range []string{"127.0.0.2:" + p, "[::1]:" + p} {
		if err := Look("udp", free, true); err != nil {
			t.Errorf("%s is free: %v", free, err)
		}
	}
}

// What this process holds itself is nobody else's, whoever else is there.
func TestOwn(t *testing.T) {
	p := port(t)
	for _, network := range []string{"udp", "tcp"} {
		c, err := share(network, "127.0.0.1:"+p)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, address := range []string{"127.0.0.1:" + p, ":" + p} {
			if err := Look(network, address, false); err != nil {
				t.Errorf("%s %s: %v", network, address, err)
			}
		}
	}
}

// Connections that a server has left, and clients' own sockets, are no servers.
func TestLeftOver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	out, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in.Close() // first: TIME_WAIT is on this side
	out.Close()
	l.Close()
	if err := Look("tcp", address, true); err != nil {
		t.Errorf("after a server that has ended: %v", err)
	}
	client, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if got := Others("udp", client.LocalAddr().(*net.UDPAddr).AddrPort()); len(got) > 0 {
		t.Errorf("a client is said to answer: %v", got)
	}
}

// An address that this host doesn't have isn't taken by anybody.
func TestNoSuchAddress(t *testing.T) {
	err := Look("udp", "192.0.2.1:53", true)
	var taken *Taken
	if err == nil || errors.As(err, &taken) {
		t.Errorf("%v", err)
	}
}

func TestOverlap(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:53", "127.0.0.1:53", true},
		{"127.0.0.1:53", "127.0.0.1:54", false},
		{"127.0.0.1:53", "127.0.0.2:53", false},
		{"0.0.0.0:53", "127.0.0.2:53", true},
		{"[::]:53", "127.0.0.2:53", true},
		{"[::]:53", "0.0.0.0:53", true},
		{"[::1]:53", "0.0.0.0:53", false},
		{"[::ffff:127.0.0.1]:53", "127.0.0.1:53", true},
		{"[fe80::1%lo]:53", "[fe80::1]:53", true},
	} {
		a, b := netip.MustParseAddrPort(tt.a), netip.MustParseAddrPort(tt.b)
		if overlap(a, b) != tt.want || overlap(b, a) != tt.want {
			t.Errorf("%s and %s: want %v", a, b, tt.want)
		}
	}
}

// Who waits for its turn gets it when the other has begun, and waits no longer than it
// wants to.
func TestTurn(t *testing.T) {
	const p = 65000
	other, err := net.Listen("unix", fmt.Sprint("@fedns/start/", p))
	if err != nil {
		t.Fatal(err)
	}
	Turn([]uint16{p}, 50*time.Millisecond)
	if len(turn.held) != 0 {
		t.Error("it is the other's turn")
	}
	got := make(chan bool)
	go func() {
		Turn([]uint16{p, p}, time.Minute)
		close(got)
	}()
	other.Close()
	<-got
	Turn([]uint16{p}, time.Minute) // its own is no obstacle
	if len(turn.held) != 1 {
		t.Errorf("held: %v", turn.held)
	}
	EndTurn()
	again, err := net.Listen("unix", fmt.Sprint("@fedns/start/", p))
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"))
	f.Fuzz(func(t *testing.T, table []byte) {
		for _, s := range listeners("tcp", table) {
			if !s.at.Addr().IsValid() {
				t.Errorf("%+v", s)
			}
		}
	})
}

// The kernel's table is read in pieces, and a line is left out where those before it go
// between two of them: whoever answers is found beside sockets that come and go.
func TestLookBesideOthers(t *testing.T) {
	p := port(t)
	address := net.JoinHostPort("127.0.0.1", p)
	another(t, "udp", address)
	done := make(chan struct{})
	var churn sync.WaitGroup
	defer churn.Wait()
	defer close(done)
	for range 2 {
		churn.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				var all []io.Closer
				for range 200 {
					c, err := net.ListenPacket("udp", "127.0.0.1:0")
					if err != nil {
						break
					}
					all = append(all, c)
				}
				for _, c := range all {
					c.Close()
				}
			}
		})
	}
	for i := range *beside {
		var taken *Taken
		if err := Look("udp", address, true); !errors.As(err, &taken) {
			t.Fatalf("look %d: %v", i, err)
		}
	}
}
