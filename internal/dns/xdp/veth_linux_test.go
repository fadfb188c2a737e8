package xdp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/test/framework/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Who answered, in the fourth byte of what comes back.
const (
	byKernel = 1 // a socket of the kernel's
	byXDP    = 2 // a listener; further ones count on
)

const port = 5353

// query is a DNS header as a plain query has it, and something to tell it by.
func query(tail string) []byte {
	return append([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, tail...)
}

// A speaker answers with what was asked; what begins with a number of bytes, with so many.
type speaker struct {
	by byte
	n  atomic.Int64
}

func (s *speaker) Responder(int) packet.Responder { return &speech{speaker: s} }

type speech struct {
	*speaker
	begun bool
}

func (s *speech) Begin() {
	if s.begun {
		panic("Begin twice")
	}
	s.begun = true
}
func (s *speech) End() { s.begun = false }
func (s *speech) Respond(p *packet.Packet) int {
	if !s.begun {
		panic("Respond before Begin")
	}
	s.n.Add(1)
	size := p.N
	if _, err := fmt.Sscanf(string(p.Buf[12:p.N]), "%d bytes", &size); err == nil {
		clear(p.Buf[p.N:max(p.N, size)])
	}
	p.Buf[2] |= 0x80
	p.Buf[3] = s.by
	return size
}

// here runs a command in the namespace of the process.
func here(t *testing.T, command string) {
	t.Helper()
	if err := netns.Here(command); err != nil {
		t.Fatal(err)
	}
}

// inNamespace runs the test again, in a network namespace of its own: there it is true.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "FEDNS_TEST_XDP"
	if os.Getenv(mark) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces can only be made by root")
	}
	if err := capable(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// A world has a server's interface xs and a client's, xc, which are joined.
type world struct {
	*testing.T
	client *netns.Namespace
	*Interfaces
	said chan string
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, client: netns.New(t), said: make(chan string, 100)}
	w.Interfaces = New(func(name string, queues int, err error) {
		if err != nil {
			w.said <- err.Error()
		} else {
			w.said <- fmt.Sprintf("%s %d", name, queues)
		}
	})
	w.every = 20 * time.Millisecond
	here(t, "ip link set lo up")
	w.join()
	w.serve()
	return w
}

func (w *world) join() {
	w.Helper()
	there := w.client
	here(w.T, fmt.Sprintf("ip link add xs numrxqueues 2 numtxqueues 2 type veth peer name xc netns %d numrxqueues 2 numtxqueues 2", w.client.TID))
	w.addresses()
	there.Run(w.T, "ip addr add 192.0.2.1/24 dev xc")
	there.Run(w.T, "ip addr add 2001:db8::1/64 dev xc nodad")
	there.Run(w.T, "ip link set xc up")
	here(w.T, "ip link set xs up")
	there.Run(w.T, "ip route add 198.51.100.0/24 via 192.0.2.53")
}

func (w *world) addresses() {
	here(w.T, "ip addr replace 192.0.2.53/24 dev xs")
	here(w.T, "ip addr replace 2001:db8::53/64 dev xs nodad")
}

// serve has the kernel's sockets answer.
func (w *world) serve() {
	w.Helper()
	var over sync.WaitGroup
	var all []net.PacketConn
	for _, p := range []int{port, port + 1} {
		c, err := net.ListenPacket("udp", fmt.Sprint(":", p))
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, c)
		u := c.(*net.UDPConn)
		raw, err := u.SyscallConn()
		if err != nil {
			w.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1) })
		over.Go(func() {
			b, oob := make([]byte, 1<<16), make([]byte, 1024)
			for {
				n, m, _, from, err := u.ReadMsgUDPAddrPort(b, oob)
				if err != nil {
					return // closed
				}
				b[2] |= 0x80
				b[3] = byKernel
				_, _, _ = u.WriteMsgUDPAddrPort(b[:min(n, 100)], withoutLink(oob[:m]), from)
			}
		})
	}
	tcp, err := net.Listen("tcp", fmt.Sprint(":", port))
	if err != nil {
		w.Fatal(err)
	}
	over.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("tcp"))
			c.Close()
		}
	})
	w.Cleanup(func() {
		for _, c := range all {
			c.Close()
		}
		tcp.Close()
		over.Wait()
	})
}

