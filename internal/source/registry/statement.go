package registry

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// A cause is an object that orders something, with what this server has said of it so
// far.
type cause struct {
	kind       kube.Kind
	name, uid  string
	generation int64
	order      override.Order // zero: it orders nothing any more
	mark       string         // stands in the reasons of its orders
	holds, dry bool
	apart      bool   // it is about a cluster that isn't in any answer
	wrong      string // why it can't be gone by
	have       *v1alpha1.Statement
}

// causes are the objects that this server has something to say of: those that order,
// and those that did and of which it has said so.
func causes(v *View, clusters map[string]v1alpha1.ClusterStatus, orders map[string]v1alpha1.OrderStatus, server string, now time.Time) (out []cause) {
	of := func(said map[string]v1alpha1.Statement) *v1alpha1.Statement {
		if s, ok := said[server]; ok {
			return &s
		}
		return nil
	}
	for name, e := range v.entries {
		c := cause{kind: v1alpha1.Clusters, name: name, uid: e.uid, generation: e.generation, mark: drainMark(name), apart: v.apart[name], have: of(clusters[name].Servers)}
		if o := drain(name, e.spec.Drain); o != nil {
			c.order, c.holds, c.wrong = *o, !o.Expired(now), e.wrong[fieldName]
		} else if c.have == nil {
			continue
		}
		out = append(out, c)
	}
	for _, p := range v.posted {
		if !p.lost {
			out = append(out, cause{
				kind: v1alpha1.Orders, name: p.Name, uid: p.UID, generation: p.Generation, order: p.order, mark: "(" + mark(p.Name) + ")",
				holds: p.holds(now), dry: p.Dry, apart: p.order.Subject.Kind == override.Cluster && v.apart[p.order.Subject.Name], wrong: p.wrong, have: of(orders[p.Name].Servers),
			})
		}
	}
	slices.SortFunc(out, func(a, b cause) int { return strings.Compare(a.kind.Name+"/"+a.name, b.kind.Name+"/"+b.name) })
	return out
}

// becomes is what has become of an order, by the orders that the snapshot has. It isn't
// settled while the snapshot is still to follow.
func (c *cause) becomes(force override.Force) (s v1alpha1.Statement, settled bool) {
	s.Generation = c.generation
	at := -1
	for i, o := range force.Orders {
		switch {
		case o == c.order:
			at = i
		case strings.Contains(o.Reason, c.mark):
			return s, false // as it was before
		}
	}
	switch {
	case c.wrong != "":
		s.State, s.Message = v1alpha1.NotInForce, c.wrong
		return s, at < 0
	case !c.holds:
		s.State, s.Message = v1alpha1.NotInForce, "it is taken back"
		if c.order.Action != "" {
			s.Message = "it has ended at " + c.order.Until.Format(time.RFC3339)
		}
		return s, at < 0
	case at < 0 && c.apart:
		// Who drains it waits for every server to say that none of its answers has the cluster.
		s.State, s.Message = v1alpha1.InForce, "it is in no answer: it pulls, and nothing here leads to it"
		return s, true
	case at < 0:
		return s, false
	}
	s.State = v1alpha1.InForce
	var by []string
	for _, o := range override.Overruled(force.Orders, at, force.Places) {
		by = append(by, o.String())
	}
	switch len(by) {
	case 0:
	case 1:
		s.State, s.Message = v1alpha1.Overruled, "a later order counts: "+by[0]
	default:
		s.State, s.Message = v1alpha1.Overruled, "later orders count: "+strings.Join(by, "; ")
	}
	return s, true
}

// news says whether a statement says anything that hasn't been said, and since when
// it is so, if it is so already.
func (c *cause) news(s *v1alpha1.Statement) bool {
	if c.have == nil {
		return true
	}
	if h := c.have; h.State == s.State && h.Generation == s.Generation {
		s.Since, s.Serial = h.Since, h.Serial
		return h.Message != s.Message || h.Answers != s.Answers || h.TTLSeconds != s.TTLSeconds
	}
	return true
}

// stated writes a statement as part of a status.
func stated(s v1alpha1.Statement) map[string]any {
	out := map[string]any{"state": s.State, "generation": s.Generation, "serial": s.Serial}
	if s.Since != nil {
		out["since"] = s.Since.UTC().Format(time.RFC3339)
	}
	if s.Message != "" {
		out["message"] = s.Message
	}
	for name, n := range map[string]int64{"answers": s.Answers, "ttlSeconds": s.TTLSeconds, "services": s.Services, "orphaned": s.Orphaned} {
		if n != 0 {
			out[name] = n
		}
	}
	if len(s.Orphans) > 0 {
		list := make([]any, len(s.Orphans))
		for i, o := range s.Orphans {
			list[i] = o
		}
		out["orphans"] = list
	}
	return out
}

// tally is in how many of the live servers an order is in force, of how many.
func tally(said map[string]v1alpha1.Statement, generation int64, live []string) string {
	n := 0
	for _, name := range live {
		if s := said[name]; s.State == v1alpha1.InForce && s.Generation == generation {
			n++
		}
	}
	return fmt.Sprintf("%d/%d", n, len(live))
}
