package cluster

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// decoded reads one manifest.
func decoded(t *testing.T, text string) *object {
	t.Helper()
	var out *object
	if err := decode("x.yaml", bytes.NewReader([]byte(text)), func(o *object) { c := *o; out = &c }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		name, spec, ingress, annotation string
		addrs, hosts                    string
		balancer                        bool
		problem                         string
	}{
		{"balancer", "type: LoadBalancer", "[{ip: 192.0.2.1}, {ip: 192.0.2.2}]", "", "[192.0.2.1 192.0.2.2]", "[]", true, ""},
		{"both families", "type: LoadBalancer", "[{ip: 192.0.2.1}, {ip: '2001:db8::1'}]", "", "[192.0.2.1 2001:db8::1]", "[]", true, ""},
		{"mapped is IPv4", "type: LoadBalancer", "[{ip: '::ffff:192.0.2.1'}, {ip: 192.0.2.1}]", "", "[192.0.2.1]", "[]", true, ""},
		{"hostname", "type: LoadBalancer", "[{hostname: LB.Example.NET.}, {hostname: lb.example.net}]", "", "[]", "[lb.example.net]", true, ""},
		{"IP beside hostname", "type: LoadBalancer", "[{ip: 192.0.2.1, hostname: lb.example.net}]", "", "[192.0.2.1]", "[]", true, `hostname "lb.example.net" stands beside ip 192.0.2.1, which counts`},
		{"bad hostname", "type: LoadBalancer", "[{hostname: 'lb example'}, {ip: 192.0.2.1}]", "", "[192.0.2.1]", "[]", true, "lb example"},
		{"bad IP", "type: LoadBalancer", "[{ip: 192.0.2.300}]", "", "[]", "[]", true, `"192.0.2.300" is not an IP address`},
		{"zone in an IP", "type: LoadBalancer", "[{ip: 'fe80::1%eth0'}]", "", "[]", "[]", true, "has a zone"},
		{"external behind balancer", "{type: LoadBalancer, externalIPs: [192.0.2.9, 192.0.2.1]}", "[{ip: 192.0.2.1}]", "", "[192.0.2.1 192.0.2.9]", "[]", true, ""},
		{"pending", "type: LoadBalancer", "", "", "[]", "[]", true, ""},
		{"not a balancer any more", "type: ClusterIP", "[{ip: 192.0.2.1}]", "", "[]", "[]", false, ""},
		{"external only", "{type: NodePort, externalIPs: [192.0.2.9]}", "", "", "[192.0.2.9]", "[]", false, ""},
		{"annotation", "{type: LoadBalancer, externalIPs: [192.0.2.9]}", "[{ip: 192.0.2.1}, {hostname: a.b}]", " 198.51.100.1 ,2001:db8::5,198.51.100.1", "[198.51.100.1 2001:db8::5]", "[]", true, ""},
		{"annotation on ClusterIP", "type: ClusterIP", "", "198.51.100.1", "[198.51.100.1]", "[]", false, ""},
		{"annotation, in part", "type: LoadBalancer", "[{ip: 192.0.2.1}]", "nonsense, 198.51.100.1,", "[198.51.100.1]", "[]", true, `annotation fedns.io/addresses: "nonsense"`},
		{"annotation, nothing good", "type: LoadBalancer", "[{ip: 192.0.2.1}]", "nonsense", "[]", "[]", true, "nonsense"},
		{"ExternalName", "{type: ExternalName, externalName: x.example, externalIPs: [192.0.2.9]}", "[{ip: 192.0.2.1}]", "198.51.100.1", "[]", "[]", false, ""},
		{"headless", "{clusterIP: None, externalIPs: [192.0.2.9]}", "", "", "[]", "[]", false, ""},
		{"headless, annotated", "{clusterIP: None, externalIPs: [192.0.2.9]}", "", "198.51.100.1", "[198.51.100.1]", "[]", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec := strings.Trim(tt.spec, "{}")
			text := "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop"
			if tt.annotation != "" {
				text += fmt.Sprintf(", annotations: {fedns.io/addresses: %q}", tt.annotation)
			}
			text += "}\nspec: {" + spec + "}\n"
			if tt.ingress != "" {
				text += "status: {loadBalancer: {ingress: " + tt.ingress + "}}\n"
			}
			s, problems := service(decoded(t, text).service(), false)
			if got := fmt.Sprint(s.Addrs); got != tt.addrs {
				t.Errorf("addresses %s, not %s", got, tt.addrs)
			}
			if got := fmt.Sprint(s.Extras().Hosts); got != tt.hosts {
				t.Errorf("hosts %s, not %s", got, tt.hosts)
			}
			if s.Balancer != tt.balancer {
				t.Errorf("balancer %v", s.Balancer)
			}
			if got := strings.Join(problems, "; "); (got == "") != (tt.problem == "") || !strings.Contains(got, tt.problem) {
				t.Errorf("problems %q, not of %q", got, tt.problem)
			}
		})
	}
}

