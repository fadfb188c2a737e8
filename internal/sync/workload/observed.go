package workload

import (
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// A Observed is what is known of an object in a cluster.
type Observed struct {
	UID     string
	Version string // its resourceVersion
	Made    string // when it was
	Ours    bool   // made by fedsync, for this federation
	// Marked is that one of our two marks was taken off: it is put on again, but
	// that alone is no reason to delete it.
	Marked bool
	// Others is the federation that it was made for, if that is another one.
	Others   string
	Deleting bool
	Applied  string // hash of the template that was applied last
	Scale    Scale
	// Drift is where it isn't what the template of that hash says.
	Drift []Change
	// Seen is a hash of what the template speaks of, as it is there.
	Seen string
	// Part is what it says of itself.
	Part Part
	// Target is what a HorizontalPodAutoscaler scales: "Deployment web".
	Target string
	// Ended is that it is a Job which is complete or has failed.
	Ended bool
	// Trouble is why its controller there says that it gets no further; "": it doesn't.
	Trouble string
	// Live is the object itself, if it was asked for.
	Live Object
}

// A Part is the status of an object in a cluster.
type Part struct {
	Cluster    string
	Generation int64
	Status     Object // the fields that are put together
}

// Observe cuts an object of a cluster down to what counts. t may be nil: nothing
// is wanted of that name.
func Observe(k Key, o Object, t *Template, base Base, federation string) *Observed {
	h := &Observed{
		UID:      text(o, "metadata", "uid"),
		Version:  text(o, "metadata", "resourceVersion"),
		Made:     text(o, "metadata", "creationTimestamp"),
		Deleting: at(o, "metadata", "deletionTimestamp") != nil,
		Applied:  text(o, "metadata", "annotations", v1alpha1.Applied),
	}
	labelled := text(o, "metadata", "labels", v1alpha1.ManagedBy) == v1alpha1.Fedsync
	switch of := text(o, "metadata", "annotations", v1alpha1.Federation); {
	case of == federation:
		h.Ours, h.Marked = labelled, !labelled
	case of == "":
		h.Marked = labelled
	case labelled:
		h.Others = of
	}
	h.Scale = integers(o, slices.Concat(k.Scale, k.Margins, []string{k.first})...)
	h.Part.Generation, _ = number(o, "metadata", "generation")
	if k.status != nil {
		h.Part.Status = part(object(o, "status"), k.kept)
	}
	if k.Workload() || k.ended != nil {
		h.Trouble = trouble(object(o, "status"))
	}
	h.Ended = k.ended != nil && k.ended(object(o, "status"))
	if k.Scaler {
		h.Target = text(o, "spec", "scaleTargetRef", "kind") + " " + text(o, "spec", "scaleTargetRef", "name")
	}
	if t == nil || !h.Ours {
		return h
	}
	h.Seen = hashOf(project(t.Object, o))
	if h.Applied == t.Hash && (base.Template != t.Hash || base.Seen != h.Seen) {
		h.Drift = Diff(t.Object, o)
	}
	return h
}

// part is a copy of the fields of a status that count.
func part(status map[string]any, kept []string) Object {
	var out Object
	for _, f := range append([]string{"observedGeneration"}, kept...) {
		if v, ok := status[f]; ok {
			if out == nil {
				out = Object{}
			}
			out[f] = clone(v)
		}
	}
	return out
}

// trouble is what the conditions of a workload say of why it gets no further.
func trouble(status map[string]any) string {
	for _, c := range mapsOf(status["conditions"]) {
		// Kubernetes refuses its pods, has waited for them for longer than it was told to, or has
		// given a Job up.
		if (c["type"] == "ReplicaFailure" || c["type"] == "Failed") && c["status"] == "True" || c["type"] == "Progressing" && c["status"] == "False" {
			return strings.TrimSuffix(text(c, "reason")+": "+text(c, "message"), ": ")
		}
	}
	return ""
}

// Replicas are how many of a workload are there and, where its controller has seen what
// is wanted, how many of them are ready.
func (h *Observed) Replicas() (there, ready int64) {
	n, _ := number(h.Part.Status, "replicas")
	if seen, _ := number(h.Part.Status, "observedGeneration"); seen >= h.Part.Generation {
		ready, _ = number(h.Part.Status, "readyReplicas")
	}
	return max(h.Scale["replicas"], n), ready
}
