package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/fedns/fedns/internal/kube/apireply"
)

const (
	// between is the pause after a watch has ended, or a call has failed: what came
	// meanwhile is found by the next one.
	between = time.Second
	// poll is how often an object is asked for that may be read, but not watched.
	poll = 5 * time.Second
)

// FollowOne tells of one object until ctx ends, and nil while it isn't there. It
// takes no more than the right to get that object; with the right to watch it,
// changes are told at once. failed hears why nothing can be learned; it is tried
// again.
func (a *API) FollowOne(ctx context.Context, k Kind, namespace, name string, tell func(*Object), failed func(error)) {
	for ctx.Err() == nil {
		wait := between
		o, err := a.Get(ctx, k, namespace, name)
		switch {
		case ctx.Err() != nil:
			return
		case apierrors.IsNotFound(err):
			tell(nil)
		case err != nil:
			failed(err)
			if apierrors.IsForbidden(err) {
				wait = poll
			}
		default:
			tell(cut(o))
		}
		if err == nil || apierrors.IsNotFound(err) {
			if err := a.watchOne(ctx, k, namespace, name, tell); apierrors.IsForbidden(err) {
				wait = poll
			}
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// watchOne tells of changes until the watch ends, as each does some time. It begins
// with the object as it is: its own version may be older than what the server
// remembers.
func (a *API) watchOne(ctx context.Context, k Kind, namespace, name string, tell func(*Object)) error {
	w, err := a.dyn.Resource(resource(k)).Namespace(namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector:       fields.OneTermEqualSelector(metav1.ObjectNameField, name).String(),
		AllowWatchBookmarks: true, // by which one that says nothing is told from one that is dead
	})
	if err != nil {
		return err
	}
	w = apireply.Watch(w, a.silence, func(e watch.Event) (watch.Event, bool) { return e, true }, nil)
	defer w.Stop()
	for {
		select {
		case e, ok := <-w.ResultChan():
			o, is := e.Object.(*Object)
			switch {
			case !ok, e.Type == watch.Error:
				return nil
			case !is || e.Type == watch.Bookmark:
			case e.Type == watch.Deleted:
				tell(nil)
			default:
				tell(cut(o))
			}
		case <-ctx.Done():
			return nil
		}
	}
}
