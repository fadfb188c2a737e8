package placement

import (
	"strings"
	"testing"
)

func TestParseTolerations(t *testing.T) {
	taint := Taint{"team", "shop", NoSchedule}
	for _, tt := range []struct {
		text      string
		tolerates bool
		err       string
	}{
		{`[]`, false, ""},
		{`[{"key": "team", "operator": "Equal", "value": "shop", "effect": "NoSchedule"}]`, true, ""},
		{`[{"key": "team", "value": "shop"}]`, true, ""},
		{`[{"key": "team", "value": "bank"}]`, false, ""},
		{`[{"key": "team"}]`, false, ""},
		{`[{"key": "crew", "value": "shop"}]`, false, ""},
		{`[{"key": "team", "operator": "Exists"}]`, true, ""},
		{`[{"key": "crew", "operator": "Exists"}]`, false, ""},
		{`[{"operator": "Exists"}]`, true, ""},
		{`[{"operator": "Exists", "effect": "NoExecute"}]`, false, ""},
		{`[{"key": "crew", "value": "x"}, {"key": "team", "value": "shop"}]`, true, ""},

		{``, false, "not JSON"},
		{`null`, false, "null where a list of objects with key, operator, value and effect belongs"},
		{`{}`, false, "object where a list of objects"},
		{`[{"key": true}]`, false, "bool where a string of Key belongs"},
		{`[{"key": "a", "tolerationSeconds": 60}]`, false, `unknown field "tolerationSeconds"; known are key, operator, value and effect`},
		{`[{"key": "a", "operator": "In"}]`, false, `toleration 1: operator "In" is none of Equal and Exists`},
		{`[{"key": "a", "effect": "PreferNoSchedule"}]`, false, `toleration 1: effect "PreferNoSchedule" is none of NoSchedule and NoExecute`},
		{`[{"key": "a", "operator": "Exists", "value": "b"}]`, false, `operator Exists takes no value, not "b"`},
		{`[{"value": "b"}]`, false, `the key is missing; operator Exists without a key tolerates every taint`},
		{`[{"key": "a b"}]`, false, `"a b" isn't a label's name`},
		{`[{"key": "a"}, {}, {"key": "b", "operator": "x"}]`, false, "toleration 2: the key is missing; operator Exists without a key tolerates every taint\ntoleration 3: operator \"x\""},
	} {
		got, err := TolerationsOf(map[string]string{"fedns.io/tolerations": tt.text})
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", tt.text, err, tt.err)
		}
		if _, repelled := (Object{Tolerations: got}).repelled(Cluster{Taints: []Taint{taint}}, NoSchedule); repelled == tt.tolerates {
			t.Errorf("%s: repelled %t", tt.text, repelled)
		}
	}
	if got, err := TolerationsOf(nil); got != nil || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
}

func TestDecide(t *testing.T) {
	const anything = `[{"operator": "Exists"}]`
	fresh, old := Taint{"maintenance", "", NoSchedule}, Taint{"team", "shop", NoExecute}
	for _, tt := range []struct {
		name        string
		selector    string
		tolerations string
		taints      []Taint
		evacuate    bool
		absent      string // place, replicas: why
		present     string
	}{
		{"chosen", `[{"key": "a", "operator": "exists"}]`, "", nil, false,
			"true grow: selected", "true grow: selected"},
		{"not chosen", `[{"key": "b", "operator": "exists"}]`, anything, []Taint{fresh, old}, true,
			"false none: selector asks for b; the cluster has no label b", "false none: selector asks for b; the cluster has no label b"},
		{"nothing new", "", "", []Taint{fresh}, false,
			"false none: taint maintenance:NoSchedule isn't tolerated", "true keep: it was there before taint maintenance:NoSchedule, and must not grow"},
		{"nothing at all", "", "", []Taint{fresh, old}, false,
			"false none: taint team=shop:NoExecute isn't tolerated", "false none: taint team=shop:NoExecute isn't tolerated"},
		{"tolerated", "", anything, []Taint{fresh, old}, false,
			"true grow: selected", "true grow: selected"},
		{"tolerated in part", "", `[{"key": "team", "value": "shop"}]`, []Taint{old, fresh}, false,
			"false none: taint maintenance:NoSchedule isn't tolerated", "true keep: it was there before taint maintenance:NoSchedule, and must not grow"},
		{"evacuated", "", "", nil, true,
			"true none: the cluster is drained: its replicas go to others", "true none: the cluster is drained: its replicas go to others"},
		{"evacuated, nothing new", "", "", []Taint{fresh}, true,
			"false none: taint maintenance:NoSchedule isn't tolerated", "true none: the cluster is drained: its replicas go to others"},
		{"evacuated, nothing at all", "", "", []Taint{old}, true,
			"false none: taint team=shop:NoExecute isn't tolerated", "false none: taint team=shop:NoExecute isn't tolerated"},
		{"evacuated, tolerated or not", "", anything, []Taint{fresh}, true,
			"true none: the cluster is drained: its replicas go to others", "true none: the cluster is drained: its replicas go to others"},
	} {
		var o Object
		var err error
		if tt.selector != "" {
			if o.Selector, err = ParseSelector(tt.selector); err != nil {
				t.Fatal(err)
			}
		}
		if tt.tolerations != "" {
			if o.Tolerations, err = ParseTolerations(tt.tolerations); err != nil {
				t.Fatal(err)
			}
		}
		c := Cluster{Labels: map[string]string{"a": "1"}, Taints: tt.taints, Evacuate: tt.evacuate}
		for present, want := range map[bool]string{false: tt.absent, true: tt.present} {
			d := Decide(o, c, present)
			got := map[bool]string{false: "false ", true: "true "}[d.Place] + d.Replicas.String() + ": " + d.Why
			if got != want {
				t.Errorf("%s, present %t: %s, want %s", tt.name, present, got, want)
			}
		}
	}
}

func TestCeiling(t *testing.T) {
	if c := Grow.Ceiling(5); c != nil {
		t.Errorf("grow: %d", *c)
	}
	if c := Keep.Ceiling(5); c == nil || *c != 5 {
		t.Errorf("keep: %v", c)
	}
	if c := None.Ceiling(5); c == nil || *c != 0 {
		t.Errorf("none: %v", c)
	}
}

func FuzzParseTolerations(f *testing.F) {
	for _, s := range []string{
		`[{"key": "team", "operator": "Equal", "value": "shop", "effect": "NoSchedule"}, {"operator": "Exists"}]`,
		`[{}]`, `[null]`, `null`, `[{"key": "a", "tolerationSeconds": 3}]`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTolerations(s)
		if err != nil && got != nil {
			t.Fatalf("%q: %v and %v", s, got, err)
		}
		taint := Taint{"k", "v", NoExecute}
		d := Decide(Object{Tolerations: got}, Cluster{Taints: []Taint{taint}}, true)
		if d.Place && len(got) == 0 {
			t.Fatalf("%q: nothing tolerates %s: %+v", s, taint, d)
		}
	})
}
