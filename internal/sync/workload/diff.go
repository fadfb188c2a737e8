package workload

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Change is a field that differs.
type Change struct {
	Path     string // spec.template.spec.containers[nginx].image
	Was, Now string // as JSON; "": it isn't there
}

// project is the part of have that want speaks of. A list whose elements have
// names is compared by them, since others may have added some of their own.
func project(want, have any) any {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return have
		}
		out := make(map[string]any, len(w))
		for k, v := range w {
			if x, there := h[k]; there {
				out[k] = project(v, x)
			}
		}
		return out
	case []any:
		h, ok := have.([]any)
		if !ok {
			return have
		}
		names := named(w)
		if names == nil || named(h) == nil {
			if len(h) != len(w) {
				return h
			}
			out := make([]any, len(w))
			for i := range w {
				out[i] = project(w[i], h[i])
			}
			return out
		}
		var out []any
		for i, n := range names {
			for _, x := range mapsOf(have) {
				if nameOf(x) == n {
					out = append(out, project(w[i], x))
				}
			}
		}
		return out
	}
	return have
}

// identifying are the fields by which elements of lists are told apart.
var identifying = []string{"name", "mountPath", "containerPort", "port", "ip", "topologyKey"}

func nameOf(m map[string]any) string {
	for _, f := range identifying {
		if v, ok := m[f]; ok {
			return fmt.Sprintf("%v/%v", v, m["protocol"])
		}
	}
	return ""
}

// named are the names of a list's elements; nil: they have none, or share one.
func named(list []any) []string {
	var out []string
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return nil
		}
		n := nameOf(m)
		if n == "" || slices.Contains(out, n) {
			return nil
		}
		out = append(out, n)
	}
	return out
}

// Diff lists the fields in which have isn't what want says; of fields that want
// doesn't speak of, it says nothing.
func Diff(want, have Object) []Change {
	var out []Change
	compare("", want, project(want, have), &out)
	return out
}

// Compare lists all fields in which two objects differ.
func Compare(was, now Object) []Change {
	var out []Change
	compare("", now, was, &out)
	return out
}

// Replacement is the JSON merge patch by which an object that is there becomes what want
// says: what want doesn't speak of goes, but for labels, annotations and the status.
func Replacement(want, have Object) Object {
	out := Object{}
	for f, v := range want {
		switch f {
		case "metadata":
			out[f] = map[string]any{"labels": clone(at(want, f, "labels")), "annotations": clone(at(want, f, "annotations"))}
		case "apiVersion", "kind", "status":
		default:
			out[f] = replacement(v, have[f])
		}
	}
	return out
}

func replacement(want, have any) any {
	w, ok := want.(map[string]any)
	h, there := have.(map[string]any)
	if !ok || !there {
		return clone(want)
	}
	out := map[string]any{}
	for k := range h {
		if _, ok := w[k]; !ok {
			out[k] = nil
		}
	}
	for k, v := range w {
		out[k] = replacement(v, h[k])
	}
	return out
}

func compare(path string, want, have any, out *[]Change) {
	switch w := want.(type) {
	case map[string]any:
		if h, ok := have.(map[string]any); ok {
			for _, k := range keys(w, h) {
				compare(join(path, k), w[k], h[k], out)
			}
			return
		}
	case []any:
		h, ok := have.([]any)
		if !ok {
			break
		}
		names, others := named(w), named(h)
		if names == nil || others == nil {
			if len(w) != len(h) {
				break
			}
			for i := range w {
				compare(fmt.Sprintf("%s[%d]", path, i), w[i], h[i], out)
			}
			return
		}
		for i, n := range names {
			var x any
			if j := slices.Index(others, n); j >= 0 {
				x = h[j]
			}
			compare(path+"["+label(w[i])+"]", w[i], x, out)
		}
		for j, n := range others {
			if !slices.Contains(names, n) {
				compare(path+"["+label(h[j])+"]", nil, h[j], out)
			}
		}
		return
	}
	if a, b := jsonOf(have), jsonOf(want); a != b {
		*out = append(*out, Change{Path: path, Was: a, Now: b})
	}
}

func label(v any) string {
	m, _ := v.(map[string]any)
	for _, f := range identifying {
		if x, ok := m[f]; ok {
			return fmt.Sprint(x)
		}
	}
	return ""
}

func keys(a, b map[string]any) []string {
	out := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(out)
	return slices.Compact(out)
}

func join(path, k string) string {
	if path == "" {
		return k
	}
	if strings.ContainsAny(k, "./") {
		return path + "[" + k + "]"
	}
	return path + "." + k
}

func jsonOf(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("an object that came as JSON isn't JSON: " + err.Error())
	}
	return string(b)
}
