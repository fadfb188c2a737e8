package cluster

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedns/fedns/internal/kube/apireply"
	"github.com/fedns/fedns/test/framework/memnet"
)

// An apiServer speaks as much of the API as a reflector needs, in JSON. Objects
// are JSON templates by resource and name.
//
// It is reached in memory only, so that what follows it can be on a clock of its own: then
// heartbeats, holds and pauses take no time, and a busy machine loses none.
type apiServer struct {
	*httptest.Server
	t       testing.TB
	network memnet.Network
	// Of those who follow; 0: the usual.
	lull, compared, relist, handover, pace time.Duration

	bounds *apireply.Bounds // of those who follow; nil: the usual

	id string // by which its objects are told from another's

	mu      sync.Mutex // guards the rest
	version int
	objects map[string]map[string]string // resource, name, "KIND|fields"
	refuse  map[string]int               // status by resource; "": all of them
	token   string                       // the only good one; "": any
	streams bool                         // lists can be streamed
	gateway bool                         // the Gateway API is installed
	at      map[string]string            // the version of a resource that is served, if it isn't that of kinds; "-": none
	slow    chan struct{}                // lists wait for it
	paused  chan struct{}                // every request waits for it
	watches map[chan string]*asking      // lines to send, and of what
	asked   []string                     // requests, as "list services?query"
	told    []telling                    // what changed, for watches that begin at an older version
	front   http.HandlerFunc             // stands in front, and answers instead
}

// servers numbers them.
var servers atomic.Int32

