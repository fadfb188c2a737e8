package controller

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/workload"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// An api is a pretend API that has a few objects and takes no others. Of a hung one
// nothing is heard.
type api struct {
	objects map[string][]map[string]any // by resource
	hung    bool
	denies  string                 // a resource that may not be listed
	asked   chan string            // of paths, if somebody listens
	version atomic.Int64           // of the store
	system  atomic.Pointer[string] // the UID of kube-system; nil: there is none
	lists   atomic.Int64           // of Services
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if r.URL.Query().Get("dryRun") == "All" {
		method = "dry " + method
	}
	select {
	case a.asked <- method + " " + r.URL.Path:
	default:
	}
	if a.hung {
		_, _ = io.Copy(io.Discard, r.Body) // else a server doesn't notice who hangs up
		<-r.Context().Done()
		return
	}
	answer := func(code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v) // who doesn't listen any more needn't hear
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	last := parts[len(parts)-1]
	switch q := r.URL.Query(); {
	case r.URL.Path == "/readyz":
		fmt.Fprint(w, "ok")
	case r.URL.Path == "/version":
		answer(200, map[string]any{"gitVersion": "v1.36.0"})
	case r.Method != http.MethodGet:
		answer(403, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "read only"})
	case parts[0] == "api" && len(parts) == 2 || parts[0] == "apis" && len(parts) == 3:
		var all []map[string]any
		for _, s := range workload.Kinds() {
			all = append(all, map[string]any{"name": s.Resource, "kind": s.Kind.Name, "namespaced": s.Namespaced})
		}
		answer(200, map[string]any{"kind": "APIResourceList", "groupVersion": strings.Join(parts[1:], "/"), "resources": all})
	case q.Get("sendInitialEvents") != "":
		answer(422, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422})
	case q.Get("watch") != "":
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case last == "kube-system" && a.system.Load() != nil:
		answer(200, map[string]any{"kind": "Namespace", "apiVersion": "v1", "metadata": map[string]any{"name": last, "uid": *a.system.Load(), "resourceVersion": "1"}})
	case len(parts) > 1 && (parts[len(parts)-2] == "namespaces" || parts[len(parts)-2] == "configmaps"):
		answer(404, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
	case a.denies != "" && last == a.denies:
		answer(403, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "jobs are forbidden"})
	default:
		if last == "services" {
			a.lists.Add(1)
		}
		items := a.objects[last]
		if items == nil {
			items = []map[string]any{}
		}
		group := parts[1 : len(parts)-1]
		if i := slices.Index(group, "namespaces"); i >= 0 {
			group = group[:i]
		}
		answer(200, map[string]any{"kind": kindOf(last) + "List", "apiVersion": strings.Join(group, "/"), "metadata": map[string]any{"resourceVersion": fmt.Sprint(1 + a.version.Load())}, "items": items})
	}
}

// kindOf is the kind of a resource.
func kindOf(resource string) string {
	for _, k := range []v1alpha1.Kind{v1alpha1.Clusters, builtin.Nodes, builtin.Pods, builtin.Events, builtin.RoleBindings} {
		if k.Resource == resource {
			return k.Name
		}
	}
	for _, s := range workload.Kinds() {
		if s.Resource == resource {
			return s.Kind.Name
		}
	}
	return ""
}

// kubeconfig is one that leads to a server.
func kubeconfig(server string) string {
	return fmt.Sprintf(`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c"}}],"clusters":[{"name":"c","cluster":{"server":%q}}]}`, server)
}

