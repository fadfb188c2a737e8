package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/health"
)

// acceptEnv makes the test binary the servers that the benchmark probes, so that
// their cost is not counted as the prober's.
const acceptEnv = "FEDNS_PROBE_ACCEPT"

// accept serves until its input ends: plain connections, HTTP and HTTPS.
func accept() {
	listen := func() net.Listener {
		l, err := net.Listen("tcp4", "0.0.0.0:0") // every address of 127.0.0.0/8
		if err != nil {
			panic(err)
		}
		return l
	}
	plain, web, secure := listen(), listen(), listen()
	fmt.Println(port(plain.Addr()), port(web.Addr()), port(secure.Addr()))
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	go http.Serve(web, ok)
	pair := httptest.NewUnstartedServer(ok) // for its certificate
	pair.StartTLS()
	go http.Serve(tls.NewListener(secure, pair.TLS), ok)
	go func() {
		for {
			conn, err := plain.Accept()
			if err != nil {
				continue // reset before it was accepted
			}
			conn.Close()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func used() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// 10,000 addresses at 2 s, for ten seconds after the first round. What a probe
// costs in the kernel is counted; what it costs the server it meets is not.
func BenchmarkProbes(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	server := exec.Command(self)
	server.Env = append(os.Environ(), acceptEnv+"=1")
	server.Stderr = io.Discard // handshakes that are cut off
	in, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	defer server.Wait()
	defer in.Close()
	var ports [3]uint16
	if _, err := fmt.Fscan(out, &ports[0], &ports[1], &ports[2]); err != nil {
		b.Fatal(err)
	}
	for i, bb := range []struct {
		words string
		n     int
	}{
		{"tcp", 10000},
		{"http", 10000},
		{"https", 1000},
	} {
		b.Run(fmt.Sprintf("%s=%d", bb.words, bb.n), func(b *testing.B) {
			s, err := Parse(strings.Fields(bb.words))
			if err != nil {
				b.Fatal(err)
			}
			targets := make([]Target, bb.n)
			for n := range targets {
				targets[n] = s.At(netip.AddrFrom4([4]byte{127, 1, byte(n / 250), byte(1 + n%250)}), ports[i])
			}
			benchmark(b, targets)
		})
	}
}

func benchmark(b *testing.B, targets []Target) {
	var passing atomic.Int64
	p := New(func(_ Target, r Result) {
		if r.State == health.Passing {
			passing.Add(1)
		}
	})
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	set(p, targets)
	time.Sleep(4 * time.Second)
	if n := passing.Load(); int(n) != len(targets) {
		b.Errorf("%d of %d targets pass", n, len(targets))
	}
	var cpu, wall time.Duration
	var probed, bad, behind float64
	counts := func(sign float64) {
		probed += sign * value(passes)
		bad += sign * (value(failures) + value(locals))
		behind += sign * value(lates)
	}
	for b.Loop() {
		counts(-1)
		from, began := used(), time.Now()
		time.Sleep(10 * time.Second)
		cpu, wall = cpu+used()-from, wall+time.Since(began)
		counts(+1)
	}
	cancel()
	wg.Wait()
	b.ReportMetric(100*cpu.Seconds()/wall.Seconds(), "%core")
	b.ReportMetric(float64(cpu.Microseconds())/probed, "µs/probe")
	b.ReportMetric(probed/wall.Seconds(), "probes/s")
	b.ReportMetric(bad, "failed")
	b.ReportMetric(behind, "late")
	b.ReportMetric(0, "ns/op")
}
