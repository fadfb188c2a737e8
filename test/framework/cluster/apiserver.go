package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedns/fedns/test/framework/vector"
)

// A Cluster is one API server and, in a member, what makes its objects live.
//
// Pause, Resume, Kill and Start are for one goroutine; the rest for any.
type Cluster struct {
	Name       string
	Kubeconfig string               // path; its context is called Name, its user may do anything
	Client     kubernetes.Interface // the same user, not rate limited

	dir    string
	addr   string
	config *rest.Config
	reader string // the token of the user ReadOnly writes for
	api    *process

	gatewayVersion string // of the Gateway API, if it is installed
}

// API starts a cluster that is an API server and nothing else.
func (b *Bed) API(t testing.TB, name string) *Cluster {
	t.Helper()
	return b.APIs(t, name)[0]
}

// APIs starts a cluster for each name, as [Bed.API] does, all at once.
func (b *Bed) APIs(t testing.TB, names ...string) []*Cluster {
	t.Helper()
	clusters := make([]*Cluster, len(names))
	for i, name := range names {
		clusters[i] = b.startAPI(t, name)
	}
	// They start side by side even so: the longest wait is the only one.
	for _, c := range clusters {
		c.awaitAPI(t)
	}
	return clusters
}

// startAPI starts an API server and does not wait for it.
func (b *Bed) startAPI(t testing.TB, name string) *Cluster {
	t.Helper()
	number := b.claim(t, name)
	port := vector.Port(t)
	c := &Cluster{Name: name, dir: t.TempDir(), addr: addr(port), reader: rand.Text()}
	c.Kubeconfig = filepath.Join(c.dir, "kubeconfig")
	c.config = &rest.Config{
		Host:           "https://" + c.addr,
		BearerToken:    rand.Text(),
		QPS:            -1, // no limit
		WarningHandler: rest.NoWarnings{},
	}
	tokens := filepath.Join(c.dir, "tokens.csv")
	users := fmt.Sprintf("%s,admin,1,system:masters\n%s,%s,2\n", c.config.BearerToken, c.reader, readerName)
	if err := os.WriteFile(tokens, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	services := fmt.Sprintf("10.%d.0.0/16", number)
	if name == b.IPv6 {
		services = fmt.Sprintf("fd00:10:%d::/112", number)
	}
	c.api = b.launch(t, name, "kube-apiserver",
		"--etcd-servers="+b.etcd,
		"--etcd-prefix=/"+name,
		"--bind-address=127.0.0.1",
		// Or it looks for a network card, and a network namespace may have none.
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir="+c.dir,
		"--service-account-key-file="+b.key,
		"--service-account-signing-key-file="+b.key,
		"--service-account-issuer=https://"+name,
		"--service-cluster-ip-range="+services,
		"--token-auth-file="+tokens,
		"--authorization-mode=RBAC",
		"--endpoint-reconciler-type=none",            // no pod calls it, and a loopback endpoint is refused
		"--disable-admission-plugins=ServiceAccount", // pods need no account here
	)
	return c
}

// awaitAPI waits for the API server to be ready, and for what it needs written
// the first time: its certificate, and our kubeconfig for it.
func (c *Cluster) awaitAPI(t testing.TB) {
	t.Helper()
	if c.Client == nil {
		// It makes itself a certificate, and listens after that.
		c.api.await(t, "listening", func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr)
			if err == nil {
				conn.Close()
			}
			return err
		})
		ca, err := os.ReadFile(filepath.Join(c.dir, "apiserver.crt"))
		if err != nil {
			t.Fatal(err)
		}
		c.config.CAData = ca
		c.writeKubeconfig(t, c.Kubeconfig, c.config.BearerToken)
		client, err := kubernetes.NewForConfig(c.config)
		if err != nil {
			t.Fatal(err)
		}
		c.Client = client
	}
	c.api.await(t, "ready", func(ctx context.Context) error {
		return c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// writeKubeconfig writes a kubeconfig that needs no other file. All in it is
// called after the cluster, so that several can be merged.
func (c *Cluster) writeKubeconfig(t testing.TB, path, token string) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Name] = &clientcmdapi.Cluster{Server: c.config.Host, CertificateAuthorityData: c.config.CAData}
	config.AuthInfos[c.Name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: c.Name}
	config.CurrentContext = c.Name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
}

// Pause stops the API server where it stands: its connections stay open, new
// ones are even accepted by the kernel, and nothing answers.
func (c *Cluster) Pause() {
	if err := c.api.signal(syscall.SIGSTOP); err != nil {
		panic(fmt.Sprintf("bed: %s: nothing to pause: %v", c.api.name, err))
	}
}

// Resume undoes Pause. It does nothing to an API server that is gone.
func (c *Cluster) Resume() { _ = c.api.signal(syscall.SIGCONT) }

// Pid is the process number of the API server.
func (c *Cluster) Pid() int { return c.api.cmd.Process.Pid }

// Kill ends the API server: its connections break and new ones are refused.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	c.api.kill()
}

// Start starts the API server again after Kill, at the same address and with
// the same certificate, and waits until it is ready.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	select {
	case <-c.api.gone:
	default:
		t.Fatalf("%s: still running", c.api.name)
	}
	c.api.start(t)
	c.awaitAPI(t)
}

// StartOn is Start on the etcd of another bed: all that the cluster held is gone,
// and its revisions begin anew, as after an etcd was lost.
func (c *Cluster) StartOn(t testing.TB, b *Bed) {
	t.Helper()
	for i, arg := range c.api.args {
		if strings.HasPrefix(arg, "--etcd-servers=") {
			c.api.args[i] = "--etcd-servers=" + b.etcd
		}
	}
	c.Start(t)
}
