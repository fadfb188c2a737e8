package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
)

// TestStays is what is said of a Namespace that can't go.
func TestStays(t *testing.T) {
	gadgets := kube.Kind{Group: "example.com", Version: "v1", Name: "Gadget", Resource: "gadgets", Namespaced: true}
	none := map[string]int{}
	for _, tt := range []struct {
		left []contents.Rest
		err  error
		want string
	}{
		{nil, nil, ""},
		{nil, errors.New("no discovery"), "it stays: which kinds it may hold can't be known: no discovery"},
		{[]contents.Rest{{Kind: gadgets, Names: []string{"a"}, Count: 1, Finalizers: map[string]int{"y": 1, "x": 1}}}, nil, "it stays: it holds Gadget a (finalizers x, y)"},
		{[]contents.Rest{{Kind: gadgets, Names: []string{"a", "b", "c"}, Count: 12, Finalizers: none}, {Kind: builtin.Roles, Names: []string{"r"}, Count: 1, Finalizers: none, Err: errors.New("forbidden")}}, nil,
			"it stays: it holds 12 gadgets, such as a, b, c; Role r (forbidden)"},
		{[]contents.Rest{{Kind: builtin.Roles, Err: errors.New("may not list")}}, nil,
			"it stays: whether it is empty can't be known; fedctl init again gives fedsync the rights: roles: may not list"},
		{[]contents.Rest{{Kind: gadgets, Names: []string{"a"}, Count: 1, Finalizers: none}, {Kind: builtin.Roles, Err: errors.New("may not list")}}, nil, "it stays: it holds Gadget a; and it may hold more"},
	} {
		if got := stays(tt.left, tt.err); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestRemaining is that conditions are written when they change, keep their time when they
// don't, and that others' stay.
func TestRemaining(t *testing.T) {
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	line := func(conditions []any) string {
		var out []string
		for _, c := range conditions {
			m := c.(map[string]any)
			out = append(out, fmt.Sprint(m["type"], " ", m["status"], " ", m["lastTransitionTime"]))
		}
		return strings.Join(out, "\n")
	}
	left := []contents.Rest{{Kind: builtin.Roles, Names: []string{"r"}, Count: 2, Finalizers: map[string]int{"x": 2}}}
	first, changed := remaining([]any{map[string]any{"type": "Theirs", "status": "True", "lastTransitionTime": "t"}}, left, nil, noon)
	const want = `Theirs True t
NamespaceDeletionDiscoveryFailure False 2030-01-01T12:00:00Z
NamespaceDeletionContentFailure False 2030-01-01T12:00:00Z
NamespaceContentRemaining True 2030-01-01T12:00:00Z
NamespaceFinalizersRemaining True 2030-01-01T12:00:00Z`
	if got := line(first); got != want || !changed {
		t.Errorf("%v\n%s", changed, got)
	}
	if _, changed := remaining(first, left, nil, noon.Add(time.Hour)); changed {
		t.Error("nothing has changed, and it is written")
	}
	left[0].Count = 1
	next, changed := remaining(first, left, errors.New("down"), noon.Add(time.Hour))
	if got := line(next); !changed || got != strings.Replace(want, "Failure False 2030-01-01T12", "Failure True 2030-01-01T13", 1) {
		t.Errorf("%v\n%s", changed, got)
	}
}
