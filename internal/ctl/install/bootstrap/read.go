package bootstrap

import (
	"context"
	"errors"
	"fmt"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
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

// Uninstall takes a charter out of an API that stays. It is for a federation without
// clusters: their objects go with their kind.
func Uninstall(ctx context.Context, api *kube.API, federation string) (kept string, err error) {
	var errs []error
	for _, k := range []kube.Kind{builtin.ClusterRoleBindings, builtin.ClusterRoles, builtin.Definitions} {
		_, err := apply.DeleteAllOwned(ctx, api, k, "", federation)
		errs = append(errs, err)
	}
	for _, k := range []kube.Kind{builtin.RoleBindings, builtin.Roles} {
		_, err := apply.DeleteAllOwned(ctx, api, k, eventsNamespace, federation)
		errs = append(errs, err)
	}
	for _, k := range []kube.Kind{builtin.RoleBindings, builtin.Roles, builtin.Secrets, builtin.ServiceAccounts, builtin.ConfigMaps} {
		_, err := apply.DeleteAllOwned(ctx, api, k, v1alpha1.System, federation)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return apply.DeleteOwnedNamespace(ctx, api, v1alpha1.System)
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
