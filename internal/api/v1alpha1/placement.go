package v1alpha1

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Placement says how one federated object stands in the clusters. fedsync makes it, beside the
// object or, for one that is in no namespace, in federation-system, and removes it with the object.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=fedp
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.object.kind`,description="Of the federated object."
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desired`,description="How many of what is counted it is to have in all clusters."
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.ready`,description="How many of those are ready."
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`,description="The worst of its states in the clusters."
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=`.status.why`,description="What isn't as it should be."
// +kubebuilder:printcolumn:name="Clusters",type=string,JSONPath=`.status.summary`,priority=1,description="How it stands in each."
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.since`,priority=1,description="Since when its state is this one."
// +kubebuilder:selectablefield:JSONPath=`.status.state`
// +kubebuilder:selectablefield:JSONPath=`.object.kind`
type Placement struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata"`
	// The federated object that it is about.
	Object PlacedObject `json:"object"`
	// How that stands.
	// +optional
	Status PlacementStatus `json:"status"`
}

// A PlacedObject is a federated object, of the namespace of its Placement unless it is in none.
type PlacedObject struct {
	// Its group and version, such as apps/v1.
	APIVersion string `json:"apiVersion"`
	// Its kind.
	Kind string `json:"kind"`
	// Its namespace; none: it is in none.
	Namespace string `json:"namespace,omitempty"`
	// Its name.
	Name string `json:"name"`
}

// String is as fedctl status takes it: shop/Deployment/web, or Namespace/shop.
func (o PlacedObject) String() string {
	return strings.TrimPrefix(o.Namespace+"/"+o.Kind+"/"+o.Name, "/")
}

// A PlacementStatus is how a federated object stands.
type PlacementStatus struct {
	// Of the object that this is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// The worst of its states in the clusters; Applied: it is everywhere as it should be.
	State string `json:"state"`
	// What isn't as it should be; nothing: all is.
	Why string `json:"why,omitempty"`
	// Since when its state is this one.
	Since *metav1.Time `json:"since,omitempty"`
	// How many of what is counted it is to have: replicas, completions of a Job, pods of a DaemonSet.
	Desired *int64 `json:"desired,omitempty"`
	// How many of those are ready, or have succeeded.
	Ready *int64 `json:"ready,omitempty"`
	// How it stands in each cluster, in a line.
	Summary string `json:"summary,omitempty"`
	// How it stands in each cluster that it is in, or is to be in.
	// +listType=map
	// +listMapKey=name
	Clusters []PlacementCluster `json:"clusters,omitempty"`
}

// A PlacementCluster is how a federated object stands in one cluster.
type PlacementCluster struct {
	// Of the cluster.
	Name string `json:"name"`
	// Applied, Pending, Failed, NameTaken, Unreachable, NotServed, Deleting, Waiting or Finished.
	State string `json:"state"`
	// Why it is so, or why it is there.
	Why string `json:"why,omitempty"`
	// How many of what is counted it is to have there.
	Desired *int64 `json:"desired,omitempty"`
	// How many of those are ready, or have succeeded.
	Ready *int64 `json:"ready,omitempty"`
}

// PlacedWell is the state of an object that is everywhere as it should be.
const PlacedWell = "Applied"

// Well says whether nothing has to be looked at.
func (s *PlacementStatus) Well() bool { return s.State == PlacedWell && s.Why == "" }

// dnsName is what an object of a definition may be called.
var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// longestName is how long that may be.
const longestName = 253

// PlacementName is what the Placement of an object is called: by its kind and name, such as
// deployment.web. What isn't unambiguous so, or no name, is by a hash: kinds of other groups, a
// Role "a:b", names that are too long. native says that the kind is Kubernetes's own.
func PlacementName(k Kind, name string, native bool) string {
	kind := strings.ToLower(k.Name)
	if plain := kind + "." + name; native && len(plain) <= longestName && dnsName.MatchString(plain) {
		return plain
	}
	id := sha256.Sum256([]byte(k.Group + "/" + k.Name + "/" + name))
	clean := strings.Trim(fmt.Sprintf("%.180s", strings.Trim(unclean.ReplaceAllString(strings.ToLower(name), "-"), "-")), "-")
	return strings.Join(slices.DeleteFunc([]string{kind, clean, fmt.Sprintf("%x", id[:5])}, func(part string) bool { return part == "" }), ".")
}

var unclean = regexp.MustCompile(`[^a-z0-9]+`)
