package operate

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// A plan is what fedctl plan -o json prints.
type plan struct {
	Steps []struct {
		Cluster, Verb, Kind, Namespace, Name, Why string
		Refused, Untried                          string
		Scale                                     workload.Scale
		Changes                                   []struct {
			Path     string
			Was, Now json.RawMessage
		}
	}
	Notes, Unknown, Confirm []string
}

func (w *world) plan(t testing.TB, args ...string) (p plan) {
	t.Helper()
	out := w.must(t, append([]string{"plan", "-o", "json", "--deadline", deadline}, args...)...)
	return parsed(t, out)
}

// deadline is longer than the busiest machine takes: a plan that lacks a cluster fails.
const deadline = "5m"

func parsed(t testing.TB, out string) (p plan) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	return p
}

// held is what clusters have of the kinds that fedsync keeps, whosever it is, by "cluster Kind
// namespace/name", without what an API server counts and notes.
func (w *world) held(t testing.TB) map[string]workload.Object {
	t.Helper()
	out := map[string]workload.Object{}
	for name, c := range w.Members {
		api := open(t, c)
		for _, s := range workload.Kinds() {
			all, err := api.List(t.Context(), s.Kind, "", "")
			if err != nil {
				t.Fatal(err)
			}
			for i := range all {
				o := &all[i]
				o.SetManagedFields(nil)
				o.SetResourceVersion("")
				o.SetGeneration(0)
				delete(o.Object, "status")
				o.SetAPIVersion(s.APIVersion())
				o.SetKind(s.Kind.Name)
				out[name+" "+workload.Key{FederatedKind: s, Namespace: o.GetNamespace(), Name: o.GetName()}.String()] = o.Object
			}
		}
	}
	return out
}

var stepLine = regexp.MustCompile(`(?m)^\[DEBUG\] (cluster .*) outcome="(\w+)"$`)

// did are the steps that a fedsync with --debug has carried out.
func did(t testing.TB, log string) (steps []string) {
	t.Helper()
	for _, m := range stepLine.FindAllStringSubmatch(log, -1) {
		if m[2] == "done" && !strings.Contains(m[1], ": look ") { // which does nothing
			steps = append(steps, m[1])
		}
	}
	slices.Sort(steps)
	return steps
}

