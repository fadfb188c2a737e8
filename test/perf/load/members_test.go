package load

import (
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// stop has the API gone: who is connected is cut off, and nobody can connect.
func (c *cluster) stop() {
	c.Listener.Close() // first: who connects meanwhile would be waited for
	c.Config.Close()
	c.Close()
}

// start has it back where it was.
func (c *cluster) start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	c.Server = httptest.NewUnstartedServer(c)
	c.Listener.Close()
	c.Listener = l
	c.Start()
}

// hang has whoever connects wait for ever, until it is told to end: as a host whose kernel is there, and nothing else.
func (c *cluster) hang(t testing.TB) (end func()) {
	t.Helper()
	l, err := net.Listen("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	var all []net.Conn
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all = append(all, conn)
		}
	})
	return func() {
		l.Close()
		accepting.Wait()
		for _, conn := range all {
			conn.Close()
		}
	}
}

// Ten members whose APIs restart at once, gone for a while, or there and silent: every question is answered as before, and once they are
// back, what changes in them is. With -figures, how long answers take meanwhile, beside how long they take before.
func TestMembersRestart(t *testing.T) {
	members, services, rate, away := 10, 20, 500, 3*time.Second
	if *figures {
		services, rate, away = 5_000, 2_000, 5*time.Second
	} else {
		t.Parallel()
	}
	for _, hanging := range []bool{false, true} {
		t.Run(map[bool]string{false: "refuse", true: "hang"}[hanging], func(t *testing.T) {
			clusters := make([]*cluster, members)
			var stanza strings.Builder
			var questions []*question
			for i := range clusters {
				clusters[i] = newCluster(t, services)
				fmt.Fprintf(&stanza, "  cluster c%d {\n   kubeconfig %s paris\n   region r%d\n   zones z%d\n  }\n", i, clusters[i].kubeconfig(t), i, i)
				for n := range 10 { // if one were withdrawn, its name would lead elsewhere
					questions = append(questions, ask(fmt.Sprintf("s%d.shop.myfederation.svc.r%d.example.com", n*services/10, i), dns.TypeA, "NOERROR 10.0.0.0 11.0.0.0"))
				}
			}
			s := server.Start(t, "example.com:PORT {\n bind ADDR\n federation myfederation {\n"+stanza.String()+" }\n ready READY\n prometheus METRICS\n errors\n}\n")
			// A busy machine is ready without some of them.
			server.Eventually(t, 5*time.Minute, "all is known", func() bool {
				return fastPath(t, s) && int(s.Metric(t, "coredns_federation_shards{")) == members*services
			})
			check := func(q *question, _ time.Time, m *dns.Msg) string {
				if got := told(m); got != q.want {
					return q.name + ": " + got + ", not " + q.want
				}
				return ""
			}
			follows := func(state int) bool {
				for i := range clusters {
					m := s.Ask(t, fmt.Sprintf("s1.shop.myfederation.svc.r%d.example.com", i), dns.TypeA)
					if got, ok := shows(m); !ok || got != state {
						return false
					}
				}
				return true
			}
			times := func(st *stream) string {
				return fmt.Sprintf("p50 %v, p99 %v, p99.9 %v of %d", st.quantile(0.5), st.quantile(0.99), st.quantile(0.999), st.answered.Load())
			}
			quiet := pour(t, s.Addr, pace{rate: rate, check: check}, questions...)
			quiet.more(t, int64(2*rate))
			quiet.whole(t)

			cpu := cpuTime(t, s.Pid)
			st := pour(t, s.Addr, pace{rate: rate, check: check}, questions...)
			for _, c := range clusters {
				c.stop()
			}
			var ends []func()
			if hanging {
				for _, c := range clusters {
					ends = append(ends, c.hang(t))
				}
			}
			st.more(t, int64(float64(rate)*away.Seconds()))
			for _, end := range ends {
				end()
			}
			for _, c := range clusters {
				c.start(t)
			}
			back := time.Now()
			for _, c := range clusters {
				c.change(1) // which nobody asks for meanwhile
			}
			server.Eventually(t, 5*time.Minute, "what changes in each is answered", func() bool { return follows(1) })
			took := time.Since(back)
			st.whole(t)
			if *figures {
				fmt.Printf("\n%d members of %d services %s at once for %v, %d questions a second\n  before           %s\n  meanwhile        %s\n  followed again   after %v; %v of the server's CPU since they went\n",
					members, services, t.Name()[strings.LastIndexByte(t.Name(), '/')+1:], away, rate, times(quiet), times(st), took.Round(time.Millisecond), cpuTime(t, s.Pid)-cpu)
			}
		})
	}
}
