package bootstrap

import (
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

var config = Settings{Federation: "fed", Domain: "example.com"}

// host is an API with controllers that is no federation's yet.
func host(t *testing.T) (*fakeapi.API, *kube.API) {
	t.Helper()
	kinds := []kube.Kind{builtin.Namespaces, builtin.Secrets, builtin.ServiceAccounts, builtin.ConfigMaps, builtin.Events, builtin.Roles, builtin.RoleBindings,
		builtin.ClusterRoles, builtin.ClusterRoleBindings, builtin.Policies, builtin.PolicyBindings, builtin.Definitions, builtin.Leases, v1alpha1.Clusters, v1alpha1.Orders, v1alpha1.Placements, v1alpha1.Works, v1alpha1.Agents}
	for _, s := range workload.Kinds() {
		if !slices.Contains(kinds, s.Kind) {
			kinds = append(kinds, s.Kind)
		}
	}
	a := fakeapi.New(t, kinds...)
	api := a.Client()
	for _, name := range []string{"default", builtin.Identity} {
		if _, err := api.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", name), "test"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := api.Create(t.Context(), builtin.ServiceAccounts, builtin.ServiceAccounts.New(builtin.Identity, "default"), "test"); err != nil {
		t.Fatal(err)
	}
	return a, api
}

func install(t *testing.T, api *kube.API, s Settings) error {
	l := &apply.Applied{API: api, Federation: s.Federation}
	_, err := s.Install(t.Context(), l, func(string) {})
	if err != nil {
		if left := l.Rollback(t.Context()); left != nil {
			t.Errorf("what was made is left: %v", left)
		}
	}
	return err
}

// An API becomes a federation's, says whose it is, stays so when that is done again, and can't
// become another's.
func TestInstall(t *testing.T) {
	a, api := host(t)
	if _, err := Read(t.Context(), api); !isNone(err) {
		t.Errorf("before, it says %v", err)
	}
	if err := install(t, api, config); err != nil {
		t.Fatal(err)
	}
	s, err := Read(t.Context(), api)
	if err != nil || s.Federation != "fed" || s.Domain != "example.com" {
		t.Errorf("it is of %+v, %v", s, err)
	}
	before := a.All()
	if err := install(t, api, config); err != nil {
		t.Fatal(err)
	}
	if after := a.All(); !slices.Equal(after, before) {
		t.Errorf("installed again:\n%s\nbefore\n%s", after, before)
	}
	if err := install(t, api, Settings{Federation: "other", Domain: "example.org"}); err == nil || !strings.Contains(err.Error(), "is the API of federation fed already") {
		t.Errorf("another federation: %v", err)
	}
	if after := a.All(); !slices.Equal(after, before) {
		t.Errorf("after another federation was refused:\n%s\nbefore\n%s", after, before)
	}
	for _, k := range []kube.Kind{v1alpha1.Clusters, v1alpha1.Orders, v1alpha1.Placements, v1alpha1.Works, v1alpha1.Agents} {
		if a.Get(builtin.Definitions, "", k.Resource+"."+k.Group) == nil {
			t.Errorf("there is no definition of %s", k.Name)
		}
	}
}

// Whichever write fails, nothing is left of an install.
func TestInstallFails(t *testing.T) {
	for n := 1; ; n++ {
		a, api := host(t)
		before := a.All()
		a.Fail(fakeapi.FailWrite(n))
		err := install(t, api, config)
		if err == nil {
			if n < 10 {
				t.Errorf("an install has %d writes", n-1)
			}
			return
		}
		if after := a.All(); !slices.Equal(after, before) {
			t.Fatalf("write %d fails (%v), and there is\n%s\nbefore\n%s", n, err, strings.Join(after, "\n"), strings.Join(before, "\n"))
		}
	}
}

// An uninstall leaves nothing, and goes on from wherever it failed.
func TestUninstall(t *testing.T) {
	for n := 1; ; n++ {
		a, api := host(t)
		before := a.All()
		if err := install(t, api, config); err != nil {
			t.Fatal(err)
		}
		a.Fail(fakeapi.FailWrite(n))
		_, first := Uninstall(t.Context(), api, "fed", false, func(string) {})
		a.Fail(nil)
		if first != nil {
			// The namespace goes last of all: there is nothing to begin again then.
			if s, err := Read(t.Context(), api); (err != nil || s.Federation != "fed") && !strings.Contains(first.Error(), "namespace federation-system is left") {
				t.Fatalf("after write %d failed (%v), nobody knows whose it is: %v, %v", n, first, s, err)
			}
			if _, err := Uninstall(t.Context(), api, "fed", false, func(string) {}); err != nil {
				t.Fatalf("after write %d failed (%v): %v", n, first, err)
			}
		}
		if after := a.All(); !slices.Equal(after, before) {
			t.Fatalf("write %d failed (%v), and there is\n%s\nbefore\n%s", n, first, strings.Join(after, "\n"), strings.Join(before, "\n"))
		}
		if first == nil {
			if n < 10 {
				t.Errorf("an uninstall has %d writes", n-1)
			}
			return
		}
	}
}

// What somebody else made under the name of something of ours stops an install, and stays.
func TestInstallBesideOthers(t *testing.T) {
	a, api := host(t)
	theirs := builtin.ClusterRoles.New("", fedsyncRole)
	theirs.Object["rules"] = []any{}
	if _, err := api.Create(t.Context(), builtin.ClusterRoles, theirs, "somebody"); err != nil {
		t.Fatal(err)
	}
	before := a.All()
	if err := install(t, api, config); err == nil || !strings.Contains(err.Error(), "isn't federation fed's") {
		t.Errorf("error %v", err)
	}
	if after := a.All(); !slices.Equal(after, before) {
		t.Errorf("there is\n%s\nbefore\n%s", after, before)
	}
}
