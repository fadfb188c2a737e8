// Package node starts whole clusters, each on a host of its own: a network namespace with
// etcd, an API server, the controllers, the scheduler, containerd, a kubelet, kube-proxy, and
// CoreDNS in pods. Their pods run. The hosts are joined by links that can be cut, slowed and made to lose (link.go), and a pool
// gives Services of type LoadBalancer addresses that lead there.
//
// It needs root, the programs of make nodes, and a machine that lets it make namespaces,
// mounts and cgroups; without them a test is skipped, with the reason. Nothing of the machine
// stays changed, also where the test is killed: see clean.sh. Begin at New.
package node

import (
	_ "embed"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/vector"
)

//go:embed clean.sh
var clean string

// TestAddress is the test's own, at which it may serve the clusters.
const TestAddress = "10.98.0.1"

// A Place is a cluster that is to be.
type Place struct {
	Name, Region, Zone string
	More               []string // the zones of further nodes
}

// A Bed is the network that hosts stand in.
type Bed struct {
	Clusters []*Cluster
	dir      string
	netns    string // of the router between the hosts
}

// tools are of Debian, with their packages.
var tools = [][2]string{{"containerd", "containerd"}, {"ctr", "containerd"}, {"runc", "runc"}, {"nft", "nftables"}, {"conntrack", "conntrack"}, {"ip", "iproute2"}, {"nsenter", "util-linux"}}

// Lacking says why no clusters can be started here; "": they can.
func Lacking() string {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return "it takes root on Linux"
	}
	for _, p := range tools {
		if path(p[0]) == "" {
			return p[0] + " is missing: make nodes"
		}
	}
	if _, err := os.Stat("/usr/lib/cni/bridge"); err != nil {
		return "CNI's plugins are missing: make nodes"
	}
	for _, p := range []string{"kubelet", "kube-proxy"} {
		if _, err := os.Stat(kube(p)); err != nil {
			return p + " is missing: make nodes"
		}
	}
	name := fmt.Sprintf("fedns-try-%d", os.Getpid())
	if out, err := exec.Command(path("ip"), "netns", "add", name).CombinedOutput(); err != nil {
		return "no network namespace can be made: " + string(out)
	}
	_ = exec.Command(path("ip"), "netns", "del", name).Run()
	return refuses()
}

// refuses says what of what containers are made of the machine doesn't give; "": nothing.
func refuses() string {
	dir, err := os.MkdirTemp(os.TempDir(), "fn")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err.Error()
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	if out, err := exec.Command("mount", "-t", "overlay", "overlay", "-o", options, filepath.Join(dir, "merged")).CombinedOutput(); err != nil {
		return "no overlay can be mounted: " + strings.TrimSpace(string(out))
	}
	_ = exec.Command("umount", filepath.Join(dir, "merged")).Run()
	for _, root := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup"} { // version 1, or 2
		cgroup := filepath.Join(root, "fedns-nodes")
		if err := os.Mkdir(cgroup, 0o755); err == nil || os.IsExist(err) {
			_ = os.Remove(cgroup)
			return ""
		}
	}
	return "no cgroup can be made"
}

