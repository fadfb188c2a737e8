package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// gatewayKinds are the kinds of the Gateway API that fedns reads.
var gatewayKinds = []string{"Gateway", "HTTPRoute", "GRPCRoute"}

// InstallGatewayAPI gives the cluster the kinds of the Gateway API, by definitions
// that take anything, and returns when it serves them.
func (c *Cluster) InstallGatewayAPI(t testing.TB) { c.InstallGatewayAPIOf(t, "v1") }

// InstallGatewayAPIOf does so in one version.
func (c *Cluster) InstallGatewayAPIOf(t testing.TB, version string) {
	t.Helper()
	c.gatewayVersion = version
	for _, k := range gatewayKinds {
		one := strings.ToLower(k)
		c.Apply(t, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[2]ss.gateway.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "unapproved, a test"}
spec:
  group: gateway.networking.k8s.io
  scope: Namespaced
  names: {kind: %[1]s, listKind: %[1]sList, plural: %[2]ss, singular: %[2]s}
  versions:
  - name: %[3]s
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, k, one, version))
	}
	for _, k := range gatewayKinds {
		await(t, c.Name+": "+k+" is served", func(ctx context.Context) error {
			_, err := c.gateway(t, k).List(ctx, metav1.ListOptions{})
			return err
		})
	}
}

// gateway is the way to the objects of a kind of the Gateway API.
func (c *Cluster) gateway(t testing.TB, kind string) dynamic.NamespaceableResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: c.gatewayVersion, Resource: strings.ToLower(kind) + "s"})
}

// GatewayAddress sets the address of a Gateway, as its controller would; "" takes it
// away.
func (c *Cluster) GatewayAddress(t testing.TB, ns, name, ip string) {
	t.Helper()
	patch := `{"status":{"addresses":[]}}`
	if ip != "" {
		patch = fmt.Sprintf(`{"status":{"addresses":[{"type":"IPAddress","value":%q}]}}`, ip)
	}
	if _, err := c.gateway(t, "Gateway").Namespace(ns).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

// AcceptRoute has a HTTPRoute accepted by its Gateway's controller, as that would say it.
func (c *Cluster) AcceptRoute(t testing.TB, ns, name, gateway string) {
	t.Helper()
	patch := fmt.Sprintf(`{"status":{"parents":[{"controllerName":"example.com/test","parentRef":{"name":%q},"conditions":[{"type":"Accepted","status":"True"}]}]}}`, gateway)
	if _, err := c.gateway(t, "HTTPRoute").Namespace(ns).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

// RemoveGatewayAPI takes the kinds away, with all objects.
func (c *Cluster) RemoveGatewayAPI(t testing.TB) {
	t.Helper()
	client, err := dynamic.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for _, k := range gatewayKinds {
		if err := crds.Delete(t.Context(), strings.ToLower(k)+"s.gateway.networking.k8s.io", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
