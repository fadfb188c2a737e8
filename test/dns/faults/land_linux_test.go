package faults

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedns/fedns/test/framework/netns"
	"github.com/fedns/fedns/test/framework/server"
)

// A land is a network namespace in which something of a test is.
type land struct{ *netns.Namespace }

func (l land) dial(network, addr string) (c net.Conn, err error) {
	l.Do(func() { c, err = net.DialTimeout(network, addr, 2*time.Second) })
	return c, err
}

// fedns is cut off from all clusters (its link is down), then back: as with all
// API servers stopped.
func cutOff(t *testing.T, w *world) {
	here, there := land{netns.New(t)}, land{netns.New(t)}
	here.Run(t, fmt.Sprint("ip link add eth0 type veth peer name eth0 netns ", there.TID))
	here.Run(t, "ip addr add 10.83.0.1/24 dev eth0")
	here.Run(t, "ip link set eth0 up")
	there.Run(t, "ip addr add 10.83.0.2/24 dev eth0")
	there.Run(t, "ip link set eth0 up")

	var members []member
	for _, c := range w.clusters {
		members = append(members, there.gate(t, c.Name, c.ReadOnly(t)))
	}
	s := running{dial: here.dial}
	s.Server = server.Launch(t, corefile(health, members...), here.Inside()...)
	s.becomes(t, 20*time.Second, "web", everywhere)
	s.fresh(t, 10*time.Second, "web")
	isolated(t, s, "fedns cut off from all (its link down)",
		func() { there.Run(t, "ip link set eth0 down") },
		func() { there.Run(t, "ip link set eth0 up") })
}

// gate leads from the land to a cluster's API server, which is on the loopback of
// the test.
func (l land) gate(t *testing.T, name, path string) member {
	t.Helper()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	far := strings.TrimPrefix(config.Clusters[name].Server, "https://")
	var listen net.Listener
	l.Do(func() { listen, err = net.Listen("tcp", "10.83.0.2:0") })
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
