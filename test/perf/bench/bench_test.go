// Package bench measures fedns as its users meet it: the program, over real
// clusters or a big folder of manifests, asked over UDP.
package bench

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// figures asks for the whole measurement. Without it the same is done in small,
// to see that it works and that the answers are right.
var figures = flag.Bool("figures", false, "measure in full and print the figures")

// TestFigures prints the figures of docs/performance.md: `make bench`.
func TestFigures(t *testing.T) {
	t.Run("change to answer", changeToAnswer)
	t.Run("change to BIND", changeToBIND)
	t.Run("size", size)
}

// A line is a question that can be asked again and again, as fast as the server
// answers.
type line struct {
	conn  net.Conn
	query []byte
	reply [dns.MaxMsgSize]byte
}

// dial prepares the question for the A records of a name.
func dial(t *testing.T, addr, name string) *line {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	query, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	return &line{conn: conn, query: query}
}

// patience is how long an answer, or a changed one, is waited for.
const patience = time.Minute

// ask gives the answer as it came; it is good until the next question.
func (l *line) ask(t *testing.T) []byte {
	t.Helper()
	_ = l.conn.SetReadDeadline(time.Now().Add(patience)) // UDP sockets have deadlines
	if _, err := l.conn.Write(l.query); err != nil {
		t.Fatal(err)
	}
	n, err := l.conn.Read(l.reply[:])
	if err != nil {
		t.Fatal(err)
	}
	return l.reply[:n]
}

// until asks without a pause until the answer is as wanted.
func (l *line) until(t *testing.T, what string, want func(reply []byte) bool) {
	t.Helper()
	for end := time.Now().Add(patience); !want(l.ask(t)); {
		if time.Now().After(end) {
			m := new(dns.Msg)
			_ = m.Unpack(l.ask(t)) // for the message only
			t.Fatalf("not within %v: %s; the answer is still\n%v", patience, what, m)
		}
	}
}

// records is how many records an answer says it has (RFC 1035 section 4.1.1).
func records(reply []byte) int {
	if len(reply) < 12 {
		return 0
	}
	return int(binary.BigEndian.Uint16(reply[6:]))
}

// address says whether an answer ends with an IPv4 address. Nothing stands behind
// the records of an answer to a question without EDNS.
func address(reply []byte, a [4]byte) bool {
	return records(reply) == 1 && string(reply[len(reply)-4:]) == string(a[:])
}

// spread is what is printed of many times.
func spread(d []time.Duration) string {
	slices.Sort(d)
	at := func(p float64) time.Duration {
		return d[max(0, int(math.Ceil(p*float64(len(d))))-1)].Round(time.Microsecond)
	}
	return fmt.Sprintf("%5d changes   p50 %-8v p90 %-8v p99 %-8v max %v", len(d), at(0.5), at(0.9), at(0.99), at(1))
}

// coredns starts CoreDNS with its own kubernetes plugin over a Corefile in which
// PORT and READY stand for ports, and gives its address once it is ready.
func coredns(t *testing.T, corefile string) (addr string) {
	t.Helper()
	bin := filepath.Join(vector.Root(), "bin", "test", "coredns")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "./test/perf/bench/coredns")
	build.Dir = vector.Root()
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as fedns is built
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./test/perf/bench/coredns: %v\n%s", err, out)
	}
	port, ready := vector.Port(t), vector.Port(t)
	path := filepath.Join(t.TempDir(), "Corefile")
	text := strings.NewReplacer("PORT", fmt.Sprint(port), "READY", fmt.Sprint(ready)).Replace(corefile)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-conf", path)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may be gone
		_ = cmd.Wait()                          // it was killed
		log.Close()
		if raw, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("CoreDNS printed:\n%s", raw)
		}
	})
	server.Eventually(t, 30*time.Second, "CoreDNS is ready", func() bool {
		r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", ready))
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	listening(t, addr)
	return addr
}

// listening waits until a server answers at all: CoreDNS opens its sockets after
// its plugins have started, and says that it is ready before, if they are.
func listening(t *testing.T, addr string) {
	t.Helper()
	server.Eventually(t, patience, addr+" answers", func() bool {
		_, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(".", dns.TypeNS), addr)
		return err == nil
	})
}

// target says how a figure compares with what it is to be, on a machine that has
// nothing else to do.
func target(got, want float64, unit string) string {
	verdict := "met"
	if got > want {
		verdict = "MISSED"
	}
	return fmt.Sprintf("%.3g %s (target %.3g %s: %s)", got, unit, want, unit, verdict)
}
