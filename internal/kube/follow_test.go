package kube

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/kube/apireply"
)

// A mute API lists one object, and says nothing on its watches.
type mute struct {
	watches atomic.Int32
	*httptest.Server
}

func newMute(t *testing.T, around func(http.Handler) http.Handler) (*mute, *API) {
	m := &mute{}
	m.Server = httptest.NewServer(around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		const object = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"ns","name":"a","uid":"1","resourceVersion":"7"}}`
		switch q := r.URL.Query(); {
		case q.Get("watch") != "" && q.Get("sendInitialEvents") == "":
			m.watches.Add(1)
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case q.Get("watch") != "": // a list as a stream: not here
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		case r.URL.Path == "/api/v1/namespaces/ns/configmaps/a":
			fmt.Fprint(w, object)
		default:
			fmt.Fprint(w, `{"apiVersion":"v1","kind":"ConfigMapList","metadata":{"resourceVersion":"7"},"items":[`+object+`]}`)
		}
	})))
	t.Cleanup(m.Close)
	api, err := Open(Config{Content: []byte(fmt.Sprintf(`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"x","user":"u"}}],"clusters":[{"name":"x","cluster":{"server":%q}}],"users":[{"name":"u","user":{"token":"t"}}]}`, m.URL))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	api.silence = 20 * time.Millisecond
	return m, api
}

// quiet is a Follower to whom nothing matters.
type quiet struct{}

func (quiet) Listed([]*Object) {}
func (quiet) Set(*Object)      {}
func (quiet) Gone(_, _ string) {}
func (quiet) Failed(error)     {}

// A watch that says nothing for too long is opened anew, of a kind as of one object: behind a
// connection that is dead nobody knows that.
func TestHungWatch(t *testing.T) {
	configMaps := Kind{Version: "v1", Name: "ConfigMap", Resource: "configmaps", Namespaced: true}
	for name, follow := range map[string]func(context.Context, *API){
		"of a kind": func(ctx context.Context, a *API) { a.Follow(ctx, configMaps, "", quiet{}) },
		"of one object": func(ctx context.Context, a *API) {
			a.FollowOne(ctx, configMaps, "ns", "a", func(*Object) {}, func(error) {})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, api := newMute(t, func(h http.Handler) http.Handler { return h })
			ctx, end := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); follow(ctx, api) }()
			for deadline := time.Now().Add(time.Minute); m.watches.Load() < 2; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d watches were opened", m.watches.Load())
				}
			}
			end()
			<-done
		})
	}
}

// A list of which nothing comes is ended, and said to have been; so is a watch of which not even
// the beginning comes. Both are tried again.
func TestHungCall(t *testing.T) {
	configMaps := Kind{Version: "v1", Name: "ConfigMap", Resource: "configmaps", Namespaced: true}
	for name, hangs := range map[string]func(streamed, watch bool) bool{
		"a list":  func(_, watch bool) bool { return !watch },
		"a watch": func(streamed, watch bool) bool { return watch && !streamed },
	} {
		t.Run(name, func(t *testing.T) {
			var hung atomic.Int32
			m, api := newMute(t, func(answer http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					q := r.URL.Query()
					if hangs(q.Get("sendInitialEvents") != "", q.Get("watch") != "") && hung.Add(1) < 3 {
						<-r.Context().Done()
						return
					}
					answer.ServeHTTP(w, r)
				})
			})
			heard := failures{heard: make(chan error, 1)}
			ctx, end := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); api.Follow(ctx, configMaps, "", heard) }()
			if err := <-heard.heard; !errors.Is(err, ErrHung) {
				t.Errorf("failed: %v", err)
			}
			for deadline := time.Now().Add(time.Minute); m.watches.Load() < 1; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("no watch after %d that hung", hung.Load())
				}
			}
			end()
			<-done
		})
	}
}

// failures are what a Follower hears of them.
type failures struct {
	quiet
	heard chan error
}

func (f failures) Failed(err error) {
	select {
	case f.heard <- err:
	default:
	}
}

// What fedctl and fedsync ask an API for is bounded, whatever it is: a list, what follows a kind, an object, a table,
// and what is said of kinds. One with large objects is asked for fewer at a time.
func TestExcess(t *testing.T) {
	configMaps := Kind{Version: "v1", Name: "ConfigMap", Resource: "configmaps", Namespaced: true}
	// By bounds of a thirty-second part, since whole ones take the race detector a minute.
	defer func(was apireply.Bounds) { apireply.Default = was }(apireply.Default)
	apireply.Default.Answer, apireply.Default.Object = apireply.Default.Answer/32, apireply.Default.Object/32
	var squeezed bytes.Buffer
	z := gzip.NewWriter(&squeezed)
	_, _ = io.WriteString(z, `{"apiVersion":"v1","kind":"ConfigMapList","metadata":{"resourceVersion":"7"},"items":[`)
	for range 128 {
		_, _ = z.Write(bytes.Repeat([]byte(" "), 1<<20/32))
	}
	z.Close()
	var large atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !large.Load() {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(squeezed.Bytes())
			return
		}
		n, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		next := ""
		if from+n < 100 {
			next = fmt.Sprintf(`,"continue":"%d"`, from+n)
		}
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"ConfigMapList","metadata":{"resourceVersion":"7"%s},"items":[`, next)
		for i := from; i < min(from+n, 100); i++ {
			fmt.Fprintf(w, `{"metadata":{"namespace":"ns","name":"a%d"},"data":{"x":"%s"}},`, i, strings.Repeat("x", 1<<20/32))
		}
		fmt.Fprint(w, `{"metadata":{"namespace":"ns","name":"last`+fmt.Sprint(from)+`"}}]}`)
	}))
	defer s.Close()
	api, err := Open(Config{Content: []byte(fmt.Sprintf(`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"x","user":"u"}}],"clusters":[{"name":"x","cluster":{"server":%q}}],"users":[{"name":"u","user":{"token":"t"}}]}`, s.URL))})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	for name, ask := range map[string]func(context.Context) error{
		"a list":     func(ctx context.Context) error { _, err := api.List(ctx, configMaps, "", ""); return err },
		"an object":  func(ctx context.Context) error { _, err := api.Get(ctx, configMaps, "ns", "a"); return err },
		"a table":    func(ctx context.Context) error { _, err := api.Table(ctx, configMaps, "ns", true); return err },
		"a kind":     func(ctx context.Context) error { _, err := api.Find(ctx, "", "v1", "ConfigMap"); return err },
		"a version":  func(ctx context.Context) error { _, err := api.Version(ctx); return err },
		"a token":    func(ctx context.Context) error { _, _, err := api.Token(ctx, "ns", "a", time.Hour, ""); return err },
		"its state":  func(ctx context.Context) error { return api.Ready(ctx) },
		"a revision": func(ctx context.Context) error { _, err := api.Revision(ctx, configMaps); return err },
		"a kind that is followed": func(ctx context.Context) error {
			f := failures{heard: make(chan error, 1)}
			ctx, end := context.WithCancel(ctx)
			done := make(chan struct{})
			go func() { defer close(done); api.Follow(ctx, configMaps, "", f) }()
			err := <-f.heard
			end()
			<-done
			return err
		},
	} {
		if err := ask(t.Context()); !errors.Is(err, apireply.ErrExcess) {
			t.Errorf("%s: %v", name, err)
		}
	}
	large.Store(true)
	all, err := api.List(t.Context(), configMaps, "", "")
	if err != nil || len(all) < 100 {
		t.Errorf("of 100 large ones: %d, %v", len(all), err)
	}
}
