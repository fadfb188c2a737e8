package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/report"
)

// A notebook is what somebody reads while it is written.
type notebook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notebook) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(b)
}

func (n *notebook) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// until waits until something has been written.
func (n *notebook) until(t *testing.T, what string) {
	for end := time.Now().Add(time.Minute); !strings.Contains(n.String(), what); time.Sleep(time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Errorf("it doesn't say %q but %q", what, n.String())
			return
		}
	}
}

// What takes a while says what it waits for; what doesn't says nothing.
func TestWaiting(t *testing.T) {
	a := awhile
	t.Cleanup(func() { awhile = a })
	var stderr *notebook
	var want string
	s := quiet(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want != "" {
			stderr.until(t, want)
		}
		w.Header().Set("Content-Type", "application/json")
		var o any = report.Clusters{Clusters: []report.Cluster{}}
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/v1/namespaces"):
			o = map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": map[string]any{"name": "federation"}, "data": map[string]any{"name": "fed"}}
		case strings.HasSuffix(r.URL.Path, "v1alpha1/clusters"):
			o = map[string]any{"kind": "ClusterList", "apiVersion": "fedns.io/v1alpha1", "metadata": map[string]any{"resourceVersion": "1"}, "items": []any{}}
		}
		_ = json.NewEncoder(w).Encode(o)
	}))
	s.Start()
	t.Cleanup(s.Close)
	d := newDesk(t)
	kubeconfig := d.dir + "/kubeconfig"
	writeFile(t, kubeconfig, kubeconfigOf(s.URL, nil))
	server := "clusters: waiting for server " + s.URL
	for _, tt := range []struct {
		args     string
		terminal int
		term     string
		want     string // what stderr gets, once a request
	}{
		{"clusters -o name", 0, "", server + "\n"},
		{"clusters -o name", 100, "", "\r\x1b[K" + server + "\r\x1b[K"},
		{"clusters -o name", 30, "", "\r\x1b[K" + server[:26] + "...\r\x1b[K"},
		{"clusters -o name", 100, "dumb", server + "\n"},
		{"get clusters --context fed -o name", 0, "", "get clusters: waiting for the API at " + s.URL + "\n"},
	} {
		env := map[string]string{"FEDNS_SERVER": s.URL, "KUBECONFIG": kubeconfig, "TERM": tt.term}
		look := func() string {
			stderr = &notebook{}
			code := Run(t.Context(), Env{Stdout: &bytes.Buffer{}, Stderr: stderr, ErrColumns: tt.terminal, Getenv: func(k string) string { return env[k] }, Now: time.Now, Version: "test"}, strings.Fields(tt.args))
			if code != 0 {
				t.Errorf("%s: exit %d, %s", tt.args, code, stderr)
			}
			return stderr.String()
		}
		awhile, want = time.Millisecond, strings.TrimSuffix(strings.TrimSuffix(tt.want, "\r\x1b[K"), "\n")
		if got := look(); got == "" || strings.ReplaceAll(got, tt.want, "") != "" {
			t.Errorf("%s in %d columns: %q, want %q", tt.args, tt.terminal, got, tt.want)
		}
		awhile, want = time.Hour, ""
		if got := look(); got != "" {
			t.Errorf("%s: says %q of what took no time", tt.args, got)
		}
	}
}

// What was said before still stands there when something else has been waited for.
func TestWaitingWithin(t *testing.T) {
	a := awhile
	awhile = time.Millisecond
	t.Cleanup(func() { awhile = a })
	for _, tt := range []struct {
		columns int
		want    string
	}{
		{0, "drain: first\ndrain: waiting for it\ndrain: second\n"},
		{80, "\r\x1b[Kdrain: first\r\x1b[Kdrain: waiting for it\r\x1b[K\r\x1b[Kdrain: first\r\x1b[Kdrain: second\r\x1b[K"},
	} {
		var out notebook
		c := &call{Env: Env{Stderr: &out, ErrColumns: tt.columns, Getenv: func(string) string { return "" }}, command: command{name: "drain"}}
		p := c.progress()
		p.say("first")
		done := c.waiting("it")
		out.until(t, "waiting for it")
		done()
		p.say("first")
		p.say("second")
		p.end()
		if got := out.String(); got != tt.want {
			t.Errorf("in %d columns %q, want %q", tt.columns, got, tt.want)
		}
	}
}

// A program that gives credentials may take its time: whoever waits for it is told.
func TestWaitingForCredential(t *testing.T) {
	a := awhile
	awhile = time.Millisecond
	t.Cleanup(func() { awhile = a })
	s := quiet(refuses(403, "Forbidden", "asked with credentials"))
	s.StartTLS()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	// It ends when what is waited for has been said.
	program := dir + "/credential"
	said := dir + "/said"
	if err := os.WriteFile(program, []byte("#!/bin/sh\nwhile [ ! -e "+said+" ]; do sleep 0.01; done\n"+`echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "x"}}'`+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	kubeconfig := dir + "/kubeconfig"
	writeFile(t, kubeconfig, fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "fed", "clusters": [{"name": "c", "cluster": {"insecure-skip-tls-verify": true, "server": %q}}],
		"contexts": [{"name": "fed", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": %q, "interactiveMode": "Never"}}}]}`, s.URL, program))
	var stderr notebook
	done := make(chan int)
	go func() {
		env := map[string]string{"KUBECONFIG": kubeconfig}
		done <- Run(t.Context(), Env{Stdout: &bytes.Buffer{}, Stderr: &stderr, Getenv: func(k string) string { return env[k] }, Now: time.Now, Version: "test"}, strings.Fields("get clusters"))
	}()
	stderr.until(t, "get clusters: waiting for the API at "+s.URL)
	writeFile(t, said, "")
	if code := <-done; code != 1 || !strings.Contains(stderr.String(), ": asked with credentials\n") {
		t.Errorf("exit %d, %s", code, stderr.String())
	}
}
