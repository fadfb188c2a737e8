package workload

import (
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// Excerpt is what Observe looks at in an object of a cluster, and nothing else: a cluster that reports
// how an object is gives away no more than that. want is what was applied; of an object that isn't the
// federation's, nothing that stands in it is shown.
func Excerpt(k Key, o, want Object, federation string) Object {
	out := Object{}
	if want != nil && text(o, "metadata", "annotations", v1alpha1.Federation) == federation && text(o, "metadata", "labels", v1alpha1.ManagedBy) == v1alpha1.Fedsync {
		if p, ok := clone(project(want, o)).(map[string]any); ok {
			out = p
		}
	}
	out["apiVersion"], out["kind"] = o["apiVersion"], o["kind"]
	copyField(out, o, "metadata", "namespace")
	for _, f := range []string{"name", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"} {
		copyField(out, o, "metadata", f)
	}
	copyField(out, o, "metadata", "labels", v1alpha1.ManagedBy)
	for a := range texts(o, "metadata", "annotations") {
		if strings.HasPrefix(a, v1alpha1.Group+"/") {
			copyField(out, o, "metadata", "annotations", a)
		}
	}
	for _, f := range k.Scale {
		copyField(out, o, "spec", f)
	}
	for _, f := range k.Margins {
		copyField(out, o, under(f)...)
	}
	if k.first != "" {
		copyField(out, o, under(k.first)...)
	}
	if k.Scaler {
		copyField(out, o, "spec", "scaleTargetRef")
	}
	for _, f := range slices.Concat([]string{"observedGeneration"}, k.kept) {
		copyField(out, o, "status", f)
	}
	if k.Workload() || k.ended != nil {
		copyField(out, o, "status", "conditions") // they say why it gets no further
	}
	return out
}

// copyField has a field be in one object as it is in another.
func copyField(into, from Object, path ...string) {
	if v := at(from, path...); v != nil {
		inner(into, path)[path[len(path)-1]] = clone(v)
	}
}
