// Package apply writes the objects that fedctl owns in an API, and remembers
// which weren't there before: a command that fails half-way takes those back, and
// nothing else.
package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// What fedctl makes carries these labels, so that it can be found.
const (
	ManagedBy  = v1alpha1.MadeBy
	Manager    = v1alpha1.Fedctl // its value, and the name of the field manager
	Federation = v1alpha1.Federation
)

// Selector finds what fedctl made for a federation.
func Selector(federation string) string {
	return ManagedBy + "=" + Manager + "," + Federation + "=" + federation
}

// Ours says whether fedctl made an object for a federation, or for all of them.
func Ours(o *kube.Object, federation string) bool {
	l := o.GetLabels()
	return l[ManagedBy] == Manager && (l[Federation] == "" || l[Federation] == federation)
}

// An Applied is of one API and one federation.
type Applied struct {
	API        *kube.API
	Federation string
	made       []Named // that weren't there before
}

// A Named is an object by its name.
type Named struct {
	Kind            kube.Kind
	Namespace, Name string
}

func (n Named) String() string { return kube.Title(n.Kind.Name, n.Namespace, n.Name) }

// Mark writes the labels of what is the federation's.
func Mark(o *kube.Object, federation string) {
	l := o.GetLabels()
	if l == nil {
		l = map[string]string{}
	}
	l[ManagedBy], l[Federation] = Manager, federation
	o.SetLabels(l)
}

// Apply writes an object of a known kind. One that is there and isn't fedctl's
// stays as it is, and is an error.
func (l *Applied) Apply(ctx context.Context, o *kube.Object) (*kube.Object, error) {
	k, known := builtin.Find(o.GetAPIVersion(), o.GetKind())
	if !known {
		panic("ledger: " + o.GetKind() + " isn't among the known kinds")
	}
	return l.ApplyKind(ctx, k, o)
}

// ApplyKind is Apply for kinds of one's own.
func (l *Applied) ApplyKind(ctx context.Context, k kube.Kind, o *kube.Object) (*kube.Object, error) {
	Mark(o, l.Federation)
	what := Named{k, o.GetNamespace(), o.GetName()}
	live, err := l.API.Get(ctx, k, o.GetNamespace(), o.GetName())
	switch {
	case kube.Missing(err):
		// Noted before it is made: an answer that gets lost must not lose the object.
		l.Record(k, o.GetNamespace(), o.GetName())
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	case !Ours(live, l.Federation):
		return nil, advice.Errorf("remove it, or rename it, if nobody needs it", "%s is there already, and isn't federation %s's", what, l.Federation)
	}
	got, _, err := l.API.Apply(ctx, k, o, kube.How{Manager: Manager, Force: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return got, nil
}

// Record says that an object will be there that wasn't, whoever makes it.
func (l *Applied) Record(k kube.Kind, namespace, name string) {
	l.made = append(l.made, Named{k, namespace, name})
}

// Namespace sees to it that there is one. It belongs to no federation: several may
// share it.
func (l *Applied) Namespace(ctx context.Context, name string) error {
	var there, going bool
	err := wait.PollUntilContextCancel(ctx, step, true, func(ctx context.Context) (bool, error) {
		live, err := l.API.Get(ctx, builtin.Namespaces, "", name)
		if kube.Missing(err) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("namespace %s: %w", name, err)
		}
		going = live.GetDeletionTimestamp() != nil // of a federation that was here before; it takes a moment
		there = !going
		return there, nil
	})
	switch {
	case err != nil && going && ctx.Err() != nil:
		return advice.Errorf("wait until it is gone", "namespace %s is being deleted", name)
	case err != nil || there:
		return err
	}
	l.Record(builtin.Namespaces, "", name)
	_, _, err = l.API.Apply(ctx, builtin.Namespaces, NewNamespace(name), kube.How{Manager: Manager})
	if err != nil {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	return nil
}

// NewNamespace is one as fedctl makes it.
func NewNamespace(name string) *kube.Object {
	o := builtin.Namespaces.New("", name)
	o.SetLabels(map[string]string{ManagedBy: Manager})
	return o
}

// undoTime bounds the way back: whoever pressed Ctrl-C is waiting.
const undoTime = 30 * time.Second

// Rollback removes what wasn't there before, the last first. It goes on behind an
// error, and says what is left; ctx may have ended.
func (l *Applied) Rollback(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var errs []error
	for _, n := range slices.Backward(l.made) {
		var err error
		if n.Kind == builtin.Namespaces {
			_, err = DeleteOwnedNamespace(ctx, l.API, n.Name)
		} else {
			err = DeleteOwned(ctx, l.API, l.Federation, n)
		}
		errs = append(errs, err)
	}
	l.made = nil
	return errors.Join(errs...)
}

// Undo takes back what was made, the last of all first, where err says that something went wrong: to be deferred. help is
// what removes what is left then, if anything is.
func Undo(ctx context.Context, err *error, help string, all ...*Applied) {
	if *err == nil {
		return
	}
	var left error
	for _, l := range all {
		left = errors.Join(left, l.Rollback(ctx))
	}
	if left != nil {
		*err = advice.Errorf(help, "%w; and what was made couldn't all be removed: %w", *err, left)
	}
}

// DeleteOwned removes those of some objects that are the federation's, one after the other until one can't be removed.
func DeleteOwned(ctx context.Context, api *kube.API, federation string, all ...Named) error {
	for _, n := range all {
		live, err := api.Get(ctx, n.Kind, n.Namespace, n.Name)
		if kube.Missing(err) || err == nil && !Ours(live, federation) {
			continue
		}
		if err == nil {
			err = api.Delete(ctx, n.Kind, n.Namespace, n.Name, live.GetUID())
		}
		if err != nil {
			return fmt.Errorf("%s is left: %w", n, err)
		}
	}
	return nil
}

// DeleteAllOwned removes all of a kind that is the federation's, and gives how many those
// were.
func DeleteAllOwned(ctx context.Context, api *kube.API, k kube.Kind, namespace, federation string) (int, error) {
	list, err := api.List(ctx, k, namespace, Selector(federation))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", k.Resource, err)
	}
	var errs []error
	for _, o := range list {
		if err := api.Delete(ctx, k, o.GetNamespace(), o.GetName(), o.GetUID()); err != nil {
			errs = append(errs, fmt.Errorf("%s is left: %w", Named{k, o.GetNamespace(), o.GetName()}, err))
		}
	}
	return len(list), errors.Join(errs...)
}

// step is between two looks at an API that is to come to something by itself.
const step = 200 * time.Millisecond
