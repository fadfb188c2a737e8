package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is checked of a Cluster was wrong before, too, and then kept as it was by who read
// it: an object that has it already stays writable, since API servers check only what changes.

// A Cluster is a member of the federation.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=fedc,categories=fedns
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Ready, or why not; with \",Drained\" while its shards are taken out of the answers."
// +kubebuilder:printcolumn:name="Drain",type=string,JSONPath=`.status.conditions[?(@.type=="Drained")].message`,description="Until when it is drained, and why."
// +kubebuilder:printcolumn:name="Region",type=string,JSONPath=`.status.region`,description="The region that its names are in."
// +kubebuilder:printcolumn:name="Shards",type=string,JSONPath=`.status.shards`,description="How many of its shards are up, of how many."
// +kubebuilder:printcolumn:name="Heard",type=string,JSONPath=`.status.conditions[?(@.type=="Heard")].status`,description="Whether fedns hears from its API."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas.current`,priority=1,description="How many replicas of federated workloads are there."
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.replicas.ready`,priority=1,description="How many of those that fedsync wants there are ready."
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.kubernetesVersion`,priority=1,description="What its API server says that it is."
// +kubebuilder:printcolumn:name="Zones",type=string,JSONPath=`.status.zones`,priority=1,description="The zones that its names are in."
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].message`,priority=1,description="What is wrong in its spec."
// +kubebuilder:printcolumn:name="Heartbeat",type=date,JSONPath=`.status.lastHeartbeatTime`,priority=1,description="When fedsync last wrote that it answers."
type Cluster struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata"`
	// What an operator says of the cluster.
	Spec ClusterSpec `json:"spec"`
	// How the cluster stands. fedns and fedsync write it.
	// +optional
	Status ClusterStatus `json:"status"`
}

// A ClusterSpec is what an operator says of a cluster.
type ClusterSpec struct {
	// The Secret in federation-system whose key "kubeconfig" leads to the cluster, with rights to read.
	SecretRef *SecretRef `json:"secretRef,omitempty"`
	// A fedsync in the cluster fetches what it is to have, from the cluster's part of this API, and reports how that stands. No
	// credential for the cluster is needed here; secretRef is then for fedns only.
	Pull bool `json:"pull,omitempty"`
	// Taken instead of what the nodes say. One label of a DNS name.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || self.lowerAscii().matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && !(self.lowerAscii() in ['svc', 'ing'])",message="isn't one label of a DNS name, such as us-east1 (letters, digits and dashes; neither svc nor ing)"
	Region string `json:"region,omitempty"`
	// Taken instead of what the nodes say. Each is one label of a DNS name.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.lowerAscii().matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && !(self.lowerAscii() in ['svc', 'ing'])",message="isn't one label of a DNS name, such as us-east1-b (letters, digits and dashes; neither svc nor ing)"
	// +kubebuilder:validation:XValidation:rule="self.all(x, self.exists_one(y, x.lowerAscii() == y.lowerAscii()))",message="names a zone twice"
	Zones []string `json:"zones,omitempty"`
	// Latitude and longitude in degrees, such as "60.17 24.94".
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self == '' || self.matches('^\\s*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?[\\s,]+[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?[\\s,]*$')`,message="isn't a latitude and a longitude in degrees, such as \"60.17 24.94\""
	// +kubebuilder:validation:XValidation:rule=`self == '' || !self.matches('^\\s*[-+]?[0-9]+([.][0-9]+)?[\\s,]+[-+]?[0-9]+([.][0-9]+)?\\s*$') || double(self.replace(',', ' ').trim().split(' ')[0].replace('+', '')) <= 90.0 && double(self.replace(',', ' ').trim().split(' ')[0].replace('+', '')) >= -90.0`,message="the latitude isn't between -90 and 90 degrees; it comes before the longitude"
	// +kubebuilder:validation:XValidation:rule=`self == '' || !self.matches('^\\s*[-+]?[0-9]+([.][0-9]+)?[\\s,]+[-+]?[0-9]+([.][0-9]+)?\\s*$') || self.replace(',', ' ').replace('+', '').trim().split(' ').filter(x, x != '').all(x, double(x) <= 180.0 && double(x) >= -180.0)`,message="the longitude isn't between -180 and 180 degrees"
	Location string `json:"location,omitempty"`
	// The only addresses and networks that may be announced for it.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) || isCIDR(self)",message="isn't an address or a range of addresses, such as 203.0.113.7 or 203.0.113.0/24"
	// +kubebuilder:validation:XValidation:rule="self.all(x, self.exists_one(y, x == y))",message="names an address or a range twice"
	Addresses []string `json:"addresses,omitempty"`
	// The only objects that may have names of the federation: NAMESPACE, or NAMESPACE/NAME, in which * stands for any characters.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=320
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[-a-z0-9.*]+(/[-a-z0-9.*]+)?$')",message="isn't a namespace, or NAMESPACE/NAME, such as shop/* or shop/web"
	Exports []string `json:"exports,omitempty"`
	// The only hosts that may be claimed: HOST, .DOMAIN for all below it, *.DOMAIN for the wildcard, too, or * for all with all wildcards.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:XValidation:rule="self.lowerAscii().matches('^([*]|([*]?[.])?[-_a-z0-9]+([.][-_a-z0-9]+)*)$')",message="isn't a host such as shop.example.com, nor .example.com, nor *.example.com, nor *"
	Hosts []string `json:"hosts,omitempty"`
	// The only regions and zones that what it has may be in: REGION, or REGION/ZONE, in which * stands for any characters.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=130
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[-a-z0-9*]+(/[-a-z0-9*]+)?$')",message="isn't a region, or REGION/ZONE, such as eu-west1 or eu-west1/eu-west1-*"
	Places []string `json:"places,omitempty"`
	// Keep away from the cluster what doesn't tolerate them.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(x, self.exists_one(y, x.key == y.key && x.effect == y.effect))",message="has a key with the same effect twice"
	Taints []Taint `json:"taints,omitempty"`
	// Its shards are taken out of the answers.
	// +kubebuilder:validation:XValidation:rule="!has(self.until) || !has(self.evacuateAfter) || self.until > self.evacuateAfter",message="until isn't after evacuateAfter, so that the replicas would go when the drain is over",fieldPath=".until"
	Drain *Drain `json:"drain,omitempty"`
}

// A SecretRef names a Secret in the namespace System.
type SecretRef struct {
	// Its name.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
}

// A Taint keeps objects away that don't tolerate it.
type Taint struct {
	// What objects name to tolerate it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`
	// A tolerant object names this value, too, unless it tolerates any.
	Value string `json:"value,omitempty"`
	// NoSchedule: nothing new is placed there; NoExecute: what is there goes, too.
	// +kubebuilder:validation:Enum=NoSchedule;NoExecute
	Effect string `json:"effect"`
}

