package journal

import (
	"encoding"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/shard"
)

// What is in state files is read by the next version, and by the one before: a key
// that is called otherwise loses what it stands for. Those that there are stand in
// testdata/keys.txt; new ones may be added there.
func TestKeys(t *testing.T) {
	written, err := os.ReadFile("testdata/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(keys(reflect.TypeFor[line](), "", map[reflect.Type]bool{}), "\n") + "\n"
	if got != string(written) {
		t.Errorf("state files have other keys than testdata/keys.txt says:\n%s", got)
	}
}

// keys are the keys of the objects in what a type is written as, each below those that it is in,
// and those of a type where it is first.
func keys(t reflect.Type, below string, seen map[reflect.Type]bool) (out []string) {
	for {
		if kind := t.Kind(); kind == reflect.Pointer || kind == reflect.Slice || kind == reflect.Array || kind == reflect.Map {
			t = t.Elem()
		} else if items, is := field(t, "items"); is && t.Implements(reflect.TypeFor[json.Marshaler]()) {
			t = items // a list that may be empty and yet there
		} else {
			break
		}
	}
	if t.Kind() != reflect.Struct || t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || seen[t] {
		return nil
	}
	seen[t] = true
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && key == "", f.Type == reflect.TypeFor[*shard.Extras](), f.Type == reflect.TypeFor[*shard.Routing](): // a Service writes these beside its own
			out = append(out, keys(f.Type, below, seen)...)
			continue
		case !f.IsExported() || key == "-":
			continue
		case key == "":
			key = f.Name
		}
		out = append(append(out, below+key), keys(f.Type, below+key+".", seen)...)
	}
	return out
}

func field(t reflect.Type, name string) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	f, is := t.FieldByName(name)
	return f.Type, is
}
