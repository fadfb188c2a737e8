package operate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	apps "k8s.io/api/apps/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// Every cluster has its share of web, wherever it was before.
const shared = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations: {fedns.io/preferences: '{"rebalance": true, "clusters": {"*": {"weight": 1}}}'}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
`

// another is a Deployment of which each cluster has its share.
const another = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  namespace: shop
  annotations: {fedns.io/preferences: '{"rebalance": true, "clusters": {"*": {"weight": 1}}}'}
spec:
  replicas: 3
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
`

// unwanted is a cluster's own rule.
const unwanted = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: unwanted}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [deployments]}]}
  validations: [{expression: "object.metadata.name != 'unwanted'", message: not here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: unwanted}
spec: {policyName: unwanted, validationActions: [Deny]}
`

const (
	globalWeb = "web.shop.prod.svc.example.com"
	parisWeb  = "web.shop.prod.svc.eu-a.eu.example.com"
)

// A watchman sees which clusters have ready pods, and what every client of fedns may
// remember: all that it answers is remembered to the end by somebody.
type watchman struct {
	t       testing.TB
	cluster map[string]string // by address

	mu       sync.Mutex           // guards the rest
	ready    map[string]int       // endpoints, by cluster
	replicas map[string]int       // ready ones, as the Deployment says
	expires  map[string]time.Time // by address
	asked    int
	first    map[string]int // ready replicas when an address was answered after it wasn't
	answered map[string]bool
	history  []moment
}

// A moment is what a Deployment of a cluster was from some revision of the etcd on
// which all clusters are: so they can be put in one order.
type moment struct {
	revision         uint64
	cluster, name    string
	asked, available int
}

// moves looks at all that a Deployment was, in the order in which it was so: there never were more than
// these replicas, nor fewer available for clients.
func (m *watchman) moves(name string, wanted, surge int) {
	slices.SortFunc(m.history, func(a, b moment) int { return cmp.Compare(a.revision, b.revision) })
	now := map[string]moment{}
	begun, most := false, 0
	for _, h := range m.history {
		if h.name != name {
			continue
		}
		now[h.cluster] = h
		asked, available := 0, 0
		for _, c := range now {
			asked, available = asked+c.asked, available+c.available
		}
		most = max(most, asked)
		begun = begun || available == wanted
		if asked > wanted+surge || begun && available < wanted {
			m.t.Errorf("%s: %d replicas, %d of them available, of %d and %d more at the most: %v", name, asked, available, wanted, surge, now)
		}
	}
	m.t.Logf("%s: %d replicas at the most", name, most)
	if most == wanted {
		m.t.Errorf("%s wasn't moved", name)
	}
}

// pods follows the endpoints of a cluster.
func (m *watchman) pods(ctx context.Context, c *cluster.Cluster) {
	selector := metav1.ListOptions{LabelSelector: discovery.LabelServiceName + "=web"}
	w, err := c.Client.DiscoveryV1().EndpointSlices("shop").Watch(ctx, selector)
	if err != nil {
		m.t.Error(err)
		return
	}
	defer w.Stop()
	have := map[string]int{}
	for e := range w.ResultChan() {
		s, ok := e.Object.(*discovery.EndpointSlice)
		if ctx.Err() != nil {
			return
		}
		if !ok {
			m.t.Errorf("%s: the watch of endpoints has ended: %v", c.Name, e.Object)
			return
		}
		n := 0
		for _, p := range s.Endpoints {
			if p.Conditions.Ready == nil || *p.Conditions.Ready {
				n++
			}
		}
		if have[s.Name] = n; e.Type == "DELETED" {
			delete(have, s.Name)
		}
		sum := 0
		for _, n := range have {
			sum += n
		}
		m.mu.Lock()
		m.ready[c.Name] = sum
		m.look()
		m.mu.Unlock()
	}
}

// deployment follows how many replicas are ready in a cluster.
func (m *watchman) deployment(ctx context.Context, c *cluster.Cluster) {
	w, err := c.Client.AppsV1().Deployments("shop").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		m.t.Error(err)
		return
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		d, ok := e.Object.(*apps.Deployment)
		if ctx.Err() != nil {
			return
		}
		if !ok {
			m.t.Errorf("%s: the watch of deployments has ended: %v", c.Name, e.Object)
			return
		}
		revision, err := strconv.ParseUint(d.ResourceVersion, 10, 64)
		if err != nil {
			m.t.Error(err)
			return
		}
		m.mu.Lock()
		next := moment{revision, c.Name, d.Name, int(*d.Spec.Replicas), int(d.Status.AvailableReplicas)}
		if e.Type == "DELETED" {
			next.asked, next.available = 0, 0
		}
		if m.history = append(m.history, next); d.Name == "web" {
			m.replicas[c.Name] = int(d.Status.ReadyReplicas)
		}
		m.mu.Unlock()
	}
}

// look finds addresses that may be in use while nothing is behind them.
func (m *watchman) look() {
	now := time.Now()
	for addr, until := range m.expires {
		if c := m.cluster[addr]; now.Before(until) && m.ready[c] == 0 {
			m.t.Errorf("%s may be remembered for %s, and cluster %s has no ready pod", addr, until.Sub(now), c)
			delete(m.expires, addr) // once is enough
		}
	}
}

// ask asks all names every 20 ms.
func (m *watchman) ask(ctx context.Context, server string) {
	clock := time.NewTicker(20 * time.Millisecond)
	defer clock.Stop()
	for {
		seen := map[string]bool{}
		for _, name := range []string{globalWeb, parisWeb} {
			r, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeA), server)
			if err != nil {
				m.t.Errorf("%s: %v", name, err)
				continue
			}
			m.mu.Lock()
			m.asked++
			n := 0
			for _, rr := range r.Answer {
				if a, ok := rr.(*dns.A); ok {
					n++
					addr := a.A.String()
					seen[addr] = true
					if until := time.Now().Add(time.Duration(a.Hdr.Ttl) * time.Second); until.After(m.expires[addr]) {
						m.expires[addr] = until
					}
					if !m.answered[addr] {
						m.first[addr] = m.replicas[m.cluster[addr]]
					}
				}
			}
			if n == 0 {
				m.t.Errorf("%s has no address: %v", name, r)
			}
			m.look()
			m.mu.Unlock()
		}
		m.mu.Lock()
		m.answered = seen
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
	}
}

// A cluster is drained, replicas and all, and comes back, while clients ask: no
// address is ever answered, or remembered for its TTL, that has no ready pod behind
// it, and there always is one. No replica goes before another one is ready for it, and there
// are no more than the surge lets. fedctl is killed on the way.
func TestMotion(t *testing.T) {
	b := cluster.New(t)
	all := b.Members(t, "paris", "lyon", "tokyo")
	zones := map[string][3]string{"paris": {"eu", "eu-a", "192.0.2.1"}, "lyon": {"eu", "eu-b", "192.0.2.2"}, "tokyo": {"ap", "ap-a", "192.0.2.3"}}
	w := newWorld(t, b, all...)
	w.Fed.Apply(t, shared)
	w.Start(t)
	m := &watchman{t: t, cluster: map[string]string{}, ready: map[string]int{}, replicas: map[string]int{}, expires: map[string]time.Time{}, first: map[string]int{}, answered: map[string]bool{}}
	for _, c := range all {
		at := zones[c.Name]
		c.AddNode(t, "n1", at[0], at[1])
		w.readable(t, c)
		m.cluster[at[2]] = c.Name
	}
	for _, c := range all {
		eventually(t, c, "service", "shop", "web", "{.metadata.name}", "web")
		ingress := fmt.Appendf(nil, `{"status": {"loadBalancer": {"ingress": [{"ip": %q}]}}}`, zones[c.Name][2])
		if _, err := c.Client.CoreV1().Services("shop").Patch(t.Context(), "web", types.MergePatchType, ingress, metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
		c.WaitReady(t, "shop", "web", 2)
	}
	status := fmt.Sprint("127.0.0.1:", vector.Port(t))
	s := server.Start(t, fmt.Sprintf(`example.com:PORT {
    bind ADDR
    ready READY
    federation prod {
        registry %s federation
        ttl 2s 1s
        status %s
    }
    errors
}
`, w.Fed.Kubeconfig, status))
	addrs := func(name string) string {
		return strings.Join(slices.Sorted(slices.Values(server.Addrs(s.Ask(t, name, dns.TypeA)))), " ")
	}
	server.Eventually(t, within, "all are answered", func() bool {
		return addrs(globalWeb) == "192.0.2.1 192.0.2.2 192.0.2.3" && addrs(parisWeb) == "192.0.2.1"
	})

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, c := range all {
		wg.Go(func() { m.pods(ctx, c) })
		wg.Go(func() { m.deployment(ctx, c) })
	}
	server.Eventually(t, within, "the pods are seen", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.ready["paris"] == 2 && m.ready["lyon"] == 2 && m.ready["tokyo"] == 2
	})
	wg.Go(func() { m.ask(ctx, s.Addr) })

	drain := []string{"drain", "cluster/paris", "--evacuate", "--reason", "new racks", "--server", status, "--context", "federation"}
	t.Run("out", func(t *testing.T) {
		// What was begun goes on without fedctl.
		began := time.Now()
		killed := w.background(t, drain...)
		server.Eventually(t, within, "the replicas are to move", func() bool { return w.drainOf(t, "paris").EvacuateAfter != nil })
		_ = killed.Process.Kill()
		_ = killed.Wait() // it was killed
		if after := w.drainOf(t, "paris").EvacuateAfter.Time; after.Before(began.Add(3 * time.Second).Truncate(time.Second)) {
			t.Errorf("they move at %v, and it began at %v", after, began)
		}
		if got := addrs(globalWeb); got != "192.0.2.2 192.0.2.3" {
			t.Errorf("answered with %s", got)
		}
		out, stderr, code := w.fedctl(t, drain...)
		t.Log(stderr)
		if code != 0 || out != "cluster/paris is drained: no replicas are left there, 6 are ready elsewhere\n" {
			t.Errorf("exit %d, %s%s", code, out, stderr)
		}
		if n := field(all[0], "deployment", "shop", "web", "{.spec.replicas} {.status.replicas}"); n != "0" {
			t.Errorf("paris has %s", n)
		}
		if got := addrs(parisWeb); got != "192.0.2.2" { // its region's
			t.Errorf("answered with %s", got)
		}
	})
	t.Run("back", func(t *testing.T) {
		m.mu.Lock()
		delete(m.first, "192.0.2.1")
		m.mu.Unlock()
		_, stderr, code := w.fedctl(t, "undrain", "cluster/paris", "--server", status, "--context", "federation")
		if code != 0 || !strings.Contains(stderr, "cluster paris: 2 of 2 replicas are ready there\n") {
			t.Errorf("exit %d, %s", code, stderr)
		}
		server.Eventually(t, within, "paris is answered", func() bool {
			return addrs(parisWeb) == "192.0.2.1" && addrs(globalWeb) == "192.0.2.1 192.0.2.2 192.0.2.3"
		})
		m.mu.Lock()
		defer m.mu.Unlock()
		if n, ok := m.first["192.0.2.1"]; ok && n != 2 {
			t.Errorf("it was answered with %d ready replicas", n)
		}
		if spec := field(w.Fed, "cluster", "", "paris", "{.spec.drain}{.metadata.annotations}"); strings.Contains(spec, "reason") || strings.Contains(spec, v1alpha1.Returning) {
			t.Errorf("left behind: %s", spec)
		}
	})
	t.Run("another selector", func(t *testing.T) {
		in := func(cluster string) {
			w.Fed.Apply(t, strings.Replace(strings.ReplaceAll(another, "NAME", "moved"), "annotations: {", `annotations: {fedns.io/cluster-selector: '[{"key":"name","operator":"in","values":["`+cluster+`"]}]', `, 1))
		}
		in("tokyo")
		eventually(t, all[2], "deployment", "shop", "moved", "{.status.availableReplicas}", "3")
		in("lyon")
		eventually(t, all[1], "deployment", "shop", "moved", "{.status.availableReplicas}", "3")
		eventually(t, all[2], "deployment", "shop", "moved", "{.metadata.name}", "")
	})
	t.Run("what fails isn't waited for", func(t *testing.T) {
		paris := all[0]
		paris.Apply(t, strings.ReplaceAll(another, "NAME", "taken"))
		for _, c := range all {
			c.Apply(t, unwanted)
			server.Eventually(t, within, c.Name+" refuses one", func() bool {
				out, err := run(c, "create", "deployment", "unwanted", "-n", "shop", "--image=x", "--dry-run=server")
				return err != nil && strings.Contains(out, "not here")
			})
		}
		w.Fed.Apply(t, strings.ReplaceAll(another, "NAME", "taken"))
		w.Fed.Apply(t, strings.ReplaceAll(another, "NAME", "unwanted"))
		out, stderr, code := w.fedctl(t, drain...)
		for _, want := range []string{
			"cluster/paris is drained: no replicas are left there, 12 are ready elsewhere\n",
			"Deployment shop/taken isn't waited for in cluster paris: an object of that name is there and isn't of this federation\n",
			"Deployment shop/unwanted isn't waited for in cluster lyon: ",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("drain: exit %d, it doesn't say %q but\n%s%s", code, want, out, stderr)
			}
		}
		if code != 0 || !strings.Contains(out, "not here") {
			t.Errorf("drain: exit %d, %s%s", code, out, stderr)
		}
		_, stderr, code = w.fedctl(t, "undrain", "cluster/paris", "--server", status, "--context", "federation")
		if code != 0 || !strings.Contains(stderr, "Deployment shop/unwanted isn't waited for in cluster paris: ") || !strings.Contains(stderr, "Deployment shop/taken isn't waited for in cluster paris: ") {
			t.Errorf("undrain: exit %d, %s", code, stderr)
		}
		server.Eventually(t, within, "paris is answered", func() bool { return addrs(parisWeb) == "192.0.2.1" })
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves("web", 6, 2)
	m.moves("moved", 3, 1)
	t.Logf("%d questions", m.asked)
	if m.asked < 100 {
		t.Error("too few to see a gap")
	}
}

// readable makes the Secret by which fedns reads a member.
func (w *world) readable(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	config, err := os.ReadFile(c.ReadOnly(t))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(string(config))
	if err != nil {
		t.Fatal(err)
	}
	w.Fed.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\nstringData: {kubeconfig: %s}\n", c.Name, v1alpha1.System, text))
}

func (w *world) drainOf(t testing.TB, cluster string) (d v1alpha1.Drain) {
	t.Helper()
	if text := field(w.Fed, "cluster", "", cluster, "{.spec.drain}"); text != "" {
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// background starts fedctl.
func (w *world) background(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := operator()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{"--kubeconfig", w.Fed.Kubeconfig, "--federation", "prod"}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}
