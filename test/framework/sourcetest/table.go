// Package sourcetest is what sources are tried with: a table of what a cluster may have,
// and what counts of it, whichever source it is read from.
package sourcetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Home is the namespace of objects whose name has none before it; Away is the other one.
const (
	Home = "shop"
	Away = "back"
)

// A Deed writes an object of a cluster, or takes it out.
type Deed struct {
	Resource, Name string
	Fields         string // of the object, beside its kind and its name
}

// Gone says that the object is taken out.
func (d Deed) Gone() bool { return d.Fields == taken }

const taken = "-"

// Kinds are the resources that the table has objects of.
var Kinds = map[string]struct{ APIVersion, Kind string }{
	"services": {"v1", "Service"}, "endpointslices": {"discovery.k8s.io/v1", "EndpointSlice"}, "ingresses": {"networking.k8s.io/v1", "Ingress"},
}

// Key is where the object is.
func (d Deed) Key() (namespace, name string) {
	if in, name, ok := strings.Cut(d.Name, "/"); ok {
		return in, name
	}
	return Home, d.Name
}

// Object is what an API server stores; it also has what one can't do without.
func (d Deed) Object(t testing.TB) map[string]any {
	t.Helper()
	o := map[string]any{}
	if err := json.Unmarshal([]byte("{"+d.Fields+"}"), &o); err != nil {
		t.Fatalf("%s: %v", d.Fields, err)
	}
	sub := func(field string) map[string]any {
		m, ok := o[field].(map[string]any)
		if !ok {
			m = map[string]any{}
			o[field] = m
		}
		return m
	}
	meta, kind := sub("metadata"), Kinds[d.Resource]
	meta["namespace"], meta["name"] = d.Key()
	o["apiVersion"], o["kind"] = kind.APIVersion, kind.Kind
	switch d.Resource {
	case "services":
		if spec := sub("spec"); spec["type"] != "ExternalName" {
			spec["ports"] = []any{map[string]any{"port": 80}}
		}
		if sub("spec")["type"] != "LoadBalancer" {
			delete(o, "status")
		}
	case "endpointslices":
		o["addressType"] = "IPv4"
		if o["endpoints"] == nil {
			o["endpoints"] = []any{}
		}
	case "ingresses":
		sub("spec")["defaultBackend"] = map[string]any{"service": map[string]any{"name": "any", "port": map[string]any{"number": 80}}}
	}
	return o
}

func svc(name string, more ...string) Deed {
	return Deed{"services", name, strings.Join(append([]string{`"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}`}, more...), ",")}
}

// of makes a slice of a Service, with more labels.
func of(service, name string, more ...string) Deed {
	labels := append([]string{fmt.Sprintf(`"kubernetes.io/service-name":%q`, service)}, more...)
	return Deed{"endpointslices", name, `"metadata":{"labels":{` + strings.Join(labels, ",") + `}},` + ready}
}

func without(resource, name string) Deed { return Deed{resource, name, taken} }

const (
	label     = `"fedns.io/export":"true"`
	notLabel  = `"fedns.io/export":"no"`
	exported  = `"labels":{` + label + `}`
	marked    = `"metadata":{` + exported + `}`
	ready     = `"endpoints":[{"addresses":["10.0.0.1"],"zone":"us-a"}]`
	managed   = `"endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"`
	mirrors   = `"endpointslice.kubernetes.io/managed-by":"endpointslicemirroring-controller.k8s.io"`
	byHand    = `"endpointslice.kubernetes.io/managed-by":"staff"`
	headlessy = `"service.kubernetes.io/headless":""`
)

