package live

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// The addresses of the article's load balancers.
const (
	america = "192.0.2.10"
	asia    = "198.51.100.20"
	europe  = "203.0.113.30"
	east    = "203.0.113.40"

	here      = america + " " + asia // where pods are
	hereEarly = america + " " + asia + " " + east
)

// soon bounds what Kubernetes takes to move pods on two busy cores; what fedns
// takes on top is what the log says.
const soon = 30 * time.Second

// The walk of the article on federated services: nginx in three clusters, of
// which Europe's has no pods, and what becomes of its names as pods come and go.
// Nobody but Kubernetes writes pods and endpoints.
func TestWalk(t *testing.T) {
	b := cluster.New(t)
	cs := b.Members(t, "gce-us-central1", "gce-asia-east1", "gce-europe-west1")
	us, as, eu := cs[0], cs[1], cs[2]
	for _, zone := range []string{"us-central1-a", "us-central1-b", "us-central1-f"} {
		us.AddNode(t, "node-"+zone, "us-central1", zone)
		pods(t, us, zone, 2)
	}
	for _, zone := range []string{"asia-east1-a", "asia-east1-c"} {
		as.AddNode(t, "node-"+zone, "asia-east1", zone)
		pods(t, as, zone, 4)
	}
	eu.AddNode(t, "node-b", "europe-west1", "europe-west1-b")
	us.Expose(t, "mynamespace", "nginx", america)
	as.Expose(t, "mynamespace", "nginx", asia)
	eu.Expose(t, "mynamespace", "nginx", europe)
	us.WaitReady(t, "mynamespace", "nginx", 6)
	as.WaitReady(t, "mynamespace", "nginx", 8)
	all := members(t, us, as, eu)

	s := server.Start(t, corefile(all...))
	nginx := view{s, "nginx.mynamespace", "svc"}
	step := func(name string, f func(t *testing.T)) {
		if !t.Run(name, f) {
			t.FailNow() // the steps follow one another
		}
	}

	step("the names of the article", func(t *testing.T) {
		nginx.is(t, here, "global")
		nginx.is(t, america, "us-central1",
			"us-central1-a.us-central1", "us-central1-b.us-central1", "us-central1-f.us-central1",
			"us-central1-a", "us-central1-b", "us-central1-f")
		nginx.is(t, asia, "asia-east1",
			"asia-east1-a.asia-east1", "asia-east1-c.asia-east1", "asia-east1-a", "asia-east1-c")
		nginx.is(t, "→ global → "+here, "europe-west1")
		nginx.is(t, "→ europe-west1 → global → "+here, "europe-west1-b.europe-west1", "europe-west1-b")
		nginx.is(t, "NXDOMAIN", "us-central1-c.us-central1", "us-east1", "asia-east1-a.us-central1")
		view{s, "apache.mynamespace", "svc"}.is(t, "NXDOMAIN", "global", "us-central1", "us-central1-a")

		m, err := nginx.ask("europe-west1", dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		if !m.Authoritative || m.RecursionAvailable {
			t.Errorf("AA %v, RA %v, want AA and no RA", m.Authoritative, m.RecursionAvailable)
		}
		for _, rr := range m.Answer {
			if ttl := rr.Header().Ttl; ttl != 180 {
				t.Errorf("TTL %d, want the article's 180: %v", ttl, rr)
			}
		}
	})

	step("a port", func(t *testing.T) {
		m := s.Ask(t, "_http._tcp."+nginx.name("us-central1"), dns.TypeSRV)
		if len(m.Answer) != 1 {
			t.Fatalf("SRV: %v, want one", m.Answer)
		}
		if srv, ok := m.Answer[0].(*dns.SRV); !ok || srv.Port != 80 || srv.Target != nginx.name("us-central1") {
			t.Errorf("SRV: %v, want port 80 of %s", m.Answer[0], nginx.name("us-central1"))
		}
	})

	step("a zone loses its pods", func(t *testing.T) {
		us.Scale(t, "mynamespace", "nginx-us-central1-a", 0)
		nginx.becomes(t, soon, "→ us-central1 → "+america, "us-central1-a.us-central1", "us-central1-a")
		nginx.is(t, america, "us-central1", "us-central1-b", "us-central1-f")
		nginx.is(t, here, "global")
		m, err := nginx.ask("us-central1-a", dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		for _, rr := range m.Answer {
			if ttl := rr.Header().Ttl; ttl != 30 {
				t.Errorf("TTL %d just after a shard went, want 30: %v", ttl, rr)
			}
		}
		us.Scale(t, "mynamespace", "nginx-us-central1-a", 2)
		nginx.becomes(t, soon, america, "us-central1-a.us-central1", "us-central1-a")
	})

	step("a region loses its pods", func(t *testing.T) {
		zones := []string{"us-central1-a", "us-central1-b", "us-central1-f"}
		for _, zone := range zones {
			us.Scale(t, "mynamespace", "nginx-"+zone, 0)
		}
		nginx.becomes(t, soon, "→ global → "+asia, "us-central1")
		nginx.is(t, "→ us-central1 → global → "+asia, zones...)
		nginx.is(t, "→ global → "+asia, "europe-west1")
		nginx.is(t, asia, "global", "asia-east1")
		for _, zone := range zones {
			us.Scale(t, "mynamespace", "nginx-"+zone, 2)
		}
		nginx.becomes(t, soon, america, append(zones, "us-central1")...)
		nginx.is(t, here, "global")
	})

	step("a rolling update empties nothing", func(t *testing.T) {
		nginx.while(t, func() { roll(t, as, "mynamespace", "nginx-asia-east1-a") }, asia,
			"asia-east1", "asia-east1-a.asia-east1", "asia-east1-a")
		nginx.while(t, func() { roll(t, as, "mynamespace", "nginx-asia-east1-c") }, here, "global")
	})

	step("a region gets its first pods", func(t *testing.T) {
		eu.Deploy(t, "mynamespace", "nginx", 1)
		nginx.becomes(t, soon, europe, "europe-west1", "europe-west1-b", "europe-west1-b.europe-west1")
		nginx.is(t, america+" "+asia+" "+europe, "global")
		eu.Scale(t, "mynamespace", "nginx", 0)
		nginx.becomes(t, soon, "→ global → "+here, "europe-west1")
	})

	step("a member joins late", func(t *testing.T) {
		late := b.API(t, "gce-us-east1")
		late.AddNode(t, "node-1", "us-east1", "us-east1-b")
		late.Expose(t, "mynamespace", "nginx", east)
		late.Slice(t, "mynamespace", "nginx", "us-east1-b", true)
		kubeconfigs := slices.Concat(all, members(t, late))
		late.Kill(t)

		s := server.Launch(t, corefile(kubeconfigs...))
		nginx := view{s, "nginx.mynamespace", "svc"}
		listening(t, s)
		nginx.becomes(t, 3*time.Second, here, "global") // it isn't waited for
		nginx.is(t, america, "us-central1-b", "us-central1")
		nginx.is(t, "→ global → "+here, "europe-west1")
		nginx.is(t, "SERVFAIL", "us-east1") // it may exist: nothing a resolver would remember
		nginx.while(t, func() { late.Start(t) }, america, "us-central1")
		nginx.becomes(t, 15*time.Second, east, "us-east1", "us-east1-b", "us-east1-b.us-east1")
		nginx.is(t, hereEarly, "global")
	})
}

// pods deploys nginx in one zone of a cluster, as a Deployment of its own.
func pods(t *testing.T, c *cluster.Cluster, zone string, replicas int) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: mynamespace}
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: mynamespace, name: nginx-%[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: nginx, zone: %[1]s}}
  template:
    metadata: {labels: {app: nginx, zone: %[1]s}}
    spec:
      nodeSelector: {topology.kubernetes.io/zone: %[1]s}
      containers: [{name: web, image: nginx}]
`, zone, replicas))
}

// roll replaces all pods of a Deployment, as a new image would, and waits until
// that is done.
func roll(t *testing.T, c *cluster.Cluster, ns, name string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec": {"template": {"metadata": {"annotations": {"rolled": "%d"}}}}}`, time.Now().UnixNano())
	deployments := c.Client.AppsV1().Deployments(ns)
	d, err := deployments.Patch(t.Context(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	generation := d.Generation
	server.Eventually(t, soon, "the update has rolled out", func() bool {
		d, err := deployments.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		st := d.Status
		return st.ObservedGeneration >= generation && st.UpdatedReplicas == *d.Spec.Replicas &&
			st.Replicas == *d.Spec.Replicas && st.AvailableReplicas == *d.Spec.Replicas
	})
}
