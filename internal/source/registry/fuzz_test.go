package registry

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// FuzzCluster is that a spec, whatever stands in it, gives a member, and that what is believed of it is believed
// as a whole the next time.
func FuzzCluster(f *testing.F) {
	f.Add(`{"secretRef":{"name":"a"},"region":"eu","zones":["eu-a"],"location":"1 2","addresses":["192.0.2.0/24","::1"],"exports":["shop/*"],"hosts":["*.example.com"],"drain":{"until":"2030-01-31T15:00:00Z","reason":"x"}}`)
	f.Add(`{"region":"a.b","zones":["","a","a"],"location":"nan inf","addresses":["10.0.0.0/33"],"exports":["*","/","a/b/c"],"hosts":["*"],"taints":[{"key":"k","effect":"NoSchedule"}]}`)
	f.Add(`{"location":"-90.0001 180","drain":{},"zones":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		var spec v1alpha1.ClusterSpec
		if json.Unmarshal([]byte(text), &spec) != nil {
			return // no API server gives it
		}
		good, wrong := take(v1alpha1.ClusterSpec{}, word{spec: spec})
		for field, why := range wrong {
			if why == "" {
				t.Errorf("%s is wrong, and nobody knows why", field)
			}
		}
		m := member("c", &good)
		again, still := take(v1alpha1.ClusterSpec{}, word{spec: good})
		delete(still, "spec.secretRef") // there may be none
		for field, why := range still {
			if _, was := wrong[field]; !was {
				t.Errorf("%s was good once, and isn't now: %s", field, why)
			}
		}
		if n := member("c", &again); len(wrong) == 0 && !m.Equal(&n) {
			t.Errorf("it gives\n%+v\nand, believed,\n%+v", m, n)
		}
	})
}

// FuzzOrder is that an Order is gone by as a file of overrides would say it, or not at all, with a reason.
func FuzzOrder(f *testing.F) {
	f.Add("a: 1")
	f.Add("action: Drain\nsubject: cluster/a\nreason: fire\nuntil: \"2030-01-31T15:00:00Z\"\n")
	f.Add("action: Down\nsubject: service/a/b\nreason: \"a # b \\n until 2030\"\ndryRun: true\n")
	f.Add("action: Failback\nsubject: region/\n")
	f.Fuzz(func(t *testing.T, text string) {
		var spec map[string]any
		if yaml.Unmarshal([]byte(text), &spec) != nil {
			return
		}
		p := post(&kube.Object{Object: map[string]any{"metadata": map[string]any{"name": "o"}, "spec": spec}})
		if (p.Line == "") != (p.wrong != "") {
			t.Fatalf("its line is %q, and wrong %q", p.Line, p.wrong)
		}
		if p.Line == "" {
			return
		}
		read, err := override.Parse(p.Line)
		if err != nil || len(read) != 1 || read[0].Action != p.order.Action || read[0].Subject != p.order.Subject || strings.ContainsAny(p.Line, "\r\n") {
			t.Errorf("%q is read as %+v, %v", p.Line, read, err)
		}
	})
}

// FuzzStore is that a file, whatever is in it, is read or refused, and that what was read is written as
// it was.
func FuzzStore(f *testing.F) {
	whole, err := spell("https://api", map[string]entry{"a": {spec: v1alpha1.ClusterSpec{Region: "eu"}, kubeconfig: []byte("x")}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(whole))
	f.Add(string(whole[:len(whole)/2]))
	f.Add("{}")
	f.Add(`{"format":"fedns registry","version":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		entries, orders, err := parse([]byte(text), "https://api")
		if err != nil {
			return
		}
		again, err := spell("https://api", entries, orders)
		if err != nil {
			t.Fatal(err)
		}
		kept, listed, err := parse(again, "https://api")
		if err != nil || len(kept) != len(entries) || len(listed) != len(orders) {
			t.Fatalf("%v: %d clusters and %d orders of %d and %d in\n%s", err, len(kept), len(listed), len(entries), len(orders), again)
		}
		for name, e := range entries {
			if k := kept[name]; entryText(k) != entryText(e) {
				t.Errorf("%s was %s, and is %s", name, entryText(e), entryText(k))
			}
		}
		for i := range orders {
			if !reflect.DeepEqual(orders[i].order, listed[i].order) {
				t.Errorf("order %d was %+v, and is %+v", i, orders[i].order, listed[i].order)
			}
		}
	})
}

func entryText(e entry) string { return text(&e.spec) + string(e.kubeconfig) }
