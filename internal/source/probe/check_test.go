package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(acceptEnv) != "" {
		accept()
	}
	goleak.VerifyTestMain(m)
}

var loopback = netip.MustParseAddr("127.0.0.1")

// asks probes a port of the loopback as words say, and gives the reason of a failure.
func asks(t *testing.T, port uint16, words string) (why string, local bool) {
	t.Helper()
	s, err := Parse(strings.Fields(words))
	if err != nil {
		t.Fatal(err)
	}
	x := s.At(loopback, port)
	ctx, cancel := context.WithTimeout(t.Context(), s.Timeout)
	defer cancel()
	return reason(x.Addr, ask(ctx, x))
}

// bound is a port that nobody else can take, without a listener.
func bound(t *testing.T) (fd int, port uint16) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, uint16(sa.(*syscall.SockaddrInet4).Port)
}

// blackhole is a port where no connection is accepted or refused: its queue is full.
func blackhole(t *testing.T) uint16 {
	t.Helper()
	fd, port := bound(t)
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 100*time.Millisecond)
		if err != nil {
			return port
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue never fills")
	return 0
}

// raw is a server that reads a request and says what it is told, as it is.
func raw(t *testing.T, answer string) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, answer)
			conn.Close()
		}
	}()
	return port(l.Addr())
}

func port(a net.Addr) uint16 { return uint16(a.(*net.TCPAddr).Port) }

func TestTCP(t *testing.T) {
	accepting := raw(t, "")
	_, refusing := bound(t)
	dark := blackhole(t)
	for _, tt := range []struct {
		name string
		port uint16
		want string
	}{
		{"accepts", accepting, ""},
		{"refuses", refusing, "connection refused"},
		{"is silent", dark, "timeout"},
	} {
		if why, local := asks(t, tt.port, "tcp timeout 200ms"); why != tt.want || local {
			t.Errorf("%s: %q, local %v; want %q", tt.name, why, local, tt.want)
		}
	}
}

// No probe leaves a connection behind, not even one that is remembered.
func TestNoTimeWait(t *testing.T) {
	p := raw(t, "HTTP/1.1 200 OK\r\n\r\n")
	before := remembered(t, p) // of who had the port a minute ago
	for range 20 {
		if why, _ := asks(t, p, "tcp"); why != "" {
			t.Fatal(why)
		}
	}
	for _, c := range remembered(t, p) {
		if !slices.Contains(before, c) {
			t.Errorf("left behind: %s", c)
		}
	}
}

// remembered are the connections from and to a port of which the system knows only that they have been.
func remembered(t *testing.T, port uint16) (all []string) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skip("no /proc/net/tcp: ", err)
	}
	const timeWait = "06"
	ours := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); f[3] == timeWait && (strings.HasSuffix(f[1], ours) || strings.HasSuffix(f[2], ours)) {
			all = append(all, f[1]+" "+f[2])
		}
	}
	return all
}

func handler(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		w.Write(make([]byte, 1<<20)) // more than a probe reads
	case "/host":
		if r.Host != "web.example.com" {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
	case "/query":
		if r.URL.RawQuery != "a=b" || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusBadRequest)
		}
	case "/moved":
		http.Redirect(w, r, "/sick", http.StatusFound)
	case "/hints":
		for range 3 {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.WriteHeader(http.StatusNoContent)
	case "/slow":
		select {
		case <-time.After(5 * time.Second):
		case <-r.Context().Done():
		}
	case "/sick":
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func TestHTTP(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(handler))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for _, tt := range []struct{ words, want string }{
		{"/", ""},
		{"/ 204", "status 200"},
		{"/host", "status 421"},
		{"/host host web.example.com", ""},
		{"/query?a=b", ""},
		{"/moved", ""},
		{"/moved 200-299", "status 302"},
		{"/hints 204", ""},
		{"/slow timeout 200ms", "timeout"},
		{"/sick", "status 503"},
		{"/sick 503", ""},
	} {
		for kind, s := range map[string]*httptest.Server{"http": plain, "https": secure} {
			if why, local := asks(t, port(s.Listener.Addr()), kind+" "+tt.words); why != tt.want || local {
				t.Errorf("%s %s: %q, local %v; want %q", kind, tt.words, why, local, tt.want)
			}
		}
	}
	if why, _ := asks(t, port(plain.Listener.Addr()), "https"); why != "tls: first record does not look like a TLS handshake" {
		t.Errorf("https to http: %q", why)
	}
	if why, _ := asks(t, port(secure.Listener.Addr()), "http"); why != "status 400" {
		t.Errorf("http to https: %q", why)
	}
}