// withoutLink has an answer leave by whatever interface leads back.
func withoutLink(oob []byte) []byte {
	m, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(m) == 0 || len(m[0].Data) < 20 {
		return nil
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: [16]byte(m[0].Data)})
}

// expect waits until it is said of an interface.
func (w *world) expect(what string) {
	w.Helper()
	after := time.After(time.Minute)
	for {
		select {
		case s := <-w.said:
			if strings.Contains(s, what) {
				return
			}
			w.Logf("said: %s", s)
		case <-after:
			w.Fatalf("not said within a minute: %s", what)
		}
	}
}

// dial gives a socket of the client's.
func (w *world) dial(to string) *net.UDPConn {
	w.Helper()
	var c net.Conn
	var err error
	w.client.Do(func() { c, err = net.Dial("udp", to) })
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

// ask asks until there is an answer: a neighbour may have to be found first.
func ask(c *net.UDPConn, q []byte) ([]byte, error) {
	b := make([]byte, 1<<16)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if _, err := c.Write(q); err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, err := c.Read(b)
			if err != nil {
				break
			}
			if bytes.HasPrefix(b[12:n], q[12:min(len(q), 100)]) {
				return b[:n], nil
			}
		}
	}
	return nil, errors.New("no answer within a minute")
}

// by asks, and looks who answers.
func (w *world) by(who byte, to string, q []byte) {
	w.Helper()
	got, err := ask(w.dial(to), q)
	if err != nil {
		w.Errorf("%s: %v", to, err)
	} else if got[3] != who {
		w.Errorf("%s: answered by %d, want %d", to, got[3], who)
	}
}

// turns waits until somebody answers.
func (w *world) turns(who byte, to string) {
	w.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if got, err := ask(w.dial(to), query("who")); err == nil && got[3] == who {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("%s: not answered by %d within a minute", to, who)
		}
	}
}

const (
	at4 = "192.0.2.53:5353"
	at6 = "[2001:db8::53]:5353"
)

var wild = netip.AddrPortFrom(netip.IPv6Unspecified(), port)

