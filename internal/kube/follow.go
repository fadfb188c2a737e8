package kube

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
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
// "" is all. The managed fields are left out.
func (a *API) Follow(ctx context.Context, k Kind, selector string, f Follower) {
	l := &lists{api: a, kind: k, selector: selector, Follower: f}
	sample := &Object{}
	sample.SetAPIVersion(k.APIVersion())
	sample.SetKind(k.Name)
	r := cache.NewReflectorWithOptions(l, sample, &sink{f}, cache.ReflectorOptions{
		Name: a.Server, TypeDescription: k.String(), Backoff: &backoff,
	})
	r.WatchListPageSize = pageSize
	r.RunWithContext(ctx)
	l.listing.Lock() // a reflector doesn't wait for a list that is under way
	defer l.listing.Unlock()
}

// lists makes a reflector's calls.
type lists struct {
	Follower
	api      *API
	kind     Kind
	selector string
	listing  sync.RWMutex
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
	list, err := l.api.dyn.Resource(resource(l.kind)).List(ctx, o)
	if err != nil {
		l.failed(ctx, err)
		return nil, err
	}
	return list, nil
}

// WatchWithContext is for reflectors.
func (l *lists) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.LabelSelector = l.selector
	w, err := l.api.dyn.Resource(resource(l.kind)).Watch(ctx, o)
	if err != nil {
		if o.SendInitialEvents == nil { // else it lists instead, and that has the last word
			l.failed(ctx, err)
		}
		return nil, err
	}
	if f, ok := l.Follower.(interface{ Watching() }); ok {
		f.Watching() // for who keeps account of failures
	}
	return w, nil
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
type sink struct{ Follower }

var _ cache.TransformingStore = (*sink)(nil)

// Transformer cuts objects as they arrive: managed fields are half of them.
func (s *sink) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return cut(obj), nil }
}

func cut(obj any) *Object {
	o := obj.(*Object)
	o.SetManagedFields(nil)
	return o
}

func (s *sink) Add(obj any) error    { s.Set(cut(obj)); return nil }
func (s *sink) Update(obj any) error { s.Set(cut(obj)); return nil }

func (s *sink) Delete(obj any) error {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return err
	}
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	s.Gone(namespace, name)
	return nil
}

func (s *sink) Replace(list []any, _ string) error {
	all := make([]*Object, len(list))
	for i, o := range list {
		all[i] = cut(o)
		list[i] = nil
	}
	s.Listed(all)
	return nil
}

func (s *sink) Resync() error { return nil }
