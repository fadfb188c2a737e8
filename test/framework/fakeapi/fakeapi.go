// Package fakeapi is a Kubernetes API in memory, for unit tests of what writes to one: objects
// of any kind with server-side apply, watches, finalizers, tokens and access reviews. It has no
// controllers, no schemas and no defaults; what depends on those is tested on real API servers
// (test/framework/cluster).
//
// New starts one. What it is asked is in Requests; Fail has requests fail.
package fakeapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"

	"github.com/fedns/fedns/internal/kube"
)

// An API is one that runs.
type API struct {
	*httptest.Server
	t     testing.TB
	kinds map[string]kube.Kind // by group/version/resource

	mu       sync.Mutex // guards the rest
	objects  map[string]*kube.Object
	version  int
	changed  *sync.Cond
	log      []event
	requests []string
	fail     func(method, path string) int
	fields   map[schema.GroupVersionKind]*managedfields.FieldManager
}

// An event is a change, for watches.
type event struct {
	kind    kube.Kind
	how     string // ADDED, MODIFIED or DELETED
	object  *kube.Object
	version int
}

// New starts an API that serves kinds; it ends with the test.
func New(t testing.TB, kinds ...kube.Kind) *API {
	a := &API{t: t, kinds: map[string]kube.Kind{}, objects: map[string]*kube.Object{}, version: 1, fields: map[schema.GroupVersionKind]*managedfields.FieldManager{}}
	a.changed = sync.NewCond(&a.mu)
	for _, k := range kinds {
		a.kinds[k.Group+"/"+k.Version+"/"+k.Resource] = k
	}
	a.Server = httptest.NewServer(a)
	t.Cleanup(func() {
		a.mu.Lock()
		a.changed.Broadcast()
		a.mu.Unlock()
		a.CloseClientConnections()
		a.Close()
	})
	return a
}

// Kubeconfig is one that leads to the API.
func (a *API) Kubeconfig() []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u","user":{"token":"t"}}]}`, a.URL)
}

// Client is a client of the API.
func (a *API) Client() *kube.API {
	a.t.Helper()
	c, err := kube.Open(kube.Config{Content: a.Kubeconfig(), Agent: "test"})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(c.Close)
	return c
}

// Fail has requests fail for which f gives a status code that isn't 0; nil: none.
func (a *API) Fail(f func(method, path string) int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = f
}

// FailWrite is for Fail: the n-th write from now on fails, and no other.
func FailWrite(n int) func(method, path string) int {
	var writes atomic.Int32
	return func(method, path string) int {
		if method == http.MethodGet || strings.HasPrefix(path, reviews) || int(writes.Add(1)) != n {
			return 0
		}
		return http.StatusInternalServerError
	}
}

// reviews is where clients ask what they may do: nothing is written there.
const reviews = "/apis/authorization.k8s.io/"

// Requests are those since the last call, as METHOD PATH; of a dry run, as "dry METHOD PATH".
func (a *API) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.requests
	a.requests = nil
	return out
}

// All are the objects that there are, as Kind namespace/name, sorted.
func (a *API) All() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, o := range a.objects {
		out = append(out, o.GetKind()+" "+strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/"))
	}
	slices.Sort(out)
	return out
}

// Get is an object as it is; nil: there is none.
func (a *API) Get(k kube.Kind, namespace, name string) *kube.Object {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o := a.objects[key(k, namespace, name)]; o != nil {
		return o.DeepCopy()
	}
	return nil
}

func key(k kube.Kind, namespace, name string) string {
	return k.Group + "/" + k.Resource + "/" + namespace + "/" + name
}

// A fault is an answer that is a Status.
type fault struct {
	code           int
	reason, detail string
}

func (f *fault) Error() string { return f.detail }

var reasons = map[int]string{400: "BadRequest", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 410: "Expired", 422: "Invalid", 500: "InternalError", 503: "ServiceUnavailable"}

