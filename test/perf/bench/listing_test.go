package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// TestFiguresListing measures how long it takes until all is answered over real APIs, beside a kubectl for each member, all at once, that gets the
// same objects. The members are one API server by several names.
func TestFiguresListing(t *testing.T) {
	members, services, rounds := 2, 100, 1
	if *figures {
		members, services, rounds = 8, 10_000, 3
	}
	c := cluster.New(t).API(t, "paris")
	c.AddNode(t, "node-1", "eu", "eu-a")
	c.Expose(t, "shop", "svc-0", "192.0.2.1")
	each(t, 0, services, func(i int) error {
		name := fmt.Sprint("svc-", i)
		if i > 0 {
			// Without a ClusterIP: to find a free one takes an API server longer than all else here.
			s := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
			s.Name, s.Labels = name, map[string]string{"fedns.io/export": "true"}
			s.Annotations = map[string]string{"fedns.io/addresses": fmt.Sprintf("198.51.%d.%d", i>>8, i&255)}
			if _, err := c.Client.CoreV1().Services("shop").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
		s.Name = name + "-x"
		s.Labels = map[string]string{"fedns.io/export": "true", discoveryv1.LabelServiceName: name, discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io"}
		for n := range 3 {
			zone, ready := "eu-a", true
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.%d.%d.%d", n, i>>8, i&255)}, Zone: &zone, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
		}
		_, err := c.Client.DiscoveryV1().EndpointSlices("shop").Create(t.Context(), s, metav1.CreateOptions{})
		return err
	})

	var stanza strings.Builder
	kubeconfig := c.ReadOnly(t)
	for i := range members {
		fmt.Fprintf(&stanza, "  cluster c%d {\n   kubeconfig %s paris\n   region r%d\n   zones z%d\n  }\n", i, kubeconfig, i, i)
	}
	if _, err := server.Binary(); err != nil { // built before the clock starts
		t.Fatal(err)
	}
	// In turn, since each leaves the API server what it has made.
	for range rounds {
		start := time.Now()
		s := server.Launch(t, "example.com:PORT {\n bind ADDR\n federation myfederation {\n"+stanza.String()+" }\n ready READY\n prometheus METRICS\n errors\n}\n")
		whole(t, s, members*services)
		ours, cpu, memory := time.Since(start), ticks(t, s.Pid), resident(t, s.Pid)
		last := fmt.Sprintf("svc-%d.shop.myfederation.svc.r%d.example.com", services-1, members-1)
		server.Eventually(t, patience, last+" has an address", func() bool { return len(s.Ask(t, last, dns.TypeA).Answer) == 1 })
		s.Stop()

		full, its := kubectl(t, c, members, "get", "services,endpointslices", "-A")
		names, of := kubectl(t, c, members, "get", "services,endpointslices", "-A", "-o", "name")
		if *figures {
			fmt.Printf("\nFrom %d members of %d services, each with a slice: fedns answers all of it after %s, with %.2f s of its CPU and %.0f MB; kubectl get -A, one for each member at once, takes %.2f s and %.2f s, with -o name %.2f s and %.2f s\n",
				members, services, target(ours.Seconds(), full.Seconds(), "s"), cpu.Seconds(), memory, full.Seconds(), its.Seconds(), names.Seconds(), of.Seconds())
		}
	}
}

// each does something by number, from one to before another, sixteen at a time.
func each(t *testing.T, from, to int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	var next atomic.Int64
	next.Store(int64(from))
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < to && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
}

// kubectl runs several at once, and says when the last has ended, and what CPU they have taken together.
func kubectl(t *testing.T, c *cluster.Cluster, n int, args ...string) (took, cpu time.Duration) {
	t.Helper()
	all := make([]*exec.Cmd, n)
	home := t.TempDir() // where it keeps what it has discovered
	start := time.Now()
	for i := range all {
		all[i] = exec.CommandContext(t.Context(), filepath.Join(vector.Root(), "bin", "kube", "kubectl"), args...)
		all[i].Env = []string{"KUBECONFIG=" + c.Kubeconfig, "HOME=" + home}
		all[i].Stdout, all[i].Stderr = io.Discard, os.Stderr
		if err := all[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Fatalf("kubectl %q: %v", args, err)
		}
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return time.Since(start), cpu
}