// Servers that have lost their way.
func TestNotHTTP(t *testing.T) {
	for _, tt := range []struct{ answer, want string }{
		{"", "closed without an answer"},
		{"HTTP/1.0 200", "the answer is not HTTP"}, // cut off
		{"HTTP/1.0 200\n", ""},
		{"HTTP/1.1 200 OK\r\n", ""},
		{"HTTP/1.1 2000 OK\r\n", "the answer is not HTTP"},
		{"HTTP/1.1 -20 OK\r\n", "the answer is not HTTP"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\n\r\n", "status 500"},
		{"HTTP/1.1 100 Continue\r\n", "the answer is not HTTP"},
		{"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP"},
		{strings.Repeat("x", 1<<16), "the answer is not HTTP"},
		{strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1<<12), "the answer is not HTTP"},
	} {
		why, local := asks(t, raw(t, tt.answer), "http")
		if why != tt.want || local {
			t.Errorf("%.40q: %q, local %v; want %q", tt.answer, why, local, tt.want)
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204\r\n")
	f.Add("HTTP/1.1 ")
	f.Fuzz(func(t *testing.T, answer string) {
		code, err := status(bufio.NewReader(strings.NewReader(answer)))
		if (err == nil) != (code >= 200 && code <= 999) {
			t.Fatalf("%q: %d, %v", answer, code, err)
		}
	})
}

// What a kernel says about this host is not taken for what it says about a target.
func TestReason(t *testing.T) {
	dial := func(e syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", e)}
	}
	for _, tt := range []struct {
		addr  string
		err   error
		want  string
		local bool
	}{
		{"127.0.0.1:1", dial(syscall.ECONNREFUSED), "connection refused", false},
		{"127.0.0.1:1", dial(syscall.ETIMEDOUT), "timeout", false},
		{"127.0.0.1:1", dial(syscall.EMFILE), "too many open files", true},
		{"127.0.0.1:1", dial(syscall.EADDRNOTAVAIL), "cannot assign requested address", true},
		{"127.0.0.1:1", dial(syscall.ENOBUFS), "no buffer space available", true},
		{"127.0.0.1:1", dial(syscall.EPERM), "operation not permitted", true},
		// A router says so: this host has a route.
		{"127.0.0.1:1", dial(syscall.ENETUNREACH), "network is unreachable", false},
		{"127.0.0.1:1", dial(syscall.EHOSTUNREACH), "no route to host", false},
		// Link-local without a link: no route at all, and no packet.
		{"[fe80::1]:1", dial(syscall.ENETUNREACH), "network is unreachable", true},
		{"127.0.0.1:1", context.Canceled, "ended", true},
		{"127.0.0.1:1", io.ErrUnexpectedEOF, "unexpected EOF", false},
	} {
		if why, local := reason(netip.MustParseAddrPort(tt.addr), tt.err); why != tt.want || local != tt.local {
			t.Errorf("%s: %v: %q, local %v; want %q, %v", tt.addr, tt.err, why, local, tt.want, tt.local)
		}
	}
}

// A cancelled context ends a probe, whatever it waits for: nothing else would end these, but
// the kernel one of them after minutes, for another reason.
func TestCancel(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dark := blackhole(t)
	for _, x := range []struct {
		words string
		port  uint16
	}{
		{"tcp", dark},
		{"http", port(l.Addr())},
		{"https", port(l.Addr())},
	} {
		s, err := Parse(strings.Fields(x.words + " interval 1m timeout 1m"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(100*time.Millisecond, cancel)
		why, local := reason(netip.AddrPort{}, ask(ctx, s.At(loopback, x.port)))
		if why != "ended" || !local {
			t.Errorf("%s: %q, local %v", x.words, why, local)
		}
		timer.Stop()
		cancel()
	}
}
