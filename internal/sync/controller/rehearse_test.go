package controller

import (
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/sync/workload"
)

// TestInOrder is that a namespace goes when what is in it has gone, and only a cluster's own
// steps are done there.
func TestInOrder(t *testing.T) {
	namespaces, settings := workload.Kinds()[0], workload.Other(builtin.ConfigMaps)
	step := func(cluster string, s *workload.FederatedKind, verb workload.Verb, name string) Foreseen {
		return Foreseen{Step: workload.Step{Cluster: cluster, Key: workload.Key{FederatedKind: s, Name: name}, Verb: verb}}
	}
	var got []string
	for _, act := range inOrder([]Foreseen{
		step("eu", namespaces, workload.Delete, "old"), step("us", namespaces, workload.Create, "other"), step("eu", settings, workload.Delete, "inside"),
		step("eu", namespaces, workload.Create, "new"), step("eu", settings, workload.Adopt, "taken"),
	}, "eu") {
		var names []string
		for _, s := range act {
			names = append(names, s.Name)
		}
		got = append(got, strings.Join(names, " "))
	}
	if text := strings.Join(got, ", "); text != "new taken, inside, old" {
		t.Errorf("in the order %s", text)
	}
}

// TestPrint is what people read of what a cluster refuses.
func TestPrint(t *testing.T) {
	k := workload.Key{FederatedKind: workload.Other(builtin.ConfigMaps), Namespace: "shop", Name: "x"}
	var b strings.Builder
	err := Preview{Steps: []Foreseen{
		{Step: workload.Step{Cluster: "eu", Key: k, Verb: workload.Adopt, Why: "so"}, Refused: "no"},
		{Step: workload.Step{Cluster: "eu", Key: k, Verb: workload.Create, Why: "it isn't there"}, Untried: "not yet"},
		{Step: workload.Step{Cluster: "us", Key: k, Verb: workload.Update, Why: "so", Changes: []workload.Change{{Path: "data.a", Was: "", Now: hide(`"secret"`)}}}},
	}}.Print(&b)
	const want = `cluster eu
  adopt ConfigMap shop/x: so
      refused: no
  create ConfigMap shop/x: it isn't there
      not tried: not yet
cluster us
  update ConfigMap shop/x: so
      data.a: (nothing) -> "(not shown)"
`
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s", err, b.String())
	}
}
