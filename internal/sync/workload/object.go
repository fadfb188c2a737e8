package workload

import "encoding/json"

// An Object is one of any kind, as JSON has it: maps, lists, strings, booleans,
// int64 and float64.
type Object = map[string]any

// at is what stands under a path of fields; nil: nothing.
func at(o Object, path ...string) any {
	var v any = o
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func text(o Object, path ...string) string {
	s, _ := at(o, path...).(string)
	return s
}

func object(o Object, path ...string) map[string]any {
	m, _ := at(o, path...).(map[string]any)
	return m
}

// number is a whole number; ok says whether there is one.
func number(o Object, path ...string) (n int64, ok bool) {
	switch v := at(o, path...).(type) {
	case int64:
		return v, true
	case float64:
		return int64(v), true
	case json.Number:
		i, err := v.Int64()
		return i, err == nil
	}
	return 0, false
}

// mapsOf are the objects of a list.
func mapsOf(v any) []map[string]any {
	list, _ := v.([]any)
	var out []map[string]any
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// texts are the strings of a map: labels, annotations.
func texts(o Object, path ...string) map[string]string {
	m := object(o, path...)
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// inner is what the last of a path of fields is in, made where it isn't there.
func inner(o Object, path []string) Object {
	for _, p := range path[:len(path)-1] {
		m, ok := o[p].(map[string]any)
		if !ok {
			m = map[string]any{}
			o[p] = m
		}
		o = m
	}
	return o
}

// clone is a copy that shares nothing.
func clone(v any) any { return copied(v, true) }

// said is a copy without nulls: an API server writes some for what nobody said.
func said(v any) any { return copied(v, false) }

func copied(v any, nulls bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			if nulls || e != nil {
				out[k] = copied(e, nulls)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = copied(e, nulls)
		}
		return out
	}
	return v
}
