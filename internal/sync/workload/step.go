package workload

// A Verb is what a step does.
type Verb string

// The verbs.
const (
	Create  Verb = "create"
	Update  Verb = "update"
	Adopt   Verb = "adopt"   // update what wasn't ours
	Delete  Verb = "delete"  //
	Release Verb = "release" // take our marks off, and leave it
)

// A Step is one thing to do in one cluster.
type Step struct {
	Cluster string
	Key
	Verb   Verb
	Object Object // what to apply
	Scale  Scale  // its part of what is split, as it is to be written
	Share  Scale  // and as it is planned, which an autoscaler there may change
	Hash   string // of its template
	// UID is of the object that is meant, where it is there already.
	UID string
	// Version is the only resourceVersion that may be written over; "": any.
	Version string
	Changes []Change // the fields, where it is there already
	// Drift is that somebody else has changed what was asked for before.
	Drift bool
	Why   string
}

// A Note is something to be said of a federated object, as an event.
type Note struct {
	Warning bool
	Reason  string // a word, for machines
	Text    string
}

// BadAnnotation is the reason of an object whose placement can't be read.
const BadAnnotation = "BadAnnotation"

// DependencyMissing is the reason of a workload whose pods need what the federation doesn't have.
const DependencyMissing = "DependencyMissing"

// A Plan is what follows from what is wanted of one object and what is there.
type Plan struct {
	// Hold is that nothing may be done before the object has its finalizer.
	Hold      bool
	Steps     []Step
	Standings []Propagation
	Notes     []Note
	// Missing is what its pods need and isn't there.
	Missing []string
	// Done is that the object is being deleted and nothing of it is left, or what is
	// left is tried once more and then let go.
	Done bool
}
