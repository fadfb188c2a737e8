package operate

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

var (
	states = flag.Int("states", 3, "in how many random states a plan is compared with what a run does")
	from   = flag.Uint64("from", 1, "the seed of the first of these states, each of which begins with what the one before has left; 0: another one each time")
)

// foretold prints a plan, which changes nothing, and has fedsync do what there is to do: just
// the fields that the plan has are to change, and all of them.
func (w *world) foretold(t testing.TB) plan {
	t.Helper()
	before := w.held(t)
	p := w.plan(t)
	text := w.must(t, "plan", "--deadline", deadline)
	if after := w.held(t); !maps.EqualFunc(before, after, equal) {
		t.Error("plan has changed something")
	}
	w.mark = len(w.Log.String())
	w.settle(t)

	want := map[string][]string{}
	for _, s := range p.Steps {
		name := s.Name
		if s.Namespace != "" {
			name = s.Namespace + "/" + s.Name
		}
		if !strings.Contains(text, fmt.Sprintf("  %s %s %s: %s\n", s.Verb, s.Kind, name, s.Why)) {
			t.Errorf("the text lacks %s %s %s: %s", s.Verb, s.Kind, name, s.Why)
		}
		if s.Refused != "" {
			if !strings.Contains(text, "      refused: "+s.Refused+"\n") || len(s.Changes) > 0 {
				t.Errorf("of one that is refused, it says %+v, and\n%s", s, text)
			}
			continue
		}
		key := s.Cluster + " " + s.Kind + " " + name
		if want[key] = []string{}; s.Verb == "create" || s.Verb == "delete" {
			want[key] = []string{s.Verb}
		}
		for _, c := range s.Changes {
			want[key] = append(want[key], fieldOf(s.Kind, c.Path, string(c.Was), string(c.Now)))
		}
	}
	got := map[string][]string{}
	after := w.held(t)
	for key, now := range after {
		was := before[key]
		if was == nil {
			got[key] = []string{"create"}
			continue
		}
		if changes := workload.Compare(was, now); uidOf(now) != uidOf(was) {
			got[key] = []string{"made anew"}
		} else if len(changes) > 0 {
			for _, c := range changes {
				got[key] = append(got[key], fieldOf(strings.Fields(key)[1], c.Path, orNull(c.Was), orNull(c.Now)))
			}
		}
	}
	for key := range before {
		if after[key] == nil {
			got[key] = []string{"delete"}
		}
	}
	for key, changes := range got {
		slices.Sort(changes)
		slices.Sort(want[key])
		if !slices.Equal(changes, want[key]) {
			t.Errorf("%s: was to change in\n  %s\nand has in\n  %s", key, strings.Join(want[key], "\n  "), strings.Join(changes, "\n  "))
		}
		delete(want, key)
	}
	for key, changes := range want {
		t.Errorf("%s: was to change in %q, and hasn't", key, changes)
	}
	if t.Failed() {
		t.Logf("the plan was\n%s", text)
	}
	return p
}

// fieldOf is a field that differs; what is secret isn't shown.
func fieldOf(kind, path, was, now string) string {
	if kind == builtin.Secrets.Name {
		return path
	}
	return fmt.Sprintf("%s: %s -> %s", path, compact(was), compact(now))
}

// compact is JSON in one line: fedctl prints it in several.
func compact(text string) string {
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		return err.Error() + " in " + text
	}
	return out.String()
}

func uidOf(o workload.Object) any { return o["metadata"].(map[string]any)["uid"] }

// steps are those of a plan that aren't refused, as fedsync's log has them.
func (p plan) steps() (out []string) {
	for _, s := range p.Steps {
		name := s.Name
		if s.Namespace != "" {
			name = s.Namespace + "/" + s.Name
		}
		if s.Refused == "" {
			out = append(out, fmt.Sprintf("cluster %s: %s %s %s: %s", s.Cluster, s.Verb, s.Kind, name, s.Why))
		}
	}
	slices.Sort(out)
	return out
}