func TestService(t *testing.T) {
	s, problems := service(decoded(t, `
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  creationTimestamp: "2024-05-01T00:00:00Z"
  deletionTimestamp: "2024-06-01T00:00:00Z"
  annotations: {fedns.io/ttl: 1m, fedns.io/policy: "nearest  within 5% 2", fedns.io/weight: "7"}
spec:
  publishNotReadyAddresses: true
  ports:
  - {port: 1}
  - {name: HTTP, port: 80}
  - {name: dns, port: 53, protocol: UDP}
  - {name: no_label, port: 5}
  - {name: none, port: 0}
  - {name: most, port: 65536}
`).service(), false)
	want := (&shard.Service{
		Key:     snapshot.Key{Namespace: "shop", Name: "web"},
		Created: 1714521600, Deleting: true, NotReady: true, TTL: 60, Weight: 7, Port: 1,
		Ports: []shard.Port{{Name: "http", Proto: "tcp", Number: 80}, {Name: "dns", Proto: "udp", Number: 53}},
	}).Extend(shard.Extras{Policy: "nearest within 5% 2"})
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	if len(problems) != 3 {
		t.Errorf("problems: %q", problems)
	}
}

func TestProbeAnnotations(t *testing.T) {
	for _, tt := range []struct{ probe, at, want, wantAt, problem string }{
		{"tcp", "", "tcp", "invalid AddrPort", ""},
		{"none", "127.0.0.1", "none", "127.0.0.1:0", ""},
		{"http /healthz 200-299", "'[::ffff:127.0.0.1]:81'", "http /healthz 200-299", "127.0.0.1:81", ""},
		{"icmp", "", "", "invalid AddrPort", "icmp"},
		{"tcp interval 5ms", "nowhere", "", "invalid AddrPort", "nowhere"},
	} {
		text := "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  annotations:\n    fedns.io/probe: " + tt.probe
		if tt.at != "" {
			text += "\n    fedns.io/probe-address: " + tt.at
		}
		s, problems := service(decoded(t, text+"\nspec: {ports: [{port: 53, protocol: UDP}, {port: 80}]}").service(), false)
		if e := s.Extras(); !strings.HasPrefix(e.Probe, tt.want) || (e.Probe == "") != (tt.want == "") || e.ProbeAt.String() != tt.wantAt || s.Port != 80 {
			t.Errorf("%+v: %q at %v, port %d", tt, e.Probe, e.ProbeAt, s.Port)
		}
		if got := strings.Join(problems, "; "); (got == "") != (tt.problem == "") || !strings.Contains(got, tt.problem) {
			t.Errorf("%+v: problems %q", tt, got)
		}
	}
}

func TestTTL(t *testing.T) {
	for _, tt := range []struct {
		s    string
		want uint32
	}{
		{"30", 30}, {"30s", 30}, {"1", 1}, {"86400", 86400}, {"24h", 86400}, {"1500ms", 1},
		{"0", 0}, {"-5", 0}, {"86401", 0}, {"999ms", 0}, {"", 0}, {"soon", 0}, {"99999999999999999999", 0}, {"4294967297", 0},
	} {
		got, err := parseTTL(tt.s)
		if got != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("%q: %d, %v", tt.s, got, err)
		}
	}
}

func TestIngress(t *testing.T) {
	i, problems := ingress(decoded(t, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front, namespace: shop}
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
  rules:
  - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}, {path: /a, pathType: Prefix, backend: {service: {name: api}}}]}
  - host: example.com
  - http: {paths: [{path: /b, pathType: Prefix, backend: {resource: {kind: Bucket, name: b}}}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {hostname: lb.example.net}]}}
`).ingress())
	if len(problems) > 0 {
		t.Error(problems)
	}
	if got, want := fmt.Sprintf("%v %v %v %v %v", i.Key, i.Balancer, i.Addrs, i.Extras().Hosts, i.Routing().Backends),
		"ingress shop/front true [192.0.2.1] [lb.example.net] [shop/api shop/web]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSlice(t *testing.T) {
	o := decoded(t, `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
