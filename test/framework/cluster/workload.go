package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// Apply creates the objects of a YAML text, or changes them to what it says,
// as `kubectl apply --server-side` would: any kind, several documents, and the
// namespace "default" for an object that names none. It leaves status alone.
func (c *Cluster) Apply(t testing.TB, text string) {
	t.Helper()
	kinds, err := restmapper.GetAPIGroupResources(c.Client.Discovery())
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(kinds)
	client, err := dynamic.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	docs := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		obj := new(unstructured.Unstructured)
		if err := docs.Decode(&obj.Object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v in\n%s", c.Name, err, text)
		}
		if len(obj.Object) == 0 {
			continue // between two separators, or a comment
		}
		if err := apply(t.Context(), client, mapper, obj); err != nil {
			t.Fatalf("%s: %s %q: %v", c.Name, obj.GetKind(), obj.GetName(), err)
		}
	}
}

func apply(ctx context.Context, client dynamic.Interface, mapper meta.RESTMapper, obj *unstructured.Unstructured) error {
	kind := obj.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	var resource dynamic.ResourceInterface = client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		ns := obj.GetNamespace()
		if ns == "" {
			ns = metav1.NamespaceDefault
		}
		resource = client.Resource(mapping.Resource).Namespace(ns)
	}
	// Force: a test means what it wrote, whoever wrote the field before.
	_, err = resource.Apply(ctx, obj.GetName(), obj, metav1.ApplyOptions{FieldManager: "bed", Force: true})
	return err
}

// Names are quoted below: to YAML a bare y is a boolean and a bare 1 a number.

// AddNode adds a Node in a region and a zone. In a member, kwok makes it Ready
// and pods are scheduled to it from then on.
func (c *Cluster) AddNode(t testing.TB, name, region, zone string) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Node
metadata:
  name: %[1]q
  annotations: {kwok.x-k8s.io/node: fake}
  labels:
    kubernetes.io/hostname: %[1]q
    topology.kubernetes.io/region: %[2]q
    topology.kubernetes.io/zone: %[3]q
status:
  allocatable: {cpu: "32", memory: 256Gi, pods: "110"}
  capacity: {cpu: "32", memory: 256Gi, pods: "110"}
`, name, region, zone))
}

// Expose makes the Service ns/name, of type LoadBalancer and exported to
// fedns, and gives it ip, as the cloud would. Called again, it changes the
// address; an empty one takes it away.
func (c *Cluster) Expose(t testing.TB, ns, name, ip string) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]q}
---
apiVersion: v1
kind: Service
metadata:
  namespace: %[1]q
  name: %[2]q
  labels: {fedns.io/export: "true"}
spec:
  type: LoadBalancer
  selector: {app: %[2]q}
  ports: [{name: http, port: 80}]
`, ns, name))
	ingress := "[]"
	if ip != "" {
		ingress = fmt.Sprintf(`[{"ip": %q}]`, ip)
	}
	patch := fmt.Appendf(nil, `{"status": {"loadBalancer": {"ingress": %s}}}`, ingress)
	if _, err := c.Client.CoreV1().Services(ns).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatalf("%s: service %s/%s: %v", c.Name, ns, name, err)
	}
}

// Deploy makes the Deployment ns/name, whose pods [Cluster.Expose]'s Service of
// that name selects.
func (c *Cluster) Deploy(t testing.TB, ns, name string, replicas int32) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]q}
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: %[1]q, name: %[2]q}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[2]q}}
  template:
    metadata: {labels: {app: %[2]q}}
    spec:
      containers: [{name: web, image: nginx}]
`, ns, name, replicas))
}

// Scale changes how many pods the Deployment ns/name wants.
func (c *Cluster) Scale(t testing.TB, ns, name string, replicas int32) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec": {"replicas": %d}}`, replicas)
	if _, err := c.Client.AppsV1().Deployments(ns).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "scale"); err != nil {
		t.Fatalf("%s: deployment %s/%s: %v", c.Name, ns, name, err)
	}
}

// WaitReady waits until the EndpointSlices of the Service ns/name have n ready
// endpoints.
func (c *Cluster) WaitReady(t testing.TB, ns, name string, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%s: service %s/%s: %d endpoints ready", c.Name, ns, name, n), func(ctx context.Context) error {
		slices, err := c.Client.DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{
			LabelSelector: discoveryv1.LabelServiceName + "=" + name,
		})
		if err != nil {
			return err
		}
		ready := 0
		for _, slice := range slices.Items {
			for _, e := range slice.Endpoints {
				// The API: "a nil value should be interpreted as true".
				if e.Conditions.Ready == nil || *e.Conditions.Ready {
					ready++
				}
			}
		}
		if ready != n {
			return fmt.Errorf("%d are", ready)
		}
		return nil
	})
}

// Slice writes by hand what a member's controller would: the EndpointSlice
// svc-x of the Service ns/svc, with one endpoint in a zone. Called again, it
// changes that endpoint.
func (c *Cluster) Slice(t testing.TB, ns, svc, zone string, ready bool) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]q}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: %[1]q
  name: %[3]q
  labels: {kubernetes.io/service-name: %[2]q, fedns.io/export: "true"}
addressType: IPv4
endpoints: [{addresses: [10.255.0.1], zone: %[4]q, conditions: {ready: %[5]t}}]
ports: [{name: http, port: 80}]
`, ns, svc, svc+"-x", zone, ready))
}