// rows are what a cluster may have, and what counts of it, from whichever source: each row
// begins with some objects, which change one step after another. What is wanted after a
// step are the Services and slices that are known, "" for none.
var rows = []struct {
	name  string
	steps [][]Deed
	want  []string
}{
	{"as Kubernetes does it", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label)}}, []string{"k k-1"}},
	{"not exported", [][]Deed{{svc("k"), of("k", "k-1", managed)}}, []string{""}},
	{"not exported, and its slice says so", [][]Deed{{svc("k"), of("k", "k-1", managed, label)}}, []string{""}},
	{"exported by another word", [][]Deed{{svc("k", `"metadata":{"labels":{"fedns.io/export":"yes"}}`), of("k", "k-1", managed, label)}}, []string{""}},
	{"without a label", [][]Deed{{svc("k", marked), of("k", "k-1")}}, []string{"k k-1"}},
	{"by hand", [][]Deed{{svc("k", marked), of("k", "k-1", byHand)}}, []string{"k k-1"}},
	{"by hand, with the label", [][]Deed{{svc("k", marked), of("k", "k-1", byHand, label)}}, []string{"k k-1"}},
	{"mirrored", [][]Deed{{svc("k", marked), of("k", "k-1", mirrors)}}, []string{"k k-1"}},
	{"Kubernetes' own without the label", [][]Deed{{svc("k", marked), of("k", "k-1", managed)}}, []string{"k k-1"}},
	{"several of Kubernetes' own without", [][]Deed{{svc("k", marked), of("k", "k-1", managed), of("k", "k-2", managed, headlessy)}}, []string{"k k-1 k-2"}},
	{"one by hand, one of Kubernetes' own without", [][]Deed{{svc("k", marked), of("k", "k-1", managed), of("k", "k-2", byHand)}}, []string{"k k-1 k-2"}},
	{"one mirrored, one with", [][]Deed{{svc("k", marked), of("k", "k-1", mirrors), of("k", "k-2", managed, label)}}, []string{"k k-1 k-2"}},
	{"headless", [][]Deed{{svc("k", marked, `"spec":{"clusterIP":"None"}`), of("k", "k-1", managed, label, headlessy)}}, []string{"k k-1"}},
	{"headless, by hand", [][]Deed{{svc("k", marked, `"spec":{"clusterIP":"None"}`), of("k", "k-1")}}, []string{"k k-1"}},
	{"without slices", [][]Deed{{svc("k", marked)}}, []string{"k"}},
	{"a slice that names nobody", [][]Deed{{svc("k", marked), {"endpointslices", "k-1", `"metadata":{` + exported + `},` + ready}}}, []string{"k"}},
	{"a slice without a Service", [][]Deed{{of("k", "k-1", managed, label), of("k", "k-2")}}, []string{""}},
	{"in another namespace", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "back/k-2", managed), of("k", "back/k-3"), of("k", "back/k-4", managed, label)}}, []string{"k k-1"}},
	{"of one name in two namespaces", [][]Deed{{svc("k", marked), svc("back/k", marked), of("k", "k-1", managed), of("k", "back/k-2", managed)}}, []string{"back/k back/k-2 k k-1"}},
	{"the slice first", [][]Deed{{of("k", "k-1")}, {svc("k", marked)}}, []string{"", "k k-1"}},
	{"Kubernetes' own first", [][]Deed{{of("k", "k-1", managed)}, {svc("k", marked)}, {of("k", "k-1", managed, label)}}, []string{"", "k k-1", "k k-1"}},
	{"the Service first", [][]Deed{{svc("k", marked)}, {of("k", "k-1", managed)}}, []string{"k", "k k-1"}},
	{"exported later", [][]Deed{{svc("k"), of("k", "k-1", managed), of("k", "k-2")}, {svc("k", marked)}, {of("k", "k-1", managed, label)}}, []string{"", "k k-1 k-2", "k k-1 k-2"}},
	{"the export taken back, and given again", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2")}, {svc("k"), of("k", "k-1", managed)}, {svc("k", marked)}}, []string{"k k-1 k-2", "", "k k-1 k-2"}},
	{"the export taken back of Kubernetes' own without", [][]Deed{{svc("k", marked), of("k", "k-1", managed)}, {svc("k")}, {svc("k", marked)}}, []string{"k k-1", "", "k k-1"}},
	{"the slice's label taken away, and put back", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label)}, {of("k", "k-1", managed)}, {of("k", "k-1", managed, label)}, {of("k", "k-1")}}, []string{"k k-1", "k k-1", "k k-1", "k k-1"}},
	{"a slice to another Service", [][]Deed{{svc("k", marked), svc("l", marked), of("k", "k-1", managed, label)}, {of("l", "k-1", managed, label)}, {of("gone", "k-1", managed, label)}}, []string{"k k-1 l", "k k-1 l", "k l"}},
	{"Kubernetes' own without to another Service", [][]Deed{{svc("k", marked), svc("l", marked), of("k", "k-1", managed)}, {of("l", "k-1", managed)}, {of("gone", "k-1", managed)}, {of("k", "k-1", managed)}}, []string{"k k-1 l", "k k-1 l", "k l", "k k-1 l"}},
	{"a slice by hand to another Service", [][]Deed{{svc("k", marked), svc("l", marked), of("k", "k-1")}, {of("l", "k-1")}, {of("k", "k-1", label)}}, []string{"k k-1 l", "k k-1 l", "k k-1 l"}},
	{"a slice to a Service that isn't exported", [][]Deed{{svc("k", marked), svc("l"), of("k", "k-1", managed)}, {of("l", "k-1", managed)}}, []string{"k k-1", "k"}},
	{"a slice loses the name of its Service", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2")}, {{"endpointslices", "k-1", marked}, {"endpointslices", "k-2", ""}}}, []string{"k k-1 k-2", "k"}},
	{"Kubernetes' own without loses the name of its Service", [][]Deed{{svc("k", marked), of("k", "k-1", managed)}, {{"endpointslices", "k-1", `"metadata":{"labels":{` + managed + `}}`}}}, []string{"k k-1", "k"}},
	{"slices go", [][]Deed{{svc("k", marked), of("k", "k-1"), of("k", "k-2", mirrors)}, {without("endpointslices", "k-1")}, {without("endpointslices", "k-2")}}, []string{"k k-1 k-2", "k k-2", "k"}},
	{"Kubernetes' own without go", [][]Deed{{svc("k", marked), of("k", "k-1", managed), of("k", "k-2", managed)}, {without("endpointslices", "k-1")}, {without("endpointslices", "k-2")}}, []string{"k k-1 k-2", "k k-2", "k"}},
	{"the Service goes, and comes back", [][]Deed{{svc("k", marked), of("k", "k-1", managed), of("k", "k-2")}, {without("services", "k")}, {svc("k", marked)}}, []string{"k k-1 k-2", "", "k k-1 k-2"}},
	{"the hands change", [][]Deed{{svc("k", marked), of("k", "k-1", byHand)}, {of("k", "k-1", managed)}, {of("k", "k-1", mirrors, label)}, {of("k", "k-1", managed, label)}}, []string{"k k-1", "k k-1", "k k-1", "k k-1"}},
	{"an alias", [][]Deed{{svc("k", marked, `"spec":{"type":"ExternalName","externalName":"example.com"}`), of("k", "k-1")}}, []string{"k k-1"}},
	{"one with, one of Kubernetes' own without", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2", managed)}}, []string{"k k-1 k-2"}},
	{"one with, then one of Kubernetes' own without", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label)}, {of("k", "k-2", managed)}, {without("endpointslices", "k-1")}, {without("endpointslices", "k-2")}}, []string{"k k-1", "k k-1 k-2", "k k-2", "k"}},
	{"one of Kubernetes' own without, then one with", [][]Deed{{svc("k", marked), of("k", "k-1", managed)}, {of("k", "k-2", managed, label)}, {without("endpointslices", "k-1")}}, []string{"k k-1", "k k-1 k-2", "k k-2"}},
	{"the label taken away of one of two, and put back", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2", managed, label)}, {of("k", "k-2", managed)}, {of("k", "k-1", managed), of("k", "k-2", managed, label)}, {of("k", "k-1", managed, label)}}, []string{"k k-1 k-2", "k k-1 k-2", "k k-1 k-2", "k k-1 k-2"}},
	{"the label of another word", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2", managed, notLabel)}, {of("k", "k-1", managed, notLabel), of("k", "k-2", managed, label)}}, []string{"k k-1 k-2", "k k-1 k-2"}},
	{"the export taken back and given again, of one with and one without", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2", managed)}, {svc("k")}, {of("k", "k-1", managed)}, {svc("k", marked)}, {of("k", "k-1", managed, label)}}, []string{"k k-1 k-2", "", "", "k k-1 k-2", "k k-1 k-2"}},
	{"one without goes from Service to Service, each of which has one with", [][]Deed{{svc("k", marked), svc("l", marked), of("k", "k-1", managed, label), of("l", "l-1", managed, label), of("k", "k-2", managed)}, {of("l", "k-2", managed)}, {of("gone", "k-2", managed)}, {of("k", "k-2", managed)}}, []string{"k k-1 k-2 l l-1", "k k-1 k-2 l l-1", "k k-1 l l-1", "k k-1 k-2 l l-1"}},
	{"the label goes, and the Service is another", [][]Deed{{svc("k", marked), svc("l", marked), of("k", "k-1", managed, label)}, {of("l", "k-1", managed)}, {svc("l")}, {of("k", "k-1", managed, label)}}, []string{"k k-1 l", "k k-1 l", "k", "k k-1"}},
	{"all kinds of hands at once", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2", managed), of("k", "k-3", mirrors, label), of("k", "k-4", mirrors), of("k", "k-5")}, {of("k", "k-1", mirrors), of("k", "k-2", byHand, label), of("k", "k-3", managed), of("k", "k-4", managed, label), of("k", "k-5", managed)}, {svc("k")}, {svc("k", marked)}}, []string{"k k-1 k-2 k-3 k-4 k-5", "k k-1 k-2 k-3 k-4 k-5", "", "k k-1 k-2 k-3 k-4 k-5"}},
	{"one without, of a name that is exported elsewhere", [][]Deed{{svc("k", marked), svc("back/k"), of("k", "k-1", managed, label), of("k", "back/k-2", managed)}, {svc("back/k", marked), svc("k")}, {svc("k", marked)}}, []string{"k k-1", "back/k back/k-2", "back/k back/k-2 k k-1"}},
	{"the Service goes, and one without stays", [][]Deed{{svc("k", marked), of("k", "k-1", managed, label), of("k", "k-2", managed)}, {without("services", "k")}, {without("endpointslices", "k-1")}, {svc("k", marked)}}, []string{"k k-1 k-2", "", "", "k k-2"}},
	{"in front, found by its address", [][]Deed{{{"ingresses", "front", `"metadata":{` + exported + `},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.77"}]}}`},
		{"services", "k", `"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.77"}]}}`}, of("k", "k-1", managed)}}, []string{"front k k-1"}},
	{"in front, but without a load balancer", [][]Deed{{{"ingresses", "front", `"metadata":{` + exported + `},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.78"}]}}`},
		{"services", "k", `"spec":{"type":"NodePort","externalIPs":["192.0.2.78"]}`}, of("k", "k-1", managed)}}, []string{"front"}},
	{"in front, by its name", [][]Deed{{{"ingresses", "front", `"metadata":{` + exported + `,"annotations":{"fedns.io/front":"shop/ROWk"}},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.79"}]}}`},
		{"services", "k", `"spec":{"type":"NodePort"}`}, of("k", "k-1")}}, []string{"front k k-1"}},
}

// within puts a deed into a row of the table: by what its names begin with.
func (d Deed) within(row string) Deed {
	if in, name, ok := strings.Cut(d.Name, "/"); ok {
		d.Name = in + "/" + row + name
	} else {
		d.Name = row + d.Name
	}
	d.Fields = strings.NewReplacer(`service-name":"`, `service-name":"`+row, "ROW", row).Replace(d.Fields)
	return d
}
