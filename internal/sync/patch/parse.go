package patch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/placement"
)

// FromAnnotations reads the rules of an object; nil: it has none.
func FromAnnotations(annotations map[string]string) (Rules, error) {
	s, ok := annotations[v1alpha1.Overrides]
	if !ok {
		return nil, nil
	}
	r, err := Parse(s)
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", v1alpha1.Overrides, err)
	}
	return r, nil
}

const fields = "clusters, selector, patch, merge and images"

// form is what is shown to who has written something else.
const form = `- {clusters: [NAME], patch: [{op: replace, path: /spec/FIELD, value: VALUE}]}`

// Parse reads rules, as YAML or JSON:
//
//   - clusters: [paris]
//     patch:
//   - {op: replace, path: /spec/template/spec/containers/0/image, value: "registry.example.fr/web:1"}
//   - selector: {matchLabels: {cloud: aws}}
//     merge: {spec: {storageClassName: gp3}}
//
// An error names all that is wrong.
func Parse(s string) (Rules, error) {
	text, err := yaml.YAMLToJSONStrict([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("neither YAML nor JSON: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil || list == nil {
		return nil, fmt.Errorf("%s where a list of rules belongs, such as %s", kindOf(text), form)
	}
	var out Rules
	var errs []error
	for i, raw := range list {
		r, err := newRule(raw)
		if err != nil {
			errs = append(errs, fmt.Errorf("rule %d: %w", i+1, err))
		}
		r.number = i + 1
		out = append(out, r)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

func newRule(raw json.RawMessage) (r Rule, err error) {
	var text struct {
		Clusters, Selector, Patch, Merge, Images json.RawMessage
	}
	if kind := kindOf(raw); kind != "an object" {
		return r, fmt.Errorf("%s where an object with %s belongs", kind, fields)
	}
	if err := strict(raw, &text, fields); err != nil {
		return r, err
	}
	if text.Clusters == nil && text.Selector == nil {
		return r, errors.New(`it says of no cluster: clusters: [NAME] does, or clusters: ["*"] for all, or selector: {matchLabels: {KEY: VALUE}}`)
	}
	if text.Clusters != nil {
		if json.Unmarshal(text.Clusters, &r.clusters) != nil || len(r.clusters) == 0 || slices.Contains(r.clusters, "") {
			return r, errors.New("clusters isn't a list of names of clusters")
		}
	}
	if text.Selector != nil {
		if r.selector, err = selector(text.Selector); err != nil {
			return r, fmt.Errorf("selector: %w", err)
		}
	}
	whats := 0
	for _, raw := range []json.RawMessage{text.Patch, text.Merge, text.Images} {
		if raw != nil {
			whats++
		}
	}
	switch {
	case whats != 1:
		return r, errors.New("it has to have one of patch (a list of operations, RFC 6902), merge (an object, RFC 7386) and images ({registry: HOST})")
	case text.Images != nil:
		r.registry, err = newRegistry(text.Images)
		return r, err
	case text.Merge != nil:
		if kind := kindOf(text.Merge); kind != "an object" {
			return r, fmt.Errorf("merge: %s where an object belongs; a list of operations is called patch", kind)
		}
		r.merge = text.Merge
		return r, nil
	}
	var ops []json.RawMessage
	if kind := kindOf(text.Patch); kind != "a list" || json.Unmarshal(text.Patch, &ops) != nil {
		return r, fmt.Errorf("patch: %s where a list of operations belongs; an object that is merged is called merge", kind)
	}
	for i, raw := range ops {
		op, err := operation(raw)
		if err != nil {
			return r, fmt.Errorf("operation %d: %w", i+1, err)
		}
		r.patch = append(r.patch, op)
	}
	if len(r.patch) == 0 {
		return r, errors.New("patch: no operation is in it")
	}
	return r, nil
}

// takes are the operations there are, and what each has beside a path.
var takes = map[string]string{"add": "value", "replace": "value", "test": "value", "remove": "", "move": "from", "copy": "from"}

// operation reads one of a JSON patch. Without op it replaces, as those of kubefed do.
func operation(raw json.RawMessage) (op jsonpatch.Operation, err error) {
	var text struct {
		Op, Path, From *string
		Value          json.RawMessage
	}
	if kind := kindOf(raw); kind != "an object" {
		return nil, fmt.Errorf("%s where an object with op, path and value belongs", kind)
	}
	if err := strict(raw, &text, "op, path, value and from"); err != nil {
		return nil, err
	}
	name := "replace"
	if text.Op != nil {
		name = *text.Op
	}
	with, ok := takes[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("op %q is none of %s", name, strings.Join(slices.Sorted(maps.Keys(takes)), ", "))
	case text.Path == nil:
		return nil, errors.New("it has no path, such as /spec/template/spec/nodeSelector")
	case with == "value" && text.Value == nil:
		return nil, fmt.Errorf("%s %s: it has no value", name, *text.Path)
	case with == "from" && text.From == nil:
		return nil, fmt.Errorf("%s %s: it doesn't say from where", name, *text.Path)
	}
	op = jsonpatch.Operation{}
	for field, s := range map[string]*string{"path": text.Path, "from": text.From} {
		if s == nil || field == "from" && with != "from" {
			continue
		}
		if len(*s) < 2 || (*s)[0] != '/' {
			return nil, fmt.Errorf("%s: %s %q doesn't lead to a field: it is written as /spec/template/spec/nodeSelector, with ~1 for a / in a name", name, field, *s)
		}
		op[field] = quoted(*s)
	}
	op["op"] = quoted(name)
	if with == "value" {
		op["value"] = &text.Value
	}
	return op, nil
}

func quoted(s string) *json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic("a string isn't JSON: " + err.Error())
	}
	return (*json.RawMessage)(&b)
}

// selector reads one as Kubernetes has them, or as fedns.io/cluster-selector has.
func selector(raw json.RawMessage) (placement.Selector, error) {
	if kindOf(raw) != "an object" {
		return placement.ParseSelector(string(raw))
	}
	type requirement struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	}
	var text struct {
		MatchLabels      map[string]string
		MatchExpressions []requirement
	}
	if err := strict(raw, &text, "matchLabels and matchExpressions"); err != nil {
		return placement.Selector{}, err
	}
	list := []requirement{}
	for _, k := range slices.Sorted(maps.Keys(text.MatchLabels)) {
		list = append(list, requirement{k, "in", []string{text.MatchLabels[k]}})
	}
	all, err := json.Marshal(append(list, text.MatchExpressions...))
	if err != nil {
		return placement.Selector{}, err
	}
	return placement.ParseSelector(string(all))
}

// strict reads an object with no fields but known ones.
func strict(raw json.RawMessage, to any, known string) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(to)
	if typed, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s isn't for a %s", strings.ToLower(typed.Field), typed.Value)
	}
	if err == nil {
		return nil
	}
	// encoding/json's error for unknown fields has no type of its own.
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown field %s; known are %s", field, known)
	}
	return err
}

// kindOf is what a JSON text is, in words.
func kindOf(text []byte) string {
	switch text = bytes.TrimSpace(text); {
	case len(text) == 0 || string(text) == "null":
		return "nothing"
	case text[0] == '{':
		return "an object"
	case text[0] == '[':
		return "a list"
	case text[0] == '"':
		return "a string"
	}
	return "a value"
}
