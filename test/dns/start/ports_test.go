// Package start looks at how fedns starts: at its first minutes with a new operator,
// and at ports that somebody has already.
package start

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

const member = "cluster a {\nmanifests zones/clusters/gce-us-central1-a\n}\n"

// block is a server block with one federation, at ADDR:PORT.
func block(more string) string {
	return "example.com:PORT {\nbind ADDR\nfederation myfederation {\n" + member + "}\n" + more + "}\n"
}

const name = "nginx.mynamespace.myfederation.svc.example.com"

// ended waits for a start that is refused.
func ended(t *testing.T, s *server.Server) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
}

// at puts the address of a server into a Corefile that somebody else is to start.
func at(s *server.Server, corefile string) string {
	host, port, _ := net.SplitHostPort(s.Addr)
	return strings.NewReplacer("ADDR", host, "PORT", port).Replace(corefile)
}

// Two servers at one address: the second refuses, and says who the first is. The first
// doesn't notice.
func TestSecond(t *testing.T) {
	first := server.Start(t, block("ready READY\n"))
	sideline := vector.Port(t)
	beside := server.Start(t, block(fmt.Sprintf("ready READY\nprometheus 127.0.0.1:%d\n", sideline)))
	status := vector.Port(t)
	telling := server.Start(t, strings.Replace(block("ready READY\n"), member, member+fmt.Sprintf("status 127.0.0.1:%d\n", status), 1))
	for _, tt := range []struct {
		name, corefile, at string
		by                 *server.Server
	}{
		{"the same Corefile", at(first, block("")), first.Addr, first},
		{"all addresses", at(first, strings.Replace(block(""), "bind ADDR\n", "", 1)), first.Addr[strings.LastIndex(first.Addr, ":"):], first},
		{"all of IPv4", at(first, strings.Replace(block(""), "ADDR", "0.0.0.0", 1)), "0.0.0.0" + first.Addr[strings.LastIndex(first.Addr, ":"):], first},
		{"the interface", at(first, strings.Replace(block(""), "ADDR", "lo", 1)), first.Addr, first},
		{"a block without federation", at(first, ".:PORT {\nbind ADDR\nwhatever\n}\n"), "", nil},
		{"another block of it", block("") + at(first, "acme.com:PORT {\nbind ADDR\nforward . 127.0.0.1:9\n}\n"), first.Addr, first},
		{"a Corefile without federation", at(first, ".:PORT {\nbind ADDR\nforward . 127.0.0.1:9\n}\n"), first.Addr, first},
		{"metrics", block(fmt.Sprintf("prometheus 127.0.0.1:%d\n", sideline)), fmt.Sprint("127.0.0.1:", sideline), beside},
		{"ready", block(fmt.Sprintf("ready 127.0.0.1:%d\n", sideline)), fmt.Sprint("127.0.0.1:", sideline), beside},
		{"health", block(fmt.Sprintf("health :%d\n", sideline)), fmt.Sprint(":", sideline), beside},
		{"pprof", block(fmt.Sprintf("pprof 127.0.0.1:%d\n", sideline)), fmt.Sprint("127.0.0.1:", sideline), beside},
		{"status", strings.Replace(block(""), member, member+fmt.Sprintf("status 127.0.0.1:%d\n", status), 1), fmt.Sprint("127.0.0.1:", status), telling},
		{"over TLS", at(first, strings.Replace(block(""), "example.com", "tls://example.com", 1)), first.Addr, first},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := server.Launch(t, tt.corefile)
			ended(t, s)
			if tt.by == nil { // it is wrong, which is said first
				if !strings.Contains(s.Log(), "Unknown directive") {
					t.Errorf("it says\n%s", s.Log())
				}
				return
			}
			said := regexp.MustCompile(`\[FATAL\] .*` + regexp.QuoteMeta(tt.at) + `/(udp|tcp): address already in use, by fedns \(pid ` + fmt.Sprint(tt.by.Pid) + `\)`)
			if !said.MatchString(s.Log()) {
				t.Errorf("it doesn't name %s and pid %d:\n%s", tt.at, tt.by.Pid, s.Log())
			}
		})
	}
	if m := first.Ask(t, name, dns.TypeA); len(server.Addrs(m)) != 1 {
		t.Errorf("the first answers %v", m)
	}
	if strings.Contains(first.Log(), "[ERROR]") {
		t.Errorf("the first says\n%s", first.Log())
	}
}

// Another program that shares its address, as CoreDNS does, is found as well: here, the
// test itself.
func TestAnotherProgram(t *testing.T) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, cerr)
	}}
	port := vector.Port(t)
	c, err := lc.ListenPacket(context.Background(), "udp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := server.Launch(t, strings.ReplaceAll(block(""), "PORT", fmt.Sprint(port)))
	ended(t, s)
	if want := fmt.Sprintf("127.0.0.1:%d/udp: address already in use, by start.test (pid ", port); !strings.Contains(s.Log(), want) {
		t.Errorf("it says\n%s", s.Log())
	}
}

