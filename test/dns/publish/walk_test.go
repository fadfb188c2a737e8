package publish

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// An external is an external-dns over the DNSEndpoint objects of an API.
type external struct {
	bin, kubeconfig string
	args            []string
	run             *server.Started
}

// externalDNS starts one for the namespace dns: what it looks for is looked for every other second.
func externalDNS(t *testing.T, hub *cluster.Cluster, args ...string) *external {
	t.Helper()
	x := &external{bin: filepath.Join(vector.Root(), "bin", "tools", "external-dns"), kubeconfig: hub.Kubeconfig, args: args}
	x.start(t)
	return x
}

// needExternalDNS skips where there is none: it takes ten to twenty minutes to build.
func needExternalDNS(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(vector.Root(), "bin", "tools", "external-dns")); err != nil {
		t.Skip("external-dns isn't built; make e2e-publish does it, and runs this")
	}
}

func (x *external) start(t *testing.T) {
	t.Helper()
	x.run = server.Spawn(t, x.bin, append([]string{"--kubeconfig=" + x.kubeconfig, "--source=crd", "--namespace=dns", "--events", "--interval=2s", "--min-event-sync-interval=100ms",
		"--policy=sync", "--registry=txt", "--txt-owner-id=fedns", "--txt-prefix=fedns-%{record_type}.", "--txt-wildcard-replacement=any", "--domain-filter=example.com", "--managed-record-types=A", "--managed-record-types=AAAA",
		fmt.Sprint("--metrics-address=127.0.0.1:", vector.Port(t))}, x.args...)...)
}

// into are the flags by which it writes into a provider's zone.
func (p *provider) into() []string {
	return []string{"--provider=rfc2136", "--rfc2136-host=127.0.0.1", fmt.Sprint("--rfc2136-port=", p.port), "--rfc2136-zone=example.com", "--rfc2136-tsig-keyname=pub",
		"--rfc2136-tsig-secret=" + secret, "--rfc2136-tsig-secret-alg=hmac-sha256", "--rfc2136-tsig-axfr"}
}

// An endpoint is a record set as external-dns tells a webhook of it.
type endpoint struct {
	DNSName       string   `json:"dnsName"`
	RecordType    string   `json:"recordType"`
	SetIdentifier string   `json:"setIdentifier,omitempty"`
	RecordTTL     int      `json:"recordTTL,omitempty"`
	Targets       []string `json:"targets"`
	Labels        any      `json:"labels,omitempty"`
	Specific      any      `json:"providerSpecific,omitempty"`
}

func (e *endpoint) key() string { return e.DNSName + " " + e.RecordType + " " + e.SetIdentifier }

// A webhook plays a public provider, and records what it is told.
type webhook struct {
	url string

	mu     sync.Mutex // guards the rest
	sets   map[string]endpoint
	errors []string // what no provider should be told
	kept   func(name string) bool
}

const webhookType = "application/external.dns.webhook+json;version=1"

// newWebhook plays one. kept are the names that are never to be taken away.
func newWebhook(t *testing.T, kept func(name string) bool) *webhook {
	t.Helper()
	h := &webhook{sets: map[string]endpoint{}, kept: kept}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Header().Set("Content-Type", webhookType)
	var out any
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/":
		out = map[string]any{"include": []string{"example.com"}}
	case r.Method == http.MethodGet && r.URL.Path == "/records":
		out = slices.Collect(maps.Values(h.sets))
		if len(h.sets) == 0 {
			out = []endpoint{}
		}
	case r.URL.Path == "/adjustendpoints":
		body, err := io.ReadAll(r.Body) // before the first byte of the answer
		if err != nil {
			h.errors = append(h.errors, err.Error())
		}
		_, _ = w.Write(body) // as they are; who has asked may be gone
		return
	case r.Method == http.MethodPost && r.URL.Path == "/records":
		var c struct{ Create, UpdateOld, UpdateNew, Delete []endpoint }
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			h.errors = append(h.errors, err.Error())
		}
		for _, e := range c.Delete {
			if e.RecordType != "TXT" && h.kept(e.DNSName) {
				h.errors = append(h.errors, e.key()+" is deleted")
			}
			delete(h.sets, e.key())
		}
		for _, e := range append(c.Create, c.UpdateNew...) {
			if len(e.Targets) == 0 {
				h.errors = append(h.errors, e.key()+" has nothing")
			}
			h.sets[e.key()] = e
		}
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(out) // who has asked may be gone
}

// has is what it has for a name.
func (h *webhook) has(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.sets[name+" A "]
	if !ok {
		return ""
	}
	slices.Sort(e.Targets)
	return fmt.Sprint("A ", e.RecordTTL, " ", strings.Join(e.Targets, ", "))
}

// A watcher asks servers for addresses, again and again, and notes what came instead.
type watcher struct {
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex // guards the rest
	asked int
	wrong []string
}

