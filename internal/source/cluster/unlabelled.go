package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/fedns/fedns/internal/kube/apireply"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// Kubernetes labels the slices that it makes as their Service is labelled, and of an
// exported Service it has always made one. Where none has the labels, that is because
// Kubernetes hasn't come to it yet, its controller doesn't run, or the Service has no
// selector, or no more, and is none of the controller's business. Those Services are few,
// and Kubernetes' own slices of them are watched by the names of the Services.

// A watch by name is of the Services of one namespace. Their names stand in the URL of
// each question: some fit into the 8 kB that a proxy lets pass.
const (
	namesAtOnce  = 64
	byNameLimit  = 64              // watches of a cluster
	labelledSoon = 1 * time.Second // Kubernetes labels a slice in well under it, unless there are many
)

// slicesByName are the slices of Kubernetes' own that lack the labels.
func (w *Watcher) slicesByName(a *api) *resource {
	const name = "slices by name"
	r := &resource{name: name, optional: true, seldom: true}
	r.run = func(ctx context.Context) {
		w.demand.lists(ctx, "services", "slices")
		for ctx.Err() == nil {
			ask := &byName{Watcher: w, api: a, name: name, asked: map[snapshot.Key]bool{}}
			ask.run(ctx, func() {
				w.standing.listed(name, w.endpoints.complete(unlabelled))
				w.standing.reported(name)
			})
		}
	}
	return r
}

// byName is the watches of the slices of bare Services. It belongs to one goroutine.
type byName struct {
	*Watcher
	api     *api
	name    string
	wg      sync.WaitGroup
	watches []*listener
	asked   map[snapshot.Key]bool
}

// run watches until ctx ends, or fewer watches would do for the same. listed is called
// when the slices are known of those Services that are bare at first.
func (b *byName) run(ctx context.Context, listed func()) {
	ctx, end := context.WithCancel(ctx)
	defer func() {
		end()
		b.wg.Wait()
		for _, l := range b.watches {
			l.settle()
		}
	}()
	bare := b.endpoints.beginByName()
	for first := true; ; first = false {
		more, full := b.batches(bare)
		if full && len(byNamespace(append(slices.Collect(maps.Keys(b.asked)), bare...))) < len(b.watches)+len(more) {
			return
		}
		if full {
			more = more[:byNameLimit-len(b.watches)]
			b.gripes.say(b.name, []string{fmt.Sprintf("more exported Services than are watched so have no slice with the labels that choose Services (%s); of the others, slices that Kubernetes made don't count", b.Selector)})
		}
		done := func() {}
		if first {
			left := atomic.Int64{}
			left.Store(int64(len(more)))
			if done = func() {
				if left.Add(-1) == 0 {
					listed()
				}
			}; len(more) == 0 {
				listed()
			}
		}
		for _, keys := range more {
			b.watch(ctx, keys, done)
		}
		select {
		case <-b.endpoints.bared:
		case <-ctx.Done():
			return
		}
		apireply.Wait(ctx, labelledSoon)
		bare = b.endpoints.stillBare()
	}
}

// batches are the questions for those Services that aren't asked for yet; full: they are
// more than there may be.
func (b *byName) batches(bare []snapshot.Key) (more [][]snapshot.Key, full bool) {
	more = byNamespace(slices.DeleteFunc(slices.Clone(bare), func(k snapshot.Key) bool { return b.asked[k] }))
	return more, len(b.watches)+len(more) > byNameLimit
}

// watch watches the slices of some Services of one namespace. done is called once they
// have been listed.
func (b *byName) watch(ctx context.Context, keys []snapshot.Key, done func()) {
	these := map[snapshot.Key]bool{}
	var all []string
	for _, k := range keys {
		these[k], b.asked[k] = true, true
		all = append(all, k.Name)
	}
	of := func(k snapshot.Key) bool { return these[k] }
	r := b.some(b.api, unlabelled, b.name, keys[0].Namespace,
		discoveryv1.LabelManagedBy+"="+sliceController+","+discoveryv1.LabelServiceName+" in ("+strings.Join(all, ",")+")", of)
	tell, done := r.tell, sync.OnceFunc(done)
	r.tell = func(c shard.Change) {
		tell(c)
		if _, list := c.(shard.SliceList); list {
			done()
		}
	}
	l := b.beside(ctx, b.api, r, &b.wg, b.endpoints.those(unlabelled, of))
	b.watches = append(b.watches, l)
	l.run(ctx)
}

// byNamespace makes of Services those that can be asked for at once.
func byNamespace(keys []snapshot.Key) (out [][]snapshot.Key) {
	sorted := slices.SortedFunc(slices.Values(keys), func(a, b snapshot.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, k := range sorted {
		if last := len(out) - 1; last >= 0 && out[last][0].Namespace == k.Namespace && len(out[last]) < namesAtOnce {
			out[last] = append(out[last], k)
		} else {
			out = append(out, []snapshot.Key{k})
		}
	}
	return out
}

// mark follows whether a Service is bare: exported, and without a slice that has the
// labels.
func (e *endpoints) mark(k snapshot.Key) {
	bare := e.exported[k] && slices.Contains(e.needed, unlabelled)
	for at := range e.services[k] {
		if s := e.slices[labelled][at]; s != nil && s.Of() == k {
			bare = false
		}
	}
	switch {
	case !bare:
		delete(e.bare, k)
	case !e.bare[k]:
		e.bare[k] = true
		select {
		case e.bared <- struct{}{}:
		default:
		}
	}
}

// stillBare are the Services that are bare now.
func (e *endpoints) stillBare() []snapshot.Key {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.bare))
}

// beginByName are the Services whose slices are to be watched by name: those that are bare, and
// those of which slices are known in no other way. What is known otherwise is forgotten.
func (e *endpoints) beginByName() []snapshot.Key {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := maps.Clone(e.bare)
	for k, s := range e.slices[unlabelled] {
		if e.exported[s.Of()] && e.slices[labelled][k] == nil {
			all[s.Of()] = true
			continue
		}
		if c := e.put(unlabelled, k, nil); len(c) > 0 {
			e.report(c...)
		}
	}
	return slices.Collect(maps.Keys(all))
}
