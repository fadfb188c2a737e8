package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// has lists the objects of a file: "Service shop/web".
func has(name, text string) (string, error) {
	var out []string
	err := decode(name, bytes.NewReader([]byte(text)), func(o *object) {
		out = append(out, fmt.Sprintf("%s %s/%s", o.Kind, o.Metadata.Namespace, o.Metadata.Name))
	})
	return strings.Join(out, ", "), err
}

func TestDecode(t *testing.T) {
	const svc = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":"n"}}`
	for _, tt := range []struct{ name, file, text, want string }{
		{"one", "x.json", svc, "Service n/a"},
		{"marked", "x.json", bom + svc, "Service n/a"},
		{"several", "x.json", svc + "\n" + svc, "Service n/a, Service n/a"},
		{"List", "x.json", `{"apiVersion":"v1","items":[` + svc + `,{"apiVersion":"v1","kind":"Node","metadata":{"name":"b"}}],"kind":"List"}`, "Service n/a, Node /b"},
		{"nested List", "x.json", `{"kind":"List","items":[{"kind":"List","items":[` + svc + `]}]}`, "Service n/a"},
		{"typed list", "x.json", `{"kind":"ServiceList","apiVersion":"v1","items":[{"metadata":{"name":"a"}}]}`, "Service default/a"},
		{"typed list, kind last", "x.json", `{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}],"apiVersion":"v1","kind":"ServiceList"}`, "Service default/a, Service default/b"},
		{"empty list", "x.json", `{"kind":"List","items":null}`, ""},
		{"nothing", "x.json", " \n", ""},
		{"another group's, which is only spoken of", "x.json", `{"apiVersion":"serving.knative.dev/v1","kind":"Service","spec":{"ports":"all"},"status":[1]}`, "Service /"},
		{"none of ours in a List", "x.json", `{"kind":"List","items":[{"apiVersion":"example.com/v1","kind":"Port","spec":5,"metadata":{"labels":3}},` + svc + `]}`, "Service n/a"},
		{"YAML", "x.yaml", "---\n# a comment\n---\nkind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n--- # next\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\n---\n\n", "Namespace /shop, Service default/a"},
		{"YAML, not a marker", "x.yml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    x: |\n      ---\n      y\n", "Service default/a"},
		{"YAML, CR LF", "x.yml", "apiVersion: v1\r\nkind: Node\r\nmetadata:\r\n  name: a\r\n---\r\napiVersion: v1\r\nkind: Node\r\nmetadata:\r\n  name: b\r\n", "Node /a, Node /b"},
		{"YAML List", "x.yaml", "apiVersion: v1\nitems:\n- apiVersion: networking.k8s.io/v1\n  kind: Ingress\n  metadata: {name: a, namespace: shop}\nkind: List\n", "Ingress shop/a"},
	} {
		if got, err := has(tt.file, tt.text); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		line             int
		says             string
	}{
		{"cut off", "x.json", "{\n\"kind\": \"List\",\n\"items\": [\n{\"kind\": \"Service\",\n", 4, "ends in the middle"},
		{"cut off between items", "x.json", "{\"kind\": \"List\", \"items\": [\n{\"kind\": \"Secret\"},\n", 2, "ends in the middle"},
		{"comma", "x.json", "{\n\"kind\": \"List\"\n\"items\": []}", 3, "after object key"},
		{"in an item", "x.json", "{\"kind\": \"List\", \"items\": [\n{\"kind\": \"Secret\"},\n{\"kind\": \"Service\",\n \"spec\": oops}]}", 4, "invalid character 'o'"},
		{"second document", "x.json", "{\"kind\": \"Secret\"}\n{\"kind\":\n\"Secret\",,}", 3, "invalid character ','"},
		{"type", "x.json", "{\n\"apiVersion\": \"v1\", \"kind\": \"Service\",\n\"metadata\": {\"name\": \"a\"},\n\"spec\": {\n \"ports\": [{\"port\":\n \"http\"}]\n}}", 6, "port is a string, not a int32"},
		{"type in an item", "x.json", "{\"kind\": \"List\", \"items\": [\n{\"kind\": \"Secret\"},\n{\"apiVersion\": \"v1\", \"kind\": \"Service\",\n \"spec\": {\"type\": 5}\n}\n]}", 4, "spec.type is a number"},
		{"time", "x.json", "{\"kind\": \"List\", \"items\": [\n{\"kind\": \"Secret\"},\n{\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"creationTimestamp\": \"today\"}}]}", 3, "today"},
		{"nameless item", "x.json", "{\"kind\": \"List\", \"items\": [\n{\"kind\": \"Secret\"},\n{\"apiVersion\": \"v1\", \"kind\": \"Service\"}]}", 3, "a Service without a name"},
		{"no kind", "x.json", "\n{\"a\":\n 1}", 2, "without a kind"},
		{"an array", "x.json", "\n[]", 2, "not an object"},
		{"not JSON", "x.json", "\n\nkind: Service", 3, "invalid character"},
		{"YAML", "x.yaml", "kind: Secret\n---\n\nkind: Service\nmetadata:\n\tname: a\n", 6, "cannot start any token"},
		{"YAML, colon", "x.yaml", "kind: Secret\n---\nkind: Service\nmetadata: a: b\n", 4, "mapping values"},
		{"YAML, type", "x.yaml", "kind: Secret\n---\n# x\n\nkind: Service\napiVersion: v1\nspec: {ports: 5}\n", 5, "ports is a number"},
		{"YAML, marked", "x.yaml", "kind: Secret\n--- {kind: Service, apiVersion: v1}\n", 2, "without a name"},
		{"YAML, a word", "x.yaml", "hello\n", 1, "not an object"},
	} {
		_, err := has(tt.file, tt.text)
		var le *lineError
		if !errors.As(err, &le) || le.line != tt.line || !strings.Contains(le.Error(), tt.says) {
			t.Errorf("%s: %v; want line %d and %q", tt.name, err, tt.line, tt.says)
		}
	}
}

