package workload

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// moves says whether replicas go from one cluster to another without a gap. What an
// autoscaler sees to goes by what others have given up already, since its maximum holds at
// any time.
func (v *View) moves() bool {
	return v.Workload() && v.Whole == "" && len(v.unclear()) == 0 && (v.Autoscaler == nil || v.Autoscaler() == nil)
}

// moved are the replicas that clusters are to be asked for now, so that in the end each has
// its share. One that the object isn't for any more has some for as long as they aren't
// elsewhere. What is to be shown is how that ends: where nothing can be done, with what is there.
func (v *View) moved(shares map[string]Scale, decided map[string]placement.Decision) map[string]Scale {
	if !v.moves() {
		return shares
	}
	var all []replicas.Holding
	for _, m := range v.Members {
		share, ok := shares[m.Name]
		if _, theirs := v.Scaler(m.Name); m.Lost || theirs || !ok && !v.leaves(m, decided[m.Name]) {
			continue
		}
		all = append(all, v.holding(m, share["replicas"], ok))
	}
	move := replicas.Move
	if v.Foresee {
		move = replicas.Moved
	}
	out := maps.Clone(shares)
	for c, n := range move(v.atOnce(shares), all, v.Desired.Namespace+"/"+v.Name) {
		if _, ok := shares[c]; ok || n > 0 {
			out[c] = Scale{"replicas": n}
		}
	}
	return out
}

// leaves says whether a cluster has a workload that is on its way out, for all that is known.
func (v *View) leaves(m *Member, d placement.Decision) bool {
	h := v.Entries[m.Name].Have
	return d.Leaves && (h == nil && !m.knows(v.FederatedKind) || h != nil && h.Ours && !h.Deleting)
}

// surging is how many there may be beyond those that are wanted.
func (v *View) surging() int64 {
	s := v.Surge
	if v.surge != nil {
		s = *v.surge
	}
	return s.Of(v.total("replicas"))
}

// atOnce is how many there may be beyond the shares while some move: the surge, and what is wanted
// and has a place nowhere. Where nothing may surge, the old ones go first whatever has none.
func (v *View) atOnce(shares map[string]Scale) int64 {
	n := v.surging()
	if n == 0 {
		return 0
	}
	for _, s := range shares {
		n -= s["replicas"]
	}
	return max(v.surging(), n+v.total("replicas"))
}

// holding is what a cluster has of a workload, and is to have, if the workload is for it.
func (v *View) holding(m *Member, share int64, stays bool) replicas.Holding {
	e, dark := v.Entries[m.Name], !m.knows(v.FederatedKind)
	_, err := v.templateFor(m)
	out := replicas.Holding{Name: m.Name, Share: share, Sure: share, Asked: e.Sent["replicas"], Fixed: dark || stays && err != nil}
	if c := e.Capacity; c != nil && c.Room() != nil {
		out.Sure = min(out.Sure, *c.Room())
	}
	h := e.Have
	switch {
	case h != nil && h.Deleting:
		out.Fixed = true // it is made again once it is gone
	case h != nil:
		out.Asked = max(out.Asked, h.Scale["replicas"])
	case dark:
		out.Asked = max(out.Asked, v.given(m.Name)["replicas"])
	}
	if h == nil || out.Fixed {
		return out // none of them is ready for all that is known
	}
	n := func(field string) int64 { n, _ := number(h.Part.Status, field); return n }
	seen := n("observedGeneration")
	out.Ready, out.Unseen = n("availableReplicas"), seen > 0 && seen < h.Part.Generation // one that nobody has ever seen has no pods
	out.Mixed = slices.Contains(v.FederatedKind.kept, "updatedReplicas") && n("updatedReplicas") < n("replicas")
	return out
}

// moving is why a cluster has other replicas than its share; "": it has its share.
func (v *View) moving(now, share int64) string {
	switch {
	case now > share:
		return fmt.Sprintf("%d more stay until as many are ready in other clusters", now-share)
	case now < share:
		return fmt.Sprintf("%d of %d so far: there may be %d more than wanted while some move", now, share, v.surging())
	}
	return ""
}