func serve(t testing.TB) *apiServer {
	s := &apiServer{t: t, version: 10, streams: true, objects: map[string]map[string]string{}, refuse: map[string]int{}, watches: map[chan string]*asking{}}
	listener, err := s.network.Listen(fmt.Sprint("127.0.0.1:", servers.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	s.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}, EnableHTTP2: true}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS() // over plain HTTP, client-go sends no credentials
	s.id = s.URL
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

var kinds = map[string][2]string{ // kind, version
	"services": {"Service", "v1"}, "ingresses": {"Ingress", "networking.k8s.io/v1"},
	"endpointslices": {"EndpointSlice", "discovery.k8s.io/v1"}, "nodes": {"Node", "v1"}, "namespaces": {"PartialObjectMetadata", "meta.k8s.io/v1"},
	"gateways": {"Gateway", gatewayAPI}, "httproutes": {"HTTPRoute", gatewayAPI}, "grpcroutes": {"GRPCRoute", gatewayAPI},
	"tlsroutes": {"TLSRoute", "gateway.networking.k8s.io/v1alpha2"}, "listenersets": {"ListenerSet", gatewayAPI}, "xlistenersets": {"XListenerSet", "gateway.networking.x-k8s.io/v1alpha1"},
	"ingressclasses": {"IngressClass", "networking.k8s.io/v1"}, "gatewayclasses": {"PartialObjectMetadata", "meta.k8s.io/v1"},
}

// home is the namespace of objects whose name has none before it.
const home = "shop"

func (s *apiServer) object(resource, name, fields string, version int) string {
	k := s.kind(resource)
	namespace := home
	if resource == "nodes" || resource == "namespaces" || strings.HasSuffix(resource, "classes") {
		namespace = ""
	}
	o := map[string]any{}
	if err := json.Unmarshal([]byte("{"+fields+"}"), &o); err != nil {
		s.t.Errorf("%s: %v", fields, err)
	}
	m, _ := o["metadata"].(map[string]any)
	if m == nil {
		m = map[string]any{}
	}
	if in, _, ok := strings.Cut(name, "/"); ok {
		namespace, name = in, name[len(in)+1:]
	}
	m["name"], m["namespace"], m["resourceVersion"] = name, namespace, strconv.Itoa(version)
	m["uid"] = s.id + " " + resource + " " + name
	o["kind"], o["apiVersion"], o["metadata"] = k[0], k[1], m
	out, _ := json.Marshal(o)
	return string(out)
}

// kind is what a resource is of, and the version that it is served in.
func (s *apiServer) kind(resource string) [2]string {
	k := kinds[resource]
	k[1] = cmp.Or(s.at[resource], k[1])
	return k
}

func status(code int, reason string) string {
	return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":"%s, says the test"}`, code, reason, reason)
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	s.mu.Lock()
	front := s.front
	s.mu.Unlock()
	if front != nil {
		front(w, r)
		return
	}
	s.answer(w, r)
}

// answer is what the API itself answers.
func (s *apiServer) answer(w http.ResponseWriter, r *http.Request) {
	resource := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	q := r.URL.Query()
	verb := "list"
	if q.Get("watch") != "" {
		verb = "watch"
	}
	w.Header().Set("Content-Type", "application/json")
	s.mu.Lock()
	if paused := s.paused; paused != nil {
		s.mu.Unlock()
		select {
		case <-paused:
		case <-r.Context().Done():
			return
		}
		s.mu.Lock()
	}
	if resource == "readyz" || resource == "version" {
		verb = "get"
	}
	s.asked = append(s.asked, verb+" "+resource+"?"+q.Get("labelSelector")+q.Get("fieldSelector")+" "+r.UserAgent())
	code, slow := s.refuse[resource], s.slow
	served := resource
	if resource == "gatewayclasses" { // asked for as metadata, which has a version of its own
		served = "gateways"
	}
	if all := s.refuse[""]; all != 0 {
		code = all
	}
	if code == 0 && strings.Contains(r.URL.Path, "/gateway.networking.") && (!s.gateway || !strings.Contains(r.URL.Path, "/"+s.kind(served)[1]+"/")) {
		code = http.StatusNotFound
	}
	if s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token {
		code = http.StatusUnauthorized
	}
	streamed := q.Get("sendInitialEvents") == "true"
	if streamed && !s.streams {
		code = http.StatusUnprocessableEntity
	}
	var lines []string
	var items []string
	of := asked(resource, r.URL.Path, q)
	for name, fields := range s.objects[resource] {
		if o := s.object(resource, name, fields, s.version); of.chooses(o) {
			items = append(items, o)
		}
	}
	k := s.kind(resource)
	if streamed {
		for _, i := range items {
			lines = append(lines, `{"type":"ADDED","object":`+i+`}`)
		}
		lines = append(lines, fmt.Sprintf(`{"type":"BOOKMARK","object":{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"true"}}}}`, k[0], k[1], s.version))
	}
	news := make(chan string, 100)
	if verb == "watch" && code == 0 {
		if since, err := strconv.Atoi(q.Get("resourceVersion")); err == nil && !streamed {
			for _, t := range s.told {
				if t.version > since && t.resource == resource {
					lines = append(lines, t.line(of))
				}
			}
		}
		s.watches[news] = of
		defer func() { s.mu.Lock(); defer s.mu.Unlock(); delete(s.watches, news) }()
	}
	version := s.version
	s.mu.Unlock()

	if slow != nil && (verb == "list" || streamed) {
		select {
		case <-slow:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case code != 0:
		w.WriteHeader(code)
		reason := map[int]string{503: "ServiceUnavailable", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 422: "Invalid", 429: "TooManyRequests", 410: "Expired"}[code]
		io.WriteString(w, status(code, reason))
	case resource == "version":
		io.WriteString(w, `{"major":"1","minor":"36","gitVersion":"v1.36.3+k3s1"}`)
	case verb == "get":
		io.WriteString(w, "ok")
	case verb == "list":
		fmt.Fprintf(w, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"%d"},"items":[%s]}`, k[0], k[1], version, strings.Join(items, ","))
	default:
		for _, l := range lines {
			io.WriteString(w, l+"\n")
		}
		w.(http.Flusher).Flush()
		for {
			select {
			case l := <-news:
				if l == "" {
					return
				}
				io.WriteString(w, l+"\n")
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
}

// set writes an object, and remove takes it out.
func (s *apiServer) set(resource, name, fields string) { s.change("MODIFIED", resource, name, fields) }
func (s *apiServer) remove(resource, name string)      { s.change("DELETED", resource, name, "") }

func (s *apiServer) change(event, resource, name, fields string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	if s.objects[resource] == nil {
		s.objects[resource] = map[string]string{}
	}
	s.objects[resource][name] = fields
	if event == "DELETED" {
		delete(s.objects[resource], name)
	}
	t := telling{s.version, event, resource, s.object(resource, name, fields, s.version)}
	s.told = append(s.told, t)
	for c, of := range s.watches {
		if of.resource == resource {
			c <- t.line(of)
		}
	}
}

// A telling is a change, as watches are told of it.
type telling struct {
	version                 int
	event, resource, object string
}

func (t telling) line(of *asking) string {
	event := t.event
	if !of.chooses(t.object) {
		event = "DELETED" // as it is told to those that have had it
	}
	return fmt.Sprintf(`{"type":%q,"object":%s}`, event, t.object)
}

// An asking is what a list or a watch asks for.
type asking struct {
	resource  string
	namespace string // "": any
	labels    labels.Selector
	fields    fields.Selector
}

func asked(resource, path string, q url.Values) *asking {
	l, _ := labels.Parse(q.Get("labelSelector"))
	f, _ := fields.ParseSelector(q.Get("fieldSelector"))
	a := &asking{resource: resource, labels: l, fields: f}
	if _, in, ok := strings.Cut(path, "/namespaces/"); ok {
		a.namespace, _, _ = strings.Cut(in, "/")
	}
	return a
}

func (a *asking) chooses(object string) bool {
	var o struct {
		Metadata metav1.ObjectMeta
		Spec     struct{ Type string }
	}
	_ = json.Unmarshal([]byte(object), &o)
	return a.labels.Matches(labels.Set(o.Metadata.Labels)) && (a.namespace == "" || a.namespace == o.Metadata.Namespace) && (a.resource != "services" ||
		a.fields.Matches(fields.Set{"metadata.name": o.Metadata.Name, "metadata.namespace": o.Metadata.Namespace, "spec.type": o.Spec.Type}))
}

// tell sends a line to the watches of a resource; "" ends them.
func (s *apiServer) tell(resource, line string) {
	for c, of := range s.watches {
		if of.resource == resource {
			c <- line
		}
	}
}

func (s *apiServer) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *apiServer) watching() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watches)
}

// watched says whether a watch of a resource is open, and opened how many are.
func (s *apiServer) watched(resource string) bool { return s.opened(resource) > 0 }

func (s *apiServer) opened(resource string) (n int) {
	s.do(func() {
		for _, of := range s.watches {
			if of.resource == resource {
				n++
			}
		}
	})
	return n
}

// insecure makes a kubeconfig trust whoever answers.
func insecure(kubeconfig string) string {
	return strings.Replace(kubeconfig, "cluster: {", "cluster: {insecure-skip-tls-verify: true, ", 1)
}

// trusted makes a kubeconfig trust this server.
func (s *apiServer) trusted(kubeconfig string) string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return strings.Replace(kubeconfig, "cluster: {", "cluster: {certificate-authority-data: "+base64.StdEncoding.EncodeToString(ca)+", ", 1)
}

func (s *apiServer) follow(t testing.TB, change func(*Config)) (*view, *journal, *Watcher) {
	t.Helper()
	w, j := s.watcher(t, change)
	return during(t, w.Run), j, w
}

// watcher makes one of the API.
func (s *apiServer) watcher(t testing.TB, change func(*Config)) (*Watcher, *journal) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig") // which is the federation's name too: each test counts for itself
	write(t, path, insecure(kubeconfig(s.URL, "first")))
	j := &journal{}
	c := Config{
		Federation: path, Cluster: "gce-us", Kubeconfig: path, Context: "a", Nodes: true, Dial: s.network.Dial, Log: j.logger(),
		Heartbeat: Heartbeat{Timeout: time.Minute}, // where silence isn't the subject
	}
	if change != nil {
		change(&c)
	}
	w, err := NewWatcher(c)
	if err != nil {
		t.Fatal(err)
	}
	w.rotation = 100 * time.Millisecond
	w.hungAfter, w.compared, w.relist = cmp.Or(s.lull, w.hungAfter), cmp.Or(s.compared, w.compared), cmp.Or(s.relist, w.relist)
	w.pace = cmp.Or(s.pace, 50*time.Millisecond)
	w.budget.Bounds = s.bounds
	w.endpoints.handover = cmp.Or(s.handover, w.endpoints.handover)
	return w, j
}

func (s *apiServer) fill() {
	s.set("services", "web", `"metadata":{"labels":{"fedns.io/export":"true"}},"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}`)
	s.set("endpointslices", "web-1", `"metadata":{"labels":{"kubernetes.io/service-name":"web","fedns.io/export":"true"}},"endpoints":[{"addresses":["10.0.0.1"],"zone":"us-a"}]`)
	s.set("endpointslices", "stray", ``)
	s.set("nodes", "n1", `"metadata":{"labels":{"topology.kubernetes.io/region":"us"}}`)
}

const (
	filled  = "node n1 us/; slice shop/web-1 web[{us-a  true}]; svc shop/web [192.0.2.1]"
	changed = "ing shop/front [192.0.2.7]; slice shop/web-1 web[{us-a  true}]; svc shop/web [192.0.2.2]"
)

func (s *apiServer) edit() {
	s.set("services", "web", `"metadata":{"labels":{"fedns.io/export":"true"}},"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.2"}]}}`)
	s.set("ingresses", "front", `"metadata":{"labels":{"fedns.io/export":"true"}},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}`)
	s.remove("nodes", "n1")
}

func counted(w *Watcher, r reason) float64 {
	var m dto.Metric
	_ = clusterErrors.WithLabelValues(w.Federation, "gce-us", string(r)).Write(&m)
	return m.GetCounter().GetValue()
}

func TestWatcher(t *testing.T) {
	for _, streams := range []bool{true, false} {
		t.Run(fmt.Sprintf("streams=%v", streams), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				s.streams = streams
				s.fill()
				selector, _ := labels.Parse("fedns.io/export=true")
				v, j, w := s.follow(t, func(c *Config) { c.Selector = selector })
				v.becomes(t, filled)
				eventually(t, "watches", func() bool { return s.watching() == 6 })
				s.edit()
				v.becomes(t, changed)
				for kind, n := range v.listed() {
					if n != 1 {
						t.Errorf("%d lists of %s", n, kind)
					}
				}
				eventually(t, "a line in the log", func() bool {
					return j.has("INFO cluster gce-us: listed 1 services, 0 ingresses, 1 slices, 1 nodes") == 1
				})
				if len(j.all()) != 1 {
					t.Errorf("log: %q", j.all())
				}

				heard := w.Heard()
				s.do(func() {
					s.tell("services", `{"type":"BOOKMARK","object":{"kind":"Service","apiVersion":"v1","metadata":{"resourceVersion":"90"}}}`)
				})
				eventually(t, "a bookmark is heard", func() bool { return w.Heard().After(heard) })
				beside := map[string]bool{ // because of the Ingress
					"list services?spec.type=LoadBalancer": true, "watch services?spec.type=LoadBalancer": true, "list ingressclasses?": true, "watch ingressclasses?": true,
				}
				const byName = "endpointslices?endpointslice.kubernetes.io/managed-by=" + sliceController + ",kubernetes.io/service-name in (web),fedns.io/export!=true "
				eventually(t, "its version is known", func() bool { return w.Version() == "v1.36.3+k3s1" })
				s.do(func() {
					for _, a := range s.asked {
						if a == "get readyz? fedns" || a == "get version? fedns" {
							continue
						}
						if !strings.HasSuffix(a, " fedns") || strings.Contains(a, "nodes?f") || !strings.Contains(a, "nodes?") && !strings.Contains(a, "?fedns.io/export=true ") && !beside[strings.TrimSuffix(a, " fedns")] && !strings.Contains(a, "endpointslices?"+byOthers) && !strings.Contains(a, byName) {
							t.Errorf("asked %q", a)
						}
					}
				})
			})
		})
	}
}

