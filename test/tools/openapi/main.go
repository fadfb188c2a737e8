// Command openapi makes the description of the status API, internal/api/report/openapi.json, of the
// paths that package status answers and of the types of package report; with -check it says whether
// the file is stale.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/plugin/federation/status"
)

const (
	source = "internal/api/report"
	target = "internal/api/report/openapi.json"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if the file is stale")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	is, err := describe(root)
	if err != nil {
		return err
	}
	was, err := os.ReadFile(filepath.Join(root, target))
	if err != nil {
		return err
	}
	if bytes.Equal(is, was) {
		return nil
	}
	if check {
		return fmt.Errorf("%s isn't what is answered any more: make openapi, and commit it", target)
	}
	return os.WriteFile(filepath.Join(root, target), is, 0o644)
}

// An object is one of JSON, whose keys are sorted when it is written.
type object = map[string]any

// describe makes the description.
func describe(root string) ([]byte, error) {
	said, err := comments(filepath.Join(root, source))
	if err != nil {
		return nil, err
	}
	d := &describer{said: said, schemas: object{}}
	fault := d.schema(reflect.TypeFor[report.Error]())
	paths := object{}
	for _, r := range status.Routes {
		var params []object
		for _, p := range r.Params {
			schema := object{"type": "string"}
			if p.Many {
				schema = object{"type": "array", "items": schema}
			}
			params = append(params, object{"name": p.Name, "in": "query", "description": p.What, "schema": schema})
		}
		content := object{"application/json": object{"schema": d.schema(reflect.TypeOf(r.Result))}}
		if r.Path == status.Stream {
			d.schema(reflect.TypeFor[report.Moment]())
			d.schema(reflect.TypeFor[report.Missed]())
			content = object{"text/event-stream": object{"schema": object{"type": "string"}}}
			d.schema(reflect.TypeOf(r.Result))
		}
		get := object{"summary": r.What, "operationId": filepath.Base(r.Path), "responses": object{
			"200":     object{"description": "what was asked for", "content": content},
			"default": object{"description": "what is wrong", "content": object{"application/json": object{"schema": fault}}},
		}}
		if params != nil {
			get["parameters"] = params
		}
		paths[r.Path] = object{"get": get}
	}
	out, err := json.MarshalIndent(object{
		"openapi":    "3.1.0",
		"info":       object{"title": "The status of fedns", "version": "1", "description": "Read only. Spans and ages are numbers of seconds, moments Unix seconds. Fields and parameters are added; a client bears those that it doesn't know."},
		"paths":      paths,
		"components": object{"schemas": d.schemas},
	}, "", "  ")
	return append(out, '\n'), err
}

// A describer makes schemas of types.
type describer struct {
	said    map[string]string // by type, and by type and field
	schemas object
}

func (d *describer) schema(t reflect.Type) object {
	if t == reflect.TypeFor[time.Time]() {
		return object{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		s := d.schema(t.Elem())
		if kind, ok := s["type"].(string); ok {
			return object{"type": []string{kind, "null"}}
		}
		return object{"oneOf": []object{s, {"type": "null"}}}
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Struct:
		ref := object{"$ref": "#/components/schemas/" + t.Name()}
		if _, known := d.schemas[t.Name()]; known {
			return ref
		}
		s := object{"type": "object"}
		d.schemas[t.Name()] = s
		if text := d.said[t.Name()]; text != "" {
			s["description"] = text
		}
		properties, required := object{}, []string{}
		d.fields(t, properties, &required)
		s["properties"] = properties
		if len(required) > 0 {
			s["required"] = required
		}
		return ref
	}
	return object{"type": "integer"}
}

// fields adds those of a type, and of what is embedded in it.
func (d *describer) fields(t reflect.Type, properties object, required *[]string) {
	for f := range t.Fields() {
		key, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && key == "" {
			d.fields(f.Type, properties, required)
			continue
		}
		s := d.schema(f.Type)
		if text := d.said[t.Name()+"."+f.Name]; text != "" {
			s["description"] = text
		}
		properties[key] = s
		if !strings.Contains(rest, "omitempty") {
			*required = append(*required, key)
		}
	}
}

// comments are those of the types of a package and of their fields.
func comments(dir string) (map[string]string, error) {
	out := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				t, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				out[t.Name.Name] = text(g.Doc)
				s, ok := t.Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, field := range s.Fields.List {
					for _, n := range field.Names {
						out[t.Name.Name+"."+n.Name] = strings.TrimSpace(text(field.Doc) + " " + text(field.Comment))
					}
				}
			}
		}
	}
	return out, nil
}

func text(c *ast.CommentGroup) string {
	return strings.Join(strings.Fields(c.Text()), " ")
}
