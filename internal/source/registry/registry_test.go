package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"k8s.io/klog/v2"
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	goleak.VerifyTestMain(m)
}

// A fake is a federation's API as far as fedns asks it.
type fake struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex // guards the rest
	version  int
	history  map[int]string    // events, by version
	clusters map[string]string // name to spec, as JSON
	secrets  map[string]string // name to kubeconfig
	watches  map[chan string]bool
	refuse   map[string]int // "watch secrets" to a status
	hang     chan struct{}  // closed when it answers again
	origins  int            // how often it was asked where it comes from
	system   string         // the UID of kube-system; "": there is none
	token    string
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, history: map[int]string{}, clusters: map[string]string{}, secrets: map[string]string{}, watches: map[chan string]bool{}, refuse: map[string]int{}, token: "one"}
	f.Server = httptest.NewTLSServer(f) // over anything else, no token is sent
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

// set changes what the API holds, and tells the watches; a spec of "" is none.
func (f *fake) set(name, spec string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	kind := "MODIFIED"
	if spec == "" {
		kind = "DELETED"
		spec = f.clusters[name]
		delete(f.clusters, name)
	} else {
		f.clusters[name] = spec
	}
	e := fmt.Sprintf(`{"type":%q,"object":%s}`, kind, f.cluster(name, spec))
	f.history[f.version] = e
	for w := range f.watches {
		w <- e
	}
}

func (f *fake) do(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) cluster(name, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"fedns.io/v1alpha1","kind":"Cluster","metadata":{"name":%q,"resourceVersion":"%d"},"spec":%s}`, name, f.version, spec)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if hang := f.hang; hang != nil {
		f.mu.Unlock()
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
		f.mu.Lock()
	}
	watch := r.URL.Query().Get("watch") != ""
	words := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	verb, what := "get", words[len(words)-1]
	if len(words) > 1 && words[len(words)-2] == "secrets" {
		what = "secrets"
	}
	if watch {
		verb = "watch"
	}
	code := f.refuse[verb+" "+what]
	if r.Header.Get("Authorization") != "Bearer "+f.token {
		code = http.StatusUnauthorized
	}
	if r.URL.Query().Get("sendInitialEvents") == "true" && code == 0 {
		code = http.StatusUnprocessableEntity // as older servers
	}
	w.Header().Set("Content-Type", "application/json")
	fail := func(code int) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":"says the test"}`, code, map[int]string{401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 422: "Invalid"}[code])
	}
	switch {
	case code != 0:
		f.mu.Unlock()
		fail(code)
		return
	case what == "kube-system" && f.system != "":
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":%q,"resourceVersion":"1"}}`, f.system)
	case what == "readyz":
		fmt.Fprint(w, "ok")
	case what == "clusters" && !watch:
		if r.URL.Query().Get("limit") == "1" {
			f.origins++
		}
		var items []string
		for name, spec := range f.clusters {
			items = append(items, f.cluster(name, spec))
		}
		fmt.Fprintf(w, `{"apiVersion":"fedns.io/v1alpha1","kind":"ClusterList","metadata":{"resourceVersion":%q},"items":[%s]}`, strconv.Itoa(f.version), strings.Join(items, ","))
	case what == "clusters":
		events := make(chan string, 16)
		f.watches[events] = true
		since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
		for v := since + 1; v <= f.version; v++ {
			events <- f.history[v]
		}
		f.mu.Unlock()
		defer f.do(func() { delete(f.watches, events) })
		w.(http.Flusher).Flush()
		for {
			select {
			case e := <-events:
				fmt.Fprintln(w, e)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	case watch: // of a Secret, which never changes by itself here
		f.mu.Unlock()
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	default:
		content, ok := f.secrets[words[len(words)-1]]
		f.mu.Unlock()
		if !ok {
			fail(404)
			return
		}
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x","namespace":"federation-system"},"data":{"kubeconfig":%q}}`, base64.StdEncoding.EncodeToString([]byte(content)))
		return
	}
	f.mu.Unlock()
}

// write writes a kubeconfig that leads to the fake.
func (f *fake) write(path, token string) {
	f.t.Helper()
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: f, cluster: {server: %q, insecure-skip-tls-verify: true}}]\nusers: [{name: f, user: {token: %s}}]\ncontexts: [{name: fed, context: {cluster: f, user: f}}]\n", f.URL, token)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// A log is what was logged, readable while it is written.
type log struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// run follows a fake until the test ends, or it is called.
func run(t *testing.T, c Config, changes ...func(*Registry)) (r *Registry, l *log, end func()) {
	t.Helper()
	l = &log{}
	c.Federation, c.Context, c.Log = "fed", "fed", slog.New(slog.NewTextHandler(l, nil))
	c.Period, c.Timeout = 20*time.Millisecond, 150*time.Millisecond
	c.Check = check
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.look = 20 * time.Millisecond
	for _, change := range changes {
		change(r)
	}
	r.Load()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx, func(*View) {}) })
	end = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(end)
	return r, l, end
}

