package bootstrap

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/kube"
)

// byName are fedsync's rights to Secrets where it mayn't have all of them.
//
//go:embed secrets.yaml
var byName string

// A Reach is which Secrets of the federation's API fedsync may read.
type Reach int

// Where fedsync empties namespaces it has to see all that is in them: that is so in an API that fedctl has set up,
// in which nobody else has Secrets. A fedsync of before can't do with less anywhere.
const (
	All    Reach = iota // and the API has controllers
	Hollow              // all, and what namespaces hold: it has none
	ByName
)

// reach finds out which it is to be. before is what the federation's fedsync runs with.
func reach(ctx context.Context, api *kube.API, before v1alpha1.Settings) (Reach, error) {
	// Controllers put this into every namespace.
	controlled, err := api.Exists(ctx, builtin.ServiceAccounts, builtin.Identity, "default")
	if err != nil {
		return All, fmt.Errorf("%s: %w", api.Server, err)
	}
	policies, err := api.Has(ctx, builtin.Policies)
	switch {
	case !controlled:
		return Hollow, nil
	case err == nil && !policies, before.Fedsync != nil && !before.Fedsync.SecretsByName:
		return All, nil
	case err != nil:
		return All, fmt.Errorf("%s: %w", api.Server, err)
	}
	return ByName, nil
}

// bindings are fedsync's rights to what it needs by name, and what keeps them. kinds are kept beside its own.
func bindings(kinds []kube.Kind) ([]*kube.Object, error) {
	out, err := kube.Parse(byName)
	if err != nil {
		return nil, fmt.Errorf("secrets.yaml: %w", err)
	}
	if !slices.Contains(kinds, builtin.RoleBindings) {
		return out, nil
	}
	// Others are federated, and it is to mark them.
	policy := out[slices.IndexFunc(out, func(o *kube.Object) bool { return o.GetKind() == builtin.Policies.Name })]
	if err := Relax(policy, v1alpha1.SecretsRole); err != nil {
		return nil, fmt.Errorf("secrets.yaml: %w", err)
	}
	return out, nil
}

// Relax has a policy keep fedsync only from what gives itself other rights by the binding of that name: it is to write
// other bindings, since they are federated.
func Relax(policy *kube.Object, name string) error {
	rules, _, err := unstructured.NestedSlice(policy.Object, "spec", "validations")
	if err != nil {
		return err
	}
	last := rules[len(rules)-1].(map[string]any)
	last["expression"] = fmt.Sprintf("object.metadata.name != %q || %s", name, last["expression"])
	return unstructured.SetNestedSlice(policy.Object, rules, "spec", "validations")
}

// WithoutSecrets takes Secrets out of a role.
func WithoutSecrets(role *kube.Object) {
	rules, _, _ := unstructured.NestedSlice(role.Object, "rules")
	for _, r := range rules {
		rule := r.(map[string]any)
		rule["resources"] = slices.DeleteFunc(rule["resources"].([]any), func(v any) bool { return v == any(builtin.Secrets.Resource) })
	}
	role.Object["rules"] = rules
}

// Credentials let fedsync read the Secrets with a cluster's credentials, and renew what they hold. name is what the
// Cluster object calls the first of them.
func Credentials(federation, name string) []*kube.Object {
	both := []any{name, name + v1alpha1.WriterSuffix}
	role := builtin.Roles.New(v1alpha1.System, name+v1alpha1.WriterSuffix)
	role.Object["rules"] = []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets"}, "resourceNames": both, "verbs": []any{"get", "list", "watch", "patch"}}}
	binding := kube.NewRoleBinding(v1alpha1.System, role.GetName(), builtin.Roles, role.GetName(), Fedsync)
	for _, o := range []*kube.Object{role, binding} {
		apply.Mark(o, federation)
	}
	return []*kube.Object{role, binding}
}

// credentials give fedsync, before it may read no others, the right to those of the clusters that there are.
func (c Settings) credentials(ctx context.Context, l *apply.Applied) error {
	all, err := l.API.List(ctx, v1alpha1.Clusters, "", "")
	if kube.Missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clusters.fedns.io: %w", err)
	}
	for i := range all {
		name, _, _ := unstructured.NestedString(all[i].Object, "spec", "secretRef", "name")
		if name == "" {
			continue
		}
		for _, o := range Credentials(c.Federation, name) {
			if _, err := l.Apply(ctx, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// unbind takes from fedsync what it has given itself. The bindings go when Strip has taken off what holds them.
func unbind(ctx context.Context, api *kube.API, federation string) error {
	if err := apply.DeleteOwned(ctx, api, federation, apply.Named{Kind: builtin.ClusterRoles, Name: v1alpha1.SecretsRole}); err != nil {
		return err
	}
	all, err := api.ListWhere(ctx, builtin.RoleBindings, "", "metadata.name="+v1alpha1.SecretsRole)
	if err != nil {
		return fmt.Errorf("rolebindings: %w", err)
	}
	errs := []error{}
	for i := range all {
		errs = append(errs, apply.DeleteOwned(ctx, api, federation, apply.Named{Kind: builtin.RoleBindings, Namespace: all[i].GetNamespace(), Name: v1alpha1.SecretsRole}))
	}
	return errors.Join(errs...)
}

// unkeep removes the policies, that of clusters that pull too, where the API serves such.
func unkeep(ctx context.Context, api *kube.API, federation string) error {
	if has, err := api.Has(ctx, builtin.Policies); err != nil {
		return fmt.Errorf("%s: %w", api.Server, err)
	} else if !has {
		return nil
	}
	own := Fedsync + "." + v1alpha1.Group
	return apply.DeleteOwned(ctx, api, federation, []apply.Named{
		{Kind: builtin.PolicyBindings, Name: own}, {Kind: builtin.Policies, Name: own},
		{Kind: builtin.PolicyBindings, Name: v1alpha1.AgentsPolicy}, {Kind: builtin.Policies, Name: v1alpha1.AgentsPolicy},
	}...)
}
