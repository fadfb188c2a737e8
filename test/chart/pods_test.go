package chart

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/node"
	"github.com/fedns/fedns/test/framework/server"
)

var rate = flag.Int("rate", 400, "how many questions a `second` are asked while fedns is rolled, killed and drained")

// The article's walk where pods really run, over a chart that is installed by the commands of
// docs/install.md: pods ask for nginx.mynamespace.myfederation and get their own cluster's pods;
// these gone, the closest other cluster's; that cut off from everybody, the next. Meanwhile fedns is rolled, killed and drained, and nobody
// who asks twice goes without an answer. With -rate 5000 it is measured.
func TestPods(t *testing.T) {
	image := filepath.Join(t.TempDir(), "fedns.tar")
	node.Need(t)
	node.Archive(t, image, node.Image{Name: "localhost/fedns:devel", Files: programs(t), Entrypoint: []string{"/fedns"}})
	bed := node.New(t, []node.Place{
		{Name: "us", Region: "us-central1", Zone: "us-central1-a", More: []string{"us-central1-b"}},
		{Name: "eu", Region: "europe-west1", Zone: "europe-west1-b"},
		{Name: "asia", Region: "asia-east1", Zone: "asia-east1-a"},
	}, image)
	us, eu, asia := bed.Clusters[0], bed.Clusters[1], bed.Clusters[2]
	for _, c := range bed.Clusters {
		c.Apply(t, node.Web("mynamespace", "nginx", c.Name, 1))
	}

	began := time.Now()
	must(t, us.Kubeconfig, "install", "fedns", dir, "--wait", "--timeout", "3m",
		"--set", "domain=example.com", "--set", "federation=myfederation", "--set", "member.name=us", "--set", "member.clusterDomain=cluster.local",
		"--set", "options={policy nearest,hold 5s,ttl 5s,nets 10.101.0.0/16 us-central1,nets 10.98.1.0/24 us-central1,nets 10.98.11.0/24 us-central1}")
	t.Logf("helm install, both pods ready: %v", time.Since(began).Round(100*time.Millisecond))
	if on := nodesOf(t, us); on != "node-us node-us-2" {
		t.Errorf("the pods are on %s, not one on each node", on)
	}
	fedns := balancer(t, us)
	const global = "nginx.mynamespace.myfederation.svc.example.com."
	a := addressOf(t, us)
	becomes(t, fedns, global, a)

	contexts := merged(t, us.Kubeconfig, eu.Kubeconfig, asia.Kubeconfig)
	everywhere := sorted(a, addressOf(t, eu), addressOf(t, asia))
	for _, name := range []string{"eu", "asia"} {
		fedctl(t, contexts, "--context=us", "join", name, "--cluster-context="+name)
	}
	becomes(t, fedns, global, everywhere...)
	becomes(t, fedns, "nginx.mynamespace.myfederation.svc.europe-west1.example.com.", addressOf(t, eu))

	looks(t, contexts, "us", "All is well", "europe-west1", "1 service")

	// Pods of us ask their cluster's DNS.
	fedctl(t, contexts, "stub", "--context=us", "--domain=example.com", "--servers="+fedns, "--federation=myfederation", "--apply")
	us.RestartDNS(t) // it would read that by itself, in two minutes
	us.Apply(t, node.Web("default", "client", "client", 1))
	us.Kubectl(t, "rollout", "status", "deployment/client", "--timeout=2m")
	curl := func(want string, within time.Duration) {
		t.Helper()
		since := time.Now()
		server.Eventually(t, within, "a pod of us reaches nginx.mynamespace.myfederation in "+want, func() bool {
			out, err := us.TryKubectl(t, "exec", "deployment/client", "--", "/curl", "http://nginx.mynamespace.myfederation")
			return err == nil && strings.TrimSpace(out) == want
		})
		t.Logf("from %s after %v", want, time.Since(since).Round(100*time.Millisecond))
	}
	curl("us", time.Minute)
	us.Kubectl(t, "-n", "mynamespace", "scale", "deployment/nginx", "--replicas=0")
	curl("eu", time.Minute)
	eu.Cut(t)
	curl("asia", time.Minute) // a silence of 5 s, hold, TTL, and the request that hangs: 18 s
	eu.Join(t)
	curl("eu", time.Minute)
	us.Kubectl(t, "-n", "mynamespace", "scale", "deployment/nginx", "--replicas=1")
	curl("us", time.Minute)

	// The other cluster is behind a bad link: what it says comes late, and comes.
	eu.Degrade(t, node.Link{Delay: 300 * time.Millisecond, Loss: 5, Seed: 1})
	for _, step := range []struct {
		replicas string
		want     []string
	}{{"0", sorted(a, addressOf(t, asia))}, {"1", everywhere}} {
		eu.Kubectl(t, "-n", "mynamespace", "scale", "deployment/nginx", "--replicas="+step.replicas)
		since := time.Now()
		becomes(t, fedns, global, step.want...)
		t.Logf("over a link of 300 ms that loses 5%%: answered as of %s replicas after %v", step.replicas, time.Since(since).Round(100*time.Millisecond))
	}
	eu.Degrade(t, node.Link{})

	// What happens to fedns itself.
	for _, what := range []struct {
		name string
		do   func()
	}{
		{"rolled", func() {
			us.Kubectl(t, "-n", "federation-system", "rollout", "restart", "deployment/fedns")
			us.Kubectl(t, "-n", "federation-system", "rollout", "status", "deployment/fedns", "--timeout=3m")
		}},
		{"a pod deleted at once", func() {
			pods := strings.Fields(us.Kubectl(t, "-n", "federation-system", "get", "pods", "-l", "app.kubernetes.io/component=dns", "-o", "name"))
			us.Kubectl(t, "-n", "federation-system", "delete", pods[0], "--grace-period=0", "--force")
			us.Kubectl(t, "-n", "federation-system", "rollout", "status", "deployment/fedns", "--timeout=3m")
		}},
		{"a node drained", func() {
			us.Kubectl(t, "drain", "node-us-2", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=3m")
			us.Kubectl(t, "-n", "federation-system", "rollout", "status", "deployment/fedns", "--timeout=3m")
			if on := nodesOf(t, us); on != "node-us node-us" {
				t.Errorf("the pods are on %s", on)
			}
		}},
		{"a node drained whose pods have nowhere to go", func() {
			// The PodDisruptionBudget has the last one stay.
			out, err := us.TryKubectl(t, "drain", "node-us", "--pod-selector=app.kubernetes.io/component=dns", "--delete-emptydir-data", "--timeout=20s")
			if err == nil || !strings.Contains(out, "disruption budget") {
				t.Errorf("both pods are drained: %v\n%s", err, out)
			}
			us.Kubectl(t, "uncordon", "node-us", "node-us-2")
			us.Kubectl(t, "-n", "federation-system", "rollout", "status", "deployment/fedns", "--timeout=3m")
		}},
		{"upgraded to what can't run", func() {
			if _, errs, err := helm(t, us.Kubeconfig, "upgrade", "fedns", dir, "--wait", "--timeout", "20s", "--reuse-values", "--set", "options={hold never}"); err == nil {
				t.Errorf("an upgrade to a Corefile that doesn't parse succeeds: %s", errs)
			}
			if log := us.Kubectl(t, "-n", "federation-system", "logs", "-l", "app.kubernetes.io/component=dns", "--tail=20", "--prefix"); !strings.Contains(log, "hold") {
				t.Errorf("the new pod doesn't say why it can't run:\n%s", log)
			}
			must(t, us.Kubeconfig, "rollback", "fedns", "--wait", "--timeout", "3m")
		}},
	} {
		began := time.Now()
		asked := ask(t, fedns, global)
		what.do()
		questions, again, lost := asked()
		t.Logf("%s: %d questions, %.0f a second, %d asked again, %d lost", what.name, questions, float64(questions)/time.Since(began).Seconds(), again, lost)
		if lost > 0 {
			t.Errorf("%s: %d of %d questions, asked twice, had no answer", what.name, lost, questions)
		}
	}

	// A cluster that can't be reached any more is answered until hold is over; then it isn't.
	fedctl(t, contexts, "--context=us", "unjoin", "eu", "--cluster-context=eu", "--drain-wait=0s")
	becomes(t, fedns, global, sorted(a, addressOf(t, asia))...)
	must(t, us.Kubeconfig, "uninstall", "fedns", "--wait", "--timeout", "3m")
	server.Eventually(t, 3*time.Minute, "the namespace is gone", func() bool {
		_, err := us.TryKubectl(t, "get", "namespace", "federation-system")
		return err != nil
	})
}

func programs(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"fedns", "fedsync", "fedctl"} {
		bin, err := server.Build(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = bin
	}
	return files
}

// balancer is the address of the chart's Service.
func balancer(t *testing.T, c *node.Cluster) (address string) {
	t.Helper()
	server.Eventually(t, 3*time.Minute, "the Service has an address", func() bool {
		address = c.Kubectl(t, "-n", "federation-system", "get", "service", "fedns", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		return address != ""
	})
	return address
}

func addressOf(t *testing.T, c *node.Cluster) (address string) {
	t.Helper()
	server.Eventually(t, 3*time.Minute, "nginx has an address", func() bool {
		address = c.Kubectl(t, "-n", "mynamespace", "get", "service", "nginx", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		return address != ""
	})
	return address
}

func sorted(s ...string) []string { slices.Sort(s); return s }

func exchange(fedns, name string) ([]string, error) {
	client := dns.Client{Timeout: time.Second}
	r, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), fedns+":53")
	if err != nil {
		return nil, err
	}
	if r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 {
		return nil, fmt.Errorf("%s", dns.RcodeToString[r.Rcode])
	}
	return sorted(server.Addrs(r)...), nil
}

func becomes(t *testing.T, fedns, name string, want ...string) {
	t.Helper()
	server.Eventually(t, 3*time.Minute, fmt.Sprintf("%s is %v", name, want), func() bool {
		got, err := exchange(fedns, name)
		return err == nil && slices.Equal(got, want)
	})
}

// ask asks all the while, -rate a second, each question from another port and, if there was no
// answer, once again, as glibc's resolver does; until it is called, and then counts.
func ask(t *testing.T, fedns, name string) func() (questions, again, lost int64) {
	t.Helper()
	query, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	to := &net.UDPAddr{IP: net.ParseIP(fedns), Port: 53}
	var questions, again, lost, underway atomic.Int64
	// A quarter of a second's: whoever has had no processor for seconds, and asks all that is due by then at once, fills
	// the server's queue, and loses what no client would.
	bound := int64(*rate) / 4
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		began := time.Now()
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond): // all that are due by then
			}
			for due := int64(time.Since(began).Seconds() * float64(*rate)); questions.Load() < due && underway.Load() < bound; questions.Add(1) {
				underway.Add(1)
				wg.Go(func() {
					defer underway.Add(-1)
					if answered(to, query) {
						return
					}
					again.Add(1)
					if !answered(to, query) {
						lost.Add(1)
					}
				})
			}
		}
	})
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	t.Cleanup(end)
	return func() (int64, int64, int64) {
		server.Eventually(t, time.Minute, "enough is asked to tell", func() bool { return questions.Load() >= 400 })
		end()
		return questions.Load(), again.Load(), lost.Load()
	}
}

// answered says whether a question has an answer with records within 5 s, glibc's timeout. What the network
// says of it (ICMP) counts as little as for most resolvers.
func answered(to *net.UDPAddr, query []byte) bool {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(5*time.Second)) != nil {
		return false
	}
	if _, err := conn.WriteToUDP(query, to); err != nil {
		return false
	}
	buf := make([]byte, 1232)
	for {
		n, _, err := conn.ReadFromUDP(buf)
		if err != nil {
			return false
		}
		if r := new(dns.Msg); r.Unpack(buf[:n]) == nil && r.Id == binary.BigEndian.Uint16(query) {
			return r.Rcode == dns.RcodeSuccess && len(r.Answer) > 0
		}
	}
}

// nodesOf are the nodes of fedns's pods, sorted.
func nodesOf(t *testing.T, c *node.Cluster) string {
	t.Helper()
	on := c.Kubectl(t, "-n", "federation-system", "get", "pods", "-l", "app.kubernetes.io/component=dns", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].spec.nodeName}")
	return strings.Join(sorted(strings.Fields(on)...), " ")
}
