package cluster

import (
	"cmp"
	"context"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/apireply"
)

// compared is how often it is asked whether the store behind the API is the one
// that has been listed: a call for one object.
const compared = 10 * time.Second

// A history is how far the store behind an API has been seen to come, and whose it
// is. A store that is restored from an older copy goes on from there, and a watch
// from where it was before hears nothing, and no error either.
type history struct {
	mu       sync.Mutex // guards the rest
	revision uint64     // the newest of a Service
	identity string     // the UID of kube-system; "": it may not be asked for
}

// saw notes the resourceVersion of a list of Services, or of one. They can be
// compared within a resource (KEP-5504), and only there: a resource may have a
// store of its own.
func (h *history) saw(version string) {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revision = max(h.revision, n)
}

func (h *history) newest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.revision
}

// another says how an origin isn't the one known, and takes it for the known one. was
// is the newest revision seen before it was asked for.
func (h *history) another(was uint64, now kube.Origin) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	what := kube.Origin{Identity: h.identity, Revision: strconv.FormatUint(was, 10)}.Another(now)
	h.identity = cmp.Or(now.Identity, h.identity)
	if what != "" {
		h.revision = 0
	}
	return what
}

// compare asks now and then where the API's objects come from, and tells when that
// isn't what has been listed.
func (w *Watcher) compare(ctx context.Context, a *api, tell chan<- string) {
	for {
		apireply.Wait(ctx, w.compared)
		if ctx.Err() != nil {
			return
		}
		was := w.history.newest()
		now, err := a.origin(ctx)
		if err != nil {
			continue // heartbeats and lists say what is wrong
		}
		if what := w.history.another(was, now); what != "" {
			select {
			case tell <- what:
			case <-ctx.Done():
			}
			return
		}
	}
}

// origin asks where the API's objects come from. Without a resourceVersion in the
// question, the answer is of the store's present state, whichever API server gives
// it: a cache that is behind isn't taken for a store that is.
func (a *api) origin(ctx context.Context) (o kube.Origin, err error) {
	ctx, end := context.WithTimeout(ctx, compared)
	defer end()
	if o.Revision, err = a.revision(ctx, ""); err != nil {
		return o, err
	}
	// Few may ask for it. Who may not has the revision alone.
	if system, err := a.metadata.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{}); err == nil {
		o.Identity = string(system.UID)
	}
	return o, nil
}

// revision asks for one Service, and gives the version of the list.
func (a *api) revision(ctx context.Context, selector string) (string, error) {
	pages := &apireply.List{Kinds: []apireply.Kind{{APIVersion: "v1", Name: "Service"}}}
	list, err := services(a, "").list(apireply.Expect(ctx, pages), metav1.ListOptions{Limit: 1, LabelSelector: selector})
	if err != nil {
		return "", err
	}
	return list.(metav1.ListInterface).GetResourceVersion(), nil
}