// What fedctl plan prints is what a run does: the same steps for the same reasons,
// and field by field the same changes, no more and no fewer.
func TestPlan(t *testing.T) {
	b := cluster.New(t)
	all := b.APIs(t, "lyon", "paris", "tokyo")
	lyon, paris, tokyo := all[0], all[1], all[2]
	w := newWorld(t, b, all...)
	w.Fed.Apply(t, shop+`
---
apiVersion: v1
kind: ConfigMap
metadata: {name: wide, namespace: shop}
data: {a: "1"}
---
apiVersion: v1
kind: Secret
metadata: {name: going, namespace: shop, annotations: {fedns.io/cluster-selector: "[]"}}
stringData: {a: "1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  replicas: 6
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: "api:1"}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: old}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: inside, namespace: old}
data: {a: "1"}
`)
	if out, _, code := w.fedctl(t, "plan", "--exit-code"); code != 3 || !strings.Contains(out, "create Deployment shop/web: it isn't there\n      with 3 replicas\n") {
		t.Errorf("exit %d, %s", code, out)
	}
	w.settle(t)
	if out, stderr, code := w.fedctl(t, "plan", "--exit-code"); code != 0 || out != "nothing to do\n" || stderr != "" {
		t.Fatalf("exit %d\n%s%s", code, out, stderr)
	}

	// New objects, one of which has its name taken somewhere.
	w.Fed.Apply(t, `
apiVersion: v1
kind: ConfigMap
metadata: {name: fresh, namespace: shop}
data: {a: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: taken, namespace: shop}
data: {a: "1"}
`)
	lyon.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken, namespace: shop}\ndata: {b: theirs}\n")
	// Another image, and another number.
	kubectl(t, w.Fed, "set", "image", "-n", "shop", "deployment/web", "web=nginx:2")
	kubectl(t, w.Fed, "scale", "-n", "shop", "deployment/api", "--replicas=11")
	// By hand in clusters: changed, added to, scaled, deleted.
	kubectl(t, paris, "patch", "-n", "shop", "configmap", "settings", "-p", `{"data":{"color":"red","more":"x"}}`)
	kubectl(t, tokyo, "delete", "-n", "shop", "configmap", "settings")
	kubectl(t, tokyo, "patch", "-n", "shop", "service", "web", "-p", `{"spec":{"ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":8080}]}}`)
	kubectl(t, lyon, "scale", "-n", "shop", "deployment/web", "--replicas=0")
	// Elsewhere, or nowhere.
	kubectl(t, w.Fed, "annotate", "-n", "shop", "configmap", "wide", `fedns.io/cluster-selector=[{"key":"name","operator":"=","values":["paris"]}]`)
	kubectl(t, w.Fed, "delete", "-n", "shop", "secret", "going", "--wait=false")
	kubectl(t, w.Fed, "delete", "-n", "old", "configmap", "inside", "--wait=false")
	// What is there may be taken over, or the cluster refuses that, as it does what is new.
	for _, name := range []string{"adopted", "denied"} {
		lyon.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+name+", namespace: shop}\ndata: {b: theirs}\n")
	}
	ruled(t, lyon)
	w.Fed.Apply(t, `
apiVersion: v1
kind: ConfigMap
metadata: {name: adopted, namespace: shop, annotations: {fedns.io/adopt: "true"}}
data: {a: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: denied, namespace: shop, annotations: {fedns.io/adopt: "true"}}
data: {color: refused}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: refused, namespace: shop}
data: {color: refused}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: webhook, namespace: shop}
data: {color: blue}
`)

	p := w.foretold(t)
	steps, verbs := p.steps(), map[string]int{}
	for _, s := range p.Steps {
		verbs[s.Verb]++
	}
	if got := did(t, w.Log.String()[w.mark:]); !slices.Equal(got, steps) {
		t.Errorf("the run did\n%s\nand the plan was\n%s", strings.Join(got, "\n"), strings.Join(steps, "\n"))
	}
	if verbs["create"] < 3 || verbs["update"] < 3 || verbs["delete"] < 3 || verbs["adopt"] != 2 || len(p.Unknown)+len(p.Confirm) > 0 {
		t.Errorf("planned was %q, unknown %q, to confirm %q", steps, p.Unknown, p.Confirm)
	}
	if !strings.Contains(strings.Join(p.Notes, "\n"), "ConfigMap shop/taken: NameTaken: cluster lyon") {
		t.Errorf("notes %q", p.Notes)
	}
	for key, want := range map[string]string{"create shop/refused": "not this one", "adopt shop/denied": "not this one", "adopt shop/adopted": ""} {
		for _, s := range p.Steps {
			if s.Verb+" "+s.Namespace+"/"+s.Name == key && s.Cluster == "lyon" && (!strings.Contains(s.Refused, want) || (s.Refused != "") != (want != "")) {
				t.Errorf("%s: %+v", key, s)
			}
		}
	}
	if field(lyon, "configmap", "shop", "taken", "{.data}") != `{"b":"theirs"}` {
		t.Error("what isn't ours has been changed")
	}
	if field(lyon, "configmap", "shop", "webhook", "{.data.color}") != "azure" || field(paris, "configmap", "shop", "webhook", "{.data.color}") != "blue" {
		t.Error("lyon doesn't go by its rules")
	}
	kubectl(t, w.Fed, "delete", "-n", "shop", "configmap/denied", "configmap/refused", "--wait=false")
	w.settle(t)
	if out, stderr, code := w.fedctl(t, "plan", "--exit-code"); code != 0 || !strings.HasPrefix(out, "to be said:\n  ConfigMap shop/taken: NameTaken") {
		t.Errorf("then exit %d\n%s%s", code, out, stderr)
	}
	w.muddled(t)
}