func faultOf(code int, format string, v ...any) *fault {
	return &fault{code, reasons[code], fmt.Sprintf(format, v...)}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // of a client that has gone nothing is asked
	method := r.Method
	if r.URL.Query().Get("dryRun") == "All" {
		method = "dry " + method
	}
	a.mu.Lock()
	a.requests = append(a.requests, method+" "+r.URL.Path)
	fail := a.fail
	a.mu.Unlock()
	answer := func(code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v) // as above
	}
	code, out, err := 0, any(nil), error(nil)
	if fail != nil {
		if c := fail(r.Method, r.URL.Path); c != 0 {
			err = faultOf(c, "the test has it fail")
		}
	}
	if err == nil && r.URL.Path == "/readyz" {
		fmt.Fprint(w, "ok")
		return
	}
	if err == nil && r.URL.Query().Get("watch") != "" {
		a.watch(w, r)
		return
	}
	if err == nil {
		code, out, err = a.serve(r, body)
	}
	if err != nil {
		var f *fault
		if !errors.As(err, &f) {
			f = faultOf(500, "%v", err)
		}
		answer(f.code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": f.reason, "code": f.code, "message": f.detail})
		return
	}
	answer(code, out)
}

// A place is what a path leads to.
type place struct {
	kind            kube.Kind
	namespace, name string
	subresource     string
}

func (a *API) place(path string) (p place, ok bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	group, version := "", ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, version, parts = parts[1], parts[2], parts[3:]
	default:
		return p, false
	}
	if len(parts) > 2 && parts[0] == "namespaces" && a.kinds[group+"/"+version+"/"+parts[2]].Name != "" {
		p.namespace, parts = parts[1], parts[2:]
	}
	if p.kind, ok = a.kinds[group+"/"+version+"/"+parts[0]]; !ok {
		return p, false
	}
	if len(parts) > 1 {
		p.name = parts[1]
	}
	if len(parts) > 2 {
		p.subresource = parts[2]
	}
	return p, true
}

func (a *API) serve(r *http.Request, body []byte) (code int, out any, err error) {
	path := r.URL.Path
	switch {
	case path == "/version":
		return 200, map[string]any{"gitVersion": "v1.36.0", "major": "1", "minor": "36"}, nil
	case strings.HasPrefix(path, reviews):
		var o map[string]any
		if err := json.Unmarshal(body, &o); err != nil {
			return 0, nil, faultOf(400, "%v", err)
		}
		o["status"] = map[string]any{"allowed": true}
		return 201, o, nil
	}
	if code, out := a.discover(path); out != nil {
		return code, out, nil
	}
	p, ok := a.place(path)
	if !ok {
		return 0, nil, faultOf(404, "the server could not find the requested resource %s", path)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q := r.URL.Query()
	dry := q.Get("dryRun") == "All"
	switch r.Method {
	case http.MethodGet:
		if p.name == "" {
			return a.list(p, q.Get("labelSelector"), q.Get("fieldSelector"))
		}
		o := a.objects[key(p.kind, p.namespace, p.name)]
		if o == nil {
			return 0, nil, faultOf(404, "%s %q not found", p.kind.Resource, p.name)
		}
		return 200, o.Object, nil
	case http.MethodDelete:
		return a.remove(p, body, dry)
	}
	var given map[string]any
	if err := json.Unmarshal(body, &given); err != nil {
		return 0, nil, faultOf(400, "%v", err)
	}
	if p.subresource == "token" {
		return 201, map[string]any{"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "status": map[string]any{
			"token": "token-of-" + p.name, "expirationTimestamp": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}}, nil
	}
	return a.write(r, p, &kube.Object{Object: given}, dry)
}

