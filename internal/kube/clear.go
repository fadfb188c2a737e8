package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Clear deletes all that a namespace holds, of every kind, and fails while
// something is left. It is what the namespace controller does where there is one:
// a federation's API need not have it.
func (a *API) Clear(ctx context.Context, namespace string) error {
	lists, err := a.disc.ServerPreferredNamespacedResources()
	if err != nil && len(lists) == 0 {
		return err
	}
	var left []error
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "deletecollection") || !slices.Contains(r.Verbs, "list") {
				continue
			}
			all := a.dyn.Resource(gv.WithResource(r.Name)).Namespace(namespace)
			if err := all.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
				continue // then nobody here has put anything there
			} else if err != nil {
				return fmt.Errorf("namespace %q: %s: %w", namespace, r.Name, err)
			}
			rest, err := all.List(ctx, metav1.ListOptions{Limit: 1})
			if err != nil {
				return fmt.Errorf("namespace %q: %s: %w", namespace, r.Name, err)
			}
			if len(rest.Items) > 0 {
				left = append(left, fmt.Errorf("namespace %q still holds %s, such as %s", namespace, r.Name, rest.Items[0].GetName()))
			}
		}
	}
	return errors.Join(left...)
}