func TestVeth(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newWorld(t)
	x := &speaker{by: byXDP}
	w.by(byKernel, at4, query("before"))
	w.Listen(wild, []string{"xs"}, Listener{Handler: x})
	w.expect("xs 2")
	defer w.Leave(wild)

	t.Run("plain queries", func(t *testing.T) {
		w.T = t
		w.by(byXDP, at4, query("four"))
		w.by(byXDP, at6, query("six"))
		got, err := ask(w.dial(at6), query("1232 bytes"))
		if err != nil || len(got) != 1232 || got[3] != byXDP {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		got, err = ask(w.dial(at4), append(query("1232 bytes"), make([]byte, 1400)...))
		if err != nil || len(got) != 1232 || got[3] != byXDP {
			t.Errorf("a full frame: %d bytes, %v", len(got), err)
		}
	})
	t.Run("all else is the kernel's", func(t *testing.T) {
		w.T = t
		w.by(byKernel, "192.0.2.53:5354", query("another port"))
		update := query("an update")
		update[2] = 0x28
		w.by(byKernel, at4, update)
		signed := query("signed")
		signed[11] = 2
		w.by(byKernel, at4, signed)
		two := query("two questions")
		two[5] = 2
		w.by(byKernel, at6, two)
		for _, at := range []string{at4, at6} {
			w.by(byKernel, at, append(query("fragments"), make([]byte, 3000)...))
		}
		with := w.dial(at4)
		raw, err := with.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.SOL_IP, unix.IP_OPTIONS, "\x01\x01\x01\x00")
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ask(with, query("options")); err != nil || got[3] != byKernel {
			t.Errorf("IP options: %v %v", got, err)
		}
		var c net.Conn
		w.client.Do(func() { c, err = net.DialTimeout("tcp", at4, time.Minute) })
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b := make([]byte, 3)
		if _, err := c.Read(b); err != nil || string(b) != "tcp" {
			t.Errorf("%q, %v", b, err)
		}
		w.client.Run(t, "ip neigh flush dev xc") // it is asked for by ARP, and by ICMPv6
		if _, err := exec.LookPath("ping"); err == nil {
			w.client.Run(t, "ping -c 1 -W 30 192.0.2.53")
			w.client.Run(t, "ping -c 1 -W 30 2001:db8::53")
		}
		w.by(byXDP, at4, query("four"))
		w.by(byXDP, at6, query("six"))
	})
	t.Run("VLAN", func(t *testing.T) {
		w.T = t
		if err := netns.Here("ip link add link xs name xs.5 type vlan id 5"); err != nil {
			t.Skip(err)
		}
		w.client.Run(t, "ip link add link xc name xc.5 type vlan id 5")
		here(t, "ip addr add 203.0.113.53/24 dev xs.5")
		w.client.Run(t, "ip addr add 203.0.113.1/24 dev xc.5")
		here(t, "ip link set xs.5 up")
		w.client.Run(t, "ip link set xc.5 up")
		w.by(byKernel, "203.0.113.53:5353", query("VLAN"))
		time.Sleep(5 * w.every)
		w.by(byKernel, "203.0.113.53:5353", query("VLAN"))
		here(t, "ip link del xs.5")
		w.client.Run(t, "ip link del xc.5")
	})
	t.Run("frames that are not for us", func(t *testing.T) {
		w.T = t
		w.by(byXDP, at4, query("before"))
		send := w.rawSocket()
		mac := w.mac("xs")
		good := frameOf(mac, clientMAC, netip.MustParseAddrPort("192.0.2.1:40001"), netip.MustParseAddrPort(at4), query("wrong"))
		n := x.n.Load()
		for i := range 50 {
			bad := bytes.Clone(good)
			bad[ethernetSize+ipv4Size+6+i%2] ^= byte(1 + i)
			send(bad)
		}
		w.by(byXDP, at4, query("after"))
		if got := x.n.Load() - n; got != 1 {
			t.Errorf("%d were answered", got)
		}
		n = x.n.Load()
		tagged := slices.Insert(bytes.Clone(good), 12, 0x81, 0, 0, 5)
		for range 50 {
			send(tagged)
		}
		w.by(byXDP, at4, query("after"))
		if got := x.n.Load() - n; got != 1 {
			t.Errorf("%d of another VLAN were answered", got-1)
		}
		n = x.n.Load() - 1
		send(good)
		for end := time.Now().Add(time.Minute); x.n.Load()-n < 2; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("a good one isn't answered")
			}
		}
	})
	t.Run("addresses", func(t *testing.T) {
		w.T = t
		here(t, "ip addr add 192.0.2.54/24 dev xs")
		w.turns(byXDP, "192.0.2.54:5353")
		here(t, "ip addr add 198.51.100.7/32 dev lo") // announced from many places
		w.turns(byXDP, "198.51.100.7:5353")
		here(t, "ip addr del 198.51.100.7/32 dev lo")
		here(t, "ip addr del 192.0.2.54/24 dev xs")
		s := w.all["xs"]
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			left := len(s.device.now)
			s.mu.Unlock()
			if left == 3 { // and a link-local one
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d addresses", left)
			}
		}
	})
	t.Run("listeners", func(t *testing.T) {
		w.T = t
		second := &speaker{by: 3}
		at := netip.MustParseAddrPort(at4)
		w.Listen(at, []string{"xs"}, Listener{Handler: second})
		w.by(3, at4, query("its own"))
		w.by(byXDP, at6, query("the rest"))
		w.Leave(at)
		w.by(byXDP, at4, query("again"))
		w.Listen(wild, []string{"xs"}, Listener{Handler: x, Except: []netip.Addr{at.Addr()}})
		w.by(byKernel, at4, query("another's"))
		w.by(byXDP, at6, query("the rest"))
		w.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), port+1), []string{"xs"}, Listener{Handler: second})
		w.by(3, "192.0.2.53:5354", query("another port"))
		w.by(byKernel, "[2001:db8::53]:5354", query("not bound to"))
		w.Leave(netip.AddrPortFrom(netip.IPv4Unspecified(), port+1))
		w.Listen(wild, []string{"xs"}, Listener{Handler: x})
		w.by(byXDP, at4, query("again"))
	})
	t.Run("another program", func(t *testing.T) {
		w.T = t
		if l, err := foreign(t); err == nil {
			l.Close()
			t.Error("it took our place")
		}
	})
	t.Run("reload", func(t *testing.T) {
		w.T = t
		for len(w.said) > 0 {
			<-w.said
		}
		stop := w.traffic()
		for i := range 30 {
			s := &speaker{by: byte(10 + i)}
			w.Listen(wild, []string{"xs"}, Listener{Handler: s})
			w.turns(byte(10+i), at4)
		}
		for range 5 {
			w.Leave(wild)
			w.by(byKernel, at4, query("left"))
			w.Listen(wild, []string{"xs"}, Listener{Handler: x})
			w.expect("xs 2")
			w.by(byXDP, at4, query("back"))
		}
		stop()
	})
	t.Run("down", func(t *testing.T) {
		w.T = t
		for len(w.said) > 0 {
			<-w.said
		}
		used := cpu()
		here(t, "ip link set xs down")
		w.expect("it is down")
		time.Sleep(300 * time.Millisecond)
		if used = cpu() - used; used > 250*time.Millisecond {
			t.Errorf("it took %v of the processor", used)
		}
		here(t, "ip link set xs up")
		w.addresses()
		w.expect("xs 2")
		w.turns(byXDP, at4)
		w.turns(byXDP, at6)
	})
	t.Run("gone", func(t *testing.T) {
		w.T = t
		here(t, "ip link del xs")
		w.expect("there is no such interface")
		w.join()
		w.expect("xs 2")
		w.turns(byXDP, at4)
	})
	t.Run("MTU", func(t *testing.T) {
		w.T = t
		here(t, "ip link set xs mtu 1279")
		w.expect("its MTU is 1279; it has to be from 1280 to 1500")
		w.turns(byKernel, at4)
		here(t, "ip link set xs mtu 1500")
		w.expect("xs 2")
		w.addresses()
		w.turns(byXDP, at4)
	})
}