// watch begins when all names are there. A server that doesn't answer, or says that it can't now, is asked again, as
// resolvers do.
func watch(servers map[string]string, names ...string) *watcher {
	w := &watcher{stop: make(chan struct{})}
	for what, addr := range servers {
		w.done.Go(func() {
			c := dns.Client{Timeout: time.Second}
			for i := 0; ; i++ {
				name := names[i%len(names)]
				m, _, err := c.Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeA), addr)
				w.mu.Lock()
				if err == nil && m.Rcode != dns.RcodeServerFailure && m.Rcode != dns.RcodeRefused {
					w.asked++
					if len(server.Addrs(m)) == 0 {
						w.wrong = append(w.wrong, fmt.Sprintf("%s at %s: %s: %s, %v", time.Now().Format("15:04:05.000"), what, name, dns.RcodeToString[m.Rcode], m.Answer))
					}
				}
				w.mu.Unlock()
				select {
				case <-w.stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	return w
}

// end says how often was asked, and fails for each answer without addresses.
func (w *watcher) end(t *testing.T) {
	t.Helper()
	close(w.stop)
	w.done.Wait()
	t.Logf("%d answers, %d of them without an address", w.asked, len(w.wrong))
	for i, x := range w.wrong {
		if i == 20 {
			t.Error("and so on")
			break
		}
		t.Error(x)
	}
}

// The walk of the article on cross-cluster services, with everything in it that there is outside: clusters with APIs, two
// fedns of which one publishes, BIND that it updates, and external-dns, which writes into another BIND and
// to a public provider. Whatever is lost or begins anew meanwhile, no name is ever without an address that has a shard somewhere.
func TestWalk(t *testing.T) {
	needExternalDNS(t)
	bed := cluster.New(t)
	all := bed.APIs(t, "hub", "us-central1-a", "asia-east1-a")
	hub, us, asia := all[0], all[1], all[2]
	hub.Kubectl(t, "apply", "-f", "testdata/dnsendpoints.yaml")
	hub.Kubectl(t, "wait", "--for=condition=Established", "crd/dnsendpoints.externaldns.k8s.io", "--timeout=60s")
	for _, ns := range []string{"dns", "federation-system"} {
		hub.Kubectl(t, "create", "namespace", ns)
	}

	// The article's clusters: two by their APIs, the others by manifests. A Service is there, and no pods yet.
	us.AddNode(t, "n", "us-central1", "us-central1-a")
	us.Expose(t, "mynamespace", "nginx", article[0].addr)
	asia.AddNode(t, "n", "asia-east1", "asia-east1-a")
	asia.Expose(t, "mynamespace", "nginx", article[3].addr)
	w := &world{t.TempDir()}
	rest := []shard{article[1], article[2], {"asia-east1", "asia-east1-c", "130.211.56.221", true}, article[4]}
	clusters := make([]string, len(rest))
	for i, s := range rest {
		clusters[i] = s.zone
		s.ready = false
		w.serve(t, s)
	}
	direct, flat := newProvider(t, "grant pub zonesub ANY;"), newProvider(t, "grant pub zonesub ANY;")
	text := "example.com:PORT {\n bind ADDR\n prometheus METRICS\n tsig {\n  secret pub. " + secret + "\n }\n federation myfederation {\n" + server.Members(w.dir, clusters...)
	for _, c := range []*cluster.Cluster{us, asia} {
		text += fmt.Sprintf("  cluster %[1]s {\n   kubeconfig %[2]s %[1]s\n  }\n", c.Name, c.ReadOnly(t))
	}
	text += "  registry " + hub.Kubeconfig + "\n  ttl 180s 180s\n  hold 2s\n  guard 50% 10s 2\n  publish update " + direct.addr + " key pub\n  publish external-dns dns\n }\n ready READY\n errors\n}\n"
	servers := []*server.Server{server.Start(t, text), server.Start(t, text)}
	public := newWebhook(t, func(name string) bool { return strings.HasPrefix(name, nginx) })
	external := []*external{externalDNS(t, hub, flat.into()...), externalDNS(t, hub, "--provider=webhook", "--webhook-provider-url="+public.url)}
	leader := func() *server.Server {
		t.Helper()
		var is *server.Server
		server.Eventually(t, time.Minute, "one publishes", func() bool {
			for _, s := range servers {
				if !s.Exited() && s.Metric(t, `coredns_federation_publishes{`) == 2 {
					is = s
					return true
				}
			}
			return false
		})
		return is
	}
	// table waits until all have what they should: names by scope, and what BIND has of them by update. What
	// external-dns has been told is where that leads to.
	table := func(what string, want map[string]string) {
		t.Helper()
		addresses := func(scope string) string {
			for strings.HasPrefix(want[scope], "CNAME") {
				scope = strings.TrimSuffix(strings.TrimPrefix(want[scope], "CNAME 180 "+nginx), ".example.com")
			}
			return want[scope]
		}
		began := time.Now()
		for scope, records := range want {
			name := nginx + scope + ".example.com"
			server.Eventually(t, time.Minute, fmt.Sprintf("%s: BIND has for %s: %s", what, name, records), func() bool { return direct.dig(t, name) == records })
		}
		for _, short := range slices.Sorted(maps.Keys(want)) {
			name, records := nginx+short+".example.com", addresses(short)
			server.Eventually(t, 2*time.Minute, fmt.Sprintf("%s: external-dns has written for %s: %s", what, name, records), func() bool { return flat.dig(t, name) == records && public.has(name) == records })
		}
		t.Logf("%s: all have it after %.1f s", what, time.Since(began).Seconds())
	}

	const (
		a, b, f, east, west = "104.197.247.191", "104.197.74.77", "104.196.0.44", "130.211.57.243", "130.211.56.221"
		america             = f + ", " + a + ", " + b
	)
	whole := map[string]string{
		"":                "A 180 " + america + ", " + west + ", " + east,
		".us-central1-a":  "A 180 " + a,
		".us-central1":    "A 180 " + america,
		".asia-east1-a":   "A 180 " + east,
		".asia-east1":     "A 180 " + west + ", " + east,
		".europe-west1":   "CNAME 180 " + nginx + ".example.com",
		".europe-west1-b": "CNAME 180 " + nginx + ".europe-west1.example.com",
	}
	but := func(changes map[string]string) map[string]string {
		out := maps.Clone(whole)
		maps.Copy(out, changes)
		return out
	}
	if got := direct.dig(t, nginx+".example.com"); got != "" {
		t.Errorf("before there are pods: %s", got)
	}
	us.Slice(t, "mynamespace", "nginx", "us-central1-a", true)
	asia.Slice(t, "mynamespace", "nginx", "asia-east1-a", true)
	w.serve(t, rest...)
	table("the article's table", whole)
	for _, scope := range []string{"", ".us-central1-a", ".us-central1", ".asia-east1-a", ".asia-east1", ".europe-west1", ".europe-west1-b"} {
		t.Log(nginx+scope+".example.com.", direct.dig(t, nginx+scope+".example.com"))
	}

	asking := watch(map[string]string{"BIND": direct.addr, "BIND behind external-dns": flat.addr},
		nginx+".example.com", nginx+".us-central1.example.com", nginx+".us-central1-a.example.com", nginx+".us-central1-a.us-central1.example.com", nginx+".asia-east1.example.com", nginx+".asia-east1-a.example.com", nginx+".europe-west1.example.com")

	us.Slice(t, "mynamespace", "nginx", "us-central1-a", false)
	table("a zone without pods", but(map[string]string{
		"": "A 180 " + f + ", " + b + ", " + west + ", " + east, ".us-central1": "A 180 " + f + ", " + b, ".us-central1-a": "CNAME 180 " + nginx + ".us-central1.example.com"}))
	us.Slice(t, "mynamespace", "nginx", "us-central1-a", true)
	table("it has them again", whole)

	asia.Kill(t)
	table("a cluster's end", but(map[string]string{
		"": "A 180 " + america + ", " + west, ".asia-east1": "A 180 " + west, ".asia-east1-a": "CNAME 180 " + nginx + ".asia-east1.example.com"}))
	asia.Start(t)
	table("it is there again", whole)

	// All at once: that is nobody's doing. They are back before it would be believed, or shortly after: either way some stand.
	for _, s := range rest[:3] {
		s.ready = false
		w.serve(t, s)
	}
	server.Eventually(t, time.Minute, "the guard holds them", func() bool { return leader().Metric(t, `coredns_federation_guard_held_services{`) > 0 })
	w.serve(t, rest...)
	table("a guard", whole)

	// Each part ends without a farewell, and begins again, while shards come and go.
	for _, part := range []struct {
		name       string
		end, begin func()
	}{
		{"fedns", func() { servers[0].Kill() }, func() { servers[0].Restart(t) }},
		{"the other fedns", func() { servers[1].Kill() }, func() { servers[1].Restart(t) }},
		{"external-dns", func() { external[0].run.Kill(); external[1].run.Kill() }, func() { external[0].start(t); external[1].start(t) }},
		{"the federation's API", func() { hub.Kill(t) }, func() { hub.Start(t) }},
		{"a member's API", func() { us.Kill(t) }, func() { us.Start(t) }},
		{"BIND", func() { direct.kill() }, func() { direct.start(t) }},
		{"BIND behind external-dns", func() { flat.kill() }, func() { flat.start(t) }},
	} {
		// One shard goes as the part does, and another while it is away.
		gone := rest[0]
		gone.ready = false
		w.serve(t, gone)
		part.end()
		last := rest[2]
		last.ready = false
		w.serve(t, last)
		part.begin()
		table(part.name+" is back", but(map[string]string{
			"": "A 180 " + f + ", " + a + ", " + east, ".us-central1": "A 180 " + f + ", " + a, ".asia-east1": "A 180 " + east}))
		w.serve(t, rest...)
		table(part.name+" is back, and all pods", whole)
	}
	asking.end(t)
	public.mu.Lock()
	defer public.mu.Unlock()
	for _, e := range public.errors {
		t.Error("a public provider is told: ", e)
	}
}
