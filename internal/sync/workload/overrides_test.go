package workload

import (
	"fmt"
	"strings"
	"testing"
)

// web is a Deployment with overrides.
func (w *world) web(replicas int, image, overrides string) Key {
	w.Helper()
	annotations := `{}`
	if overrides != "" {
		annotations = fmt.Sprintf(`{"fedns.io/overrides":%q}`, overrides)
	}
	return w.want("Deployment", "ns", "web", fmt.Sprintf(`{"metadata":{"annotations":%s},"spec":{"replicas":%d,"selector":{"matchLabels":{"app":"web"}},
		"strategy":{"rollingUpdate":{"maxSurge":4}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"web","image":%q}]}}}}`, annotations, replicas, image))
}

// image is what a cluster has.
func (w *world) image(cluster string, k Key) string {
	w.Helper()
	h := w.Observed(cluster, k)
	if h == nil || h.Live == nil {
		return ""
	}
	return text(mapsOf(at(h.Live, "spec", "template", "spec", "containers"))[0], "image")
}

func TestOverrides(t *testing.T) {
	const other = `[{"clusters":["a"],"patch":[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"a.example/web:1"}]},
		{"selector":{"matchLabels":{"name":"b"}},"merge":{"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"}}}},"metadata":{"annotations":{"fedns.io/weight":"3"}}}}]`
	w := newWorld(t, "a", "b", "c")
	w.Keep = true
	w.web(6, "web:1", "")
	w.run()
	k := w.web(6, "web:1", other)
	for c, want := range map[string][]string{
		"a": {"spec.template.spec.containers[web].image"},
		"b": {"metadata.annotations[fedns.io/weight]", "spec.template.spec.nodeSelector"},
	} {
		for _, s := range w.Plan(k).Steps {
			if s.Cluster != c {
				continue
			}
			var got []string
			for _, x := range s.Changes {
				if x.Path != "metadata.annotations[fedns.io/applied]" {
					got = append(got, x.Path)
				}
			}
			w.check(c, strings.Join(got, " "), strings.Join(want, " "))
		}
	}
	w.check("only where something is different", w.run(), "a: update Deployment ns/web 2 replicas, 2 maxSurge\nb: update Deployment ns/web 2 replicas, 1 maxSurge")
	w.check("and done", w.run(), "")
	w.check("image", w.image("a", k)+" "+w.image("b", k), "a.example/web:1 web:1")

	// It is kept, as all else is.
	w.copied("a", k, `{"spec":{"replicas":2,"strategy":{"rollingUpdate":{"maxSurge":2}}}}`) // as the federated object has it
	w.check("drift", w.run(), "a: update Deployment ns/web 2 replicas, 2 maxSurge")

	// Another image where it isn't overridden.
	k = w.web(6, "web:2", other)
	w.run()
	w.check("image", w.image("a", k)+" "+w.image("b", k)+" "+w.image("c", k), "a.example/web:1 web:2 web:2")

	// Another label of a cluster.
	w.member("c").Labels = map[string]string{"name": "b"}
	w.SetMembers(w.members)
	w.check("a cluster that is chosen now", w.run(), "c: update Deployment ns/web 2 replicas, 1 maxSurge")
	w.member("c").Labels = map[string]string{"name": "c"}
	w.SetMembers(w.members)
	w.run()

	// Without them, all is as it was.
	k = w.web(6, "web:2", "")
	w.check("removed", w.run(), "a: update Deployment ns/web 2 replicas, 2 maxSurge\nb: update Deployment ns/web 2 replicas, 1 maxSurge")
	w.check("image", w.image("a", k), "web:2")
}