// An interface that can't be answered is told of once; sockets answer.
func TestVethTaken(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newWorld(t)
	other, err := foreign(t)
	if err != nil {
		t.Fatal(err)
	}
	x := &speaker{by: byXDP}
	w.Listen(wild, []string{"xs", "lo", "nowhere"}, Listener{Handler: x})
	defer w.Leave(wild)
	w.expect("another XDP program is there")
	w.expect("it isn't Ethernet")
	w.expect("there is no such interface")
	w.by(byKernel, at4, query("taken"))
	time.Sleep(10 * w.every)
	if n := len(w.said); n > 0 {
		t.Errorf("said again: %s", <-w.said)
	}
	other.Close()
	w.expect("xs 2")
	w.turns(byXDP, at4)
}

// foreign attaches a program as others do.
func foreign(t *testing.T) (link.Link, error) {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "BSD", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	i, err := net.InterfaceByName("xs")
	if err != nil {
		t.Fatal(err)
	}
	return link.AttachXDP(link.XDPOptions{Program: p, Interface: i.Index})
}

// traffic asks all the while, until it is stopped: each question has to be answered.
func (w *world) traffic() (stop func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var over sync.WaitGroup
	var n atomic.Int64
	for _, to := range []string{at4, at6} {
		c := w.dial(to)
		if _, err := ask(c, query("begin")); err != nil {
			w.Fatal(err)
		}
		over.Go(func() {
			b := make([]byte, 100)
			for i := 0; ctx.Err() == nil; i++ {
				q := query(fmt.Sprint("question ", i))
				if _, err := c.Write(q); err != nil {
					w.Error(err)
					return
				}
				_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
				for {
					got, err := c.Read(b)
					if err != nil {
						w.Errorf("%s: question %d: %v", to, i, err)
						return
					}
					if bytes.Equal(b[12:got], q[12:]) {
						break
					}
				}
				n.Add(1)
			}
		})
	}
	return func() {
		cancel()
		over.Wait()
		w.Logf("%d questions", n.Load())
	}
}

// rawSocket gives what sends frames from the client's interface.
func (w *world) rawSocket() (send func(frame []byte)) {
	w.Helper()
	var fd int
	var err error
	var i *net.Interface
	w.client.Do(func() {
		if i, err = net.InterfaceByName("xc"); err == nil {
			fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		}
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = unix.Close(fd) })
	return func(frame []byte) {
		w.Helper()
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: i.Index, Halen: 6, Addr: [8]byte(append(bytes.Clone(frame[:6]), 0, 0))}); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) mac(name string) []byte {
	w.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		w.Fatal(err)
	}
	return i.HardwareAddr
}

// cpu is what this process has had of the processors.
func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
