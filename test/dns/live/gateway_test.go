package live

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// slow bounds how long it takes until kinds are noticed that a cluster didn't have:
// they are asked for every ten seconds.
const slow = 25 * time.Second

// A host is a name that routes claim.
type host struct {
	*server.Server
	name string
}

func (h host) becomes(t *testing.T, limit time.Duration, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(server.Patience(limit)); ; time.Sleep(2 * time.Millisecond) { // between two questions
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(h.name+".", dns.TypeA), h.Addr)
		if err == nil {
			if got = (view{Server: h.Server}).line(m); got == want {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%s: still %q (%v), want %q", h.name, got, err, want)
		}
	}
}

// front puts a Gateway in front of shop/web, with a route for a host.
func front(t *testing.T, c *cluster.Cluster, ip, host string) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: shop, name: front, labels: {fedns.io/export: "true"}}
spec:
  gatewayClassName: test
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: web, labels: {fedns.io/export: "true"}}
spec:
  parentRefs: [{name: front}]
  hostnames: [%s]
  rules: [{backendRefs: [{name: web, port: 80}]}]
`, host))
	c.GatewayAddress(t, "shop", "front", ip)
}

// A cluster that gets the Gateway API while fedns runs is followed in it, and one
// whose role is of before it is followed in all else.
func TestGatewayAPI(t *testing.T) {
	cs := cluster.New(t).APIs(t, "paris", "lyon")
	paris, lyon := cs[0], cs[1]
	web(t, paris, "eu", "eu-a", "192.0.2.1")
	web(t, lyon, "us", "us-a", "192.0.2.2")
	lyon.InstallGatewayAPI(t)
	front(t, lyon, "192.0.2.102", "shop.example.com")
	ms := members(t, paris, lyon)
	lyon.Apply(t, role("")) // as it was before there were hosts

	state := t.TempDir()
	text := strings.Replace(corefile(ms...), "federation myfederation {\n", "federation myfederation {\n  state "+state+"\n", 1)
	s := server.Start(t, text)
	v := view{s, "web.shop", "svc"}
	v.becomes(t, prompt, "192.0.2.1 192.0.2.2", "global")
	shop := host{s, "shop.example.com"}
	shop.becomes(t, prompt, "NXDOMAIN")
	logs(t, s, prompt, "cluster lyon: the Gateway API: ")
	for _, c := range cs {
		listed := fmt.Sprintf("coredns_federation_cluster_listed{cluster=%q,federation=\"myfederation\"}", c.Name)
		if n := s.Metric(t, listed); n != 1 {
			t.Errorf("%s is %v", listed, n)
		}
	}
	if errorsOf(t, s, "lyon", "forbidden") == 0 || errorsOf(t, s, "paris", "other")+errorsOf(t, s, "paris", "forbidden") != 0 {
		t.Error("what isn't given is no error, or what isn't there is one")
	}
	// It stays so beyond the heartbeat's timeout, and Services are followed.
	lyon.Slice(t, "shop", "web", "us-a", false)
	v.becomes(t, prompt, "192.0.2.1", "global")
	lyon.Slice(t, "shop", "web", "us-a", true)
	v.becomes(t, prompt, "192.0.2.1 192.0.2.2", "global")

	paris.InstallGatewayAPI(t)
	front(t, paris, "192.0.2.101", "shop.example.com")
	shop.becomes(t, slow, "192.0.2.101")
	(view{s, "front.shop", "ing"}).becomes(t, prompt, "192.0.2.101", "eu-a")
	paris.Slice(t, "shop", "web", "eu-a", false)
	shop.becomes(t, prompt, "NODATA")
	paris.Slice(t, "shop", "web", "eu-a", true)
	shop.becomes(t, prompt, "192.0.2.101")
	paris.GatewayAddress(t, "shop", "front", "192.0.2.111")
	shop.becomes(t, prompt, "192.0.2.111")
	front(t, paris, "192.0.2.111", "other.example.com")
	shop.becomes(t, prompt, "NXDOMAIN")
	host{s, "other.example.com"}.becomes(t, prompt, "192.0.2.111")
	front(t, paris, "192.0.2.111", "shop.example.com")

	lyon.Apply(t, role("- {apiGroups: [gateway.networking.k8s.io, gateway.networking.x-k8s.io], resources: [gateways, gatewayclasses, listenersets, xlistenersets, httproutes, grpcroutes, tlsroutes], verbs: [get, list, watch]}"))
	shop.becomes(t, slow, "192.0.2.102 192.0.2.111")
	logs(t, s, prompt, "cluster lyon: the Gateway API: no longer refused")
	for _, line := range []string{"[ERROR]", "silent for"} {
		if strings.Contains(s.Log(), line) {
			t.Errorf("the log says %s:\n%s", line, s.Log())
		}
	}
	if n := strings.Count(s.Log(), "going on without"); n != 1 {
		t.Errorf("the log says so %d times:\n%s", n, s.Log())
	}

	// A server that starts while nobody can be asked knows them from the disk.
	server.Eventually(t, slow, "the state is kept", func() bool {
		b, err := os.ReadFile(filepath.Join(state, "myfederation.state"))
		return err == nil && strings.Count(string(b), "192.0.2.102") > 0 && strings.Count(string(b), "192.0.2.111") > 0
	})
	s.Stop()
	paris.Kill(t)
	lyon.Kill(t)
	s = server.Launch(t, text)
	listening(t, s)
	host{s, "shop.example.com"}.becomes(t, prompt, "192.0.2.102 192.0.2.111")
	paris.Start(t)
	lyon.Start(t)
	s.WaitReady(t)
	shop = host{s, "shop.example.com"}
	shop.becomes(t, prompt, "192.0.2.102 192.0.2.111")

	// What is taken away is gone.
	paris.RemoveGatewayAPI(t)
	shop.becomes(t, slow, "192.0.2.102")
}

// Of a listener that chooses namespaces by label, routes are waited for in the beginning
// that no controller has accepted yet; the cluster has an older Gateway API only.
func TestRouteAwaited(t *testing.T) {
	paris := cluster.New(t).API(t, "paris")
	web(t, paris, "eu", "eu-a", "192.0.2.1")
	paris.InstallGatewayAPIOf(t, "v1beta1")
	paris.Apply(t, `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: Gateway
