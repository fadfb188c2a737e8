// Package pretend plays members for measurements of many: each is an API, over HTTPS and HTTP/2
// as a real one, that keeps in memory what fedsync writes and tells those who watch.
//
// It is true to what fedsync asks of a cluster, and to nothing else: there is one writer, so an
// apply replaces what was applied before, and pods are ready as soon as they are wanted.
package pretend

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A Member is one that isn't there.
type Member struct {
	Name string

	Writes, Reads atomic.Int64 // calls that were made

	server *httptest.Server
	kinds  map[string]v1alpha1.Kind // by resource

	mu       sync.Mutex // guards the rest
	version  int64
	objects  map[string]map[string]object // by resource, and namespace/name
	watchers map[*watcher]bool
}

type object = map[string]any

// A watcher is who follows a resource.
type watcher struct {
	resource string
	selector labels.Selector
	shown    map[string]bool // what it knows of
	events   chan []byte
}

// behind is how many events may wait for a watcher before it has to list anew.
const behind = 10000

// New starts a member that ends with the test.
func New(t testing.TB, name string) *Member {
	t.Helper()
	m := &Member{Name: name, kinds: map[string]v1alpha1.Kind{}, version: 1, objects: map[string]map[string]object{}, watchers: map[*watcher]bool{}}
	all := []v1alpha1.Kind{builtin.Nodes, builtin.Pods}
	for _, s := range workload.Kinds() {
		all = append(all, s.Kind)
	}
	for _, k := range all {
		m.kinds[k.Resource] = k
		m.objects[k.Resource] = map[string]object{}
	}
	m.objects[builtin.Namespaces.Resource]["/"+builtin.Identity] = object{
		"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": builtin.Identity, "uid": "of-" + name, "resourceVersion": "1"},
	}
	m.server = httptest.NewUnstartedServer(m)
	m.server.EnableHTTP2 = true
	m.server.Config.ErrorLog = log.New(io.Discard, "", 0) // that clients hang up in the end is no news
	m.server.StartTLS()
	t.Cleanup(func() {
		m.server.CloseClientConnections()
		m.server.Close()
	})
	return m
}

