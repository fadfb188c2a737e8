package table

import "github.com/fedns/fedns/internal/override"

// A Lifetime is how long answers with a cluster may be remembered.
type Lifetime struct {
	Own     uint32 // seconds; the longest TTL that a service of the cluster says itself
	Default bool   // one of them says none, and has the federation's
}

// Lifetimes gives those of all members, by index. Every service counts that a
// cluster has, up or not: it may have been up a moment ago. Where members disagree
// on a service's TTL, the longest counts, and the federation's: any of them may have been the only one.
func (t *Table) Lifetimes() []Lifetime {
	out := make([]Lifetime, len(t.members))
	for _, s := range t.services {
		var ttl uint32
		disagree := false
		for _, p := range s.pieces {
			if p != nil && p.object != nil {
				disagree = disagree || p.object.TTL != 0 && ttl != 0 && p.object.TTL != ttl
				ttl = max(ttl, p.object.TTL)
			}
		}
		for i, p := range s.pieces {
			if p != nil && p.object != nil {
				out[i].Own = max(out[i].Own, ttl)
				out[i].Default = out[i].Default || ttl == 0 || disagree
			}
		}
	}
	return out
}

// OrderOn is the order that counts for a cluster as a whole: of those that speak of all
// of its places, the last.
func (t *Table) OrderOn(cluster int) (o override.Order, ok bool) {
	return override.On(t.orders, t.ClusterPlaces(cluster))
}

// AllClusterPlaces are those of all members that there are.
func (t *Table) AllClusterPlaces() (out []override.ClusterPlace) {
	for i, m := range t.members {
		if !m.vacant {
			out = append(out, t.ClusterPlaces(i)...)
		}
	}
	return out
}

// ClusterPlaces are those of a cluster; one without a place, where none is known.
func (t *Table) ClusterPlaces(cluster int) (out []override.ClusterPlace) {
	name := string(t.members[cluster].Name)
	for _, p := range t.Places(cluster) {
		out = append(out, override.ClusterPlace{Cluster: name, Region: p.Region, Zone: p.Zone})
	}
	if out == nil {
		out = []override.ClusterPlace{{Cluster: name}}
	}
	return out
}
