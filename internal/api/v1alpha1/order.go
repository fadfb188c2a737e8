package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// An Order is given to every fedns of the federation. Of several that speak of a shard, the one
// made last counts.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=fedo,categories=fedns
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.action`,description="What is ordered."
// +kubebuilder:printcolumn:name="Subject",type=string,JSONPath=`.spec.subject`,description="About what."
// +kubebuilder:printcolumn:name="Until",type=string,JSONPath=`.spec.until`,description="When it ends by itself."
// +kubebuilder:printcolumn:name="In force",type=string,JSONPath=`.status.inForce`,description="In how many servers, of how many."
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`,description="For whoever finds it."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Order struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata"`
	// What is ordered.
	Spec OrderSpec `json:"spec"`
	// How it stands. fedns writes it.
	// +optional
	Status OrderStatus `json:"status"`
}

// An OrderSpec is what is ordered.
//
// +kubebuilder:validation:XValidation:rule="self.action != 'Failback' || self.subject.startsWith('region/') || self.subject.startsWith('service/')",message="only a region or a service can be gone back to",fieldPath=".subject"
type OrderSpec struct {
	// Drain and Down take shards out of the answers, Up answers with them whatever their state, Failback goes
	// back to the region that failover prefers.
	// +kubebuilder:validation:Enum=Drain;Down;Up;Failback
	Action string `json:"action"`
	// cluster/NAME, region/NAME, zone/NAME or service/NAMESPACE/NAME.
	// +kubebuilder:validation:MaxLength=400
	// +kubebuilder:validation:XValidation:rule=`self.matches('^((cluster|region|zone)/[^/\\s]+|service/[^/\\s]+/[^/\\s]+)$')`,message="is none of cluster/NAME, region/NAME, zone/NAME, service/NAMESPACE/NAME"
	Subject string `json:"subject"`
	// For whoever finds it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
	// When it ends by itself; without it, when it is taken back.
	Until *metav1.Time `json:"until,omitempty"`
	// It is never in force: servers say in status what it would change.
	DryRun bool `json:"dryRun,omitempty"`
}

// An OrderStatus is what servers have made of it.
type OrderStatus struct {
	// In how many servers it is in force, of how many there are, such as 2/2.
	InForce string `json:"inForce,omitempty"`
	// What each fedns has made of it, by the name of its Lease in federation-system.
	Servers map[string]Statement `json:"servers,omitempty"`
}

// A Statement is what one server says that it has made of an order.
type Statement struct {
	// InForce: its snapshot has it. Overruled: later orders count instead, about all that it speaks of.
	// NotInForce: it hasn't. Previewed: it says what would change.
	State string `json:"state,omitempty"`
	// Of the object that this is about.
	Generation int64 `json:"generation,omitempty"`
	// Of the first snapshot that was so.
	Serial int64 `json:"serial,omitempty"`
	// Since when it is so.
	Since *metav1.Time `json:"since,omitempty"`
	// Why it is so.
	Message string `json:"message,omitempty"`
	// How many services are answered with the cluster even so.
	Answers int64 `json:"answers,omitempty"`
	// How long answers with the cluster may be remembered.
	TTLSeconds int64 `json:"ttlSeconds,omitempty"`
	// How many services are answered otherwise with it.
	Services int64 `json:"services,omitempty"`
	// How many of these have no shard left.
	Orphaned int64 `json:"orphaned,omitempty"`
	// The first of them.
	Orphans []string `json:"orphans,omitempty"`
}

// The states of an order in a server.
const (
	InForce    = "InForce"    // its snapshot has it
	Overruled  = "Overruled"  // later ones count instead, about all that it speaks of
	NotInForce = "NotInForce" // it hasn't, or to no purpose
	Previewed  = "Previewed"  // it says what would change
)

// A server of a federation says that it is there by a Lease in the namespace System.
const (
	ServerLabel   = "fedns.io/server"  // "true"
	ServerVersion = "fedns.io/version" // an annotation
	// ServerFiled is one, too: a Filed, as JSON.
	ServerFiled = "fedns.io/overrides"
	// ServerPublished is one, too: a Published, as JSON.
	ServerPublished = "fedns.io/published"
)