// Kubeconfig is how to reach it.
func (m *Member) Kubeconfig() string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.server.Certificate().Raw})
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: c}}]
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: c, user: {token: pretend}}]
`, m.server.URL, base64.StdEncoding.EncodeToString(ca))
}

// Get is an object; nil: it isn't there.
func (m *Member) Get(k v1alpha1.Kind, namespace, name string) map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[k.Resource][namespace+"/"+name]
}

// Count is how many objects of a kind there are.
func (m *Member) Count(k v1alpha1.Kind) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.objects[k.Resource])
}

// ServeHTTP is for net/http.
func (m *Member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		m.Reads.Add(1)
	} else {
		m.Writes.Add(1)
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/readyz":
		_, _ = io.WriteString(w, "ok") // who has gone needn't hear
		return
	case r.URL.Path == "/version":
		answer(w, http.StatusOK, object{"major": "1", "minor": "36", "gitVersion": "v1.36.0"})
		return
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		parts = parts[3:]
	default:
		m.discover(w, parts)
		return
	}
	namespace := ""
	if parts[0] == "namespaces" && len(parts) > 2 {
		namespace, parts = parts[1], parts[2:]
	}
	k, ok := m.kinds[parts[0]]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "NotFound")
	case len(parts) == 1 && r.URL.Query().Get("watch") != "":
		m.watch(w, r, k)
	case len(parts) == 1:
		m.list(w, r, k)
	default:
		m.one(w, r, k, namespace, parts[1])
	}
}

// discover says which kinds there are.
func (m *Member) discover(w http.ResponseWriter, parts []string) {
	version := strings.Join(parts[1:], "/")
	var all []any
	for _, k := range m.kinds {
		if k.APIVersion() == version {
			all = append(all, object{"name": k.Resource, "kind": k.Name, "namespaced": k.Namespaced, "verbs": []any{"get", "list", "watch", "patch", "delete"}})
		}
	}
	if all == nil {
		refuse(w, http.StatusNotFound, "NotFound")
		return
	}
	answer(w, http.StatusOK, object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": all})
}

func selectorOf(r *http.Request) labels.Selector {
	s, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return labels.Nothing()
	}
	return s
}

func selects(s labels.Selector, o object) bool {
	have, _ := o["metadata"].(object)["labels"].(object)
	set := labels.Set{}
	for k, v := range have {
		set[k], _ = v.(string)
	}
	return s.Matches(set)
}

func (m *Member) list(w http.ResponseWriter, r *http.Request, k v1alpha1.Kind) {
	selector := selectorOf(r)
	items := []any{}
	m.mu.Lock()
	for _, o := range m.objects[k.Resource] {
		if selects(selector, o) {
			items = append(items, o)
		}
	}
	version := m.version
	m.mu.Unlock()
	answer(w, http.StatusOK, object{"kind": k.Name + "List", "apiVersion": k.APIVersion(), "metadata": object{"resourceVersion": strconv.FormatInt(version, 10)}, "items": items})
}

// watch tells of changes from now on. Nobody watches who hasn't listed: a list that was made a
// moment ago and missed a change is found out by the version that it asks for.
func (m *Member) watch(w http.ResponseWriter, r *http.Request, k v1alpha1.Kind) {
	if r.URL.Query().Get("sendInitialEvents") != "" {
		refuse(w, http.StatusUnprocessableEntity, "Invalid")
		return
	}
	from, err := strconv.ParseInt(r.URL.Query().Get("resourceVersion"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest")
		return
	}
	x := &watcher{resource: k.Resource, selector: selectorOf(r), shown: map[string]bool{}, events: make(chan []byte, behind)}
	m.mu.Lock()
	for key, o := range m.objects[k.Resource] {
		if !selects(x.selector, o) {
			continue
		}
		x.shown[key] = true
		if v, _ := strconv.ParseInt(o["metadata"].(object)["resourceVersion"].(string), 10, 64); v > from {
			x.events <- event("ADDED", o)
		}
	}
	m.watchers[x] = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, x)
	}()
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w).Flush
	if flush() != nil {
		return
	}
	bookmark := time.NewTicker(30 * time.Second) // silence would be taken for a dead connection
	defer bookmark.Stop()
	for {
		var e []byte
		select {
		case <-r.Context().Done():
			return
		case <-bookmark.C:
			m.mu.Lock()
			e = event("BOOKMARK", object{"kind": k.Name, "apiVersion": k.APIVersion(), "metadata": object{"resourceVersion": strconv.FormatInt(m.version, 10)}})
			m.mu.Unlock()
		case e = <-x.events:
			if e == nil {
				return // it was too slow
			}
		}
		if _, err := w.Write(e); err != nil || flush() != nil {
			return
		}
	}
}

func event(kind string, o object) []byte {
	b, err := json.Marshal(object{"type": kind, "object": o})
	if err != nil {
		panic("an object isn't JSON: " + err.Error())
	}
	return append(b, '\n')
}

// tell has watchers hear of an object; gone: that it is.
func (m *Member) tell(resource, key string, o object, gone bool) {
	for x := range m.watchers {
		if x.resource != resource {
			continue
		}
		kind := "MODIFIED"
		switch is := !gone && selects(x.selector, o); {
		case is && !x.shown[key]:
			kind = "ADDED"
			x.shown[key] = true
		case !is && !x.shown[key]:
			continue
		case !is:
			kind = "DELETED"
			delete(x.shown, key)
		}
		select {
		case x.events <- event(kind, o):
		default:
			close(x.events)
			delete(m.watchers, x)
		}
	}
}

// one does what is asked of one object.
func (m *Member) one(w http.ResponseWriter, r *http.Request, k v1alpha1.Kind, namespace, name string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := namespace + "/" + name
	was := m.objects[k.Resource][key]
	apply := strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch")
	switch {
	case r.Method == http.MethodPatch && apply:
		next := object{}
		if err := json.Unmarshal(body, &next); err != nil {
			refuse(w, http.StatusBadRequest, "BadRequest")
			return
		}
		code := http.StatusOK
		if was == nil {
			code = http.StatusCreated
		}
		answer(w, code, m.set(k, key, was, next))
	case was == nil:
		refuse(w, http.StatusNotFound, "NotFound")
	case r.Method == http.MethodGet:
		answer(w, http.StatusOK, was)
	case r.Method == http.MethodPatch:
		patch := object{}
		if err := json.Unmarshal(body, &patch); err != nil {
			refuse(w, http.StatusBadRequest, "BadRequest")
			return
		}
		answer(w, http.StatusOK, m.set(k, key, was, merge(was, patch)))
	case r.Method == http.MethodDelete:
		m.version++
		delete(m.objects[k.Resource], key)
		m.tell(k.Resource, key, was, true)
		answer(w, http.StatusOK, object{"kind": "Status", "apiVersion": "v1", "status": "Success"})
	default:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

// set writes an object, and gives it as it is then. What changes nothing isn't written.
func (m *Member) set(k v1alpha1.Kind, key string, was, next object) object {
	said, _ := next["metadata"].(object)
	metadata := object{"uid": fmt.Sprintf("%s-%d", m.Name, m.version+1), "generation": int64(1), "creationTimestamp": "2026-01-01T00:00:00Z"}
	same := false
	if was != nil {
		old := was["metadata"].(object)
		for _, f := range []string{"uid", "generation", "creationTimestamp", "resourceVersion"} {
			metadata[f] = old[f]
		}
		same = reflect.DeepEqual(old["labels"], said["labels"]) && reflect.DeepEqual(old["annotations"], said["annotations"]) && reflect.DeepEqual(body(was), body(next))
	}
	if same {
		return was
	}
	for _, f := range []string{"name", "namespace", "labels", "annotations"} {
		if v, ok := said[f]; ok {
			metadata[f] = v
		}
	}
	if was != nil && !reflect.DeepEqual(was["spec"], next["spec"]) {
		metadata["generation"] = was["metadata"].(object)["generation"].(int64) + 1
	}
	m.version++
	metadata["resourceVersion"] = strconv.FormatInt(m.version, 10)
	o := maps.Clone(next)
	o["metadata"] = metadata
	if k.Resource == builtin.Deployments.Resource {
		spec, _ := o["spec"].(object)
		n := spec["replicas"]
		o["status"] = object{"observedGeneration": metadata["generation"], "replicas": n, "updatedReplicas": n, "readyReplicas": n, "availableReplicas": n}
	}
	m.objects[k.Resource][key] = o
	m.tell(k.Resource, key, o, false)
	return o
}

// body is an object without what its API server says of it.
func body(o object) object {
	o = maps.Clone(o)
	delete(o, "metadata")
	delete(o, "status")
	return o
}

// merge is a merge patch of an object.
func merge(o, patch object) object {
	if o = maps.Clone(o); o == nil {
		o = object{}
	}
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(o, k)
		case object:
			sub, _ := o[k].(object)
			o[k] = merge(sub, v)
		default:
			o[k] = v
		}
	}
	return o
}

func answer(w http.ResponseWriter, code int, v any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		panic("an answer isn't JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes()) // who has gone needn't hear
}

func refuse(w http.ResponseWriter, code int, reason string) {
	answer(w, code, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": reason})
}
