package faults

import (
	"fmt"
	"net"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/test/framework/cluster"
)

// A shard is somebody who listens at an address.
type shard struct {
	addr   string
	listen net.Listener
	hung   []func()
}

func (s *shard) open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.listen = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			c.Close()
		}
	}()
}

// close has connections refused.
func (s *shard) close() {
	if s.listen != nil {
		s.listen.Close()
		s.listen = nil
	}
	for _, f := range s.hung {
		f()
	}
	s.hung = nil
}

// hang has nobody answer a connection any more: not even a refusal comes back.
func (s *shard) hang(t *testing.T) {
	t.Helper()
	s.close()
	at, err := net.ResolveTCPAddr("tcp4", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.hung = append(s.hung, func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	// A queue of one that nobody empties: the kernel drops what comes after it.
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.hung = append(s.hung, func() { c.Close() })
}

func annotate(t *testing.T, c *cluster.Cluster, service, key, value string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata": {"annotations": {%q: %q}}}`, key, value)
	if _, err := c.Client.CoreV1().Services("shop").Patch(t.Context(), service, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// move gives a service another address.
func move(t *testing.T, c *cluster.Cluster, service, ip string) error {
	t.Helper()
	patch := fmt.Appendf(nil, `{"status": {"loadBalancer": {"ingress": [{"ip": %q}]}}}`, ip)
	_, err := c.Client.CoreV1().Services("shop").Patch(t.Context(), service, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// ready makes the one endpoint of a service ready, or not.
func ready(t *testing.T, c *cluster.Cluster, service string, is bool) {
	t.Helper()
	patch := fmt.Appendf(nil, `[{"op": "replace", "path": "/endpoints/0/conditions/ready", "value": %t}]`, is)
	if _, err := c.Client.DiscoveryV1().EndpointSlices("shop").Patch(t.Context(), service+"-x", types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}
