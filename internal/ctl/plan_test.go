package ctl

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/controller"
)

// A plan is that of the fedsync which runs; a flag that says otherwise wins, with a word.
func TestPreviewed(t *testing.T) {
	gadget, limits := v1alpha1.Kind{Group: "example.com", Version: "v1", Name: "Gadget"}, v1alpha1.Kind{Version: "v1", Name: "LimitRange"}
	runs := v1alpha1.Settings{Kinds: []v1alpha1.Kind{limits}, Fedsync: &v1alpha1.FedsyncSettings{Kinds: []v1alpha1.Kind{gadget}, MaxDeletes: 7, LostAfter: time.Minute}}
	for _, tt := range []struct {
		name       string
		whose      v1alpha1.Settings
		maxDeletes int // 0: not said
		kinds      []v1alpha1.Kind
		want       controller.Config
		hints      []string
	}{
		{"as it runs", runs, 0, nil, controller.Config{MaxDeletes: 7, LostAfter: time.Minute, Kinds: []v1alpha1.Kind{gadget}}, nil},
		{"the same, said again", runs, 7, []v1alpha1.Kind{gadget}, controller.Config{MaxDeletes: 7, LostAfter: time.Minute, Kinds: []v1alpha1.Kind{gadget}}, nil},
		{"otherwise", runs, 3, []v1alpha1.Kind{limits}, controller.Config{MaxDeletes: 3, LostAfter: time.Minute, Kinds: []v1alpha1.Kind{limits}},
			[]string{"fedsync runs with --max-deletes 7, and not with 3 as is shown here", "fedsync runs with the kinds example.com/v1/Gadget beside its own, and not with v1/LimitRange as is shown here"}},
		{"not known", v1alpha1.Settings{Kinds: []v1alpha1.Kind{limits}}, 0, nil, controller.Config{MaxDeletes: controller.DefaultMaxDeletes, LostAfter: controller.DefaultLostAfter, Kinds: []v1alpha1.Kind{limits}},
			[]string{"what fedsync runs with isn't known"}},
		{"without other kinds", v1alpha1.Settings{Kinds: []v1alpha1.Kind{limits}, Fedsync: &v1alpha1.FedsyncSettings{MaxDeletes: 1}}, 0, nil, controller.Config{MaxDeletes: 1}, nil},
	} {
		var stderr bytes.Buffer
		c := &previewing{steering: steering{reaching: reaching{call: &call{Env: Env{Stderr: &stderr, Getenv: func(string) string { return "" }}, given: map[string]bool{"max-deletes": tt.maxDeletes != 0}}}}, maxDeletes: tt.maxDeletes}
		got := c.previewed(tt.whose, tt.kinds)
		if got.MaxDeletes != tt.want.MaxDeletes || got.LostAfter != tt.want.LostAfter || v1alpha1.FormatKinds(got.Kinds) != v1alpha1.FormatKinds(tt.want.Kinds) || got.Kinds == nil {
			t.Errorf("%s: %+v", tt.name, got)
		}
		if n := strings.Count(stderr.String(), "\n"); n != len(tt.hints) {
			t.Errorf("%s: %d lines: %s", tt.name, n, stderr.String())
		}
		for _, h := range tt.hints {
			if !strings.Contains(stderr.String(), "hint: "+h) {
				t.Errorf("%s: it doesn't say %q: %s", tt.name, h, stderr.String())
			}
		}
	}
}
