package table

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// starting is what a table that has just been made has to wait for: the lists of its
// members, and what is asked only then, such as the addresses of load balancers' names
// and the first results of probes. Until then nothing is said that depends on it.
// What becomes unknown later holds nothing up: whoever asks has had answers before.
type starting struct {
	beginning bool
	holding   map[snapshot.Key]bool        // services of which something is waited for
	probed    map[shard.Check]health.Probe // as a table before this one knew it
}

func begin() starting {
	return starting{beginning: true, holding: map[snapshot.Key]bool{}, probed: map[shard.Check]health.Probe{}}
}

// StartupOver says whether all that was waited for is known, or had its time. It stays so.
func (t *Table) StartupOver() bool { return !t.beginning }

// MarkAnswered notes that all that is known of a cluster by now was answered before, by an
// earlier process or another table: it goes on being answered, whatever isn't known
// of it.
func (t *Table) MarkAnswered(cluster int) {
	for _, s := range t.services {
		if p := s.pieces[cluster]; p != nil {
			p.carried = true
		}
	}
}

// RestoreResolution takes in which addresses a load balancer's name had for an earlier process.
func (t *Table) RestoreResolution(name string, addrs []netip.Addr) {
	h := t.hosts[name]
	if h == nil || h.looked || slices.Equal(h.addrs, addrs) {
		return
	}
	h.addrs = slices.Clone(addrs)
	for k := range h.users {
		t.dirty[k] = true
	}
}

// Probed are the checks that have come to something; RestoreProbes takes over those of
// another table, until they are asked anew.
func (t *Table) Probed() map[shard.Check]health.Probe {
	out := map[shard.Check]health.Probe{}
	for c, known := range t.checks {
		if known.state != health.Unprobed {
			out[c] = known.state
		}
	}
	return out
}

// RestoreProbes takes over what another table knew of checks.
func (t *Table) RestoreProbes(probed map[shard.Check]health.Probe) { maps.Copy(t.probed, probed) }

// holds says whether nothing is answered of a shard before it is known what its
// verdict awaits.
func (t *Table) holds(f *evaluation, p *piece) bool {
	e := &f.evidence
	return t.beginning && !p.carried && f.verdict.Awaits != "" && (e.Unlooked > 0 || e.Unasked || e.Unsaid)
}

// await notes whether a service waits for something.
func (t *Table) await(s *snapshot.Service) {
	if slices.ContainsFunc(s.Awaits, func(w snapshot.Await) bool { return w.Hold }) || s.Local != nil && s.Local.Await != "" {
		t.holding[s.Key] = true
	} else {
		delete(t.holding, s.Key)
	}
}

// begun ends the beginning when nothing is waited for any more.
func (t *Table) begun() {
	if t.beginning && t.Settled() && len(t.holding) == 0 {
		t.beginning, t.probed = false, nil
		t.follow()
		t.endRouteWait()
	}
}

// Waiting counts the services of which something is waited for.
func (t *Table) Waiting() int { return len(t.holding) }

// EndStartup ends the beginning, whatever isn't known yet.
func (t *Table) EndStartup() {
	if !t.beginning {
		return
	}
	t.beginning, t.probed, t.memberChanged = false, nil, true
	t.follow()
	t.endRouteWait()
	for k := range t.holding {
		t.dirty[k] = true
	}
	clear(t.holding)
}

// endRouteWait goes on without the word of controllers on what they haven't let in by now. It is no longer
// held to be in, and what would be another answer if it were has the degraded TTL until it
// is said, or EndRouteWait.
func (t *Table) endRouteWait() {
	for i, m := range t.members {
		for k := range m.unsaid {
			for _, a := range m.attachments(m.objects[k]) {
				if a.unsaid {
					m.late[k] = append(m.late[k], a.hosts...)
				}
			}
		}
		m.waits = false
		t.attachAnew(i, slices.Collect(maps.Keys(m.unsaid)))
	}
}

// AwaitedRoutes counts the routes of which the word of a controller has been waited for since the beginning.
func (t *Table) AwaitedRoutes() (n int) {
	for _, m := range t.members {
		n += len(m.late)
	}
	return n
}

// EndRouteWait ends the wait for the word of controllers: what none has let in isn't in.
func (t *Table) EndRouteWait() {
	for i, m := range t.members {
		was := slices.Collect(maps.Keys(m.late))
		clear(m.late)
		t.attachAnew(i, was)
	}
}

// attachAnew has routes put together anew.
func (t *Table) attachAnew(cluster int, routes []shard.FrontendKey) {
	for _, k := range routes {
		t.claim(cluster, k)
		t.members[cluster].outdateParents(k)
	}
	t.rebuildStale(cluster)
}

// unlisted is where members are that have not been listed, and could have shards that
// are up.
func (t *Table) unlisted() (out []snapshot.Await) {
	const what = "a cluster has not been listed yet"
	if t.expecting || t.unlistedRegistry {
		out = append(out, snapshot.Await{What: "the registry has not been listed yet", Hold: t.beginning && t.expecting})
	}
	for _, m := range t.members {
		if m.vacant || m.complete() && !m.doubted {
			continue
		}
		for _, p := range m.own() {
			if o := t.order(snapshot.Key{}, m, p); o == health.Drain || o == health.ForceDown {
				continue // whatever it has isn't answered
			}
			out = append(out, snapshot.Await{Place: p.Canonical(), What: what, Hold: t.beginning && !m.waived})
		}
	}
	return out
}

// carried says whether any of a service was answered before this table began.
func (s *service) carried() bool {
	return slices.ContainsFunc(s.pieces, func(p *piece) bool { return p != nil && p.carried })
}