// federation is a federation's API with these clusters, and the path of a
// kubeconfig for it.
func federation(t *testing.T, clusters map[string]string) (*api, string) {
	t.Helper()
	a := &api{objects: map[string][]map[string]any{}, asked: make(chan string, 1000)}
	for name, server := range clusters {
		a.objects["secrets"] = append(a.objects["secrets"], map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"namespace": v1alpha1.System, "name": name + v1alpha1.WriterSuffix, "resourceVersion": "1"},
			"data": map[string]any{v1alpha1.KubeconfigKey: base64.StdEncoding.EncodeToString([]byte(kubeconfig(server)))},
		})
		a.objects["clusters"] = append(a.objects["clusters"], map[string]any{
			"apiVersion": "fedns.io/v1alpha1", "kind": "Cluster", "metadata": map[string]any{"name": name, "resourceVersion": "1"},
			"spec": map[string]any{"secretRef": map[string]any{"name": name}},
		})
	}
	s := httptest.NewServer(a)
	t.Cleanup(s.CloseClientConnections)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(kubeconfig(s.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return a, path
}

func serveAPI(t *testing.T, a *api) string {
	t.Helper()
	s := httptest.NewServer(a)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// TestEnds is that a loop ends at once, whatever hangs, and leaves nothing behind.
func TestEnds(t *testing.T) {
	member, hung := &api{asked: make(chan string, 1000)}, &api{hung: true, asked: make(chan string, 1000)}
	_, path := federation(t, map[string]string{"paris": serveAPI(t, member), "tokyo": serveAPI(t, hung)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- Run(ctx, Config{Kubeconfig: path, Federation: "prod", MaxDeletes: 1, QPS: 100, Burst: 100, LostAfter: time.Hour, Log: slog.New(slog.DiscardHandler)})
	}()
	for _, c := range []*api{member, hung} {
		<-c.asked // it is in the middle of it
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second): // before any request is given up
		t.Fatal("it hasn't ended")
	}
}

// TestPlanAsks is that a plan says which clusters it couldn't ask, and writes
// nothing.
func TestPlanAsks(t *testing.T) {
	member, hung := &api{asked: make(chan string, 1000)}, &api{hung: true}
	fed, path := federation(t, map[string]string{"paris": serveAPI(t, member), "tokyo": serveAPI(t, hung)})
	fed.denies, member.denies = "jobs", "secrets" // which hold up only themselves
	fed.objects["secrets"] = append(fed.objects["secrets"], map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s", "namespace": "shop", "uid": "v", "resourceVersion": "1", "annotations": map[string]any{"fedns.io/cluster-selector": "[]"}}})
	fed.objects["namespaces"] = []map[string]any{{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop", "uid": "u", "resourceVersion": "1"}}}
	var b strings.Builder
	plan := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		p, err := Plan(ctx, Config{Kubeconfig: path, Federation: "prod", MaxDeletes: 1, QPS: 100, Burst: 100, LostAfter: time.Hour, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		b.Reset()
		return p.Print(&b)
	}
	// It takes all of the time that it has, since one hangs; a busy machine needs more for the others.
	limit := time.Second
	for err := plan(limit); err != nil || strings.Contains(b.String(), "  cluster paris: "); err = plan(limit) {
		if limit *= 2; limit > time.Minute {
			t.Fatalf("%v\n%s", err, b.String())
		}
	}
	for _, want := range []string{"cluster paris\n  create Namespace shop: it isn't there\n      refused: read only\n", "couldn't be asked; what there is to do there isn't shown:\n  cluster tokyo: ", "Secret shop/s: Refused: cluster paris: jobs are forbidden"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it doesn't say %q:\n%s", want, b.String())
		}
	}
	for _, a := range []*api{fed, member} {
		for len(a.asked) > 0 {
			if q := <-a.asked; !strings.HasPrefix(q, "GET ") && !strings.HasPrefix(q, "dry ") && !strings.HasSuffix(q, "/selfsubjectaccessreviews") {
				t.Errorf("it was asked to %s", q)
			}
		}
	}
}

// TestPlanGrants is that a plan leaves it to a run to make a right anew that somebody has taken from fedsync,
// and says so.
func TestPlanGrants(t *testing.T) {
	member := &api{asked: make(chan string, 1000), objects: map[string][]map[string]any{
		"rolebindings": {{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"name": v1alpha1.WriterAccount("prod"), "namespace": "shop", "uid": "b", "resourceVersion": "1"}}},
	}}
	shop := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop", "uid": "u", "resourceVersion": "1"}}
	confined := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := func(code int, v any) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(v)
		}
		path := r.URL.Path
		switch {
		case strings.HasSuffix(path, "/selfsubjectaccessreviews"):
			var review authorizationv1.SelfSubjectAccessReview
			if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
				t.Error(err)
			}
			review.SetGroupVersionKind(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"))
			a := review.Spec.ResourceAttributes
			review.Status.Allowed = a.Verb == "list" && (a.Namespace == "shop" || a.Resource == "namespaces")
			answer(http.StatusCreated, &review)
		case strings.HasSuffix(path, "/namespaces/shop"):
			answer(http.StatusOK, shop)
		case strings.HasSuffix(path, "/rolebindings/"+v1alpha1.WriterAccount("prod")):
			answer(http.StatusNotFound, &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
		case strings.Contains(path, "/namespaces/shop/") && r.Method == http.MethodGet:
			answer(http.StatusForbidden, &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden, Message: "taken away"})
		default:
			member.ServeHTTP(w, r)
			return
		}
		select {
		case member.asked <- r.Method + " " + path:
		default:
		}
	}))
	t.Cleanup(func() { confined.CloseClientConnections(); confined.Close() })
	fed, path := federation(t, map[string]string{"paris": confined.URL})
	fed.objects["namespaces"] = []map[string]any{shop}
	fed.objects["configmaps"] = []map[string]any{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c", "namespace": "shop", "uid": "v", "resourceVersion": "1"}}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := Plan(ctx, Config{Kubeconfig: path, Federation: "prod", MaxDeletes: 1, QPS: 100, Burst: 100, LostAfter: time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := p.Print(&b); err != nil {
		t.Fatal(err)
	}
	if want := "create ConfigMap shop/c: it isn't there\n"; !strings.Contains(b.String(), want) || !strings.Contains(b.String(), "a run gives it to itself") {
		t.Errorf("it doesn't say %q, and why it wasn't tried:\n%s", want, b.String())
	}
	for len(member.asked) > 0 {
		if q := <-member.asked; !strings.HasPrefix(q, "GET ") && !strings.HasPrefix(q, "dry ") && !strings.HasSuffix(q, "/selfsubjectaccessreviews") {
			t.Errorf("the cluster was asked to %s", q)
		}
	}
}

