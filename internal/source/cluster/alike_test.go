package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// A deed writes an object of a cluster, or takes it out if fields is taken.
type deed struct{ resource, name, fields string }

func svc(name string, more ...string) deed {
	return deed{"services", name, strings.Join(append([]string{`"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}`}, more...), ",")}
}

// of makes a slice of a Service, with more labels.
func of(service, name string, more ...string) deed {
	return deed{"endpointslices", name, named(service, more...)}
}

func without(resource, name string) deed { return deed{resource, name, taken} }

const taken = "-"

const (
	label     = `"fedns.io/export":"true"`
	marked    = `"metadata":{` + exported + `}`
	mirrors   = `"endpointslice.kubernetes.io/managed-by":"endpointslicemirroring-controller.k8s.io"`
	byHand    = `"endpointslice.kubernetes.io/managed-by":"staff"`
	headlessy = `"service.kubernetes.io/headless":""`
)

// alike is what a cluster may have, and what counts of it, from whichever source: each row
// begins with some objects, which change one step after another. What is wanted after a
// step are the Services and slices that are known, "" for none.
var alike = []struct {
	name  string
	steps [][]deed
	want  []string
}{
	{"as Kubernetes does it", [][]deed{{svc("k", marked), of("k", "k-1", managed, label)}}, []string{"k k-1"}},
	{"not exported", [][]deed{{svc("k"), of("k", "k-1", managed)}}, []string{""}},
	{"not exported, and its slice says so", [][]deed{{svc("k"), of("k", "k-1", managed, label)}}, []string{""}},
	{"exported by another word", [][]deed{{svc("k", `"metadata":{"labels":{"fedns.io/export":"yes"}}`), of("k", "k-1", managed, label)}}, []string{""}},
	{"without a label", [][]deed{{svc("k", marked), of("k", "k-1")}}, []string{"k k-1"}},
	{"by hand", [][]deed{{svc("k", marked), of("k", "k-1", byHand)}}, []string{"k k-1"}},
	{"by hand, with the label", [][]deed{{svc("k", marked), of("k", "k-1", byHand, label)}}, []string{"k k-1"}},
	{"mirrored", [][]deed{{svc("k", marked), of("k", "k-1", mirrors)}}, []string{"k k-1"}},
	{"Kubernetes' own without the label", [][]deed{{svc("k", marked), of("k", "k-1", managed)}}, []string{"k k-1"}},
	{"several of Kubernetes' own without", [][]deed{{svc("k", marked), of("k", "k-1", managed), of("k", "k-2", managed, headlessy)}}, []string{"k k-1 k-2"}},
	{"one by hand, one of Kubernetes' own without", [][]deed{{svc("k", marked), of("k", "k-1", managed), of("k", "k-2", byHand)}}, []string{"k k-1 k-2"}},
	{"one mirrored, one with", [][]deed{{svc("k", marked), of("k", "k-1", mirrors), of("k", "k-2", managed, label)}}, []string{"k k-1 k-2"}},
	{"headless", [][]deed{{svc("k", marked, `"spec":{"clusterIP":"None"}`), of("k", "k-1", managed, label, headlessy)}}, []string{"k k-1"}},
	{"headless, by hand", [][]deed{{svc("k", marked, `"spec":{"clusterIP":"None"}`), of("k", "k-1")}}, []string{"k k-1"}},
	{"without slices", [][]deed{{svc("k", marked)}}, []string{"k"}},
	{"a slice that names nobody", [][]deed{{svc("k", marked), {"endpointslices", "k-1", `"metadata":{` + exported + `},` + oneReady}}}, []string{"k"}},
	{"a slice without a Service", [][]deed{{of("k", "k-1", managed, label), of("k", "k-2")}}, []string{""}},
	{"in another namespace", [][]deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "back/k-2", managed), of("k", "back/k-3"), of("k", "back/k-4", managed, label)}}, []string{"k k-1"}},
	{"of one name in two namespaces", [][]deed{{svc("k", marked), svc("back/k", marked), of("k", "k-1", managed), of("k", "back/k-2", managed)}}, []string{"back/k back/k-2 k k-1"}},
	{"the slice first", [][]deed{{of("k", "k-1")}, {svc("k", marked)}}, []string{"", "k k-1"}},
	{"Kubernetes' own first", [][]deed{{of("k", "k-1", managed)}, {svc("k", marked)}, {of("k", "k-1", managed, label)}}, []string{"", "k k-1", "k k-1"}},
	{"the Service first", [][]deed{{svc("k", marked)}, {of("k", "k-1", managed)}}, []string{"k", "k k-1"}},
	{"exported later", [][]deed{{svc("k"), of("k", "k-1", managed), of("k", "k-2")}, {svc("k", marked)}, {of("k", "k-1", managed, label)}}, []string{"", "k k-1 k-2", "k k-1 k-2"}},
	{"the export taken back, and given again", [][]deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2")}, {svc("k"), of("k", "k-1", managed)}, {svc("k", marked)}}, []string{"k k-1 k-2", "", "k k-1 k-2"}},
	{"the export taken back of Kubernetes' own without", [][]deed{{svc("k", marked), of("k", "k-1", managed)}, {svc("k")}, {svc("k", marked)}}, []string{"k k-1", "", "k k-1"}},
	{"the slice's label taken away, and put back", [][]deed{{svc("k", marked), of("k", "k-1", managed, label)}, {of("k", "k-1", managed)}, {of("k", "k-1", managed, label)}, {of("k", "k-1")}}, []string{"k k-1", "k k-1", "k k-1", "k k-1"}},
	{"a slice to another Service", [][]deed{{svc("k", marked), svc("l", marked), of("k", "k-1", managed, label)}, {of("l", "k-1", managed, label)}, {of("gone", "k-1", managed, label)}}, []string{"k k-1 l", "k k-1 l", "k l"}},
	{"Kubernetes' own without to another Service", [][]deed{{svc("k", marked), svc("l", marked), of("k", "k-1", managed)}, {of("l", "k-1", managed)}, {of("gone", "k-1", managed)}, {of("k", "k-1", managed)}}, []string{"k k-1 l", "k k-1 l", "k l", "k k-1 l"}},
	{"a slice by hand to another Service", [][]deed{{svc("k", marked), svc("l", marked), of("k", "k-1")}, {of("l", "k-1")}, {of("k", "k-1", label)}}, []string{"k k-1 l", "k k-1 l", "k k-1 l"}},
	{"a slice to a Service that isn't exported", [][]deed{{svc("k", marked), svc("l"), of("k", "k-1", managed)}, {of("l", "k-1", managed)}}, []string{"k k-1", "k"}},
	{"a slice loses the name of its Service", [][]deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2")}, {{"endpointslices", "k-1", marked}, {"endpointslices", "k-2", ""}}}, []string{"k k-1 k-2", "k"}},
	{"Kubernetes' own without loses the name of its Service", [][]deed{{svc("k", marked), of("k", "k-1", managed)}, {{"endpointslices", "k-1", `"metadata":{"labels":{` + managed + `}}`}}}, []string{"k k-1", "k"}},
	{"slices go", [][]deed{{svc("k", marked), of("k", "k-1"), of("k", "k-2", mirrors)}, {without("endpointslices", "k-1")}, {without("endpointslices", "k-2")}}, []string{"k k-1 k-2", "k k-2", "k"}},
	{"Kubernetes' own without go", [][]deed{{svc("k", marked), of("k", "k-1", managed), of("k", "k-2", managed)}, {without("endpointslices", "k-1")}, {without("endpointslices", "k-2")}}, []string{"k k-1 k-2", "k k-2", "k"}},
	{"the Service goes, and comes back", [][]deed{{svc("k", marked), of("k", "k-1", managed), of("k", "k-2")}, {without("services", "k")}, {svc("k", marked)}}, []string{"k k-1 k-2", "", "k k-1 k-2"}},
	{"the hands change", [][]deed{{svc("k", marked), of("k", "k-1", byHand)}, {of("k", "k-1", managed)}, {of("k", "k-1", mirrors, label)}, {of("k", "k-1", managed, label)}}, []string{"k k-1", "k k-1", "k k-1", "k k-1"}},
	{"an alias", [][]deed{{svc("k", marked, `"spec":{"type":"ExternalName","externalName":"example.com"}`), of("k", "k-1")}}, []string{"k k-1"}},
	{"in front, found by its address", [][]deed{{{"ingresses", "front", `"metadata":{` + exported + `},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.77"}]}}`},
		{"services", "k", `"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.77"}]}}`}, of("k", "k-1", managed)}}, []string{"front k k-1"}},
	{"in front, but without a load balancer", [][]deed{{{"ingresses", "front", `"metadata":{` + exported + `},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.78"}]}}`},
		{"services", "k", `"spec":{"type":"NodePort","externalIPs":["192.0.2.78"]}`}, of("k", "k-1", managed)}}, []string{"front"}},
	{"in front, by its name", [][]deed{{{"ingresses", "front", `"metadata":{` + exported + `,"annotations":{"fedns.io/front":"shop/ROWk"}},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.79"}]}}`},
		{"services", "k", `"spec":{"type":"NodePort"}`}, of("k", "k-1")}}, []string{"front k k-1"}},
}

// Both sources make the same of what a cluster has: as they meet it, and as it becomes.
func TestSourcesAlike(t *testing.T) {
	s := serve(t)
	dir := t.TempDir()
	choose := func(c *Config) { choosing(c); c.Nodes = false }
	selector, _ := labels.Parse("fedns.io/export=true")
	row := func(i int) string { return fmt.Sprintf("r%02d-", i) }
	apply := func(step int) {
		for i := range alike {
			if step >= len(alike[i].steps) {
				continue
			}
			for _, d := range alike[i].steps[step] {
				d = d.within(row(i))
				file := filepath.Join(dir, strings.ReplaceAll(d.resource+" "+d.name, "/", " ")+".json")
				if d.fields == taken {
					s.remove(d.resource, d.name)
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
					continue
				}
				s.set(d.resource, d.name, d.fields)
				replace(t, file, s.object(d.resource, d.name, d.fields, 1))
			}
		}
	}
	check := func(step int, how string, folder, api *view) {
		t.Helper()
		for i := range alike {
			want := alike[i].want[min(step, len(alike[i].want)-1)]
			for name, v := range map[string]*view{"folder": folder, "API": api} {
				end := time.Now().Add(20 * time.Second)
				for got := v.within(row(i)); got != want; got = v.within(row(i)) {
					if time.Now().After(end) {
						t.Errorf("%s, step %d, %s, %s: %q, not %q", alike[i].name, step, how, name, got, want)
						break
					}
					time.Sleep(5 * time.Millisecond)
				}
			}
		}
		if !t.Failed() && folder.String() != api.String() {
			t.Errorf("step %d, %s: a folder gives\n %s\nand an API\n %s", step, how, folder, api)
		}
	}
	steps := 0
	for i := range alike {
		steps = max(steps, len(alike[i].steps))
	}
	apply(0)
	folder, _, _ := follow(t, dir, selector)
	api, _, _ := s.follow(t, choose)
	check(0, "as it is met", folder, api)
	for step := 1; step < steps; step++ {
		apply(step)
		check(step, "as it becomes", folder, api)
		folder, _, _ := follow(t, dir, selector)
		api, _, _ := s.follow(t, choose)
		check(step, "as it is met", folder, api)
	}
}

// within puts a deed into a row of the table: by what its names begin with.
func (d deed) within(row string) deed {
	if in, name, ok := strings.Cut(d.name, "/"); ok {
		d.name = in + "/" + row + name
	} else {
		d.name = row + d.name
	}
	d.fields = strings.NewReplacer(`service-name":"`, `service-name":"`+row, "ROW", row).Replace(d.fields)
	return d
}

// within gives the names of what is known of a row, sorted.
func (v *view) within(row string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []string
	for k := range v.objects {
		_, name, _ := strings.Cut(k, " ")
		in, name, _ := strings.Cut(name, "/")
		if name, ok := strings.CutPrefix(name, row); ok {
			if in != home {
				name = in + "/" + name
			}
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
