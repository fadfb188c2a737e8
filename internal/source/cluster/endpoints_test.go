package cluster

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// choosing is what most federations export.
func choosing(c *Config) { c.Selector, _ = labels.Parse("fedns.io/export=true") }

const (
	exported = `"labels":{"fedns.io/export":"true"}`
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
}

// The Service that clients of an Ingress come in by is found by its address, or by its
// name; no other is watched.
func TestWatchInFront(t *testing.T) {
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
}

// What is in front is known before the cluster is.
func TestWatchInFrontFirst(t *testing.T) {
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
	e.gone(unmanaged, key)
	e.tell(shard.ServiceGone{Key: web})
	e.tell(shard.ServiceSet{Service: &shard.Service{Key: web}})
	e.gone(labelled, key)
	if got := fmt.Sprintf("%T", told); len(told) != 5 {
		t.Errorf("%s: %#v", got, told)
	}
}

// Kubernetes' own slices without the labels are asked for together, by the names of their
// Services, and those of nobody else.
func TestSlicesByName(t *testing.T) {
	const n = 2*namesAtOnce + 1
	s := serve(t)
	for i := range n {
		s.set("services", fmt.Sprint("s", i), `"metadata":{`+exported+`}`)
		s.set("endpointslices", fmt.Sprint("s", i, "-1"), named(fmt.Sprint("s", i), managed))
		s.set("services", fmt.Sprint("t", i), `"metadata":{`+exported+`}`)
		s.set("endpointslices", fmt.Sprint("t", i, "-1"), named(fmt.Sprint("t", i), managed, `"fedns.io/export":"true"`))
	}
	v, j, _ := s.follow(t, choosing)
	eventually(t, "all slices", func() bool { return strings.Count(v.String(), "slice ") == 2*n })
	eventually(t, "one list of them", func() bool { return v.listed()["slice"] == 1 })
	eventually(t, "the log", func() bool {
		return j.has(fmt.Sprintf("listed %d services, 0 ingresses, %d slices, %d slices by name", 2*n, n, n)) == 1
	})
	watches := 0
	s.do(func() {
		for _, a := range s.asked {
			if strings.Contains(a, "watch endpointslices") && strings.Contains(a, " in (") {
				watches++
				if len(a) > 8000 || strings.Contains(a, "t1,") {
					t.Errorf("asked %q", a)
				}
			}
		}
	})
	if watches != 3 {
		t.Errorf("%d watches by name", watches)
	}
}

// Watches by name are of one namespace each, and begun anew where fewer would do.
func TestByNameBatches(t *testing.T) {
	var keys []snapshot.Key
	for i := range namesAtOnce + 1 {
		keys = append(keys, snapshot.Key{Namespace: "b", Name: fmt.Sprint(i)}, snapshot.Key{Namespace: fmt.Sprintf("a%02d", i%3), Name: fmt.Sprint(i)})
	}
	var got []string
	for _, b := range byNamespace(keys) {
		got = append(got, fmt.Sprint(b[0].Namespace, " ", len(b)))
	}
	if want := "a00 22, a01 22, a02 21, b 64, b 1"; strings.Join(got, ", ") != want {
		t.Errorf("%q", got)
	}
	b := &byName{asked: map[snapshot.Key]bool{}, watches: make([]*listener, byNameLimit-1)}
	if more, full := b.batches(keys[:2]); len(more) != 2 || !full {
		t.Error(more, full)
	}
	b.asked[keys[0]] = true
	if more, full := b.batches(keys[:2]); len(more) != 1 || full {
		t.Error(more, full)
	}
}
