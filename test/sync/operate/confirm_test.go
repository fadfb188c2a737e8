package operate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// uids are those of what fedsync keeps, as held has it.
func (w *world) uids(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for key, o := range w.held(t) {
		if labels, _ := o["metadata"].(map[string]any)["labels"].(map[string]any); labels[v1alpha1.ManagedBy] == v1alpha1.Fedsync {
			out[key] = fmt.Sprint(uidOf(o))
		}
	}
	return out
}

// Somebody deletes sixty objects at once: they stay until an operator has seen the
// list and confirmed it.
func TestConfirm(t *testing.T) {
	b := cluster.New(t)
	all := b.APIs(t, "lyon", "paris")
	w := newWorld(t, b, all...)
	if out := w.must(t, "confirm"); out != "no deletion waits\n" {
		t.Errorf("%s", out)
	}
	var text strings.Builder
	text.WriteString("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
	for i := range 60 {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: shop}\n", i)
	}
	w.Fed.Apply(t, text.String())
	w.settle(t)
	before := w.uids(t)
	if len(before) != 2*61 {
		t.Fatalf("there are %d objects", len(before))
	}
	// While nobody looks: on a busy machine the sixty calls take longer than fedsync gathers what is deleted at once.
	kubectl(t, w.Fed, "delete", "-n", "shop", "configmap", "--all", "--wait=false")
	w.Start(t)
	var out string
	server.Eventually(t, within, "120 deletions wait", func() bool {
		out = w.must(t, "confirm")
		return strings.Contains(out, "cluster lyon: 60 deletions\n") && strings.Contains(out, "cluster paris: 60 deletions\n")
	})
	if !strings.Contains(out, "  ConfigMap shop/c7: the federated object is being deleted\n") {
		t.Errorf("%s", out)
	}
	// By the digest of another list, nothing goes.
	kubectl(t, w.Fed, "annotate", "-n", v1alpha1.System, "configmap", "fedsync-waiting", "fedns.io/confirmed=0123456789abcdef")
	kubectl(t, w.Fed, "create", "configmap", "-n", "shop", "later")
	for _, c := range all {
		eventually(t, c, "configmap", "shop", "later", "{.metadata.name}", "later") // fedsync has heard of both by now
	}
	before = w.uids(t)
	if len(before) != 2*62 {
		t.Fatalf("%d objects are left of %d", len(before), 2*62)
	}
	if out := w.must(t, "confirm", "--yes"); !strings.Contains(out, "120 deletions confirmed\n") {
		t.Errorf("%s", out)
	}
	server.Eventually(t, within, "they are gone", func() bool { return len(w.uids(t)) == 2*2 })
	server.Eventually(t, within, "nothing waits", func() bool { return w.must(t, "confirm") == "no deletion waits\n" })
}

// The federation's API loses its memory. What is in the clusters stays; what is
// wanted again is taken back as it is, and the rest goes when an operator says so.
func TestForgotten(t *testing.T) {
	b := cluster.New(t)
	all := b.APIs(t, "lyon", "paris")
	w := newWorld(t, b, all...)
	const rest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rest, namespace: shop}\n"
	w.Fed.Apply(t, shop+"---\n"+rest)
	w.settle(t)
	before := w.uids(t)
	w.Start(t)
	w.Fed.Kill(t)
	w.Fed.StartOn(t, cluster.New(t))
	w.Fed.Apply(t, deploy.Clusters)
	w.Fed.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+v1alpha1.System+"}\n")
	server.Eventually(t, within, "clusters are served", func() bool {
		_, err := w.kubectlErr("get", "clusters.fedns.io")
		return err == nil
	})
	for _, c := range all {
		w.Join(t, c, "")
	}
	var out string
	server.Eventually(t, 2*within, "all is listed as nobody's", func() bool {
		out = w.must(t, "confirm")
		return strings.Count(out, ": no federated object of that name is there\n") == len(before)
	})
	if !strings.Contains(w.must(t, "plan"), "no federated object asks for these") {
		t.Error("plan doesn't say so")
	}
	if got := w.uids(t); !maps.Equal(got, before) {
		t.Fatalf("%v are left of %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(before)))
	}
	w.Fed.Apply(t, shop)
	server.Eventually(t, within, "only the rest is nobody's", func() bool {
		out = w.must(t, "confirm")
		return strings.Count(out, "\n  ") == 2 && strings.Contains(out, "cluster lyon: 1 deletion\n  ConfigMap shop/rest: no federated object of that name is there\n")
	})
	if got := w.uids(t); !maps.Equal(got, before) {
		t.Fatalf("%v are left of %v", got, before)
	}
	w.must(t, "confirm", "--yes")
	delete(before, "lyon ConfigMap shop/rest")
	delete(before, "paris ConfigMap shop/rest")
	server.Eventually(t, within, "the rest is gone", func() bool { return maps.Equal(w.uids(t), before) })
}
