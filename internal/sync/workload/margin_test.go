package workload

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// What may be missing of all pods, or be too many, is no more because they are in several
// clusters.
func TestPlanOfMargins(t *testing.T) {
	const web = `{"spec":{"replicas":6,"template":{"metadata":{"labels":{"app":"web","tier":"front"}}},"strategy":{"type":"RollingUpdate","rollingUpdate":{%s}}}}`
	const heavy = `"metadata":{"annotations":{"fedns.io/preferences":"{\"clusters\":{\"a\":{\"weight\":2},\"b\":{\"weight\":1}}}"}}`
	for _, tt := range []struct{ name, rolling, a, b string }{
		{"numbers", `"maxSurge":4,"maxUnavailable":2`, "3 replicas, 2 maxSurge, 1 maxUnavailable", "3 replicas, 2 maxSurge, 1 maxUnavailable"},
		{"percent", `"maxSurge":"25%","maxUnavailable":"10%"`, "3 replicas", "3 replicas"},
		{"one of each", `"maxSurge":"25%","maxUnavailable":1`, "3 replicas, 1 maxUnavailable", "3 replicas, 0 maxUnavailable"},
		{"too few for all: of the surge", `"maxSurge":1,"maxUnavailable":0`, "3 replicas, 1 maxSurge, 0 maxUnavailable", "3 replicas, 1 maxSurge, 0 maxUnavailable"},
		{"too few for all: of what may be missing", `"maxSurge":0,"maxUnavailable":1`, "3 replicas, 0 maxSurge, 1 maxUnavailable", "3 replicas, 0 maxSurge, 1 maxUnavailable"},
		{"none in percent", `"maxSurge":"0%","maxUnavailable":1`, "3 replicas, 1 maxUnavailable", "3 replicas, 1 maxUnavailable"},
	} {
		w := newWorld(t, "a", "b")
		k := w.want("Deployment", "ns", "web", fmt.Sprintf(web, tt.rolling))
		w.check(tt.name, w.run(), "a: create Deployment ns/web "+tt.a+"\nb: create Deployment ns/web "+tt.b)
		w.check(tt.name+", done", w.run(), "")
		if len(w.Desired(k).Margins) > 0 {
			w.copied("a", k, `{"spec":{"replicas":3,"strategy":{"rollingUpdate":{"maxSurge":9,"maxUnavailable":9}}}}`)
			w.check(tt.name+", changed by hand", w.run(), "a: update Deployment ns/web "+tt.a)
		}
	}

	// A budget goes by the pods that it selects.
	w := newWorld(t, "a", "b")
	w.want("Deployment", "ns", "web", `{`+heavy+`,"spec":{"replicas":6,"template":{"metadata":{"labels":{"app":"web"}}}}}`)
	w.want("Deployment", "ns", "other", `{"spec":{"replicas":6,"template":{"metadata":{"labels":{"app":"other"}}}}}`)
	const budget = `{"spec":{%s,"selector":{"matchLabels":{"app":"web"}}}}`
	w.want("PodDisruptionBudget", "ns", "web", fmt.Sprintf(budget, `"minAvailable":3`))
	w.check("a budget", w.run(), `a: create Deployment ns/other 3 replicas
b: create Deployment ns/other 3 replicas
a: create Deployment ns/web 4 replicas
b: create Deployment ns/web 2 replicas
a: create PodDisruptionBudget ns/web 2 minAvailable
b: create PodDisruptionBudget ns/web 1 minAvailable`)
	w.want("PodDisruptionBudget", "ns", "web", fmt.Sprintf(budget, `"maxUnavailable":1`))
	w.check("each cluster may let one go", w.run(), "a: update PodDisruptionBudget ns/web 1 maxUnavailable\nb: update PodDisruptionBudget ns/web 1 maxUnavailable")
	w.want("PodDisruptionBudget", "ns", "web", fmt.Sprintf(budget, `"maxUnavailable":0`))
	w.check("or none", w.run(), "a: update PodDisruptionBudget ns/web 0 maxUnavailable\nb: update PodDisruptionBudget ns/web 0 maxUnavailable")
	w.want("PodDisruptionBudget", "ns", "web", fmt.Sprintf(budget, `"minAvailable":"50%"`))
	w.check("in percent", w.run(), "a: update PodDisruptionBudget ns/web\nb: update PodDisruptionBudget ns/web")
	w.want("PodDisruptionBudget", "ns", "web", fmt.Sprintf(budget, `"minAvailable":3`))
	w.check("in numbers", w.run(), "a: update PodDisruptionBudget ns/web 2 minAvailable\nb: update PodDisruptionBudget ns/web 1 minAvailable")
	w.want("Deployment", "ns", "web", `{"spec":{"replicas":2,"template":{"metadata":{"labels":{"app":"web"}}}}}`)
	w.check("when the replicas are others", w.run(), `a: update Deployment ns/web 2 replicas
b: update Deployment ns/web 0 replicas
a: update PodDisruptionBudget ns/web 3 minAvailable
b: update PodDisruptionBudget ns/web 0 minAvailable`)
	w.want("PodDisruptionBudget", "ns", "web", `{"spec":{"minAvailable":3,"selector":{"matchLabels":{"app":"nobody"}}}}`)
	w.check("of pods of nobody", w.run(), "a: update PodDisruptionBudget ns/web 3 minAvailable\nb: update PodDisruptionBudget ns/web 3 minAvailable")
}

