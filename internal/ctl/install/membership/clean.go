package membership

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/marks"
	"github.com/fedns/fedns/internal/kube"
)

// clean removes what fedsync put into the member for this federation, or only its
// marks.
func (m *Member) clean(ctx context.Context, f Leaving, say func(string)) (notes []string, err error) {
	kinds, err := m.Find(ctx, f.Kinds)
	if err != nil {
		return nil, err
	}
	if kinds, err = bootstrap.Added(ctx, m.API, m.writer(), kinds); err != nil {
		return nil, err
	}
	kinds = append(kinds, Propagated...)
	// From here on fedsync can't put back what goes.
	if err := m.revoke(ctx); err != nil {
		return nil, err
	}
	alone, err := m.alone(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		say("its " + k.Resource)
		list, err := m.propagated(ctx, k, alone)
		if err != nil {
			return notes, err
		}
		var deleted []*kube.Object
		for _, o := range list {
			switch {
			// One of two marks is no reason to delete what somebody has changed.
			case f.Orphan || o.GetLabels()[v1alpha1.ManagedBy] != v1alpha1.Fedsync || !marks.Kept(o, m.Federation):
				err = m.release(ctx, k, o)
			case k == builtin.Namespaces:
				var note string
				if note, err = m.leaveNamespace(ctx, o); note != "" {
					notes = append(notes, note)
				}
			default:
				err = m.API.Delete(ctx, k, o.GetNamespace(), o.GetName(), o.GetUID())
				deleted = append(deleted, o)
			}
			if err != nil {
				return notes, fmt.Errorf("%s %s/%s: %w", k.Name, o.GetNamespace(), o.GetName(), err)
			}
		}
		if err := m.gone(ctx, k, deleted); err != nil {
			return notes, err
		}
	}
	return notes, m.releaseCopies(ctx)
}

// copies are kinds that controllers make of others, annotations included.
var copies = []kube.Kind{builtin.ReplicaSets, {Group: "apps", Version: "v1", Name: "ControllerRevision", Resource: "controllerrevisions", Namespaced: true}}

func (m *Member) releaseCopies(ctx context.Context) error {
	for _, k := range copies {
		list, err := m.API.Metadata(ctx, k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.Resource, err)
		}
		for i, o := range list {
			if !marks.Kept(&o, m.Federation) {
				continue
			}
			if err := m.release(ctx, k, &list[i]); err != nil {
				return fmt.Errorf("%s %s/%s: %w", k.Name, o.GetNamespace(), o.GetName(), err)
			}
		}
	}
	return nil
}

// alone says whether no other federation has the cluster as a member.
func (m *Member) alone(ctx context.Context) (bool, error) {
	roles, err := m.API.List(ctx, builtin.ClusterRoles, "", apply.ManagedBy+"="+apply.Manager)
	if err != nil {
		return false, fmt.Errorf("clusterroles: %w", err)
	}
	return !slices.ContainsFunc(roles, func(o kube.Object) bool {
		other := v1alpha1.WriterOf(o.GetName())
		return other != "" && other != m.Federation
	}), nil
}

// propagated lists what is this federation's of a kind. What lacks the annotation that says
// so can only be this one's if there is no other.
func (m *Member) propagated(ctx context.Context, k kube.Kind, alone bool) (out []*kube.Object, err error) {
	list, err := m.API.Metadata(ctx, k)
	if kube.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Resource, err)
	}
	for i := range list {
		o := &list[i]
		labelled := o.GetLabels()[v1alpha1.ManagedBy] == v1alpha1.Fedsync
		nameless := labelled && alone && o.GetAnnotations()[v1alpha1.Federation] == ""
		if nameless || marks.Kept(o, m.Federation) && (labelled || metav1.GetControllerOf(o) == nil) {
			out = append(out, o)
		}
	}
	return out, nil
}

// goneStep is between two looks at what has been deleted.
const goneStep = 100 * time.Millisecond

// gone waits until objects that were deleted are: a load balancer takes a while to
// be given back.
func (m *Member) gone(ctx context.Context, k kube.Kind, list []*kube.Object) error {
	for _, o := range list {
		if err := gone(ctx, m.API, k, o, fmt.Sprintf("%s %s/%s", k.Name, o.GetNamespace(), o.GetName())); err != nil {
			return err
		}
	}
	return nil
}

func gone(ctx context.Context, api *kube.API, k kube.Kind, o *kube.Object, title string) error {
	var last *kube.Object
	over := wait.PollUntilContextCancel(ctx, goneStep, true, func(ctx context.Context) (bool, error) {
		now, err := api.Get(ctx, k, o.GetNamespace(), o.GetName())
		if err == nil {
			last = now
		}
		return kube.Missing(err) || err == nil && now.GetUID() != o.GetUID(), nil
	})
	switch {
	case over == nil:
		return nil
	case last != nil:
		return fmt.Errorf("%s: its finalizers %q hold it: %w", title, last.GetFinalizers(), context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// leaveNamespace removes a namespace in which nothing is left but what Kubernetes
// makes by itself; else it takes the marks off, and says so.
func (m *Member) leaveNamespace(ctx context.Context, o *kube.Object) (note string, err error) {
	why := "Kubernetes needs it"
	if !builtin.Permanent(o.GetName()) {
		held, err := apply.Held(ctx, m.API, o.GetName())
		if err != nil {
			return "", err
		}
		if len(held) == 0 {
			return "", apply.RemoveNamespace(ctx, m.API, o)
		}
		why = "it holds " + apply.Some(held) + ", which isn't the federation's"
	}
	return fmt.Sprintf("namespace %s stays: %s", o.GetName(), why), m.release(ctx, builtin.Namespaces, o)
}

// release takes off what says that an object is fedsync's.
func (m *Member) release(ctx context.Context, k kube.Kind, o *kube.Object) error {
	return marks.Write(ctx, m.API, k, o, marks.Unkeep)
}
