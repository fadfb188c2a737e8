package backup

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

// federation is an API that fedctl init has made one's.
func federation(t *testing.T, name string) (*fakeapi.API, *kube.API) {
	t.Helper()
	kinds := []kube.Kind{builtin.Namespaces, builtin.Secrets, builtin.ServiceAccounts, builtin.ConfigMaps, builtin.Events, builtin.Roles, builtin.RoleBindings,
		builtin.ClusterRoles, builtin.ClusterRoleBindings, builtin.Definitions, builtin.Leases, v1alpha1.Clusters, v1alpha1.Orders, v1alpha1.Placements, v1alpha1.Works, v1alpha1.Agents}
	for _, s := range workload.Kinds() {
		if !slices.Contains(kinds, s.Kind) {
			kinds = append(kinds, s.Kind)
		}
	}
	a := fakeapi.New(t, kinds...)
	api := a.Client()
	for _, ns := range []string{"default", builtin.Identity} {
		create(t, api, builtin.Namespaces, builtin.Namespaces.New("", ns))
	}
	s := bootstrap.Settings{Federation: name, Domain: "example.com", Hosted: true}
	if _, err := s.Install(t.Context(), &apply.Applied{API: api, Federation: name}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	return a, api
}

func create(t *testing.T, api *kube.API, k kube.Kind, o *kube.Object) *kube.Object {
	t.Helper()
	got, err := api.Create(t.Context(), k, o, "kubectl")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func quiet(string) {}

// filled is a federation with what they have.
func filled(t *testing.T) (*fakeapi.API, *kube.API) {
	t.Helper()
	a, api := federation(t, "fed")
	create(t, api, builtin.Namespaces, builtin.Namespaces.New("", "shop"))
	web := builtin.Deployments.New("shop", "web")
	web.Object["spec"] = map[string]any{"replicas": int64(3)}
	web.SetFinalizers([]string{v1alpha1.Finalizer})
	web = create(t, api, builtin.Deployments, web)
	web.SetAnnotations(map[string]string{v1alpha1.StatusOf: `{"uid":"` + string(web.GetUID()) + `","clusters":[{"name":"eu","state":"Applied","scale":{"replicas":3}}]}`})
	web, err := api.Put(t.Context(), builtin.Deployments, web, "")
	if err != nil {
		t.Fatal(err)
	}
	web.Object["status"] = map[string]any{"replicas": int64(3)}
	if _, err := api.Put(t.Context(), builtin.Deployments, web, "status"); err != nil {
		t.Fatal(err)
	}
	copied := builtin.ConfigMaps.New("shop", "copied") // with another object's record, and two owners
	copied.SetAnnotations(map[string]string{v1alpha1.StatusOf: `{"uid":"another"}`})
	copied.SetOwnerReferences([]metav1.OwnerReference{
		{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: web.GetUID()}, {APIVersion: "v1", Kind: "ConfigMap", Name: "lost", UID: "lost"},
	})
	create(t, api, builtin.ConfigMaps, copied)
	service := builtin.Services.New("shop", "web")
	service.Object["spec"] = map[string]any{"clusterIP": "10.0.0.7", "clusterIPs": []any{"10.0.0.7"}, "ports": []any{map[string]any{"port": int64(80), "nodePort": int64(30080)}}}
	create(t, api, builtin.Services, service)
	going := builtin.ConfigMaps.New("shop", "going")
	going.SetFinalizers([]string{v1alpha1.Finalizer})
	going = create(t, api, builtin.ConfigMaps, going)
	if err := api.Delete(t.Context(), builtin.ConfigMaps, "shop", "going", going.GetUID()); err != nil {
		t.Fatal(err)
	}
	create(t, api, builtin.Secrets, kube.NewSecret(v1alpha1.System, "eu.cluster", map[string][]byte{"kubeconfig": []byte("x")}))
	create(t, api, v1alpha1.Clusters, v1alpha1.Clusters.New("", "eu"))
	for _, name := range []string{"b", "a"} {
		create(t, api, v1alpha1.Orders, v1alpha1.Orders.New("", name))
	}
	// What isn't anybody's word.
	event := builtin.Events.New("shop", "e")
	create(t, api, builtin.Events, event)
	create(t, api, v1alpha1.Placements, v1alpha1.Placements.New("shop", "deployment-web"))
	waiting := builtin.ConfigMaps.New(v1alpha1.System, "waiting")
	waiting.Object["data"] = map[string]any{"k": "v"}
	if _, err := api.Create(t.Context(), builtin.ConfigMaps, waiting, v1alpha1.Fedsync); err != nil {
		t.Fatal(err)
	}
	return a, api
}

// held are the objects that restores are about.
func heldIn(a *fakeapi.API) []string {
	return slices.DeleteFunc(a.All(), func(o string) bool {
		return strings.HasPrefix(o, "Event ") || strings.HasPrefix(o, "Placement ") || strings.HasPrefix(o, "Lease ") || strings.HasSuffix(o, "/waiting")
	})
}

// What was in an API is in another one, and says the same of itself, with the UIDs of that one.
func TestRestore(t *testing.T) {
	a, from := filled(t)
	f, err := Take(t.Context(), from, "test", time.Now(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if f, err = Parse(text); err != nil {
		t.Fatal(err)
	}
	for _, o := range f.Objects {
		if o.GetKind() == "Event" || o.GetKind() == "Placement" || o.GetName() == "waiting" || o.GetName() == v1alpha1.ConfigName {
			t.Errorf("%s is in it", kube.TitleOf(o))
		}
	}
	if o := f.Objects[len(f.Objects)-1]; o.GetKind() != "Cluster" {
		t.Errorf("%s comes last", kube.TitleOf(o))
	}
	b, to := federation(t, "fed")
	res, err := f.Restore(t.Context(), to, "test", quiet)
	if err != nil {
		t.Fatal(err)
	}
	if res.Clusters != 1 || res.Deleted != 1 || res.Unsaid != 0 {
		t.Errorf("it says %+v", res)
	}
	if got, want := heldIn(b), heldIn(a); !slices.Equal(got, want) {
		t.Errorf("there is\n%s\nand was\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	restored(t, a, b)
	if s, err := bootstrap.Read(t.Context(), to); err != nil || s.Restoring != "" {
		t.Errorf("the settings are %+v, %v", s, err)
	}
	// It isn't empty now.
	if _, err := f.Restore(t.Context(), to, "test", quiet); err == nil || !strings.Contains(err.Error(), "holds something already: ") {
		t.Errorf("a second time: %v", err)
	}
}

// restored compares objects in what counts.
func restored(t *testing.T, a, b *fakeapi.API) {
	t.Helper()
	web, was := b.Get(builtin.Deployments, "shop", "web"), a.Get(builtin.Deployments, "shop", "web")
	var record struct {
		UID      string
		Clusters []any
	}
	if err := json.Unmarshal([]byte(web.GetAnnotations()[v1alpha1.StatusOf]), &record); err != nil || record.UID != string(web.GetUID()) || web.GetUID() == was.GetUID() || len(record.Clusters) != 1 {
		t.Errorf("fedsync's record is %+v, of %s, which was %s; %v", record, web.GetUID(), was.GetUID(), err)
	}
	if !slices.Equal(web.GetFinalizers(), was.GetFinalizers()) || web.Object["status"] == nil {
		t.Errorf("its finalizers are %v, its status %v", web.GetFinalizers(), web.Object["status"])
	}
	managers := func(o *kube.Object) (out []string) {
		for _, f := range o.GetManagedFields() {
			out = append(out, f.Manager+" "+string(f.Operation)+" "+f.Subresource+" "+string(f.FieldsV1.GetRawBytes()))
		}
		slices.Sort(out)
		return out
	}
	if got, want := managers(web), managers(was); !slices.Equal(got, want) {
		t.Errorf("its fields are said by\n%s\nand were by\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	copied := b.Get(builtin.ConfigMaps, "shop", "copied")
	if refs := copied.GetOwnerReferences(); len(refs) != 1 || refs[0].UID != web.GetUID() || copied.GetAnnotations()[v1alpha1.StatusOf] != `{"uid":"another"}` {
		t.Errorf("its owners are %v, its record %s", refs, copied.GetAnnotations())
	}
	spec := b.Get(builtin.Services, "shop", "web").Object["spec"].(map[string]any)
	if spec["clusterIP"] != nil || spec["clusterIPs"] != nil {
		t.Errorf("the Service has the addresses of before: %v", spec)
	}
	if o := b.Get(builtin.ConfigMaps, "shop", "going"); o.GetDeletionTimestamp() == nil {
		t.Error("what was being deleted isn't any more")
	}
}

// Whichever write fails, fedsync stays away until it is run again, and then all is there, once.
func TestRestoreFails(t *testing.T) {
	a, from := filled(t)
	f, err := Take(t.Context(), from, "test", time.Now(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Bytes(); err != nil { // which says its digest
		t.Fatal(err)
	}
	for n := 1; ; n += 1 + n/8 {
		b, to := federation(t, "fed")
		leases := fakeapi.FailWrite(n)
		b.Fail(func(method, path string) int {
			if strings.Contains(path, "/leases") { // which is tried again
				return 0
			}
			return leases(method, path)
		})
		_, first := f.Restore(t.Context(), to, "test", quiet)
		b.Fail(nil)
		if first != nil {
			if n > 1 {
				s, err := bootstrap.Read(t.Context(), to)
				if err != nil || s.Restoring != f.Digest {
					t.Fatalf("write %d failed (%v), and fedsync may begin: %+v, %v", n, first, s, err)
				}
				if _, err := Take(t.Context(), to, "test", time.Now(), quiet); err == nil {
					t.Fatal("a backup is taken of half a one")
				}
				other := *f
				other.Digest = "another"
				if err := other.Check(t.Context(), to); err == nil || !strings.Contains(err.Error(), "a restore of another file has begun") {
					t.Fatalf("another file: %v", err)
				}
			}
			if _, err := f.Restore(t.Context(), to, "test", quiet); err != nil {
				t.Fatalf("write %d failed (%v), and then: %v", n, first, err)
			}
		}
		if got, want := heldIn(b), heldIn(a); !slices.Equal(got, want) {
			t.Fatalf("write %d failed (%v), and there is\n%s\nand was\n%s", n, first, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		restored(t, a, b)
		if first == nil {
			if n < 20 {
				t.Errorf("a restore has %d writes", n-1)
			}
			return
		}
	}
}

// What can't go on is refused before anything is written.
func TestRefused(t *testing.T) {
	_, from := filled(t)
	f, err := Take(t.Context(), from, "test", time.Now(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Bytes(); err != nil {
		t.Fatal(err)
	}
	_, other := federation(t, "other")
	full, there := federation(t, "fed")
	create(t, there, builtin.Namespaces, builtin.Namespaces.New("", "mine"))
	elsewhere := *f
	elsewhere.Domain = "example.org"
	_, same := federation(t, "fed")
	none := fakeapi.New(t, builtin.Namespaces, builtin.ConfigMaps)
	for _, tt := range []struct {
		name string
		f    *File
		api  *kube.API
		want string
	}{
		{"another federation", f, other, "it is a backup of federation fed, and "},
		{"another domain", &elsewhere, same, "it is a backup of federation fed of domain example.org, and this one is of example.com"},
		{"something is there", f, there, "holds something already: Namespace mine"},
		{"none", f, none.Client(), "isn't the API of a federation"},
	} {
		full.Requests()
		if _, err := tt.f.Restore(t.Context(), tt.api, "test", quiet); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		for _, r := range full.Requests() {
			if !strings.HasPrefix(r, "GET ") {
				t.Errorf("%s: %s", tt.name, r)
			}
		}
	}
}
