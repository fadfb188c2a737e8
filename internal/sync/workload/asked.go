package workload

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// What an API server fills in by itself is nobody's wish: addresses and families of its
// own networks, a volume it has bound, the defaults of its version. Objects say in their
// managed fields who has said what; what no client has said stays at home.
//
// Who creates an object with all it has (an operation Update, such as of kubectl create)
// is noted for the defaults, too, and they are taken for said. kubectl apply writes down
// beside that what it was given.

// machinery are the managers that do what an API server would: what they alone say, each
// cluster's own will say. fedsync's own marks are no wish either.
var machinery = []string{"kube-controller-manager", "kube-scheduler", "cloud-controller-manager", "kubelet", "kube-apiserver", "fedsync"}

// lastApplied is where kubectl apply, and others after it, write what they were given.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// A fieldSet is the fields of one manager, as managed fields have them (FieldsV1): "f:name" is a
// field, `k:{"name":"web"}` and `v:"x"` are elements of a list, "." is the thing itself;
// with nothing in it, it is all of it.
type fieldSet = map[string]any

// asked is what somebody has said of an object; known is that its managed fields tell
// that. If they don't, since there are none, or some are of another version of the kind
// with fields of other names, all is taken for said.
func asked(k Key, o Object) (out Object, known bool) {
	var sets []fieldSet
	for _, e := range mapsOf(at(o, "metadata", "managedFields")) {
		fields := object(e, "fieldsV1")
		if e["subresource"] == "status" || len(fields) == 0 || slices.Contains(machinery, text(e, "manager")) {
			continue
		}
		if text(e, "apiVersion") != k.APIVersion() {
			return o, false
		}
		sets = append(sets, given(o, fields))
		if under, ok := fields["f:stringData"]; ok && k.Secret {
			sets = append(sets, fieldSet{"f:data": under}) // which is where an API server puts it
		}
	}
	if len(sets) == 0 {
		return o, false
	}
	out = keep(o, sets).(Object)
	metadata := maps.Clone(object(o, "metadata"))
	for _, f := range []string{"labels", "annotations"} {
		if delete(metadata, f); at(out, "metadata", f) != nil {
			metadata[f] = at(out, "metadata", f)
		}
	}
	out["metadata"] = metadata
	return out, true
}

// given narrows the fields of a manager that writes down what it was given to that: what
// an API server made of it is noted as the manager's, too.
func given(o Object, fields fieldSet) fieldSet {
	if at(fields, "f:metadata", "f:annotations", "f:"+lastApplied) == nil {
		return fields
	}
	var sent Object
	if err := json.Unmarshal([]byte(text(o, "metadata", "annotations", lastApplied)), &sent); err != nil {
		return fields // somebody else's scribble
	}
	out := common(fields, sent)
	if data, ok := fields["f:data"]; ok && sent["stringData"] != nil {
		out["f:data"] = data
	}
	return out
}

// common are the fields of a set that an object has.
func common(fields fieldSet, sent any) fieldSet {
	out := fieldSet{}
	for name, under := range fields {
		child, _ := under.(fieldSet)
		var there any
		found := false
		switch in := sent.(type) {
		case map[string]any:
			there, found = in[strings.TrimPrefix(name, "f:")]
		case []any:
			for _, e := range in {
				if !found && isElement(name, e, false) {
					there, found = e, true
				}
			}
		}
		switch {
		case name == ".":
			out[name] = under
		case !found:
		case len(child) == 0:
			out[name] = under
		default:
			out[name] = common(child, there)
		}
	}
	return out
}

// keep is the part of a value that is in any of the sets; none of them is empty.
func keep(v any, sets []fieldSet) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, e := range v {
			if under, whole := below(sets, func(f string) bool { return f == "f:"+name }); whole {
				out[name] = e
			} else if len(under) > 0 {
				out[name] = keep(e, under)
			}
		}
		return out
	case []any:
		if under, whole := below(sets, func(f string) bool { return strings.HasPrefix(f, "i:") }); whole || len(under) > 0 {
			return v // places in a list say nothing once it has changed
		}
		out := []any{}
		for _, e := range v {
			under, whole := below(sets, func(f string) bool { return isElement(f, e, true) })
			if whole {
				out = append(out, e)
				continue
			}
			if len(under) == 0 {
				continue
			}
			kept := keep(e, under)
			if m, ok := kept.(map[string]any); ok {
				for _, s := range sets { // by what it is told apart, it has to be told
					for f := range s {
						for name := range keyOf(f) {
							if isElement(f, e, true) {
								m[name] = e.(map[string]any)[name]
							}
						}
					}
				}
			}
			out = append(out, kept)
		}
		return out
	}
	return v
}

// below are the sets under the fields that are meant; whole is that one of them is all of
// it.
func below(sets []fieldSet, meant func(string) bool) (under []fieldSet, whole bool) {
	for _, s := range sets {
		for f, e := range s {
			if !meant(f) {
				continue
			}
			child, _ := e.(fieldSet)
			if len(child) == 0 {
				return nil, true
			}
			under = append(under, child)
		}
	}
	return under, false
}

// isElement says whether a name of a set means an element of a list. Unless it is strict,
// the element needn't have all that tells it apart: the rest is a default.
func isElement(field string, e any, strict bool) bool {
	if v, ok := strings.CutPrefix(field, "v:"); ok {
		return v == jsonOf(e)
	}
	key := keyOf(field)
	m, ok := e.(map[string]any)
	if !ok || len(key) == 0 {
		return false
	}
	for name, v := range key {
		have, there := m[name]
		if there && jsonOf(have) != jsonOf(v) || !there && strict {
			return false
		}
	}
	return true
}

// keyOf are the fields by which a name of a set tells an element of a list apart.
func keyOf(field string) (key map[string]any) {
	text, ok := strings.CutPrefix(field, "k:")
	if !ok || json.Unmarshal([]byte(text), &key) != nil {
		return nil
	}
	return key
}
