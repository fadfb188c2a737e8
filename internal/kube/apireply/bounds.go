package apireply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// Bounds are how much of an API is taken in. An API that has been taken over, or a
// tenant of a good one who may write as many objects as he likes, could else have
// whoever follows it use up its memory, and with it everybody else's answers.
//
// A cluster with 10,000 Services has as many slices with ten endpoints each: 20,000
// objects, of 25 MB as they are sent, in which there are two million values. It is
// asked for 500 at a time, of 2 MB. The bounds are about ten times that.
type Bounds struct {
	Answer       int64 // bytes of an answer, after decompression; of a list, of a page
	AnswerValues int64 // values in it: an empty one takes two bytes here, and 50 or more decoded
	Object       int64 // bytes of an object
	ObjectValues int64
	Objects      int64 // of an API, of all kinds that are followed
	Endpoints    int64
	Bytes        int64 // of an API: of its objects, as they are sent
	Values       int64 // of the lists that are under way at a time
}

// Default are the bounds of an API. A list for which Answer is too little is asked for in smaller pages.
var Default = Bounds{
	Answer:       64 << 20,
	AnswerValues: 2 << 20,
	Object:       4 << 20, // etcd takes 1.5 MB, that are more as JSON
	ObjectValues: 200_000, // a slice with 1,000 endpoints, as many as it may have, has 15,000
	Objects:      250_000,
	Endpoints:    1_000_000,
	Bytes:        256 << 20,
	Values:       16 << 20,
}

// An Excess is an answer beyond a bound.
type Excess struct {
	What  string // "an answer", "the objects of this API"
	Most  int64
	Units string // "bytes", "values", "objects", "endpoints"
}

// beyond is how an Excess can be told where its type has been lost.
const beyond = ", as much as is taken in"

func (e *Excess) Error() string {
	return fmt.Sprintf("%s: more than %d %s%s", e.What, e.Most, e.Units, beyond)
}

// Is has every Excess count as one error.
func (e *Excess) Is(err error) bool { return err == ErrExcess }

// ErrExcess is every Excess, for errors.Is.
var ErrExcess = errors.New("more than is taken in")

// A lost Excess is one of which a client has kept the words alone.
type lost struct{ error }

func (lost) Is(err error) bool { return err == ErrExcess }

// Beyond is the error of a bound that the last event of a watch tells of, whatever a client
// has made of it; nil: it is about something else.
func Beyond(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) && strings.Contains(status.Status().Message, beyond) {
		return lost{err}
	}
	return nil
}

// A Load is what something counts for.
type Load struct{ Objects, Endpoints, Bytes, Values int64 }

func (l Load) plus(o Load) Load {
	return Load{l.Objects + o.Objects, l.Endpoints + o.Endpoints, l.Bytes + o.Bytes, l.Values + o.Values}
}

func (l Load) minus(o Load) Load {
	return Load{l.Objects - o.Objects, l.Endpoints - o.Endpoints, l.Bytes - o.Bytes, l.Values - o.Values}
}

// exceeds says which bound it is beyond, and was not before; nil: none.
func (l Load) exceeds(b *Bounds, was Load, what string) error {
	for _, d := range []struct {
		is, was, most int64
		units         string
	}{
		{l.Objects, was.Objects, b.Objects, "objects"},
		{l.Endpoints, was.Endpoints, b.Endpoints, "endpoints"},
		{l.Bytes, was.Bytes, b.Bytes, "bytes"},
		{l.Values, was.Values, b.Values, "values"},
	} {
		if d.is > d.most && d.is > d.was { // what makes it less is always taken
			return &Excess{what, d.most, d.units}
		}
	}
	return nil
}

// A Budget is what one API may take up: the lists of it that are under way, and what is
// known by them. Its zero value has the default bounds.
type Budget struct {
	Bounds *Bounds // nil: the default

	mu           sync.Mutex // guards the rest
	flight, kept Load
	large        chan struct{} // has something while a list has large answers
}