// One that leads nowhere leaves the cluster as it is, and the others aren't held up.
func TestOverrideThatDoesntFit(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	w.Keep = true
	rules := func(path string) string {
		return `[{"clusters":["a"],"patch":[{"path":"/spec/template/spec/containers/0/image","value":"a.example/web:9"},{"path":"` + path + `","value":"x"}]}]`
	}
	w.web(3, "web:1", rules("/spec/template/spec/containers/0/name"))
	w.run()
	k := w.web(3, "web:2", rules("/spec/template/spec/initContainers/0/image"))
	w.check("the others", w.run(), "b: update Deployment ns/web 1 replica, 1 maxSurge\nc: update Deployment ns/web 1 replica, 1 maxSurge")
	w.check("stands", w.stands(k), "a Failed, b Applied, c Applied")
	w.check("not half of it", w.image("a", k), "a.example/web:9")
	n := w.Plan(k).Notes
	if len(n) != 1 || n[0].Reason != "OverrideFailed" || !strings.Contains(n[0].Text, "cluster a: annotation fedns.io/overrides: rule 1: replace /spec/template/spec/initContainers/0/image: the object says nothing there: /spec/template/spec has containers; what is there stays") {
		t.Errorf("notes %v", n)
	}
	w.Gone("a", k)
	w.check("nor is it made", w.run(), "")
	k = w.web(3, "web:2", "")
	w.check("mended", w.run(), "a: create Deployment ns/web 1 replica, 2 maxSurge")
	w.check("stands", w.stands(k), "a Applied, b Applied, c Applied")
}

