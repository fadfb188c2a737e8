package kube

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A mute API lists one object, and says nothing on its watches.
type mute struct {
	watches atomic.Int32
	*httptest.Server
}

func newMute(t *testing.T) (*mute, *API) {
	m := &mute{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	}))
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
			m, api := newMute(t)
			ctx, end := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); follow(ctx, api) }()
			for deadline := time.Now().Add(30 * time.Second); m.watches.Load() < 2; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d watches were opened", m.watches.Load())
				}
			}
			end()
			<-done
		})
	}
}
