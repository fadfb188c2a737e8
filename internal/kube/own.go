package kube

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
)

// Rehearses says whether nothing is written by this way to an API.
func (a *API) Rehearses() bool { return a.rehearsal != nil }

// Updated says whether a manager has written something of an object otherwise than by applying it.
func Updated(o *Object, manager string) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == manager && m.Operation == metav1.ManagedFieldsOperationUpdate && m.Subresource == ""
	})
}

// Own has what a manager has written otherwise noted as applied by it: so that it goes
// when the manager no longer applies it. Nothing else of the object changes, and nothing
// is written where that is so already.
func (a *API) Own(ctx context.Context, k Kind, o *Object, manager string) (*Object, error) {
	patch, err := csaupgrade.UpgradeManagedFieldsPatch(o, sets.New(manager), manager)
	if err != nil || len(patch) == 0 {
		return o, err
	}
	r := a.rehearsal.write(a.at(a.rest.Patch(types.JSONPatchType), k, o.GetNamespace(), o.GetName()).Param("fieldManager", manager)).Body(patch)
	a.rehearsal.change(k, o.GetNamespace(), o.GetName())
	return object(r.Do(ctx))
}
