package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestFront(t *testing.T) {
	shop := func(name string) snapshot.Key { return snapshot.Key{Namespace: "shop", Name: name} }
	for _, tt := range []struct {
		what, kind, text string
		want             shard.Frontend // without what every object has
		problem          string
	}{
		{
			"addresses", "Gateway", `"status": {"addresses": [{"type": "IPAddress", "value": "192.0.2.1"}, {"value": "2001:db8::1"}, {"type": "Hostname", "value": "LB.example.net"}, {"type": "NamedAddress", "value": "x"}]}`,
			shard.Frontend{Object: (&shard.Service{Addrs: addrs("192.0.2.1", "2001:db8::1"), Balancer: true}).Extend(shard.Extras{Hosts: []string{"lb.example.net"}})}, `type "NamedAddress"`,
		},
		{
			"addresses by annotation", "Gateway", `"metadata": {"annotations": {"fedns.io/addresses": "192.0.2.9"}}, "status": {"addresses": [{"value": "192.0.2.1"}]}`,
			shard.Frontend{Object: &shard.Service{Addrs: addrs("192.0.2.9"), Balancer: true}}, "",
		},
		{
			"listeners", "Gateway", `"spec": {"listeners": [{"name": "a", "port": 8080, "protocol": "HTTP"}, {"name": "b", "hostname": "*.Example.com", "port": 443, "protocol": "HTTPS", "allowedRoutes": {"namespaces": {"from": "All"}, "kinds": [{"kind": "GRPCRoute"}]}},
				{"name": "c", "port": 53, "protocol": "UDP"}, {"name": "d", "port": 443, "protocol": "TLS"}, {"name": "e", "hostname": "-.x", "port": 1}, {"name": "f", "port": 2, "allowedRoutes": {"kinds": [{"group": "acme.io", "kind": "HTTPRoute"}], "namespaces": {"from": "Selector"}}}]}`,
			shard.Frontend{Object: &shard.Service{Balancer: true, Port: 8080}, Listeners: []shard.Listener{
				{Name: "a", Port: 8080}, {Name: "b", Host: "*.example.com", Port: 443, From: shard.AnyWhere, Only: []shard.FrontendKind{shard.GRPCRoute}},
				{Name: "d", Port: 443, Only: []shard.FrontendKind{shard.TLSRoute}},
				{Name: "f", Port: 2, From: shard.Selected, Only: []shard.FrontendKind{""}},
			}}, "listener e: hostname",
		},
		{
			"kinds that the protocol can't take", "Gateway", `"spec": {"listeners": [{"name": "a", "port": 443, "protocol": "TLS", "allowedRoutes": {"kinds": [{"kind": "HTTPRoute"}, {"kind": "TLSRoute"}]}},
				{"name": "b", "port": 443, "protocol": "TLS", "allowedRoutes": {"kinds": [{"kind": "TCPRoute"}]}}, {"name": "c", "port": 443, "protocol": "HTTPS", "allowedRoutes": {"kinds": [{"kind": "TLSRoute"}]}}]}`,
			shard.Frontend{Object: &shard.Service{Balancer: true, Port: 443}, Listeners: []shard.Listener{
				{Name: "a", Port: 443, Only: []shard.FrontendKind{shard.TLSRoute}}, {Name: "b", Port: 443, Only: []shard.FrontendKind{""}}, {Name: "c", Port: 443, Only: []shard.FrontendKind{""}},
			}}, "",
		},
		{
			"whose sets", "Gateway", `"spec": {"allowedListeners": {"namespaces": {"from": "Same"}}}`,
			shard.Frontend{Object: &shard.Service{Balancer: true}, Sets: shard.Same}, "",
		},
		{
			"sets by label", "Gateway", `"spec": {"allowedListeners": {"namespaces": {"from": "Selector", "selector": {}}}}`,
			shard.Frontend{Object: &shard.Service{Balancer: true}, Sets: shard.Selected}, "",
		},
		{
			"nobody knows whose sets", "Gateway", `"spec": {"allowedListeners": {"namespaces": {"from": "Some"}}}`,
			shard.Frontend{Object: &shard.Service{Balancer: true}, Sets: shard.Nowhere}, `allowedListeners from "Some"`,
		},
		{
			"a set", "ListenerSet", `"spec": {"parentRef": {"name": "gw", "namespace": "infra"}, "listeners": [{"name": "a", "port": 443, "protocol": "TLS", "hostname": "*.example.com"}, {"name": "b", "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}]},
				"status": {"conditions": [{"type": "Accepted", "status": "True"}], "listeners": [{"name": "b", "conditions": [{"type": "Conflicted", "status": "True"}]}]}`,
			shard.Frontend{Object: &shard.Service{}, Parents: []shard.Parent{{Namespace: "infra", Name: "gw", Status: shard.Accepted}}, Listeners: []shard.Listener{
				{Name: "a", Port: 443, Host: "*.example.com", Only: []shard.FrontendKind{shard.TLSRoute}}, {Name: "b", From: shard.AnyWhere, NotReady: true},
			}}, "",
		},
		{
			"what isn't ready", "Gateway", `"spec": {"listeners": [{"name": "a", "port": 80, "protocol": "HTTP"}, {"name": "b", "port": 81, "protocol": "HTTP"}]},
				"status": {"conditions": [{"type": "Ready", "status": "True"}], "listeners": [{"name": "b", "conditions": [{"type": "Ready", "status": "False"}]}]}`,
			shard.Frontend{Object: &shard.Service{Balancer: true, Port: 80}, Listeners: []shard.Listener{{Name: "a", Port: 80}, {Name: "b", Port: 81, NotReady: true}}}, "",
		},
		{
			"a set that isn't programmed", "XListenerSet", `"spec": {"parentRef": {"kind": "Gateway", "name": "gw"}, "listeners": [{"name": "a", "port": 80, "protocol": "HTTP"}]}, "status": {"conditions": [{"type": "Programmed", "status": "False"}]}`,
			shard.Frontend{Object: &shard.Service{}, Parents: []shard.Parent{{Namespace: "shop", Name: "gw"}}, Listeners: []shard.Listener{{Name: "a", Port: 80, NotReady: true}}}, "",
		},
		{
			"a set of something else", "ListenerSet", `"spec": {"parentRef": {"kind": "ListenerSet", "name": "other"}}`,
			shard.Frontend{Object: &shard.Service{}}, `spec.parentRef "ListenerSet"`,
		},
		{"a set of nothing", "ListenerSet", `"spec": {}`, shard.Frontend{Object: &shard.Service{}}, "spec.parentRef is missing"},
		{
			"parents that are sets", "TLSRoute", `"spec": {"hostnames": ["shop.example.com"], "rules": [{"backendRefs": [{"name": "web", "port": 443}]}],
				"parentRefs": [{"name": "a", "kind": "ListenerSet"}, {"name": "b", "kind": "XListenerSet", "group": "gateway.networking.x-k8s.io", "sectionName": "tls"}, {"name": "c", "kind": "XListenerSet"}, {"name": "d", "kind": "ListenerSet", "group": "acme.io"}]},
				"status": {"parents": [{"parentRef": {"name": "a"}, "conditions": [{"type": "Accepted", "status": "False"}]}, {"parentRef": {"name": "a", "kind": "ListenerSet"}, "conditions": [{"type": "Accepted", "status": "True"}]}]}`,
			shard.Frontend{Object: (&shard.Service{}).Route(shard.Routing{Backends: []snapshot.Key{shop("web")}}), Hostnames: []string{"shop.example.com"}, Parents: []shard.Parent{
				{Kind: shard.ListenerSet, Namespace: "shop", Name: "a", Status: shard.Accepted}, {Kind: shard.XListenerSet, Namespace: "shop", Name: "b", Section: "tls"},
			}}, "",
		},
		{
			"backends", "HTTPRoute", `"spec": {"hostnames": ["Shop.example.com", "*.shop.example.com"], "rules": [{"backendRefs": [{"name": "web"}, {"name": "api", "namespace": "other", "kind": "Service"}]}, {"backendRefs": [{"name": "web"}, {"name": "none", "weight": 0}, {"name": "bucket", "kind": "Bucket", "group": "acme.io"}]}, {"filters": []}]}`,
			shard.Frontend{Object: (&shard.Service{}).Route(shard.Routing{Backends: []snapshot.Key{{Namespace: "other", Name: "api"}, shop("web")}}), Hostnames: []string{"shop.example.com", "*.shop.example.com"}}, "",
		},
		{
			"parents", "GRPCRoute", `"spec": {"parentRefs": [{"name": "front"}, {"name": "front", "namespace": "infra", "sectionName": "a", "port": 443}, {"name": "mesh", "kind": "Service", "group": ""}]},
				"status": {"parents": [{"parentRef": {"name": "front"}, "conditions": [{"type": "Accepted", "status": "False"}]}, {"parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front", "namespace": "infra", "sectionName": "a", "port": 443}, "conditions": [{"type": "ResolvedRefs", "status": "False"}, {"type": "Accepted", "status": "True"}]}]}`,
			shard.Frontend{Object: &shard.Service{}, Parents: []shard.Parent{
				{Namespace: "shop", Name: "front", Status: shard.Rejected}, {Namespace: "infra", Name: "front", Section: "a", Port: 443, Status: shard.Accepted},
			}}, "",
		},
		{
			"annotations", "HTTPRoute", `"metadata": {"annotations": {"fedns.io/policy": "all", "fedns.io/ttl": "9s", "fedns.io/weight": "7"}}`,
			shard.Frontend{Object: (&shard.Service{TTL: 9, Weight: 7}).Extend(shard.Extras{Policy: "all"}), Weighs: true}, "",
		},
		{
			"no host left", "HTTPRoute", `"spec": {"hostnames": ["under_score.example.com"], "parentRefs": [{"name": "front"}]}`,
			shard.Frontend{Object: &shard.Service{}}, "spec.hostnames",
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
			o["kind"], o["apiVersion"], o["metadata"] = tt.kind, versions[tt.kind][0], m
			f, problems, err := unstructuredFront(&unstructured.Unstructured{Object: o})
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Key = shard.FrontendKey{Kind: shard.FrontendKind(tt.kind), Namespace: "shop", Name: "front"}
			tt.want.Object.Key = snapshot.Key{Namespace: "shop", Name: "front", Kind: snapshot.Ing}
			tt.want.Object.Weight = max(tt.want.Object.Weight, 1)
			if tt.kind == "Gateway" && !strings.Contains(tt.text, "allowedListeners") {
				tt.want.Sets = shard.Nowhere
			}
			if !reflect.DeepEqual(*f, tt.want) {
				t.Errorf("%+v %+v\nwant %+v %+v", *f, *f.Object, tt.want, *tt.want.Object)
			}
			if text := strings.Join(problems, "; "); (text != "") != (tt.problem != "") || !strings.Contains(text, tt.problem) {
				t.Errorf("problems: %s", text)
			}
			// A manifest says the same.
			text, _ := json.Marshal(o)
			var read *shard.Frontend
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
	const want = "[{shop.example.com [shop/api shop/more shop/web]  false} {bare.example.com [shop/rest]  false} {*.wild.example.com [shop/web]  false}] [shop/any shop/api shop/more shop/rest shop/web]"
	if text := fmt.Sprint(got.Routing().Claims, got.Routing().Backends); text != want || len(problems) != 1 || !strings.Contains(problems[0], "no_host") {
		t.Errorf("%s, not\n%s; problems %q", text, want, problems)
	}
}

const routed = `"metadata": {"labels": {"fedns.io/export": "true"}}, "spec": {"hostnames": ["shop.example.com"]}`

// A cluster without the Gateway API is known all the same, at once; when it is
// installed, that is noticed.
func TestWatcherWithoutGatewayAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
	})
}

