package workload

import (
	"maps"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/sync/replicas"
)

// A holder is the cluster that has an object which can't be split. The zero holder is
// none.
type holder struct {
	cluster string
	begun   bool     // there, so that it would be done twice elsewhere
	others  []string // in which it has begun, too: an older version has copied or split it
}

// holder finds the one that has it; of several, one that has begun.
func (v *View) holder() (h holder) {
	for _, m := range v.Members {
		has, begun := v.holds(m)
		switch {
		case v.free(m): // where it may be still, and goes from when that can be asked
		case begun && h.begun:
			h.others = append(h.others, m.Name)
		case has && (h.cluster == "" || begun):
			h.cluster, h.begun = m.Name, begun
		}
	}
	return h
}

// indivisible is why an object can't be split; "": it can, or what is to be done is to be done
// in each cluster.
func (w *Desired) indivisible(o Object) string {
	if w.whole == nil || w.Ranged || w.Everywhere {
		return ""
	}
	return w.whole(o)
}

// holds says whether a cluster has the object, or for all that is known may have it, and
// whether it has begun there. What a cluster that can't be asked does, it may have begun.
func (v *View) holds(m *Member) (has, begun bool) {
	if h := v.Entries[m.Name].Have; h != nil {
		has = h.Ours || h.Marked
		return has, has && !v.free(m) && (!m.knows(v.FederatedKind) || v.begun(m.Name, h))
	}
	over, _ := v.over(m.Name)
	has = over || !m.knows(v.FederatedKind) && v.Record.Holds(m.Name) && (v.Record.standing(m.Name).Scale != nil || len(v.Scale) == 0)
	return has, has && !v.free(m)
}

// free says whether an object goes on elsewhere when its cluster is lost, since nothing that it has
// begun there is missed: a CronJob.
func (v *View) free(m *Member) bool { return v.FederatedKind.begun == nil && m.Lost }

// begun says whether an object does something where it is. One none of whose pods finds
// room doesn't.
func (v *View) begun(cluster string, h *Observed) bool {
	c := v.Entries[cluster].Capacity
	return v.FederatedKind.begun != nil && v.FederatedKind.begun(h.Part.Status, c == nil || c.Room() == nil || *c.Room() > 0)
}

// whole gives an object that can't be split to one cluster. It moves only while it hasn't
// begun, and is gone from where it was before it is made elsewhere.
func (v *View) whole(out map[string]Scale, clusters []replicas.Cluster, key string) {
	h := v.holder()
	name, n := h.cluster, int64(1)
	if len(v.Scale) > 0 {
		n = v.total(v.Scale[0])
	}
	if h.begun {
		for _, c := range clusters {
			if c.Name == name {
				n = replicas.Least(v.preferences, n, c)
			}
		}
	} else {
		var can []replicas.Cluster
		for _, c := range clusters {
			if v.knows(c.Name) { // it may be long until another one can be asked
				can = append(can, c)
			}
		}
		if name, n = replicas.Whole(v.preferences, n, can, h.cluster, key); name == "" || h.cluster != "" && h.cluster != name && !v.Foresee {
			return
		}
	}
	if len(h.others) > 0 && (v.ended != nil || v.ranges(append(h.others, name))) {
		// Parts of one that runs to its end can't become a whole any more, and no more can ranges of
		// numbers: those of one cluster would be given to others.
		for _, c := range append(h.others, name) {
			if out[c] = v.given(c); out[c] == nil && v.Entries[c].Have != nil {
				out[c] = v.Entries[c].Have.Scale
			}
		}
		return
	}
	for _, c := range append(h.others, name) {
		out[c] = Scale{}
		maps.Copy(out[c], v.Total)
		if len(v.Scale) > 0 {
			out[c][v.Scale[0]] = n
		}
	}
}

// knows says whether there is an answer to what a cluster has of the kind.
func (v *View) knows(cluster string) bool {
	return slices.ContainsFunc(v.Members, func(m *Member) bool { return m.Name == cluster && m.knows(v.FederatedKind) })
}

// undivided is what is said of a cluster that has the object whole.
func (v *View) undivided() string {
	why := "whole, since " + v.Whole
	switch h := v.holder(); {
	case len(h.others) > 0:
		why += "; it has begun in " + strings.Join(append([]string{h.cluster}, h.others...), ", ") + ", and stays in each"
	case h.begun:
		why += "; it has begun here, and stays"
	}
	return why
}