// A slice that is given to no Service any more is gone.
func TestWatcherStraySlice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		v, _, _ := s.follow(t, nil)
		v.becomes(t, filled)
		s.set("endpointslices", "web-1", "")
		v.becomes(t, "node n1 us/; svc shop/web [192.0.2.1]")
	})
}

func TestWatcherWithoutNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		v, j, _ := s.follow(t, func(c *Config) { c.Nodes = false })
		v.becomes(t, "slice shop/web-1 web[{us-a  true}]; svc shop/web [192.0.2.1]")
		eventually(t, "the log", func() bool { return j.has("listed") == 1 })
		if n := v.listed()["node"]; n != 1 {
			t.Errorf("%d lists of nodes", n)
		}
		s.do(func() {
			if strings.Contains(strings.Join(s.asked, " "), "nodes") {
				t.Errorf("asked for nodes: %q", s.asked)
			}
		})
	})
}

// Watches end, and become too old, all the time.
func TestWatcherGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		v, j, w := s.follow(t, nil)
		v.becomes(t, filled)
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		s.do(func() {
			delete(s.objects["services"], "web") // nobody is told
			s.tell("services", `{"type":"ERROR","object":`+status(410, "Expired")+`}`)
		})
		v.becomes(t, "node n1 us/")
		s.do(func() {
			s.tell("nodes", `{"type":"BOOKMARK","object":{"kind":"Node","apiVersion":"v1","metadata":{"resourceVersion":"90"}}}`)
		})
		s.do(func() { s.tell("nodes", "") })
		eventually(t, "counters", func() bool { return counted(w, gone) == 1 && counted(w, closed) == 1 })
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		s.remove("nodes", "n1")
		v.becomes(t, "")
		if len(j.all()) != 1 {
			t.Errorf("log: %q", j.all())
		}
	})
}

