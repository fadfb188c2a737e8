package live

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// prompt bounds how long a change may take to be answered, on a busy machine.
// A quiet one needs a thousandth of it; test/perf/bench says how much exactly.
const prompt = 2 * time.Second

// Whatever of a cluster counts is followed as it changes. Each change has a
// service of its own, in two clusters that all share.
func TestFollow(t *testing.T) {
	cs := cluster.New(t).APIs(t, "paris", "lyon")
	paris, lyon := cs[0], cs[1]
	paris.AddNode(t, "node-1", "eu", "eu-a")
	lyon.AddNode(t, "node-1", "eu", "eu-b")
	s := server.Start(t, corefile(members(t, paris, lyon)...))
	svc := func(name string) view { return view{s, name + ".shop", "svc"} }

	t.Run("a load balancer's address", func(t *testing.T) {
		v := svc("balancer")
		lyon.Expose(t, "shop", "balancer", "192.0.2.2")
		lyon.Slice(t, "shop", "balancer", "eu-b", true)
		paris.Slice(t, "shop", "balancer", "eu-a", true)
		paris.Expose(t, "shop", "balancer", "")
		v.becomes(t, prompt, "192.0.2.2", "eu", "eu-b", "global")
		v.becomes(t, prompt, "→ eu → 192.0.2.2", "eu-a") // pending
		paris.Expose(t, "shop", "balancer", "192.0.2.1")
		v.becomes(t, prompt, "192.0.2.1", "eu-a", "eu-a.eu")
		v.becomes(t, prompt, "192.0.2.1 192.0.2.2", "eu", "global")
		paris.Expose(t, "shop", "balancer", "192.0.2.11")
		v.becomes(t, prompt, "192.0.2.11", "eu-a")
		v.becomes(t, prompt, "192.0.2.11 192.0.2.2", "eu", "global")
		paris.Expose(t, "shop", "balancer", "")
		v.becomes(t, prompt, "→ eu → 192.0.2.2", "eu-a")
	})

	t.Run("a Service is deleted", func(t *testing.T) {
		v := svc("deleted")
		paris.Expose(t, "shop", "deleted", "192.0.2.1")
		paris.Slice(t, "shop", "deleted", "eu-a", true)
		lyon.Expose(t, "shop", "deleted", "192.0.2.2")
		lyon.Slice(t, "shop", "deleted", "eu-b", true)
		v.becomes(t, prompt, "192.0.2.1 192.0.2.2", "eu")
		remove := func(c *cluster.Cluster) {
			if err := c.Client.CoreV1().Services("shop").Delete(t.Context(), "deleted", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		remove(paris)
		v.becomes(t, prompt, "192.0.2.2", "eu", "global")
		v.becomes(t, prompt, "→ eu → 192.0.2.2", "eu-a")
		remove(lyon) // the slices stay; without a Service they say nothing
		v.becomes(t, prompt, "NXDOMAIN", "eu-a", "eu-b", "eu", "global")
		paris.Expose(t, "shop", "deleted", "192.0.2.3")
		v.becomes(t, prompt, "192.0.2.3", "eu-a", "global")
	})

	t.Run("a Service is exported no more", func(t *testing.T) {
		v := svc("unlabelled")
		paris.Expose(t, "shop", "unlabelled", "192.0.2.1")
		paris.Slice(t, "shop", "unlabelled", "eu-a", true)
		v.becomes(t, prompt, "192.0.2.1", "eu-a")
		label := func(value string) {
			patch := fmt.Appendf(nil, `{"metadata": {"labels": {"fedns.io/export": %s}}}`, value)
			if _, err := paris.Client.CoreV1().Services("shop").Patch(t.Context(), "unlabelled", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		label("null")
		v.becomes(t, prompt, "NXDOMAIN", "eu-a", "eu", "global")
		label(`"true"`)
		v.becomes(t, prompt, "192.0.2.1", "eu-a", "eu", "global")
		label(`"false"`)
		v.becomes(t, prompt, "NXDOMAIN", "eu-a", "eu", "global")
	})

	t.Run("a node is relabelled", func(t *testing.T) {
		v := svc("moved")
		paris.AddNode(t, "node-moved", "eu", "eu-m")
		paris.Expose(t, "shop", "moved", "192.0.2.1")
		slice(t, paris, "moved", "x", "nodeName: node-moved")
		v.becomes(t, prompt, "192.0.2.1", "eu-m", "eu")
		v.becomes(t, prompt, "→ eu → 192.0.2.1", "eu-a")
		v.becomes(t, prompt, "NXDOMAIN", "eu-n")
		paris.AddNode(t, "node-moved", "eu", "eu-n")
		v.becomes(t, prompt, "192.0.2.1", "eu-n", "eu-n.eu", "eu")
		v.becomes(t, prompt, "NXDOMAIN", "eu-m") // nobody is there any more
		paris.AddNode(t, "node-moved", "us", "us-n")
		v.becomes(t, prompt, "192.0.2.1", "us-n.us", "us", "global")
		v.becomes(t, prompt, "→ global → 192.0.2.1", "eu")
		if err := paris.Client.CoreV1().Nodes().Delete(t.Context(), "node-moved", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		// With no zone known at all, a shard counts in the cluster's own.
		v.becomes(t, prompt, "192.0.2.1", "eu-a", "eu", "global")
		v.becomes(t, prompt, "NXDOMAIN", "us-n", "us")
	})

	t.Run("a second zone", func(t *testing.T) {
		v := svc("spread")
		paris.AddNode(t, "node-spread", "eu", "eu-s")
		paris.Expose(t, "shop", "spread", "192.0.2.1")
		slice(t, paris, "spread", "x", "zone: eu-a")
		v.becomes(t, prompt, "192.0.2.1", "eu-a", "eu")
		v.becomes(t, prompt, "→ eu → 192.0.2.1", "eu-s")
		slice(t, paris, "spread", "x", "zone: eu-a", "zone: eu-s")
		v.becomes(t, prompt, "192.0.2.1", "eu-s", "eu-s.eu", "eu-a", "eu", "global") // once, although it is in two zones
		slice(t, paris, "spread", "x", "zone: eu-a, conditions: {ready: false}", "zone: eu-s")
		v.becomes(t, prompt, "→ eu → 192.0.2.1", "eu-a", "eu-a.eu")
		v.becomes(t, prompt, "192.0.2.1", "eu-s", "eu")
		slice(t, paris, "spread", "x", "zone: eu-a, conditions: {ready: true, terminating: true}", "zone: eu-s")
		v.is(t, "→ eu → 192.0.2.1", "eu-a") // still not: it is on its way out
	})

	t.Run("two slices", func(t *testing.T) {
		v := svc("sliced")
		paris.Expose(t, "shop", "sliced", "192.0.2.1")
		slice(t, paris, "sliced", "x", "zone: eu-a")
		slice(t, paris, "sliced", "y", "zone: eu-a")
		v.becomes(t, prompt, "192.0.2.1", "eu-a")
		drop := func(name string) {
			if err := paris.Client.DiscoveryV1().EndpointSlices("shop").Delete(t.Context(), "sliced-"+name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		v.while(t, func() { drop("x") }, "192.0.2.1", "eu-a")
		slice(t, paris, "sliced", "y", "zone: eu-a, conditions: {ready: false}")
		v.becomes(t, prompt, "NODATA", "global")
		slice(t, paris, "sliced", "x", "zone: eu-a")
		v.becomes(t, prompt, "192.0.2.1", "eu-a", "global")
		drop("x")
		drop("y")
		v.becomes(t, prompt, "NODATA", "global")
		v.becomes(t, prompt, "→ eu → global → NODATA", "eu-a")
	})

	t.Run("publishNotReadyAddresses", func(t *testing.T) {
		v := svc("eager")
		paris.Expose(t, "shop", "eager", "192.0.2.1")
		paris.Slice(t, "shop", "eager", "eu-a", false)
		v.becomes(t, prompt, "NODATA", "global")
		service(t, paris, "eager", "", "type: LoadBalancer, publishNotReadyAddresses: true, ports: [{port: 80}]")
		v.becomes(t, prompt, "192.0.2.1", "eu-a", "global")
		service(t, paris, "eager", "", "type: LoadBalancer, publishNotReadyAddresses: false, ports: [{port: 80}]")
		v.becomes(t, prompt, "NODATA", "global")
	})

	t.Run("externalIPs", func(t *testing.T) {
		v := svc("external")
		service(t, paris, "external", "", "ports: [{port: 80}]")
		paris.Slice(t, "shop", "external", "eu-a", true)
		v.becomes(t, prompt, "NODATA", "global") // it has no external address
		service(t, paris, "external", "", "externalIPs: [192.0.2.1, 192.0.2.2], ports: [{port: 80}]")
		v.becomes(t, prompt, "192.0.2.1 192.0.2.2", "eu-a", "global")
		service(t, paris, "external", "", "externalIPs: [192.0.2.2], ports: [{port: 80}]")
		v.becomes(t, prompt, "192.0.2.2", "eu-a", "global")
	})

	t.Run("fedns.io/addresses", func(t *testing.T) {
		v := svc("behind")
		balancer := "type: LoadBalancer, ports: [{port: 80}]"
		paris.Expose(t, "shop", "behind", "10.1.2.3")
		paris.Slice(t, "shop", "behind", "eu-a", true)
		v.becomes(t, prompt, "10.1.2.3", "eu-a")
		service(t, paris, "behind", `fedns.io/addresses: "192.0.2.1, 192.0.2.2"`, balancer)
		v.becomes(t, prompt, "192.0.2.1 192.0.2.2", "eu-a", "global")
		service(t, paris, "behind", `fedns.io/addresses: "192.0.2.1, not.one"`, balancer)
		v.becomes(t, prompt, "192.0.2.1", "eu-a", "global")
		logs(t, s, prompt, "not.one")
		service(t, paris, "behind", "", balancer)
		v.becomes(t, prompt, "10.1.2.3", "eu-a", "global")
	})

	t.Run("an Ingress", func(t *testing.T) {
		v := view{s, "front.shop", "ing"}
		paris.Expose(t, "shop", "backend", "")
		paris.Slice(t, "shop", "backend", "eu-a", true)
		paris.Apply(t, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: shop, name: front, labels: {fedns.io/export: "true"}}
spec:
  rules: [{host: www.example.net, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: backend, port: {number: 80}}}}]}}]
`)
		v.becomes(t, prompt, "NODATA", "global")
		patch := []byte(`{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}`)
		if _, err := paris.Client.NetworkingV1().Ingresses("shop").Patch(t.Context(), "front", types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
		v.becomes(t, prompt, "192.0.2.1", "eu-a", "eu-a.eu", "eu", "global")
		svc("front").is(t, "NXDOMAIN", "global") // it is no Service
		paris.Slice(t, "shop", "backend", "eu-a", false)
		v.becomes(t, prompt, "→ eu → global → NODATA", "eu-a")
		paris.Slice(t, "shop", "backend", "eu-a", true)
		v.becomes(t, prompt, "192.0.2.1", "eu-a")
		if err := paris.Client.NetworkingV1().Ingresses("shop").Delete(t.Context(), "front", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		v.becomes(t, prompt, "NXDOMAIN", "eu-a", "global")
	})

	t.Run("labels that DNS would not have", func(t *testing.T) {
		v := svc("labelled")
		paris.Expose(t, "shop", "labelled", "192.0.2.1")
		paris.AddNode(t, "node-upper", "eu", "EU-U")
		paris.Slice(t, "shop", "labelled", "EU-U", true)
		v.becomes(t, prompt, "192.0.2.1", "eu-u", "eu-u.eu", "EU-U.eu")
		const left = `coredns_federation_notices_total{cluster="paris",federation="myfederation",kind="label"}`
		before := s.Metric(t, left)
		paris.AddNode(t, "node-dotted", "eu", "eu.d")
		paris.Slice(t, "shop", "labelled", "eu.d", true)
		logs(t, s, prompt, "zone of node node-dotted")
		logs(t, s, prompt, "zone of an endpoint")
		v.is(t, "192.0.2.1", "eu", "global") // it counts in the wider scopes
		v.is(t, "NXDOMAIN", "eu.d", "eu.d.eu")
		if after := s.Metric(t, left); after <= before {
			t.Errorf("%s is %v, as before", left, after)
		}
	})

	// Members' readers may read services, slices, nodes and ingresses, and that
	// is all of a cluster that fedns has asked for in all this.
	t.Run("least privilege", func(t *testing.T) {
		for _, c := range cs {
			for _, reason := range []string{"forbidden", "unauthorized", "tls", "unreachable", "other"} {
				if n := errorsOf(t, s, c.Name, reason); n != 0 {
					t.Errorf("cluster %q: %v calls ended for the reason %q", c.Name, n, reason)
				}
			}
		}
		for line := range strings.Lines(s.Log()) {
			if strings.Contains(line, "[ERROR]") || strings.Contains(line, "going on without") {
				t.Errorf("the log says: %s", line)
			}
		}
	})
}

// service applies the Service shop/name, exported.
func service(t *testing.T, c *cluster.Cluster, name, annotations, spec string) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: %s, labels: {fedns.io/export: "true"}, annotations: {%s}}
spec: {%s}
`, name, annotations, spec))
}

// slice applies a slice of the Service shop/name, with these endpoints.
func slice(t *testing.T, c *cluster.Cluster, name, id string, endpoints ...string) {
	t.Helper()
	text := ""
	for i, e := range endpoints {
		text += fmt.Sprintf("- {addresses: [10.255.0.%d], %s}\n", i+1, e)
	}
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: %s-%s, labels: {kubernetes.io/service-name: %[1]s, fedns.io/export: "true"}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints:
%[3]s`, name, id, text))
}
