package bench

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// TestFiguresWatches measures what those Services of a cluster cost that aren't exported:
// memory, and what comes over the wire, at first and while all of their slices change;
// beside it, what it costs to export them all.
func TestFiguresWatches(t *testing.T) {
	all, exported := 400, 20
	if *figures {
		all, exported = 20_000, 1_000
	}
	c := cluster.New(t).API(t, "paris")
	c.AddNode(t, "node-1", "eu", "eu-a")
	c.Expose(t, "shop", "svc-0", "192.0.2.1")
	slices := make([]*discoveryv1.EndpointSlice, all)
	labels := func(i int) map[string]string {
		l := map[string]string{"app": fmt.Sprint("svc-", i)}
		if i < exported {
			l["fedns.io/export"] = "true"
		}
		return l
	}
	each(t, 0, all, func(i int) error {
		name := fmt.Sprint("svc-", i)
		if i > 0 {
			// Without a ClusterIP: to find a free one takes an API server longer than all else here.
			s := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
			s.Name, s.Labels = name, labels(i)
			if _, err := c.Client.CoreV1().Services("shop").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
		s.Name, s.Labels = name+"-x", labels(i) // as Kubernetes labels them
		s.Labels[discoveryv1.LabelServiceName], s.Labels[discoveryv1.LabelManagedBy] = name, "endpointslice-controller.k8s.io"
		for n := range 3 {
			zone, ready := "eu-a", true
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.%d.%d.%d", n, i>>8, i&255)}, Zone: &zone, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
		}
		var err error
		slices[i], err = c.Client.DiscoveryV1().EndpointSlices("shop").Create(t.Context(), s, metav1.CreateOptions{})
		return err
	})

	type measured struct {
		selects       string
		known         int
		server        *server.Server
		came          *atomic.Int64
		first, memory float64
	}
	var both []*measured
	for _, m := range []*measured{{selects: "fedns.io/export=true", known: exported}, {selects: `"*"`, known: all + 1}} { // with the API's own
		var kubeconfig string
		kubeconfig, m.came = counting(t, c.ReadOnly(t))
		m.server = server.Start(t, fmt.Sprintf(`
example.com:PORT {
 bind ADDR
 federation myfederation {
  cluster paris {
   kubeconfig %s paris
  }
  select %s
 }
 ready READY
 prometheus METRICS
 errors
}
`, kubeconfig, m.selects))
		m.first, m.memory = float64(m.came.Load()), resident(t, m.server.Pid)
		if n := m.server.Metric(t, `coredns_federation_snapshot_services{federation="myfederation"}`); int(n) != m.known {
			t.Errorf("select %s: %v services are known, not %d", m.selects, n, m.known)
		}
		both = append(both, m)
	}
	change := func(i int) error {
		ready := false
		slices[i].Endpoints[0].Conditions.Ready = &ready
		_, err := c.Client.DiscoveryV1().EndpointSlices("shop").Update(t.Context(), slices[i], metav1.UpdateOptions{})
		return err
	}
	each(t, exported, all, change)
	// What is told behind them has come behind them.
	for n := range slices[0].Endpoints {
		ready := false
		slices[0].Endpoints[n].Conditions.Ready = &ready
	}
	if err := change(0); err != nil {
		t.Fatal(err)
	}
	for _, m := range both {
		l := dial(t, m.server.Addr, "svc-0.shop.myfederation.svc.example.com.")
		l.until(t, "svc-0 is down", func(reply []byte) bool { return !address(reply, [4]byte{192, 0, 2, 1}) })
		churn := float64(m.came.Load()) - m.first
		if limit := float64(all) * 100; m.known == exported && churn > limit {
			t.Errorf("%.0f bytes came while %d slices changed that nobody asked for", churn, all-exported)
		}
		if *figures {
			fmt.Printf("\nselect %s: %d Services of %d, each with a slice: ready after %.1f MB from the API, %.0f MB resident; %.2f MB more while the slices of %d change that only * selects\n",
				m.selects, m.known, all, m.first/1e6, m.memory, churn/1e6, all-exported)
		}
	}
}

// counting leads to the API of a kubeconfig through a proxy that counts the bytes that come
// from there.
func counting(t *testing.T, kubeconfig string) (path string, came *atomic.Int64) {
	t.Helper()
	content, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	server := regexp.MustCompile(`server: (\S+)`).FindSubmatch(content)
	if server == nil {
		t.Fatalf("no server in %s", content)
	}
	to, err := url.Parse(string(server[1]))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	came = new(atomic.Int64)
	api := to.Host
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.DialTimeout("tcp", api, 5*time.Second)
			if err != nil {
				in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, io.TeeReader(out, adder{came})); in.Close() }()
		}
	}()
	to.Host = ln.Addr().String()
	path = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, bytes.ReplaceAll(content, server[1], []byte(to.String())), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, came
}

// An adder counts what is written to it.
type adder struct{ n *atomic.Int64 }

func (a adder) Write(p []byte) (int, error) {
	a.n.Add(int64(len(p)))
	return len(p), nil
}
