package cluster

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Only what looks like a version is taken for one, and whoever doesn't say is what it was.
func TestVersion(t *testing.T) {
	said, code := "", http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, said)
	}))
	defer s.Close()
	w := &Watcher{Config: Config{Heartbeat: Heartbeat{Period: time.Minute, Timeout: time.Minute}}}
	a := &api{heart: s.Client(), versions: s.URL}
	for _, tt := range []struct {
		said string
		code int
		want string
	}{
		{`{"gitVersion":"v1.36.3"}`, 200, "v1.36.3"}, {`{"gitVersion":"v1.37.0-eks-1a2b+c"}`, 200, "v1.37.0-eks-1a2b+c"}, {`{"gitVersion":"<script>alert(1)</script>"}`, 200, "v1.37.0-eks-1a2b+c"},
		{`{"gitVersion":"v1.1` + strings.Repeat("1", 100) + `"}`, 200, "v1.37.0-eks-1a2b+c"}, {`<html>`, 200, "v1.37.0-eks-1a2b+c"}, {`{"gitVersion":"v2.0.0"}`, 503, "v1.37.0-eks-1a2b+c"},
		{strings.Repeat(" ", largestVersion) + `{"gitVersion":"v2.0.0"}`, 200, "v1.37.0-eks-1a2b+c"}, {`{}`, 200, "v1.37.0-eks-1a2b+c"}, {`{"gitVersion":"v1.38.0"}`, 200, "v1.38.0"},
	} {
		said, code = tt.said, tt.code
		if w.learnVersion(t.Context(), a); w.Version() != tt.want {
			t.Errorf("%.80s: %q, want %q", tt.said, w.Version(), tt.want)
		}
	}
	a.versions = "http://127.0.0.1:1/version"
	if w.learnVersion(t.Context(), a); w.Version() != "v1.38.0" {
		t.Errorf("nobody is there: %q", w.Version())
	}
}
