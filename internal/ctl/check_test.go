package ctl

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/fedns/fedns/internal/ctl/check"
	"github.com/fedns/fedns/internal/kube"
)

// What one may do with a resource is one finding, and what one may not is another.
func TestRightsByResource(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct {
				ResourceAttributes struct{ Verb, Resource string }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		a := review.Spec.ResourceAttributes
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{"allowed": a.Resource != "secrets" || a.Verb != "delete"}}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	api, err := kube.Open(kube.Config{Content: []byte(kubeconfigOf(s.URL, nil)), Context: "fed", Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	var asked []kube.Right
	for _, resource := range []string{"secrets", "namespaces"} {
		for _, verb := range []string{"get", "delete", "patch"} {
			asked = append(asked, kube.Right{Verb: verb, Resource: resource})
		}
	}
	asked = append(asked, kube.Right{Verb: "get", Resource: "secrets", Namespace: "x"})
	all, err := rights(t.Context(), "cluster", api, asked)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range all {
		got = append(got, f.Text)
		if missing := f.Text == "you may not delete secrets"; missing != (f.Level == check.Error) || missing != (f.Fix != "") {
			t.Errorf("%+v", f)
		}
	}
	if want := []string{"you may get, patch secrets", "you may not delete secrets", "you may get, delete, patch namespaces", "you may get secrets in x"}; !slices.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
}
