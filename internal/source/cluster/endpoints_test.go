package cluster

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// choosing is what most federations export.
func choosing(c *Config) { c.Selector, _ = labels.Parse("fedns.io/export=true") }

const (
	label    = `"fedns.io/export":"true"`
	exported = `"labels":{` + label + `}`
	marked   = `"metadata":{` + exported + `}`
	oneReady = `"endpoints":[{"addresses":["10.0.0.1"],"zone":"us-a"}]`
)

// named makes the labels of a slice: of the Service that it names, and whatever more.
func named(service string, more ...string) string {
	all := append([]string{fmt.Sprintf(`"kubernetes.io/service-name":%q`, service)}, more...)
	return `"metadata":{"labels":{` + strings.Join(all, ",") + `}},` + oneReady
}

const managed = `"endpointslice.kubernetes.io/managed-by":"` + sliceController + `"`

// Slices go by the Service that they name, whoever made them, and with whatever labels.
func TestSlicesByService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.set("services", "web", `"metadata":{`+exported+`}`)
		s.set("services", "other", `"spec":{}`)
		s.set("endpointslices", "web-k8s", named("web", managed, `"fedns.io/export":"true"`))
		s.set("endpointslices", "web-hand", named("web"))
		s.set("endpointslices", "web-mirror", named("web", `"endpointslice.kubernetes.io/managed-by":"endpointslicemirroring-controller.k8s.io"`))
		s.set("endpointslices", "other-k8s", named("other", managed))
		s.set("endpointslices", "other-hand", named("other"))
		v, j, _ := s.follow(t, choosing)
		const web = "slice shop/web-hand web[{us-a  true}]; slice shop/web-k8s web[{us-a  true}]; slice shop/web-mirror web[{us-a  true}]; svc shop/web []"
		v.becomes(t, web)
		eventually(t, "the log", func() bool {
			return j.has("INFO cluster gce-us: listed 1 services, 0 ingresses, 1 slices, 3 slices of others, 0 nodes") == 1
		})

		// A Service that is exported later has its slices at once, and takes them along.
		s.set("services", "other", `"metadata":{`+exported+`}`)
		s.set("endpointslices", "other-k8s", named("other", managed, `"fedns.io/export":"true"`)) // which Kubernetes labels anew
		v.becomes(t, "slice shop/other-hand other[{us-a  true}]; slice shop/other-k8s other[{us-a  true}]; "+strings.Replace(web, "; svc", "; svc shop/other []; svc", 1))
		s.set("services", "other", `"spec":{}`)
		s.set("endpointslices", "other-k8s", named("other", managed))
		v.becomes(t, web)

		// A slice that changes hands.
		s.set("endpointslices", "web-hand", named("other"))
		v.becomes(t, strings.Replace(web, "slice shop/web-hand web[{us-a  true}]; ", "", 1))
		s.set("endpointslices", "web-hand", named("web", `"fedns.io/export":"true"`)) // from the one watch to the other
		v.becomes(t, web)
		s.set("endpointslices", "web-hand", named("web"))
		v.becomes(t, web)
		s.remove("endpointslices", "web-hand")
		v.becomes(t, strings.Replace(web, "slice shop/web-hand web[{us-a  true}]; ", "", 1))
	})
}