// Roles of old don't speak of it, and an API may be broken: nothing else waits.
func TestWatcherRefusedGatewayAPI(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
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
	})
}

// What has listeners and routes beside those of HTTP is asked for where there is a
// Gateway, in the versions of it that are read, until the cluster knows one.
func TestWatcherListenerSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const exported = `"metadata": {"labels": {"fedns.io/export": "true"}}`
		for _, streams := range []bool{true, false} {
			for _, version := range versions["TLSRoute"] {
				s := serve(t)
				s.streams, s.gateway = streams, true
				s.at = map[string]string{"tlsroutes": version, "listenersets": "-"}
				s.fill()
				s.set("tlsroutes", "route", routed)
				s.set("xlistenersets", "set", exported+`, "spec": {"parentRef": {"name": "front"}}`)
				v, j, w := s.follow(t, nil)
				eventually(t, "fresh", func() bool { return v.says("fresh") == 1 })
				v.becomes(t, filled)
				asked := func(resource string) (n int) {
					s.do(func() {
						for _, a := range s.asked {
							if _, what, _ := strings.Cut(a, " "); strings.HasPrefix(what, resource+"?") {
								n++
							}
						}
					})
					return n
				}
				if n := asked("tlsroutes") + asked("listenersets") + asked("xlistenersets"); n > 0 {
					t.Errorf("asked %d times without a Gateway", n)
				}
				s.set("gateways", "front", exported+`, "status": {"addresses": [{"value": "192.0.2.9"}]}`)
				v.becomes(t, "Gateway shop/front [192.0.2.9] []; TLSRoute shop/route [] [shop.example.com]; XListenerSet shop/set [] []; "+filled)
				eventually(t, "told of changes", func() bool { return s.watched("tlsroutes") && s.watched("xlistenersets") })
				s.remove("tlsroutes", "route")
				s.remove("xlistenersets", "set")
				v.becomes(t, "Gateway shop/front [192.0.2.9] []; "+filled)
				s.set("tlsroutes", "route", routed)
				v.becomes(t, "Gateway shop/front [192.0.2.9] []; TLSRoute shop/route [] [shop.example.com]; "+filled)
				// The version is given up for another: the objects are the same.
				said, before := len(v.story()), asked("tlsroutes")
				s.do(func() {
					s.at["tlsroutes"] = map[bool]string{true: versions["TLSRoute"][1], false: gatewayAPI}[version == gatewayAPI]
					s.tell("tlsroutes", "")
				})
				eventually(t, "told of changes again", func() bool { return asked("tlsroutes") > before && s.watched("tlsroutes") })
				s.set("tlsroutes", "other", strings.ReplaceAll(routed, "shop.", "other."))
				v.becomes(t, "Gateway shop/front [192.0.2.9] []; TLSRoute shop/other [] [other.example.com]; TLSRoute shop/route [] [shop.example.com]; "+filled)
				if more := v.story()[said:]; len(more) > 0 {
					t.Errorf("another version was told of as %q", more)
				}
				// ListenerSets come.
				s.do(func() { s.at["listenersets"] = gatewayAPI })
				s.set("listenersets", "set", exported+`, "spec": {"parentRef": {"name": "front"}}`)
				v.becomes(t, "Gateway shop/front [192.0.2.9] []; ListenerSet shop/set [] []; TLSRoute shop/other [] [other.example.com]; TLSRoute shop/route [] [shop.example.com]; "+filled)
				if j.has("ERROR") > 0 || j.has("WARN") > 0 || counted(w, other) > 0 {
					t.Errorf("log: %q", j.all())
				}
			}
		}
	})
}

