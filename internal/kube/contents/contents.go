// Package contents is what an API holds, of every kind that it serves.
//
// It stands apart from package kube for the sake of fedns, which never asks so: what
// client-go's discovery brings is 16 modules, and half of Kubernetes.
package contents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedns/fedns/internal/kube"
)

// A Rest is what a namespace still holds of a kind after all of it has been deleted.
type Rest struct {
	kube.Kind
	Names      []string       // of the first of them
	Count      int            // of all
	Finalizers map[string]int // that hold how many of them
	Err        error          // why it couldn't be deleted, or whether there is any can't be known
}

// fewest is how many objects of a kind are named.
const fewest = 3

// Clear deletes all that a namespace holds, of every kind that the API serves, and gives
// what is left. It is what the namespace controller does where there is one: a federation's
// API need not have it. Pods go first, as there (KEP-5080): what they use goes when they have.
// An error says that it isn't known which kinds there are.
func Clear(ctx context.Context, api *kube.API, namespace string) (left []Rest, err error) {
	kinds, err := namespaced(ctx, api, "list", "delete")
	if err != nil {
		return nil, fmt.Errorf("what namespaces may hold: %w", err)
	}
	slices.SortStableFunc(kinds, func(a, b kube.Kind) int { return cmp.Compare(turn(a), turn(b)) })
	for i, k := range kinds {
		if r := clearKind(ctx, api, namespace, k); r.Count > 0 || r.Err != nil {
			left = append(left, r)
		}
		if i+1 < len(kinds) && turn(k) != turn(kinds[i+1]) && len(left) > 0 {
			return left, nil
		}
	}
	return left, nil
}

// turn is when a kind's objects are deleted.
func turn(k kube.Kind) int {
	if k.Group == "" && k.Name == "Pod" {
		return 0
	}
	return 1
}

// clearKind is Clear for one kind. Those that can't be deleted as a collection are one by one.
func clearKind(ctx context.Context, api *kube.API, namespace string, k kube.Kind) Rest {
	r := Rest{Kind: k, Finalizers: map[string]int{}}
	err := api.DeleteAll(ctx, k, namespace)
	single := apierrors.IsMethodNotSupported(err)
	if err != nil && !single && !apierrors.IsNotFound(err) {
		r.Err = err
	}
	all, err := api.List(ctx, k, namespace, "")
	if err != nil && !apierrors.IsNotFound(err) {
		r.Err = errors.Join(r.Err, err)
		return r
	}
	for _, o := range all {
		if single && o.GetDeletionTimestamp() == nil {
			if err := api.Delete(ctx, k, namespace, o.GetName(), o.GetUID()); err != nil {
				r.Err = err
			} else if len(o.GetFinalizers()) == 0 {
				continue
			}
		}
		if r.Count++; len(r.Names) < fewest {
			r.Names = append(r.Names, o.GetName())
		}
		for _, f := range o.GetFinalizers() {
			r.Finalizers[f]++
		}
	}
	if r.Count == 0 {
		r.Err = nil // it is about nothing
	}
	return r
}

// Holds calls yield for all that a namespace holds, of every kind that may be
// listed, until it returns false.
func Holds(ctx context.Context, api *kube.API, namespace string, yield func(kube.Kind, *kube.Object) bool) error {
	kinds, err := held(ctx, api)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		all, err := api.List(ctx, k, namespace, "")
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
func held(ctx context.Context, api *kube.API) ([]kube.Kind, error) {
	kinds, err := namespaced(ctx, api, "list", "deletecollection")
	if err != nil {
		return nil, fmt.Errorf("what namespaces may hold: %w", err)
	}
	return kinds, nil
}