// discover answers what clients ask of an API itself.
func (a *API) discover(path string) (code int, out any) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	versions := map[string]bool{}
	for _, k := range a.kinds {
		if len(parts) == 2 && parts[0] == "apis" && k.Group == parts[1] {
			versions[k.Version] = true
		}
	}
	switch {
	case path == "/api":
		return 200, map[string]any{"kind": "APIVersions", "versions": []string{"v1"}}
	case path == "/apis":
		groups := map[string]map[string]bool{}
		for _, k := range a.kinds {
			if k.Group != "" {
				if groups[k.Group] == nil {
					groups[k.Group] = map[string]bool{}
				}
				groups[k.Group][k.Version] = true
			}
		}
		list := []any{}
		for _, g := range slices.Sorted(maps.Keys(groups)) {
			list = append(list, group(g, groups[g]))
		}
		return 200, map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": list}
	case len(versions) > 0:
		g := group(parts[1], versions)
		g["kind"], g["apiVersion"] = "APIGroup", "v1"
		return 200, g
	}
	want := ""
	switch {
	case len(parts) == 2 && parts[0] == "api":
		want = "/" + parts[1]
	case len(parts) == 3 && parts[0] == "apis":
		want = parts[1] + "/" + parts[2]
	default:
		return 0, nil
	}
	list := []any{}
	for _, k := range a.kinds {
		if k.Group+"/"+k.Version == want {
			list = append(list, map[string]any{"name": k.Resource, "kind": k.Name, "namespaced": k.Namespaced, "verbs": []string{"get", "list", "watch", "create", "update", "patch", "delete"}})
		}
	}
	if len(list) == 0 {
		return 0, nil
	}
	return 200, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": strings.TrimPrefix(want, "/"), "resources": list}
}

func group(name string, versions map[string]bool) map[string]any {
	list := []any{}
	for _, v := range slices.Sorted(maps.Keys(versions)) {
		list = append(list, map[string]any{"groupVersion": name + "/" + v, "version": v})
	}
	return map[string]any{"name": name, "versions": list, "preferredVersion": list[0]}
}

func (a *API) list(p place, byLabel, byField string) (int, any, error) {
	sel, err := labels.Parse(byLabel)
	if err != nil {
		return 0, nil, faultOf(400, "%v", err)
	}
	field, value, _ := strings.Cut(byField, "=")
	items := []any{}
	for _, k := range slices.Sorted(maps.Keys(a.objects)) {
		o := a.objects[k]
		if !strings.HasPrefix(k, p.kind.Group+"/"+p.kind.Resource+"/") || p.namespace != "" && o.GetNamespace() != p.namespace || !sel.Matches(labels.Set(o.GetLabels())) {
			continue
		}
		if at, _, _ := unstructured.NestedString(o.Object, strings.Split(field, ".")...); byField != "" && at != strings.TrimPrefix(value, "=") {
			continue
		}
		items = append(items, o.DeepCopy().Object)
	}
	return 200, map[string]any{"kind": p.kind.Name + "List", "apiVersion": p.kind.APIVersion(), "metadata": map[string]any{"resourceVersion": strconv.Itoa(a.version)}, "items": items}, nil
}

func (a *API) remove(p place, body []byte, dry bool) (int, any, error) {
	var options struct {
		Preconditions struct{ UID string }
	}
	_ = json.Unmarshal(body, &options) // without a body there are none
	done := map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"}
	if p.name == "" {
		for k, o := range a.objects {
			if strings.HasPrefix(k, p.kind.Group+"/"+p.kind.Resource+"/") && o.GetNamespace() == p.namespace {
				a.drop(p.kind, o, dry)
			}
		}
		return 200, done, nil
	}
	o := a.objects[key(p.kind, p.namespace, p.name)]
	switch {
	case o == nil:
		return 0, nil, faultOf(404, "%s %q not found", p.kind.Resource, p.name)
	case options.Preconditions.UID != "" && string(o.GetUID()) != options.Preconditions.UID:
		return 0, nil, faultOf(409, "the UID in the precondition (%s) does not match", options.Preconditions.UID)
	}
	a.drop(p.kind, o, dry)
	return 200, done, nil
}

