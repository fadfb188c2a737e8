package geo

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// TestSwap: while one database takes the place of the other, again and again, every answer is by one
// of them as a whole: the region and the scope that goes with it.
func TestSwap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	moved := maps.Clone(networks)
	moved["192.0.2.0/25"], moved["198.51.100.0/24"] = berlin, chicago
	delete(moved, "192.0.2.128/26") // and what is beside it is nowhere
	databases := [][]byte{city(t, built, networks), city(t, built.Add(time.Hour), moved)}
	// What each client gets by the one, and by the other.
	right := map[string][2]string{
		"192.0.2.1/32":      {iowa + " 25", belgium + " 25"},
		"198.51.100.1/32":   {taiwan + " 24", iowa + " 24"},
		"192.0.2.130/32":    {belgium + " 26", every + " 26"},
		"203.0.113.1/32":    {lapland + " 24", lapland + " 24"},
		"2001:db8:100::/56": {lapland + " 40", lapland + " 40"},
		"10.9.9.9/32":       {taiwan + " 24", taiwan + " 24"},
	}
	var asked atomic.Int64
	for _, way := range []string{"on", "off"} {
		s := start(t, w.corefile(with("fast "+way)...))
		var seen [2]atomic.Int64
		stop := make(chan struct{})
		var askers sync.WaitGroup
		for subnet, want := range right {
			askers.Go(func() {
				conn, err := (&dns.Client{Timeout: 5 * time.Second}).Dial(s.Addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				for {
					select {
					case <-stop:
						return
					default:
					}
					m := question("web", dns.TypeA, subnet)
					conn.SetDeadline(time.Now().Add(5 * time.Second))
					if err := conn.WriteMsg(m); err != nil {
						t.Error(err)
						return
					}
					r, err := conn.ReadMsg()
					if err != nil || r.Id != m.Id {
						t.Errorf("%s: %v, %v", subnet, r, err)
						return
					}
					asked.Add(1)
					time.Sleep(time.Millisecond) // leaves something of the machine to others
					got := read(r)
					switch is := got.addrs + " " + scopeOf(got); is {
					case want[0]:
						seen[0].Add(1)
					case want[1]:
						seen[1].Add(1)
					default:
						t.Errorf("fast %s: %s gets %q, want %q", way, subnet, is, want)
						return
					}
				}
			})
		}
		for swap := range 6 {
			which := (swap + 1) % 2
			replace(t, w.database(), databases[which])
			want := []string{iowa, belgium}[which]
			server.Eventually(t, 20*time.Second, "the other database is in use", func() bool { return from(t, s, "192.0.2.1", "web") == want })
		}
		close(stop)
		askers.Wait()
		s.Stop()
		if seen[0].Load() == 0 || seen[1].Load() == 0 {
			t.Errorf("fast %s: %d answers by the one, %d by the other", way, seen[0].Load(), seen[1].Load())
		}
	}
	t.Logf("%d answers while databases were swapped", asked.Load())
}

func scopeOf(r reply) string { return strconv.Itoa(r.scope) }
