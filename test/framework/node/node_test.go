package node

import (
	"strings"
	"testing"
	"time"
)

// Two clusters whose pods run, reach each other, and ask the clusters' own DNS.
func TestBed(t *testing.T) {
	began := time.Now()
	b := New(t, []Place{{"us", "us-central1", "us-central1-a"}, {"eu", "europe-west1", "europe-west1-b"}})
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
	eu.Cut(t)
	if listens(address+":80") == nil {
		t.Error("a cluster that is cut off is reached")
	}
	eu.Join(t)
	eventually(t, time.Minute, "it is reached again", func() error { return listens(address + ":80") })
	eu.Lose(t, 100)
	if listens(address+":80") == nil {
		t.Error("a cluster is reached over a link that loses everything")
	}
	eu.Lose(t, 30)
	eu.Slow(t, 256)
	eventually(t, time.Minute, "it is reached over a bad link", func() error { return listens(address + ":80") })
	eu.Lose(t, 0)
	eu.Slow(t, 0)
	if err := listens(address + ":80"); err != nil {
		t.Errorf("the link isn't as it was: %v", err)
	}
}
