package table

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A near is what is known of a shard as the pods of its own cluster reach it.
type near struct {
	verdict health.Verdict
	addrs   []netip.Addr
	ports   []snapshot.Port
	targets []snapshot.Target // of a headless Service
	hold    bool
}

// judgeInside judges a shard by the address that it has inside its cluster. All else counts
// as it does outside: whoever drains a cluster means its own pods, too.
func (t *Table) judgeInside(f *evaluation, k snapshot.Key, policy health.Policy) *near {
	p := t.piece(f.cluster, k)
	m, n := t.members[f.cluster], &near{addrs: p.object.Extras().Inside}
	if p.object.Headless {
		n.addrs, n.targets = p.pods(m)
		for i := range n.targets {
			n.ports = append(n.ports, n.targets[i].Ports...)
		}
	} else {
		for _, o := range p.object.Ports {
			if p.serves(m, o, false) {
				n.ports = append(n.ports, snapshot.Port{Name: o.Name, Proto: o.Proto, Number: o.Number})
			}
		}
	}
	n.ports = sortPorts(n.ports)
	e := f.evidence
	n.addrs, e.Unusable = t.reachable(f.cluster, k, n.addrs)
	e.Addresses, e.Refused, e.Unresolved, e.Balancer = len(n.addrs), 0, 0, false
	e.Unlooked, e.Recalled = 0, 0
	r := t.reached(f.cluster, p, p.object.NotReady, false) // how clients outside come in is no matter
	e.Endpoints, e.Unreached = r.n, r.why()
	base := health.Judge(e, policy)
	if _, e.Order = t.ordered(f, k, base); e.Order != health.NoOrder {
		base = health.Judge(e, policy)
	}
	if n.verdict = base; base.State == health.Down && base.Why == health.Internal {
		n.verdict.Why = health.NoInside
		if e.Endpoints == 0 && p.object.Headless {
			n.verdict.Why = health.NoEndpoint
		}
	}
	n.hold = n.verdict.Awaits != "" && t.beginning && !p.carried
	return n
}

// reachable leaves out of addresses inside the cluster those that nobody can use.
func (t *Table) reachable(cluster int, k snapshot.Key, list []netip.Addr) (out []netip.Addr, unusables int) {
	for _, a := range list {
		if what := unusable(a); what != "" {
			unusables++
			t.notice(t.members[cluster].Name, shard.BadAddress, fmt.Sprintf("%s has %s inside the cluster, %s, where no pod can reach it; left out", k, a, what))
			continue
		}
		out = append(out, a)
	}
	return out, unusables
}

// freeze is what is answered of it: nil where it isn't up.
func (n *near) freeze() *snapshot.Local {
	if n.verdict.State != health.Up {
		return nil
	}
	out := &snapshot.Local{Stale: n.verdict.Stale, Ports: n.ports, Targets: n.targets}
	if n.hold {
		out.Await = string(n.verdict.Awaits)
	}
	addrs := slices.Clone(n.addrs)
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, a := range slices.Compact(addrs) {
		out.Shards = append(out.Shards, snapshot.Shard{Addr: a})
	}
	return out
}

// home says where the cluster stands whose own domain is answered here. One in a single
// zone is in that zone; over several zones, it is in their region as a whole, since
// the name of any one of them would send all of its pods to that one.
func (t *Table) home() snapshot.Home {
	for _, m := range t.members {
		if m.Name != t.policy.Local.Cluster {
			continue
		}
		h := snapshot.Home{Known: m.complete() || m.waived}
		if len(m.places) > 0 {
			h.Scope = topology.Scope(m.places[0])
		}
		for _, p := range m.places {
			for !h.Scope.Holds(p) {
				h.Scope = h.Scope.Up()
			}
		}
		return h
	}
	return snapshot.Home{Known: t.Settled()} // it isn't a member now
}

// Shadowed says whether the cluster whose own domain is answered here has a namespace
// with the federation's name. Pods in it look for SERVICE.NAMESPACE as
// SERVICE.NAMESPACE.THEIRS.svc first, and that is a federated name then.
func (t *Table) Shadowed(cluster int) bool {
	m := t.members[cluster]
	return m.Name == t.policy.Local.Cluster && (m.shadow || m.shadows > 0)
}

func (t *Table) noteShadowing(cluster int) {
	if t.Shadowed(cluster) {
		t.memberChanged = true // it is told with the next publication, and mustn't wait for another's sake
		t.notice(t.members[cluster].Name, shard.NameClash, fmt.Sprintf("namespace %q has the federation's name: what pods in it ask for as SERVICE.NAMESPACE is taken for the federation's, and may lead out of the cluster; give one of them another name", t.policy.Local.Namespace))
	}
}