func TestWatcherUnauthorized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		v, j, w := s.follow(t, nil)
		v.becomes(t, filled)
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		s.do(func() {
			s.token = "second"
			for resource := range kinds {
				s.tell(resource, "")
			}
		})
		eventually(t, "an error", func() bool { return j.has("ERROR cluster gce-us: unauthorized: ") == 1 })
		s.edit()
		if v.String() != filled {
			t.Errorf("withdrawn: %s", v)
		}

		// The kubeconfig is rotated: first to something broken, then to what is good.
		replace(t, w.Kubeconfig, "\tx")
		eventually(t, "an error", func() bool { return j.has("ERROR cluster gce-us: kubeconfig", "going on with the one before") == 1 })
		replace(t, w.Kubeconfig, insecure(kubeconfig(s.URL, "second")))
		v.becomes(t, changed)
		eventually(t, "all well", func() bool { return j.has("INFO cluster gce-us: back after ") == 1 })
		if j.has("ERROR") != 2 {
			t.Errorf("log: %q", j.all())
		}
		if counted(w, unauthorized) == 0 {
			t.Error("not counted")
		}
	})
}

// Credentials that come back without a new kubeconfig, and a reason that changes.
func TestWatcherReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.token = "none"
		v, j, w := s.follow(t, nil)
		eventually(t, "an error", func() bool { return j.has("ERROR cluster gce-us: unauthorized: ") == 1 })
		s.do(func() { s.token, s.refuse[""] = "", http.StatusInternalServerError })
		eventually(t, "another error", func() bool { return j.has("ERROR cluster gce-us: other: ") == 1 })
		if v.String() != "" || len(v.listed()) > 0 || !w.Heard().IsZero() {
			t.Errorf("known of a cluster that wasn't heard: %s", v)
		}
		s.do(func() { s.refuse[""] = 0 })
		v.becomes(t, filled)
		eventually(t, "all well", func() bool { return j.has("INFO cluster gce-us: back after ") == 1 })
		if j.has("ERROR") != 2 {
			t.Errorf("log: %q", j.all())
		}
	})
}

func TestWatcherForbidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.refuse["nodes"], s.refuse["ingresses"] = http.StatusForbidden, http.StatusNotFound
		v, j, _ := s.follow(t, nil)
		v.becomes(t, "slice shop/web-1 web[{us-a  true}]; svc shop/web [192.0.2.1]")
		eventually(t, "complete lists", func() bool { return len(v.listed()) == 4 && j.has("listed") == 1 })
		tries := func() (n int) {
			s.do(func() { n = strings.Count(strings.Join(s.asked, "\n"), "list nodes") })
			return n
		}
		was := tries()
		eventually(t, "another attempt", func() bool { return tries() > was })
		if v.listed()["node"] != 1 || j.has("WARN cluster gce-us: nodes: ") != 1 || j.has("WARN cluster gce-us: ingresses: ") != 1 || len(j.all()) != 3 {
			t.Errorf("log: %q", j.all())
		}
		// It is allowed, then taken back: what is known stays.
		s.do(func() { clear(s.refuse) })
		v.becomes(t, filled)
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		s.do(func() { s.refuse["nodes"] = http.StatusForbidden; s.tell("nodes", "") })
		eventually(t, "a warning", func() bool { return j.has("WARN cluster gce-us: nodes: ") == 2 })
		if v.String() != filled || j.has("ERROR") > 0 {
			t.Errorf("%s, log: %q", v, j.all())
		}
	})
}

