package kube

import (
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// A Rehearsal is what would be written to an API.
type Rehearsal struct {
	mu      sync.RWMutex // guards what follows
	removed []*Object
	changed []*Object
	named   map[string]bool // those changed
	gone    map[types.UID]bool
}

// Rehearse gives the same API, to which nothing is written: each call that would is a
// dry run, in which the server says whether it could be (KEP-576), and is noted. What
// would have been deleted isn't there any more for whoever asks through it, so that what
// depends on that is gone through to the end.
func (a *API) Rehearse() (*API, *Rehearsal) {
	b, r := *a, &Rehearsal{named: map[string]bool{}, gone: map[types.UID]bool{}}
	b.rehearsal = r
	return &b, r
}

// Removed are the objects that would be deleted, by kind and name, in their order.
func (r *Rehearsal) Removed() []*Object { return r.removed }

// Changed are those that would be changed.
func (r *Rehearsal) Changed() []*Object { return r.changed }

// write makes a call a dry run, if this is one.
func (r *Rehearsal) write(q *rest.Request) *rest.Request {
	if r != nil {
		q = q.Param("dryRun", metav1.DryRunAll)
	}
	return q
}

func (r *Rehearsal) change(k Kind, namespace, name string) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if id := k.String() + " " + namespace + "/" + name; !r.named[id] {
			r.named[id] = true
			r.changed = append(r.changed, k.New(namespace, name))
		}
	}
}

func (r *Rehearsal) remove(k Kind, namespace, name string, uid types.UID) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.gone[uid] {
		r.gone[uid] = uid != ""
		r.removed = append(r.removed, k.New(namespace, name))
	}
}

// found is an object as it would be: not there, if it would have been deleted.
func (r *Rehearsal) found(k Kind, o *Object, err error) (*Object, error) {
	if r == nil || err != nil {
		return o, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.gone[o.GetUID()] {
		return o, nil
	}
	return nil, apierrors.NewNotFound(resource(k).GroupResource(), o.GetName())
}

// left leaves out what would have been deleted.
func (r *Rehearsal) left(list []Object) []Object {
	if r == nil {
		return list
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []Object
	for _, o := range list {
		if !r.gone[o.GetUID()] {
			out = append(out, o)
		}
	}
	return out
}
