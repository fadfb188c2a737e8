package placement

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestSelectorVectors(t *testing.T) {
	raw, err := os.ReadFile("../../../test/vectors/planner.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Selectors []struct {
			ID            string
			Annotation    *string
			ClusterLabels map[string]string
			Expect        any
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Selectors) == 0 {
		t.Fatal("planner.json holds no selectors")
	}
	for _, v := range file.Selectors {
		for _, key := range selectorAnnotations {
			annotations := map[string]string{}
			if v.Annotation != nil {
				annotations[key] = *v.Annotation
			}
			selector, err := SelectorOf(annotations)
			if (err != nil) != (v.Expect == "error") {
				t.Errorf("%s: error %v, want %v", v.ID, err, v.Expect)
			}
			if got, why := selector.Matches(v.ClusterLabels); got != (v.Expect == true) {
				t.Errorf("%s: %t %s, want %v", v.ID, got, why, v.Expect)
			}
		}
	}
}

func TestMatches(t *testing.T) {
	labels := map[string]string{"location": "europe", "env": "", "version": "15", "k8s.example.com/Tier": "A_1.x"}
	for _, tt := range []struct {
		text string
		why  string // "": it is chosen
	}{
		{`[]`, ""},
		{`[{"key": "location", "operator": "In", "values": ["usa", "europe"]}]`, ""},
		{`[{"KEY": "location", "Operator": "=", "values": ["europe"]}]`, ""},
		{`[{"key": "location", "operator": "in", "values": ["usa", "asia"]}]`, "selector asks for location in (usa, asia); the cluster has location=europe"},
		{`[{"key": "location", "operator": "==", "values": ["usa"]}]`, "selector asks for location=usa; the cluster has location=europe"},
		{`[{"key": "region", "operator": "in", "values": ["usa"]}]`, "selector asks for region=usa; the cluster has no label region"},
		{`[{"key": "location", "operator": "notin", "values": ["usa", "europe"]}]`, "selector asks for location notin (usa, europe); the cluster has location=europe"},
		{`[{"key": "location", "operator": "!=", "values": ["europe"]}]`, "selector asks for location!=europe; the cluster has location=europe"},
		{`[{"key": "region", "operator": "NotIn", "values": ["usa"]}]`, ""},
		{`[{"key": "env", "operator": "in", "values": [""]}]`, ""},
		{`[{"key": "region", "operator": "in", "values": [""]}]`, "selector asks for region=; the cluster has no label region"},
		{`[{"key": "env", "operator": "exists"}, {"key": "k8s.example.com/Tier", "operator": "Exists", "values": []}]`, ""},
		{`[{"key": "region", "operator": "exists"}]`, "selector asks for region; the cluster has no label region"},
		{`[{"key": "region", "operator": "!"}]`, ""},
		{`[{"key": "env", "operator": "DoesNotExist"}]`, "selector asks for !env; the cluster has env="},
		{`[{"key": "version", "operator": "gt", "values": ["14"]}, {"key": "version", "operator": "Lt", "values": ["16"]}]`, ""},
		{`[{"key": "version", "operator": "<", "values": ["15"]}]`, "selector asks for version<15; the cluster has version=15"},
		{`[{"key": "version", "operator": "Gt", "values": ["15"]}]`, "selector asks for version>15; the cluster has version=15"},
		{`[{"key": "location", "operator": ">", "values": ["1"]}]`, "selector asks for location>1; the cluster has location=europe"},
		{`[{"key": "region", "operator": "lt", "values": ["1"]}]`, "selector asks for region<1; the cluster has no label region"},
		{` federation.kubernetes.io/federation-control-plane=true `, "it is for the federation only"},
	} {
		s, err := ParseSelector(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		}
		ok, why := s.Matches(labels)
		if ok != (tt.why == "") || why != tt.why {
			t.Errorf("%s: %t %q, want %q", tt.text, ok, why, tt.why)
		}
	}
}