// A cluster isn't known before what its Gateway is reached by is.
func TestWatcherAwaitsListenerSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.gateway = true
		s.fill()
		s.set("gateways", "front", `"status": {"addresses": [{"value": "192.0.2.9"}]}`)
		s.refuse["tlsroutes"], s.refuse["listenersets"], s.refuse["xlistenersets"] = http.StatusUnauthorized, http.StatusUnauthorized, http.StatusUnauthorized
		s.set("tlsroutes", "route", routed)
		v, _, w := s.follow(t, quick)
		eventually(t, "refusals", func() bool { return counted(w, unauthorized) > 6 })
		if v.says("fresh") > 0 {
			t.Error("known before its TLSRoutes")
		}
		s.do(func() { clear(s.refuse) })
		v.becomes(t, "Gateway shop/front [192.0.2.9] []; TLSRoute shop/route [] [shop.example.com]; "+filled)
		eventually(t, "fresh", func() bool { return v.says("fresh") == 1 })
	})
}

// An API that has the Gateway API in older versions only gives the same objects.
func TestWatcherGatewayVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, streams := range []bool{true, false} {
			for _, version := range versions["HTTPRoute"] {
				s := serve(t)
				s.streams, s.gateway = streams, true
				s.at = map[string]string{"gateways": version, "httproutes": version, "grpcroutes": "-", "tlsroutes": "-", "listenersets": "-", "xlistenersets": "-"}
				s.fill()
				s.set("gateways", "front", `"metadata": {"labels": {"fedns.io/export": "true"}}, "spec": {"gatewayClassName": "acme"}, "status": {"addresses": [{"value": "192.0.2.9"}]}`)
				s.set("httproutes", "route", routed)
				s.set("gatewayclasses", "acme", `"metadata": {"annotations": {"fedns.io/front": "shop/ctl"}}`)
				v, j, w := s.follow(t, nil)
				rest := strings.Replace(filled, "; svc", "; standby shop/ctl absent; svc", 1)
				const all = "Gateway shop/front [192.0.2.9] []; HTTPRoute shop/route [] [shop.example.com]; class Gateway acme shop/ctl false; "
				v.becomes(t, all+rest)
				eventually(t, "fresh", func() bool { return v.says("fresh") == 1 })
				eventually(t, "told of changes", func() bool { return s.watched("gateways") && s.watched("httproutes") && s.watched("gatewayclasses") })
				s.remove("httproutes", "route")
				v.becomes(t, strings.Replace(all, "HTTPRoute shop/route [] [shop.example.com]; ", "", 1)+rest)
				s.set("httproutes", "route", routed)
				v.becomes(t, all+rest)
				// It is brought up to date: the objects are the same.
				said, before := len(v.story()), s.count("watch httproutes")
				s.do(func() {
					for _, r := range []string{"gateways", "httproutes"} {
						s.at[r] = gatewayAPI
						s.tell(r, "")
					}
				})
				eventually(t, "told of changes again", func() bool { return s.count("watch httproutes") > before && s.watched("httproutes") })
				s.set("httproutes", "other", strings.ReplaceAll(routed, "shop.", "other."))
				v.becomes(t, strings.Replace(all, "HTTPRoute", "HTTPRoute shop/other [] [other.example.com]; HTTPRoute", 1)+rest)
				if more := v.story()[said:]; len(more) > 0 {
					t.Errorf("another version was told of as %q", more)
				}
				if j.has("ERROR") > 0 || j.has("WARN") > 0 || counted(w, other) > 0 {
					t.Errorf("log: %q", j.all())
				}
			}
		}
	})
}

// What an API says of a route may be followed by its controller's word; a manifest's isn't.
func TestUnheard(t *testing.T) {
	_, _, w := serve(t).follow(t, nil)
	set := w.gatewayResource(w.api, shard.HTTPRoute).set
	for status, want := range map[string]shard.ParentStatus{
		"": shard.AwaitingController, "True": shard.Accepted, "False": shard.Rejected, "Unknown": shard.AwaitingController,
	} {
		o := map[string]any{"metadata": map[string]any{"namespace": "shop", "name": "r"}, "spec": map[string]any{"parentRefs": []any{map[string]any{"name": "gw"}}}}
		if status != "" {
			o["status"] = map[string]any{"parents": []any{map[string]any{"parentRef": map[string]any{"name": "gw"}, "conditions": []any{map[string]any{"type": "Accepted", "status": status}}}}}
		}
		c, _ := set(&unstructured.Unstructured{Object: o})
		if got := c.(shard.FrontendSet).Frontend.Parents[0].Status; got != want {
			t.Errorf("%q: %v, not %v", status, got, want)
		}
	}
}