func TestGuards(t *testing.T) {
	for selector, want := range map[string]bool{
		`{}`:                             true,
		`{"matchLabels":{"app":"web"}}`:  true,
		`{"matchLabels":{"app":"cart"}}`: false,
		`{"matchLabels":{"zone":""}}`:    false,
		`{"matchExpressions":[{"key":"app","operator":"In","values":["cart","web"]}]}`:               true,
		`{"matchExpressions":[{"key":"app","operator":"NotIn","values":["cart"]}]}`:                  true,
		`{"matchExpressions":[{"key":"app","operator":"NotIn","values":["web"]}]}`:                   false,
		`{"matchExpressions":[{"key":"zone","operator":"NotIn","values":["web"]}]}`:                  true,
		`{"matchExpressions":[{"key":"app","operator":"Exists"}]}`:                                   true,
		`{"matchExpressions":[{"key":"zone","operator":"Exists"}]}`:                                  false,
		`{"matchExpressions":[{"key":"zone","operator":"DoesNotExist"}]}`:                            true,
		`{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"app","operator":"DoesNotExist"}]}`: false,
	} {
		budget := &Desired{Selects: parse(t, selector)}
		if got := budget.guards(&Desired{PodLabels: map[string]string{"app": "web"}}); got != want {
			t.Errorf("%s: %v", selector, got)
		}
	}
}

// Whatever the numbers: no more are missing than may be, or one in each cluster.
func TestMarginProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, "a", "b", "c")
		number := func(what string) int64 { return rapid.Int64Range(0, 9).Draw(rt, what) }
		n, up, down := number("replicas"), number("surge"), number("missing")
		if up+down == 0 {
			up = 1
		}
		k := w.want("Deployment", "ns", "web", fmt.Sprintf(`{"spec":{"replicas":%d,"strategy":{"rollingUpdate":{"maxSurge":%d,"maxUnavailable":%d}}}}`, n, up, down))
		w.run()
		var ups, downs int64
		for _, c := range []string{"a", "b", "c"} {
			s := w.Observed(c, k).Scale
			if s["replicas"] > 0 { // of none, none is missing, or too many
				ups, downs = ups+s[surge], downs+s[missing]
			}
			if s[surge]+s[missing] == 0 {
				rt.Errorf("%s has %v: no rollout goes on", c, s)
			}
		}
		if ups > max(up, 3) || downs > max(down, 3) || down >= 3 && n >= 3 && downs > down || down == 0 && downs > 0 {
			rt.Errorf("%d and %d become %d and %d", up, down, ups, downs)
		}
	})
}
