// Package v1alpha1 is the API of a federation: the Cluster objects, and what is
// written on the objects that are kept in every cluster.
//
// It only names and shapes things. What reads and writes them is elsewhere. The
// CustomResourceDefinitions in deploy are made of the types here, with their comments as
// what `kubectl explain` says, by `make generate`; so are the deep copies.
//
// +groupName=fedns.io
// +kubebuilder:object:generate=true
package v1alpha1

// Where Cluster objects are, in an API of a federation.
const (
	Group   = "fedns.io"
	Version = "v1alpha1"
	// System is the namespace of what fedns and fedsync need themselves: the
	// Secrets of the clusters, the Lease. It is kept out of the members' sight.
	System = "federation-system"
)

// Clusters is the kind of Cluster objects.
var Clusters = Kind{Group: Group, Version: Version, Name: "Cluster", Resource: "clusters"}

// Orders is the kind of Order objects.
var Orders = Kind{Group: Group, Version: Version, Name: "Order", Resource: "orders"}

// Placements is the kind of Placement objects.
var Placements = Kind{Group: Group, Version: Version, Name: "Placement", Resource: "placements", Namespaced: true}

// KubeconfigKey is the key of a cluster's Secret.
const KubeconfigKey = "kubeconfig"

// WriterSuffix makes the name of the Secret with the rights to write of the name
// of that with the rights to read, which a Cluster object refers to: who may read
// the one need not read the other.
const WriterSuffix = "-fedsync"

// Returning, an annotation of a Cluster, is that its replicas may come back while it
// is still drained: fedctl undrain has begun.
const Returning = "fedns.io/returning"

// Conditions of a Cluster, as the first federation had them.
const (
	Ready   = "Ready"   // its API says that it is
	Offline = "Offline" // its API can't be reached
	Valid   = "Valid"   // its spec can be gone by
	Heard   = "Heard"   // fedns hears from its API
	Drained = "Drained" // its shards are taken out of the answers
)

// AndDrained is added to the reason of Ready while a cluster is drained.
const AndDrained = ",Drained"

// What users write on Services, Ingresses, Gateways and routes in a member.
const (
	Export       = "fedns.io/export" // a label, "true"
	Addresses    = "fedns.io/addresses"
	TTL          = "fedns.io/ttl"
	Policy       = "fedns.io/policy"
	Weight       = "fedns.io/weight"
	Probe        = "fedns.io/probe"
	ProbeAddress = "fedns.io/probe-address"
	Front        = "fedns.io/front"
	Hostname     = "fedns.io/hostname"
)

// What operators write on a federated object.
const (
	Selector    = "fedns.io/cluster-selector"
	Preferences = "fedns.io/preferences"
	Tolerations = "fedns.io/tolerations"
	// Overrides are what is different in some clusters.
	Overrides = "fedns.io/overrides"
	// Surge is how many replicas there may be beyond those that are wanted while some
	// move: "25%", or "2".
	Surge = "fedns.io/surge"
	// Follow, "dependencies", has what the pods of a workload need go with it.
	Follow = "fedns.io/follow"
	// Propagate, "false", keeps an object out of the clusters, but for those where others go
	// that need it; on a Namespace, all in it that doesn't say "true".
	Propagate = "fedns.io/propagate"
	// Everywhere, "true", has each cluster do what otherwise only one of them does.
	Everywhere = "fedns.io/everywhere"
	// Adopt, "true", lets fedsync take over objects of that name that were in the
	// clusters before.
	Adopt = "fedns.io/adopt"
	// Orphan, "true", leaves the clusters' objects when the federated one goes.
	Orphan = "fedns.io/orphan"
	// Release is a list of clusters, separated by commas, that a deletion no
	// longer waits for; "*": for none.
	Release = "fedns.io/release"
)

// What fedsync writes.
const (
	MadeBy    = "app.kubernetes.io/managed-by" // a label, on what fedctl makes, or fedsync in its place
	Fedctl    = "fedctl"                       // its value
	ManagedBy = "fedns.io/managed-by"          // a label, on objects in clusters
	Fedsync   = "fedsync"                      // its value, and the name of the field manager
	// Federation is the name of the federation an object in a cluster belongs to.
	Federation = "fedns.io/federation"
	// Applied is a hash of what was applied last.
	Applied = "fedns.io/applied"
	// StatusOf is what became of a federated object in each cluster, as JSON.
	StatusOf = "fedns.io/status"
	// Finalizer holds a federated object until its like are gone from the clusters.
	Finalizer = "fedns.io/fedsync"
)

// What fedctl and fedns write.
const (
	// MemberName, on the service accounts in a member, is what it is called.
	MemberName = "fedns.io/cluster"
	// MemberIdentity, on the Secrets of a cluster, tells which one it is.
	MemberIdentity = "fedns.io/cluster-identity"
	// AddedKinds, on a role, are the kinds that were added to it.
	AddedKinds = "fedns.io/kinds"
	// EtcdFormed, on etcd's StatefulSet, is that its members know each other.
	EtcdFormed = "fedns.io/etcd-formed"
	// Restoring, on an object, is that it isn't as it was in all respects yet. It is gone with the last write, which
	// gives the object all that it had.
	Restoring = "fedns.io/restoring"
	// Publishes, a label, says of a DNSEndpoint which federation's names are in it, and Domain under which domain.
	Publishes = "fedns.io/publishes"
	Domain    = "fedns.io/domain"
	// DigestOf, on the list of deletions that wait, is its digest; Confirmed, of the same value, lets them go.
	DigestOf  = "fedns.io/digest"
	Confirmed = "fedns.io/confirmed"
)