func TestParseSelectorErrors(t *testing.T) {
	for _, tt := range []struct{ text, err string }{
		{``, "not JSON: unexpected end"},
		{`location=europe`, "not JSON: invalid character 'l'"},
		{`[] []`, "not JSON: invalid character '[' after top-level value"},
		{`null`, "null where a list of objects with key, operator and values belongs"},
		{`{"key": "a", "operator": "exists"}`, "object where a list of objects with key, operator and values belongs"},
		{`["a"]`, "string where a list of objects with key, operator and values belongs"},
		{`[{"key": 1, "operator": "exists"}]`, "number where a string of Key belongs"},
		{`[{"key": "a", "operator": "in", "values": "b"}]`, "string where the list Values belongs"},
		{`[{"key": "a", "operator": "in", "values": [14]}]`, "number where a string of Values belongs"},
		{`[{"key": "a", "op": "exists"}]`, `unknown field "op"; known are key, operator and values`},
		{`[{"operator": "exists"}]`, "requirement 1: the key is missing"},
		{`[{"key": "a b", "operator": "exists"}]`, `key "a b": "a b" isn't a label's name`},
		{`[{"key": "Example.com/a", "operator": "exists"}]`, `key "Example.com/a": "Example.com" isn't a DNS name in lower case`},
		{`[{"key": "/a", "operator": "exists"}]`, `key "/a": "" isn't a DNS name`},
		{`[{"key": "a/b/c", "operator": "exists"}]`, `key "a/b/c": "b/c" isn't a label's name`},
		{`[{"key": "a-", "operator": "exists"}]`, `key "a-": "a-" isn't a label's name`},
		{`[{"key": "` + strings.Repeat("a", 64) + `", "operator": "exists"}]`, `isn't a label's name`},
		{`[{"key": "` + strings.Repeat("a.", 127) + `a/b", "operator": "exists"}]`, `isn't a DNS name`},
		{`[{"key": "a"}]`, `key "a": operator "" is none of in, notin, =, ==, !=, exists, !, gt and lt`},
		{`[{"key": "a", "operator": "IN", "values": ["b"]}]`, `key "a": operator "IN" is none of`},
		{`[{"key": "a", "operator": "in"}]`, `key "a": operator in takes values, and there are none`},
		{`[{"key": "a", "operator": "notin", "values": []}]`, `key "a": operator notin takes values`},
		{`[{"key": "a", "operator": "==", "values": ["b", "c"]}]`, `key "a": operator == takes one value, not ["b" "c"]`},
		{`[{"key": "a", "operator": "!=", "values": []}]`, `key "a": operator != takes one value, not []`},
		{`[{"key": "a", "operator": "exists", "values": ["b"]}]`, `key "a": operator exists takes no values, not ["b"]`},
		{`[{"key": "a", "operator": "!", "values": ["b"]}]`, `key "a": operator ! takes no values`},
		{`[{"key": "a", "operator": "gt", "values": ["1", "2"]}]`, `key "a": operator gt takes one value`},
		{`[{"key": "a", "operator": "<", "values": ["v1"]}]`, `key "a": operator < takes a whole number, not "v1"`},
		{`[{"key": "a", "operator": "in", "values": ["b c"]}]`, `key "a": no label has the value "b c"`},
		{`[{"key": "a", "operator": "exists"}, {"key": "b", "operator": "x"}, {"key": "c", "operator": "y"}]`, "requirement 2: key \"b\": operator \"x\" is none of " + operators + "\nrequirement 3: key \"c\""},
	} {
		s, err := ParseSelector(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", tt.text, err, tt.err)
		}
		if ok, why := s.Matches(nil); ok || why != "its selector can't be read" {
			t.Errorf("%s: %t %q", tt.text, ok, why)
		}
	}
}

func TestSelectorOf(t *testing.T) {
	const yes, no, bad = `[]`, `[{"key": "a", "operator": "exists"}]`, `a`
	for _, tt := range []struct {
		ours, v1, alpha string // "" isn't there
		ok              bool
		err             string
	}{
		{"", "", "", true, ""},
		{no, yes, yes, false, ""},
		{yes, no, no, true, ""},
		{"", no, yes, false, ""},
		{"", "", no, false, ""},
		{"", yes, bad, true, ""},
		{bad, yes, yes, false, "annotation fedns.io/cluster-selector: not JSON"},
		{"", bad, yes, false, "annotation federation.kubernetes.io/cluster-selector: not JSON"},
		{"", "", bad, false, "annotation federation.alpha.kubernetes.io/cluster-selector: not JSON"},
	} {
		annotations := map[string]string{"other": bad}
		for i, text := range []string{tt.ours, tt.v1, tt.alpha} {
			if text != "" {
				annotations[selectorAnnotations[i]] = text
			}
		}
		s, err := SelectorOf(annotations)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%v: %v", tt, err)
		}
		if ok, _ := s.Matches(nil); ok != tt.ok {
			t.Errorf("%v: %t", tt, ok)
		}
	}
}

func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{
		`[{"key": "a", "operator": "in", "values": ["b", ""]}, {"key": "x.y/c", "operator": "<", "values": ["-3"]}]`,
		`[{"key": "a", "operator": "!"}]`, `[null]`, `[]`, `null`, federationOnly, `[{"key":"a","operator":"gt","values":["99999999999999999999"]}]`,
	} {
		f.Add(s, "a", "b")
	}
	f.Fuzz(func(t *testing.T, s, key, value string) {
		selector, err := ParseSelector(s)
		ok, why := selector.Matches(map[string]string{key: value})
		if ok && err != nil {
			t.Fatalf("%q: chosen, and %v", s, err)
		}
		if ok == (why != "") {
			t.Fatalf("%q: %t because of %q", s, ok, why)
		}
	})
}
