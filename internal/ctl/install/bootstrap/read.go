package bootstrap

import (
	"context"
	"errors"
	"fmt"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/marks"
	"github.com/fedns/fedns/internal/kube"
)

// ErrNone says that an API is no federation's.
var ErrNone = errors.New("isn't the API of a federation")

func isNone(err error) bool   { return errors.Is(err, ErrNone) }
func isNoKind(err error) bool { return errors.Is(err, kube.ErrNoKind) }

// Read asks an API whose it is.
func Read(ctx context.Context, api *kube.API) (v1alpha1.Settings, error) {
	o, err := api.Get(ctx, builtin.ConfigMaps, v1alpha1.System, v1alpha1.ConfigName)
	if kube.Missing(err) {
		return v1alpha1.Settings{}, advice.Errorf("fedctl init makes it one; --context says which context is the federation's", "%s %w", api.Server, ErrNone)
	}
	if err != nil {
		return v1alpha1.Settings{}, fmt.Errorf("%s: %w", api.Server, err)
	}
	s, err := v1alpha1.SettingsOf(o)
	if err == nil && s.Federation == "" {
		err = advice.Errorf("fedctl init makes it one", "%s %w: ConfigMap %s/%s has no name", api.Server, ErrNone, v1alpha1.System, v1alpha1.ConfigName)
	}
	return s, err
}

// eventsNamespace is where events of what is in no namespace are.
const eventsNamespace = "default"

// Uninstall takes a charter out of an API that stays, and the marks off all that it keeps.
// It is for a federation without clusters: their objects go with their kind. With force, it
// goes on where marks can't be taken off, and says so in notes.
func Uninstall(ctx context.Context, api *kube.API, federation string, force bool, say func(string)) (notes []string, err error) {
	remove := func(namespace string, kinds ...kube.Kind) error {
		var errs []error
		for _, k := range kinds {
			_, err := apply.DeleteAllOwned(ctx, api, k, namespace, federation)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	rights := []kube.Kind{builtin.RoleBindings, builtin.Roles}
	// From here on the programs can't write what is taken off. What says whose API it is goes
	// last: whoever is stopped on the way can begin again.
	if err := errors.Join(unbind(ctx, api, federation), remove("", builtin.ClusterRoleBindings), remove(eventsNamespace, rights...), remove(v1alpha1.System, rights...)); err != nil {
		return nil, err
	}
	switch err := marks.Strip(ctx, api, say); {
	case err != nil && !force:
		return nil, fmt.Errorf("federation %s stays: %w", federation, err)
	case err != nil:
		notes = append(notes, kube.Plain(err))
	}
	if err := placements(ctx, api); err != nil {
		return notes, err
	}
	say("what stands in its API")
	if err := errors.Join(remove("", builtin.ClusterRoles, builtin.Definitions), remove(v1alpha1.System, builtin.Secrets, builtin.ServiceAccounts)); err != nil {
		return notes, err
	}
	if err := unkeep(ctx, api, federation); err != nil {
		return notes, err
	}
	if err := marks.Sweep(ctx, api); err != nil {
		return notes, err
	}
	if err := remove(v1alpha1.System, builtin.ConfigMaps); err != nil {
		return notes, err
	}
	kept, err := apply.DeleteOwnedNamespace(ctx, api, v1alpha1.System)
	if kept != "" {
		notes = append(notes, fmt.Sprintf("namespace %s stays: %s", v1alpha1.System, kept))
	}
	return notes, err
}

// placements removes those that fedsync has made: where somebody else keeps their definition up,
// they wouldn't go with it.
func placements(ctx context.Context, api *kube.API) error {
	all, err := api.Metadata(ctx, v1alpha1.Placements)
	if kube.Missing(err) {
		return nil
	}
	errs := []error{err}
	for i := range all {
		errs = append(errs, api.Delete(ctx, v1alpha1.Placements, all[i].GetNamespace(), all[i].GetName(), all[i].GetUID()))
	}
	return errors.Join(errs...)
}

// Identity is what tells one cluster from another, whatever its address: the UID
// of a namespace that every cluster has and nobody can make anew.
func Identity(ctx context.Context, api *kube.API) (string, error) {
	o, err := api.Get(ctx, builtin.Namespaces, "", builtin.Identity)
	if err != nil {
		return "", fmt.Errorf("%s: %w", api.Server, err)
	}
	return string(o.GetUID()), nil
}
