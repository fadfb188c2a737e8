package faults

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

var kills = flag.Int("kills", 15, "how often fedns is killed during churn")

// A link leads to a cluster's API server and can be cut.
type link struct {
	addr, far string // host:port

	mu     sync.Mutex // guards the rest
	listen net.Listener
	conns  map[net.Conn]bool
}

// join makes a link to a cluster, and gives it as a member.
func join(t *testing.T, c *cluster.Cluster) (*link, member) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.ReadOnly(t))
	if err != nil {
		t.Fatal(err)
	}
	l := &link{addr: fmt.Sprint("127.0.0.1:", vector.Port(t)), far: strings.TrimPrefix(config.Clusters[c.Name].Server, "https://"), conns: map[net.Conn]bool{}}
	l.mend(t)
	t.Cleanup(l.cut)
	config.Clusters[c.Name].Server = "https://" + l.addr
	out := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, out); err != nil {
		t.Fatal(err)
	}
	return l, kubeconfig(c.Name, out)
}

// mend opens the link, at the address that it has always had.
func (l *link) mend(t *testing.T) {
	t.Helper()
	listen, err := net.Listen("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listen, l.addr = listen, listen.Addr().String()
	go func() {
		for {
			near, err := listen.Accept()
			if err != nil {
				return // cut
			}
			go l.carry(listen, near)
		}
	}()
}

// cut breaks the connections and refuses new ones.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listen.Close()
	for c := range l.conns {
		c.Close()
	}
}

func (l *link) carry(from net.Listener, near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", l.far)
	if err != nil {
		return
	}
	defer far.Close()
	l.mu.Lock()
	if l.listen != from || l.closed() {
		l.mu.Unlock()
		return // cut meanwhile
	}
	l.conns[near] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, near)
	}()
	go func() {
		_, _ = io.Copy(far, near) // either end may go at any time
		far.Close()
	}()
	_, _ = io.Copy(near, far) // the same
}

func (l *link) closed() bool {
	return l.listen.(*net.TCPListener).SetDeadline(time.Time{}) != nil
}

// state number n of the churn is an address.
func numbered(n int) string {
	return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}).String()
}

// number undoes numbered; -1: it is none.
func number(what string) int {
	a, err := netip.ParseAddr(what)
	if err != nil || !a.Is4() || a.As4()[0] != 10 {
		return -1
	}
	b := a.As4()
	return int(b[2])<<8 | int(b[3])
}