// answerable looks at what an object was made into: what no answer can hold isn't in it. Where it can be reached is asked later.
func answerable(t *testing.T, s *shard.Service) {
	t.Helper()
	if s == nil {
		return
	}
	for _, a := range s.Addrs {
		if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
			t.Errorf("%s/%s announces %s", s.Key.Namespace, s.Key.Name, a)
		}
	}
	for _, h := range s.Extras().Hosts {
		if h == "" || len(h) > 255 || strings.ContainsAny(h, " \n") {
			t.Errorf("%s/%s leads to %q", s.Key.Namespace, s.Key.Name, h)
		}
	}
	if policy := s.Extras().Policy; policy != "" {
		if _, err := snapshot.ParsePolicy(strings.Fields(policy)); err != nil {
			t.Errorf("%s/%s has a policy that isn't any: %v", s.Key.Namespace, s.Key.Name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("x.json", `{"kind":"List","items":[{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","creationTimestamp":null},"spec":{"ports":[{"name":"p","port":1}]}}]}`)
	f.Add("x.json", `{"items":[{"metadata":{"name":"a"}}],"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSliceList"}`)
	f.Add("x.yaml", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a, annotations: {fedns.io/addresses: '1.2.3.4,::1', fedns.io/ttl: 5s}}\n---\nkind: &a [*a]\n")
	f.Add("x.yaml", "a: 1\n--- |\n x\n...\n---")
	f.Add("x.yaml", "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a, namespace: b, annotations: {fedns.io/front: c/d, fedns.io/policy: 'failover eu us', fedns.io/weight: '3'}}\nspec:\n  gatewayClassName: x\n  listeners: [{name: l, hostname: '*.example.com', port: 443, protocol: HTTPS, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}, kinds: [{kind: HTTPRoute}]}}]\nstatus: {addresses: [{type: IPAddress, value: 192.0.2.1}], conditions: [{type: Programmed, status: 'True'}]}\n")
	f.Add("x.yaml", "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: b}\nspec: {parentRefs: [{name: a, sectionName: l, port: 443}], hostnames: [shop.example.com, '*.x'], rules: [{backendRefs: [{name: web, port: 80, weight: 0}]}]}\nstatus: {parents: [{parentRef: {name: a}, conditions: [{type: Accepted, status: 'False'}]}]}\n")
	f.Add("x.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {fedns.io/addresses: '1.2.3.4, x, ::ffff:1.2.3.4%z', fedns.io/ttl: -1s, fedns.io/policy: weighted 0, fedns.io/weight: '65536', fedns.io/probe: 'http /../ 200-', fedns.io/probe-address: '169.254.169.254'}}\nspec: {type: LoadBalancer, clusterIPs: [None], externalIPs: [0.0.0.0], ports: [{port: 99999, name: '-'}]}\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		err := decode(name, bytes.NewReader([]byte(text)), func(o *object) {
			if o.strange() {
				return // which is said, and no more
			}
			if o.Metadata.Name == "" || !o.counts() {
				t.Errorf("an object that doesn't count: %+v", o)
			}
			switch o.Kind {
			case "Service":
				s, _ := service(o.service(), true)
				answerable(t, s)
			case "Ingress":
				s, _ := ingress(o.ingress())
				answerable(t, s)
			case "EndpointSlice":
				slice(o.slice(), true)
			case "IngressClass", "GatewayClass":
				m := o.meta()
				class(shard.FrontendKind(o.Kind), &m)
			default:
				if f, _ := o.front(); f != nil && f.Key.Name == "" {
					t.Errorf("a frontend without a name: %+v", f)
				}
			}
		})
		var le *lineError
		if err != nil && (!errors.As(err, &le) || le.line < 1 || le.line > 1+strings.Count(text, "\n")) {
			t.Errorf("error %v", err)
		}
	})
}
