package bootstrap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

// fedsync may read all Secrets only where nobody else has any, or where one leads that can't do with less.
func TestReach(t *testing.T) {
	all := func(a *fakeapi.API) bool {
		role := a.Get(builtin.ClusterRoles, "", fedsyncRole)
		return strings.Contains(fmt.Sprint(role.Object["rules"]), "secrets")
	}
	t.Run("with controllers", func(t *testing.T) {
		a, api := host(t)
		if err := install(t, api, config); err != nil {
			t.Fatal(err)
		}
		if all(a) || a.Get(builtin.ClusterRoles, "", v1alpha1.SecretsRole) == nil || a.Get(builtin.Policies, "", "fedsync.fedns.io") == nil {
			t.Errorf("fedsync may read all Secrets: %v, and there is %s", all(a), a.All())
		}
	})
	t.Run("hollow", func(t *testing.T) {
		a, api := host(t)
		if err := api.Delete(t.Context(), builtin.ServiceAccounts, builtin.Identity, "default", ""); err != nil {
			t.Fatal(err)
		}
		if err := install(t, api, config); err != nil {
			t.Fatal(err)
		}
		if !all(a) || a.Get(builtin.Policies, "", "fedsync.fedns.io") != nil {
			t.Errorf("fedsync may read all Secrets: %v, and there is %s", all(a), a.All())
		}
	})
	t.Run("of before", func(t *testing.T) {
		a, api := host(t)
		if err := api.Delete(t.Context(), builtin.ServiceAccounts, builtin.Identity, "default", ""); err != nil {
			t.Fatal(err)
		}
		if err := install(t, api, config); err != nil { // as one of before has done it
			t.Fatal(err)
		}
		if _, err := api.Create(t.Context(), builtin.ServiceAccounts, builtin.ServiceAccounts.New(builtin.Identity, "default"), "test"); err != nil {
			t.Fatal(err)
		}
		leads := func(f v1alpha1.FedsyncSettings) {
			t.Helper()
			if _, err := api.Merge(t.Context(), builtin.ConfigMaps, v1alpha1.System, v1alpha1.ConfigName, map[string]any{"data": f.Data()}, "fedsync", ""); err != nil {
				t.Fatal(err)
			}
			if err := install(t, api, config); err != nil {
				t.Fatal(err)
			}
		}
		for name, ref := range map[string]any{"us": map[string]any{"name": "us.cluster"}, "mine": map[string]any{"name": "mine"}, "none": nil} {
			c := v1alpha1.Clusters.New("", name)
			c.Object["spec"] = map[string]any{"secretRef": ref}
			if _, err := api.Create(t.Context(), v1alpha1.Clusters, c, "test"); err != nil {
				t.Fatal(err)
			}
		}
		if leads(v1alpha1.FedsyncSettings{Version: "older", Confined: true}); !all(a) {
			t.Error("a fedsync that needs all Secrets may not read them")
		}
		if leads(v1alpha1.FedsyncSettings{Version: "newer", Confined: true, SecretsByName: true}); all(a) {
			t.Error("a fedsync that needs some Secrets may read all")
		}
		var roles []string
		for _, o := range a.All() {
			if name, ok := strings.CutPrefix(o, "Role federation-system/"); ok && strings.HasSuffix(name, v1alpha1.WriterSuffix) {
				roles = append(roles, name)
			}
		}
		if slices.Sort(roles); !slices.Equal(roles, []string{"mine-fedsync", "us.cluster-fedsync"}) {
			t.Errorf("it may read those of %q", roles)
		}
	})
}

// Who is to keep RoleBindings may write others than its own.
func TestBindingsThatAreKept(t *testing.T) {
	last := func(kinds ...kube.Kind) string {
		all, err := bindings(kinds)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			if o.GetKind() == builtin.Policies.Name {
				v := o.Object["spec"].(map[string]any)["validations"].([]any)
				return v[len(v)-1].(map[string]any)["expression"].(string)
			}
		}
		return ""
	}
	if plain, kept := last(), last(builtin.Roles, builtin.RoleBindings); plain == "" || kept == plain || !strings.HasSuffix(kept, plain) {
		t.Errorf("it is kept to %q, and with others to %q", plain, kept)
	}
}