// SIGKILL of fedns at random moments during churn, with state, all API servers out
// of reach when it comes back: it answers the last published state, or one at most
// one publication older, within 1 s.
func killed(t *testing.T, w *world) {
	var links []*link
	var members []member
	for _, c := range w.clusters {
		l, m := join(t, c)
		links, members = append(links, l), append(members, m)
	}
	w.paris.Expose(t, "shop", "seq", numbered(0))
	w.paris.Slice(t, "shop", "seq", "eu-a", true)
	dir := t.TempDir()
	const patience = 200 * time.Millisecond // with one that may be dead
	config := corefile("heartbeat 200ms 600ms\n hold 1m\n guard off\n state "+dir+"\n", members...)
	s := start(t, config)
	s.patience = patience
	s.becomes(t, healed, "seq", numbered(0))

	written, same, older, newer, bad := 0, 0, 0, 0, 0
	back, worst := 0, uint32(0)
	var slowest time.Duration
	begin := time.Now()
	for i := range *kills {
		e := look(t, s, "seq")
		// Churn until the kill, which may come before all is listed again.
		stop, stopped := make(chan struct{}), make(chan error)
		go func() {
			for tick := time.NewTicker(7 * time.Millisecond); ; {
				select {
				case <-stop:
					tick.Stop()
					stopped <- nil
					return
				case <-tick.C:
				}
				if err := move(t, w.paris, "seq", numbered(written+1)); err != nil {
					stopped <- err
					return
				}
				written++
			}
		}()
		until(time.Now().Add(rand.N(1200 * time.Millisecond)))
		serial := s.serial()
		s.Kill()
		for _, l := range links {
			l.cut()
		}
		close(stop)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		e.halt()
		published := []int{}
		for _, g := range e.whats("seq") {
			if n := number(g.what); n >= 0 {
				published = append(published, n)
			}
		}

		launched := time.Now()
		s = running{Server: server.Launch(t, config), dial: net.Dial, patience: patience}
		k := asker{running: s}
		var first answer
		server.Eventually(t, 10*time.Second, "fedns answers after the kill", func() bool {
			var err error
			first, err = k.ask("seq")
			return err == nil
		})
		// What comes before the state is read says so, and isn't remembered by anybody.
		for first.what == "SERVFAIL" && time.Since(launched) < 10*time.Second {
			first, _ = k.ask("seq")
		}
		took := time.Since(launched)
		slowest = max(slowest, took)
		other, err := k.ask("web")
		for server.Lost(err) && time.Since(launched) < server.Patience(0) {
			other, err = k.ask("web")
		}
		k.close()
		n, last := number(first.what), published[len(published)-1]
		before := last
		if len(published) > 1 {
			before = published[len(published)-2]
		}
		switch {
		case n == last:
			same++
		case n > last && n <= written: // published between the last question and the kill
			newer++
		case n == before:
			older++
		default:
			bad++
			t.Errorf("kill %d: back with %v (state %d), want %d or %d; published were %v, written %d", i, first, n, last, before, published, written)
		}
		if other.what != everywhere {
			t.Errorf("kill %d: web: %v", i, other)
		}
		if now := s.serial(); int32(now-serial) < 0 { // RFC 1982
			back++
			worst = max(worst, serial-now)
		}
		if !slices.ContainsFunc(first.ede, func(e string) bool { return strings.HasPrefix(e, "3 ") }) {
			t.Errorf("kill %d: not stale: %v", i, first)
		}
		for _, l := range links {
			l.mend(t)
		}
		if i%3 == 0 { // else the next kill may come before it is fresh
			s.becomes(t, 2*healed, "seq", numbered(written))
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > 3 {
		t.Errorf("%d kills have left %d files: %v", *kills, len(files), files)
	}
	row(t, fmt.Sprintf("SIGKILL of fedns during churn, %d times, with state, no API within reach", *kills),
		"the last published state or one publication older, within 1s of start",
		fmt.Sprintf("%d last, %d newer than the last seen, %d one older, %d wrong; %d states written; slowest start %v; %d files in the folder", same, newer, older, bad, written, slowest.Round(time.Millisecond), len(files)),
		time.Since(begin))
	if back > 0 {
		t.Errorf("the SOA serial went back at %d of %d kills, by up to %d: secondaries wouldn't transfer for as many seconds", back, *kills, worst)
	}
	row(t, "the same, SOA serial", "moves forward across restarts", fmt.Sprintf("went back %d times, by up to %d", back, worst), time.Since(begin))
}

// serial is that of the domain's SOA record; 0: nobody says.
func (s running) serial() uint32 {
	c := dns.Client{Timeout: time.Second}
	m, _, err := c.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), s.Addr)
	if err != nil || len(m.Answer) == 0 {
		return 0
	}
	soa, ok := m.Answer[0].(*dns.SOA)
	if !ok {
		return 0
	}
	return soa.Serial
}

// SIGKILL of fedns after its first start, in which one cluster's slices came after
// its Services, and after all that another cluster has: it answers the last
// published state of the late one too.
func killedEarly(t *testing.T, w *world) {
	early, late := newProxy(t, w.paris), newProxy(t, w.oslo)
	early.slices, late.slices = 500*time.Millisecond, time.Second
	early.feel(t, tardy)
	late.feel(t, tardy)
	config := corefile(patient+" state "+t.TempDir()+"\n", early.member, late.member)
	s := start(t, config)
	const both = "192.0.2.1 192.0.2.3"
	s.becomes(t, healed, "web", both)
	s.fresh(t, healed, "web", "web.no-a")
	until(time.Now().Add(500 * time.Millisecond)) // and any disk would have it
	s.Kill()
	early.feel(t, throttle)
	late.feel(t, throttle)
	launched := time.Now()
	s = running{Server: server.Launch(t, config), dial: net.Dial}
	server.Eventually(t, 5*time.Second, "fedns answers", func() bool { return s.ask("web").ttl > 0 })
	took := time.Since(launched)
	a, zonal := s.ask("web"), s.ask("web.no-a")
	if a.what != both || zonal.what != "192.0.2.3" {
		t.Errorf("back with web: %v; web.no-a: %v", a, zonal)
	}
	row(t, "SIGKILL of fedns; one cluster's slices had been listed late; its API refuses now", "the last published state", fmt.Sprintf("web: %s; web.no-a: %s", a.what, zonal.what), took)
}
