package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/shard"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestFront(t *testing.T) {
	shop := func(name string) names.Key { return names.Key{Namespace: "shop", Name: name} }
	for _, tt := range []struct {
		what, kind, text string
		want             shard.Front // without what every object has
		problem          string
	}{
		{
			"addresses", "Gateway", `"status": {"addresses": [{"type": "IPAddress", "value": "192.0.2.1"}, {"value": "2001:db8::1"}, {"type": "Hostname", "value": "LB.example.net"}, {"type": "NamedAddress", "value": "x"}]}`,
			shard.Front{Object: &shard.Service{Addrs: addrs("192.0.2.1", "2001:db8::1"), Hosts: []string{"lb.example.net"}, Balancer: true}}, `type "NamedAddress"`,
		},
		{
			"addresses by annotation", "Gateway", `"metadata": {"annotations": {"fedns.io/addresses": "192.0.2.9"}}, "status": {"addresses": [{"value": "192.0.2.1"}]}`,
			shard.Front{Object: &shard.Service{Addrs: addrs("192.0.2.9"), Balancer: true}}, "",
		},
		{
			"listeners", "Gateway", `"spec": {"listeners": [{"name": "a", "port": 8080, "protocol": "HTTP"}, {"name": "b", "hostname": "*.Example.com", "port": 443, "protocol": "HTTPS", "allowedRoutes": {"namespaces": {"from": "All"}, "kinds": [{"kind": "GRPCRoute"}]}},
				{"name": "c", "port": 53, "protocol": "UDP"}, {"name": "d", "port": 443, "protocol": "TLS"}, {"name": "e", "hostname": "-.x", "port": 1}, {"name": "f", "port": 2, "allowedRoutes": {"kinds": [{"group": "acme.io", "kind": "HTTPRoute"}], "namespaces": {"from": "Selector"}}}]}`,
			shard.Front{Object: &shard.Service{Balancer: true, Port: 8080}, Listeners: []shard.Listener{
				{Name: "a", Port: 8080}, {Name: "b", Host: "*.example.com", Port: 443, From: shard.AnyWhere, Only: []shard.FrontKind{shard.GRPCRoute}},
				{Name: "f", Port: 2, From: shard.Selected, Only: []shard.FrontKind{""}},
			}}, "listener e: hostname",
		},
		{
			"backends", "HTTPRoute", `"spec": {"hostnames": ["Shop.example.com", "*.shop.example.com"], "rules": [{"backendRefs": [{"name": "web"}, {"name": "api", "namespace": "other", "kind": "Service"}]}, {"backendRefs": [{"name": "web"}, {"name": "none", "weight": 0}, {"name": "bucket", "kind": "Bucket", "group": "acme.io"}]}, {"filters": []}]}`,
			shard.Front{Object: &shard.Service{Backends: []names.Key{{Namespace: "other", Name: "api"}, shop("web")}}, Hostnames: []string{"shop.example.com", "*.shop.example.com"}}, "",
		},
		{
			"parents", "GRPCRoute", `"spec": {"parentRefs": [{"name": "front"}, {"name": "front", "namespace": "infra", "sectionName": "a", "port": 443}, {"name": "mesh", "kind": "Service", "group": ""}]},
				"status": {"parents": [{"parentRef": {"name": "front"}, "conditions": [{"type": "Accepted", "status": "False"}]}, {"parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front", "namespace": "infra", "sectionName": "a", "port": 443}, "conditions": [{"type": "ResolvedRefs", "status": "False"}, {"type": "Accepted", "status": "True"}]}]}`,
			shard.Front{Object: &shard.Service{}, Parents: []shard.Parent{
				{Namespace: "shop", Name: "front", Word: shard.Rejected}, {Namespace: "infra", Name: "front", Section: "a", Port: 443, Word: shard.Accepted},
			}}, "",
		},
		{
			"annotations", "HTTPRoute", `"metadata": {"annotations": {"fedns.io/policy": "all", "fedns.io/ttl": "9s", "fedns.io/weight": "7"}}`,
			shard.Front{Object: &shard.Service{Policy: "all", TTL: 9, Weight: 7}, Weighs: true}, "",
		},
		{
			"no host left", "HTTPRoute", `"spec": {"hostnames": ["under_score.example.com"], "parentRefs": [{"name": "front"}]}`,
			shard.Front{Object: &shard.Service{}}, "spec.hostnames",
		},
	} {
		t.Run(tt.what, func(t *testing.T) {
			o := map[string]any{}
			if err := json.Unmarshal([]byte("{"+tt.text+"}"), &o); err != nil {
				t.Fatal(err)
			}
			m, _ := o["metadata"].(map[string]any)
			if m == nil {
				m = map[string]any{}
			}
			m["namespace"], m["name"] = "shop", "front"
			o["kind"], o["apiVersion"], o["metadata"] = tt.kind, gatewayAPI, m
			f, problems, err := unstructuredFront(&unstructured.Unstructured{Object: o})
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Key = shard.FrontKey{Kind: shard.FrontKind(tt.kind), Namespace: "shop", Name: "front"}
			tt.want.Object.Key = names.Key{Namespace: "shop", Name: "front", Kind: names.Ing}
			tt.want.Object.Weight = max(tt.want.Object.Weight, 1)
			if !reflect.DeepEqual(*f, tt.want) {
				t.Errorf("%+v %+v\nwant %+v %+v", *f, *f.Object, tt.want, *tt.want.Object)
			}
			if text := strings.Join(problems, "; "); (text != "") != (tt.problem != "") || !strings.Contains(text, tt.problem) {
				t.Errorf("problems: %s", text)
			}
			// A manifest says the same.
			text, _ := json.Marshal(o)
			var read *shard.Front
			err = decode("x.json", strings.NewReader(string(text)), func(o *object) { read, _ = o.front() })
			if err != nil || !reflect.DeepEqual(read, f) {
				t.Errorf("as a manifest: %+v, error %v", read, err)
			}
		})
	}
}

