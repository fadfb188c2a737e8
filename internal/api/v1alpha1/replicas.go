package v1alpha1

// Replicas are those of the federated Deployments and ReplicaSets in one cluster, as fedsync
// counts them. They are all of one moment.
type Replicas struct {
	// ObservedGeneration is of the Cluster object that fedsync plans by.
	ObservedGeneration int64 `json:"observedGeneration"`
	Tally              `json:",inline"`
	// Message is why the cluster can't be asked; the counts are then those of before.
	Message string `json:"message,omitempty"`
	// Elsewhere is said from when the cluster's replicas are to be in the others. It
	// stands here, and isn't to be added up from the others' statuses: those are written
	// at other moments, and a sum of them may have a replica twice, or not at all.
	Elsewhere *Elsewhere `json:"elsewhere,omitempty"`
}

// A Tally is a count of replicas.
type Tally struct {
	Desired int64 `json:"desired"` // that the plan has there
	Current int64 `json:"current"` // that are there
	Ready   int64 `json:"ready"`   // of those desired
	Pending int64 `json:"pending"` // workloads that aren't as the plan has them yet
}

// Plus adds another count.
func (t Tally) Plus(o Tally) Tally {
	return Tally{t.Desired + o.Desired, t.Current + o.Current, t.Ready + o.Ready, t.Pending + o.Pending}
}

// Minus takes another count away.
func (t Tally) Minus(o Tally) Tally {
	return Tally{t.Desired - o.Desired, t.Current - o.Current, t.Ready - o.Ready, t.Pending - o.Pending}
}

// Elsewhere is how the replicas stand in the other clusters that can be asked.
type Elsewhere struct {
	Tally `json:",inline"`
	// Unplaced are the first of the workloads of which not all replicas have a place in
	// any cluster; More is how many there are beside them.
	Unplaced []Unplaced `json:"unplaced,omitempty"`
	More     int64      `json:"more,omitempty"`
}

// Unplaced is a workload of which not all replicas have a place.
type Unplaced struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Replicas  int64  `json:"replicas"` // in all
	Placed    int64  `json:"placed"`   // of them
}
