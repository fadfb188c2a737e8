package v1alpha1

import (
	"crypto/sha256"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What a cluster that pulls may say is bounded here: its credential may write nothing else, and a part
// of the federation's API that is full must be full for nobody but that cluster. An object of a
// Work is written twice, as it is to be and as it is, and both have to fit into what etcd takes at once (1.5 MiB).

// LongestManifest is how many bytes an object may have that a cluster pulls, as JSON.
const LongestManifest = 600000

// A Work is one object of a cluster that pulls: what is to be done with it there next, and how it is. fedsync
// makes it, in the namespace of the cluster, and fedsync in the cluster does what it says, and writes its status.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=fedw
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.object.kind`,description="Of the object."
// +kubebuilder:printcolumn:name="In",type=string,JSONPath=`.spec.object.namespace`,description="The object's namespace in the cluster."
// +kubebuilder:printcolumn:name="Object",type=string,JSONPath=`.spec.object.name`,description="What the object is called."
// +kubebuilder:printcolumn:name="Verb",type=string,JSONPath=`.spec.verb`,description="What is to be done, or was done last."
// +kubebuilder:printcolumn:name="Asked",type=integer,JSONPath=`.spec.sequence`,description="Which step was asked for last."
// +kubebuilder:printcolumn:name="Done",type=integer,JSONPath=`.status.sequence`,description="Which step was done last."
// +kubebuilder:printcolumn:name="Error",type=string,JSONPath=`.status.error`,description="Why that failed."
// +kubebuilder:validation:XValidation:rule="!has(self.status) || !has(self.status.sequence) || self.status.sequence <= self.spec.sequence",message="no step is done that wasn't asked for"
type Work struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata"`
	// What is to be done.
	Spec WorkSpec `json:"spec"`
	// What came of it. The cluster writes it, and nothing else.
	// +optional
	Status WorkStatus `json:"status"`
}

// A WorkSpec is what is to be done with an object next.
type WorkSpec struct {
	// Which object of the cluster it is about.
	Object WorkObject `json:"object"`
	// Each step has the next number: one that the status has reached is over.
	Sequence int64 `json:"sequence"`
	// What the step does; nothing: the last one was taken back.
	// +kubebuilder:validation:Enum=look;create;update;adopt;delete;release;""
	Verb string `json:"verb,omitempty"`
	// The only object of this name that is meant.
	UID string `json:"uid,omitempty"`
	// The only resourceVersion that may be written over.
	Version string `json:"version,omitempty"`
	// What the cluster is to have, as JSON; it stays while other steps are done. Of an object that is fedsync's, the
	// status shows the fields that stand here, and few others.
	// +kubebuilder:validation:MaxLength=600000
	Manifest string `json:"manifest,omitempty"`
}

// A WorkObject is an object of a cluster.
type WorkObject struct {
	// Its group and version, such as apps/v1.
	// +kubebuilder:validation:MaxLength=320
	APIVersion string `json:"apiVersion"`
	// Its kind.
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// Its namespace; none: it is in none.
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// Its name.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// A WorkStatus is what came of a step, and how the object is.
type WorkStatus struct {
	// Which step was done last.
	Sequence int64 `json:"sequence,omitempty"`
	// Why that failed; nothing: it didn't.
	// +kubebuilder:validation:MaxLength=4096
	Error string `json:"error,omitempty"`
	// Refused: it will fail again until something is changed; Soon: what is in the way will be gone in a moment.
	// +kubebuilder:validation:Enum=Refused;Soon;""
	Reason string `json:"reason,omitempty"`
	// There was an object of that name already, which isn't fedsync's.
	Taken bool `json:"taken,omitempty"`
	// The object as it is there, as JSON; nothing: it isn't there.
	// +kubebuilder:validation:MaxLength=600000
	Observed string `json:"observed,omitempty"`
}

// An Agent is the fedsync of a cluster that pulls. There is one in the namespace of the cluster, which fedctl join makes.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=feda
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.cluster`,description="Whose it is."
// +kubebuilder:printcolumn:name="Fedsync",type=string,JSONPath=`.status.version`,description="Of the program."
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.kubernetesVersion`,description="What the cluster's API server says that it is."
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,description="What is wrong there."
type Agent struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata"`
	// What it has to know.
	Spec AgentSpec `json:"spec"`
	// What it says of its cluster.
	// +optional
	Status AgentStatus `json:"status"`
}

// An AgentSpec is what the fedsync of a cluster has to know.
type AgentSpec struct {
	// What the cluster is called.
	Cluster string `json:"cluster"`
	// The name of the federation.
	Federation string `json:"federation"`
	// What is kept beside the usual kinds, such as example.com/v1/Gadget.
	Kinds []string `json:"kinds,omitempty"`
	// The UID of the cluster's kube-system, as it was when it was first heard of; in another cluster nothing is done.
	Identity string `json:"identity,omitempty"`
	// How long its credential lasts; it renews it by itself. Nothing: it doesn't end.
	TokenLife string `json:"tokenLife,omitempty"`
}