// A Drain takes the shards of a cluster out of the answers.
type Drain struct {
	// When the drain ends by itself; without it, when it is taken back.
	Until *metav1.Time `json:"until,omitempty"`
	// For whoever finds it.
	Reason string `json:"reason,omitempty"`
	// From when its replicas go to the other clusters: not before the answers that still name it have expired.
	// Without it they stay.
	EvacuateAfter *metav1.Time `json:"evacuateAfter,omitempty"`
}

// Holds says whether there is a drain that hasn't ended.
func (d *Drain) Holds(now time.Time) bool {
	return d != nil && (d.Until == nil || now.Before(d.Until.Time))
}

// A ClusterStatus is what fedsync and fedns found.
type ClusterStatus struct {
	// Ready and Offline (fedsync, and fedns where there is none), Valid, Heard and Drained (fedns).
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`
	// What its API server says that it is, such as v1.36.3.
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	// The region that its names are in, by its spec or its nodes.
	Region string `json:"region,omitempty"`
	// The zones that its names are in.
	Zones []string `json:"zones,omitempty"`
	// When its API last answered, to five minutes: a write for each heartbeat would be work for nothing.
	LastHeartbeatTime *metav1.Time `json:"lastHeartbeatTime,omitempty"`
	// How many of its shards are up, of how many, such as 12/14. fedns writes it.
	Shards string `json:"shards,omitempty"`
	// What each fedns has made of the drain, by the name of its Lease in federation-system.
	Servers map[string]Statement `json:"servers,omitempty"`
	// The replicas of federated Deployments and ReplicaSets, as fedsync counts them; written once a second at
	// the most, and only what has changed. Without it, it hasn't, or is of a version that doesn't.
	Replicas *Replicas `json:"replicas,omitempty"`
}

// A Condition is a metav1.Condition of which only the type and the status have to be said:
// programs of before said no more.
type Condition struct {
	// Ready, Offline, Valid, Heard or Drained.
	Type string `json:"type"`
	// Whether it is so.
	// +kubebuilder:validation:Enum="True";"False";Unknown
	Status metav1.ConditionStatus `json:"status"`
	// Since when the status is what it is.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`
	// One word for programs.
	// +optional
	Reason string `json:"reason"`
	// The same for people.
	// +optional
	Message string `json:"message"`
}
