package cluster

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/fedns/fedns/internal/kube/apireply"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// Kubernetes labels the slices that it makes as their Service is labelled, while its controller
// runs and the Service has a selector. Where a slice of its making lacks the labels all the
// same, the Service that it names is exported no less. These slices are watched by the names of
// the exported Services. What has the labels isn't told twice, so that as a rule there is nothing
// to tell: what it costs is the questions.

const (
	// namesAtOnce is how many bytes of names stand in a question. They are in its URL, of
	// which most proxies let 8 kB pass. Where it is too long all the same, half of it is tried.
	namesAtOnce = 4000
	// namespacesAtOnce is how many namespaces are asked each by itself. Of more, all are
	// asked at once, which also gives the slices of Services of the same names elsewhere;
	// those are thrown away as they come.
	namespacesAtOnce = 64
	// spareWatches is how many more watches there may be than are needed, before all of
	// them make room for as many as are: each Service that is exported later begins one.
	spareWatches = 16
	// labelledSoon is how long Services are gathered for a question. Kubernetes labels a
	// slice in well under it, so nobody waits for the answer.
	labelledSoon = 1 * time.Second
)

// slicesByName are the slices of Kubernetes' own that lack the labels.
func (w *Watcher) slicesByName(a *api) *resource {
	const name = "slices by name"
	r := &resource{name: name, optional: true, seldom: true}
	r.run = func(ctx context.Context) {
		w.demand.lists(ctx, "services", "slices")
		for size := namesAtOnce; ctx.Err() == nil; {
			ask := &byName{Watcher: w, api: a, name: name, size: size, long: make(chan struct{}, 1), asked: map[snapshot.Key]bool{}}
			size = ask.run(ctx, func() {
				w.status.listed(name, w.endpoints.complete(unlabelled))
				w.status.reported(name)
			})
		}
	}
	return r
}

// byName is the watches of the slices of exported Services by their names. It belongs to one
// goroutine.
type byName struct {
	*Watcher
	api     *api
	name    string
	size    int           // of questions
	long    chan struct{} // has something when one was too long
	wg      sync.WaitGroup
	watches []*listener
	asked   map[snapshot.Key]bool
}

// run watches until ctx ends, fewer watches would do for the same, or questions are too long; it gives
// the size of those to go on with. listed is called when the slices are known of those Services
// that are exported at first.
func (b *byName) run(ctx context.Context, listed func()) (size int) {
	ctx, end := context.WithCancel(ctx)
	defer func() {
		end()
		b.wg.Wait()
	}()
	more := questions(b.endpoints.beginByName(), b.size)
	left := atomic.Int64{}
	left.Store(int64(len(more)))
	done := func() {
		if left.Add(-1) == 0 {
			listed()
		}
	}
	if len(more) == 0 {
		listed()
	}
	for {
		for _, q := range more {
			b.watch(ctx, q, done)
		}
		select {
		case <-b.endpoints.renamed:
		case <-b.long:
			return b.size / 2
		case <-ctx.Done():
			return b.size
		}
		apireply.Wait(ctx, labelledSoon)
		exported := b.endpoints.exportedNow()
		need := len(questions(exported, b.size))
		more = questions(slices.DeleteFunc(slices.Clone(exported), func(k snapshot.Key) bool { return b.asked[k] }), b.size)
		if len(b.watches)+len(more) > need+spareWatches || len(b.asked) > 2*len(exported)+spareWatches {
			return b.size
		}
		done = func() {}
	}
}

// watch watches the slices that a question is about. done is called once they have been listed.
func (b *byName) watch(ctx context.Context, q question, done func()) {
	these := map[snapshot.Key]bool{}
	for _, k := range q.services {
		these[k], b.asked[k] = true, true
	}
	of := func(k snapshot.Key) bool { return these[k] }
	selector := discoveryv1.LabelManagedBy + "=" + sliceController + "," + discoveryv1.LabelServiceName + " in (" + strings.Join(q.names, ",") + ")"
	if other, ok := opposite(b.Selector); ok {
		selector += "," + other
	}
	r := b.withoutLabels(b.slices(b.api, unlabelled, b.name, q.namespace, selector, of))
	list := r.list
	r.list = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		all, err := list(ctx, o)
		if tooLong(err) && len(q.names) > 1 {
			select {
			case b.long <- struct{}{}:
			default:
			}
		}
		return all, err
	}
	tell, done := r.tell, sync.OnceFunc(done)
	r.tell = func(c shard.Change) {
		tell(c)
		if _, list := c.(shard.SliceList); list {
			done()
		}
	}
	l := b.beside(b.api, r, &b.wg, b.endpoints.those(unlabelled, of))
	b.watches = append(b.watches, l)
	l.run(ctx)
}

// A question is what Services' slices are asked for at once.
type question struct {
	namespace string // "": all
	names     []string
	services  []snapshot.Key
}

// tooLong says whether that may be why a question wasn't answered: proxies say so in several ways.
func tooLong(err error) bool {
	var said *apierrors.StatusError
	if !errors.As(err, &said) {
		return false
	}
	switch said.ErrStatus.Code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return true
	}
	return false
}

// questions are those that are needed for some Services, with so many bytes of names at most.
func questions(services []snapshot.Key, most int) (out []question) {
	namespaces := map[string]bool{}
	for _, k := range services {
		namespaces[k.Namespace] = true
	}
	in := func(k snapshot.Key) string { return k.Namespace }
	if len(namespaces) > namespacesAtOnce {
		in = func(snapshot.Key) string { return "" }
	}
	sorted := slices.SortedFunc(slices.Values(services), func(a, b snapshot.Key) int {
		return cmp.Or(cmp.Compare(in(a), in(b)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Namespace, b.Namespace))
	})
	size := 0
	for _, k := range sorted {
		last := len(out) - 1
		if last < 0 || out[last].namespace != in(k) || size+len(k.Name) > most {
			out, size = append(out, question{namespace: in(k)}), 0
			last++
		}
		q := &out[last]
		q.services = append(q.services, k)
		if n := len(q.names); n == 0 || q.names[n-1] != k.Name {
			q.names = append(q.names, k.Name)
			size += len(k.Name) + len("%2C") // as a comma is written in a URL
		}
	}
	return out
}

// opposite selects what s doesn't. Where that can't be said, what s selects is thrown away as it comes.
func opposite(s labels.Selector) (selector string, ok bool) {
	all, _ := s.Requirements()
	if len(all) != 1 {
		return "", false
	}
	not, ok := map[selection.Operator]selection.Operator{
		selection.Equals: selection.NotEquals, selection.DoubleEquals: selection.NotEquals, selection.NotEquals: selection.Equals,
		selection.In: selection.NotIn, selection.NotIn: selection.In,
		selection.Exists: selection.DoesNotExist, selection.DoesNotExist: selection.Exists,
	}[all[0].Operator()]
	if !ok {
		return "", false
	}
	r, err := labels.NewRequirement(all[0].Key(), not, all[0].Values().List())
	if err != nil {
		return "", false
	}
	return r.String(), true
}

// exportedNow are the Services that are exported.
func (e *endpoints) exportedNow() []snapshot.Key {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.exported))
}

// beginByName are the Services whose slices are to be watched by name. What is known so of
// others is forgotten.
func (e *endpoints) beginByName() []snapshot.Key {
	e.mu.Lock()
	defer e.mu.Unlock()
	for k, s := range e.slices[unlabelled] {
		if !e.exported[s.Of()] {
			e.keep(unlabelled, k, nil)
		}
	}
	return slices.Collect(maps.Keys(e.exported))
}
