package chart

import (
	"fmt"
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

// The article's walk where pods really run, over a chart that is installed by the commands of
// docs/install.md: pods ask for nginx.mynamespace.myfederation and get their own cluster's pods;
// these gone, the other cluster's. Meanwhile fedns is rolled, killed and drained, and nobody
// who asks twice goes without an answer.
func TestPods(t *testing.T) {
	image := filepath.Join(t.TempDir(), "fedns.tar")
	node.Need(t)
	node.Archive(t, image, node.Image{Name: "localhost/fedns:devel", Files: programs(t), Entrypoint: []string{"/fedns"}})
	bed := node.New(t, []node.Place{{Name: "us", Region: "us-central1", Zone: "us-central1-a"}, {Name: "eu", Region: "europe-west1", Zone: "europe-west1-b"}}, image)
	us, eu := bed.Clusters[0], bed.Clusters[1]
	for _, c := range bed.Clusters {
		c.Apply(t, node.Web("mynamespace", "nginx", c.Name, 1))
	}

	began := time.Now()
	must(t, us.Kubeconfig, "install", "fedns", dir, "--wait", "--timeout", "3m",
		"--set", "domain=example.com", "--set", "federation=myfederation", "--set", "member.name=us", "--set", "member.clusterDomain=cluster.local")
	t.Logf("helm install, both pods ready: %v", time.Since(began).Round(100*time.Millisecond))
	fedns := balancer(t, us)
	const global = "nginx.mynamespace.myfederation.svc.example.com."
	a := addressOf(t, us)
	becomes(t, fedns, global, a)

	contexts := merged(t, us.Kubeconfig, eu.Kubeconfig)
	fedctl(t, contexts, "--context=us", "join", "eu", "--cluster-context=eu")
	becomes(t, fedns, global, sorted(a, addressOf(t, eu))...)
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
	us.Kubectl(t, "-n", "mynamespace", "scale", "deployment/nginx", "--replicas=1")
	curl("us", time.Minute)

	// The other cluster is behind a bad link: what it says comes late, and comes.
	eu.Lose(t, 10)
	eu.Slow(t, 512)
	eu.Kubectl(t, "-n", "mynamespace", "scale", "deployment/nginx", "--replicas=0")
	becomes(t, fedns, global, a)
	eu.Kubectl(t, "-n", "mynamespace", "scale", "deployment/nginx", "--replicas=1")
	becomes(t, fedns, global, sorted(a, addressOf(t, eu))...)
	eu.Lose(t, 0)
	eu.Slow(t, 0)

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
		asked := ask(t, fedns, global)
		what.do()
		questions, again, lost := asked()
		t.Logf("%s: %d questions, %d asked again, %d lost", what.name, questions, again, lost)
		if lost > 0 {
			t.Errorf("%s: %d of %d questions, asked twice, had no answer", what.name, lost, questions)
		}
	}

	// A cluster that can't be reached any more is answered until hold is over; then it isn't.
	fedctl(t, contexts, "--context=us", "unjoin", "eu", "--cluster-context=eu", "--drain-wait=0s")
	becomes(t, fedns, global, a)
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

// ask asks all the while, each question from another port and once again if there was no
// answer, until it is called, and then counts.
func ask(t *testing.T, fedns, name string) func() (questions, again, lost int64) {
	t.Helper()
	var questions, again, lost atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond): // 400 a second in all
				}
				questions.Add(1)
				if _, err := exchange(fedns, name); err == nil {
					continue
				}
				again.Add(1)
				if _, err := exchange(fedns, name); err != nil {
					lost.Add(1)
				}
			}
		})
	}
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	t.Cleanup(end)
	return func() (int64, int64, int64) {
		server.Eventually(t, time.Minute, "enough is asked to tell", func() bool { return questions.Load() >= 400 })
		end()
		return questions.Load(), again.Load(), lost.Load()
	}
}
