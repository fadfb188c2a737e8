package ctl

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// A home is the API of a federation, with as much of it as fedctl needs: objects by
// path, and patches by RFC 7386. It complains of what it doesn't know.
type home struct {
	*desk
	mu      sync.Mutex // guards the rest
	objects map[string]map[string]any
	version int
	before  func(h *home, r *http.Request) // each patch
	after   func(h *home, r *http.Request)
}

const (
	eu      = "/apis/fedns.io/v1alpha1/clusters/eu"
	waiting = "/api/v1/namespaces/federation-system/configmaps/fedsync-waiting"
)

func newHome(t *testing.T) *home {
	h := &home{desk: newDesk(t), objects: map[string]map[string]any{}}
	h.put("/apis/fedns.io/v1alpha1", `{"kind": "APIResourceList", "groupVersion": "fedns.io/v1alpha1", "resources": [{"name": "clusters", "kind": "Cluster"}]}`)
	h.put("/api/v1/namespaces/federation-system/configmaps/federation", `{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "federation"}, "data": {"name": "fed"}}`)
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	config := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "other", "clusters": [{"name": "c", "cluster": {"server": %q}}], "contexts": [{"name": "fed", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {"token": "x"}}]}`, s.URL)
	if err := os.WriteFile(h.kubeconfig(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *home) kubeconfig() string { return filepath.Join(h.dir, "kubeconfig") }

// put sets an object; the test holds mu, or nobody asks yet.
func (h *home) put(path, text string) {
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	h.set(path, o)
}

func (h *home) set(path string, o map[string]any) {
	h.version++
	if m, ok := o["metadata"].(map[string]any); ok {
		m["resourceVersion"] = fmt.Sprint(h.version)
	}
	h.objects[path] = o
}

func (h *home) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	refuse := func(code int, reason string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": %d, "reason": %q, "message": %q}`, code, reason, reason)
	}
	if r.Method == http.MethodPatch && h.before != nil {
		h.before(h, r)
	}
	o := h.objects[r.URL.Path]
	switch {
	case o == nil:
		refuse(404, "NotFound")
		return
	case r.Method == http.MethodPatch:
		var patch map[string]any
		if err := json.NewDecoder(r.Body).Decode(&patch); err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" {
			h.t.Errorf("%s: %v", r.URL, err)
		}
		meta := patch["metadata"].(map[string]any)
		if v := meta["resourceVersion"]; v != o["metadata"].(map[string]any)["resourceVersion"] {
			refuse(409, "Conflict")
			return
		}
		h.set(r.URL.Path, merge(o, patch).(map[string]any))
		o = h.objects[r.URL.Path]
		if h.after != nil {
			defer h.after(h, r)
		}
	case r.Method != http.MethodGet:
		h.t.Errorf("%s %s", r.Method, r.URL)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(o)
}

// merge is RFC 7386's MergePatch.
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	out := map[string]any{}
	for k, v := range t {
		out[k] = v
	}
	for k, v := range p {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = merge(out[k], v)
		}
	}
	return out
}

func (h *home) fed(args ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	return h.run(append([]string{"--kubeconfig", h.kubeconfig(), "--context", "fed"}, args...)...)
}

func (h *home) list(digest string, lines ...string) {
	o := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "fedsync-waiting", "namespace": v1alpha1.System, "annotations": map[string]any{v1alpha1.DigestOf: digest}}}
	if len(lines) > 0 {
		o["data"] = map[string]any{"eu": strings.Join(lines, "\n") + "\n"}
	}
	h.set(waiting, o)
}

func TestConfirm(t *testing.T) {
	const one, two = "ConfigMap shop/a: it goes", "ConfigMap shop/b: it goes"
	h := newHome(t)
	if out, _, code := h.fed("confirm", "--yes"); code != 0 || out != "no deletion waits\n" {
		t.Errorf("none: exit %d, %s", code, out)
	}
	h.list("d1", one, two)
	out, stderr, code := h.fed("confirm")
	if want := "cluster eu: 2 deletions\n  " + one + "\n  " + two + "\n"; out != want || code != 0 || !strings.Contains(stderr, "--yes confirms exactly these") {
		t.Errorf("shown: exit %d, %s%s", code, out, stderr)
	}
	if annotation(h.objects[waiting], v1alpha1.Confirmed) != "" {
		t.Error("shown, and confirmed")
	}
	// fedsync takes it, and others have come to wait meanwhile.
	h.after = func(h *home, _ *http.Request) {
		if annotation(h.objects[waiting], v1alpha1.Confirmed) != "d1" {
			h.t.Errorf("confirmed as %v", h.objects[waiting]["metadata"])
		}
		h.list("d2", "ConfigMap shop/c: it goes")
	}
	if out, stderr, code := h.fed("confirm", "--yes"); code != 0 || !strings.HasSuffix(out, "2 deletions confirmed\n") {
		t.Errorf("taken: exit %d, %s%s", code, out, stderr)
	}
	// The list changes after it was shown, or just as it is confirmed.
	h.list("d3", one)
	h.after, h.before = nil, func(h *home, _ *http.Request) { h.list("d4", one, two) }
	if _, stderr, code := h.fed("confirm", "--yes"); code != 1 || !strings.Contains(stderr, "error: the list has changed meanwhile; nothing is confirmed\nfedctl: hint: look again") {
		t.Errorf("changed before: exit %d, %s", code, stderr)
	}
	h.list("d5", one)
	h.before, h.after = nil, func(h *home, _ *http.Request) { h.list("d6", one, two) }
	if _, stderr, code := h.fed("confirm", "--yes"); code != 1 || !strings.Contains(stderr, "nothing is confirmed") {
		t.Errorf("changed after: exit %d, %s", code, stderr)
	}
	h.list("d7", one)
	h.after = nil
	if _, stderr, code := h.fed("confirm", "--yes", "--timeout", "300ms"); code != 1 || !strings.Contains(stderr, "1 deletion confirmed; fedsync hasn't taken them yet") || !strings.Contains(stderr, "hint: does fedsync run?") {
		t.Errorf("nobody takes it: exit %d, %s", code, stderr)
	}
}

func annotation(o map[string]any, name string) string {
	m, _ := o["metadata"].(map[string]any)
	a, _ := m["annotations"].(map[string]any)
	s, _ := a[name].(string)
	return s
}