// enter waits until no other list has large answers.
func (b *Budget) enter(ctx context.Context) error {
	select {
	case b.place() <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *Budget) leave() { <-b.place() }

func (b *Budget) place() chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.large == nil {
		b.large = make(chan struct{}, 1)
	}
	return b.large
}

func (b *Budget) bounds() *Bounds {
	if b == nil || b.Bounds == nil {
		return &Default
	}
	return b.Bounds
}

// replace has a part of the load of lists under way be another one.
func (b *Budget) replace(was, is Load) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.flight.minus(was).plus(is)
	if err := next.exceeds(b.bounds(), b.flight, "the lists of this API that are under way"); err != nil {
		return err
	}
	b.flight = next
	return nil
}

// rekeep has a part of what is known be another one.
func (b *Budget) rekeep(was, is Load) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.kept.minus(was).plus(is)
	if err := next.exceeds(b.bounds(), b.kept, "all that this API has"); err != nil {
		return err
	}
	b.kept = next
	return nil
}

// A Tally is what is known of one kind, by keys as NAMESPACE/NAME, within a Budget.
type Tally struct {
	budget *Budget
	mu     sync.Mutex // guards the rest
	of     map[string]Load
	sum    Load
	ended  bool
}

// NewTally is one of which nothing is known.
func NewTally(b *Budget) *Tally { return &Tally{budget: b, of: map[string]Load{}} }

// Set notes what an object counts for, or says why it can't be taken in.
func (t *Tally) Set(key string, l Load) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	was := t.of[key]
	if err := t.budget.rekeep(was, l); err != nil {
		return err
	}
	t.of[key], t.sum = l, t.sum.minus(was).plus(l)
	return nil
}

// Take notes what an object of a watch counts for, as weigh says, or says why it can't be taken in.
func (t *Tally) Take(e watch.Event, weigh func(runtime.Object) Load) error {
	o, ok := e.Object.(metav1.Object)
	if !ok || e.Type == watch.Bookmark {
		return nil
	}
	key := o.GetName()
	if o.GetNamespace() != "" {
		key = o.GetNamespace() + "/" + key
	}
	if e.Type == watch.Deleted {
		t.Drop(key)
		return nil
	}
	return t.Set(key, weigh(e.Object))
}

// Drop notes that an object is gone.
func (t *Tally) Drop(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.of[key]                 // nothing, once it has ended
	_ = t.budget.rekeep(was, Load{}) // less is always taken
	t.sum = t.sum.minus(was)
	delete(t.of, key)
}

// Replace notes all that there is, or says why it can't be taken in.
func (t *Tally) Replace(all map[string]Load) error {
	var sum Load
	for _, l := range all {
		sum = sum.plus(l)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	if err := t.budget.rekeep(t.sum, sum); err != nil {
		return err
	}
	t.of, t.sum = all, sum
	return nil
}

// End notes that nothing is heard of the kind any more, and gives back what it counted for.
func (t *Tally) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.budget.rekeep(t.sum, Load{}) // less is always taken
	t.of, t.sum, t.ended = nil, Load{}, true
}

// Weigh is what an object counts for, without its endpoints.
func Weigh(o runtime.Object) Load {
	l := Load{Objects: 1}
	switch o := o.(type) {
	case interface{ Size() int }: // as protobuf
		l.Bytes = int64(o.Size())
	case runtime.Unstructured:
		l.Bytes = size(o.UnstructuredContent())
	}
	return l
}

// size is about what a value takes as JSON.
func size(v any) (n int64) {
	switch v := v.(type) {
	case string:
		return int64(len(v)) + 3
	case map[string]any:
		n = 2
		for k, v := range v {
			n += int64(len(k)) + 4 + size(v)
		}
		return n
	case []any:
		n = 2
		for _, v := range v {
			n += 1 + size(v)
		}
		return n
	}
	return 8
}
