package node

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Two clusters, one of two nodes, whose pods run, reach each other, and ask the clusters' own DNS.
func TestBed(t *testing.T) {
	began := time.Now()
	b := New(t, []Place{
		{Name: "us", Region: "us-central1", Zone: "us-central1-a", More: []string{"us-central1-b"}},
		{Name: "eu", Region: "europe-west1", Zone: "europe-west1-b"},
	})
	t.Logf("both are there after %v", time.Since(began).Round(100*time.Millisecond))
	for _, c := range b.Clusters {
		c.Apply(t, Web("default", "web", c.Name, 2))
		c.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=2m")
	}
	t.Logf("pods are there after %v", time.Since(began).Round(100*time.Millisecond))
	us, eu := b.Clusters[0], b.Clusters[1]
	var address string
	eventually(t, time.Minute, "the load balancer has an address", func() error {
		address = eu.Kubectl(t, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		return listens(address + ":80")
	})
	for url, want := range map[string]string{"http://web.default.svc.cluster.local": "us", "http://" + address: "eu"} {
		if got, err := us.TryKubectl(t, "exec", "deployment/web", "--", "/curl", url); err != nil || strings.TrimSpace(got) != want {
			t.Errorf("from a pod in us, %s says %q, want %q (%v)", url, got, want, err)
		}
	}
	// Load balancers lead to the nodes that have pods.
	own := us.Kubectl(t, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
	eventually(t, time.Minute, "it is reached", func() error { return listens(own + ":80") })
	us.Kubectl(t, "drain", "node-us", "--ignore-daemonsets", "--pod-selector=app=web", "--timeout=2m")
	eventually(t, 2*time.Minute, "it is reached by the other node", func() error {
		if on := us.Kubectl(t, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName} {.items[*].status.phase}"); on != "node-us-2 node-us-2 Running Running" {
			return errors.New(on)
		}
		return listens(own + ":80")
	})
	us.Kubectl(t, "uncordon", "node-us")

	eu.Cut(t)
	if listens(address+":80") == nil {
		t.Error("a cluster that is cut off is reached")
	}
	eu.Join(t)
	eventually(t, time.Minute, "it is reached again", func() error { return listens(address + ":80") })
	eu.Degrade(t, Link{Loss: 100})
	if listens(address+":80") == nil {
		t.Error("a cluster is reached over a link that loses everything")
	}
	eu.Degrade(t, Link{Delay: 150 * time.Millisecond, Loss: 30, Kbit: 256, Seed: 1})
	eventually(t, time.Minute, "it is reached over a bad link", func() error { return listens(address + ":80") })
	eu.Degrade(t, Link{Delay: 150 * time.Millisecond})
	if began := time.Now(); listens(address+":80") != nil || time.Since(began) < 300*time.Millisecond {
		t.Errorf("over a link of 150 ms each way, it is reached after %v", time.Since(began))
	}
	eu.Degrade(t, Link{})
	if err := listens(address + ":80"); err != nil {
		t.Errorf("the link isn't as it was: %v", err)
	}
}
