package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"

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

var backoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.3, Steps: 10, Cap: 5 * time.Second}

const (
	// Relist is how long lists are believed to be whole with what watches have told since.
	Relist = 10 * time.Minute
	// Pace is how often it is asked again for what an API doesn't know, or doesn't give.
	Pace = 10 * time.Second
)

// Follow tells a Follower of the objects of a kind until ctx ends: a complete list
// first, and after whatever broke the watch. selector is one of labels or fields,
// "" is all. The managed fields are left out, unless the Follower has a method Managed.
func (a *API) Follow(ctx context.Context, k Kind, selector string, f Follower) {
	a.FollowIn(ctx, k, "", selector, f)
}

// FollowIn is Follow for what is in one namespace.
func (a *API) FollowIn(ctx context.Context, k Kind, namespace, selector string, f Follower) {
	sample := &Object{}
	sample.SetAPIVersion(k.APIVersion())
	sample.SetKind(k.Name)
	r := &Reflector[*Object]{
		Server: a.Server, Resource: k.String(), Sample: sample, Kinds: listOf(k).Kinds, Budget: a.budget,
		ListFunc: func(ctx context.Context, of string, o metav1.ListOptions) (runtime.Object, error) {
			if of == "" {
				of = namespace
			}
			o.LabelSelector = selector
			return a.dyn.Resource(resource(k)).Namespace(of).List(ctx, o)
		},
		WatchFunc: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return a.dyn.Resource(resource(k)).Namespace(namespace).Watch(ctx, o)
		},
		Weigh: apireply.Weigh, Backoff: &backoff, Silence: a.silence, Pace: Pace, Relist: Relist,
		Sink: &sink{to: f, kind: k, known: apireply.Known[bool]{}},
	}
	r.Run(ctx)
}

// A sink tells a Follower.
type sink struct {
	to    Follower
	kind  Kind
	known apireply.Known[bool]
}

// Cut implements Sink: managed fields are half of an object.
func (s *sink) Cut(_ string, o any) *Object {
	if _, ok := s.to.(interface{ Managed() }); ok {
		return o.(*Object) // for who goes by who says what
	}
	return cut(o)
}

func cut(obj any) *Object {
	o := obj.(*Object)
	o.SetManagedFields(nil)
	return o
}

func (s *sink) Set(key string, o *Object) {
	s.known[key] = true
	s.to.Set(o)
}

func (s *sink) Gone(key, namespace, name string) {
	delete(s.known, key)
	s.to.Gone(namespace, name)
}

func (s *sink) Doubts(l *Listing[*Object]) []string {
	return s.known.Some(func(key string, _ bool) bool {
		_, there := l.Get(key)
		return !there
	})
}

func (s *sink) Confirm(key string, _ *Listing[*Object], answer runtime.Object) error {
	return apireply.Contradiction(s.kind.String(), key, answer)
}

func (s *sink) Listed(l *Listing[*Object]) {
	all := make([]*Object, len(l.Items))
	clear(s.known)
	for i, o := range l.Items {
		all[i], s.known[o.Key] = o.Of, true
	}
	s.to.Listed(all)
}

func (s *sink) Pause(context.Context) {}
func (s *sink) Heard(string)          {}
func (s *sink) Ended(error)           {}

func (s *sink) Works() {
	if f, ok := s.to.(interface{ Watching() }); ok {
		f.Watching() // for who keeps account of failures
	}
}

func (s *sink) Failed(_ context.Context, err error) {
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		s.to.Failed(err)
	}
}
