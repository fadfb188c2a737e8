package kube

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
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

// A Reflector follows one resource of an API, as the one of client-go does, which it
// runs, and guards what that takes for granted: that answers are an API server's and
// bounded, that whoever says nothing is ended, and that what a list leaves out is gone.
// It keeps no object. V is what is made of one.
type Reflector[V any] struct {
	Server   string // for messages of client-go
	Resource string
	Sample   runtime.Object  // of the type that it has
	Kinds    []apireply.Kind // that a list of it may say
	Budget   *apireply.Budget
	// ListFunc and WatchFunc call the API. namespace is that of the one object that is asked for,
	// in a question that names one.
	ListFunc  func(ctx context.Context, namespace string, o metav1.ListOptions) (runtime.Object, error)
	WatchFunc func(context.Context, metav1.ListOptions) (watch.Interface, error)
	Weigh     func(runtime.Object) apireply.Load
	// Backoff is how calls are tried again. client-go's own goes to 30 s and as much
	// again in jitter, and that long a healed cluster would look broken.
	Backoff *wait.Backoff
	Silence time.Duration // after which a call, or a watch, is taken to be dead
	Pace    time.Duration // for so long, after a stream that broke, lists aren't asked for as streams
	// Relist is how long a list is believed to be whole with what a watch has told since:
	// a store that went back in time says nothing. 0: for as long as Run goes on.
	Relist time.Duration
	Sink   Sink[V]

	ctx        context.Context // of run: stores are called without one
	pages      apireply.List
	tally      *apireply.Tally // of all that the API has of it
	listing    sync.RWMutex    // read-held during a list, which no one else waits for
	taps       sync.WaitGroup
	tap        watch.Interface // the last watch
	streamless atomic.Int64    // lists aren't asked for as streams before, in Unix nanoseconds
}

// A Sink hears what a Reflector does. Keys are NAMESPACE/NAME.
type Sink[V any] interface {
	Cut(key string, o any) V // what is made of an object, which isn't kept
	Set(key string, v V)
	Gone(key, namespace, name string)
	// Doubts gives some objects to be asked for by their names, before a list is believed
	// that leaves them out, or has them otherwise.
	Doubts(*Listing[V]) []string
	// Confirm says what is wrong with the list, in view of the answer to such a question.
	Confirm(key string, l *Listing[V], answer runtime.Object) error
	Listed(*Listing[V]) // all there is

	Pause(context.Context)         // puts off a call
	Heard(version string)          // the API said something; of a watch, about that version
	Works()                        // a watch is open, or tells something
	Failed(context.Context, error) // of a list or a watch, which is tried again
	Ended(error)                   // a watch did: that says nothing of the API
}

// A Listing is a complete list.
type Listing[V any] struct {
	Items   []Item[V]
	Version string
	at      map[string]int
}

// An Item is one object of a list.
type Item[V any] struct {
	Key  string
	load apireply.Load
	Of   V
}

// Get finds an object.
func (l *Listing[V]) Get(key string) (v V, ok bool) {
	if i, ok := l.at[key]; ok {
		return l.Items[i].Of, true
	}
	return v, false
}

var (
	// ErrHung is why a call, or a watch, was ended here.
	ErrHung = errors.New("nothing was said for too long")
	// ErrClosed is the end of a watch by the API, as each comes every few minutes.
	ErrClosed = errors.New("the watch was closed")
	// ErrNoAnswer stands for the error that client-go swallows when a watch can't be
	// opened: it gives an empty watch instead.
	ErrNoAnswer = errors.New("no answer to a watch")

	// errUnfinished has client-go ask for a list that isn't a stream.
	errUnfinished = errors.New("the last list that was a stream came to no end")
	errNotUsed    = errors.New("reflectors call with a context")
)

// Run follows until ctx ends: a complete list first, and after whatever broke the
// watch. All that it began has ended then.
func (r *Reflector[V]) Run(ctx context.Context) {
	r.pages.Kinds, r.pages.Budget = r.Kinds, r.Budget
	r.tally = apireply.NewTally(r.Budget)
	defer r.taps.Wait()
	defer r.tally.End()
	for ctx.Err() == nil {
		r.run(ctx)
	}
}