// The Service that clients of an Ingress come in by is found by its address, or by its
// name; no other is watched.
func TestWatchInFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		balancer := func(ip string) string {
			return fmt.Sprintf(`"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}`, ip)
		}
		s.set("services", "ctl", balancer("192.0.2.7"))
		s.set("services", "idle", balancer("192.0.2.8"))
		s.set("services", "bare", `"spec":{"type":"NodePort"}`)
		for _, name := range []string{"ctl", "idle", "bare"} {
			s.set("endpointslices", name+"-k8s", named(name, managed))
		}
		v, _, _ := s.follow(t, choosing)
		v.told(t, lists, "fresh")
		if v.String() != "" {
			t.Errorf("nothing is exported, and it is known: %s", v)
		}
		s.do(func() {
			if all := strings.Join(s.asked, "\n"); strings.Contains(all, "spec.type") || strings.Contains(all, "classes") {
				t.Errorf("asked without an Ingress:\n%s", all)
			}
		})

		s.set("ingresses", "front", `"metadata":{`+exported+`},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}`)
		const found = "ing shop/front [192.0.2.7]; slice shop/ctl-k8s ctl[{us-a  true}]; standby shop/ctl [192.0.2.7] []"
		v.becomes(t, found)
		s.set("endpointslices", "ctl-k8s", strings.Replace(named("ctl", managed), oneReady, `"endpoints":[]`, 1))
		v.becomes(t, strings.Replace(found, "{us-a  true}", "", 1))
		s.set("endpointslices", "ctl-k8s", named("ctl", managed))
		v.becomes(t, found)

		// By name, directly and by the class.
		s.set("ingressclasses", "nginx", `"metadata":{"annotations":{"fedns.io/front":"shop/bare"}}`)
		classes := "class Ingress nginx shop/bare false; " + strings.Replace(found, "; slice", "; slice shop/bare-k8s bare[{us-a  true}]; slice", 1)
		classes = strings.Replace(classes, "standby shop/ctl", "standby shop/bare [] []; standby shop/ctl", 1)
		v.becomes(t, classes)
		s.set("ingresses", "front", `"metadata":{`+exported+`,"annotations":{"fedns.io/front":"shop/nobody"}},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}`)
		v.becomes(t, classes+"; standby shop/nobody absent")
		s.remove("services", "bare")
		v.becomes(t, strings.Replace(classes, "bare [] []", "bare absent", 1)+"; standby shop/nobody absent")
	})
}

// What is in front is known before the cluster is.
func TestWatchInFrontFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.set("services", "ctl", `"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}`)
		s.set("ingresses", "front", `"metadata":{`+exported+`},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}`)
		s.set("endpointslices", "ctl-k8s", named("ctl", managed))
		v, _, _ := s.follow(t, choosing)
		v.becomes(t, "ing shop/front [192.0.2.7]; slice shop/ctl-k8s ctl[{us-a  true}]; standby shop/ctl [192.0.2.7] []")
		v.mu.Lock()
		defer v.mu.Unlock()
		if n := v.lists["standby"]; n != 1 {
			t.Errorf("%d lists of what is in front", n)
		}
	})
}

// What a list lacks isn't gone before it is known which Services are exported.
func TestSlicesWaitForServices(t *testing.T) {
	var told []shard.Change
	e := newEndpoints(labelled, unmanaged)
	e.report = func(c ...shard.Change) { told = append(told, c...) }
	web, key := snapshot.Key{Namespace: "shop", Name: "web"}, shard.SliceKey{Namespace: "shop", Name: "web-hand"}
	hand := &shard.Slice{Key: key, Service: "web"}
	e.list(labelled, nil, []*shard.Slice{{Key: shard.SliceKey{Namespace: "shop", Name: "stray"}, Service: "stray"}})
	e.list(unmanaged, nil, []*shard.Slice{hand})
	if len(told) > 0 {
		t.Fatalf("told too early: %#v", told)
	}
	e.tell(shard.ServiceList{Services: []*shard.Service{{Key: web}}})
	list, ok := told[0].(shard.SliceList)
	if len(told) != 2 || !ok || len(list.Slices) != 1 || list.Slices[0] != hand {
		t.Errorf("%#v", told)
	}
	// A slice that two watches have goes with the last of them.
	told = nil
	e.set(labelled, hand)
	e.gone(unmanaged, nil, key)
	e.tell(shard.ServiceGone{Key: web})
	e.tell(shard.ServiceSet{Service: &shard.Service{Key: web}})
	e.gone(labelled, nil, key)
	eventually(t, "it is gone, a moment later", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(told) == 5
	})
	if got, ok := told[4].(shard.SliceGone); !ok || got.Key != key {
		t.Errorf("%#v", told)
	}
}

