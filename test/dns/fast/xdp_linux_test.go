package fast

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/netns"
	"github.com/fedns/fedns/test/framework/server"
)

// An xdpWorld has a server whose interface xs is joined with a client's.
type xdpWorld struct {
	*testing.T
	*server.Server
	servers, client *netns.Namespace
}

func newXDPWorld(t *testing.T) *xdpWorld {
	for _, tool := range []string{"nsenter", "setpriv", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	w := &xdpWorld{T: t, servers: netns.New(t), client: netns.New(t)}
	w.servers.Run(t, fmt.Sprint("ip link add xs type veth peer name xc netns ", w.client.TID))
	w.servers.Run(t, "ip addr add 192.0.2.53/24 dev xs")
	w.servers.Run(t, "ip addr add 2001:db8::53/64 dev xs nodad")
	w.client.Run(t, "ip addr add 192.0.2.1/24 dev xc")
	w.client.Run(t, "ip addr add 2001:db8::1/64 dev xc nodad")
	w.client.Run(t, "ip link set xc up")
	w.servers.Run(t, "ip link set xs up")
	return w
}

// xdpCorefile has a federation, and what the chain of plugins answers.
func xdpCorefile(t *testing.T, bind, lines string) string {
	return "example.com:53 {\n" + bind + " prometheus METRICS\n federation myfederation {\n" + server.ArticleMembers(t) + lines + " }\n}\n" +
		"bind:53 {\n" + bind + " chaos fedns\n}\n"
}

// ask asks as a client does, and again where there is no answer.
func (w *xdpWorld) ask(network, at string, m *dns.Msg) *dns.Msg {
	w.Helper()
	for end := time.Now().Add(time.Minute); ; {
		var conn net.Conn
		var err error
		w.client.Do(func() { conn, err = net.DialTimeout(network, net.JoinHostPort(at, "53"), time.Second) })
		if err == nil {
			c := &dns.Client{Net: network, Timeout: 2 * time.Second}
			var r *dns.Msg
			r, _, err = c.ExchangeWithConn(m, &dns.Conn{Conn: conn, UDPSize: 1232})
			conn.Close()
			if err == nil {
				return r
			}
		}
		if time.Now().After(end) {
			w.Fatalf("%s: %v", at, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// datagrams is how many the kernel's sockets of the server have got.
func (w *xdpWorld) datagrams() (n int) {
	w.Helper()
	var out []byte
	var err error
	w.servers.Do(func() {
		out, err = exec.Command("cat", "/proc/thread-self/net/snmp", "/proc/thread-self/net/snmp6").Output()
	})
	if err != nil {
		w.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var got int
		if _, err := fmt.Sscanf(line, "Udp: %d", &got); err == nil {
			n += got
		} else if _, err := fmt.Sscanf(line, "Udp6InDatagrams %d", &got); err == nil {
			n += got
		}
	}
	return n
}

// below says whether a question over UDP is answered below the kernel's sockets.
func (w *xdpWorld) below(at, name string) bool {
	w.Helper()
	before := w.datagrams()
	m := query(name, dns.TypeA)
	if name == chained {
		m.Question[0].Qtype, m.Question[0].Qclass = dns.TypeTXT, dns.ClassCHAOS
	}
	if r := w.ask("udp", at, m); len(r.Answer) == 0 {
		w.Errorf("%s: %s has no answer: %v", at, name, r)
	}
	return w.datagrams() == before
}

func query(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.SetEdns0(1232, false)
	return m
}

func (w *xdpWorld) logged(what string, n int) {
	w.Helper()
	server.Eventually(w.T, 10*time.Second, fmt.Sprintf("%q is logged %d times", what, n), func() bool {
		if w.Exited() {
			w.Fatal("it has ended")
		}
		return strings.Count(w.Log(), what) >= n
	})
}

const (
	federated = "nginx.mynamespace.myfederation.svc.example.com."
	chained   = "version.bind." // of class CHAOS
)

// Questions that come by an interface are answered below the kernel's sockets, as they are elsewhere; what has to
// be answered later is answered by the sockets. A reload loses none, nor does an end leave anything.
func TestXDP(t *testing.T) {
	for _, bind := range []string{"", " bind 192.0.2.53 2001:db8::53\n"} {
		w := newXDPWorld(t)
		with, without := xdpCorefile(t, bind, "  xdp xs\n  rrl off\n"), xdpCorefile(t, bind, "  rrl off\n")
		w.Server = server.Launch(t, with, w.servers.Inside()...)
		w.logged("answering on", 1)
		w.logged("XDP on xs, queues: 1", 1)
		for _, at := range []string{"192.0.2.53", "2001:db8::53"} {
			for _, name := range []string{federated, chained} {
				if !w.below(at, name) {
					t.Errorf("%s: %s came to a socket", at, name)
				}
			}
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeSOA} {
				for _, name := range []string{federated, "nothing.example.com.", "_http._tcp." + federated} {
					datagram, stream := w.ask("udp", at, query(name, qtype)), w.ask("tcp", at, query(name, qtype))
					for _, m := range []*dns.Msg{datagram, stream} {
						m.Id = 0
					}
					if datagram.Rcode != stream.Rcode || len(datagram.Answer) != len(stream.Answer) || len(datagram.Ns) != len(stream.Ns) {
						t.Errorf("%s: %s: by XDP\n%v\nby TCP\n%v", at, name, datagram, stream)
					}
				}
			}
			m := query(federated, dns.TypeA)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})
			r := w.ask("udp", at, m)
			if o := r.IsEdns0(); o == nil || len(o.Option) != 1 {
				t.Errorf("%s: no cookie: %v", at, r)
			}
		}

		stop := w.traffic()
		for i := range 3 {
			w.Write(t, without)
			w.Reload(t)
			server.Eventually(t, 20*time.Second, "sockets answer", func() bool { return !w.below("192.0.2.53", federated) })
			w.Write(t, with)
			w.Reload(t)
			w.logged("XDP on xs, queues: 1", 2+i)
			w.Reload(t)
			server.Eventually(t, 20*time.Second, "XDP answers", func() bool { return w.below("192.0.2.53", federated) })
		}
		stop()

		w.Kill()
		var out []byte
		w.servers.Do(func() { out, _ = exec.Command("ip", "link", "show", "dev", "xs").Output() })
		if strings.Contains(string(out), "xdp") {
			t.Errorf("killed, it leaves\n%s", out)
		}
		// The next takes the interface as if nothing had been.
		w.Server = server.Launch(t, with, w.servers.Inside()...)
		w.logged("answering on", 1)
		if !w.below("2001:db8::53", federated) {
			t.Error("after a kill, a socket answered")
		}
		w.Stop()
		w.servers.Do(func() { out, _ = exec.Command("ip", "link", "show", "dev", "xs").Output() })
		if strings.Contains(string(out), "xdp") {
			t.Errorf("ended, it leaves\n%s", out)
		}
	}
}

// traffic asks all the while; each question has to be answered.
func (w *xdpWorld) traffic() (stop func()) {
	w.Helper()
	var over sync.WaitGroup
	var ended atomic.Bool
	for _, at := range []string{"192.0.2.53", "2001:db8::53"} {
		var conn net.Conn
		var err error
		w.client.Do(func() { conn, err = net.Dial("udp", net.JoinHostPort(at, "53")) })
		if err != nil {
			w.Fatal(err)
		}
		over.Go(func() {
			defer conn.Close()
			c := &dns.Client{Timeout: 20 * time.Second}
			n := 0
			for ; !ended.Load(); n++ {
				if _, _, err := c.ExchangeWithConn(query(federated, dns.TypeA), &dns.Conn{Conn: conn, UDPSize: 1232}); err != nil {
					w.Errorf("%s: question %d: %v", at, n, err)
					return
				}
			}
			w.Logf("%s: %d questions", at, n)
		})
	}
	return func() {
		ended.Store(true)
		over.Wait()
	}
}

// Where it can't be done, one line says why, and sockets answer.
func TestXDPAside(t *testing.T) {
	for _, tt := range []struct {
		name  string
		names string
		under []string
		said  string
	}{
		{"no rights", "xs", []string{"setpriv", "--bounding-set=-bpf,-net_admin,-net_raw", "--inh-caps=-bpf,-net_admin,-net_raw"},
			"no XDP on xs: fedns lacks the capability BPF, NET_ADMIN, NET_RAW (in a pod, capabilities: {add: [BPF, NET_ADMIN, NET_RAW]}); sockets answer"},
		{"no interface", "nowhere", nil, "no XDP on nowhere: there is no such interface; sockets answer"},
		{"no Ethernet", "lo", nil, "no XDP on lo: it isn't Ethernet; sockets answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newXDPWorld(t)
			w.Server = server.Launch(t, xdpCorefile(t, " bind 192.0.2.53\n", "  xdp "+tt.names+"\n"), append(w.servers.Inside(), tt.under...)...)
			w.logged("answering on", 1)
			w.logged(tt.said, 1)
			if w.below("192.0.2.53", federated) {
				t.Error("XDP answered")
			}
			time.Sleep(3 * time.Second) // it looks again
			if n := strings.Count(w.Log(), "no XDP"); n != 1 {
				t.Errorf("it says so %d times", n)
			}
		})
	}
}
