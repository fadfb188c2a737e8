package workload

import (
	"fmt"
	"maps"
	"strings"

	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// A Scale is the fields of a spec that are split, with their numbers.
type Scale map[string]int64

// String is as people say it: 3 replicas.
func (s Scale) String() string {
	var out []string
	for _, f := range []string{"replicas", "ordinals.start", "parallelism", "completions", "minReplicas", "maxReplicas", surge, missing, "minAvailable", unavailable} {
		if n, ok := s[f]; ok {
			if f == "ordinals.start" {
				out = append(out, fmt.Sprintf("from number %d", n))
				continue
			}
			if n == 1 && f != "parallelism" {
				f = strings.TrimSuffix(f, "s")
			}
			out = append(out, fmt.Sprintf("%d %s", n, f[strings.LastIndex(f, ".")+1:]))
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

// agrees says whether an object has what is wanted of it; of fields that want
// doesn't speak of, it says nothing.
func agrees(have, want Scale) bool {
	for f, n := range want {
		if x, ok := have[f]; !ok || x != n {
			return false
		}
	}
	return true
}

// shares splits what is split, over the clusters that the object is for. A cluster
// that isn't in it gets none.
func (v *View) shares(decided map[string]placement.Decision) map[string]Scale {
	if len(v.Scale) == 0 && v.Whole == "" {
		return nil
	}
	out := map[string]Scale{}
	if len(v.unclear()) > 0 {
		for c, h := range v.Entries.haves() {
			if out[c] = v.given(c); out[c] == nil {
				out[c] = h.Scale
			}
		}
		return out
	}
	var clusters []replicas.Cluster
	for _, m := range v.Members {
		if d := decided[m.Name]; d.Place && !m.Lost && !m.Lacks(v.FederatedKind) && !v.taken(m) {
			clusters = append(clusters, v.cluster(m, d))
		}
	}
	key := v.Desired.Namespace + "/" + v.Name
	switch {
	case v.Whole != "":
		v.whole(out, clusters, key)
	case v.Ranged:
		v.ordinals(out, clusters, decided, key)
	case v.Scale[0] == "replicas":
		for c, s := range replicas.Split(v.fixed(), v.total("replicas"), clusters, key) {
			out[c] = Scale{"replicas": s.Asked()}
		}
	case v.Scale[0] == "parallelism":
		v.jobs(out, clusters, key)
	default:
		v.autoscalers(out, clusters, key)
	}
	return out
}

// total is what the federated object says; one, if it says nothing.
func (w *Desired) total(field string) int64 {
	if n, ok := w.Total[field]; ok {
		return n
	}
	return 1
}

func (v *View) cluster(m *Member, d placement.Decision) replicas.Cluster {
	c := replicas.Cluster{Name: m.Name}
	switch {
	case len(v.Scale) == 0:
		if has, _ := v.holds(m); has {
			c.Current = 1
		}
	case v.Scale[0] == "parallelism":
		c.Current = v.current(m.Name)["parallelism"]
	default:
		c.Current = v.current(m.Name)[v.Scale[len(v.Scale)-1]]
	}
	if r := v.Entries[m.Name].Capacity; r != nil {
		// What it was asked for may be less than its share, while replicas move.
		if c.Capacity = r.Room(); r.Estimate.Capacity != nil {
			c.Current = min(c.Current, r.Held)
		}
	}
	c.Ceiling = d.Replicas.Ceiling(c.Current)
	return c
}

// current is what a cluster was given. That isn't what it has: what was scaled
// there by hand goes back, and nothing follows from it for the others.
func (v *View) current(cluster string) Scale {
	h := v.Entries[cluster].Have
	if h != nil && !h.Ours && !h.Marked {
		return nil
	}
	if h == nil {
		if over, _ := v.over(cluster); over {
			return v.given(cluster) // what it has done needn't be done elsewhere
		}
		for _, m := range v.Members {
			if m.Name == cluster && m.knows(v.FederatedKind) {
				return nil
			}
		}
	}
	if s := v.given(cluster); s != nil {
		return s
	}
	if h == nil {
		return nil
	}
	return h.Scale
}

// given is what a cluster was asked to have last.
func (v *View) given(cluster string) Scale {
	if e := v.Entries[cluster]; e.Planned != nil {
		return e.Planned
	} else if e.Assigned != nil {
		return e.Assigned
	}
	return v.Record.standing(cluster).Scale
}

// scales are what is to be written: of what is split, and of the margins.
func (v *View) scales(shares map[string]Scale, decided map[string]placement.Decision) map[string]Scale {
	out := v.moved(v.scaled(shares), decided)
	if v.Ranged {
		out = v.numbered(out, shares, decided)
	}
	switch {
	case len(v.Margins) == 0:
		return out
	case v.Workload():
		return v.margins(out, v.pods())
	}
	var pods int64
	weights := v.Guarded()
	for _, n := range weights {
		pods += n
	}
	for c := range decided {
		weights[c] += 0 // it may be where none of the pods are
	}
	if pods > 0 {
		return v.margins(map[string]Scale{}, weights)
	}
	out = map[string]Scale{} // nothing is planned that it speaks of: it is for what others make
	for c := range decided {
		out[c] = v.Margins
	}
	return out
}

// scaled are the shares, except where a HorizontalPodAutoscaler sees to the
// replicas: there they are as they are. What it does changes nobody's share.
func (v *View) scaled(shares map[string]Scale) map[string]Scale {
	switch {
	case v.FederatedKind.Scaler:
		return v.paced(shares)
	case !v.Workload():
		return shares
	case v.Autoscaler != nil && len(v.unclear()) == 0:
		if a := v.Autoscaler(); a != nil {
			return v.autoscaled(shares, a)
		}
	}
	out := maps.Clone(shares)
	for c := range out {
		by, theirs := v.Scaler(c)
		if !theirs {
			continue
		}
		if h := v.Entries[c].Have; h != nil && len(h.Scale) > 0 {
			out[c] = h.Scale
		} else if by.Least >= 0 {
			out[c] = Scale{"replicas": max(by.Least, 1)}
		}
	}
	return out
}

func (v *View) jobs(out map[string]Scale, clusters []replicas.Cluster, key string) {
	var completions *int64
	if n, ok := v.Total["completions"]; ok {
		completions = &n
	}
	var all []replicas.JobCluster
	for _, c := range clusters {
		j := replicas.JobCluster{Cluster: c}
		if n, ok := v.current(c.Name)["completions"]; ok {
			j.Completions = &n
		}
		all = append(all, j)
	}
	for c, s := range replicas.Job(v.preferences, v.total("parallelism"), completions, all, key) {
		switch {
		case s.Completions != nil && *s.Completions > 0:
			out[c] = Scale{"parallelism": s.Parallelism, "completions": *s.Completions}
		case s.Completions == nil && (s.Parallelism > 0 || v.total("parallelism") == 0):
			out[c] = Scale{"parallelism": s.Parallelism}
		}
	}
}
