package marks

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
)

// Strip takes the marks of a federation off all that its API has, of every kind that it
// serves: kinds that are no longer kept, too, and what controllers have copied. fedsync mustn't be able to write
// there any more. What it couldn't take them off is named, and the rest goes on.
func Strip(ctx context.Context, api *kube.API, say func(string)) error {
	kinds, err := contents.Writable(ctx, api)
	if err != nil {
		return advice.Errorf("--force goes on without a look at those", "%s: which kinds it serves can't be known: %w", api.Server, err)
	}
	seen, more := map[done]bool{}, false
	// What was written meanwhile is found by the next look: an API server takes a moment to
	// learn that fedsync may write no more.
	for looks := 0; looks < 2 || more; looks++ {
		more = false
		var errs []error
		for _, k := range kinds {
			say("marks on its " + k.Resource)
			found, err := strip(ctx, api, k, seen)
			more, errs = more || found, append(errs, err)
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

// done is an object as it was when its marks were taken off: it can't have them again
// unless somebody has written it since.
type done struct {
	uid     types.UID
	version string
}

// strip is Strip for one kind. found says whether there was anything to do.
func strip(ctx context.Context, api *kube.API, k kube.Kind, seen map[done]bool) (found bool, err error) {
	all, err := api.Metadata(ctx, k)
	if kube.Missing(err) {
		return false, nil
	}
	if err != nil {
		return false, advice.Errorf("--force goes on without a look at them", "%s: whether they carry fedsync's marks can't be known: %w", k.Resource, err)
	}
	var errs []error
	for i := range all {
		o := &all[i]
		d := done{o.GetUID(), o.GetResourceVersion()}
		if o.GetNamespace() == v1alpha1.System || k.Group == v1alpha1.Group {
			continue // all of that goes
		}
		ours := k.Name == builtin.Events.Name && !kept(o) && Ours(o)
		if seen[d] || !ours && !Wished(o) {
			continue
		}
		seen[d], found = true, true
		if ours {
			err = api.Delete(ctx, k, o.GetNamespace(), o.GetName(), o.GetUID())
		} else {
			err = unwish(ctx, api, k, o)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s carries fedsync's marks still: %w", kube.Title(k.Name, o.GetNamespace(), o.GetName()), err))
		}
	}
	return found, errors.Join(errs...)
}

// unwish takes the marks off an object, and what fedsync has written of its status.
func unwish(ctx context.Context, api *kube.API, k kube.Kind, o *kube.Object) error {
	if fields := Status(o); len(fields) > 0 && !kept(o) {
		nothing := map[string]any{}
		for _, f := range fields {
			nothing[f] = nil
		}
		_, err := api.Merge(ctx, k, o.GetNamespace(), o.GetName(), map[string]any{"metadata": map[string]any{"uid": string(o.GetUID())}, "status": nothing}, "fedctl", "status")
		// A Job that has ended can't be made one that hasn't: what it says is true, and stays.
		if err != nil && (!kube.Refused(err) || kube.Forbidden(err)) && !kube.Missing(err) {
			return err
		}
	}
	return Write(ctx, api, k, o, Unwish)
}

// Write changes an object as it is by now, and goes on from there when somebody else was
// faster. One that has gone needs no change.
func Write(ctx context.Context, api *kube.API, k kube.Kind, o *kube.Object, change func(*kube.Object)) error {
	uid := o.GetUID()
	for {
		now, err := api.Get(ctx, k, o.GetNamespace(), o.GetName())
		if kube.Missing(err) || err == nil && now.GetUID() != uid {
			return nil
		}
		if err != nil {
			return err
		}
		change(now)
		if _, err = api.Put(ctx, k, now, ""); err == nil || kube.Missing(err) {
			return nil
		}
		if !kube.Conflict(err) {
			return err
		}
	}
}

// Remnants are the kinds of what fedns's programs write for themselves in the namespace of a
// federation, and that carry no labels of fedctl's.
var remnants = []kube.Kind{builtin.Leases, builtin.ConfigMaps}

// Sweep removes them, if nobody else has written there. What says whose API it is stays, for
// whoever has to begin again.
func Sweep(ctx context.Context, api *kube.API) error {
	var errs []error
	for _, k := range remnants {
		all, err := api.List(ctx, k, v1alpha1.System, "")
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", k.Resource, err))
			continue
		}
		for _, o := range slices.DeleteFunc(all, func(o kube.Object) bool { return !Ours(&o) || o.GetName() == v1alpha1.ConfigName }) {
			if err := api.Delete(ctx, k, o.GetNamespace(), o.GetName(), o.GetUID()); err != nil {
				errs = append(errs, fmt.Errorf("%s is left: %w", kube.Title(k.Name, o.GetNamespace(), o.GetName()), err))
			}
		}
	}
	return errors.Join(errs...)
}