// drop deletes an object, or marks it where it has finalizers. Of a namespace, all that is in it
// goes at once.
func (a *API) drop(k kube.Kind, o *kube.Object, dry bool) {
	if dry {
		return
	}
	if held(o) {
		if o.GetDeletionTimestamp() == nil {
			c := o.DeepCopy()
			unstructured.SetNestedField(c.Object, time.Now().UTC().Format(time.RFC3339), "metadata", "deletionTimestamp")
			a.put(k, c, "MODIFIED")
		}
		return
	}
	if k.Resource == "namespaces" {
		for _, in := range a.objects {
			if in.GetNamespace() == o.GetName() {
				for _, inner := range a.kinds {
					if inner.Name == in.GetKind() && inner.APIVersion() == in.GetAPIVersion() {
						a.drop(inner, in, false)
					}
				}
			}
		}
	}
	a.put(k, o.DeepCopy(), "DELETED")
}

// held says whether an object is only marked when it is deleted.
func held(o *kube.Object) bool {
	inside, _, _ := unstructured.NestedSlice(o.Object, "spec", "finalizers") // of a namespace
	return len(o.GetFinalizers()) > 0 || len(inside) > 0
}

// put keeps an object, and tells watches.
func (a *API) put(k kube.Kind, o *kube.Object, how string) {
	a.version++
	o.SetResourceVersion(strconv.Itoa(a.version))
	at := key(k, o.GetNamespace(), o.GetName())
	if how == "DELETED" {
		delete(a.objects, at)
	} else {
		a.objects[at] = o
	}
	a.log = append(a.log, event{k, how, o.DeepCopy(), a.version})
	a.changed.Broadcast()
}

// write creates, replaces, patches or applies.
func (a *API) write(r *http.Request, p place, given *kube.Object, dry bool) (int, any, error) {
	if r.Method == http.MethodPost {
		p.name = given.GetName()
		if p.namespace == "" {
			p.namespace = given.GetNamespace()
		}
	}
	if p.kind.Namespaced && p.namespace != "" && a.kinds["/v1/namespaces"].Name != "" && a.objects[key(a.kinds["/v1/namespaces"], "", p.namespace)] == nil {
		return 0, nil, faultOf(404, "namespaces %q not found", p.namespace)
	}
	live := a.objects[key(p.kind, p.namespace, p.name)]
	patch := r.Header.Get("Content-Type")
	apply := r.Method == http.MethodPatch && strings.HasPrefix(patch, "application/apply-patch")
	switch {
	case r.Method == http.MethodPost && live != nil:
		return 0, nil, &fault{409, "AlreadyExists", fmt.Sprintf("%s %q already exists", p.kind.Resource, p.name)}
	case live == nil && r.Method != http.MethodPost && (!apply || p.subresource != ""):
		return 0, nil, faultOf(404, "%s %q not found", p.kind.Resource, p.name)
	case live != nil && given.GetResourceVersion() != "" && given.GetResourceVersion() != live.GetResourceVersion():
		return 0, nil, faultOf(409, "the object has been modified")
	case live != nil && given.GetUID() != "" && given.GetUID() != live.GetUID():
		return 0, nil, faultOf(409, "the UID in the precondition does not match")
	}
	was := live
	if was == nil {
		was = &kube.Object{Object: map[string]any{"apiVersion": p.kind.APIVersion(), "kind": p.kind.Name, "metadata": map[string]any{"name": p.name}}}
		if p.namespace != "" {
			was.SetNamespace(p.namespace)
		}
	}
	next := given
	if r.Method == http.MethodPatch && !apply {
		next = &kube.Object{Object: merged(was.DeepCopy().Object, given.Object).(map[string]any)}
	}
	fm, err := a.manager(p.kind)
	if err != nil {
		return 0, nil, err
	}
	manager := r.URL.Query().Get("fieldManager")
	var got runtime.Object
	if apply {
		got, err = fm.Apply(was.DeepCopy(), next, manager, r.URL.Query().Get("force") == "true")
	} else {
		got, err = fm.Update(was.DeepCopy(), next, manager)
	}
	if err != nil {
		return 0, nil, faultOf(409, "%v", err)
	}
	o := got.(*kube.Object)
	if p.subresource == "status" {
		kept := was.DeepCopy()
		kept.Object["status"] = o.Object["status"]
		kept.SetManagedFields(o.GetManagedFields())
		o = kept
	} else if live != nil && live.Object["status"] != nil {
		o.Object["status"] = live.Object["status"]
	}
	code, how := 200, "MODIFIED"
	if live == nil {
		code, how = 201, "ADDED"
		o.SetUID(newUID())
		unstructured.SetNestedField(o.Object, time.Now().UTC().Format(time.RFC3339), "metadata", "creationTimestamp")
	} else {
		o.SetUID(live.GetUID())
		o.SetResourceVersion(live.GetResourceVersion())
		if d := live.GetDeletionTimestamp(); d != nil {
			o.SetDeletionTimestamp(d)
		}
	}
	if dry {
		return code, o.Object, nil
	}
	a.fillToken(o)
	if live != nil && same(live, o) {
		return code, live.Object, nil
	}
	if o.GetDeletionTimestamp() != nil && !held(o) {
		how = "DELETED"
	}
	a.put(p.kind, o, how)
	return code, o.DeepCopy().Object, nil
}

