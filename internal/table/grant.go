package table

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// counts says whether what a member has under a name counts, and notices where it may not have it.
func (t *Table) counts(m *member, k snapshot.Key) bool {
	if m.MayExport(k) {
		return true
	}
	t.notice(m.Name, shard.Ungranted, fmt.Sprintf("%s: cluster %q may not export it; left out", k, m.Name))
	return false
}

// ungranted are what members have of a name, and may not have.
func (t *Table) ungranted(k snapshot.Key) (out []string) {
	for i, m := range t.members {
		switch p := t.piece(i, k); {
		case k.Kind == snapshot.Host:
			for of, hosts := range m.barred {
				if slices.Contains(hosts, k.Name) {
					out = append(out, fmt.Sprintf("%s in cluster %s claims it, which that cluster may not (hosts)", of, m.Name))
				}
			}
		case p == nil || p.object == nil:
		case !m.MayExport(k):
			out = append(out, fmt.Sprintf("cluster %s has it, and may not export it (exports)", m.Name))
		default:
			for what := range m.outside {
				out = append(out, fmt.Sprintf("cluster %s has nodes in %s, where it may not be (places)", m.Name, what))
			}
			for _, name := range t.unheard(p.object) {
				out = append(out, fmt.Sprintf("cluster %s says %s, which doesn't count (annotations)", m.Name, name))
			}
			if ttl := p.object.TTL; !t.policy.Mute.TTL && ttl != t.bounded(ttl) {
				out = append(out, fmt.Sprintf("cluster %s says fedns.io/ttl of %d s, beyond the federation's bounds (ttl)", m.Name, ttl))
			}
		}
	}
	slices.Sort(out)
	return out
}

// ours is what counts where members disagree.
const ours = "that of the federation counts"

// ttl is what the members say of a service's TTL, within the federation's bounds.
func (t *Table) ttl(s *service, fs []evaluation) uint32 {
	if t.policy.Mute.TTL {
		return 0
	}
	says := agreed(t, s, fs, "fedns.io/ttl", ours, func(o *shard.Service) uint32 { return o.TTL })
	ttl := t.bounded(says)
	if ttl != says {
		t.notice("", shard.Ungranted, fmt.Sprintf("%s: fedns.io/ttl of %d s is beyond the federation's bounds, and is %d s", s.key, says, ttl))
	}
	return ttl
}

func (t *Table) bounded(ttl uint32) uint32 {
	if b := t.policy.TTL; ttl != 0 && b.Max != 0 {
		return min(max(ttl, b.Min), b.Max)
	}
	return ttl
}

// choice is what the members say of how a service's answers are chosen.
func (t *Table) choice(s *service, fs []evaluation) *snapshot.Policy {
	if t.policy.Mute.Policy {
		return nil
	}
	return policyOf(agreed(t, s, fs, "fedns.io/policy", ours, func(o *shard.Service) string { return o.Extras().Policy }))
}

// alias is what the members say of a host: whether it is a Service's own, and which region's shards are preferred.
func (t *Table) alias(s *service, fs []evaluation) string {
	if alias := agreed(t, s, fs, "fedns.io/hostname", "no region comes first", func(o *shard.Service) string { return o.Routing().Alias }); alias != "" {
		return alias
	}
	if slices.ContainsFunc(fs, func(f evaluation) bool { return s.pieces[f.cluster].object.Routing().Alias != "" }) {
		return shard.AnyRegion
	}
	return ""
}

// weight is that of a shard, as its object says where it has a say.
func (t *Table) weight(o *shard.Service) uint16 {
	if t.policy.Mute.Weight {
		return evenly
	}
	return o.Weight
}

// evenly is what every shard weighs where none has a say.
const evenly = 1

// unheard are what an object says and doesn't count.
func (t *Table) unheard(o *shard.Service) (out []string) {
	mute := t.policy.Mute
	for _, a := range []struct {
		name string
		said bool
	}{
		{"fedns.io/ttl", mute.TTL && o.TTL != 0},
		{"fedns.io/policy", mute.Policy && o.Extras().Policy != ""},
		{"fedns.io/weight", mute.Weight && o.Weight != evenly},
	} {
		if a.said {
			out = append(out, a.name)
		}
	}
	return out
}

// noticeUnheard notices what objects of a service say and doesn't count.
func (t *Table) noticeUnheard(s *service, fs []evaluation) {
	if t.policy.Mute == (shard.Mute{}) {
		return
	}
	for _, f := range fs {
		if names := t.unheard(s.pieces[f.cluster].object); len(names) > 0 {
			m := t.members[f.cluster]
			t.notice(m.Name, shard.Ungranted, fmt.Sprintf("%s: %s of cluster %q doesn't count in this federation", s.key, strings.Join(names, ", "), m.Name))
		}
	}
}
