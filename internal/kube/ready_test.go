package kube

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestReady(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code       int
		body, want string
	}{
		{200, "ok", ""},
		{200, "Ok\n", ""},
		{200, "<html>", `readyz: "<html>"`},
		{500, "[+]ping ok\n[-]informer-sync failed: reason withheld\n[+]log ok\n[-]poststarthook/rbac/bootstrap-roles failed: not finished\nreadyz check failed\n", "/readyz fails: informer-sync, poststarthook/rbac/bootstrap-roles"},
		{500, "[-]a failed: x\n[-]b failed: x\n[-]c failed: x\n[-]d failed: x\n[-]e failed: x\n", "/readyz fails: a, b, c and 2 more"},
		{500, "[+]ping ok\n[+]log", "/readyz fails"},
		{401, "Unauthorized", "the server has asked for the client to provide credentials"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				t.Errorf("it asks for %s", r.URL)
			}
			w.WriteHeader(tt.code)
			_, _ = w.Write([]byte(tt.body)) // whoever asks sees what is missing
		}))
		api, err := Open(Config{Content: []byte(`{"kind": "Config", "apiVersion": "v1", "current-context": "c",
			"clusters": [{"name": "c", "cluster": {"server": "` + s.URL + `"}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}]}`)})
		if err != nil {
			t.Fatal(err)
		}
		err = api.Ready(t.Context())
		got := ""
		if err != nil {
			got = err.Error()
			if tt.code != 200 && !Reached(err) {
				t.Errorf("%q: %v isn't an answer", tt.body, err)
			}
		}
		if got != tt.want {
			t.Errorf("%d %q: %q, want %q", tt.code, tt.body, got, tt.want)
		}
		api.Close()
		s.Close()
	}
}