// run follows for as long as a list is believed; lists that were begun at once don't
// stay together.
func (r *Reflector[V]) run(ctx context.Context) {
	if r.Relist > 0 {
		var end func()
		ctx, end = context.WithTimeout(ctx, r.Relist*4/5+rand.N(r.Relist*2/5))
		defer end()
	}
	r.ctx = ctx
	c := calls[V]{r}
	reflector := cache.NewReflectorWithOptions(c, r.Sample, store[V](c), cache.ReflectorOptions{
		Name: r.Server, TypeDescription: r.Resource, Backoff: r.Backoff,
	})
	reflector.WatchListPageSize = pageSize
	reflector.RunWithContext(ctx)
	r.listing.Lock() // a reflector doesn't wait for a list that is under way
	defer r.listing.Unlock()
	r.pages.Release()
	r.stop()
}

// stop ends the last watch: a reflector forgets one whose list its store doesn't take.
func (r *Reflector[V]) stop() {
	if r.tap != nil {
		r.tap.Stop()
	}
}

// call asks for a list, for no longer than that. namespace is as of ListFunc.
func (r *Reflector[V]) call(ctx context.Context, most time.Duration, pages *apireply.List, namespace string, o metav1.ListOptions) (runtime.Object, error) {
	call, end := context.WithTimeoutCause(ctx, most, ErrHung)
	defer end()
	list, err := r.ListFunc(apireply.Expect(call, pages), namespace, o)
	return list, CauseOf(call, err)
}

// CauseOf is why a call ended: err, or that it was ended for saying nothing.
func CauseOf(call context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(call), ErrHung) {
		return ErrHung
	}
	return err
}

func (r *Reflector[V]) failed(ctx context.Context, err error) {
	if ctx.Err() == nil { // else we are going away ourselves
		r.Sink.Failed(ctx, err)
	}
}

func (r *Reflector[V]) ended(ctx context.Context, err error) {
	if ctx.Err() == nil {
		r.Sink.Ended(err)
	}
}

// calls makes a reflector's calls, and listens in. It is the place to: a reflector asks
// its error handler about some errors only, and can't be given one.
type calls[V any] struct{ *Reflector[V] }

// ListWithContext is for reflectors.
func (r calls[V]) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	r.listing.RLock()
	defer r.listing.RUnlock()
	if ctx.Err() != nil {
		return nil, ctx.Err() // it comes late, from a run that has ended
	}
	r.stop()
	r.Sink.Pause(ctx)
	if o.ResourceVersion == "0" {
		// That would be the state of any moment: of before an outage, from a server
		// whose cache is still behind. What isn't there may then be taken to be gone.
		o.ResourceVersion = ""
	}
	o.Limit = r.pages.Limit(o.Limit)
	list, err := r.call(ctx, r.Silence, &r.pages, "", o)
	if err != nil {
		r.pages.Release()
		r.failed(ctx, err)
		return nil, err
	}
	r.Sink.Heard("")
	return list, nil
}

// WatchWithContext is for reflectors.
func (r calls[V]) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	r.stop()
	streamed := o.SendInitialEvents != nil && *o.SendInitialEvents
	if streamed && time.Now().UnixNano() < r.streamless.Load() {
		return nil, errUnfinished
	}
	r.Sink.Pause(ctx)
	call, end := context.WithCancelCause(ctx)
	patience := time.AfterFunc(r.Silence, func() { end(ErrHung) })
	w, err := r.WatchFunc(apireply.Expect(call, &r.pages), o)
	if _, ok := w.(*watch.StreamWatcher); err == nil && !ok {
		err = ErrNoAnswer
	}
	err = CauseOf(call, err)
	patience.Stop()
	switch {
	case err != nil && streamed:
		end(nil)
		// The reflector lists instead, and that has the last word. It must not
		// find an error here that it would retry: it does so after a sleep that
		// doesn't end with ctx.
		return nil, fmt.Errorf("%s: watch instead of a list: %v", r.Resource, err) //nolint:errorlint // it is told apart from those that are retried
	case err != nil:
		end(nil)
		r.failed(ctx, err)
		return nil, err
	case !streamed:
		r.Sink.Works()
	}
	initial := streamed
	broken := func() {
		if initial {
			// A reflector would ask for another at once. The list that it asks for instead has
			// the last word.
			r.streamless.Store(time.Now().Add(r.Pace).UnixNano())
		}
	}
	r.taps.Add(1)
	r.tap = apireply.Watch(w, r.Silence, func(e watch.Event) (watch.Event, bool) {
		initial = initial && !isEnd(e) // a list has that time, however many objects come
		heard := r.event(ctx, e, streamed, initial)
		if heard.Type == watch.Error {
			broken()
		}
		return heard, !initial
	}, func(how apireply.Ending) {
		defer r.taps.Done()
		end(nil)
		switch how {
		case apireply.Hung:
			broken()
			r.ended(ctx, ErrHung)
		case apireply.Closed:
			broken()
			r.ended(ctx, ErrClosed)
		}
	})
	return r.tap, nil
}

