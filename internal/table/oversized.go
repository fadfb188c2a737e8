package table

import (
	"fmt"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// crowd follows which services have more addresses than an answer may have, and says
// so once: clients see some of them at a time, and secondaries the same ones always.
func (t *Table) crowd(s *snapshot.Service) {
	limit := t.policy.Answers
	if limit == 0 {
		return
	}
	most := count(s.Shards)
	if s.Local != nil {
		most = max(most, count(s.Local.Shards))
	}
	if most <= limit {
		delete(t.crowded, s.Key)
		return
	}
	t.crowded[s.Key] = true
	t.notice("", shard.Oversized, fmt.Sprintf("%s has more addresses than an answer may have: each has %d of them, in turn, and zone transfers always the same (answers %d)", s.Key, limit, limit))
}

// count is how many addresses there are of the family that has more.
func count(shards []snapshot.Shard) int {
	var n [snapshot.Families]int
	for i := range shards {
		if s := &shards[i]; s.Widest == topology.Worldwide {
			n[snapshot.FamilyOf(s.Addr)]++
		}
	}
	return max(n[snapshot.IPv4], n[snapshot.IPv6])
}

// Oversized counts the services that have more addresses of one family than an answer
// may have.
func (t *Table) Oversized() int { return len(t.crowded) }
