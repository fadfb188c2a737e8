package node

import (
	"context"
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

// A Cluster is one host with a whole cluster.
type Cluster struct {
	Place
	Kubeconfig string // of an administrator; it leads there from the test
	Client     kubernetes.Interface
	Node       string // the address of its node
	netns      string
	dir        string
	number     int
	token      string
	bed        *Bed
}

// newCluster makes its host.
func (b *Bed) newCluster(t testing.TB, n int, p Place) *Cluster {
	t.Helper()
	c := &Cluster{
		Place: p, netns: "fedns-" + p.Name, dir: filepath.Join(b.dir, p.Name), number: n, token: rand.Text(), bed: b,
		Node: fmt.Sprintf("10.98.%d.1", n),
	}
	c.Kubeconfig = filepath.Join(c.dir, "kubeconfig")
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.namespace(t, c.netns)
	down := fmt.Sprintf("down%d", n)
	run(t, b.netns, "ip", "link", "add", down, "type", "veth", "peer", "name", "up0", "netns", c.netns)
	run(t, b.netns, "ip", "addr", "add", fmt.Sprintf("10.98.%d.2/24", n), "dev", down)
	run(t, b.netns, "ip", "link", "set", down, "up")
	run(t, c.netns, "ip", "addr", "add", c.Node+"/24", "dev", "up0")
	run(t, c.netns, "ip", "link", "set", "up0", "up")
	run(t, c.netns, "ip", "route", "add", "default", "via", fmt.Sprintf("10.98.%d.2", n))
	for _, to := range []string{fmt.Sprintf("10.97.%d.0/24", n), fmt.Sprintf("10.%d.0.0/24", 100+n)} {
		run(t, b.netns, "ip", "route", "add", to, "via", c.Node)
	}
	return c
}

// DNS is the address of the cluster's own DNS.
func (c *Cluster) DNS() string { return fmt.Sprintf("10.%d.0.10", 110+c.number) }

// start starts its programs, and doesn't wait for them.
func (c *Cluster) start(t testing.TB) {
	t.Helper()
	key := filepath.Join(c.dir, "key.pem")
	cluster.WriteKey(t, key)
	write(t, filepath.Join(c.dir, "tokens.csv"), c.token+",admin,1,system:masters\n")
	etcd := "http://127.0.0.1:2379"
	c.daemon(t, kube("etcd"), "--data-dir="+filepath.Join(c.dir, "etcd"), "--unsafe-no-fsync", "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls=http://127.0.0.1:2380", "--log-level=error")
	c.daemon(t, kube("kube-apiserver"),
		"--etcd-servers="+etcd,
		"--bind-address=0.0.0.0", "--advertise-address="+c.Node, "--secure-port=6443",
		"--cert-dir="+filepath.Join(c.dir, "pki"),
		"--service-account-key-file="+key, "--service-account-signing-key-file="+key, "--service-account-issuer=https://kubernetes.default.svc",
		fmt.Sprintf("--service-cluster-ip-range=10.%d.0.0/16", 110+c.number),
		"--token-auth-file="+filepath.Join(c.dir, "tokens.csv"),
		"--authorization-mode=RBAC",
		"--kubelet-preferred-address-types=InternalIP", // or it looks the node's name up
	)
}

// await starts what needs the API, and waits for the node.
func (c *Cluster) await(t testing.TB) {
	t.Helper()
	eventually(t, 2*time.Minute, c.Name+"'s API server listens", func() error { return listens(c.Node + ":6443") })
	ca, err := os.ReadFile(filepath.Join(c.dir, "pki", "apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Name] = &clientcmdapi.Cluster{Server: "https://" + c.Node + ":6443", CertificateAuthorityData: ca}
	config.AuthInfos[c.Name] = &clientcmdapi.AuthInfo{Token: c.token}
	config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: c.Name}
	config.CurrentContext = c.Name
	if err := clientcmd.WriteToFile(*config, c.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	c.Client, err = kubernetes.NewForConfig(&rest.Config{Host: "https://" + c.Node + ":6443", BearerToken: c.token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: ca}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, c.Name+"'s API server is ready", func() error {
		return c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error()
	})
	c.daemon(t, kube("kube-controller-manager"), "--kubeconfig="+c.Kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", "--cert-dir="+filepath.Join(c.dir, "kcm"),
		"--service-account-private-key-file="+filepath.Join(c.dir, "key.pem"), "--root-ca-file="+filepath.Join(c.dir, "pki", "apiserver.crt"),
		"--use-service-account-credentials=false", "--controllers=*,-node-ipam-controller,-node-route-controller,-service-lb-controller")
	c.daemon(t, kube("kube-scheduler"), "--kubeconfig="+c.Kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1")
	c.startContainerd(t)
	c.startKubelet(t)
	eventually(t, 3*time.Minute, c.Name+"'s node is ready", func() error {
		n, err := c.Client.CoreV1().Nodes().Get(t.Context(), c.nodeName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, cond := range n.Status.Conditions {
			if cond.Type == "Ready" && cond.Status == "True" {
				return nil
			}
		}
		return fmt.Errorf("%v", n.Status.Conditions)
	})
	// Pods can't be made before their account is there.
	eventually(t, time.Minute, c.Name+" has its first account", func() error {
		_, err := c.Client.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
}

func (c *Cluster) nodeName() string { return "node-" + c.Name }

func (c *Cluster) startContainerd(t testing.TB) {
	t.Helper()
	dir := filepath.Join(c.dir, "c")
	write(t, filepath.Join(dir, "config.toml"), fmt.Sprintf(`
version = 2
root = "%[1]s/root"
state = "%[1]s/state"
[grpc]
  address = "%[1]s/sock"
[ttrpc]
  address = "%[1]s/ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true # lowering it takes CAP_SYS_RESOURCE, which a machine may not have
  disable_apparmor = true
  enable_unprivileged_ports = false
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "%[1]s/net"
`, dir))
	write(t, filepath.Join(dir, "net", "10-bridge.conflist"), fmt.Sprintf(`{
  "cniVersion": "0.4.0", "name": "pods", "plugins": [
    {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
     "ipam": {"type": "host-local", "dataDir": "%s/ipam", "ranges": [[{"subnet": "10.%d.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}, "snat": false}
  ]}`, dir, 100+c.number))
	c.daemon(t, path("containerd"), "--config", filepath.Join(dir, "config.toml"), "--log-level", "error")
	eventually(t, time.Minute, c.Name+"'s containerd answers", func() error {
		out, err := c.ctr("version")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func (c *Cluster) ctr(args ...string) (string, error) {
	out, err := exec.Command(path("ctr"), append([]string{"-a", filepath.Join(c.dir, "c", "sock"), "-n", "k8s.io"}, args...)...).CombinedOutput()
	return string(out), err
}

// Import gives the cluster the image of an archive.
func (c *Cluster) Import(t testing.TB, archive string) {
	t.Helper()
	if out, err := c.ctr("image", "import", archive); err != nil {
		t.Fatalf("%s: %s: %v\n%s", c.Name, archive, err, out)
	}
}

func (c *Cluster) startKubelet(t testing.TB) {
	t.Helper()
	dir := filepath.Join(c.dir, "k")
	write(t, filepath.Join(dir, "resolv.conf"), "nameserver 127.0.0.1\n") // nobody is there: what isn't the cluster's isn't found
	write(t, filepath.Join(dir, "config.yaml"), fmt.Sprintf(`
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://%[1]s/c/sock
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false # else kubelets of one machine take each other's pods for theirs
enforceNodeAllocatable: []
cgroupRoot: /fedns-nodes
clusterDNS: [%[2]s]
clusterDomain: cluster.local
resolvConf: %[3]s/resolv.conf
podLogsDir: %[3]s/logs
volumePluginDir: %[3]s/plugins
failSwapOn: false
evictionHard: {memory.available: "0%%", nodefs.available: "0%%", imagefs.available: "0%%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
makeIPTablesUtilChains: false
nodeStatusUpdateFrequency: 2s
syncFrequency: 10s
`, c.dir, c.DNS(), dir))
	c.daemon(t, kube("kubelet"), "--config="+filepath.Join(dir, "config.yaml"), "--kubeconfig="+c.Kubeconfig, "--root-dir="+filepath.Join(dir, "root"),
		"--cert-dir="+filepath.Join(dir, "pki"), "--hostname-override="+c.nodeName(), "--node-ip="+c.Node,
		"--node-labels=topology.kubernetes.io/region="+c.Region+",topology.kubernetes.io/zone="+c.Zone)
	write(t, filepath.Join(dir, "proxy.yaml"), fmt.Sprintf(`
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: %s
clientConnection: {kubeconfig: %s}
clusterCIDR: 10.%d.0.0/24
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s} # else it writes the machine's sysctls
`, c.nodeName(), c.Kubeconfig, 100+c.number))
	c.daemon(t, kube("kube-proxy"), "--config="+filepath.Join(dir, "proxy.yaml"))
}

// startPool gives Services of type LoadBalancer addresses, until the test ends.
func (c *Cluster) startPool(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		given := map[string]string{}
		for ctx.Err() == nil {
			all, err := c.Client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
			if err == nil {
				for _, s := range all.Items {
					key := s.Namespace + "/" + s.Name
					if s.Spec.Type != "LoadBalancer" || s.Spec.LoadBalancerClass != nil || len(s.Status.LoadBalancer.Ingress) > 0 {
						continue
					}
					if given[key] == "" {
						given[key] = fmt.Sprintf("10.97.%d.%d", c.number, 1+len(given))
					}
					patch := fmt.Appendf(nil, `{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, given[key])
					_, _ = c.Client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, "application/merge-patch+json", patch, metav1.PatchOptions{}, "status") // else again soon
				}
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
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
	cmd.Env = []string{"KUBECONFIG=" + c.Kubeconfig, "HOME=" + c.dir}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Apply applies objects, as an administrator does.
func (c *Cluster) Apply(t testing.TB, text string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), kube("kubectl"), "apply", "-f", "-")
	cmd.Env = []string{"KUBECONFIG=" + c.Kubeconfig, "HOME=" + c.dir}
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c.Name, err, out)
	}
}
