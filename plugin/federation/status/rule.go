package status

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

// A ruling puts into words what became of the shards of a service, one after
// another.
type ruling struct {
	facts
	answer  *answer.Answer
	qtype   uint16
	replied map[netip.Addr]bool                 // addresses in the reply
	chosen  map[netip.Addr]bool                 // what the policy chose, whether or not there is room for it
	held    bool                                // the guard keeps addresses of the service
	from    map[netip.Addr]topology.ClusterName // which shard an address was first seen at
}

// of says whether an address of a shard is in the reply, and why.
func (r *ruling) of(x *table.Explained) (in bool, rule string) {
	in = slices.ContainsFunc(x.Addrs, func(a netip.Addr) bool { return r.replied[a] })
	end := r.answer.End()
	switch {
	case slices.Contains(r.lost, x.Cluster):
		return false, "not in the answer: its cluster is lost, as asked"
	case x.Verdict.State == health.Unknown:
		return false, "not in the answer: " + string(x.Verdict.Why)
	case x.Verdict.State == health.Down && in && r.held && slices.ContainsFunc(x.Places, end.Holds):
		return true, "kept by the guard, for now: " + r.down(x)
	case x.Verdict.State == health.Down:
		return false, "not in the answer: " + r.down(x)
	}
	here := slices.DeleteFunc(slices.Clone(x.Places), func(p topology.Place) bool { return !end.Holds(p) })
	if len(here) == 0 {
		return false, "not in the answer: " + r.elsewhere(x, end)
	}
	up := "up in " + at(here)
	if x.Verdict.Why == health.ForcedUp {
		up = r.ordered("forced up", x) + ", in " + at(here)
	}
	leads := ""
	if r.answer.Hops > 0 {
		leads = ", where the name leads"
	}
	if !in {
		return false, "not in the answer: " + up + leads + ", but " + r.lacking(x, here)
	}
	if c, all := r.counted(x); all {
		return false, fmt.Sprintf("counted already: its address is there from cluster %s", c)
	}
	if out := r.leftOut(x); len(out) > 0 {
		leads += fmt.Sprintf(", but for %d of its addresses: %s", len(out), r.room())
	}
	if x.Verdict.Stale {
		return true, fmt.Sprintf("kept: %s when last heard%s; cluster silent for %s, %s", up, leads, span(x.Evidence.Quiet), r.patience(x))
	}
	return true, "in the answer: " + up + leads
}

// counted notes the addresses of a shard that is in the reply, and says which
// cluster they came from if none is new.
func (r *ruling) counted(x *table.Explained) (first topology.ClusterName, all bool) {
	all = true
	for _, a := range x.Addrs {
		if !r.replied[a] {
			continue
		}
		c, seen := r.from[a]
		if first = c; !seen {
			r.from[a], all = x.Cluster, false
		}
	}
	return first, all
}

// down says why a shard is.
func (r *ruling) down(x *table.Explained) string {
	why := string(x.Verdict.Why)
	switch x.Verdict.Why {
	case health.Drained, health.ForcedDown:
		return r.ordered(why, x)
	case health.ClusterGone:
		return fmt.Sprintf("cluster silent for %s, hold is %s", span(x.Evidence.Quiet), span(r.federation.Policy.Hold))
	case health.FrontDown, health.FrontMissing:
		for i, k := range x.Closed {
			why += []string{": ", ", "}[min(i, 1)] + k.Namespace + "/" + k.Name
		}
	case health.ProbeFails:
		var targets []string
		for _, c := range x.Checks {
			if c.State == health.Failing {
				targets = append(targets, c.Spec+" of "+c.Addr.String())
			}
		}
		if len(targets) > 0 {
			why += ": " + strings.Join(targets, ", ")
		}
	}
	if x.Verdict.Stale {
		why += fmt.Sprintf(" when last heard; cluster silent for %s", span(x.Evidence.Quiet))
	}
	return why
}

// ordered adds an operator's reason, if it is known.
func (r *ruling) ordered(what string, x *table.Explained) string {
	o := r.orders.about(r.answer.Service.Key, x)
	if o == nil {
		return what
	}
	until := "until it is taken back"
	if !o.Until.IsZero() {
		until = "until " + o.Until.Format(time.RFC3339)
	}
	return fmt.Sprintf("%s: %s (%s)", what, o.Reason, until)
}

// elsewhere says why a shard that is up has nothing to do with a scope.
func (r *ruling) elsewhere(x *table.Explained, end topology.Scope) string {
	kind := "region"
	if end.Zone != "" {
		kind = "zone"
	}
	what := fmt.Sprintf("its %s is not the one asked for; up in %s", kind, at(x.Places))
	if !slices.ContainsFunc(x.Places, func(p topology.Place) bool { return p.Region == end.Region }) {
		return what
	}
	// It has shards beside the scope: an order may be why it has none in it.
	for _, o := range slices.Backward(r.orders) {
		if o.Subject.Kind == override.Zone && o.Subject.Name == end.Zone && o.Action != override.Up {
			return fmt.Sprintf("%s is ordered %s: %s; up in %s", o.Subject, o.Action, o.Reason, at(x.Places))
		}
	}
	return what
}

