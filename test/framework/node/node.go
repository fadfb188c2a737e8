package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/vector"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Node is a host with containerd, a kubelet and kube-proxy.
type Node struct {
	Name    string
	Address string
	zone    string
	pods    string // their network
	link    string // the router's end of it
	up      string // the router's address on that
	netns   string
	dir     string
	cluster *Cluster
}

// newNode makes the host of a cluster's node i, from 0, and joins it to the router.
func (c *Cluster) newNode(t testing.TB, i int, zone string) *Node {
	t.Helper()
	name := c.Name
	if i > 0 {
		name = fmt.Sprintf("%s-%d", c.Name, i+1)
	}
	net := c.number + 10*i
	n := &Node{
		Name: "node-" + name, Address: fmt.Sprintf("10.98.%d.1", net), up: fmt.Sprintf("10.98.%d.2", net), zone: zone, pods: fmt.Sprintf("10.%d.%d.0/24", 100+c.number, i),
		link: fmt.Sprintf("down%d", net), netns: "fedns-" + name, dir: filepath.Join(c.bed.dir, name), cluster: c,
	}
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	router := c.bed.netns
	c.bed.namespace(t, n.netns)
	run(t, router, "ip", "link", "add", n.link, "type", "veth", "peer", "name", "up0", "netns", n.netns)
	run(t, router, "ip", "addr", "add", n.up+"/24", "dev", n.link)
	run(t, router, "ip", "link", "set", n.link, "up")
	run(t, n.netns, "ip", "addr", "add", n.Address+"/24", "dev", "up0")
	run(t, n.netns, "ip", "link", "set", "up0", "up")
	run(t, n.netns, "ip", "route", "add", "default", "via", n.up)
	run(t, router, "ip", "route", "add", n.pods, "via", n.Address)
	return n
}

// start starts its programs; await waits until it is ready.
func (n *Node) start(t testing.TB) {
	t.Helper()
	n.startContainerd(t)
	n.startKubelet(t)
}

func (n *Node) await(t testing.TB) {
	t.Helper()
	eventually(t, 3*time.Minute, n.Name+" is ready", func() error {
		o, err := n.cluster.Client.CoreV1().Nodes().Get(t.Context(), n.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, cond := range o.Status.Conditions {
			if cond.Type == "Ready" && cond.Status == "True" {
				return nil
			}
		}
		return fmt.Errorf("%v", o.Status.Conditions)
	})
}

func (n *Node) startContainerd(t testing.TB) {
	t.Helper()
	dir := filepath.Join(n.dir, "c")
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
     "ipam": {"type": "host-local", "dataDir": "%s/ipam", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}, "snat": false}
  ]}`, dir, n.pods))
	n.daemon(t, path("containerd"), "--config", filepath.Join(dir, "config.toml"), "--log-level", "error")
	eventually(t, time.Minute, n.Name+"'s containerd answers", func() error {
		out, err := n.ctr("version")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func (n *Node) ctr(args ...string) (string, error) {
	out, err := exec.Command(path("ctr"), append([]string{"-a", filepath.Join(n.dir, "c", "sock"), "-n", "k8s.io"}, args...)...).CombinedOutput()
	return string(out), err
}

func (n *Node) startKubelet(t testing.TB) {
	t.Helper()
	dir := filepath.Join(n.dir, "k")
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
`, n.dir, n.cluster.DNS(), dir))
	n.daemon(t, kube("kubelet"), "--config="+filepath.Join(dir, "config.yaml"), "--kubeconfig="+n.cluster.Kubeconfig, "--root-dir="+filepath.Join(dir, "root"),
		"--cert-dir="+filepath.Join(dir, "pki"), "--hostname-override="+n.Name, "--node-ip="+n.Address,
		"--node-labels=topology.kubernetes.io/region="+n.cluster.Region+",topology.kubernetes.io/zone="+n.zone)
	write(t, filepath.Join(dir, "proxy.yaml"), fmt.Sprintf(`
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: %s
clientConnection: {kubeconfig: %s}
clusterCIDR: 10.%d.0.0/16
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s} # else it writes the machine's sysctls
`, n.Name, n.cluster.Kubeconfig, 100+n.cluster.number))
	n.daemon(t, kube("kube-proxy"), "--config="+filepath.Join(dir, "proxy.yaml"))
}

// daemon runs a program until the bed goes, and shows the end of its log if the test fails.
func (n *Node) daemon(t testing.TB, name string, args ...string) {
	t.Helper()
	log := filepath.Join(n.dir, filepath.Base(name)+".log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := within(n.netns, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	// containerd looks for runc, CNI's plugins for iptables; the rest of the machine's settings aren't theirs.
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + n.dir}
	gone, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
		if t.Failed() {
			t.Logf("%s: %s ended with\n%s", n.Name, filepath.Base(name), tail(log))
		}
		out.Close()
	})
}
