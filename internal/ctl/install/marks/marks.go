// Package marks is what fedsync writes on objects that aren't its own, and how it comes
// off: its finalizer, its labels and annotations, its place among the managers of fields.
//
// Whoever leaves a federation has to be rid of all of them. A finalizer that nobody takes
// off any more keeps an object from ever being deleted.
package marks

import (
	"encoding/json"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// programs are the field managers and the sources of events that fedns's programs go by.
var programs = []string{v1alpha1.Fedsync, "fedns", "fedctl"}

// Wished says whether an object carries marks of what is wished for in a federation's API.
// Whatever made it, its annotations are copied: to ReplicaSets, and by people.
func Wished(o *kube.Object) bool {
	_, told := o.GetAnnotations()[v1alpha1.StatusOf]
	return told || slices.Contains(o.GetFinalizers(), v1alpha1.Finalizer) || !kept(o) && managed(o)
}

// Unwish takes them off. What the federated object says of itself, its status, stays.
func Unwish(o *kube.Object) {
	notes := o.GetAnnotations()
	delete(notes, v1alpha1.StatusOf)
	o.SetAnnotations(notes)
	o.SetFinalizers(slices.DeleteFunc(o.GetFinalizers(), func(f string) bool { return f == v1alpha1.Finalizer }))
	if !kept(o) {
		unmanage(o)
	}
}

// kept says whether an object is one that a federation keeps in a member, which may well be
// another federation's API.
func kept(o *kube.Object) bool {
	return o.GetAnnotations()[v1alpha1.Federation] != "" || o.GetLabels()[v1alpha1.ManagedBy] == v1alpha1.Fedsync
}

// Kept says whether an object carries the marks of what a federation keeps in a member.
func Kept(o *kube.Object, federation string) bool {
	return o.GetAnnotations()[v1alpha1.Federation] == federation
}

// Unkeep takes them off. The label that exports it stays: that is about the service, and
// taking it away would take it out of the answers of whoever else follows this cluster.
func Unkeep(o *kube.Object) {
	labels, notes := o.GetLabels(), o.GetAnnotations()
	delete(labels, v1alpha1.ManagedBy)
	for _, n := range []string{v1alpha1.Federation, v1alpha1.Applied} {
		delete(notes, n)
	}
	o.SetLabels(labels)
	o.SetAnnotations(notes)
	unmanage(o)
}

func isFedsync(f metav1.ManagedFieldsEntry) bool { return f.Manager == v1alpha1.Fedsync }

func managed(o *kube.Object) bool { return slices.ContainsFunc(o.GetManagedFields(), isFedsync) }

func unmanage(o *kube.Object) {
	fields := slices.DeleteFunc(o.GetManagedFields(), isFedsync)
	if len(fields) == 0 {
		// None at all would be taken for "as they were".
		fields = []metav1.ManagedFieldsEntry{{}}
	}
	o.SetManagedFields(fields)
}

// Status are the fields of an object's status that fedsync has the last word of.
func Status(o *kube.Object) []string {
	out := map[string]bool{}
	for _, f := range o.GetManagedFields() {
		var fields struct {
			Status map[string]json.RawMessage `json:"f:status"`
		}
		if !isFedsync(f) || f.Subresource != "status" || f.FieldsV1 == nil || json.Unmarshal(f.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		for name := range fields.Status {
			if name != "." {
				out[name[len("f:"):]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// Ours says whether nobody but fedns's programs has written an object.
func Ours(o *kube.Object) bool {
	all := o.GetManagedFields()
	return len(all) > 0 && !slices.ContainsFunc(all, func(f metav1.ManagedFieldsEntry) bool { return !slices.Contains(programs, f.Manager) })
}