// An AgentStatus is what the fedsync of a cluster says of it.
type AgentStatus struct {
	// Of the program.
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version,omitempty"`
	// Tells one run of the program from another.
	// +kubebuilder:validation:MaxLength=128
	Session string `json:"session,omitempty"`
	// All that it has found is in the statuses of Works, or below.
	Synced bool `json:"synced,omitempty"`
	// What is wrong; nothing: nothing is.
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// The API of its own cluster can't be reached.
	Offline bool `json:"offline,omitempty"`
	// What the cluster's API server says that it is.
	// +kubebuilder:validation:MaxLength=128
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	// Where its nodes are.
	// +kubebuilder:validation:MaxLength=63
	Region string `json:"region,omitempty"`
	// Where its nodes are.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	Zones []string `json:"zones,omitempty"`
	// The UID of the cluster's kube-system.
	// +kubebuilder:validation:MaxLength=64
	Identity string `json:"identity,omitempty"`
	// How far the cluster's store has come.
	// +kubebuilder:validation:MaxLength=64
	Revision string `json:"revision,omitempty"`
	// How it is served what is kept.
	// +kubebuilder:validation:MaxItems=256
	Kinds []AgentKind `json:"kinds,omitempty"`
	// What it has found that no Work speaks of; the first of it.
	// +kubebuilder:validation:MaxItems=200
	Unknown []WorkObject `json:"unknown,omitempty"`
	// Pods that no node has room for; the first of them.
	// +kubebuilder:validation:MaxItems=200
	Pending []AgentPod `json:"pending,omitempty"`
}

// An AgentKind is how a kind is served in a cluster.
type AgentKind struct {
	// Such as apps/v1/Deployment.
	// +kubebuilder:validation:MaxLength=400
	Kind string `json:"kind"`
	// Listed: all is known; Missing: it isn't served; Hidden: nor is it, and what there was of it is there still; Denied: it may not be listed.
	// +kubebuilder:validation:Enum=Listed;Missing;Hidden;Denied
	State string `json:"state"`
	// Why.
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
}

// The states of an AgentKind.
const (
	KindListed  = "Listed"
	KindMissing = "Missing"
	KindHidden  = "Hidden"
	KindDenied  = "Denied"
)

// The reasons of a Work's error.
const (
	WorkRefused = "Refused"
	WorkSoon    = "Soon"
)

// An AgentPod is a pod that no node has room for.
type AgentPod struct {
	// Its namespace.
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// By which it is selected.
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
	// Since when there is no room.
	Since metav1.Time `json:"since"`
}

// Works is the kind of Work objects.
var Works = Kind{Group: Group, Version: Version, Name: "Work", Resource: "works", Namespaced: true}

// Agents is the kind of Agent objects.
var Agents = Kind{Group: Group, Version: Version, Name: "Agent", Resource: "agents", Namespaced: true}

// AgentName is what is called so in the namespace of a cluster that pulls: the Agent, its service account, its role
// and its Lease.
const AgentName = "agent"

// AgentsPolicy names what keeps the service accounts of clusters that pull, and its binding.
const AgentsPolicy = "agents." + Group

// partPrefix is what the namespaces of clusters that pull begin with.
const partPrefix = "federation-cluster-"

// longestLabel is how long the name of a namespace may be.
const longestLabel = 63

// PartOf is the namespace of the federation's API that has a cluster's part of it: all that a cluster that pulls
// may read there.
func PartOf(cluster string) string {
	if name := partPrefix + cluster; len(name) <= longestLabel && !strings.Contains(cluster, ".") {
		return name
	}
	id := sha256.Sum256([]byte(cluster))
	clean := strings.Trim(fmt.Sprintf("%.30s", unclean.ReplaceAllString(cluster, "-")), "-")
	return fmt.Sprintf("%s%s--%x", partPrefix, clean, id[:5])
}

// IsPart says whether a namespace is one of those.
func IsPart(namespace string) bool { return strings.HasPrefix(namespace, partPrefix) }

// PartSecret names the Secret in System of a cluster that pulls, whose key "kubeconfig" leads to its part.
func PartSecret(federation string) string { return WriterAccount(federation) + ".part" }

// WorkName is what the Work of an object is called, such as deployment.shop.web.0123456789.
func WorkName(o WorkObject) string {
	group, _, grouped := strings.Cut(o.APIVersion, "/")
	if !grouped {
		group = ""
	}
	id := sha256.Sum256([]byte(group + "/" + o.Kind + "/" + o.Namespace + "/" + o.Name))
	clean := strings.Trim(fmt.Sprintf("%.150s", unclean.ReplaceAllString(strings.ToLower(o.Kind+"."+o.Namespace+"."+o.Name), "-")), "-")
	return fmt.Sprintf("%s.%x", clean, id[:10])
}
