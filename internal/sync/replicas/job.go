package replicas

// A JobCluster is one that may work on a Job. Its Current is the parallelism of
// the Job that is there.
type JobCluster struct {
	Cluster
	Completions *int64 // of the Job that is there, which nobody can change any more; nil: there is none, or it has none
}

// A JobShare is what one cluster does of a Job.
type JobShare struct {
	Parallelism int64
	Completions *int64 // nil if the whole Job has none
	Why         string
}

// Job splits a Job's parallelism and completions.
//
// Parallelism is split as replicas are. Completions follow it, so that clusters
// are done at about the same time, and a cluster has both or none: completions
// without parallelism are never done, parallelism without completions does
// nothing. So a Job of parallelism 1 runs in one cluster, whole. Preferred minimums
// and maximums speak of parallelism. A Job that is paused, parallelism 0, has its
// completions split as if all ran at once.
//
// Completions can't be changed once a Job is there, so those stay what they are
// and the rest goes to clusters that have no Job yet. If there is no such cluster,
// the completions add up to less. A Job that is there with completions keeps a
// parallelism of 1 at least, even if the sum exceeds what is asked for.
//
// A Job without completions is done when its workers say so: its parallelism is
// split, and where that is 0 no Job should be, since it would never end.
func Job(p Preferences, parallelism int64, completions *int64, clusters []JobCluster, key string) map[string]JobShare {
	parallelism = clamp(parallelism)
	out := make(map[string]JobShare, len(clusters))
	if completions == nil {
		for name, s := range Split(p, parallelism, plain(clusters), key) {
			out[name] = JobShare{Parallelism: s.Asked(), Why: s.Why}
		}
		return out
	}
	work := divide(p, parallelism, clamp(*completions), clusters, key)

	// Those that have work share the whole parallelism, and none goes without. More
	// pods than there is work would idle while others' work waits.
	running := Preferences{Rebalance: p.Rebalance, Clusters: map[string]ClusterPreference{}}
	workers := plain(clusters)
	for i, c := range clusters {
		if pref, ok := p.Of(c.Name); ok && work[c.Name] > 0 {
			running.Clusters[c.Name] = pref
		}
		if parallelism <= clamp(*completions) {
			workers[i].Ceiling = lower(c.Ceiling, work[c.Name])
		}
	}
	for name, s := range split(running, parallelism, 1, workers, key) {
		done := work[name]
		share := JobShare{Parallelism: s.Asked(), Completions: &done, Why: s.Why}
		if _, ok := p.Of(name); ok && done == 0 {
			share.Why = "no completions"
		}
		out[name] = share
	}
	for _, c := range clusters {
		s := out[c.Name]
		_, runs := running.Clusters[c.Name]
		if runs && s.Parallelism == 0 && parallelism > 0 && (c.Ceiling == nil || *c.Ceiling > 0) {
			s.Parallelism, s.Why = 1, "its completions have to be done"
			out[c.Name] = s
		}
	}
	return out
}

// divide says how many completions each cluster does.
func divide(p Preferences, parallelism, completions int64, clusters []JobCluster, key string) map[string]int64 {
	work := make(map[string]int64, len(clusters))
	rest := completions
	for _, c := range clusters {
		if c.Completions != nil {
			work[c.Name] = clamp(*c.Completions)
			rest -= work[c.Name]
		}
	}
	if rest <= 0 {
		return work
	}

	// More pods than there is work don't run, so they get no cluster work.
	wide := min(parallelism, completions)
	if parallelism == 0 {
		wide = completions
	}
	bounded := Preferences{Rebalance: p.Rebalance, Clusters: map[string]ClusterPreference{}}
	candidates := plain(clusters)
	for i, c := range clusters {
		pref, ok := p.Of(c.Name)
		if ok && c.Completions != nil {
			candidates[i].Ceiling = lower(c.Ceiling, work[c.Name])
			pref = atLeastOne(pref)
		}
		if ok {
			bounded.Clusters[c.Name] = pref
		}
	}
	first := Split(bounded, wide, candidates, key)

	follow := Preferences{Clusters: map[string]ClusterPreference{}}
	var open []Cluster
	for _, c := range clusters {
		if n := first[c.Name].Replicas; n > 0 && c.Completions == nil {
			follow.Clusters[c.Name] = ClusterPreference{Weight: n}
			open = append(open, Cluster{Name: c.Name})
		}
	}
	for name, s := range Split(follow, rest, open, key) {
		work[name] = s.Replicas
	}
	return work
}

func plain(clusters []JobCluster) []Cluster {
	out := make([]Cluster, len(clusters))
	for i, c := range clusters {
		out[i] = c.Cluster
	}
	return out
}

func atLeastOne(p ClusterPreference) ClusterPreference {
	p.Min = max(p.Min, 1)
	return p
}

// lower is the lower of two bounds.
func lower(bound *int64, n int64) *int64 {
	if bound != nil {
		n = min(n, *bound)
	}
	return &n
}