// Kubernetes' own slices without the labels are asked for together, by the names of the exported
// Services, and those of nobody else; what has the labels isn't told twice.
func TestSlicesByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		long := strings.Repeat("x", 40)
		s := serve(t)
		for i := range n {
			s.set("services", fmt.Sprint(long, i), `"metadata":{`+exported+`}`)
			s.set("endpointslices", fmt.Sprint(long, i, "-1"), named(fmt.Sprint(long, i), managed))
			s.set("endpointslices", fmt.Sprint(long, i, "-2"), named(fmt.Sprint(long, i), managed, `"fedns.io/export":"true"`))
			s.set("endpointslices", fmt.Sprint("u", i, "-1"), named(fmt.Sprint("u", i), managed))
		}
		v, j, _ := s.follow(t, choosing)
		eventually(t, "all slices", func() bool { return strings.Count(v.String(), "slice ") == 2*n })
		eventually(t, "one list of them", func() bool { return v.listed()["slice"] == 1 })
		eventually(t, "the log", func() bool {
			return j.has(fmt.Sprintf("listed %d services, 0 ingresses, %d slices, %d slices by name", n, n, n)) == 1
		})
		watches := 0
		s.do(func() {
			for _, a := range s.asked {
				if strings.Contains(a, "watch endpointslices") && strings.Contains(a, " in (") {
					watches++
					if len(a) > 8000 || !strings.Contains(a, ",fedns.io/export!=true ") {
						t.Errorf("asked %q", a)
					}
				}
			}
		})
		if watches != 4 {
			t.Errorf("%d watches by name", watches)
		}
	})
}

// A slice whose labels change goes from a watch to another, and counts all the time.
func TestSliceHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.set("services", "web", `"metadata":{`+exported+`}`)
		hands := []string{managed, managed + "," + label, `"by":"hand"`, `"by":"hand",` + label}
		s.set("endpointslices", "web-1", named("web", hands[0]))
		v, _, _ := s.follow(t, choosing)
		const all = "slice shop/web-1 web[{us-a  true}]; svc shop/web []"
		v.becomes(t, all)
		v.mu.Lock()
		lost := 0
		v.look = func() {
			if v.objects["slice shop/web-1"] == "" {
				lost++
			}
		}
		v.mu.Unlock()
		for n := range 40 {
			s.set("endpointslices", "web-1", named("web", hands[(n*n+n/4)%len(hands)]))
			time.Sleep(time.Duration(n%4) * time.Millisecond) // before, while and after it is told
		}
		for n := range 4 { // through all of them, once more than a handover takes
			s.set("endpointslices", "web-1", strings.Replace(named("web", hands[n]), "us-a", fmt.Sprint("us-", n), 1))
			v.becomes(t, strings.Replace(all, "us-a", fmt.Sprint("us-", n), 1))
			time.Sleep(handover + handover/4)
		}
		v.mu.Lock()
		if v.look = nil; lost > 0 {
			t.Errorf("it was gone %d times", lost)
		}
		v.mu.Unlock()
		s.remove("endpointslices", "web-1")
		v.becomes(t, "svc shop/web []")
	})
}

// Questions by name are of one namespace each, unless there are many.
func TestQuestions(t *testing.T) {
	var some, many []snapshot.Key
	for i := range 300 {
		some = append(some, snapshot.Key{Namespace: fmt.Sprint("a", i%3), Name: fmt.Sprint(strings.Repeat("x", 40), i)})
		many = append(many, snapshot.Key{Namespace: fmt.Sprint("a", i), Name: fmt.Sprint(strings.Repeat("x", 40), i%200)})
	}
	show := func(keys []snapshot.Key) string {
		var out []string
		covered := 0
		for _, q := range questions(keys, namesAtOnce) {
			out = append(out, fmt.Sprintf("%s %d/%d", q.namespace, len(q.names), len(q.services)))
			covered += len(q.services)
			if n := len(strings.Join(q.names, "%2C")); n > namesAtOnce {
				t.Errorf("%d bytes", n)
			}
		}
		if covered != len(keys) {
			t.Errorf("%d of %d", covered, len(keys))
		}
		return strings.Join(out, ", ")
	}
	if got, want := show(some), "a0 87/87, a0 13/13, a1 87/87, a1 13/13, a2 87/87, a2 13/13"; got != want {
		t.Errorf("%q", got)
	}
	if got, want := show(many), " 87/97,  88/152,  26/51"; got != want {
		t.Errorf("%q", got)
	}
	if got := show(nil); got != "" {
		t.Errorf("%q", got)
	}
}

