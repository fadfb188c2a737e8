package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// changeToAnswer measures the time from the return of a write to an API server
// to the first answer that knows of it. CoreDNS's own kubernetes plugin is
// measured beside it, on the same API server, change by change in turn.
func changeToAnswer(t *testing.T) {
	changes := 500
	if !*figures {
		changes = 10
	}
	c := cluster.New(t).API(t, "paris")
	c.AddNode(t, "node-1", "eu", "eu-a")
	c.Expose(t, "shop", "web", "192.0.2.1")
	c.Slice(t, "shop", "web", "eu-a", true)
	c.Apply(t, `
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: headless}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
`)
	c.Slice(t, "shop", "headless", "eu-a", true)

	s := server.Start(t, fmt.Sprintf(`
example.com:PORT {
 bind ADDR
 federation myfederation {
  cluster paris {
   kubeconfig %s paris
  }
 }
 ready READY
 prometheus METRICS
 errors
}
`, c.ReadOnly(t)))
	peer := coredns(t, fmt.Sprintf(`
cluster.local:PORT {
 bind 127.0.0.1
 kubernetes cluster.local {
  kubeconfig %s paris
  ttl 0
 }
 ready 127.0.0.1:READY
 errors
}
`, c.Kubeconfig))

	fedns := &subject{
		line:  dial(t, s.Addr, "web.shop.myfederation.svc.eu-a.eu.example.com."),
		slice: take(t, c, "web-x"),
		// Its only endpoint goes, and with it the address, and comes back.
		change: func(e *discoveryv1.Endpoint, i int) func([]byte) bool {
			ready := i%2 == 1
			e.Conditions.Ready = &ready
			return func(reply []byte) bool { return address(reply, [4]byte{192, 0, 2, 1}) == ready }
		},
	}
	coredns := &subject{
		line:  dial(t, peer, "headless.shop.svc.cluster.local."),
		slice: take(t, c, "headless-x"),
		change: func(e *discoveryv1.Endpoint, i int) func([]byte) bool {
			a := [4]byte{10, 254, byte(i >> 8), byte(i)}
			e.Addresses = []string{fmt.Sprintf("%d.%d.%d.%d", a[0], a[1], a[2], a[3])}
			return func(reply []byte) bool { return address(reply, a) }
		},
	}
	for i := range changes {
		for _, x := range []*subject{fedns, coredns} {
			// Quiet between changes, and out of step with whatever ticks.
			time.Sleep(25*time.Millisecond + rand.N(15*time.Millisecond))
			x.measure(t, c, i)
		}
	}
	if *figures {
		fmt.Printf("\nChange to answer: an EndpointSlice is written, the write has returned -> the answer on the wire\n")
		fmt.Printf("  fedns                          %s\n", spread(fedns.took))
		fmt.Printf("  CoreDNS, kubernetes plugin     %s\n", spread(coredns.took))
		fmt.Printf("  of these, one question         fedns %v, CoreDNS %v\n", fedns.question(t), coredns.question(t))
		fmt.Printf("  in fedns, event to snapshot    mean %v, of which to build it %v\n",
			mean(t, s, "coredns_federation_event_to_answer_seconds"), mean(t, s, "coredns_federation_snapshot_build_seconds"))
	}
}

// A subject is a server that is measured, with the slice that it shows.
type subject struct {
	line   *line
	slice  *discoveryv1.EndpointSlice
	change func(e *discoveryv1.Endpoint, i int) (changed func(reply []byte) bool)
	took   []time.Duration
}

func (x *subject) measure(t *testing.T, c *cluster.Cluster, i int) {
	t.Helper()
	changed := x.change(&x.slice.Endpoints[0], i)
	if changed(x.line.ask(t)) {
		t.Fatalf("%s: change %d is answered before it is made", x.slice.Name, i)
	}
	var err error
	x.slice, err = c.Client.DiscoveryV1().EndpointSlices("shop").Update(t.Context(), x.slice, metav1.UpdateOptions{})
	written := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	x.line.until(t, x.slice.Name+" has changed", changed)
	x.took = append(x.took, time.Since(written))
}

// question is what one question costs, which every figure contains at least once.
func (x *subject) question(t *testing.T) time.Duration {
	const n = 1000
	start := time.Now()
	for range n {
		x.line.ask(t)
	}
	return (time.Since(start) / n).Round(time.Microsecond)
}

func take(t *testing.T, c *cluster.Cluster, name string) *discoveryv1.EndpointSlice {
	t.Helper()
	s, err := c.Client.DiscoveryV1().EndpointSlices("shop").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mean is the mean of a histogram.
func mean(t *testing.T, s *server.Server, name string) time.Duration {
	t.Helper()
	return seconds(s.Metric(t, name+"_sum") / s.Metric(t, name+"_count"))
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond)
}
