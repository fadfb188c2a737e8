package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// An Order is given to every fedns of a federation.
type Order struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              OrderSpec   `json:"spec"`
	Status            OrderStatus `json:"status"`
}

// An OrderSpec is what is ordered.
type OrderSpec struct {
	Action  string       `json:"action"`  // Drain, Down, Up or Failback
	Subject string       `json:"subject"` // cluster/NAME, region/NAME, zone/NAME, service/NAMESPACE/NAME
	Reason  string       `json:"reason"`
	Until   *metav1.Time `json:"until,omitempty"` // nil: until it is taken back
	// DryRun has servers say what it would change; it is never in force.
	DryRun bool `json:"dryRun,omitempty"`
}

// An OrderStatus is what servers have made of it.
type OrderStatus struct {
	InForce string               `json:"inForce,omitempty"` // in how many, of how many: "2/2"
	Servers map[string]Statement `json:"servers,omitempty"`
}

// A Statement is what one server says that it has made of an order.
type Statement struct {
	State      string       `json:"state,omitempty"`
	Generation int64        `json:"generation,omitempty"` // of the object that it is about
	Serial     int64        `json:"serial,omitempty"`     // of the first snapshot that was so
	Since      *metav1.Time `json:"since,omitempty"`
	Message    string       `json:"message,omitempty"`
	Answers    int64        `json:"answers,omitempty"`    // services that are answered with the cluster even so
	TTLSeconds int64        `json:"ttlSeconds,omitempty"` // how long answers with the cluster may be remembered
	Services   int64        `json:"services,omitempty"`   // that are answered otherwise
	Orphaned   int64        `json:"orphaned,omitempty"`   // that have no shard left
	Orphans    []string     `json:"orphans,omitempty"`    // the first of these
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
)
