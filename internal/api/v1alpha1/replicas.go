package v1alpha1

// Replicas are those of the federated Deployments and ReplicaSets in one cluster, as fedsync
// counts them. They are all of one moment.
type Replicas struct {
	// Of the Cluster object that fedsync plans by.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration"`
	Tally              `json:",inline"`
	// Why the cluster can't be asked; the counts are then those of before.
	Message string `json:"message,omitempty"`
	// The first workloads that are failing.
	Failures []Failure `json:"failures,omitempty"`
	// How they stand in the other clusters that can be asked; said while this one's are to be there.
	// It isn't to be added up from the others' statuses: those are written at other
	// moments, and a sum of them may have a replica twice, or not at all.
	Elsewhere *Elsewhere `json:"elsewhere,omitempty"`
}

// A Tally is a count of replicas.
type Tally struct {
	// How many fedsync wants there.
	// +optional
	Desired int64 `json:"desired"`
	// How many are there.
	// +optional
	Current int64 `json:"current"`
	// How many of those wanted are ready.
	// +optional
	Ready int64 `json:"ready"`
	// How many workloads aren't yet as they are wanted.
	// +optional
	Pending int64 `json:"pending"`
	// How many workloads don't come to be as they are wanted, for reasons of their own: nobody waits for them.
	Failing int64 `json:"failing,omitempty"`
	// How many of those there are of workloads that are failing.
	Held int64 `json:"held,omitempty"`
}

// Plus adds another count.
func (t Tally) Plus(o Tally) Tally {
	return Tally{t.Desired + o.Desired, t.Current + o.Current, t.Ready + o.Ready, t.Pending + o.Pending, t.Failing + o.Failing, t.Held + o.Held}
}

// Minus takes another count away.
func (t Tally) Minus(o Tally) Tally {
	return Tally{t.Desired - o.Desired, t.Current - o.Current, t.Ready - o.Ready, t.Pending - o.Pending, t.Failing - o.Failing, t.Held - o.Held}
}

// Elsewhere is how the replicas stand in the other clusters that can be asked.
type Elsewhere struct {
	Tally `json:",inline"`
	// The first workloads that are failing there.
	Failures []Failure `json:"failures,omitempty"`
	// The first workloads of which not all replicas have a place in any cluster.
	Unplaced []Unplaced `json:"unplaced,omitempty"`
	// How many such workloads there are beside these.
	More int64 `json:"more,omitempty"`
}

// Unplaced is a workload of which not all replicas have a place.
type Unplaced struct {
	// Deployment or ReplicaSet.
	Kind string `json:"kind"`
	// Its namespace.
	Namespace string `json:"namespace"`
	// Its name.
	Name string `json:"name"`
	// How many it has in all.
	// +optional
	Replicas int64 `json:"replicas"`
	// How many of them have a place.
	// +optional
	Placed int64 `json:"placed"`
}

// A Failure is a workload that doesn't come to be in a cluster as it should.
type Failure struct {
	// Where it is so.
	Cluster string `json:"cluster,omitempty"`
	// Deployment or ReplicaSet.
	Kind string `json:"kind"`
	// Its namespace.
	Namespace string `json:"namespace"`
	// Its name.
	Name string `json:"name"`
	// Why it is so.
	Message string `json:"message"`
}
