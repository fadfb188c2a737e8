// Package vector has what tests speak in: pretend clusters, and the vectors of
// states with the answers expected of them.
package vector

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

// Root is the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// A Vector is a state of a federation with the answers expected of it.
type Vector struct {
	ID, Title string
	Service   struct {
		Name, Namespace, Federation, DNSSuffix, Type string
		ClusterIP, ExternalName                      string
		Deleted                                      bool
	}
	Clusters []VectorCluster
	Resolve  map[string][]netip.Addr
	Expect   map[string]Expect
}

// A VectorCluster is one member of a vector's federation.
type VectorCluster struct {
	Name, Region, Zone string
	Zones              []string
	Ingress            []string
	RawIngress         []struct{ IP, Hostname string }
	HealthyEndpoints   bool
	Selected           *bool
}

// An Expect is what a name is to be answered with.
type Expect struct {
	Rcode   string
	Chain   []string
	A, AAAA []netip.Addr
}

// Vectors reads test/vectors/dns.json.
func Vectors(t testing.TB) []Vector {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(Root(), "test", "vectors", "dns.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out []Vector
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("dns.json holds no vectors")
	}
	return out
}

// Has says whether a cluster has the service.
func (v *Vector) Has(c VectorCluster) bool {
	return !v.Service.Deleted && (c.Selected == nil || *c.Selected)
}

// AllZones are the zones of a cluster, however the vector gives them.
func (c *VectorCluster) AllZones() []string {
	if c.Zone != "" {
		return append([]string{c.Zone}, c.Zones...)
	}
	return c.Zones
}

// entries is what status.loadBalancer.ingress holds.
func (c *VectorCluster) entries() []map[string]string {
	out := []map[string]string{}
	for _, e := range c.RawIngress {
		m := map[string]string{}
		if e.IP != "" {
			m["ip"] = e.IP
		}
		if e.Hostname != "" {
			m["hostname"] = e.Hostname
		}
		out = append(out, m)
	}
	if len(out) > 0 {
		return out
	}
	for _, e := range c.Ingress {
		if _, err := netip.ParseAddr(e); err == nil {
			out = append(out, map[string]string{"ip": e})
		} else {
			out = append(out, map[string]string{"hostname": e})
		}
	}
	return out
}

// Table is the vector's state as a table, with hostnames resolved.
func (v *Vector) Table() *table.Table {
	var cs []shard.Cluster
	for _, c := range v.Clusters {
		cs = append(cs, shard.Cluster{Name: topology.ClusterName(c.Name)})
	}
	t := table.New(cs, shard.Policy{})
	key := snapshot.Key{Namespace: v.Service.Namespace, Name: v.Service.Name}
	for i, c := range v.Clusters {
		services := shard.ServiceList{Kind: snapshot.Svc}
		var slices shard.SliceList
		var nodes shard.NodeList
		zones := c.AllZones()
		for j, z := range append([]string{}, zones...) {
			nodes.Nodes = append(nodes.Nodes, shard.Node{Name: fmt.Sprint("n", j), Region: c.Region, Zone: z})
		}
		if len(zones) == 0 {
			nodes.Nodes = append(nodes.Nodes, shard.Node{Name: "n", Region: c.Region})
			zones = []string{""}
		}
		if v.Has(c) {
			s := &shard.Service{Key: key}
			if v.Service.Type == "LoadBalancer" {
				s.Balancer = true
				for _, e := range c.entries() {
					if ip := e["ip"]; ip != "" {
						s.Addrs = append(s.Addrs, netip.MustParseAddr(ip))
					} else {
						s.Extend(shard.Extras{Hosts: append(s.Extras().Hosts, e["hostname"])})
					}
				}
			}
			services.Services = append(services.Services, s)
			sl := &shard.Slice{Key: shard.SliceKey{Namespace: key.Namespace, Name: key.Name + "-x"}, Service: key.Name}
			for _, z := range zones {
				sl.Endpoints = append(sl.Endpoints, shard.Endpoint{Zone: z, Ready: c.HealthyEndpoints})
			}
			slices.Slices = append(slices.Slices, sl)
		}
		t.Apply(i, services)
		t.Apply(i, shard.ServiceList{Kind: snapshot.Ing})
		t.Apply(i, slices)
		t.Apply(i, nodes)
	}
	for _, h := range t.Hosts() {
		t.Resolved(h, v.Resolve[h])
	}
	return t
}