// The cluster whose own domain is answered is asked for the namespace that it must not
// have, by its name, and for how its pods reach Services; it may refuse the former.
func TestWatcherLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, refused := range []bool{false, true} {
			s := serve(t)
			s.fill()
			if refused {
				s.refuse["namespaces"] = http.StatusForbidden
			}
			v, j, w := s.follow(t, func(c *Config) { c.Local = true })
			const pod = "node n1 us/; %sslice shop/web-1 web[{us-a  true 10.0.0.1}]; svc shop/web [192.0.2.1]"
			v.becomes(t, fmt.Sprintf(pod, "shadow false; "))
			if refused {
				eventually(t, "complete lists", func() bool { return v.says("fresh") == 1 })
				if j.has("WARN cluster gce-us: namespaces: ") != 1 || j.has("ERROR") > 0 {
					t.Errorf("log: %q", j.all())
				}
				continue
			}
			eventually(t, "watches", func() bool { return s.watching() == 5 })
			if s.count("watch namespaces?metadata.name="+w.Federation+" ") == 0 {
				t.Errorf("asked %q", s.asked)
			}
			s.set("namespaces", "fed", "")
			v.becomes(t, fmt.Sprintf(pod, "shadow true; "))
			s.remove("namespaces", "fed")
			v.becomes(t, fmt.Sprintf(pod, "shadow false; "))
		}
	})
}

// What must not be forbidden is an error, and holds the cluster.
func TestWatcherForbiddenServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.refuse["endpointslices"] = http.StatusForbidden
		v, j, _ := s.follow(t, nil)
		eventually(t, "an error", func() bool { return j.has("ERROR cluster gce-us: forbidden: slices: ") == 1 })
		v.becomes(t, "node n1 us/; svc shop/web [192.0.2.1]")
		if v.listed()["slice"] != 0 || j.has("listed") != 0 {
			t.Error("slices count as listed")
		}
	})
}

