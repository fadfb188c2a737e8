package controller

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
	"github.com/fedns/fedns/internal/sync/workload"
)

// desks is how many writes to the federation's API are under way at once: status
// of thousands of objects must not take it from those who use it.
const desks = 8

// A statusWriter is where what is to be written to the federation's API waits for those who do it.
type statusWriter struct {
	mu    sync.Mutex
	ready sync.Cond
	queue []func(ctx context.Context, api *kube.API, do func(func()))
	over  bool
}

func newStatusWriter() *statusWriter {
	d := &statusWriter{}
	d.ready.L = &d.mu
	return d
}

// put has a write done for an object, unless one is under way, and tells how it
// ended.
func (d *statusWriter) put(f objectInCluster, flights map[objectInCluster]bool, write func(context.Context, *kube.API) (*kube.Object, error), done func(objectInCluster, *kube.Object, error)) {
	if flights[f] {
		return
	}
	flights[f] = true
	d.push(func(ctx context.Context, api *kube.API, do func(func())) {
		got, err := write(ctx, api)
		do(func() { done(f, got, err) })
	})
}

// crowd is how many writes may wait before no more events are taken: nobody reads
// thousands of them.
const crowd = 1000

// post has a write done of which nobody waits to hear: an event that is lost is no
// harm.
func (d *statusWriter) post(write func(context.Context, *kube.API) error) {
	d.mu.Lock()
	full := len(d.queue) >= crowd
	d.mu.Unlock()
	if full {
		lostEvents.Inc()
		return
	}
	d.push(func(ctx context.Context, api *kube.API, _ func(func())) {
		if err := write(ctx, api); err != nil {
			lostEvents.Inc()
		}
	})
}

func (d *statusWriter) push(f func(context.Context, *kube.API, func(func()))) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, f)
	d.ready.Signal()
}

// work writes until ctx ends.
func (d *statusWriter) work(ctx context.Context, api *kube.API, do func(func())) {
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.over = true
		d.ready.Broadcast()
	})
	defer stop()
	for {
		d.mu.Lock()
		for len(d.queue) == 0 && !d.over {
			d.ready.Wait()
		}
		if d.over {
			d.mu.Unlock()
			return
		}
		f := d.queue[0]
		d.queue[0] = nil // it holds objects
		d.queue = d.queue[1:]
		d.mu.Unlock()
		f(ctx, api, do)
	}
}

// mark writes the finalizer and the record by server-side apply, as one set of
// fields: what isn't said goes. The UID keeps it from making an object anew that
// has just gone.
func mark(ctx context.Context, api *kube.API, w *workload.Desired, finalizer bool, record string) (*kube.Object, error) {
	o := w.Kind.New(w.Key.Namespace, w.Name)
	o.SetUID(types.UID(w.UID))
	if finalizer {
		o.SetFinalizers([]string{v1alpha1.Finalizer})
	}
	if record != "" {
		o.SetAnnotations(map[string]string{v1alpha1.StatusOf: record})
	}
	got, _, err := api.Apply(ctx, w.Kind, o, kube.How{Manager: agent, Force: true})
	if err == nil && !finalizer && slices.Contains(got.GetFinalizers(), v1alpha1.Finalizer) {
		return release(ctx, api, w, got) // somebody has applied it, too: with a copy of the object
	}
	return got, err
}

// release takes our finalizer off an object, and those of the garbage collector that were
// seen on it, whoever has put them there.
func release(ctx context.Context, api *kube.API, w *workload.Desired, o *kube.Object) (*kube.Object, error) {
	rest := slices.DeleteFunc(o.GetFinalizers(), func(f string) bool { return f == v1alpha1.Finalizer || slices.Contains(w.Collected, f) })
	return api.Merge(ctx, w.Kind, w.Key.Namespace, w.Name, map[string]any{"metadata": map[string]any{
		"uid": w.UID, "resourceVersion": o.GetResourceVersion(), "finalizers": rest, "annotations": map[string]any{v1alpha1.StatusOf: nil},
	}}, agent, "")
}

