package answer

import (
	"time"

	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// InsideTTL, in seconds, is the longest TTL of what stands in a cluster's own domain.
// It is what CoreDNS gives the same addresses there. Pods that come or go make the
// name lead elsewhere, in both directions: whoever remembers one answer for minutes
// asks a service that has gone, or another continent for one that is next door.
const InsideTTL = 5

// ResolveInside makes a, which is zero, the answer to the question for a type of a name in the domain that a federation has
// within a cluster, FEDERATION.svc.CLUSTERDOMAIN; labels are those before it. The
// cluster's own shard comes first; without it, the name leads to that of the place
// where the cluster stands.
func (a *Answer) ResolveInside(s *snapshot.Snapshot, m *Member, labels []string, t Type, now time.Duration) {
	f := s.Federations[m.Index]
	a.of(f, m)
	p := &a.Path
	a.Inside, a.Why, p.Federation, p.Kind, p.hasKind = true, NoName, f.Name, snapshot.Svc, true
	p.host(labels)
	a.find(m, t, now)
}

// local answers from the cluster's own shard.
func (a *Answer) local(l *snapshot.Local, port string, m *Member, t Type, now time.Duration, run []snapshot.Shard) {
	// A zone's answer: nobody is closer, so that no policy has to choose.
	a.run, a.width, a.typ = run, topology.Zonal, t
	a.TTL, a.Stale = min(ttl(a.Service, topology.Global, m, now), InsideTTL), l.Stale
	a.Normal = min(normalTTL(a.Service, m), InsideTTL)
	a.records(port, t)
}

// pod answers for a pod of a headless service; false: there is none of this label.
func (a *Answer) pod(m *Member, t Type, now time.Duration) bool {
	l := a.Service.Local
	if l == nil || a.Path.Proto == "" || a.Path.Proto[0] == '_' {
		return false
	}
	if l.Await != "" {
		a.NotKnown(l.Await)
		return true
	}
	pod := l.Target(a.Path.Proto)
	if pod == nil {
		return false
	}
	a.Path.Pod, a.Path.Proto = a.Path.Proto, ""
	a.Depth++
	a.local(l, "", m, t, now, pod.Shards)
	return true
}

// Place says, for whoever counts, what an answer speaks of: a scope, or a cluster.
func (a *Answer) Place() string {
	if a.Inside {
		return "local"
	}
	return a.Scope.Width().String()
}