// Of several that start at the same moment, one answers.
func TestAtOnce(t *testing.T) {
	port := fmt.Sprint(vector.Port(t))
	var all [4]*server.Server
	for i := range all {
		all[i] = server.Launch(t, strings.ReplaceAll(block(""), "PORT", port))
	}
	left := func() (n int) {
		for _, s := range all {
			if !s.Exited() {
				n++
			}
		}
		return n
	}
	server.Eventually(t, 30*time.Second, "one is left", func() bool { return left() == 1 })
	server.Eventually(t, 30*time.Second, "it answers", func() bool {
		m, err := dns.Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeA), "127.0.0.1:"+port)
		return err == nil && len(server.Addrs(m)) == 1
	})
	if left() != 1 {
		t.Error("nobody is left")
	}
}

// A server that has just ended is no obstacle, though its connections linger; nor is one
// that is about to end.
func TestRestart(t *testing.T) {
	s := server.Start(t, block("ready READY\n"))
	corefile := at(s, block(""))
	for i := range 5 {
		s.Exchange(t, "tcp", new(dns.Msg).SetQuestion(name+".", dns.TypeA))
		conn, err := net.Dial("tcp", s.Addr) // which it closes: TIME_WAIT is on its side
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		addr := s.Addr
		if i%2 == 0 {
			s.Stop()
		} else if err := syscall.Kill(s.Pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s = server.Launch(t, corefile)
		s.Addr = addr
		s.WaitReady(t)
		server.Eventually(t, 10*time.Second, "the new one answers", func() bool { return strings.Contains(s.Log(), "answering on "+addr) })
	}
}

// Reloads, several blocks and sockets are the same process's; an address that a reload
// adds may be somebody else's, and then all stays as it was.
func TestReload(t *testing.T) {
	other := server.Start(t, block("ready READY\n"))
	corefile := block("multisocket 3\nready READY\n") + "acme.com:PORT {\nbind ADDR\nforward . 127.0.0.1:9\n}\n"
	s := server.Start(t, corefile)
	done := func(n int) {
		t.Helper()
		s.Reload(t)
		server.Eventually(t, 20*time.Second, "it has been reloaded", func() bool { return strings.Count(s.Log(), "Reloading complete") == n })
	}
	done(1)
	s.Write(t, strings.ReplaceAll(corefile, "bind ADDR\n", ""))
	done(2) // other addresses, which overlap with those it has
	s.Write(t, corefile+at(other, "example.org:PORT {\nbind ADDR\nforward . 127.0.0.1:9\n}\n"))
	s.Reload(t)
	want := fmt.Sprintf("%s/udp: address already in use, by fedns (pid %d)", other.Addr, other.Pid)
	server.Eventually(t, 20*time.Second, "the reload is refused", func() bool { return strings.Contains(s.Log(), want) })
	if m := s.Ask(t, name, dns.TypeA); len(server.Addrs(m)) != 1 {
		t.Errorf("it answers %v", m)
	}
}

// With --share, a second server starts beside the first, and answers when that ends,
// past the plugins too. What else the Corefile has it listen at is shared as well. Nobody
// logs an error, and no question is lost.
func TestShare(t *testing.T) {
	status := fmt.Sprint("127.0.0.1:", vector.Port(t))
	corefile := strings.Replace(block(fmt.Sprintf("ready READY\nprometheus 127.0.0.1:%d\n", vector.Port(t))), member, member+"status "+status+"\n", 1)
	first := server.Start(t, corefile)
	server.Eventually(t, 10*time.Second, "the first has its fast path", func() bool { return strings.Contains(first.Log(), "fast path on") })
	second := server.Launch(t, at(first, corefile), "sh", "-c", `exec "$0" -share "$@"`)
	second.Addr = first.Addr
	second.WaitReady(t)
	server.Eventually(t, 10*time.Second, "the second says who comes first", func() bool {
		return strings.Contains(second.Log(), "another process answers there too")
	})
	var asking sync.WaitGroup
	stop := make(chan struct{})
	var lost, asked int
	asking.Go(func() {
		c := dns.Client{Timeout: 2 * time.Second}
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked++
			if m, _, err := c.Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeA), first.Addr); err != nil || len(server.Addrs(m)) != 1 {
				lost++
			}
		}
	})
	first.Stop()
	server.Eventually(t, 10*time.Second, "the second has the fast path", func() bool { return strings.Contains(second.Log(), "fast path on dns://"+first.Addr+", sockets") })
	close(stop)
	asking.Wait()
	if told, err := http.Get("http://" + status + "/api/v1/clusters"); err != nil || told.StatusCode != http.StatusOK {
		t.Errorf("the second doesn't tell its status: %v", err)
	} else {
		told.Body.Close()
	}
	// What waits in the sockets of a server that ends is lost with them.
	if lost > 1 || asked == 0 {
		t.Errorf("%d of %d questions weren't answered", lost, asked)
	}
	second.Stop()
	for _, s := range []*server.Server{first, second} {
		if strings.Contains(s.Log(), "[ERROR]") || strings.Contains(s.Log(), "SO_DETACH") {
			t.Errorf("it says\n%s", s.Log())
		}
	}
}