// Manifests writes the state as one folder of manifests a cluster, and returns
// the folders by the cluster's name. What kubectl prints looks so.
func (v *Vector) Manifests(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, c := range v.Clusters {
		folder := filepath.Join(dir, c.Name)
		out[c.Name] = folder
		WriteManifest(t, filepath.Join(folder, "cluster.json"), v.objects(c)...)
	}
	return out
}

// An Object is a Kubernetes object as JSON has it.
type Object = map[string]any

// WriteManifest writes objects as a List, and makes the folder if need be.
func WriteManifest(t testing.TB, file string, objects ...Object) {
	t.Helper()
	raw, err := json.MarshalIndent(Object{"apiVersion": "v1", "kind": "List", "items": objects}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	// By rename, as careful editors do: nobody sees half a file.
	if err := os.WriteFile(file+".tmp", raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		t.Fatal(err)
	}
}

func (v *Vector) objects(c VectorCluster) []Object {
	var out []Object
	zones := c.AllZones()
	if len(zones) == 0 {
		out = append(out, Node("n", c.Region, ""))
		zones = []string{""}
	} else {
		for i, z := range zones {
			out = append(out, Node(fmt.Sprint("n", i), c.Region, z))
		}
	}
	if !v.Has(c) {
		return out
	}
	s := v.Service
	spec := Object{"type": s.Type, "ports": []Object{{"name": "http", "port": 80, "protocol": "TCP"}}}
	if s.ClusterIP != "" {
		spec["clusterIP"] = s.ClusterIP
	}
	if s.ExternalName != "" {
		spec["externalName"] = s.ExternalName
	}
	svc := Service(s.Namespace, s.Name)
	svc["spec"] = spec
	svc["status"] = Object{"loadBalancer": Object{"ingress": c.entries()}}
	return append(out, svc, Slice(s.Namespace, s.Name, c.HealthyEndpoints, zones...))
}

// Node is a Node with topology labels; an empty one is left out.
func Node(name, region, zone string) Object {
	labels := Object{}
	if region != "" {
		labels["topology.kubernetes.io/region"] = region
	}
	if zone != "" {
		labels["topology.kubernetes.io/zone"] = zone
	}
	return Object{"apiVersion": "v1", "kind": "Node", "metadata": Object{"name": name, "labels": labels}}
}

// Service is an exported Service of type LoadBalancer with a port http, and these
// addresses or hostnames of its load balancer.
func Service(namespace, name string, ingress ...string) Object {
	c := VectorCluster{Ingress: ingress}
	return Object{
		"apiVersion": "v1", "kind": "Service",
		"metadata": Object{"name": name, "namespace": namespace, "labels": Object{"fedns.io/export": "true"}},
		"spec":     Object{"type": "LoadBalancer", "ports": []Object{{"name": "http", "port": 80, "protocol": "TCP"}}},
		"status":   Object{"loadBalancer": Object{"ingress": c.entries()}},
	}
}

// Slice is an EndpointSlice of a Service with an endpoint in each zone.
func Slice(namespace, service string, ready bool, zones ...string) Object {
	endpoints := []Object{}
	for i, z := range zones {
		e := Object{"addresses": []string{fmt.Sprint("10.0.0.", i+1)}, "conditions": Object{"ready": ready, "serving": ready, "terminating": false}}
		if z != "" {
			e["zone"] = z
		}
		endpoints = append(endpoints, e)
	}
	return Object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata": Object{"name": service + "-x", "namespace": namespace, "labels": Object{
			"fedns.io/export": "true", "kubernetes.io/service-name": service}},
		"ports":     []Object{{"name": "http", "port": 80, "protocol": "TCP"}},
		"endpoints": endpoints,
	}
}

// ShortForm is the name without the region's label, for the name of a zone that
// stands in one region only.
func (v *Vector) ShortForm(name string) (string, bool) {
	regions := map[string]map[string]bool{} // zone to its regions
	isRegion := map[string]bool{}
	for _, c := range v.Clusters {
		isRegion[c.Region] = true
		for _, z := range c.AllZones() {
			if regions[z] == nil {
				regions[z] = map[string]bool{}
			}
			regions[z][c.Region] = true
		}
	}
	left := strings.TrimSuffix(strings.TrimSuffix(name, "."), "."+v.Service.DNSSuffix)
	labels := strings.Split(left, ".")
	if len(labels) != 6 || len(regions[labels[4]]) != 1 || isRegion[labels[4]] {
		return "", false
	}
	return strings.Join(labels[:5], ".") + "." + v.Service.DNSSuffix, true
}
