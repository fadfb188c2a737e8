package workload

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// A StatefulSet that says both how it is to be split and which number its pods begin with is
// split: no two clusters have a pod of the same number, at any time, whatever is scaled, moved
// or out of reach meanwhile. So each has a range of numbers to itself. Where that begins
// doesn't change while the object is there, since volumes go by those numbers; how far it
// goes is how far it is to the next one.

// ranged says whether an object is one that is split by ranges.
func ranged(k Key, o Object) bool {
	if k.first == "" || at(o, "spec", "ordinals") == nil {
		return false
	}
	_, found, _ := replicas.FromAnnotations(k.Kind.Name, texts(o, "metadata", "annotations"))
	return found
}

// apart is how far ranges are apart where no maxReplicas says how many pods a cluster may have, and
// from one that is there already in any case.
const apart = 100

// width is how much room a cluster's range is given.
func (v *View) width(cluster string) int64 {
	n := int64(apart)
	if p, ok := v.preferences.Of(cluster); ok && p.Max != nil && *p.Max > 0 {
		n = *p.Max
	}
	if v.Autoscaler != nil {
		if a := v.Autoscaler(); a != nil {
			n = max(n, a.total("maxReplicas"))
		}
	}
	return n
}

// A span is the range of a cluster, with as much room as it is given or takes already.
type span struct {
	cluster      string
	start, width int64
}

// spans are the ranges of the clusters that the object is for or is in, by where they begin.
func (v *View) spans(decided map[string]placement.Decision) (out []span) {
	var fresh []string
	// What is there has its range before what is only planned.
	for _, there := range []bool{true, false} {
		for _, m := range v.Members {
			has := v.present(m)
			start, given := v.given(m.Name)[v.first]
			sent, coming := v.Entries[m.Name].Sent[v.first]
			if has != there || !has && !coming && !decided[m.Name].Place || v.taken(m) {
				continue
			}
			// How many it has may not be known to the last, where it can't be asked: what comes later keeps clear of it.
			s := span{m.Name, 0, max(v.width(m.Name), v.used(m.Name), apart)}
			known := false
			if h := v.Entries[m.Name].Have; h != nil {
				s.start, known = h.Scale[v.first], true // without a number, they begin with none
			}
			switch {
			case coming:
				s.start, known = sent, true
			case given:
				s.start, known = start, true
			}
			if !known || overlaps(out, s, func(o span) int64 { return v.used(o.cluster) }, v.used(m.Name)) {
				fresh = append(fresh, m.Name)
				continue
			}
			out = append(out, s)
		}
	}
	byStart := func(a, b span) int { return cmp.Compare(a.start, b.start) }
	slices.SortFunc(out, byStart)
	for _, c := range fresh {
		s := span{c, v.First, max(v.width(c), v.used(c))}
		for _, o := range out { // the first place with room
			if s.start+s.width > o.start && s.start < o.start+o.width {
				s.start = o.start + o.width
			}
		}
		out = append(out, s)
		slices.SortFunc(out, byStart)
	}
	return out
}

// used is how many numbers a cluster takes up now, or may: one at least, for a range that it is to
// have.
func (v *View) used(cluster string) int64 {
	e := v.Entries[cluster]
	n := max(v.given(cluster)["replicas"], e.Sent["replicas"], 1)
	if e.Have != nil {
		n = max(n, e.Have.Scale["replicas"])
	}
	return n
}

// overlaps says whether the numbers that a range takes up are another one's.
func overlaps(all []span, s span, used func(span) int64, n int64) bool {
	return slices.ContainsFunc(all, func(o span) bool { return s.start < o.start+used(o) && o.start < s.start+n })
}

// rooms are how many pods a cluster may have before it comes to the next one's numbers.
func (v *View) rooms(decided map[string]placement.Decision) map[string]int64 {
	out := map[string]int64{}
	all := v.spans(decided)
	for i := range all[:max(len(all)-1, 0)] {
		out[all[i].cluster] = all[i+1].start - all[i].start
	}
	return out
}

// ordinals splits replicas, each cluster's with numbers of its own.
func (v *View) ordinals(out map[string]Scale, clusters []replicas.Cluster, decided map[string]placement.Decision, key string) {
	room := v.rooms(decided)
	for i := range clusters {
		c := &clusters[i]
		if n, ok := room[c.Name]; ok && (c.Ceiling == nil || n < *c.Ceiling) {
			c.Ceiling = &n
		}
	}
	split := replicas.Split(v.fixed(), v.total("replicas"), clusters, key)
	for _, s := range v.spans(decided) {
		if share, ok := split[s.cluster]; ok {
			out[s.cluster] = Scale{"replicas": share.Asked(), v.first: s.start}
		}
	}
}

// numbered are scales with the numbers that each begins with, also of a cluster that it is on its
// way out of.
func (v *View) numbered(scales, shares map[string]Scale, decided map[string]placement.Decision) map[string]Scale {
	first := map[string]int64{}
	for _, s := range v.spans(decided) {
		first[s.cluster] = s.start
	}
	out := map[string]Scale{}
	for c, s := range scales {
		out[c] = maps.Clone(s)
		n, ok := shares[c][v.first]
		if !ok {
			n, ok = first[c]
		}
		if ok && s != nil {
			out[c][v.first] = n
		}
	}
	return out
}

// ranges says whether any of these clusters has a range of its own.
func (v *View) ranges(clusters []string) bool {
	return v.first != "" && slices.ContainsFunc(clusters, func(c string) bool {
		n, ok := v.given(c)[v.first]
		return ok && n != 0
	})
}
