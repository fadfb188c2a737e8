// Package workload decides what every cluster is to hold, and what has to be done
// for it to be so.
//
// It asks nobody and does nothing: federated objects, clusters and what is in
// them come in, steps and what to say of them go out. The same input always gives
// the same steps, and the time is an argument.
package workload

import (
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// A FederatedKind is a kind of objects that is kept in every cluster.
type FederatedKind struct {
	v1alpha1.Kind
	// Order is when it is written: what others need comes first.
	Order int
	// Scale are the fields of spec that are split over the clusters.
	Scale []string
	// Margins are fields of spec, with dots, that say of all pods how many may be missing
	// or too many: as numbers they are split, too.
	Margins []string
	// first is the field of spec, with dots, that says with which number the names of its pods
	// begin: each cluster has numbers of its own, where an object is split. "": pods have none.
	first string
	// Guard says that objects of this kind say so of the pods of others.
	Guard bool
	// Export says that the clusters' objects get the label that DNS selects by.
	Export bool
	// Home says that others' objects are in those of this kind, and go with them.
	Contains bool
	// Scaler says that objects of this kind scale others, whosever they are.
	Scaler bool
	// Dropped says that it isn't kept any more: what is left of it is let go.
	Dropped bool
	// Secret says that what stands in an object isn't to be shown.
	Secret bool

	// The rest are hooks; nil: no object of this kind is so.

	// own says whether an object is its API server's, or the federation's own, and no
	// business of the clusters.
	own func(k Key, o Object) bool
	// once says whether an object runs to an end, and is taken away by the cluster then.
	once func(o Object) bool
	// ended says of a status that its object has run to an end.
	ended func(status Object) bool
	// whole is why an object can't be split, since its parts wouldn't be what it is: it is
	// in one cluster then. "": it can.
	whole func(o Object) string
	// begun says of a status that its object does something already; room is that, for all
	// that is known, its pods have found any.
	begun func(status Object, room bool) bool
	// pods selects the pods of an object, where its selector is its API server's.
	pods func(o Object) string
	// floor has a cluster's part of the margins be one that an API server takes, and that
	// lets work go on; loose is that another margin, in percent, lets it.
	floor func(part, whole Scale, loose bool)
	// unbalanced says whether an object has no addresses of load balancers.
	unbalanced func(o Object) bool
	// strip takes away what belongs to one API server and not to the object, whoever said
	// it; guess is that nobody knows who said what.
	strip func(o Object, guess bool)
	// status puts the statuses of the clusters' objects together; nil: there is
	// nothing to tell. was is what the federated object says now, and all says that
	// every cluster that should have it has it.
	status func(parts []Part, was Object, all bool) map[string]any
	// omits says what of the parts has no room in what status makes of them; "": all has.
	omits func(parts []Part) string
	// kept are the fields of a status that status needs.
	kept []string
	// tally counts what an object has there, by its part and its status: how many there are to
	// be, and how many of those are ready. nil: there is nothing to count.
	tally func(scale Scale, status Object) (desired, ready int64)
	// unseen says that the API has no status.observedGeneration in such objects.
	unseen bool
}

// Kinds are those that are kept in every cluster without being asked for.
func Kinds() []*FederatedKind {
	return []*FederatedKind{
		{Kind: builtin.Namespaces, Order: 0, Contains: true, strip: stripNamespace, own: func(k Key, _ Object) bool { return system(k.Name) }},
		{Kind: builtin.ConfigMaps, Order: 1, own: helms},
		{Kind: builtin.Secrets, Order: 1, Secret: true, own: func(k Key, o Object) bool { return text(o, "type") == builtin.TokenType || helms(k, o) }},
		{Kind: builtin.ServiceAccounts, Order: 1, strip: stripAccount},
		{Kind: builtin.Services, Order: 2, Export: true, strip: stripService, unbalanced: isInternal, status: balancers, kept: []string{"loadBalancer"}, unseen: true},
		{Kind: builtin.Ingresses, Order: 2, Export: true, status: balancers, kept: []string{"loadBalancer"}, unseen: true},
		{Kind: builtin.Deployments, Order: 3, Scale: []string{"replicas"}, Margins: []string{surge, missing}, floor: rolls, tally: replicasReady, status: deployments, kept: append([]string{"conditions"}, deploymentCounts...)},
		{Kind: builtin.ReplicaSets, Order: 3, Scale: []string{"replicas"}, tally: replicasReady, status: replicaSets, kept: append([]string{"conditions"}, replicaSetCounts...)},
		{Kind: builtin.DaemonSets, Order: 3, tally: nodesReady, status: sums(daemonSetCounts...), kept: daemonSetCounts},
		{Kind: builtin.Jobs, Order: 3, Scale: []string{"parallelism", "completions"}, strip: stripJob, once: expires, ended: ended, whole: unlike, begun: started, pods: podsOfJob, tally: completed, status: jobs, kept: jobFields, unseen: true},
		{Kind: builtin.StatefulSets, Order: 3, Scale: []string{"replicas"}, first: "ordinals.start", whole: alone, begun: synced, tally: replicasReady, status: statefulSets, kept: append([]string{"currentRevision", "updateRevision"}, statefulSetCounts...)},
		{Kind: builtin.CronJobs, Order: 3, whole: once, status: schedules, kept: []string{"active", "lastScheduleTime", "lastSuccessfulTime"}, unseen: true},
		{Kind: builtin.NetworkPolicies, Order: 2},
		{Kind: builtin.Budgets, Order: 4, Guard: true, Margins: []string{"minAvailable", unavailable}, floor: yields, status: sums(budgetCounts...), kept: budgetCounts},
		{Kind: builtin.Autoscalers, Order: 4, Scaler: true, Scale: []string{"minReplicas", "maxReplicas"}, status: autoscalers, kept: append([]string{"conditions"}, autoscalerCounts...)},
	}
}

// Other is a kind that isn't kept without being asked for. Most are copied as they are.
func Other(k v1alpha1.Kind) *FederatedKind {
	for _, s := range append(Kinds(), others()...) {
		if s.Is(k) {
			s.Kind = k
			return s
		}
	}
	return &FederatedKind{Kind: k, Order: 2}
}

// others are the kinds of which more than that is to be said. They aren't kept without being
// asked for since they cost something in each cluster, give rights there, or bound what all
// else may have.
func others() []*FederatedKind {
	out := []*FederatedKind{
		{Kind: builtin.VolumeClaims, Order: 1, strip: stripClaim, status: claims, kept: []string{"phase", "capacity", "accessModes"}, unseen: true},
		{Kind: builtin.Quotas, Order: 1, status: quotas, kept: []string{"hard", "used"}, unseen: true},
		{Kind: builtin.Limits, Order: 1},
		{Kind: builtin.EndpointSlices, Order: 3, own: sliced},
	}
	for _, name := range []string{"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"} {
		out = append(out, &FederatedKind{Kind: v1alpha1.Kind{Group: "gateway.networking.k8s.io", Version: "v1", Name: name}, Order: 2, status: routes, omits: routesOmit, kept: []string{"parents"}, unseen: true})
	}
	return out
}

// sliced says whether an EndpointSlice was made by a controller of Kubernetes, out of a Service
// or of older Endpoints: each cluster makes its own.
func sliced(k Key, o Object) bool {
	by := text(o, "metadata", "labels", "endpointslice.kubernetes.io/managed-by")
	return strings.HasSuffix(by, ".k8s.io") || k.Namespace == "default" && k.Name == "kubernetes"
}

// once is why a CronJob is in one cluster: in each of several all of it would be done.
func once(Object) string { return "what it runs would be run once in each cluster" }

// Is says whether a kind is of a kind, in whichever version.
func (s *FederatedKind) Is(k v1alpha1.Kind) bool { return s.Group == k.Group && s.Kind.Name == k.Name }

// helms says whether an object is Helm's own record of what it has installed in this API: in
// a cluster, it would tell of what Helm has never done there.
func helms(k Key, o Object) bool {
	return strings.HasPrefix(text(o, "type"), "helm.sh/release.") ||
		strings.HasPrefix(k.Name, "sh.helm.release.") && text(o, "metadata", "labels", "owner") == "helm"
}

// expires says whether a Job is taken away by the cluster when it has ended.
func expires(o Object) bool { return at(o, "spec", "ttlSecondsAfterFinished") != nil }

// expiry is when a Job that has ended has been kept for as long as it says; zero: it hasn't
// ended.
func expiry(o Object) time.Time {
	ttl, ok := number(o, "spec", "ttlSecondsAfterFinished")
	for _, kind := range []string{"Complete", "Failed"} {
		if c := condition(object(o, "status"), kind); c != nil && ok {
			if at, err := time.Parse(time.RFC3339, text(c, "lastTransitionTime")); err == nil {
				return at.Add(time.Duration(ttl) * time.Second)
			}
		}
	}
	return time.Time{}
}

// unlike is why the pods of a Job aren't alike: each has a number of its own, or what
// becomes of all counts. Half of such a Job in each of two clusters is one half, twice.
func unlike(o Object) string {
	spec := object(o, "spec")
	byIndex := func(r map[string]any) bool { return r["action"] == "FailIndex" }
	switch {
	case spec["successPolicy"] != nil:
		return "its success is that of some of its pods (successPolicy)"
	case spec["backoffLimitPerIndex"] != nil:
		return "its pods have indexes (backoffLimitPerIndex)"
	case slices.ContainsFunc(mapsOf(at(spec, "podFailurePolicy", "rules")), byIndex):
		return "its pods have indexes (podFailurePolicy)"
	case spec["completionMode"] == "Indexed":
		return "its pods have indexes (completionMode)"
	}
	return ""
}

// started says whether pods of a Job run, or have run.
func started(status Object, room bool) bool {
	for _, f := range []string{"ready", "succeeded", "failed"} {
		if n, _ := number(status, f); n > 0 {
			return true
		}
	}
	active, _ := number(status, "active")
	return ended(status) || room && (active > 0 || text(status, "startTime") != "")
}

// alone is why a StatefulSet isn't split: each cluster would have a pod of each name, and
// volumes of its own for it.
func alone(Object) string { return "its pods have names, and volumes that go with them" }

// synced says whether a StatefulSet has been looked at by its cluster: from then on it may
// have volumes, with what is in them.
func synced(status Object, _ bool) bool {
	n, _ := number(status, "replicas")
	return n > 0 || text(status, "currentRevision") != ""
}

// podsOfJob selects the pods of a Job, by what every API server that makes its selector
// calls them.
func podsOfJob(o Object) string {
	if at(o, "spec", "manualSelector") == true {
		return ""
	}
	return "batch.kubernetes.io/job-name=" + text(o, "metadata", "name")
}

// isInternal says whether a Service is for its cluster only.
func isInternal(o Object) bool { return text(o, "spec", "type") != "LoadBalancer" }

// Workload says whether pods come of objects of this kind, and a count of them is
// split.
func (s *FederatedKind) Workload() bool { return slices.Contains(s.Scale, "replicas") }

// A Key names a federated object, and its like in the clusters.
type Key struct {
	*FederatedKind
	Namespace, Name string
}

// String is as kubectl would have it: Deployment shop/web.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind.Name + " " + k.Name
	}
	return k.Kind.Name + " " + k.Namespace + "/" + k.Name
}

// system says whether a namespace is each cluster's own, or the federation's.
func system(namespace string) bool {
	return slices.Contains(builtin.SystemNamespaces, namespace) || namespace == v1alpha1.System || v1alpha1.IsPart(namespace)
}

// Federated says whether an object is one to be kept in the clusters: not what
// Kubernetes makes there by itself, nor what something else there makes.
func Federated(k Key, o Object) bool {
	switch {
	case system(k.Namespace), k.Group == v1alpha1.Group, k.own != nil && k.own(k, o), Made(k, o):
		return false
	}
	// A Namespace is where others' objects are, whoever made it.
	return k.Contains || !Owned(o)
}

// Made says whether an object is one that every cluster makes for itself, or fedctl.
func Made(k Key, o Object) bool {
	return builtin.Made(k.Kind.Name, k.Namespace, k.Name, texts(o, "metadata", "labels"), texts(o, "metadata", "annotations"))
}

// Owned says whether a controller made an object out of another one.
func Owned(o Object) bool {
	return slices.ContainsFunc(mapsOf(at(o, "metadata", "ownerReferences")), func(r map[string]any) bool { return r["controller"] == true })
}
