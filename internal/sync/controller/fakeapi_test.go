package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

// sortOf is a kind as it is propagated.
func sortOf(t *testing.T, k kube.Kind) *workload.FederatedKind {
	t.Helper()
	for _, s := range workload.Kinds() {
		if s.Kind == k {
			return s
		}
	}
	t.Fatalf("%s isn't propagated", k)
	return nil
}

// A write is over the object that it was planned upon, and over none that has changed since, or
// that came after it.
func TestWrite(t *testing.T) {
	a := fakeapi.New(t, builtin.Namespaces, builtin.ConfigMaps)
	api := a.Client()
	if _, err := api.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "shop"), "test"); err != nil {
		t.Fatal(err)
	}
	o := builtin.ConfigMaps.New("shop", "c")
	o.Object["data"] = map[string]any{"k": "1"}
	planned, err := api.Create(t.Context(), builtin.ConfigMaps, o, "somebody")
	if err != nil {
		t.Fatal(err)
	}
	step := func(version, uid, value string) workload.Step {
		next := builtin.ConfigMaps.New("shop", "c")
		next.Object["data"] = map[string]any{"k": value}
		s := workload.Step{Version: version, UID: uid, Object: next.Object}
		s.Key = workload.Key{FederatedKind: sortOf(t, builtin.ConfigMaps), Namespace: "shop", Name: "c"}
		return s
	}
	value := func() any { return a.Get(builtin.ConfigMaps, "shop", "c").Object["data"].(map[string]any)["k"] }
	if _, err := api.Merge(t.Context(), builtin.ConfigMaps, "shop", "c", map[string]any{"data": map[string]any{"k": "2"}}, "somebody", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := write(t.Context(), api, step(planned.GetResourceVersion(), string(planned.GetUID()), "3")); !kube.Conflict(err) || value() != "2" {
		t.Errorf("over what has changed since: %v, %v", value(), err)
	}
	now := a.Get(builtin.ConfigMaps, "shop", "c")
	if _, err := write(t.Context(), api, step(now.GetResourceVersion(), "another", "3")); err == nil || value() != "2" {
		t.Errorf("over another of that name: %v, %v", value(), err)
	}
	if _, err := write(t.Context(), api, step(now.GetResourceVersion(), string(now.GetUID()), "3")); err != nil || value() != "3" {
		t.Errorf("over what it was planned upon: %v, %v", value(), err)
	}
}

// A namespace is emptied where nothing else does it, and left alone where there is a controller.
func TestVacate(t *testing.T) {
	for _, controlled := range []bool{false, true} {
		a := fakeapi.New(t, builtin.Namespaces, builtin.ConfigMaps, builtin.ServiceAccounts)
		api := a.Client()
		ns := builtin.Namespaces.New("", "shop")
		ns.Object["spec"] = map[string]any{"finalizers": []any{"kubernetes"}}
		for _, o := range []*kube.Object{builtin.Namespaces.New("", builtin.Identity), ns} {
			if _, err := api.Create(t.Context(), builtin.Namespaces, o, "test"); err != nil {
				t.Fatal(err)
			}
		}
		if controlled {
			if _, err := api.Create(t.Context(), builtin.ServiceAccounts, builtin.ServiceAccounts.New(builtin.Identity, "default"), "test"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := api.Create(t.Context(), builtin.ConfigMaps, builtin.ConfigMaps.New("shop", "c"), "test"); err != nil {
			t.Fatal(err)
		}
		if err := api.Delete(t.Context(), builtin.Namespaces, "", "shop", ""); err != nil {
			t.Fatal(err)
		}
		before := a.All()
		w := &workload.Desired{}
		w.Key, w.UID = workload.Key{FederatedKind: sortOf(t, builtin.Namespaces), Name: "shop"}, string(a.Get(builtin.Namespaces, "", "shop").GetUID())
		err := emptyNamespace(t.Context(), api, w)
		if controlled {
			if after := a.All(); !errors.Is(err, errControlled) || !slices.Equal(after, before) {
				t.Errorf("beside a controller: %v, and there is %v", err, after)
			}
			continue
		}
		if after := strings.Join(a.All(), " "); err != nil || after != "Namespace kube-system" {
			t.Errorf("%v, and there is %s", err, after)
		}
	}
}
