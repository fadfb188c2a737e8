package kube

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Clear deletes all that a namespace holds, of every kind, and fails while
// something is left. It is what the namespace controller does where there is one:
// a federation's API need not have it.
func (a *API) Clear(ctx context.Context, namespace string) error {
	kinds, err := a.held(ctx)
	if err != nil {
		return err
	}
	var left []error
	for _, k := range kinds {
		all := a.dyn.Resource(resource(k)).Namespace(namespace)
		if err := all.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			continue // then nobody here has put anything there
		} else if err != nil {
			return fmt.Errorf("namespace %q: %s: %w", namespace, k.Resource, err)
		}
		rest, err := all.List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return fmt.Errorf("namespace %q: %s: %w", namespace, k.Resource, err)
		}
		if len(rest.Items) > 0 {
			left = append(left, fmt.Errorf("namespace %q still holds %s, such as %s", namespace, k.Resource, rest.Items[0].GetName()))
		}
	}
	return errors.Join(left...)
}

// Holds calls yield for all that a namespace holds, of every kind that may be
// listed, until it returns false.
func (a *API) Holds(ctx context.Context, namespace string, yield func(Kind, *Object) bool) error {
	kinds, err := a.held(ctx)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		all, err := a.List(ctx, k, namespace, "")
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("namespace %q: %s: %w", namespace, k.Resource, err)
		}
		for i := range all {
			if !yield(k, &all[i]) {
				return nil
			}
		}
	}
	return nil
}

// held are the kinds of what namespaces hold, each in one version. What can't be
// deleted as a collection is no object that is kept, but made up when it is asked for.
func (a *API) held(ctx context.Context) ([]Kind, error) {
	kinds, err := a.namespaced(ctx, "list", "deletecollection")
	if err != nil {
		return nil, fmt.Errorf("what namespaces may hold: %w", err)
	}
	return kinds, nil
}
