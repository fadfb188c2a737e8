package table

import (
	"iter"
	"maps"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// A list is complete: what it lacks is gone. What that means is the same whatever it
// is a list of.

// relist takes in all that a cluster has, and drops what else it had.
func relist[K comparable, O interface{ ID() K }](cluster int, list []O, had iter.Seq[K], set func(int, O), drop func(int, K)) {
	has := make(map[K]bool, len(list))
	for _, o := range list {
		has[o.ID()] = true
		set(cluster, o)
	}
	for k := range had {
		if !has[k] {
			drop(cluster, k)
		}
	}
}

// where are those of which something is so.
func where[K any](all iter.Seq[K], is func(K) bool) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range all {
			if is(k) && !yield(k) {
				return
			}
		}
	}
}

func (t *Table) listServices(cluster int, list []*shard.Service) {
	had := where(maps.Keys(t.services), func(k snapshot.Key) bool {
		p := t.piece(cluster, k)
		return k.Kind == snapshot.Svc && p != nil && p.object != nil
	})
	relist(cluster, list, had, t.setService, t.dropService)
	t.rebuildStale(cluster) // before it is judged
	t.heard(cluster, listServices)
}

func (t *Table) listIngresses(cluster int, list []*shard.Service) {
	relist(cluster, list, maps.Keys(t.members[cluster].ingresses), t.setIngress, t.dropIngress)
	t.rebuildStale(cluster) // before it is judged
	t.heard(cluster, listIngresses)
}

func (t *Table) listFronts(cluster int, l shard.FrontendList) {
	had := where(maps.Keys(t.members[cluster].objects), func(k shard.FrontendKey) bool { return k.Kind == l.Kind })
	relist(cluster, l.Frontends, had, t.setFront, t.dropFront)
	t.rebuildStale(cluster)
	t.heard(cluster, listOf[l.Kind])
}

func (t *Table) listStandby(cluster int, list []*shard.Service) {
	relist(cluster, list, maps.Keys(t.members[cluster].standby), t.setStandby, t.dropStandby)
	t.rebuildStale(cluster)
	t.heard(cluster, listStandby)
}

func (t *Table) listClasses(cluster int, l shard.ClassList) {
	had := where(maps.Keys(t.members[cluster].classes), func(k shard.ClassKey) bool {
		return k.Kind == l.Kind && k.Name != "" // the class of what names none follows the others
	})
	relist(cluster, l.Classes, had, t.setClass, t.dropClass)
	t.rebuildStale(cluster) // before it is judged
	t.heard(cluster, listOf[l.Kind+"Class"])
}

func (t *Table) listSlices(cluster int, list []*shard.Slice) {
	relist(cluster, list, t.members[cluster].slices.keys(), t.setSlice, t.dropSlice)
	t.heard(cluster, listSlices)
}