// isEnd says whether an event is the end of a list that is a stream.
func isEnd(e watch.Event) bool {
	o, ok := e.Object.(metav1.Object)
	return ok && e.Type == watch.Bookmark && o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}

// event hears what a watch tells, and gives what the reflector is to hear. Errors
// within a watch say nothing of the API: the next call does. What is a part of a list
// says nothing yet: the whole may be too much.
func (r *Reflector[V]) event(ctx context.Context, e watch.Event, streamed, partly bool) watch.Event {
	failed := r.failed
	if streamed { // the list that follows has the last word
		failed = r.ended
	}
	if e.Type == watch.Error {
		err := apierrors.FromObject(e.Object)
		if beyond := apireply.Beyond(err); beyond != nil {
			failed(ctx, beyond)
		} else {
			r.ended(ctx, err)
		}
		return e
	}
	err := r.pages.Event(e)
	if err == nil && reflect.TypeOf(e.Object) != reflect.TypeOf(r.Sample) {
		err = &apireply.UnexpectedReply{What: fmt.Sprintf("a watch of %s that tells of a %T", r.Resource, e.Object)}
	}
	if err == nil {
		err = r.tally.Take(e, r.Weigh)
	}
	if err != nil {
		// A reflector would pass over it, and go on from its version.
		failed(ctx, err)
		return watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(err).ErrStatus}
	}
	r.Sink.Heard(e.Object.(metav1.Object).GetResourceVersion())
	if !partly {
		r.Sink.Works()
	}
	return e
}

// List is for an interface's sake.
func (r calls[V]) List(metav1.ListOptions) (runtime.Object, error) { return nil, errNotUsed }

// Watch is for an interface's sake.
func (r calls[V]) Watch(metav1.ListOptions) (watch.Interface, error) { return nil, errNotUsed }

// A store hands a reflector's objects on, and keeps none.
type store[V any] struct{ *Reflector[V] }

var _ cache.TransformingStore = store[any]{}

// cut cuts an object down to what counts of it.
func (s store[V]) cut(obj any) Item[V] {
	if i, ok := obj.(Item[V]); ok {
		return i
	}
	key, _ := cache.MetaNamespaceKeyFunc(obj) // what is of Sample's type has one
	i := Item[V]{Key: key, Of: s.Sink.Cut(key, obj)}
	if o, ok := obj.(runtime.Object); ok {
		i.load = s.Weigh(o)
	}
	return i
}

// Transformer makes the reflector's own store, in which it gathers a streamed
// list, one of cut objects.
func (s store[V]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return s.cut(obj), nil }
}

func (s store[V]) Add(obj any) error { return s.Update(obj) }

func (s store[V]) Update(obj any) error {
	i := s.cut(obj)
	s.Sink.Set(i.Key, i.Of)
	return nil
}

func (s store[V]) Delete(obj any) error {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return err
	}
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	s.Sink.Gone(key, namespace, name)
	return nil
}

func (s store[V]) Replace(list []any, version string) error {
	l := &Listing[V]{Items: make([]Item[V], len(list)), Version: version, at: make(map[string]int, len(list))}
	loads := make(map[string]apireply.Load, len(list))
	for i, o := range list {
		c := s.cut(o)
		l.Items[i], l.at[c.Key], loads[c.Key] = c, i, c.load
		list[i] = nil // a decoded object can go as soon as it has been read
	}
	s.pages.Release()
	err := s.tally.Replace(loads)
	if err == nil {
		err = s.confirm(l)
	}
	if err != nil {
		s.failed(s.ctx, err)
		return err
	}
	s.Sink.Listed(l)
	return nil
}

// confirm asks by name for some of what a list takes away. That is believed when two
// answers agree in it: a list may have been cut, be changed on its way, or be of
// somewhere else, in a way that no look at it can find.
func (s store[V]) confirm(l *Listing[V]) error {
	for _, key := range s.Sink.Doubts(l) {
		namespace, name, err := cache.SplitMetaNamespaceKey(key)
		if err != nil {
			return err
		}
		answer, err := s.call(s.ctx, min(s.Silence, callTimeout), &apireply.List{Kinds: s.Kinds}, namespace,
			metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()})
		if err == nil {
			err = s.Sink.Confirm(key, l, answer)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s store[V]) Resync() error { return nil }