endpoints:
- {zone: b}
- {zone: a, nodeName: n1, conditions: {ready: true}}
- {zone: a, nodeName: n2, conditions: {ready: true, serving: true, terminating: false}}
- {zone: a, conditions: {ready: true, terminating: true}}
- {zone: a, conditions: {ready: false}}
- {nodeName: n1}
- {zone: "", nodeName: n1}
- {}
`).slice()
	want := &shard.Slice{
		Key: shard.SliceKey{Namespace: "shop", Name: "web-1"}, Service: "web",
		Endpoints: []shard.Endpoint{
			{Ready: true}, {Node: "n1", Ready: true},
			{Zone: "a"}, {Zone: "a", Node: "n1", Ready: true}, {Zone: "a", Node: "n2", Ready: true}, {Zone: "b", Ready: true},
		},
	}
	for range 50 {
		got, ok := slice(o, false)
		if !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
		rand.Shuffle(len(o.Endpoints), func(i, j int) { o.Endpoints[i], o.Endpoints[j] = o.Endpoints[j], o.Endpoints[i] })
	}
	delete(o.Labels, discoveryv1.LabelServiceName)
	if _, ok := slice(o, false); ok {
		t.Error("a slice of no service is taken")
	}
}

func TestNode(t *testing.T) {
	const now, old = "topology.kubernetes.io/", "failure-domain.beta.kubernetes.io/"
	for _, tt := range []struct {
		labels map[string]string
		status string // of the condition Ready
		want   shard.Node
	}{
		{map[string]string{now + "zone": "us-a", now + "region": "us"}, "True", shard.Node{Name: "n", Region: "us", Zone: "us-a"}},
		{map[string]string{old + "zone": "us-a", old + "region": "us"}, "", shard.Node{Name: "n", Region: "us", Zone: "us-a"}},
		{map[string]string{now + "zone": "US_a.1", old + "zone": "x", old + "region": "eu"}, "False", shard.Node{Name: "n", Region: "eu", Zone: "US_a.1", NotReady: true}},
		{nil, "Unknown", shard.Node{Name: "n", NotReady: true}},
	} {
		conditions := []corev1.NodeCondition{{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse}}
		if tt.status != "" {
			conditions = append(conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionStatus(tt.status)})
		}
		if got := node("n", tt.labels, conditions); got != tt.want {
			t.Errorf("%v: %+v, not %+v", tt.labels, got, tt.want)
		}
	}
}

// How a cluster's own pods reach a Service is kept of the one cluster in which they
// ask here.
func TestInside(t *testing.T) {
	for _, tt := range []struct {
		spec     string
		inside   string
		headless bool
		problems int
	}{
		{"clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1']", "[10.0.0.1 fd00::1]", false, 0},
		{"clusterIP: 10.0.0.1", "[10.0.0.1]", false, 0},
		{"type: LoadBalancer", "[]", false, 0}, // none yet
		{"clusterIP: None", "[]", true, 0},
		{"clusterIP: None, clusterIPs: [None]", "[]", true, 0},
		{"clusterIP: nonsense", "[]", false, 1},
		{"type: ExternalName, externalName: x.example, clusterIP: 10.0.0.1", "[]", false, 0},
	} {
		o := decoded(t, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {"+tt.spec+"}\n").service()
		s, problems := service(o, true)
		if fmt.Sprint(s.Extras().Inside) != tt.inside || s.Headless != tt.headless || len(problems) != tt.problems {
			t.Errorf("%s: %v, headless %v, problems %q", tt.spec, s.Extras().Inside, s.Headless, problems)
		}
		if s, _ = service(o, false); s.Extras().Inside != nil || s.Headless {
			t.Errorf("%s, of another cluster: %v, headless %v", tt.spec, s.Extras().Inside, s.Headless)
		}
	}
}

// Pods are kept one by one only where their addresses may be asked for.
func TestPods(t *testing.T) {
	for _, tt := range []struct {
		labels   string
		headless bool
	}{
		{"endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io, service.kubernetes.io/headless: ''", true},
		{"endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io", false},
		{"x: written-by-hand", true},
	} {
		o := decoded(t, `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web, `+tt.labels+`}}
ports: [{name: http, port: 8080}, {name: dns, port: 53, protocol: UDP}, {port: 1}, {name: no_label, port: 2}]
endpoints:
- {zone: a, addresses: [10.1.0.2, 10.9.9.9], conditions: {ready: true}}
- {zone: a, addresses: [10.1.0.1], hostname: Pod-1, conditions: {ready: true}}
- {zone: a, addresses: [10.1.0.1], hostname: pod-1, conditions: {ready: true}}
- {zone: a, addresses: [a.name], conditions: {ready: true}}
`).slice()
		if headless(&o.ObjectMeta) != tt.headless {
			t.Errorf("%s: headless %v", tt.labels, !tt.headless)
		}
		s, _ := slice(o, tt.headless)
		want := "[{a  true invalid IP }] [{http tcp 8080} {dns udp 53} {  1} {  2}]"
		if tt.headless {
			want = "[{a  true invalid IP } {a  true 10.1.0.1 pod-1} {a  true 10.1.0.2 }] [{http tcp 8080} {dns udp 53} {  1} {  2}]"
		}
		if got := fmt.Sprint(s.Endpoints, s.Ports); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.labels, got, want)
		}
	}
}
