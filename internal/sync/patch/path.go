package patch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// leads says whether there is something at a path.
func leads(o map[string]any, path string) bool {
	_, at := walk(o, path)
	return at == path
}

// walk goes along a path as far as it leads: to what, and how far.
func walk(o map[string]any, path string) (here any, at string) {
	here = o
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		var next any
		found := false
		switch v := here.(type) {
		case map[string]any:
			next, found = v[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
		case []any:
			if i, err := strconv.Atoi(part); err == nil && 0 <= i && i < len(v) {
				next, found = v[i], true
			}
		}
		if !found {
			break
		}
		here, at = next, at+"/"+part
	}
	return here, at
}

// reach says how far a path leads in an object, and what is to be found there.
func reach(o map[string]any, path string) string {
	here, at := walk(o, path)
	if at == "" {
		at = "it"
	}
	switch v := here.(type) {
	case map[string]any:
		if len(v) == 0 {
			return at + " has nothing in it"
		}
		return at + " has " + strings.Join(slices.Sorted(maps.Keys(v)), ", ")
	case []any:
		switch len(v) {
		case 0:
			return at + " is an empty list"
		case 1:
			return at + " is a list of one, which is number 0"
		}
		return fmt.Sprintf("%s is a list of %d, the first of which is number 0", at, len(v))
	}
	return at + " is a value, with nothing below it"
}

// decode reads an object with whole numbers as int64, which the objects of Kubernetes have.
func decode(doc []byte) (out map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	return plain(out).(map[string]any), nil
}

func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String() // more than any field of Kubernetes takes: an API server says so
	}
	return v
}
