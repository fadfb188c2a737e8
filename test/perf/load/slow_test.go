package load

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// blackHole takes questions and answers none.
func blackHole(t testing.TB) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// Questions that another block passes on to a server that doesn't answer take room
// up to a limit, and no time from those that are answered at once.
func TestSlowNeighbour(t *testing.T) {
	t.Parallel()
	const limit = 4096 // of questions that wait
	w := newWorld(t)
	s := server.Start(t, w.corefile("", "", "example.edu:PORT {\n bind ADDR\n forward . "+blackHole(t)+"\n}\n"))
	server.Eventually(t, patience, "there is a fast path", func() bool { return fastPath(t, s) })
	way := func(way string) float64 {
		return s.Metric(t, `coredns_federation_fast_questions_total{server="dns://`+s.Addr+`",way="`+way+`"}`)
	}
	fast := pour(t, s.Addr, pace{rate: 1000}, w.fast...)
	fast.more(t, 500)
	calm := fast.quantile(0.99)

	slow := pour(t, s.Addr, pace{rate: 3000, deaf: true}, ask("www.example.edu", dns.TypeA, "none"), ask("www.example.edu", dns.TypeA, "none").with(false))
	slow.patience = 0
	most := 0.0
	server.Eventually(t, 10*time.Second, "more wait than there is room for", func() bool {
		most = max(most, s.Metric(t, "go_goroutines "))
		return way("lost") > 1000
	})
	fast.more(t, 500)
	most = max(most, s.Metric(t, "go_goroutines "))
	slow.halt()
	// Each has a goroutine, and forward one or two for each as well.
	if most > 4*limit {
		t.Errorf("%v goroutines", most)
	}
	// Once those have given up, others of the chain have room again.
	var static *stream
	server.Eventually(t, 15*time.Second, "the chain answers again", func() bool {
		static = pour(t, s.Addr, pace{rate: 200, lines: 1}, w.chain...)
		static.patience = 100 * time.Millisecond
		static.more(t, 0)
		<-time.After(100 * time.Millisecond) // some questions long
		static.halt()
		return static.sent.Load() > 0 && static.sent.Load() == static.answered.Load()
	})
	static.right(t)
	fast.whole(t)
	t.Logf("%v of %d slow questions lost, at most %v goroutines; of %d fast ones 99%% within %v, of the first, alone, %v",
		way("lost"), slow.sent.Load(), most, fast.answered.Load(), fast.quantile(0.99), calm)
}

// Questions that nobody answers hold up the end for as long as CoreDNS gives its own
// at most, once for those that came by the fast path and once for those that came
// after it. In the first part everybody else is still answered; in the second, as
// always with CoreDNS, nobody reads any more.
func TestShutdownWithSlowNeighbour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := launch(t, w.corefile("", "", "example.edu:PORT {\n bind ADDR\n forward . "+blackHole(t)+"\n}\n"))
	slow := pour(t, p.addr, pace{rate: 200, deaf: true}, ask("www.example.edu", dns.TypeA, "none"))
	slow.patience = 0
	st := pour(t, p.addr, pace{rate: 500}, w.fast...)
	st.more(t, 300)
	asked, took := p.end(t, syscall.SIGTERM)
	ended := asked.Add(took)
	st.patience = 50 * time.Millisecond
	st.halt()
	st.right(t)
	slow.halt()
	if took >= 3*grace || p.ProcessState.ExitCode() != 0 {
		t.Errorf("%v, after %v", p.ProcessState, took)
	}
	silent := ended.Sub(st.last)
	if silent >= 2*grace {
		t.Errorf("the last answer came %v before the end", silent)
	}
	early := 0
	for _, at := range st.lost {
		if at.Before(st.last.Add(-100 * time.Millisecond)) {
			early++
		}
	}
	if early > 0 {
		t.Errorf("%d questions that were asked before the last answer aren't answered", early)
	}
	t.Logf("it took %v, and the last answer came %v before the end", took.Round(time.Millisecond), silent.Round(time.Millisecond))
}
