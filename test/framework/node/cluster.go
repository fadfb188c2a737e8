package node

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/cluster"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A Cluster is a whole one: its first node's host has its API server and controllers, too.
type Cluster struct {
	Place
	Kubeconfig string // of an administrator; it leads there from the test
	Client     kubernetes.Interface
	Nodes      []*Node
	number     int
	token      string
	bed        *Bed
	bad        func() // puts an end to what Degrade began
}

// newCluster makes its hosts.
func (b *Bed) newCluster(t testing.TB, n int, p Place) *Cluster {
	t.Helper()
	c := &Cluster{Place: p, number: n, token: rand.Text(), bed: b, Kubeconfig: filepath.Join(b.dir, p.Name, "kubeconfig")}
	for _, zone := range append([]string{p.Zone}, p.More...) {
		c.Nodes = append(c.Nodes, c.newNode(t, len(c.Nodes), zone))
	}
	run(t, b.netns, "ip", "route", "add", fmt.Sprintf("10.97.%d.0/24", n), "via", c.Nodes[0].Address)
	return c
}

// DNS is the address of the cluster's own DNS.
func (c *Cluster) DNS() string { return fmt.Sprintf("10.%d.0.10", 110+c.number) }

// start starts its programs, and doesn't wait for them.
func (c *Cluster) start(t testing.TB) {
	t.Helper()
	host := c.Nodes[0]
	key := filepath.Join(host.dir, "key.pem")
	cluster.WriteKey(t, key)
	write(t, filepath.Join(host.dir, "tokens.csv"), c.token+",admin,1,system:masters\n")
	etcd := "http://127.0.0.1:2379"
	host.daemon(t, kube("etcd"), "--data-dir="+filepath.Join(host.dir, "etcd"), "--unsafe-no-fsync", "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls=http://127.0.0.1:2380", "--log-level=error")
	host.daemon(t, kube("kube-apiserver"),
		"--etcd-servers="+etcd,
		"--bind-address=0.0.0.0", "--advertise-address="+host.Address, "--secure-port=6443",
		"--cert-dir="+filepath.Join(host.dir, "pki"),
		"--service-account-key-file="+key, "--service-account-signing-key-file="+key, "--service-account-issuer=https://kubernetes.default.svc",
		fmt.Sprintf("--service-cluster-ip-range=10.%d.0.0/16", 110+c.number),
		"--token-auth-file="+filepath.Join(host.dir, "tokens.csv"),
		"--authorization-mode=RBAC",
		"--kubelet-preferred-address-types=InternalIP", // or it looks the node's name up
	)
}

// startNodes starts what needs the API: controllers, scheduler, nodes.
func (c *Cluster) startNodes(t testing.TB) {
	t.Helper()
	host := c.Nodes[0]
	api := host.Address + ":6443"
	eventually(t, 2*time.Minute, c.Name+"'s API server listens", func() error { return listens(api) })
	ca, err := os.ReadFile(filepath.Join(host.dir, "pki", "apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Name] = &clientcmdapi.Cluster{Server: "https://" + api, CertificateAuthorityData: ca}
	config.AuthInfos[c.Name] = &clientcmdapi.AuthInfo{Token: c.token}
	config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: c.Name}
	config.CurrentContext = c.Name
	if err := clientcmd.WriteToFile(*config, c.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	c.Client, err = kubernetes.NewForConfig(&rest.Config{Host: "https://" + api, BearerToken: c.token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: ca}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, c.Name+"'s API server is ready", func() error {
		return c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error()
	})
	host.daemon(t, kube("kube-controller-manager"), "--kubeconfig="+c.Kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", "--cert-dir="+filepath.Join(host.dir, "kcm"),
		"--service-account-private-key-file="+filepath.Join(host.dir, "key.pem"), "--root-ca-file="+filepath.Join(host.dir, "pki", "apiserver.crt"),
		"--use-service-account-credentials=false", "--controllers=*,-node-ipam-controller,-node-route-controller,-service-lb-controller")
	host.daemon(t, kube("kube-scheduler"), "--kubeconfig="+c.Kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1")
	for _, n := range c.Nodes {
		n.start(t)
	}
}

// await waits for the nodes.
func (c *Cluster) await(t testing.TB) {
	t.Helper()
	for _, n := range c.Nodes {
		n.await(t)
	}
	// Pods can't be made before their account is there.
	eventually(t, time.Minute, c.Name+" has its first account", func() error {
		_, err := c.Client.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
}

// Import gives the cluster's nodes the images of an archive.
func (c *Cluster) Import(t testing.TB, archive string) {
	t.Helper()
	for _, n := range c.Nodes {
		if out, err := n.ctr("image", "import", archive); err != nil {
			t.Fatalf("%s: %s: %v\n%s", n.Name, archive, err, out)
		}
	}
}

// Kubectl runs it as an administrator, and gives what it prints.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := c.TryKubectl(t, args...)
	if err != nil {
		t.Fatalf("%s: kubectl %q: %v\n%s", c.Name, args, err, out)
	}
	return out
}

// TryKubectl is Kubectl for what may fail.
func (c *Cluster) TryKubectl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), kube("kubectl"), args...)
	cmd.Env = []string{"KUBECONFIG=" + c.Kubeconfig, "HOME=" + filepath.Dir(c.Kubeconfig)}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Apply applies objects, as an administrator does.
func (c *Cluster) Apply(t testing.TB, text string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), kube("kubectl"), "apply", "-f", "-")
	cmd.Env = []string{"KUBECONFIG=" + c.Kubeconfig, "HOME=" + filepath.Dir(c.Kubeconfig)}
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c.Name, err, out)
	}
}
