package kube_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

func configMap(name, value string) *kube.Object {
	o := builtin.ConfigMaps.New("shop", name)
	o.Object["data"] = map[string]any{"k": value}
	return o
}

func shop(t *testing.T) (*fakeapi.API, *kube.API) {
	t.Helper()
	a := fakeapi.New(t, builtin.Namespaces, builtin.ConfigMaps)
	api := a.Client()
	if _, err := api.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "shop"), "test"); err != nil {
		t.Fatal(err)
	}
	return a, api
}

// Apply says whether it made the object, takes only what is forced from others, and writes
// nothing where nothing differs.
func TestApply(t *testing.T) {
	_, api := shop(t)
	ctx := t.Context()
	if _, created, err := api.Apply(ctx, builtin.ConfigMaps, configMap("a", "1"), kube.How{Manager: "one"}); err != nil || !created {
		t.Errorf("created: %v, %v", created, err)
	}
	first, created, err := api.Apply(ctx, builtin.ConfigMaps, configMap("a", "1"), kube.How{Manager: "one"})
	if err != nil || created {
		t.Errorf("applied again: created: %v, %v", created, err)
	}
	second, _, err := api.Apply(ctx, builtin.ConfigMaps, configMap("a", "1"), kube.How{Manager: "one"})
	if err != nil || second.GetResourceVersion() != first.GetResourceVersion() {
		t.Errorf("without a difference it is written: %v", err)
	}
	if _, _, err := api.Apply(ctx, builtin.ConfigMaps, configMap("a", "2"), kube.How{Manager: "two"}); !kube.Conflict(err) {
		t.Errorf("another's field is taken: %v", err)
	}
	if got, _, err := api.Apply(ctx, builtin.ConfigMaps, configMap("a", "3"), kube.How{Manager: "two", Force: true, DryRun: true}); err != nil || got.Object["data"].(map[string]any)["k"] != "3" {
		t.Errorf("rehearsed: %v, %v", got, err)
	}
	if o, err := api.Get(ctx, builtin.ConfigMaps, "shop", "a"); err != nil || o.Object["data"].(map[string]any)["k"] != "1" {
		t.Errorf("after a rehearsal: %v, %v", o, err)
	}
	if _, err := api.Merge(ctx, builtin.ConfigMaps, "shop", "a", map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "data": map[string]any{"k": "4"}}, "two", ""); !kube.Conflict(err) {
		t.Errorf("an object that has changed since is merged into: %v", err)
	}
}

// Only the very object is deleted that was meant; one that is gone is no error.
func TestDelete(t *testing.T) {
	a, api := shop(t)
	ctx := t.Context()
	o, err := api.Create(ctx, builtin.ConfigMaps, configMap("a", "1"), "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(ctx, builtin.ConfigMaps, "shop", "a", "another"); err != nil || a.Get(builtin.ConfigMaps, "shop", "a") == nil {
		t.Errorf("another object of that name is deleted: %v", err)
	}
	for range 2 {
		if err := api.Delete(ctx, builtin.ConfigMaps, "shop", "a", o.GetUID()); err != nil || a.Get(builtin.ConfigMaps, "shop", "a") != nil {
			t.Errorf("it isn't deleted: %v", err)
		}
	}
}

// A journal is a Follower that writes down what it hears.
type journal struct {
	sync.Mutex
	lines []string
	heard chan struct{}
}

func (j *journal) note(line string) {
	j.Lock()
	defer j.Unlock()
	j.lines = append(j.lines, line)
	select {
	case j.heard <- struct{}{}:
	default:
	}
}

func (j *journal) Listed(all []*kube.Object) {
	var names []string
	for _, o := range all {
		names = append(names, o.GetName())
	}
	slices.Sort(names)
	j.note("listed " + strings.Join(names, ","))
}
func (j *journal) Set(o *kube.Object) {
	j.note("set " + o.GetName() + "=" + o.Object["data"].(map[string]any)["k"].(string))
}
func (j *journal) Gone(_, name string) { j.note("gone " + name) }
func (j *journal) Failed(err error)    { j.note("failed") }

// Whoever follows a kind hears of all that is there, and of every change, in turn.
func TestFollow(t *testing.T) {
	_, api := shop(t)
	if _, err := api.Create(t.Context(), builtin.ConfigMaps, configMap("a", "1"), "one"); err != nil {
		t.Fatal(err)
	}
	j := &journal{heard: make(chan struct{}, 1)}
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { api.Follow(ctx, builtin.ConfigMaps, "", j) })
	defer wg.Wait()
	defer end()
	until := func(want string) {
		t.Helper()
		for late := time.After(30 * time.Second); ; {
			j.Lock()
			got := strings.Join(j.lines, "; ")
			j.Unlock()
			if got == want {
				return
			}
			select {
			case <-j.heard:
			case <-time.After(10 * time.Millisecond):
			case <-late:
				t.Fatalf("heard %q, want %q", got, want)
			}
		}
	}
	until("listed a")
	if _, err := api.Create(t.Context(), builtin.ConfigMaps, configMap("b", "1"), "one"); err != nil {
		t.Fatal(err)
	}
	until("listed a; set b=1")
	if _, _, err := api.Apply(t.Context(), builtin.ConfigMaps, configMap("a", "2"), kube.How{Manager: "one", Force: true}); err != nil {
		t.Fatal(err)
	}
	until("listed a; set b=1; set a=2")
	if err := api.Delete(t.Context(), builtin.ConfigMaps, "shop", "b", ""); err != nil {
		t.Fatal(err)
	}
	until("listed a; set b=1; set a=2; gone b")
}
