package load

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A program is a fedns whose end the test looks at.
type program struct {
	*exec.Cmd
	addr string
	log  server.Buffer
	done chan struct{} // closed when it has ended
}

func launch(t *testing.T, corefile string) *program {
	t.Helper()
	bin, err := server.Binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{addr: fmt.Sprint("127.0.0.1:", vector.Port(t)), done: make(chan struct{})}
	host, port, _ := net.SplitHostPort(p.addr)
	metrics, ready := fmt.Sprint("127.0.0.1:", vector.Port(t)), fmt.Sprint("127.0.0.1:", vector.Port(t))
	path := filepath.Join(t.TempDir(), "Corefile")
	write(t, path, strings.NewReplacer("ADDR", host, "PORT", port, "READY", ready, "METRICS", metrics).Replace(corefile))
	p.Cmd = exec.Command(bin, "-conf", path)
	p.Dir = vector.Root()
	p.Stdout, p.Stderr = &p.log, &p.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Wait() // ProcessState says how
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // mostly it has ended
		<-p.done
		if t.Failed() {
			t.Logf("fedns printed:\n%s", p.log.String())
		}
	})
	server.Eventually(t, 30*time.Second, "fedns is ready, with a fast path", func() bool {
		r, err := http.Get("http://" + ready + "/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK && strings.Contains(p.log.String(), "fast path on")
	})
	return p
}

// grace is how long CoreDNS, and the fast path like it, wait at the end for what doesn't end.
const grace = 5 * time.Second

// end sends a signal, and says how long the program took to end by it.
func (p *program) end(t *testing.T, by syscall.Signal) (asked time.Time, took time.Duration) {
	t.Helper()
	asked = time.Now()
	if err := p.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatalf("still there a minute after %v", by)
	}
	return asked, time.Since(asked)
}

// The program ends under load, by either signal: soon, in order, and answering until
// just before it has ended.
func TestShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, by := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for round := range 3 {
			t.Run(fmt.Sprint(by, " ", round), func(t *testing.T) {
				p := launch(t, w.corefile("", ""))
				st := pour(t, p.addr, steady, w.all()...)
				st.more(t, 500)
				asked, took := p.end(t, by)
				ended := asked.Add(took)
				st.patience = 50 * time.Millisecond // nobody is there to answer
				st.halt()
				st.right(t)
				if took >= grace {
					t.Errorf("it took %v: something was waited for until it was given up", took)
				}
				if code := p.ProcessState.ExitCode(); code != 0 {
					t.Errorf("%v", p.ProcessState)
				}
				for _, bad := range []string{"panic", "goroutine ", "[ERROR]", "fatal"} {
					if strings.Contains(p.log.String(), bad) {
						t.Errorf("the log says %q", bad)
					}
				}
				// Between the last look into the sockets and the end of the process lies
				// what CoreDNS tidies up.
				const end = 100 * time.Millisecond
				early := 0
				for _, at := range st.lost {
					if at.Before(ended.Add(-end)) {
						early++
					}
				}
				if early > 0 {
					t.Errorf("%d questions that were asked more than %v before the end aren't answered", early, end)
				}
				if silent := ended.Sub(st.last); silent > end {
					t.Errorf("the last answer came %v before the end", silent)
				}
				t.Logf("%v took %v; %d answered, %d asked in the last moments and not; the last answer came %v before the end",
					by, took.Round(time.Millisecond), st.answered.Load(), len(st.lost), ended.Sub(st.last).Round(time.Microsecond))
			})
		}
	}
}
