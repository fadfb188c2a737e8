// Package server starts fedns as its users do, for tests: the program itself, over
// a Corefile, on loopback.
package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/vector"
)

// Binary builds fedns once a test run, and gives its path.
var Binary = sync.OnceValues(func() (string, error) { return Build("fedns") })

// Build builds one of the programs of cmd, and gives its path.
func Build(program string) (string, error) {
	path := filepath.Join(vector.Root(), "bin", "test", program)
	// As make build does, so that both share the build cache.
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/"+program)
	cmd.Dir = vector.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/%s: %w\n%s", program, err, out)
	}
	return path, nil
}

// A Server is a running fedns.
type Server struct {
	Addr     string // host:port of DNS, UDP and TCP
	Corefile string // path
	Dir      string // its working directory
	Pid      int

	ready, metrics string // host:port
	cmd            *exec.Cmd
	log            *Buffer
	done           <-chan struct{}
}

// Start starts fedns over a Corefile and waits until it is ready. In the text,
// ADDR stands for the address it is to bind to and PORT for its port; READY and
// METRICS, where they stand, for addresses of these plugins. It ends with the test.
func Start(t testing.TB, corefile string) *Server {
	t.Helper()
	s := Launch(t, corefile)
	s.WaitReady(t)
	return s
}

// Launch is Start without waiting. under is a command that runs the program it is
// given, such as taskset with its arguments; mostly none.
func Launch(t testing.TB, corefile string, under ...string) *Server {
	t.Helper()
	bin, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Addr:    fmt.Sprint("127.0.0.1:", vector.Port(t)),
		ready:   fmt.Sprint("127.0.0.1:", vector.Port(t)),
		metrics: fmt.Sprint("127.0.0.1:", vector.Port(t)),
		Dir:     vector.Root(),
		log:     &Buffer{},
	}
	s.Corefile = filepath.Join(t.TempDir(), "Corefile")
	s.Write(t, corefile)
	s.run(t, bin, under)
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("fedns printed:\n%s", s.Log())
		}
	})
	return s
}

func (s *Server) run(t testing.TB, bin string, under []string) {
	t.Helper()
	args := slices.Concat(under, []string{bin, "-conf", s.Corefile})
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Dir = s.Dir
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	var err error
	if s.done, err = vector.Start(s.cmd); err != nil {
		t.Fatal(err)
	}
	s.Pid = s.cmd.Process.Pid
}

// Restart ends the server and starts another over the same Corefile, at the same
// addresses; it waits until that is ready.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	bin, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	s.run(t, bin, nil)
	s.WaitReady(t)
}

// Write replaces the Corefile; a running server takes it at its next reload.
func (s *Server) Write(t testing.TB, corefile string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.Addr)
	text := strings.NewReplacer("ADDR", host, "PORT", port, "READY", s.ready, "METRICS", s.metrics).Replace(corefile)
	if err := os.WriteFile(s.Corefile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// WaitReady waits until the server says it is ready, by the ready plugin if the
// Corefile has it, else by answering at all.
func (s *Server) WaitReady(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(s.Corefile)
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, 30*time.Second, "fedns is ready", func() bool {
		if s.Exited() {
			t.Fatalf("fedns has ended:\n%s", s.Log())
		}
		if strings.Contains(string(text), s.ready) {
			r, err := http.Get("http://" + s.ready + "/ready")
			if err != nil {
				return false
			}
			r.Body.Close()
			if r.StatusCode != http.StatusOK {
				return false
			}
			// It says so before the sockets for questions are open; where these are
			// elsewhere, the test has to see for itself.
			if host, _, _ := net.SplitHostPort(s.Addr); !strings.Contains(string(text), "bind "+host) {
				return true
			}
		}
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), s.Addr)
		return err == nil && m != nil
	})
}

// Ask asks one question over UDP.
func (s *Server) Ask(t testing.TB, name string, qtype uint16) *dns.Msg {
	t.Helper()
	return s.Exchange(t, "udp", new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype))
}

// Exchange sends a message over "udp" or "tcp". Over UDP it asks again when nothing comes,
// as resolvers do: the system of a busy machine may drop a packet.
func (s *Server) Exchange(t testing.TB, network string, m *dns.Msg) *dns.Msg {
	t.Helper()
	r, err := Query(&dns.Client{Net: network, Timeout: 5 * time.Second, UDPSize: dns.MaxMsgSize}, m, s.Addr)
	if err != nil {
		t.Fatalf("%v: %v", m.Question, err)
	}
	return r
}

// Query asks, and over UDP asks twice more if nothing comes, as resolvers do: a packet may
// meet a socket that closes just then.
func Query(c *dns.Client, m *dns.Msg, addr string) (*dns.Msg, error) {
	r, _, err := c.Exchange(m, addr)
	for range 2 {
		if c.Net != "" && c.Net != "udp" || !Lost(err) {
			break
		}
		r, _, err = c.Exchange(m, addr)
	}
	return r, err
}

// Lost says that an error is that no answer came in time.
func Lost(err error) bool {
	timeout := net.Error(nil)
	return errors.As(err, &timeout) && timeout.Timeout()
}

// Metric gives the value of a metric, by the line's text before it, summed over
// the lines that begin so.
func (s *Server) Metric(t testing.TB, prefix string) float64 {
	t.Helper()
	r, err := http.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, prefix) {
			var v float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
				t.Fatalf("metric %q: %v", line, err)
			}
			sum += v
		}
	}
	return sum
}

// MetricsAddr is where its METRICS are.
func (s *Server) MetricsAddr() string { return s.metrics }

// Reload asks for a reload, as `kill -USR1` does.
func (s *Server) Reload(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
}

// Log is what the server has printed.
func (s *Server) Log() string { return s.log.String() }

// Exited says whether the server has ended, and Done when.
func (s *Server) Exited() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Kill ends the server without a farewell.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.done
}

// Stop asks the server to end, and makes it if it doesn't.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		s.Kill()
	}
}

// Patience is how long to wait for what takes limit on a quiet machine: a test isn't to fail
// because the machine has other work, and one that passes doesn't wait.
func Patience(limit time.Duration) time.Duration { return max(limit, time.Minute) }

// Eventually waits for a condition, with Patience.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	limit = Patience(limit)
	for end := time.Now().Add(limit); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks at the condition
	}
}

// Addrs are the addresses of an answer, in its order.
func Addrs(m *dns.Msg) []string {
	var out []string
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			out = append(out, rr.A.String())
		case *dns.AAAA:
			out = append(out, rr.AAAA.String())
		}
	}
	return out
}

// Chain are the targets of an answer's CNAMEs, in its order.
func Chain(m *dns.Msg) []string {
	var out []string
	for _, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok {
			out = append(out, strings.TrimSuffix(c.Target, "."))
		}
	}
	return out
}

// A Buffer is a log that may be read while it is written.
type Buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