metadata: {namespace: shop, name: front, labels: {fedns.io/export: "true"}}
spec:
  gatewayClassName: test
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: web}}}}}]
`)
	paris.GatewayAddress(t, "shop", "front", "192.0.2.101")
	for _, name := range []string{"both", "calm"} {
		paris.Apply(t, fmt.Sprintf(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: shop, name: %[1]s, labels: {fedns.io/export: "true"}}
spec:
  rules: [{host: %[1]s.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
`, name))
		if _, err := paris.Client.NetworkingV1().Ingresses("shop").Patch(t.Context(), name, types.MergePatchType, []byte(`{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.102"}]}}}`), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"shop", "other", "both"} {
		paris.Apply(t, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata: {namespace: shop, name: %[1]s, labels: {fedns.io/export: "true"}}
spec:
  parentRefs: [{name: front}]
  hostnames: [%[1]s.example.com]
  rules: [{backendRefs: [{name: web, port: 80}]}]
`, name))
	}
	s := server.Launch(t, corefile(members(t, paris)...))
	shop, other, both := host{s, "shop.example.com"}, host{s, "other.example.com"}, host{s, "both.example.com"}
	ttl := func(name string) uint32 {
		if m := s.Ask(t, name, dns.TypeA); len(m.Answer) > 0 {
			return m.Answer[0].Header().Ttl
		}
		return 0
	}
	why := func() string {
		m := s.Ask(t, "shop.example.com", dns.TypeA)
		if o := m.IsEdns0(); o != nil {
			return dns.RcodeToString[m.Rcode] + " " + o.String()
		}
		return dns.RcodeToString[m.Rcode]
	}
	listening(t, s)
	(view{s, "web.shop", "svc"}).becomes(t, prompt, "192.0.2.1", "global") // which needs nobody's word
	shop.becomes(t, prompt, "SERVFAIL")
	other.becomes(t, prompt, "SERVFAIL")
	both.becomes(t, prompt, "SERVFAIL")
	if ready(t, s) {
		t.Error("ready, and a route isn't known")
	}
	t.Log(why())
	paris.AcceptRoute(t, "shop", "shop", "front")
	shop.becomes(t, prompt, "192.0.2.101")
	s.WaitReady(t)
	other.becomes(t, prompt, "NXDOMAIN") // nobody has accepted it
	shop.becomes(t, prompt, "192.0.2.101")
	both.becomes(t, prompt, "192.0.2.102")
	if short, long := ttl("both.example.com"), ttl("calm.example.com"); short != 30 || long != 180 {
		t.Errorf("TTL %d where a route may count, and %d beside", short, long)
	}
	paris.AcceptRoute(t, "shop", "other", "front")
	other.becomes(t, prompt, "192.0.2.101")
	paris.AcceptRoute(t, "shop", "both", "front")
	both.becomes(t, prompt, "192.0.2.101 192.0.2.102")
}

// role is fedns's in a member, with more rules.
func role(more string) string {
	return `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: fedns}
rules:
- {apiGroups: ["", discovery.k8s.io, networking.k8s.io], resources: [services, nodes, endpointslices, ingresses], verbs: [get, list, watch]}
` + more
}