// lacking says what a shard that is up where the answer comes from hasn't got.
func (r *ruling) lacking(x *table.Explained, here []topology.Place) string {
	if p := r.answer.Path; p.Port != "" {
		has := slices.ContainsFunc(r.answer.Service.Ports, func(o snapshot.Port) bool {
			return "_"+o.Name == p.Port && "_"+o.Proto == p.Proto && (o.Places == nil || slices.ContainsFunc(o.Places, func(q topology.Place) bool { return slices.Contains(here, q) }))
		})
		if !has {
			return fmt.Sprintf("without a ready endpoint for port %s.%s", p.Port, p.Proto)
		}
		return "a port has SRV records only"
	}
	t := dns.Type(r.qtype).String()
	if r.qtype == dns.TypeA || r.qtype == dns.TypeAAAA {
		if slices.ContainsFunc(x.Addrs, func(a netip.Addr) bool { return a.Is4() == (r.qtype == dns.TypeA) }) {
			if len(r.leftOut(x)) > 0 {
				return r.room()
			}
			if p := r.answer.Policy(); p.Choice != snapshot.All {
				return fmt.Sprintf("policy %q chose others", p)
			}
			return "only just: the next snapshot has it"
		}
		return "without an address for " + t
	}
	return "type " + t + " asks for no address"
}

// leftOut are the addresses of a shard that could be in the reply, and for which there is
// no room in it. Other replies have them.
func (r *ruling) leftOut(x *table.Explained) []netip.Addr { return r.missing(x.Addrs) }

func (r *ruling) missing(addrs []netip.Addr) (out []netip.Addr) {
	if r.qtype != dns.TypeA && r.qtype != dns.TypeAAAA {
		return nil
	}
	if n, of := r.answer.Held(r.qtype == dns.TypeA); n == of {
		return nil
	}
	for _, a := range addrs {
		if a.Is4() == (r.qtype == dns.TypeA) && r.chosen[a] && !r.replied[a] {
			out = append(out, a)
		}
	}
	return out
}

// room says why an address isn't there that could be.
func (r *ruling) room() string {
	return fmt.Sprintf("an answer has at most %d (answers), and others have their turn", r.federation.Policy.Answers)
}

// patience says why a silent cluster is still believed.
func (r *ruling) patience(x *table.Explained) string {
	switch {
	case x.Evidence.Probe == health.Passing:
		return "its probe passes"
	case r.federation.Policy.Keep:
		return "silence is set to keep"
	case r.isolated:
		return "and so are most: it must be this server that is cut off"
	}
	return "hold is " + span(r.federation.Policy.Hold)
}

// at puts places into words.
func at(ps []topology.Place) string {
	var zones, regions []string
	for _, p := range ps {
		switch {
		case p.Zone != "":
			zones = append(zones, p.Zone)
		case p.Region != "" && !slices.Contains(regions, p.Region):
			regions = append(regions, p.Region)
		}
	}
	var out []string
	for _, l := range []struct {
		what string
		list []string
	}{{"zone", zones}, {"region", regions}} {
		switch len(l.list) {
		case 0:
		case 1:
			out = append(out, l.what+" "+l.list[0])
		default:
			out = append(out, l.what+"s "+strings.Join(l.list, ", "))
		}
	}
	if len(out) == 0 {
		return "no known region"
	}
	return strings.Join(out, " and ")
}

// span prints a span of time in whole seconds, without the units that are zero.
func span(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// inside says the same of a question in a cluster's own domain; in and rule are what
// holds outside, where the name leads if that cluster has no shard.
func (r *ruling) inside(x *table.Explained, in bool, rule string) (bool, string) {
	home := r.federation.Home
	away := r.answer.LeavesCluster
	switch {
	case x.Cluster != home && away:
		return in, rule
	case x.Cluster != home:
		return false, fmt.Sprintf("not in the answer: the shard of cluster %s itself comes first", home)
	case x.Inside == nil:
		return in, rule
	}
	v := x.Inside.Verdict
	switch {
	case v.State == health.Up && !away && slices.ContainsFunc(x.Inside.Addrs, func(a netip.Addr) bool { return r.replied[a] }):
		why := "up in this cluster"
		if v.Why == health.ForcedUp {
			why = r.ordered("forced up", x)
		}
		if v.Stale {
			why += fmt.Sprintf(" when last heard; cluster silent for %s", span(x.Evidence.Quiet))
		}
		if out := r.missing(x.Inside.Addrs); len(out) > 0 {
			why += fmt.Sprintf(", but for %d of its addresses: %s", len(out), r.room())
		}
		return true, "in the answer: " + why
	case v.State == health.Up && !away:
		return false, "not in the answer: up in this cluster, but without what was asked for"
	case v.State == health.Up:
		return in, rule + "; up in this cluster, but without the port"
	}
	inner := *x
	inner.Verdict = v
	return in, "not up in this cluster: " + r.down(&inner) + "; " + rule
}