func becomes(t *testing.T, r *Registry, l *log, want string) {
	t.Helper()
	eventually(t, l, fmt.Sprintf("%q", want), func() bool { return brief(r.Now()) == want })
}

func eventually(t *testing.T, l *log, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s\n%s", what, l)
		}
	}
}

const key = `{"secretRef":{"name":"key"}`

func TestRun(t *testing.T) {
	f := newFake(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	f.write(path, "one")
	state := t.TempDir()
	r, l, end := run(t, Config{Kubeconfig: path, State: state})
	eventually(t, l, "listed", func() bool { return r.Now().Listed && r.up.Load() })
	f.do(func() { f.secrets["key"] = "k" })
	f.set("a", key+`,"region":"eu"}`)
	f.set("b", key+`,"drain":{"until":"whenever"},"zones":"x"}`)
	becomes(t, r, l, "a eu [] by k; b  [] by k; wrong: b spec.drain; wrong: b spec.zones")
	f.set("b", key+`}`)
	becomes(t, r, l, "a eu [] by k; b  [] by k")

	// It falls silent; and when it speaks again, it has forgotten what became of a.
	hang := make(chan struct{})
	f.do(func() { f.hang = hang })
	eventually(t, l, "it is silent", func() bool { return !r.up.Load() })
	f.do(func() {
		delete(f.clusters, "a")
		f.clusters["c"] = key + "}"
		f.hang = nil
	})
	close(hang)
	becomes(t, r, l, "b  [] by k; c  [] by k")
	eventually(t, l, "it is up", func() bool { return r.up.Load() })

	// A server that turns everybody down says nothing about anybody.
	f.do(func() {
		f.refuse["get clusters"], f.refuse["watch clusters"], f.clusters = 403, 403, map[string]string{}
	})
	f.CloseClientConnections()
	eventually(t, l, "they can't be read", func() bool {
		return !r.up.Load() && strings.Contains(l.String(), "Cluster objects can't be read")
	})
	if got := brief(r.Now()); got != "b  [] by k; c  [] by k" {
		t.Errorf("refused: %s", got)
	}
	f.do(func() { clear(f.refuse) })
	becomes(t, r, l, "b  [] by k; c  [] by k; lost: 2")

	// Another kubeconfig, and a broken one before.
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, l, "it is broken", func() bool { return strings.Contains(l.String(), "going on with the kubeconfig before") })
	f.do(func() { f.token = "two" })
	f.write(path, "two")
	f.set("b", key+`,"region":"no"}`)
	becomes(t, r, l, "b no [] by k; c  [] by k; lost: 1")
	f.set("c", key+"}")
	becomes(t, r, l, "b no [] by k; c  [] by k")
	f.set("c", "")
	becomes(t, r, l, "b no [] by k")

	// The next one begins with what this one believed: from itself, or from the disk.
	heir, err := New(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	if !heir.TakeOver(r) || brief(heir.Now()) != brief(r.Now()) || !heir.Now().Listed {
		t.Errorf("inherited: %s", brief(heir.Now()))
	}
	other := r.Config
	other.Context = ""
	if stranger, err := New(other); err == nil {
		t.Errorf("a kubeconfig without current context is taken: %v", stranger)
	}
	end()
	f.do(func() { f.hang = make(chan struct{}) })
	again, l, _ := run(t, Config{Kubeconfig: path, State: state})
	if got := brief(again.Now()); got != "b no [] by k" || again.Now().Listed {
		t.Errorf("from the disk: %s\n%s", got, l)
	}
}

// The store behind the API is restored from an older copy, or it is another's: no watch
// tells of that, and nothing is ever silent.
func TestRestored(t *testing.T) {
	for what, change := range map[string]func(*fake){
		"its revision is 50, and was 100":          func(f *fake) { f.version = 50 },
		"its kube-system is another, and was mine": func(f *fake) { f.system = "another" },
	} {
		f := newFake(t)
		path := filepath.Join(t.TempDir(), "kubeconfig")
		f.write(path, "one")
		f.version, f.system, f.secrets["key"] = 100, "mine", "k"
		for _, name := range []string{"a", "b", "c"} {
			f.clusters[name] = key + "}"
		}
		r, l, _ := run(t, Config{Kubeconfig: path}, func(r *Registry) {
			r.compared, r.Period, r.Timeout = 20*time.Millisecond, 300*time.Millisecond, time.Minute
		})
		becomes(t, r, l, "a  [] by k; b  [] by k; c  [] by k")
		asked := 0
		eventually(t, l, "it is known where it comes from", func() bool {
			f.do(func() { asked = f.origins })
			return asked > 2
		})
		f.do(func() {
			delete(f.clusters, "b")
			f.clusters["d"] = key + "}"
			change(f)
		})
		becomes(t, r, l, "a  [] by k; c  [] by k; d  [] by k")
		if !strings.Contains(l.String(), what+": it was restored from an older copy, or is another") {
			t.Errorf("%s: the log doesn't say so:\n%s", what, l)
		}
		seen := 0
		f.do(func() { seen = f.origins })
		eventually(t, l, "it is asked again", func() bool {
			f.do(func() { asked = f.origins })
			return asked > seen+2
		})
		if n := strings.Count(l.String(), "restored"); n != 1 {
			t.Errorf("%s: said %d times:\n%s", what, n, l)
		}
	}
}

// Who may read a Secret but not watch it asks again.
func TestPolled(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	f.write(path, "one")
	f.refuse["watch secrets"] = 403
	f.secrets["key"] = "one"
	f.clusters["a"] = key + "}"
	r, l, _ := run(t, Config{Kubeconfig: path})
	becomes(t, r, l, "a  [] by one")
	f.do(func() { f.secrets["key"] = "two" })
	becomes(t, r, l, "a  [] by two")
	f.do(func() { f.refuse["get secrets"] = 403 })
	becomes(t, r, l, "a  [] by two; wrong: a secret")
	if strings.Contains(l.String(), "one") {
		t.Error("the log has what is in a Secret")
	}
}

// A disk that is full costs the keeping only, and is tried again.
func TestUnkept(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	f.write(path, "one")
	f.clusters["a"] = key + "}"
	state := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(state, nil, 0o600); err != nil { // a file in its place
		t.Fatal(err)
	}
	r, l, _ := run(t, Config{Kubeconfig: path, State: state})
	eventually(t, l, "it can't be kept", func() bool { return strings.Contains(l.String(), "the members can't be kept") })
	if len(r.Now().Members) != 1 {
		t.Error("and nothing is believed either")
	}
	// The registry makes the folder, too, and may be first.
	if err := errors.Join(os.Remove(state), os.MkdirAll(state, 0o700)); err != nil {
		t.Fatal(err)
	}
	eventually(t, l, "it can be kept", func() bool { return strings.Contains(l.String(), "can be kept again") })
	text, err := os.ReadFile(filepath.Join(state, "fed.registry"))
	if err != nil || !json.Valid(text) {
		t.Errorf("%v: %s", err, text)
	}
	// And it is there again when it, or its folder, has been taken away.
	for n, lose := range []func() error{
		func() error { return os.Remove(filepath.Join(state, "fed.registry")) },
		func() error { return os.Rename(state, state+"-old") }, // at one stroke
		func() error { return os.Truncate(filepath.Join(state, "fed.registry"), 5) },
	} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		eventually(t, l, "it is there again", func() bool {
			now, err := os.ReadFile(filepath.Join(state, "fed.registry"))
			return err == nil && bytes.Equal(now, text)
		})
		if said := strings.Count(l.String(), "it is written anew"); said != n+1 {
			t.Errorf("said %d times, want %d:\n%s", said, n+1, l)
		}
	}
}