func path(name string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode()&0o111 != 0 {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

func kube(name string) string { return filepath.Join(vector.Root(), "bin", "kube", name) }

// Need skips a test where no clusters can be started.
func Need(t testing.TB) {
	t.Helper()
	if why := Lacking(); why != "" {
		t.Skip("clusters with real pods can't be started here: " + why)
	}
}

// New starts a cluster for each place, side by side; number n, from 1, has its first node at
// 10.98.n.1, pods in 10.(100+n).0.0/16 and load balancers in 10.97.n.0/24, which all lead to
// each other and from the test. images are archives that each cluster is to have.
func New(t testing.TB, places []Place, images ...string) *Bed {
	t.Helper()
	Need(t)
	// One at a time on a machine: what they have of it, such as interfaces, has fixed names.
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "fedns-nodes.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })

	// Not t.TempDir: a socket's path has 108 bytes at most.
	dir, err := os.MkdirTemp(os.TempDir(), "fn")
	if err != nil {
		t.Fatal(err)
	}
	b := &Bed{dir: dir, netns: "fedns-router"}
	b.guard(t)
	b.route(t)
	for i, p := range places {
		b.Clusters = append(b.Clusters, b.newCluster(t, i+1, p))
	}
	for _, c := range b.Clusters {
		c.start(t)
	}
	for _, c := range b.Clusters {
		c.startNodes(t)
	}
	for _, c := range b.Clusters {
		c.await(t)
		for _, archive := range append([]string{support(t, dir)}, images...) {
			c.Import(t, archive)
		}
		c.startDNS(t)
		c.startPool(t)
	}
	for _, c := range b.Clusters {
		c.awaitDNS(t)
	}
	return b
}

// guard has all be taken away when the test ends.
func (b *Bed) guard(t testing.TB) {
	t.Helper()
	names, err := exec.Command(path("ip"), "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	var before strings.Builder
	for line := range strings.Lines(string(names)) {
		fmt.Fprintln(&before, strings.Fields(line)[0])
	}
	write(t, filepath.Join(b.dir, "before"), before.String())
	// What a kubelet sets for the whole machine as it starts.
	var sysctls strings.Builder
	for _, key := range []string{"vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"} {
		value, err := os.ReadFile("/proc/sys/" + key)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sysctls, "%s %s", key, value)
	}
	write(t, filepath.Join(b.dir, "sysctls"), sysctls.String())
	script := filepath.Join(os.TempDir(), filepath.Base(b.dir)+".clean.sh")
	write(t, script, clean)
	cmd := exec.Command("sh", script, b.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives whoever kills the test
	alive, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = alive.Close()
		_ = cmd.Wait()
	})
}

// namespace makes one, and has it be taken away.
func (b *Bed) namespace(t testing.TB, name string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(b.dir, "namespaces"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, name)
	f.Close()
	run(t, "", "ip", "netns", "add", name)
	run(t, name, "ip", "link", "set", "lo", "up")
	run(t, name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	run(t, name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/fib_multipath_hash_policy") // by ports, too, to a cluster's nodes
}

// route makes the router between the hosts, and joins the test to it.
func (b *Bed) route(t testing.TB) {
	t.Helper()
	b.namespace(t, b.netns)
	run(t, "", "ip", "link", "add", "fedns0", "type", "veth", "peer", "name", "up0", "netns", b.netns)
	run(t, "", "ip", "addr", "add", TestAddress+"/24", "dev", "fedns0")
	run(t, "", "ip", "link", "set", "fedns0", "up")
	run(t, b.netns, "ip", "addr", "add", "10.98.0.2/24", "dev", "up0")
	run(t, b.netns, "ip", "link", "set", "up0", "up")
	for _, to := range []string{"10.97.0.0/16", "10.98.0.0/16", "10.101.0.0/16", "10.102.0.0/16", "10.103.0.0/16", "10.104.0.0/16"} {
		run(t, "", "ip", "route", "add", to, "via", "10.98.0.2")
	}
}

// run runs a program in a network namespace; "" is the test's.
func run(t testing.TB, netns, name string, args ...string) string {
	t.Helper()
	out, err := try(netns, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(netns, name string, args ...string) (string, error) {
	out, err := within(netns, name, args...).CombinedOutput()
	return string(out), err
}

// within is a command in a network namespace. Its mounts are everybody's.
func within(netns, name string, args ...string) *exec.Cmd {
	if p := path(name); p != "" {
		name = p
	}
	if netns == "" {
		return exec.Command(name, args...)
	}
	return exec.Command(path("nsenter"), append([]string{"--net=/run/netns/" + netns, name}, args...)...)
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func tail(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 2000 {
		_, _ = f.Seek(-2000, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return string(text)
}

// eventually waits for a condition, as long as the test goes on.
func eventually(t testing.TB, limit time.Duration, what string, ok func() error) {
	t.Helper()
	for end := time.Now().Add(max(limit, time.Minute)); ; {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s: %v", limit, what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("ended before: %s: %v", what, err)
		case <-time.After(50 * time.Millisecond): // between two looks
		}
	}
}

// listens says whether somebody takes connections there.
func listens(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		conn.Close()
	}
	return err
}
