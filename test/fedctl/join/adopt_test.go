package join

import (
	"maps"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
)

// strangers are what a member had before it had anything to do with a federation.
const strangers = `
apiVersion: v1
kind: Namespace
metadata: {name: stall}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: stall}
data: {color: theirs, more: x}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mine, namespace: stall}
data: {color: theirs}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: stall}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
`

// adopted has a member's own objects taken over, many at once: as it is foretold, and by the
// word of a namespace or of the cluster. One that has left, and was left what it had, is taken
// back with nothing changed.
func adopted(t *testing.T, d *desk, home, member *cluster.Cluster) {
	fed, there := d.open("federation"), d.open(eks)
	field := func(k kube.Kind, name string, path ...string) string {
		o, err := there.Get(t.Context(), k, "stall", name)
		if err != nil {
			return ""
		}
		s, _, err := unstructured.NestedString(o.Object, path...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	color := func(name string) string { return field(builtin.ConfigMaps, name, "data", "color") }
	marked := func() bool {
		return field(builtin.Deployments, "web", "metadata", "annotations", "fedns.io/federation") == "federation" &&
			field(builtin.ConfigMaps, "settings", "metadata", "annotations", "fedns.io/federation") == "federation"
	}
	all := func() map[string]string { // pods and all else that is there
		out := everything(t, there)
		maps.DeleteFunc(out, func(k, _ string) bool { return !strings.Contains(k, " stall/") && k != "Namespace /stall" })
		return out
	}
	adopt := func(value string) {
		_, err := fed.Merge(t.Context(), builtin.Namespaces, "", "stall", map[string]any{"metadata": map[string]any{"annotations": map[string]any{"fedns.io/adopt": value}}}, "somebody", "")
		if err != nil {
			t.Fatal(err)
		}
	}

	member.Apply(t, strangers)
	home.Apply(t, strings.NewReplacer("color: theirs, more: x", "color: ours", "name: mine, namespace: stall", `name: mine, namespace: stall, annotations: {fedns.io/adopt: "false"}`,
		"name: web, namespace: stall}", `name: web, namespace: stall, annotations: {fedns.io/preferences: '{"clusters":{"us":{"weight":1}}}'}}`).Replace(strangers))
	d.must("--context=federation", "join", "us", "--cluster-context", eks)
	running := fedsync(t, fed, "federation")
	told := func(reason, name string) bool {
		list, err := fed.List(t.Context(), builtin.Events, "stall", "")
		if err != nil {
			return false
		}
		for _, o := range list {
			about, _ := o.Object["involvedObject"].(map[string]any)
			if o.Object["reason"] == reason && about["name"] == name {
				return true
			}
		}
		return false
	}
	for _, name := range []string{"settings", "mine", "web"} {
		eventually(t, "an event tells that the name "+name+" is taken", func() bool { return told("NameTaken", name) })
	}

	d.mustNot("federation federation has no namespace nowhere", "adopt", "namespace/nowhere", "--context=federation")
	d.mustNot(`"stall" is neither cluster/NAME nor namespace/NAME`, "adopt", "stall", "--context=federation")
	for subject, whose := range map[string]string{"cluster/us": "the cluster", "namespace/stall": "its namespace", "": "the cluster"} {
		out := d.must(append([]string{"adopt", "--context=federation", "--dry-run"}, strings.Fields(subject)...)...)
		if !strings.Contains(out, "  adopt ConfigMap stall/settings: fedns.io/adopt of "+whose+" says so\n") || !strings.Contains(out, `      data.color: "theirs" -> "ours"`+"\n") ||
			!strings.Contains(out, "  adopt Deployment stall/web: ") || strings.Contains(out, "stall/mine") || strings.Contains(out, "data.more") || !strings.Contains(out, "nothing is done\n") {
			t.Errorf("of %q it says\n%s", subject, out)
		}
	}
	if _, errs, code := d.fedctl("adopt", "namespace/stall", "--context=federation"); code != 0 || !strings.Contains(errs, "nothing is taken over; --yes has it done") || color("settings") != "theirs" {
		t.Errorf("unasked: exit %d, %s; %s", code, errs, color("settings"))
	}
	out := d.must("adopt", "namespace/stall", "--context=federation", "--yes")
	if !strings.Contains(out, "namespace stall: fedsync takes over what was there before 2") {
		t.Errorf("it says\n%s", out)
	}
	eventually(t, "what is there is taken over", func() bool { return color("settings") == "ours" && marked() })
	if more := field(builtin.ConfigMaps, "settings", "data", "more"); more != "x" || color("mine") != "theirs" {
		t.Errorf("what others have added is %q, and what isn't to be taken over %q", more, color("mine"))
	}
	if out := d.must("adopt", "--context=federation", "--dry-run"); out != "nothing is there that could be taken over\n" {
		t.Errorf("then it says\n%s", out)
	}

	// It leaves, and comes back.
	eventually(t, "its pod is ready", func() bool {
		o, err := there.Get(t.Context(), builtin.Deployments, "stall", "web")
		if err != nil {
			return false
		}
		n, _, err := unstructured.NestedInt64(o.Object, "status", "readyReplicas")
		return err == nil && n == 1
	})
	adopt("false")
	before := all()
	d.must("--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0", "--orphan")
	if marked() || color("settings") != "ours" {
		t.Error("it isn't left as it was, without marks")
	}
	out = d.must("--context=federation", "join", "us", "--cluster-context", eks, "--adopt")
	if !strings.Contains(out, "fedsync takes over what was there before 2") {
		t.Errorf("it says\n%s", out)
	}
	eventually(t, "it is taken back", marked)
	for k, v := range all() {
		if before[k] != v && k != "Namespace /stall" && k != "RoleBinding stall/fedsync-federation" {
			t.Errorf("%s was\n%s\nand is\n%s", k, before[k], v)
		}
	}
	for k := range before {
		if _, ok := all()[k]; !ok {
			t.Errorf("%s is gone", k)
		}
	}

	// And leaves nothing.
	if err := fed.Delete(t.Context(), builtin.Namespaces, "", "stall", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone from the federation", func() bool {
		ok, err := fed.Exists(t.Context(), builtin.Namespaces, "", "stall")
		return err == nil && !ok
	})
	running.end()
	d.must("--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0")
	if err := there.Delete(t.Context(), builtin.Namespaces, "", "stall", ""); err != nil && !kube.Missing(err) {
		t.Fatal(err)
	}
}