// rules are a cluster's own: what it refuses, and what it makes of objects each time that
// they are written.
const rules = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: rules}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [configmaps]}]}
  validations: [{expression: "!has(object.data) || !('color' in object.data) || object.data.color != 'refused'", message: not this one}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: rules}
spec: {policyName: rules, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: rules}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [configmaps]}]}
  matchConditions: [{name: blue, expression: "has(object.data) && 'color' in object.data && object.data.color == 'blue'"}]
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{data: {'color': 'azure'}}"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: rules}
spec: {policyName: rules}
`

// ruled gives a cluster its rules, and waits until it goes by them.
func ruled(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	c.Apply(t, rules)
	api := open(t, c)
	try := func(color string) (got string, err error) {
		o := builtin.ConfigMaps.New("default", "try")
		o.Object["data"] = map[string]any{"color": color}
		now, _, err := api.Apply(t.Context(), builtin.ConfigMaps, o, kube.How{Manager: "test", DryRun: true})
		if err != nil {
			return "", err
		}
		return now.Object["data"].(map[string]any)["color"].(string), nil
	}
	server.Eventually(t, within, c.Name+" goes by its rules", func() bool {
		_, err := try("refused")
		blue, _ := try("blue")
		return err != nil && blue == "azure"
	})
}

// A muddle brings a federation and its clusters into random states.
type muddle struct {
	*world
	*rand.Rand
	testing.TB
	apis map[string]*kube.API // "": the federation's
	did  []string
}

func (m *muddle) pick(words ...string) string { return words[m.IntN(len(words))] }

// object is a random name of a random kind.
func (m *muddle) object() (kube.Kind, string) {
	switch m.IntN(4) {
	case 0:
		return builtin.Deployments, m.pick("d1", "d2")
	case 1:
		return builtin.Secrets, m.pick("s1", "s2")
	}
	return builtin.ConfigMaps, m.pick("c1", "c2", "c3", "c4")
}

// content is what a random object of a kind holds.
func (m *muddle) content(k kube.Kind, name string) map[string]any {
	o := map[string]any{"apiVersion": k.APIVersion(), "kind": k.Name, "metadata": map[string]any{"name": name, "namespace": "muddle"}}
	switch k {
	case builtin.Deployments:
		o["spec"] = map[string]any{
			"replicas": m.IntN(9), "selector": map[string]any{"matchLabels": map[string]any{"app": name}},
			"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": name}}, "spec": map[string]any{"containers": []any{map[string]any{
				"name": "web", "image": m.pick("nginx:1", "nginx:2"), "envFrom": []any{map[string]any{"configMapRef": map[string]any{"name": m.pick("c1", "c2"), "optional": true}}},
			}}}},
		}
	case builtin.Secrets:
		o["stringData"] = map[string]any{"a": m.pick("x", "y")}
		if m.IntN(4) > 0 { // else it goes nowhere new
			o["metadata"].(map[string]any)["annotations"] = map[string]any{v1alpha1.Selector: "[]"}
		}
	default:
		o["data"] = map[string]any{"color": m.pick("red", "green", "blue", "refused"), m.pick("k1", "k2"): m.pick("x", "y")}
	}
	return o
}

// step does one random thing; what can't be done, since there is no such object or there is
// one, is left.
func (m *muddle) step() {
	k, name := m.object()
	where := m.pick("", "", slices.Sorted(maps.Keys(m.Members))[m.IntN(len(m.Members))])
	api := m.apis[where]
	if api == nil {
		m.Fatalf("no way to %q", where)
	}
	var err error
	var what string
	merge := func(patch map[string]any) {
		_, err = api.Merge(m.Context(), k, "muddle", name, patch, "somebody", "")
	}
	metadata := func(field, key string, value any) {
		what = fmt.Sprintf("%s %s %v", field, key, value)
		merge(map[string]any{"metadata": map[string]any{field: map[string]any{key: value}}})
	}
	switch m.IntN(14) {
	case 13: // a workload takes with it what needn't be there by itself
		switch {
		case where != "":
			metadata("labels", "l1", "x")
		case k == builtin.Deployments:
			metadata("annotations", v1alpha1.Follow, m.pick("dependencies", "dependencies", "none"))
		default:
			metadata("annotations", v1alpha1.Propagate, m.pick("false", "false", "true"))
		}
	case 12:
		if where == "" {
			k, name = builtin.Namespaces, "muddle"
			what = "adopt all"
			_, err = api.Merge(m.Context(), k, "", name, map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.Adopt: m.pick("true", "false")}}}, "somebody", "")
		} else {
			metadata("labels", "l2", "y")
		}
	case 11:
		metadata("annotations", v1alpha1.Overrides, m.pick(
			`[{"clusters":["`+m.pick("lyon", "paris", "tokyo")+`"],"merge":{"metadata":{"labels":{"l1":"z"}}}}]`,
			`[{"clusters":["lyon"],"patch":[{"op":"remove","path":"/data/k1"}]}]`,
			`[{"clusters":["paris"],"merge":{"metadata":{"name":"other"}}}]`, `[]`))
	case 0, 1, 8, 9, 10:
		what = "make"
		_, _, err = api.Apply(m.Context(), k, &kube.Object{Object: m.content(k, name)}, kube.How{Manager: "somebody", Force: true})
	case 2:
		what = "remove"
		err = api.Delete(m.Context(), k, "muddle", name, "")
	case 3:
		what = "change"
		switch k {
		case builtin.Deployments:
			merge(map[string]any{"spec": map[string]any{"replicas": m.IntN(9)}})
		case builtin.Secrets:
			merge(map[string]any{"data": map[string]any{"a": m.pick("eA==", "eQ==")}})
		default:
			merge(map[string]any{"data": map[string]any{m.pick("color", "k1", "k3"): m.pick("red", "blue", "refused")}})
		}
	case 4:
		metadata("labels", m.pick("l1", "l2"), m.pick("x", "y"))
	case 5:
		if where == "" {
			var value any = `[{"key":"name","operator":"!=","values":["` + m.pick("lyon", "paris", "tokyo") + `"]}]`
			if m.IntN(2) == 0 {
				value = nil
			}
			metadata("annotations", v1alpha1.Selector, value)
		} else {
			metadata("labels", v1alpha1.ManagedBy, nil)
		}
	case 6:
		if where == "" {
			metadata("annotations", v1alpha1.Adopt, m.pick("true", "false"))
		} else {
			metadata("annotations", v1alpha1.Federation, nil)
		}
	case 7:
		if where == "" {
			metadata("annotations", v1alpha1.Orphan, m.pick("true", "false"))
		} else {
			metadata("annotations", "theirs", m.pick("x", "y"))
		}
	}
	switch {
	case err == nil:
		m.did = append(m.did, fmt.Sprintf("%s: %s %s %s", where, what, k.Name, name))
	case !kube.Missing(err) && !kube.Refused(err):
		m.Fatalf("%s: %s %s %s: %v", where, what, k.Name, name, err)
	}
}

// muddled compares plans with runs, in random states.
func (w *world) muddled(t *testing.T) {
	m := &muddle{world: w, TB: t, apis: map[string]*kube.API{"": open(t, w.Fed)}}
	for name, c := range w.Members {
		m.apis[name] = open(t, c)
	}
	w.Fed.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: muddle}}")
	w.settle(t)
	steps := map[string]int{}
	first := *from
	if first == 0 {
		first = rand.Uint64()
	}
	for i := range uint64(*states) {
		m.Rand, m.did = rand.New(rand.NewPCG(first+i, 0)), nil
		for range 40 {
			m.step()
		}
		for _, s := range w.foretold(t).Steps {
			steps[s.Verb]++
			if s.Refused != "" {
				steps["refused"]++
			}
		}
		if t.Failed() {
			t.Fatalf("-from %d -states %d:\n%s", first, i+1, strings.Join(m.did, "\n"))
		}
	}
	text, err := json.Marshal(steps)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d states: %s", *states, text)
}