// What a selector doesn't choose can be said of the usual ones.
func TestOpposite(t *testing.T) {
	for s, want := range map[string]string{
		"a=b": "a!=b", "a==b": "a!=b", "a!=b": "a=b", "a in (b,c)": "a notin (b,c)", "a notin (b,c)": "a in (b,c)", "a": "!a", "!a": "a",
		"a=b,c=d": "", "a>1": "",
	} {
		selector, err := labels.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := opposite(selector)
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q", s, got)
		}
		if other, _ := labels.Parse(got); ok {
			for _, l := range []labels.Set{{}, {"a": "b"}, {"a": "c"}, {"a": "d"}} {
				if selector.Matches(l) == other.Matches(l) {
					t.Errorf("%s and %s agree on %v", s, got, l)
				}
			}
		}
	}
}

// Watches by name don't add up, however often what is exported changes.
func TestByNameStaysFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.set("services", "web", `"metadata":{`+exported+`}`)
		v, _, w := s.follow(t, choosing)
		v.becomes(t, "svc shop/web []")
		for n := range 5 {
			for i := range 20 {
				s.set("services", fmt.Sprint("preview", n, "-", i), `"metadata":{`+exported+`}`)
			}
			eventually(t, "they are there", func() bool { return strings.Count(v.String(), "preview") == 20 })
			for i := range 20 {
				s.remove("services", fmt.Sprint("preview", n, "-", i))
			}
			eventually(t, "they are gone", func() bool { return v.String() == "svc shop/web []" })
		}
		s.set("endpointslices", "web-1", named("web", managed))
		v.becomes(t, "slice shop/web-1 web[{us-a  true}]; svc shop/web []")
		eventually(t, "one question", func() bool {
			n := 0
			s.do(func() {
				for _, of := range s.watches {
					if of.resource == "endpointslices" && strings.Contains(of.labels.String(), "kubernetes.io/service-name") {
						n++
					}
				}
			})
			return n <= 2
		})
		w.endpoints.mu.Lock()
		defer w.endpoints.mu.Unlock()
		if len(w.endpoints.exported) != 1 || len(w.endpoints.services) != 1 {
			t.Errorf("%v, %v", w.endpoints.exported, w.endpoints.services)
		}
	})
}

// A proxy that lets only short URLs pass gets shorter questions, whatever it says.
func TestSlicesByNameBehindProxy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []int{http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge, http.StatusBadRequest} {
			s := serve(t)
			long := strings.Repeat("x", 40)
			for i := range 50 {
				s.set("services", fmt.Sprint(long, i), marked)
				s.set("endpointslices", fmt.Sprint(long, i, "-1"), named(fmt.Sprint(long, i), managed))
			}
			s.front = func(w http.ResponseWriter, r *http.Request) {
				if len(r.URL.String()) > 1000 {
					w.Header().Set("Content-Type", "text/html")
					w.WriteHeader(code)
					io.WriteString(w, "<html><title>Too long</title>")
					return
				}
				s.answer(w, r)
			}
			v, _, _ := s.follow(t, choosing)
			eventually(t, "all slices", func() bool { return strings.Count(v.String(), "slice ") == 50 })
			v.told(t, lists, "fresh")
		}
	})
}

// Where what is exported is in many namespaces, Services of the same names elsewhere don't count,
// and nothing is kept of their slices.
func TestSlicesOfManyNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		const n = 2 * namespacesAtOnce
		for i := range n {
			name := fmt.Sprint("ns", i, "/web")
			s.set("services", name, map[bool]string{true: marked, false: ""}[i%2 == 0 || i < 20])
			s.set("endpointslices", name+"-1", named("web", managed))
		}
		v, _, w := s.follow(t, choosing)
		exported := n/2 + 10
		eventually(t, "the slices", func() bool { return strings.Count(v.String(), "slice ") == exported })
		w.endpoints.mu.Lock()
		if kept := len(w.endpoints.slices[unlabelled]); kept != exported {
			t.Errorf("%d slices are kept", kept)
		}
		w.endpoints.mu.Unlock()
		s.set("services", fmt.Sprint("ns", n-1, "/web"), marked)
		eventually(t, "one more", func() bool { return strings.Count(v.String(), "slice ") == exported+1 })
		byName := map[string]bool{}
		s.do(func() {
			for _, of := range s.watches {
				if of.resource == "endpointslices" && strings.Contains(of.labels.String(), "service-name") {
					byName[of.namespace] = true
				}
			}
		})
		if len(byName) > 2 {
			t.Errorf("watches by name of %v", byName)
		}
	})
}
