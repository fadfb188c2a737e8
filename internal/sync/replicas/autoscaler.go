package replicas

// An AutoscalerCluster is one that may scale an object. Its Current is the
// maxReplicas of the autoscaler that is there.
type AutoscalerCluster struct {
	Cluster
	Min int64 // minReplicas of the autoscaler that is there
}

// A Range is what one cluster's autoscaler may scale between. Kubernetes wants both
// bounds to be 1 at least, so a cluster whose Max is 0 gets no autoscaler.
type Range struct {
	Min, Max int64
	Why      string
}

// Autoscaler splits the range of an autoscaler.
//
// Every cluster with weight or a minimum gets a range while there are replicas
// enough, and shares by weight come on top of the 1 that each has to have. So the
// greatest add up exactly, and the least add up to what is asked for, or to one for
// each autoscaler if those are more. Preferred minimums bound both ends from below,
// maximums from above.
//
// A cluster without room still gets a range up to 1: without an autoscaler nothing
// there would notice that there is room again.
func Autoscaler(p Preferences, least, most int64, clusters []AutoscalerCluster, key string) map[string]Range {
	most = clamp(most)
	least = min(clamp(least), most)
	one := Preferences{Rebalance: p.Rebalance, Clusters: map[string]ClusterPreference{}}
	tops := make([]Cluster, len(clusters))
	for i, c := range clusters {
		tops[i] = c.Cluster
		if c.Capacity != nil {
			room := max(*c.Capacity, 1)
			tops[i].Capacity = &room
		}
		pref, ok := p.Of(c.Name)
		if ok && (pref.Weight > 0 || pref.Min > 0) {
			pref = atLeastOne(pref)
		}
		if ok {
			one.Clusters[c.Name] = pref
		}
	}
	out := make(map[string]Range, len(clusters))
	var bottoms []Cluster
	high := Split(one, most, tops, key)
	for _, c := range clusters {
		top := high[c.Name].Replicas
		out[c.Name] = Range{Max: top, Why: high[c.Name].Why}
		if top > 0 {
			bottoms = append(bottoms, Cluster{Name: c.Name, Current: c.Min, Ceiling: &top})
		}
	}
	for name, s := range split(p, max(least, int64(len(bottoms))), 1, bottoms, key) {
		r := out[name]
		r.Min = s.Replicas
		out[name] = r
	}
	return out
}