func TestIngressHosts(t *testing.T) {
	path := func(services ...string) string {
		var out []string
		for _, s := range services {
			out = append(out, fmt.Sprintf(`{"path": "/%s", "backend": {"service": {"name": %q}}}`, s, s))
		}
		return `"http": {"paths": [` + strings.Join(out, ",") + `]}`
	}
	text := `{"kind": "Ingress", "metadata": {"name": "front", "namespace": "shop"}, "spec": {"defaultBackend": {"service": {"name": "rest"}}, "tls": [{"hosts": ["tls.example.com"]}], "rules": [
		{"host": "Shop.example.com", ` + path("web", "api") + `}, {` + path("any") + `}, {"host": "shop.example.com", ` + path("web", "more") + `}, {"host": "bare.example.com"},
		{"host": "*.wild.example.com", ` + path("web") + `}, {"host": "no_host", ` + path("web") + `}]}}`
	var got *shard.Service
	var problems []string
	if err := decode("x.json", strings.NewReader(text), func(o *object) { got, problems = ingress(o.ingress()) }); err != nil {
		t.Fatal(err)
	}
	const want = "[{shop.example.com [shop/api shop/more shop/web]} {bare.example.com [shop/rest]} {*.wild.example.com [shop/web]}] [shop/any shop/api shop/more shop/rest shop/web]"
	if text := fmt.Sprint(got.Claims, got.Backends); text != want || len(problems) != 1 || !strings.Contains(problems[0], "no_host") {
		t.Errorf("%s, not\n%s; problems %q", text, want, problems)
	}
}

const routed = `"metadata": {"labels": {"fedns.io/export": "true"}}, "spec": {"hostnames": ["shop.example.com"]}`

// A cluster without the Gateway API is known all the same, at once; when it is
// installed, that is noticed.
func TestWatcherWithoutGatewayAPI(t *testing.T) {
	for _, streams := range []bool{true, false} {
		s := serve(t)
		s.streams = streams
		s.fill()
		v, j, w := s.follow(t, nil)
		eventually(t, "fresh", func() bool { return v.says("fresh") == 1 })
		if v.String() != filled || len(j.all()) != 1 || counted(w, other) != 0 {
			t.Errorf("%s, log: %q", v, j.all())
		}
		s.set("httproutes", "route", routed)
		s.do(func() { s.gateway = true })
		v.becomes(t, "HTTPRoute shop/route [] [shop.example.com]; "+filled)
		eventually(t, "watches", func() bool { return s.watching() == 7 })
		s.set("gateways", "front", `"status": {"addresses": [{"value": "192.0.2.9"}]}`)
		v.becomes(t, "Gateway shop/front [192.0.2.9] []; HTTPRoute shop/route [] [shop.example.com]; "+filled)
		if j.has("INFO cluster gce-us: httproutes: the cluster has them now, 1 of ours") != 1 {
			t.Errorf("log: %q", j.all())
		}
		s.remove("httproutes", "route")
		v.becomes(t, "Gateway shop/front [192.0.2.9] []; "+filled)
		// And taken away.
		s.do(func() { s.gateway = false; s.tell("gateways", ""); s.tell("gateways", "") })
		s.do(func() {
			s.tell("gateways", `{"type":"ERROR","object":`+status(410, "Expired")+`}`)
		})
		v.becomes(t, filled)
		if v.says("silent") > 0 || j.has("ERROR") > 0 || j.has("WARN") > 0 {
			t.Errorf("log: %q", j.all())
		}
	}
}

// Roles of old don't speak of it, and an API may be broken: nothing else waits.
func TestWatcherRefusedGatewayAPI(t *testing.T) {
	for code, why := range map[int]reason{http.StatusForbidden: forbidden, http.StatusServiceUnavailable: other} {
		s := serve(t)
		s.fill()
		for _, r := range []string{"gateways", "httproutes", "grpcroutes"} {
			s.refuse[r] = code
		}
		v, j, w := s.follow(t, quick)
		eventually(t, "fresh", func() bool { return v.says("fresh") == 1 })
		v.becomes(t, filled)
		eventually(t, "a warning", func() bool { return j.has("WARN cluster gce-us: the Gateway API: ", "; going on without") == 1 })
		was := counted(w, why)
		eventually(t, "more of them", func() bool { return counted(w, why) > was+6 })
		if n := j.has("WARN"); n != 1 || j.has("ERROR") > 0 || v.says("silent") > 0 || v.forgone != 3 {
			t.Errorf("%d warnings, %d lists forgone, log: %q", n, v.forgone, j.all())
		}
		s.set("httproutes", "route", routed)
		s.do(func() { clear(s.refuse); s.gateway = true })
		v.becomes(t, "HTTPRoute shop/route [] [shop.example.com]; "+filled)
		eventually(t, "peace", func() bool { return j.has("INFO cluster gce-us: the Gateway API: no longer refused") == 1 })
		// Refused again, what is known stays.
		s.do(func() { s.refuse["httproutes"] = code; s.tell("httproutes", "") })
		eventually(t, "a second warning", func() bool { return j.has("WARN cluster gce-us: the Gateway API: ") == 2 })
		if v.String() != "HTTPRoute shop/route [] [shop.example.com]; "+filled {
			t.Error(v)
		}
	}
}
