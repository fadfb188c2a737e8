package patch

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{ // "": it can be read
		`[]`: "",
		`[{"clusters":["paris"],"patch":[{"op":"replace","path":"/spec/a","value":null}]}]`:           "",
		"- clusters: [paris, tokyo]\n  merge: {spec: {a: 1}}":                                         "",
		"- selector: {matchLabels: {cloud: aws}}\n  merge: {}":                                        "",
		"- selector: {matchExpressions: [{key: cloud, operator: NotIn, values: [aws]}]}\n  merge: {}": "",
		"- selector: [{key: cloud, operator: \"!=\", values: [aws]}]\n  merge: {}":                    "",
		"- clusters: ['*']\n  patch: [{path: /spec/a, value: 1}]":                                     "", // as kubefed has it

		`{{`:                         "neither YAML nor JSON",
		"- {clusters: [a]}\n- {a: b": "neither YAML nor JSON",
		"- {clusters: [a], clusters: [b], merge: {}}": `"clusters" already set`,
		`{"paris":[]}`:                   "an object where a list of rules belongs, such as - {clusters: [NAME]",
		`null`:                           "nothing where a list of rules belongs",
		`paris`:                          "a string where a list of rules belongs",
		`[paris]`:                        "rule 1: a string where an object with clusters",
		"- {merge: {}}":                  `it says of no cluster: clusters: [NAME] does`,
		"- {clusters: paris, merge: {}}": "clusters isn't a list of names",
		"- {clusters: [], merge: {}}":    "clusters isn't a list of names",
		"- {clusters: [a]}":              "one of patch (a list of operations, RFC 6902), merge",
		"- {clusters: [a], merge: {}, patch: []}":                                      "one of patch",
		"- {clusters: [a], merge: []}":                                                 "merge: a list where an object belongs; a list of operations is called patch",
		"- {clusters: [a], patch: {spec: 1}}":                                          "patch: an object where a list of operations belongs; an object that is merged is called merge",
		"- {clusters: [a], patch: []}":                                                 "no operation is in it",
		"- {clusters: [a], overriders: []}":                                            `unknown field "overriders"; known are clusters, selector, patch, merge and images`,
		"- {clusters: [a], patch: [{operator: add, path: /a, value: 1}]}":              `operation 1: unknown field "operator"; known are op, path, value and from`,
		"- {clusters: [a], patch: [{op: set, path: /a, value: 1}]}":                    `op "set" is none of add, copy, move, remove, replace, test`,
		"- {clusters: [a], patch: [{op: add, value: 1}]}":                              "it has no path",
		"- {clusters: [a], patch: [{op: add, path: /a}]}":                              "add /a: it has no value",
		"- {clusters: [a], patch: [{op: move, path: /a}]}":                             "it doesn't say from where",
		"- {clusters: [a], patch: [{op: add, path: spec.replicas, value: 1}]}":         `path "spec.replicas" doesn't lead to a field: it is written as /spec/`,
		"- {clusters: [a], patch: [{op: add, path: '', value: {}}]}":                   `path "" doesn't lead to a field`,
		"- {clusters: [a], patch: [{op: add, path: 1, value: {}}]}":                    "path isn't for a number",
		"- {selector: {matchLabel: {a: b}}, merge: {}}":                                `selector: unknown field "matchLabel"; known are matchLabels and matchExpressions`,
		"- {selector: {matchExpressions: [{key: a, operator: Near}]}, merge: {}}":      `operator "Near"`,
		"- {clusters: [a]}\n- {clusters: [b], merge: {}}\n- {clusters: [c], patch: 1}": "rule 3: patch: a value",
	} {
		_, err := Parse(text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	o, err := decode([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

// The rows of the RFCs' own examples whose documents are objects.
func TestApply(t *testing.T) {
	merge := func(patch string) string { return `[{"clusters":["*"],"merge":` + patch + `}]` }
	ops := func(patch string) string { return `[{"clusters":["*"],"patch":` + patch + `}]` }
	for _, row := range []struct{ doc, rules, want string }{
		// RFC 7386, appendix A.
		{`{"a":"b"}`, merge(`{"a":"c"}`), `{"a":"c"}`},
		{`{"a":"b"}`, merge(`{"b":"c"}`), `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, merge(`{"a":null}`), `{}`},
		{`{"a":"b","b":"c"}`, merge(`{"a":null}`), `{"b":"c"}`},
		{`{"a":["b"]}`, merge(`{"a":"c"}`), `{"a":"c"}`},
		{`{"a":"c"}`, merge(`{"a":["b"]}`), `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, merge(`{"a":{"b":"d","c":null}}`), `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, merge(`{"a":[1]}`), `{"a":[1]}`},
		{`{"e":null}`, merge(`{"a":1}`), `{"e":null,"a":1}`},
		{`{}`, merge(`{"a":{"bb":{"ccc":null}}}`), `{"a":{"bb":{}}}`},
		// RFC 6902, appendix A.
		{`{"foo":"bar"}`, ops(`[{"op":"add","path":"/baz","value":"qux"}]`), `{"baz":"qux","foo":"bar"}`},
		{`{"foo":["bar","baz"]}`, ops(`[{"op":"add","path":"/foo/1","value":"qux"}]`), `{"foo":["bar","qux","baz"]}`},
		{`{"baz":"qux","foo":"bar"}`, ops(`[{"op":"remove","path":"/baz"}]`), `{"foo":"bar"}`},
		{`{"foo":["bar","qux","baz"]}`, ops(`[{"op":"remove","path":"/foo/1"}]`), `{"foo":["bar","baz"]}`},
		{`{"baz":"qux","foo":"bar"}`, ops(`[{"op":"replace","path":"/baz","value":"boo"}]`), `{"baz":"boo","foo":"bar"}`},
		{`{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}`, ops(`[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]`), `{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}`},
		{`{"foo":["all","grass","cows","eat"]}`, ops(`[{"op":"move","from":"/foo/1","path":"/foo/3"}]`), `{"foo":["all","cows","eat","grass"]}`},
		{`{"baz":"qux","foo":["a",2,"c"]}`, ops(`[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]`), `{"baz":"qux","foo":["a",2,"c"]}`},
		{`{"foo":"bar"}`, ops(`[{"op":"add","path":"/child","value":{"grandchild":{}}}]`), `{"foo":"bar","child":{"grandchild":{}}}`},
		{`{"/":9,"~1":10}`, ops(`[{"op":"test","path":"/~01","value":10}]`), `{"/":9,"~1":10}`},
		{`{"foo":["bar"]}`, ops(`[{"op":"add","path":"/foo/-","value":["abc","def"]}]`), `{"foo":["bar",["abc","def"]]}`},
		{`{"a":{"x/y":1}}`, ops(`[{"path":"/a/x~1y","value":9007199254740993}]`), `{"a":{"x/y":9007199254740993}}`},
		// One rule after the other.
		{`{"a":1}`, `[{"clusters":["*"],"merge":{"b":{"c":1}}},{"clusters":["*"],"patch":[{"path":"/b/c","value":2}]}]`, `{"a":1,"b":{"c":2}}`},
	} {
		r, err := Parse(row.rules)
		if err != nil {
			t.Fatalf("%s: %v", row.rules, err)
		}
		doc := object(t, row.doc)
		got, err := r.Apply(doc)
		if err != nil || !reflect.DeepEqual(got, object(t, row.want)) {
			t.Errorf("%s with %s: got %v, %v; want %s", row.doc, row.rules, got, err, row.want)
		}
		if !reflect.DeepEqual(doc, object(t, row.doc)) {
			t.Errorf("%s: %s has changed what it was given", row.doc, row.rules)
		}
	}
}

// Another registry is another one for every image, and leaves the rest of its name as it is.
func TestImages(t *testing.T) {
	for image, want := range map[string]string{
		"nginx": "eu.example/m/nginx", "nginx:1": "eu.example/m/nginx:1", "team/web:1": "eu.example/m/team/web:1", "ghcr.io/team/web@sha256:0": "eu.example/m/team/web@sha256:0",
		"registry:5000/web": "eu.example/m/web", "localhost/web": "eu.example/m/web",
	} {
		r, err := Parse(`[{"clusters":["a"],"images":{"registry":"eu.example/m"}}]`)
		if err != nil {
			t.Fatal(err)
		}
		pod := func(image string) map[string]any {
			return object(t, `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"initContainers":[{"image":"`+image+`"}],"containers":[{"name":"c","image":"`+image+`"},{"name":"d"}],"volumes":[{"image":"x"}]}}}}}}`)
		}
		if got, err := r.Apply(pod(image)); err != nil || !reflect.DeepEqual(got, pod(want)) {
			t.Errorf("%s: %v, %v; want %s", image, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`{registry: ""}`: "it has no registry", `{registry: "https://x"}`: "is no name of a registry", `{registry: "x/"}`: "is no name", `x`: "images: a string where an object", `{host: x}`: `unknown field "host"`,
	} {
		if _, err := Parse("- {clusters: [a], images: " + text + "}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// What doesn't fit says where it ends, and what there is.
func TestMisfit(t *testing.T) {
	doc := `{"spec":{"containers":[{"name":"web","image":"nginx:1"}],"empty":{},"none":[]}}`
	for ops, want := range map[string]string{
		`[{"path":"/spec/containers/1/image","value":"x"}]`:                                                  "rule 1: replace /spec/containers/1/image: the object says nothing there: /spec/containers is a list of one, which is number 0",
		`[{"path":"/spec/containers/0/env/0","value":"x"}]`:                                                  "/spec/containers/0 has image, name",
		`[{"path":"/spec/containers/0/image/tag","value":"x"}]`:                                              "/spec/containers/0/image is a value, with nothing below it",
		`[{"op":"remove","path":"/speck"}]`:                                                                  "it has spec",
		`[{"op":"add","path":"/spec/empty/a/b","value":1}]`:                                                  "/spec/empty has nothing in it",
		`[{"op":"add","path":"/spec/none/7","value":1}]`:                                                     "/spec/none is an empty list",
		`[{"op":"test","path":"/spec/containers/0/image","value":"nginx:2"},{"op":"remove","path":"/spec"}]`: "test /spec/containers/0/image: it is another value there",
		`[{"op":"remove","path":"/spec/empty"},{"op":"copy","from":"/spec/empty","path":"/spec/b"}]`:         "copy /spec/empty: the object says nothing there: /spec has containers, none",
	} {
		r, err := Parse(`[{"clusters":["a"],"patch":` + ops + `}]`)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Apply(object(t, doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", ops, err, want)
		}
	}
}

// Copies of copies grow to no more than an API server would take.
func TestCopies(t *testing.T) {
	ops := []map[string]string{}
	for range 40 {
		ops = append(ops, map[string]string{"op": "copy", "from": "/a", "path": "/a/-"})
	}
	text, err := json.Marshal([]any{map[string]any{"clusters": []string{"a"}, "patch": ops}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Apply(map[string]any{"a": []any{"word"}}); err == nil {
		t.Error("an object of a million words, doubled again and again, was made")
	}
}

func TestFor(t *testing.T) {
	r, err := Parse(`
- {clusters: [paris], merge: {a: 1}}
- {selector: {matchLabels: {cloud: aws}}, merge: {a: 2}}
- {clusters: [paris, tokyo], selector: [{key: cloud, operator: "!=", values: [aws]}], merge: {a: 3}}
- {clusters: ["*"], merge: {a: 4}}
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ cluster, cloud, want string }{
		{"paris", "aws", "[1 2 4]"}, {"paris", "gcp", "[1 3 4]"}, {"tokyo", "gcp", "[3 4]"}, {"oslo", "aws", "[2 4]"}, {"oslo", "", "[4]"},
	} {
		if got := r.For(row.cluster, map[string]string{"cloud": row.cloud}).ID(); got != row.want {
			t.Errorf("%s on %q: rules %s, want %s", row.cluster, row.cloud, got, row.want)
		}
	}
	if got := strings.Join(r.Named(), " "); got != "paris tokyo" {
		t.Errorf("it names %q", got)
	}
}
