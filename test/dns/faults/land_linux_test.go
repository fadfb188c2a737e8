package faults

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedns/fedns/test/framework/server"
)

// A land is a network namespace of its own, without a name: it is a thread's, and
// goes with it and with the programs started there.
type land struct {
	tid  int
	work chan func()
}

func newLand(t *testing.T) *land {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces can only be made by root")
	}
	l := &land{work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		l.tid = syscall.Gettid()
		made <- err
		for f := range l.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(l.work) })
	l.run(t, "ip", "link", "set", "lo", "up")
	return l
}

// do calls f in the land, and waits for it.
func (l *land) do(f func()) {
	done := make(chan struct{})
	l.work <- func() {
		defer close(done) // also where f ends the test
		f()
	}
	<-done
}

func (l *land) run(t *testing.T, args ...string) {
	t.Helper()
	var out []byte
	var err error
	l.do(func() { out, err = exec.Command(args[0], args[1:]...).CombinedOutput() })
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// inside is a command that runs another in the land. Programs that last are started by
// a thread of their own, which isn't there.
func (l *land) inside() []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/task/%d/ns/net", os.Getpid(), l.tid), "--"}
}

func (l *land) dial(network, addr string) (c net.Conn, err error) {
	l.do(func() { c, err = net.DialTimeout(network, addr, 2*time.Second) })
	return c, err
}

// fedns is cut off from all clusters (its link is down), then back: as with all
// API servers stopped.
func cutOff(t *testing.T, w *world) {
	here, there := newLand(t), newLand(t)
	here.run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(there.tid))
	here.run(t, "ip", "addr", "add", "10.83.0.1/24", "dev", "eth0")
	here.run(t, "ip", "link", "set", "eth0", "up")
	there.run(t, "ip", "addr", "add", "10.83.0.2/24", "dev", "eth0")
	there.run(t, "ip", "link", "set", "eth0", "up")

	var members []member
	for _, c := range w.clusters {
		members = append(members, there.gate(t, c.Name, c.ReadOnly(t)))
	}
	s := running{dial: here.dial}
	s.Server = server.Launch(t, corefile(health, members...), here.inside()...)
	s.becomes(t, 20*time.Second, "web", everywhere)
	s.fresh(t, 10*time.Second, "web")
	isolated(t, s, "fedns cut off from all (its link down)",
		func() { there.run(t, "ip", "link", "set", "eth0", "down") },
		func() { there.run(t, "ip", "link", "set", "eth0", "up") })
}

// gate leads from the land to a cluster's API server, which is on the loopback of
// the test.
func (l *land) gate(t *testing.T, name, path string) member {
	t.Helper()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	far := strings.TrimPrefix(config.Clusters[name].Server, "https://")
	var listen net.Listener
	l.do(func() { listen, err = net.Listen("tcp", "10.83.0.2:0") })
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		listen.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			c.Close()
		}
	})
	go func() {
		for {
			near, err := listen.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				defer near.Close()
				on, err := net.Dial("tcp", far)
				if err != nil {
					return
				}
				mu.Lock()
				open = append(open, near, on)
				mu.Unlock()
				go func() {
					_, _ = io.Copy(on, near) // either end may go at any time
					on.Close()
				}()
				_, _ = io.Copy(near, on) // the same
			}()
		}
	}()
	config.Clusters[name].Server = "https://" + listen.Addr().String()
	config.Clusters[name].TLSServerName = "127.0.0.1" // as its certificate says
	out := t.TempDir() + "/kubeconfig"
	if err := clientcmd.WriteToFile(*config, out); err != nil {
		t.Fatal(err)
	}
	return kubeconfig(name, out)
}
