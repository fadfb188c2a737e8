package shard

import (
	"slices"

	"github.com/fedns/fedns/internal/override"
)

// A Lifetime is how long answers with a cluster may be remembered.
type Lifetime struct {
	Own     uint32 // seconds; the longest TTL that a service of the cluster says itself
	Default bool   // one of them says none, and has the federation's
}

// Lifetimes gives those of all members, by index. Every service counts that a
// cluster has, up or not: it may have been up a moment ago. Where members disagree
// on a service's TTL, the longest counts: any of them may have been the oldest.
func (t *Table) Lifetimes() []Lifetime {
	out := make([]Lifetime, len(t.members))
	for _, s := range t.services {
		var ttl uint32
		for _, p := range s.pieces {
			if p != nil && p.object != nil {
				ttl = max(ttl, p.object.TTL)
			}
		}
		for i, p := range s.pieces {
			if p != nil && p.object != nil {
				out[i].Own = max(out[i].Own, ttl)
				out[i].Default = out[i].Default || ttl == 0
			}
		}
	}
	return out
}

// OrderOn is the last order about a cluster as a whole, which is the one that counts
// of those.
func (t *Table) OrderOn(cluster int) (o override.Order, ok bool) {
	subject := override.Subject{Kind: override.Cluster, Name: string(t.members[cluster].Name)}
	for _, o := range slices.Backward(t.orders) {
		if o.Subject == subject {
			return o, true
		}
	}
	return o, false
}
