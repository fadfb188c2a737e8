package ctl

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/membership"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

// What is propagated is what the federation keeps, as far as the cluster serves it; --kind
// wins, with a word, and has to be served.
func TestPropagated(t *testing.T) {
	h := newHome(t)
	h.put("/api/v1", `{"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "limitranges", "kind": "LimitRange", "namespaced": true}]}`)
	limits, gadget := v1alpha1.Kind{Version: "v1", Name: "LimitRange"}, v1alpha1.Kind{Group: "example.com", Version: "v1", Name: "Gadget"}
	whose := v1alpha1.Settings{Federation: "fed", Kinds: []v1alpha1.Kind{limits}, Fedsync: &v1alpha1.FedsyncSettings{Kinds: []v1alpha1.Kind{gadget}}}
	cut, err := kubeconfig.Find(h.kubeconfig(), func(string) string { return "" }).Choose(kubeconfig.Choice{Context: "fed"})
	if err != nil {
		t.Fatal(err)
	}
	api, err := kube.Open(kube.Config{Content: cut.Content, Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	for _, tt := range []struct {
		name               string
		flags              []v1alpha1.Kind
		want, lacks, hints string
	}{
		{"none are said", nil, "v1/LimitRange", "example.com/v1/Gadget", ""},
		{"all are said", []v1alpha1.Kind{gadget, limits}, "example.com/v1/Gadget,v1/LimitRange", "", ""},
		{"fewer are said", []v1alpha1.Kind{gadget}, "example.com/v1/Gadget", "", "federation fed keeps v1/LimitRange, too, which --kind doesn't name"},
	} {
		var stderr bytes.Buffer
		c := &join{reaching: reaching{call: &call{Env: Env{Stderr: &stderr, Getenv: func(string) string { return "" }}}}}
		r := membership.Request{Kinds: tt.flags}
		lacks, err := c.kindsOf(t.Context(), &membership.Member{API: api}, whose, &r)
		if got := v1alpha1.FormatKinds(r.Kinds); err != nil || got != tt.want || v1alpha1.FormatKinds(lacks) != tt.lacks {
			t.Errorf("%s: %s, lacking %v, %v", tt.name, got, lacks, err)
		}
		if !strings.Contains(stderr.String(), tt.hints) || tt.hints == "" && stderr.Len() > 0 {
			t.Errorf("%s: it says %q", tt.name, stderr.String())
		}
	}
}
