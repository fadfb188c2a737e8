package v1alpha1

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What fedctl and fedsync write into one ConfigMap is read again as it was said.
func TestSettings(t *testing.T) {
	gadget, limits := Kind{Group: "example.com", Version: "v1", Name: "Gadget"}, Kind{Version: "v1", Name: "LimitRange"}
	read := func(data map[string]any) (Settings, error) {
		return SettingsOf(&unstructured.Unstructured{Object: map[string]any{"data": data}})
	}
	for _, s := range []Settings{
		{},
		{Federation: "prod", Domain: "example.com"},
		{Federation: "prod", Hosted: true, Kinds: []Kind{gadget, limits}},
		{Federation: "prod", Kinds: []Kind{limits}, Fedsync: &FedsyncSettings{Version: "v1", Kinds: []Kind{gadget}, MaxDeletes: 7, LostAfter: 90 * time.Second, Confined: true, SecretsByName: true}},
		{Fedsync: &FedsyncSettings{}},
	} {
		data := s.Data()
		if s.Fedsync != nil {
			maps.Copy(data, s.Fedsync.Data())
		}
		if got, err := read(data); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%v is read as %+v, %v, want %+v", data, got, err, s)
		}
	}
	for key, text := range map[string]string{"kinds": "Gadget", "fedsync.kinds": "v1/", "fedsync.max-deletes": "-1", "fedsync.lost-after": "5"} {
		data := FedsyncSettings{}.Data()
		data[key] = text
		if _, err := read(data); err == nil || !strings.Contains(err.Error(), "ConfigMap federation-system/federation: "+key+": ") {
			t.Errorf("%s %q: %v", key, text, err)
		}
	}
	if got, err := read(map[string]any{"kinds": " v1/LimitRange,, example.com/v1/Gadget,"}); err != nil || FormatKinds(got.Kinds) != "example.com/v1/Gadget,v1/LimitRange" {
		t.Errorf("by hand: %v, %v", got.Kinds, err)
	}
	if all := (Settings{Kinds: []Kind{gadget}, Fedsync: &FedsyncSettings{Kinds: []Kind{limits, gadget}}}).AllKinds(); !reflect.DeepEqual(all, []Kind{gadget, limits}) {
		t.Errorf("all are %v", all)
	}
}
