package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
)

// DeleteOwnedNamespace removes a namespace if fedctl made it and nothing is in it that
// somebody would miss; kept says why it stays otherwise.
func DeleteOwnedNamespace(ctx context.Context, api *kube.API, name string) (kept string, err error) {
	live, err := api.Get(ctx, builtin.Namespaces, "", name)
	if kube.Missing(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("namespace %s: %w", name, err)
	}
	if live.GetLabels()[ManagedBy] != Manager {
		return "fedctl didn't make it", nil
	}
	held, err := Held(ctx, api, name)
	if err != nil {
		return "", fmt.Errorf("namespace %s is left: whether it is empty can't be known: %w", name, err)
	}
	if len(held) > 0 {
		return "it holds " + Some(held), nil
	}
	return "", RemoveNamespace(ctx, api, live)
}

// RemoveNamespace deletes a namespace that is known to be empty. A cluster with
// controllers takes it from there, in five seconds or more, which nobody has to
// wait for. An API without them leaves it as it is, deleted and there: then what
// they would do is done here.
func RemoveNamespace(ctx context.Context, api *kube.API, live *kube.Object) error {
	name, uid := live.GetName(), live.GetUID()
	// Controllers put this into every namespace.
	controlled, err := api.Exists(ctx, builtin.ServiceAccounts, name, "default")
	if err == nil {
		err = api.Delete(ctx, builtin.Namespaces, "", name, uid)
	}
	if err != nil {
		return fmt.Errorf("namespace %s is left: %w", name, err)
	}
	if controlled {
		return nil
	}
	err = wait.PollUntilContextCancel(ctx, step, true, func(ctx context.Context) (bool, error) {
		now, err := api.Get(ctx, builtin.Namespaces, "", name)
		if kube.Missing(err) || err == nil && now.GetUID() != uid {
			return true, nil
		}
		if err == nil {
			err = finalize(ctx, api, now)
		}
		switch {
		case err == nil || kube.Missing(err):
			return true, nil
		case kube.Conflict(err) || errors.Is(err, errNotEmpty):
			return false, nil
		}
		return false, fmt.Errorf("namespace %s is left: %w", name, err)
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("namespace %s is left: it is being deleted still", name)
	}
	return err
}

var errNotEmpty = errors.New("it isn't empty yet")

// finalize does what a namespace controller does when a namespace is empty. What
// is in it by then is nobody's (see [Held]), and goes first.
func finalize(ctx context.Context, api *kube.API, ns *kube.Object) error {
	kinds, err := contents.Namespaced(ctx, api)
	if err != nil {
		return err
	}
	empty := true
	for _, k := range kinds {
		list, err := api.List(ctx, k, ns.GetName(), "")
		if kube.Missing(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, o := range list {
			empty = false
			if !derived(k, &o) {
				return fmt.Errorf("it holds %s %s by now", k.Name, o.GetName())
			}
			if err := api.Delete(ctx, k, ns.GetName(), o.GetName(), o.GetUID()); err != nil {
				return err
			}
		}
	}
	if !empty {
		return errNotEmpty // what was deleted may take its time
	}
	unstructured.RemoveNestedField(ns.Object, "spec", "finalizers")
	_, err = api.Put(ctx, builtin.Namespaces, ns, "finalize")
	return err
}

// Held lists what somebody has put into a namespace.
func Held(ctx context.Context, api *kube.API, namespace string) ([]string, error) {
	kinds, err := contents.Namespaced(ctx, api)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, k := range kinds {
		if k.Group == "metrics.k8s.io" { // made up while it is asked for
			continue
		}
		list, err := api.List(ctx, k, namespace, "")
		if kube.Missing(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.Resource, err)
		}
		for _, o := range list {
			if !derived(k, &o) && o.GetDeletionTimestamp() == nil {
				out = append(out, k.Name+" "+o.GetName())
			}
		}
	}
	return out, nil
}

// derived says that Kubernetes made an object by itself, and takes it away with
// what it was made from.
func derived(k kube.Kind, o *kube.Object) bool {
	switch {
	case builtin.InUse(k.Name, o.GetName()):
		return true
	case k.Name == builtin.ConfigMaps.Name, k.Name == builtin.ServiceAccounts.Name:
		return false // somebody's, whatever owns it
	}
	return len(o.GetOwnerReferences()) > 0
}

// Some names a few of many.
func Some(list []string) string {
	const few = 3
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
}