// What can't be read, or isn't to be different, changes nothing anywhere, and is said at once:
// also of clusters that nobody has.
func TestOverrideThatMayNot(t *testing.T) {
	for rule, want := range map[string]string{
		`{"merge":{"metadata":{"name":"other"}}}`:                                "rule 1: of an object's metadata only labels and annotations can be different",
		`{"merge":{"metadata":{"namespace":"other"}}}`:                           "only labels and annotations",
		`{"merge":{"metadata":{"finalizers":["x"]}}}`:                            "only labels and annotations",
		`{"patch":[{"path":"/kind","value":"ReplicaSet"}]}`:                      "apiVersion, kind and status",
		`{"merge":{"status":{"replicas":1}}}`:                                    "apiVersion, kind and status",
		`{"merge":{"metadata":{"labels":null}}}`:                                 "label fedns.io/managed-by is fedsync's own",
		`{"merge":{"metadata":{"labels":{"tier":1}}}}`:                           `objects of strings, such as {"tier": "1"}`,
		`{"merge":{"metadata":{"labels":{"fedns.io/managed-by":"x"}}}}`:          "label fedns.io/managed-by is fedsync's own",
		`{"merge":{"metadata":{"annotations":{"fedns.io/federation":"x"}}}}`:     "annotation fedns.io/federation is of the federated object",
		`{"merge":{"metadata":{"annotations":{"fedns.io/applied":"x"}}}}`:        "annotation fedns.io/applied is of",
		`{"merge":{"metadata":{"annotations":{"fedns.io/adopt":"true"}}}}`:       "annotation fedns.io/adopt is of",
		`{"patch":[{"op":"remove","path":"/metadata/annotations"}]}`:             "annotation fedns.io/federation is of",
		`{"merge":{"spec":{"replicas":-1}}}`:                                     "spec.replicas -1 isn't a number of replicas",
		`{"merge":{"spec":{"replicas":null}}}`:                                   "isn't a number of replicas; without an override",
		`{"merge":{"spec":{"strategy":{"rollingUpdate":{"maxSurge":1}}}}}`:       "in percent they can be different",
		`{"merge":{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":1}}}}}`: "in percent they can be different",
		`{"op":"add"}`: `unknown field "op"`,
	} {
		w := newWorld(t, "a", "b")
		w.web(4, "web:1", "")
		w.run()
		k := w.web(4, "web:2", `[{"clusters":["elsewhere"],`+rule[1:]+`]`)
		w.check(rule, w.run(), "")
		n := w.Plan(k).Notes
		if len(n) != 1 || n[0].Reason != BadAnnotation || !strings.Contains(n[0].Text, want) {
			t.Errorf("%s\nnotes %v\nwant  %s", rule, n, want)
		}
		w.check("stands", w.stands(k), "a Failed, b Failed")
	}
	for _, row := range []struct{ kind, spec, rule, want string }{
		{"Job", `{"parallelism":2,"completions":2}`, `{"spec":{"parallelism":1}}`, "spec.parallelism is split over the clusters; fedns.io/preferences says how"},
		{"Job", `{"parallelism":2,"completions":2}`, `{"spec":{"completionMode":"Indexed"}}`, "whether it can be split"},
		{"HorizontalPodAutoscaler", `{"minReplicas":2,"maxReplicas":4,"scaleTargetRef":{"kind":"Deployment","name":"web"}}`, `{"spec":{"maxReplicas":9}}`, "spec.maxReplicas is split"},
		{"HorizontalPodAutoscaler", `{"minReplicas":2,"maxReplicas":4,"scaleTargetRef":{"kind":"Deployment","name":"web"}}`, `{"spec":{"scaleTargetRef":{"name":"other"}}}`, "spec.scaleTargetRef can't"},
		{"StatefulSet", `{"replicas":2}`, `{"spec":{"replicas":3}}`, "whole in one of them"},
		{"PodDisruptionBudget", `{"minAvailable":2}`, `{"spec":{"minAvailable":1}}`, "in percent"},
	} {
		w := newWorld(t, "a")
		k := w.want(row.kind, "ns", "x", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/overrides":%q}},"spec":%s}`, `[{"clusters":["a"],"merge":`+row.rule+`}]`, row.spec))
		if n := w.Plan(k).Notes; len(n) != 1 || !strings.Contains(n[0].Text, row.want) {
			t.Errorf("%s %s: notes %v, want %s", row.kind, row.rule, n, row.want)
		}
	}
}

// Replicas that overrides ask for are a part of the sum.
func TestOverriddenReplicas(t *testing.T) {
	in := func(n string) string { return `[{"clusters":["a"],"merge":{"spec":{"replicas":` + n + `}}}]` }
	w := newWorld(t, "a", "b", "c")
	w.web(9, "web:1", in("1"))
	w.check("the others have the rest", w.run(), "a: create Deployment ns/web 1 replica, 1 maxSurge\nb: create Deployment ns/web 4 replicas, 2 maxSurge\nc: create Deployment ns/web 4 replicas, 2 maxSurge")
	w.web(9, "web:1", in("5"))
	w.check("more", w.run(), "a: update Deployment ns/web 4 replicas, 2 maxSurge\nb: update Deployment ns/web 2 replicas, 1 maxSurge\nc: update Deployment ns/web 2 replicas, 1 maxSurge\na: update Deployment ns/web 5 replicas, 2 maxSurge")
	k := w.web(9, "web:1", in("0"))
	w.run()
	w.check("none", fmt.Sprint(w.Observed("a", k).Scale), "0 replicas, 1 maxSurge")
	if n := w.Plan(k).Notes; len(n) > 0 {
		t.Errorf("notes %v", n)
	}
	k = w.web(3, "web:1", in("5"))
	w.run()
	w.check("more than there are", fmt.Sprint(w.Observed("a", k).Scale["replicas"]+w.Observed("b", k).Scale["replicas"]+w.Observed("c", k).Scale["replicas"]), "3")
	if n := w.Plan(k).Notes; len(n) != 1 || n[0].Text != "overrides ask for 5 in a, and the object for 3 replicas in all: not every cluster gets what they ask for" {
		t.Errorf("notes %v", n)
	}
	k = w.web(9, "web:1", `[{"clusters":["*"],"merge":{"spec":{"replicas":2}}}]`)
	w.run()
	if n := w.Plan(k).Notes; len(n) != 1 || n[0].Text != "overrides ask for 2 in a, 2 in b, 2 in c, and the object for 9 replicas in all: the rest is nowhere" {
		t.Errorf("notes %v", n)
	}
	if n := w.Plan(w.web(9, "web:1", `[{"clusters":["aa"],"merge":{}}]`)).Notes; len(n) != 1 || n[0].Text != "overrides speak of clusters that aren't there: aa" {
		t.Errorf("notes %v", n)
	}
}