// collect does what a garbage collector does for an object that was deleted with
// --cascade=orphan or --cascade=foreground: a federation's API need not have one. What
// depends on the object no longer says so, or is waited for, and the object goes.
//
// Our finalizer goes with the others, in one write of all that are left: an API server
// notes nobody as who put its own there, and who applies fewer than before takes them off.
func collect(ctx context.Context, api *kube.API, w *workload.Desired) (*kube.Object, error) {
	namespace := w.Key.Namespace
	if w.FederatedKind.Contains {
		namespace = w.Name
	}
	orphan := w.Record.Orphan
	var failed error
	err := contents.Holds(ctx, api, namespace, func(k v1alpha1.Kind, o *kube.Object) bool {
		owners := o.GetOwnerReferences()
		rest := slices.DeleteFunc(slices.Clone(owners), func(r metav1.OwnerReference) bool { return string(r.UID) == w.UID })
		switch {
		case len(rest) == len(owners), k.Group == v1alpha1.Group:
			return true // a Placement goes with what it is about, whoever deletes that how
		case !orphan:
			failed = fmt.Errorf("%s %s depends on it, and is to go first", k.Name, o.GetName())
			return false
		}
		_, failed = api.Merge(ctx, k, o.GetNamespace(), o.GetName(), map[string]any{"metadata": map[string]any{
			"uid": o.GetUID(), "resourceVersion": o.GetResourceVersion(), "ownerReferences": rest,
		}}, agent, "")
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	o, err := api.Get(ctx, w.Kind, w.Key.Namespace, w.Name)
	if err != nil || string(o.GetUID()) != w.UID {
		return nil, err
	}
	return release(ctx, api, w, o)
}

// event makes an Event of a federated object. Its name is that of what it says: another fedsync,
// or this one after a restart, finds that it has been told. (The recorders of client-go name an Event
// by the nanosecond, and keep what they have told in memory: each restart would tell all of it again.)
// again says that it was over in between: then it is counted.
func event(ctx context.Context, api *kube.API, w *workload.Desired, n workload.Note, again bool) error {
	namespace := w.Key.Namespace
	if namespace == "" {
		namespace = "default" // where Kubernetes has events of what is in no namespace
	}
	now := time.Now().UTC()
	id := sha256.Sum256([]byte(w.UID + "\x00" + n.Reason + "\x00" + n.Text))
	o := builtin.Events.New(namespace, fmt.Sprintf("%.200s.%x", w.Name, id[:8]))
	o.Object["involvedObject"] = map[string]any{
		"apiVersion": w.APIVersion(), "kind": w.Kind.Name, "namespace": w.Key.Namespace, "name": w.Name, "uid": w.UID, "resourceVersion": w.Version,
	}
	o.Object["type"] = "Normal"
	if n.Warning {
		o.Object["type"] = "Warning"
	}
	o.Object["reason"], o.Object["message"], o.Object["count"] = n.Reason, n.Text, int64(1)
	o.Object["source"] = map[string]any{"component": agent}
	o.Object["firstTimestamp"], o.Object["lastTimestamp"] = now.Format(time.RFC3339), now.Format(time.RFC3339)
	if _, err := api.Create(ctx, builtin.Events, o, agent); !kube.Conflict(err) {
		return err
	}
	if !again {
		return nil
	}
	was, err := api.Get(ctx, builtin.Events, namespace, o.GetName())
	if err != nil {
		return err
	}
	count, _, _ := unstructured.NestedInt64(was.Object, "count") // without one it is the first time
	_, err = api.Merge(ctx, builtin.Events, namespace, o.GetName(), map[string]any{"count": count + 1, "lastTimestamp": now.Format(time.RFC3339)}, agent, "")
	return err
}

func uid(s string) types.UID { return types.UID(s) }