// A server that takes its time tells nothing by halves, and doesn't hold Run.
func TestWatcherSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, answer := range []bool{true, false} {
			s := serve(t)
			s.fill()
			s.slow = make(chan struct{})
			v, j, _ := s.follow(t, nil)
			eventually(t, "four calls", func() bool { return s.watching() == 4 })
			if v.String() != "" || len(v.listed()) > 0 || len(j.all()) > 0 {
				t.Errorf("%s, log: %q", v, j.all())
			}
			if answer {
				close(s.slow)
				v.becomes(t, filled)
			}
		}
	})
}

func TestWatcherUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		v, j, _ := s.follow(t, nil)
		v.becomes(t, filled)
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		address := s.Listener.Addr().String()
		s.CloseClientConnections()
		s.Listener.Close()
		s.CloseClientConnections()
		eventually(t, "an error", func() bool { return j.has("ERROR cluster gce-us: unreachable: ") == 1 })
		s.edit()
		if v.String() != filled {
			t.Errorf("withdrawn: %s", v)
		}
		l, err := s.network.Listen(address)
		if err != nil {
			t.Fatal(err)
		}
		back := &http.Server{Handler: s, TLSConfig: s.TLS.Clone()} // the first may still be asked
		done := make(chan struct{})
		go func() { defer close(done); back.ServeTLS(l, "", "") }()
		t.Cleanup(func() { back.Close(); <-done })
		// Nobody has told the watches of the edit: they go on from where they were,
		// and this server has no past to tell.
		eventually(t, "all well", func() bool { return j.has("INFO cluster gce-us: back after ") == 1 })
		eventually(t, "watches", func() bool { return s.watching() >= 4 })
		s.edit()
		eventually(t, "the change", func() bool { return strings.Contains(v.String(), "[192.0.2.2]") })
		if j.has("ERROR") != 1 {
			t.Errorf("log: %q", j.all())
		}
	})
}

// Run ends at once while nothing answers, whatever a reflector is waiting for.
func TestWatcherEndsWhileRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.Close()
		_, j, w := s.follow(t, nil)
		eventually(t, "an error", func() bool { return j.has("ERROR cluster gce-us: unreachable: ") == 1 })
		eventually(t, "some attempts", func() bool { return counted(w, unreachable) > 8 })
	})
}

func TestWhy(t *testing.T) {
	services := schema.GroupResource{Resource: "services"}
	for _, tt := range []struct {
		err  error
		want reason
	}{
		{apierrors.NewUnauthorized("x"), unauthorized},
		{apierrors.NewForbidden(services, "", nil), forbidden},
		{apierrors.NewResourceExpired("x"), gone},
		{apierrors.NewResourceExpired("x"), gone},
		{apierrors.NewTooManyRequests("x", 1), throttled},
		{apierrors.NewTimeoutError("x", 1), unreachable},
		{&url.Error{Op: "Get", Err: x509.UnknownAuthorityError{}}, badTLS},
		{&url.Error{Op: "Get", Err: &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}}, badTLS},
		{&url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, unreachable},
		{&url.Error{Op: "Get", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, unreachable},
		{&url.Error{Op: "Get", Err: io.EOF}, unreachable},
		{fmt.Errorf("read: %w", syscall.ECONNRESET), unreachable},
		{apierrors.NewInternalError(errors.New("x")), other},
		{errors.New("x"), other},
	} {
		if got := why(fmt.Errorf("services: %w", tt.err)); got != tt.want {
			t.Errorf("%v: %s, not %s", tt.err, got, tt.want)
		}
	}
}

// A certificate that nobody vouches for, on a real connection.
func TestWatcherTLS(t *testing.T) {
	var calls atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, path, kubeconfig(s.URL, "x"))
	j := &journal{}
	w, err := NewWatcher(Config{Cluster: "gce-us", Kubeconfig: path, Context: "a", Log: j.logger()})
	if err != nil {
		t.Fatal(err)
	}
	during(t, w.Run)
	eventually(t, "an error", func() bool { return j.has("ERROR cluster gce-us: tls: ") == 1 })
	if calls.Load() > 0 {
		t.Error("called all the same")
	}
}
