// Package elect has one of several processes do something, by a Lease.
//
// It does for fedns what package lease does for fedsync, with the few rights that fedns has (list, create,
// patch) and without client-go's leader election, which brings informers of every kind.
package elect

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
)

// A Candidate is one of those who want a Lease.
type Candidate struct {
	API             *kube.API
	Namespace, Name string // of the Lease
	Holder          string // who asks for it: those who say the same hold it together
	Duration        time.Duration
	// Failed hears what keeps it from looking at the Lease, or that nothing does any more; it may be nil.
	Failed func(error)

	version string    // of the Lease, when it was seen last
	seen    time.Time // when that changed, by our clock: those of others aren't compared with it
}

// errHeld is that somebody else holds the Lease.
var errHeld = errors.New("it is held")

// Run calls lead whenever the Lease is held, with a context that ends when it is lost, until ctx ends. A call has
// returned before the Lease is let go.
func (c *Candidate) Run(ctx context.Context, lead func(context.Context)) {
	tick := time.NewTicker(c.Duration / 6)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := c.take(ctx, time.Now()); err == nil {
			c.hold(ctx, tick.C, lead)
			continue
		} else if c.Failed != nil && ctx.Err() == nil {
			if errors.Is(err, errHeld) || errors.Is(err, errChanged) {
				err = nil
			}
			c.Failed(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// hold renews the Lease while lead runs.
func (c *Candidate) hold(ctx context.Context, tick <-chan time.Time, lead func(context.Context)) {
	held, lost := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lead(held)
	}()
	renewed := time.Now()
	for {
		select {
		case <-tick:
			if err := c.take(held, time.Now()); err == nil {
				renewed = time.Now()
			} else if errors.Is(err, errHeld) || time.Since(renewed) > c.Duration*2/3 {
				lost()
			}
			continue
		case <-ended:
		case <-held.Done():
			<-ended
		}
		break
	}
	lost()
	if time.Since(renewed) < c.Duration {
		c.release(context.WithoutCancel(ctx))
	}
}

// errChanged is that somebody has written the Lease between a look at it and the own write.
var errChanged = errors.New("it was changed just now")

// take takes the Lease, or renews it. One who holds it together with us may have just done so.
func (c *Candidate) take(ctx context.Context, now time.Time) error {
	err := c.try(ctx, now)
	if errors.Is(err, errChanged) {
		err = c.try(ctx, now)
	}
	return err
}

func (c *Candidate) try(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, c.Duration/3)
	defer cancel()
	all, err := c.API.ListWhere(ctx, builtin.Leases, c.Namespace, "metadata.name="+c.Name)
	if err != nil {
		return err
	}
	spec := map[string]any{"holderIdentity": c.Holder, "leaseDurationSeconds": int64((c.Duration + time.Second - 1) / time.Second), "renewTime": now.UTC().Format(metav1.RFC3339Micro)}
	if len(all) == 0 {
		o := builtin.Leases.New(c.Namespace, c.Name)
		o.Object["spec"] = spec
		_, err := c.API.Create(ctx, builtin.Leases, o, c.Holder)
		if kube.Conflict(err) {
			return errChanged
		}
		return err
	}
	o := &all[0]
	if v := o.GetResourceVersion(); v != c.version {
		c.version, c.seen = v, now
	}
	holder, _, _ := unstructured.NestedString(o.Object, "spec", "holderIdentity")
	if holder != c.Holder && holder != "" && now.Sub(c.seen) < c.Duration {
		return errHeld
	}
	return c.patch(ctx, spec)
}

// release says that nobody holds it, so that the next one needn't wait.
func (c *Candidate) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.Duration/3)
	defer cancel()
	_ = c.patch(ctx, map[string]any{"holderIdentity": nil, "renewTime": nil}) // else it runs out
}

// patch writes the Lease if it is as it was seen last.
func (c *Candidate) patch(ctx context.Context, spec map[string]any) error {
	o, err := c.API.Merge(ctx, builtin.Leases, c.Namespace, c.Name, map[string]any{"metadata": map[string]any{"resourceVersion": c.version}, "spec": spec}, "fedns", "")
	if kube.Conflict(err) {
		return errChanged
	}
	if err == nil {
		c.version, c.seen = o.GetResourceVersion(), time.Now()
	}
	return err
}
