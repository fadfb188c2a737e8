package workload

import (
	"maps"
	"slices"

	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// A federated HorizontalPodAutoscaler and what it scales are planned together: the
// replicas of all clusters add up to no more than its maximum, and to its minimum at
// least. A cluster that gets no autoscaler for there being too few has no replicas, and one
// that is to have more waits until others have that many fewer.

// autoscalers splits the range of an autoscaler. Where it doesn't say how, that is as its
// target's replicas are.
func (v *View) autoscalers(out map[string]Scale, clusters []replicas.Cluster, key string) {
	preferences := v.preferences
	if v.Target != nil && !v.Preferring {
		preferences = v.Target.preferences
	}
	var all []replicas.AutoscalerCluster
	for _, c := range clusters {
		all = append(all, replicas.AutoscalerCluster{Cluster: c, Min: v.current(c.Name)["minReplicas"]})
	}
	var room map[string]int64
	if v.Target != nil && v.Target.Ranged {
		room = v.Target.rooms(v.Target.decide())
	}
	for c, r := range replicas.Autoscaler(preferences, v.total("minReplicas"), v.total("maxReplicas"), all, key) {
		if most, bounded := room[c]; bounded {
			r.Min, r.Max = min(r.Min, most), min(r.Max, most)
		}
		if r.Max > 0 {
			out[c] = Scale{"minReplicas": r.Min, "maxReplicas": r.Max}
		}
	}
}

// with narrows where an autoscaler may be to where its target is.
func (v *View) with(m *Member, d placement.Decision) placement.Decision {
	if !d.Place || v.Target == nil {
		return d
	}
	target := v.Target.place(m)
	if _, here := v.Target.shares(v.Target.decide())[m.Name]; target.Place && v.Target.Whole != "" && !here {
		target = placement.Decision{Why: "it is whole, in another cluster"}
	}
	if !target.Place {
		target.Why = "what it scales isn't there: " + target.Why
		return target
	}
	return d
}

// paced are the ranges that may be written now: one grows by what the others have given up
// already, and its minimum falls by what they have taken over. One that may have nothing
// yet isn't among them.
func (v *View) paced(shares map[string]Scale) map[string]Scale {
	if v.Target == nil || v.Foresee || len(v.unclear()) > 0 {
		return shares
	}
	var most, least int64 // that all may have meanwhile
	for _, m := range v.Members {
		if m.Lost {
			continue // its replicas count as gone
		}
		share := shares[m.Name]
		most += max(share["maxReplicas"], v.reach(m.Name))
		if h := v.Entries[m.Name].Have; h != nil && h.Ours {
			least += min(share["minReplicas"], h.Scale["minReplicas"])
		}
	}
	out := map[string]Scale{}
	for c, share := range shares {
		var there Scale
		if h := v.Entries[c].Have; h != nil && h.Ours {
			there = h.Scale
		}
		low, high := share["minReplicas"], share["maxReplicas"]
		others := most - max(high, v.reach(c))
		if had := there["maxReplicas"]; high > had {
			high = max(had, min(high, v.total("maxReplicas")-others))
		}
		others = least - min(low, there["minReplicas"])
		if had := there["minReplicas"]; low < had {
			low = min(had, max(low, v.total("minReplicas")-others))
		}
		if high > 0 {
			out[c] = Scale{"minReplicas": min(low, high), "maxReplicas": high}
		}
	}
	return out
}

// reach is how many replicas there may be in a cluster as it is now.
func (v *View) reach(cluster string) (n int64) {
	if h := v.Entries[cluster].Have; h != nil && h.Ours {
		n = h.Scale["maxReplicas"]
	}
	if h := v.Target.Entries[cluster].Have; h != nil && h.Ours {
		n = max(n, h.Scale["replicas"])
	}
	return n
}

// autoscaled are the replicas of a workload that a federated autoscaler scales: where it
// is, they are its business, and elsewhere they are within its range.
func (v *View) autoscaled(shares map[string]Scale, a *View) map[string]Scale {
	if n, said := v.Total["replicas"]; said && n == 0 {
		return shares // which is how autoscaling is paused
	}
	ranges := a.shares(a.decide())
	now := a.paced(ranges)
	out := maps.Clone(shares)
	for c, share := range shares {
		by, there := v.Scaler(c)
		h := v.Entries[c].Have
		if h != nil && len(h.Scale) == 0 {
			h = nil
		}
		within, ok := ranges[c]
		n := share["replicas"]
		if h != nil {
			n = h.Scale["replicas"]
		}
		switch {
		case there && (by.Foreign || by.Least == unseen) && h != nil:
		case !ok:
			n = 0
		case h == nil && now[c] == nil:
			n = 0 // until others have given it up
		case h == nil:
			n = between(n, now[c])
		case there && n > 0: // the autoscaler sees to it
		case n > within["maxReplicas"]:
			n = within["maxReplicas"]
		case now[c] != nil: // without any, it would be taken for paused
			n = max(n, now[c]["minReplicas"])
		}
		out[c] = Scale{"replicas": n}
	}
	return out
}

func between(n int64, within Scale) int64 {
	return min(max(n, within["minReplicas"]), within["maxReplicas"])
}

// A scaling is what is known of the HorizontalPodAutoscaler that sees to the replicas of a
// workload in a cluster.
type scaling struct {
	Least   int64 // that it asks for; unseen: there may be one
	Foreign bool  // it isn't ours
}

// unseen is that there may be HorizontalPodAutoscalers.
const unseen = -1

// scaler finds the HorizontalPodAutoscalers of a workload.
func (t *Table) scaler(k Key) func(cluster string) (s scaling, ok bool) {
	if !k.Workload() {
		return func(string) (s scaling, ok bool) { return s, false }
	}
	target := k.Kind.Name + " " + k.Name
	return func(cluster string) (s scaling, ok bool) {
		for a := range t.autoscalers[k.Namespace] {
			if h := t.Observed(cluster, a); h != nil && h.Target == target {
				s, ok = scaling{h.Scale["minReplicas"], !h.Ours && !h.Marked}, true
				if s.Foreign {
					return s, ok
				}
			}
		}
		if ok {
			return s, ok
		}
		return scaling{Least: unseen}, t.scalersUnseen(cluster)
	}
}

// scalersUnseen says whether a cluster hasn't said yet what autoscalers it has.
func (t *Table) scalersUnseen(cluster string) bool {
	i := slices.IndexFunc(t.Kinds, func(s *FederatedKind) bool { return s.Scaler })
	j := slices.IndexFunc(t.members, func(m *Member) bool { return m.Name == cluster })
	if i < 0 || j < 0 {
		return false
	}
	s, m := t.Kinds[i], t.members[j]
	return !m.Lists(s) && !m.Lacks(s) && m.denies(s) == ""
}

// autoscaler is the federated HorizontalPodAutoscaler of a workload; nil: it has none.
func (t *Table) autoscaler(k Key) *View {
	target := k.Kind.Name + " " + k.Name
	for _, a := range slices.SortedFunc(maps.Keys(t.autoscalers[k.Namespace]), compareKeys) {
		if w := t.Desired(a); w != nil && !w.Deleting && w.Target == target {
			v := t.view(w)
			return &v
		}
	}
	return nil
}

// target is the federated workload that an autoscaler scales; nil: there is none.
func (t *Table) target(w *Desired) *View {
	for k := range t.inside[w.Key.Namespace] {
		if o := t.Desired(k); k.Workload() && !o.Deleting && w.Target == k.Kind.Name+" "+k.Name {
			v := t.view(o)
			return &v
		}
	}
	return nil
}
