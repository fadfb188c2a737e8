package table

import (
	"slices"
	"time"

	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// Settling is how long answers stay short-lived after a shard came or went: one
// that just changed is the likeliest to change again.
const Settling = 30 * time.Minute

// recents are the places where shards came or went lately, as they are told from a table to
// the one after it, which may be another process's.
type recents struct {
	restored map[snapshot.Key][]snapshot.Recent // of services that this table doesn't have yet
	changed  map[snapshot.Key]bool
}

func newRecents() recents {
	return recents{restored: map[snapshot.Key][]snapshot.Recent{}, changed: map[snapshot.Key]bool{}}
}

// note remembers the places where a shard came or went.
func (t *Table) note(s *service, before, after []topology.Place, now time.Duration) {
	for _, lists := range [2][2][]topology.Place{{before, after}, {after, before}} {
		for _, p := range lists[0] {
			if slices.Contains(lists[1], p) {
				continue
			}
			s.recent = slices.DeleteFunc(s.recent, func(r snapshot.Recent) bool { return r.Place == p })
			s.recent = append(s.recent, snapshot.Recent{Place: p, Until: now + Settling})
			t.recents.changed[s.key] = true
		}
	}
}

func (t *Table) forgetRecent(s *service) {
	if len(s.recent) > 0 {
		s.recent = nil
		t.recents.changed[s.key] = true
	}
}

// Recents are the places where shards came or went lately, by service: a new table goes on
// from there.
func (t *Table) Recents(now time.Duration) map[snapshot.Key][]snapshot.Recent {
	out := map[snapshot.Key][]snapshot.Recent{}
	add := func(k snapshot.Key, all []snapshot.Recent) {
		if live := lately(all, now); len(live) > 0 {
			out[k] = live
		}
	}
	for k, all := range t.recents.restored {
		add(k, all)
	}
	for k, s := range t.services {
		add(k, s.recent)
	}
	return out
}

// ChangedRecents are those that have changed since the last call; of a service that has
// none any more, none.
func (t *Table) ChangedRecents(now time.Duration) map[snapshot.Key][]snapshot.Recent {
	out := make(map[snapshot.Key][]snapshot.Recent, len(t.recents.changed))
	for k := range t.recents.changed {
		out[k] = nil
		if s := t.services[k]; s != nil {
			out[k] = lately(s.recent, now)
		}
	}
	clear(t.recents.changed)
	return out
}

// RestoreRecents takes over what another table, or an earlier process, remembered.
func (t *Table) RestoreRecents(all map[snapshot.Key][]snapshot.Recent) {
	for k, recent := range all {
		if s := t.services[k]; s != nil {
			s.recent = recent
			t.dirty[k] = true
		} else {
			t.recents.restored[k] = recent
		}
	}
}

// forgetRestored drops what is remembered of services that aren't there: all that there is is known.
func (t *Table) forgetRestored() {
	for k := range t.recents.restored {
		t.recents.changed[k] = true
	}
	clear(t.recents.restored)
}

func lately(all []snapshot.Recent, now time.Duration) []snapshot.Recent {
	return slices.DeleteFunc(slices.Clone(all), func(r snapshot.Recent) bool { return r.Until <= now })
}
