package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// readerName is the user fedns calls itself, and its role and binding.
const readerName = "fedns"

// ReadOnly is the path of a kubeconfig for a user who may do what fedns has to
// and nothing more. Its context is called after the cluster.
func (c *Cluster) ReadOnly(t testing.TB) string {
	t.Helper()
	c.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: `+readerName+`}
rules:
- {apiGroups: [""], resources: [services, nodes, namespaces], verbs: [get, list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- {apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [get, list, watch]}
- {apiGroups: [gateway.networking.k8s.io], resources: [gateways, gatewayclasses, listenersets, httproutes, grpcroutes, tlsroutes], verbs: [get, list, watch]}
- {apiGroups: [gateway.networking.x-k8s.io], resources: [xlistenersets], verbs: [get, list, watch]}
`)
	c.Restore(t)
	path := filepath.Join(c.dir, "readonly.kubeconfig")
	c.writeKubeconfig(t, path, c.reader)
	return path
}

// Revoke takes all rights from the read-only user and returns when that holds.
// A watch that is open goes on: an API server asks for rights once, at the
// start of a request.
func (c *Cluster) Revoke(t testing.TB) {
	t.Helper()
	if err := c.Client.RbacV1().ClusterRoleBindings().Delete(t.Context(), readerName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitReader(t, false)
}

// Restore undoes Revoke, and returns when that holds.
func (c *Cluster) Restore(t testing.TB) {
	t.Helper()
	c.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: `+readerName+`}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: `+readerName+`}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: `+readerName+`}
`)
	c.awaitReader(t, true)
}

// awaitReader waits until the read-only user may, or may not, list services:
// an API server watches its own bindings, and so learns of them a moment late.
func (c *Cluster) awaitReader(t testing.TB, may bool) {
	t.Helper()
	await(t, fmt.Sprintf("%s: user %q may list services: %v", c.Name, readerName, may), func(ctx context.Context) error {
		review, err := c.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               readerName,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Resource: "services"},
			},
		}, metav1.CreateOptions{})
		if err == nil && review.Status.Allowed != may {
			err = fmt.Errorf("not yet")
		}
		return err
	})
}