// A cluster that can't be asked is said to be so, and the others are planned for.
func TestPlanUnreachable(t *testing.T) {
	b := cluster.New(t)
	all := b.APIs(t, "lyon", "paris")
	w := newWorld(t, b, all...)
	w.Fed.Apply(t, shop)
	all[1].Kill(t)
	out, _, code := w.fedctl(t, "plan", "-o", "json")
	p := parsed(t, out)
	for _, s := range p.Steps {
		// Not all seven: the other one's come when it does, or is lost for good.
		if n, ok := s.Scale["replicas"]; s.Cluster != "lyon" || ok && n != 3 && n != 4 {
			t.Errorf("%+v", s)
		}
	}
	if code != 4 || len(p.Steps) != 4 || len(p.Unknown) != 1 || !strings.Contains(p.Unknown[0], "cluster paris: ") {
		t.Errorf("%+v", p)
	}
	const (
		unknown = "fedctl: hint: what fedsync runs with isn't known: none of this version has run here; this is what one without flags would do\n"
		waits   = "plan: waiting for the clusters to say what they have\n" // all that is said beside it
	)
	out, stderr, code := w.fedctl(t, "plan")
	if code != 4 || !strings.Contains(out, "couldn't be asked; what there is to do there isn't shown:\n  cluster paris: ") || stderr != unknown && stderr != unknown+waits {
		t.Errorf("%s%s", out, stderr)
	}
	// Nobody can say that this is all.
	for _, args := range [][]string{{"plan", "--exit-code"}, {"plan", "--exit-code", "-o", "json"}} {
		if _, stderr, code := w.fedctl(t, args...); code != 4 || stderr != unknown && stderr != unknown+waits {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
	// One that is silent may be slow: it has until the deadline.
	all[1].Start(t)
	all[1].Pause()
	if out, _, code := w.fedctl(t, "plan", "--deadline", "1s"); code != 4 || !strings.Contains(out, "  cluster paris: ") {
		t.Errorf("exit %d, %s", code, out)
	}
	all[1].Resume()
	if out, _, code := w.fedctl(t, "plan", "--deadline", deadline); code != 0 || !strings.Contains(out, "cluster paris\n") {
		t.Errorf("exit %d, %s", code, out)
	}
	w.Fed.Kill(t)
	if _, stderr, code := w.fedctl(t, "plan", "--exit-code"); code != 1 || !strings.Contains(stderr, "can't be reached: connection refused") || strings.Contains(stderr, "dial tcp") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if _, stderr, code := w.fedctl(t, "plan"); code != 1 || !strings.Contains(stderr, "connection refused") || !strings.Contains(stderr, "hint: ") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if _, stderr, code := w.fedctl(t, "plan", "--context", "nowhere"); code != 1 || !strings.Contains(stderr, `context "nowhere" isn't there`) || !strings.Contains(stderr, "hint: known: federation") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

func equal(a, b workload.Object) bool { return len(workload.Compare(a, b)) == 0 }

// settle runs fedsync until there is nothing left to do, and ends it.
func (w *world) settle(t testing.TB) {
	t.Helper()
	w.Start(t, "--debug")
	api := open(t, w.Fed)
	var why string
	defer func() {
		if t.Failed() {
			t.Log("it isn't all where it should be: " + why)
		}
	}()
	server.Eventually(t, 2*within, "all is where it should be", func() bool { why = w.unsettled(t, api); return why == "" })
	w.Stop()
}

// unsettled is what isn't where it should be, by its own word; "": every federated object says that it
// is, that somebody else has its name, or that the cluster refuses it.
func (w *world) unsettled(t testing.TB, api *kube.API) string {
	t.Helper()
	time.Sleep(100 * time.Millisecond) // between two looks: each is many calls
	n := 0
	for _, s := range workload.Kinds() {
		all, err := api.List(t.Context(), s.Kind, "", "")
		if err != nil {
			return err.Error()
		}
		for i := range all {
			o := &all[i]
			k := workload.Key{FederatedKind: s, Namespace: o.GetNamespace(), Name: o.GetName()}
			if !workload.Federated(k, o.Object) {
				continue
			}
			n++
			want := workload.NewDesired(k, o.Object, "prod")
			if len(want.Unclear) > 0 && !want.Deleting {
				continue // it stays as it is
			}
			differs := o.GetAnnotations()[v1alpha1.Overrides] != "" // then only the plan says what is applied where
			nowhere := slices.ContainsFunc(want.Record.Conditions, func(c workload.Condition) bool { return c.Reason == "NoCluster" })
			if want.Deleting || len(want.Record.Clusters) == 0 && !nowhere {
				return k.String() + ": " + want.Record.String()
			}
			for _, in := range want.Record.Clusters {
				if in.State == workload.NameTaken || in.State == workload.Failed {
					continue
				}
				if in.State != workload.Applied || in.Applied != want.Template.Hash && !differs {
					return k.String() + ": " + want.Record.String()
				}
			}
		}
	}
	if n == 0 {
		return "nothing is federated"
	}
	return strings.Join(w.plan(t).steps(), "\n")
}