// A text is a log that can be read while it is written.
type text struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// TestRestored is that a store which was restored from an older copy is noticed, or that it
// is another's, though nothing is ever silent: of the federation's API, and of a member's.
func TestRestored(t *testing.T) {
	was := compared
	compared = 50 * time.Millisecond
	t.Cleanup(func() { compared = was })
	member := &api{asked: make(chan string, 1000)}
	fed, path := federation(t, map[string]string{"paris": serveAPI(t, member)})
	mine := "mine"
	for _, a := range []*api{fed, member} {
		a.version.Store(100)
	}
	fed.system.Store(&mine)
	log := &text{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- Run(ctx, Config{Kubeconfig: path, Federation: "prod", MaxDeletes: 1, QPS: 100, Burst: 100, LostAfter: time.Hour, Log: slog.New(slog.NewTextHandler(log, nil))})
	}()
	t.Cleanup(func() { cancel(); <-done })
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not within a minute: %s\n%s", what, log)
			}
		}
	}
	for _, tt := range []struct {
		at     *api
		change func()
		want   string
	}{
		{member, func() { member.version.Store(50) }, "cluster paris: has lost what it held, or was restored from an older copy (its revision is 51, and was 101)"},
		{fed, func() { fed.version.Store(50) }, "the federation's API has lost what it held, or was restored from an older copy (its revision is 51, and was 101)"},
		{fed, func() { other := "other"; fed.system.Store(&other) }, "the federation's API has lost what it held, or was restored from an older copy (its kube-system is other, and was mine)"},
	} {
		until("both are listed", func() bool {
			return fed.lists.Load() > 0 && member.lists.Load() > 0 && strings.Count(log.String(), "in reach") > strings.Count(log.String(), "federation's API has lost")
		})
		listed := tt.at.lists.Load()
		tt.change()
		until(tt.want, func() bool { return strings.Contains(log.String(), tt.want) })
		until("it is listed anew", func() bool { return tt.at.lists.Load() > listed })
	}
	for _, a := range []*api{fed, member} {
		for len(a.asked) > 0 {
			if q := <-a.asked; strings.HasPrefix(q, "DELETE ") {
				t.Errorf("it was asked to %s", q)
			}
		}
	}
}
