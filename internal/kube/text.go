package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// Parse reads objects from YAML, one a document.
func Parse(text string) ([]*Object, error) {
	var out []*Object
	docs := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for {
		o := &Object{}
		if err := docs.Decode(&o.Object); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			out = append(out, o)
		}
	}
}

// Print writes objects so that kubectl can read them: "yaml" or "json".
func Print(objects []*Object, format string) (string, error) {
	if format == "json" {
		list := map[string]any{"apiVersion": "v1", "kind": "List", "items": append([]*Object{}, objects...)}
		text, err := json.MarshalIndent(list, "", "  ")
		return string(text) + "\n", err
	}
	var b bytes.Buffer
	for _, o := range objects {
		text, err := sigsyaml.Marshal(o.Object)
		if err != nil {
			return "", fmt.Errorf("%s %q: %w", o.GetKind(), o.GetName(), err)
		}
		b.WriteString("---\n")
		b.Write(text)
	}
	return b.String(), nil
}