// fillToken does what the token controller does, at once: the only one that is played here,
// since programs wait for it.
func (a *API) fillToken(o *kube.Object) {
	if o.GetKind() != "Secret" || o.Object["type"] != "kubernetes.io/service-account-token" {
		return
	}
	name := o.GetAnnotations()["kubernetes.io/service-account.name"]
	account := a.objects["/serviceaccounts/"+o.GetNamespace()+"/"+name]
	if account == nil {
		return
	}
	notes := o.GetAnnotations()
	notes["kubernetes.io/service-account.uid"] = string(account.GetUID())
	o.SetAnnotations(notes)
	o.Object["data"] = map[string]any{"token": base64.StdEncoding.EncodeToString([]byte("token-of-" + name))}
}

// same says whether nothing but the time of managed fields differs: then nothing is written.
func same(a, b *kube.Object) bool {
	strip := func(o *kube.Object) string {
		c := o.DeepCopy()
		fields := c.GetManagedFields()
		for i := range fields {
			fields[i].Time = nil
		}
		c.SetManagedFields(fields)
		text, _ := json.Marshal(c.Object)
		return string(text)
	}
	return strip(a) == strip(b)
}

// merged is a JSON merge patch (RFC 7386).
func merged(into, patch any) any {
	m, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out, ok := into.(map[string]any)
	if !ok {
		out = map[string]any{}
	}
	for k, v := range m {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = merged(out[k], v)
	}
	return out
}

// watch tells of changes from a resourceVersion on, until the client goes.
func (a *API) watch(w http.ResponseWriter, r *http.Request) {
	p, ok := a.place(r.URL.Path)
	q := r.URL.Query()
	if !ok || q.Get("sendInitialEvents") != "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(422)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		return
	}
	from, _ := strconv.Atoi(q.Get("resourceVersion")) // "" is 0: from the beginning
	sel, err := labels.Parse(q.Get("labelSelector"))
	if err != nil {
		sel = labels.Everything()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	ctx := r.Context()
	go func() {
		<-ctx.Done()
		a.mu.Lock()
		a.changed.Broadcast()
		a.mu.Unlock()
	}()
	for at := 0; ; {
		a.mu.Lock()
		for at >= len(a.log) && ctx.Err() == nil {
			a.changed.Wait()
		}
		news := slices.Clone(a.log[at:])
		at = len(a.log)
		a.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		for _, e := range news {
			if e.version <= from || e.kind != p.kind || p.namespace != "" && e.object.GetNamespace() != p.namespace || !sel.Matches(labels.Set(e.object.GetLabels())) {
				continue
			}
			if json.NewEncoder(w).Encode(map[string]any{"type": e.how, "object": e.object.Object}) != nil {
				return
			}
		}
		w.(http.Flusher).Flush()
	}
}
