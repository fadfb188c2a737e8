package kube

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/fedns/fedns/internal/kube/apireply"
)

// A Follower hears what an API has of a kind. Its methods are called by one
// goroutine at a time, except Failed.
type Follower interface {
	Listed([]*Object) // all there is
	Set(*Object)
	Gone(namespace, name string)
	// Failed hears why a list or a watch ended; it is tried again.
	Failed(error)
}

// backoff is how lists are tried again. client-go's own goes to 30 s and as much
// again in jitter, and that long a healed cluster would look broken.
var backoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.3, Steps: 10, Cap: 5 * time.Second}

// Follow tells a Follower of the objects of a kind until ctx ends: a complete list
// first, and after whatever broke the watch. selector is one of labels or fields,
// "" is all. The managed fields are left out, unless the Follower has a method Managed.
func (a *API) Follow(ctx context.Context, k Kind, selector string, f Follower) {
	a.FollowIn(ctx, k, "", selector, f)
}

// FollowIn is Follow for what is in one namespace.
func (a *API) FollowIn(ctx context.Context, k Kind, namespace, selector string, f Follower) {
	l := &lists{api: a, kind: k, namespace: namespace, selector: selector, Follower: f, pages: listOf(k), tally: apireply.NewTally(a.budget), known: apireply.Known[bool]{}}
	l.pages.Budget = a.budget
	defer l.tally.End()
	sample := &Object{}
	sample.SetAPIVersion(k.APIVersion())
	sample.SetKind(k.Name)
	for ctx.Err() == nil {
		l.run(ctx, sample)
	}
}

// relist is how long a list is believed to be whole with what a watch has told
// since: a store that went back in time says nothing.
const relist = 10 * time.Minute

// run follows for as long as a list is believed; lists of kinds that were begun at
// once don't stay together.
func (l *lists) run(ctx context.Context, sample *Object) {
	ctx, end := context.WithTimeout(ctx, relist*4/5+rand.N(relist*2/5))
	defer end()
	l.ctx = ctx
	r := cache.NewReflectorWithOptions(l, sample, &sink{l}, cache.ReflectorOptions{
		Name: l.api.Server, TypeDescription: l.kind.String(), Backoff: &backoff,
	})
	r.WatchListPageSize = pageSize
	r.RunWithContext(ctx)
	l.listing.Lock() // a reflector doesn't wait for a list that is under way
	defer l.listing.Unlock()
	l.pages.Release()
}

// lists makes a reflector's calls.
type lists struct {
	Follower
	api       *API
	kind      Kind
	namespace string // "": all
	selector  string
	listing   sync.RWMutex
	pages     *apireply.List
	tally     *apireply.Tally
	known     apireply.Known[bool]
	ctx       context.Context // of run: stores are called without one
}

// ListWithContext is for reflectors.
func (l *lists) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	l.listing.RLock()
	defer l.listing.RUnlock()
	if o.ResourceVersion == "0" {
		// That would be the state of any moment, from a server whose cache is still
		// behind. What isn't there may then be taken to be gone.
		o.ResourceVersion = ""
	}
	o.LabelSelector = l.selector
	o.Limit = l.pages.Limit(o.Limit)
	list, err := l.api.dyn.Resource(resource(l.kind)).Namespace(l.namespace).List(apireply.Expect(ctx, l.pages), o)
	if err != nil {
		l.pages.Release()
		l.failed(ctx, err)
		return nil, err
	}
	return list, nil
}

// WatchWithContext is for reflectors.
func (l *lists) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.LabelSelector = l.selector
	w, err := l.api.dyn.Resource(resource(l.kind)).Namespace(l.namespace).Watch(apireply.Expect(ctx, l.pages), o)
	if err != nil {
		if o.SendInitialEvents == nil { // else it lists instead, and that has the last word
			l.failed(ctx, err)
		}
		return nil, err
	}
	if f, ok := l.Follower.(interface{ Watching() }); ok {
		f.Watching() // for who keeps account of failures
	}
	return apireply.Watch(w, l.api.silence, func(e watch.Event) (watch.Event, bool) {
		err := l.pages.Event(e)
		switch {
		case err != nil:
		case e.Type == watch.Error:
			err = apireply.Beyond(apierrors.FromObject(e.Object))
		default:
			err = l.tally.Take(e, apireply.Weigh)
		}
		if err != nil {
			// A reflector would pass over it, and go on from its version.
			l.failed(ctx, err)
			return watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(err).ErrStatus}, true
		}
		return e, true
	}, nil), nil
}

func (l *lists) failed(ctx context.Context, err error) {
	if ctx.Err() == nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		l.Failed(err)
	}
}

var errNotUsed = errors.New("reflectors call with a context")

// List is for an interface's sake.
func (l *lists) List(metav1.ListOptions) (runtime.Object, error) { return nil, errNotUsed }

// Watch is for an interface's sake.
func (l *lists) Watch(metav1.ListOptions) (watch.Interface, error) { return nil, errNotUsed }

// A sink hands a reflector's objects on, and keeps none.
type sink struct{ *lists }

var _ cache.TransformingStore = (*sink)(nil)

// Transformer cuts objects as they arrive: managed fields are half of them.
func (s *sink) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return s.cut(obj), nil }
}

func (l *lists) cut(obj any) *Object {
	if _, ok := l.Follower.(interface{ Managed() }); ok {
		return obj.(*Object) // for who goes by who says what
	}
	return cut(obj)
}

func cut(obj any) *Object {
	o := obj.(*Object)
	o.SetManagedFields(nil)
	return o
}

func (s *sink) Add(obj any) error { return s.Update(obj) }

func (s *sink) Update(obj any) error {
	o := s.cut(obj)
	s.known[cache.NewObjectName(o.GetNamespace(), o.GetName()).String()] = true
	s.Set(o)
	return nil
}

func (s *sink) Delete(obj any) error {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return err
	}
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	delete(s.known, key)
	s.Gone(namespace, name)
	return nil
}

func (s *sink) Replace(list []any, _ string) error {
	all := make([]*Object, len(list))
	there := make(apireply.Known[bool], len(list))
	loads := make(map[string]apireply.Load, len(list))
	for i, o := range list {
		all[i] = s.cut(o)
		key := cache.NewObjectName(all[i].GetNamespace(), all[i].GetName()).String()
		there[key], loads[key] = true, apireply.Weigh(all[i])
		list[i] = nil
	}
	s.pages.Release()
	if err := s.tally.Replace(loads); err != nil {
		s.failed(s.ctx, err)
		return err
	}
	for _, key := range s.known.Without(there) {
		if err := s.confirm(key); err != nil {
			s.failed(s.ctx, err)
			return err
		}
	}
	s.known = there
	s.Listed(all)
	return nil
}

// confirm asks by name for what a list leaves out. Absence is believed when two
// answers agree in it: a list may have been cut, or be of somewhere else, in a way
// that no look at it can find.
func (l *lists) confirm(key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	ctx, end := context.WithTimeout(l.ctx, callTimeout)
	defer end()
	answer, err := l.api.dyn.Resource(resource(l.kind)).Namespace(namespace).List(apireply.Expect(ctx, listOf(l.kind)), metav1.ListOptions{
		LabelSelector: l.selector, FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String(),
	})
	if err != nil {
		return err
	}
	return apireply.Contradiction(l.kind.String(), key, answer)
}

func (s *sink) Resync() error { return nil }
