package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// A Template is what clusters get of a federated object: all of them, or those that its
// overrides change it for in the same way. Only the fields that are split differ, and aren't
// in it.
type Template struct {
	Object Object
	Hash   string // of Object, which carries it as an annotation
	// Replicas are how many the overrides ask for; nil: they don't say.
	Replicas *int64
}

// dropped are annotations that speak of the federated object and not of its like.
var dropped = []string{
	v1alpha1.Selector, v1alpha1.Preferences, v1alpha1.Surge, v1alpha1.Everywhere, v1alpha1.Tolerations, v1alpha1.Overrides, v1alpha1.Follow, v1alpha1.Propagate, v1alpha1.Adopt, v1alpha1.Orphan, v1alpha1.Release, v1alpha1.StatusOf,
	"kubectl.kubernetes.io/last-applied-configuration",
	// By these, an Argo CD that runs in a member would take a copy for its own, and prune it.
	"argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id",
}

// argoInstance is a label by which Argo CD can be told to know what is its own.
const argoInstance = "argocd.argoproj.io/instance"

// droppedUnder are groups of such annotations: of the first federation, and what
// controllers write for themselves.
var droppedUnder = []string{"federation.kubernetes.io/", "federation.alpha.kubernetes.io/", "deployment.kubernetes.io/", "deprecated.daemonset.template.generation"}

// NewTemplate makes the template of a federated object.
func NewTemplate(k Key, o Object, federation string) *Template {
	ranges := ranged(k, o)
	o, known := asked(k, o)
	labels := map[string]any{}
	for l, v := range texts(o, "metadata", "labels") {
		labels[l] = v
	}
	delete(labels, argoInstance)
	labels[v1alpha1.ManagedBy] = v1alpha1.Fedsync
	if _, said := labels[v1alpha1.Export]; k.Export && !said {
		labels[v1alpha1.Export] = "true"
	}
	annotations := map[string]any{}
	for a, v := range texts(o, "metadata", "annotations") {
		if !slices.Contains(dropped, a) && !slices.ContainsFunc(droppedUnder, func(p string) bool { return strings.HasPrefix(a, p) }) {
			annotations[a] = v
		}
	}
	annotations[v1alpha1.Federation] = federation
	metadata := map[string]any{"name": k.Name, "labels": labels, "annotations": annotations}
	if k.Namespaced {
		metadata["namespace"] = k.Namespace
	}
	t := Object{}
	for field, v := range o {
		switch {
		case field == "metadata" || field == "status":
		case builtin.Native(k.Group):
			t[field] = said(v)
		default: // only who says null to a definition's kind has null there
			t[field] = clone(v)
		}
	}
	t["apiVersion"], t["kind"], t["metadata"] = k.APIVersion(), k.Kind.Name, metadata
	if k.strip != nil {
		k.strip(t, !known)
	}
	if ranges {
		remove(t, k.first)
	}
	return seal(k, t)
}

// Strip takes away what belongs to the API server that an object was read from, and not to the object.
func (s *FederatedKind) Strip(o Object) {
	if s.strip != nil {
		s.strip(o, false)
	}
}

// seal takes out what is split, and writes down what all the rest comes to.
func seal(k Key, t Object) *Template {
	if spec := object(t, "spec"); spec != nil {
		for _, f := range k.Scale {
			delete(spec, f)
		}
		for f := range integers(t, k.Margins...) {
			remove(t, f)
		}
		if len(spec) == 0 {
			delete(t, "spec")
		}
	}
	hash := hashOf(t)
	object(t, "metadata", "annotations")[v1alpha1.Applied] = hash
	return &Template{Object: t, Hash: hash}
}

// hashOf is short: it tells versions of one object apart, not all objects there are.
func hashOf(v any) string {
	b, err := json.Marshal(v) // maps come in the order of their keys
	if err != nil {
		panic("an object that came as JSON isn't JSON: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// For is what one cluster gets: the template, and its part of what is split.
func (t *Template) For(scale Scale) Object {
	o := clone(t.Object).(map[string]any)
	if len(scale) == 0 {
		return o
	}
	for f, n := range scale {
		put(o, f, n)
	}
	return o
}

func stripNamespace(o Object, _ bool) { delete(object(o, "spec"), "finalizers") }

// stripAccount takes away the tokens that a cluster of old has made for it.
func stripAccount(o Object, guess bool) {
	if guess {
		delete(o, "secrets")
	}
}

// stripClaim takes away the volume that was bound, unless somebody has asked for that one, and
// what its binding has left.
func stripClaim(o Object, guess bool) {
	notes := object(o, "metadata", "annotations")
	for n := range notes {
		if strings.HasPrefix(n, "pv.kubernetes.io/") || strings.HasPrefix(n, "volume.kubernetes.io/") || strings.HasPrefix(n, "volume.beta.kubernetes.io/storage-provisioner") {
			delete(notes, n)
		}
	}
	if guess {
		delete(object(o, "spec"), "volumeName")
	}
}

// stripService takes away what an API server gives out of its own ranges.
func stripService(o Object, guess bool) {
	spec := object(o, "spec")
	if spec["clusterIP"] != "None" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	delete(spec, "healthCheckNodePort")
	for _, p := range mapsOf(spec["ports"]) {
		delete(p, "nodePort")
	}
	if families, _ := spec["ipFamilies"].([]any); guess && len(families) < 2 && !slices.Contains(families, any("IPv6")) {
		// That is what an API server most likely fills in by itself; a cluster of the other
		// family, or of both, fills in its own.
		delete(spec, "ipFamilies")
		if spec["ipFamilyPolicy"] == "SingleStack" {
			delete(spec, "ipFamilyPolicy")
		}
	}
}

// stripJob takes away the selector that each API server makes of the Job's UID.
func stripJob(o Object, _ bool) {
	spec := object(o, "spec")
	if spec["manualSelector"] == true {
		return
	}
	delete(spec, "selector")
	labels := object(spec, "template", "metadata", "labels")
	for _, l := range []string{"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"} {
		delete(labels, l)
	}
}
