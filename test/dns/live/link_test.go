package live

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/vector"
)

// A link leads to a cluster's API server and can be cut: the server goes on, and
// who comes by another way can change what is in it meanwhile.
type link struct {
	addr, server string // host:port

	mu     sync.Mutex // guards the rest
	listen net.Listener
	conns  map[net.Conn]bool
	served int
	wg     sync.WaitGroup
}

// connect makes a link to a cluster, gone when the test ends.
func connect(t *testing.T, c *cluster.Cluster) *link {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{addr: fmt.Sprint("127.0.0.1:", vector.Port(t)), server: config.Clusters[c.Name].Server[len("https://"):], conns: map[net.Conn]bool{}}
	l.mend(t)
	t.Cleanup(func() {
		l.cut()
		l.wg.Wait()
	})
	return l
}

// kubeconfig is another one with the link's address for the server's.
func (l *link) kubeconfig(t *testing.T, path string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range config.Clusters {
		c.Server = "https://" + l.addr
	}
	out := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// mend opens the link, at the address that it has always had.
func (l *link) mend(t *testing.T) {
	t.Helper()
	listen, err := net.Listen("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.listen, l.addr = listen, listen.Addr().String()
	l.mu.Unlock()
	l.wg.Go(func() {
		for {
			near, err := listen.Accept()
			if err != nil {
				return // cut
			}
			l.wg.Go(func() { l.carry(near) })
		}
	})
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

// calls is how many connections have been carried.
func (l *link) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.served
}

func (l *link) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer far.Close()
	l.mu.Lock()
	l.conns[near] = true
	l.served++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.conns, near)
		l.mu.Unlock()
	}()
	l.wg.Go(func() {
		_, _ = io.Copy(far, near) // either end may go at any time
		far.Close()
	})
	_, _ = io.Copy(near, far) // the same
}

// may says whether fedns may list a resource of a cluster's core API.
func may(t *testing.T, c *cluster.Cluster, resource string) bool {
	t.Helper()
	review, err := c.Client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               "fedns",
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Resource: resource},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}
