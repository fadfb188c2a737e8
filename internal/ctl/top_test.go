package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What is shown is what came between two looks, of all servers together. One that has begun
// anew counts from nothing.
func TestTop(t *testing.T) {
	var looks, elsewhere atomic.Int64
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	steady := serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		n := looks.Add(1)
		fmt.Fprintf(w, `# HELP coredns_federation_answers_total Answers.
coredns_federation_answers_total{outcome="success",scope="global",server="dns://:53"} %d
coredns_federation_answers_total{outcome="nxdomain",scope="none",server="dns://:53"} %g 1395066363000
coredns_federation_answers_total{outcome="servfail",scope="none",server="dns://:53"} 7
coredns_federation_fast_questions_total{server="dns://:53",way="fast"} %d
coredns_federation_fast_questions_total{server="dns://:53",way="lost"} %d
coredns_dns_requests_total{server="dns://:53"} 12
`, 1000*n, 2e2*float64(n), 900*n, 10*n)
	})
	restarted := serve(func(w http.ResponseWriter, r *http.Request) {
		n := 5000
		if elsewhere.Add(1) > 1 {
			n = 500
		}
		fmt.Fprintf(w, "coredns_federation_answers_total{outcome=\"success\",scope=\"global\",server=\"dns://:53\"} %d", n)
	})
	web := serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	none := serve(http.NotFound)
	var now atomic.Int64
	run := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := Run(t.Context(), Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Version: "test", Now: func() time.Time { return time.Unix(2*now.Add(1), 0) }}, append([]string{"top", "--interval", "100ms"}, args...))
		return out.String(), errs.String(), code
	}
	out, errs, code := run("--metrics", steady, "--metrics", restarted, "--once")
	const want = `SCOPE   OUTCOME   A SECOND  SHARE
global  success   750.0     88%
none    nxdomain  100.0     12%
all               850.0
lost 5.0 a second, beyond the rate of their clients 0.0
`
	if trimmed := strings.ReplaceAll(out, " \n", "\n"); code != 0 || errs != "" || strings.TrimRight(trimmed, "\n") != strings.TrimRight(want, "\n") {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, out, errs, want)
	}
	out, errs, code = run("--metrics", strings.TrimPrefix(steady, "http://"), "--once", "-o", "json")
	var r rates
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Seconds != 2 || r.Servers != 1 || r.PerSecond != 600 || r.Fast != 450 || len(r.Answers) != 2 {
		t.Errorf("exit %d, %+v, %v\n%s%s", code, r, err, out, errs)
	}
	for args, want := range map[string]string{
		"--metrics " + web:                        "are none of fedns's",
		"--metrics " + none + "/metrics":          "it says 404 Not Found",
		"--metrics http://" + dead(t):             "connection refused",
		"--metrics " + steady + " --interval 1ms": "--interval 1ms is too short",
		"--metrics " + steady + " -n shop":        "metrics say nothing of services; --namespace goes without --metrics",
	} {
		if _, errs, code := run(strings.Fields(args)...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s, want %q", args, code, errs, want)
		}
	}
}

// What servers say of their services is added up, the busiest first; one that is away for a moment is waited for.
func TestTopServices(t *testing.T) {
	const first = `{"seconds":0.1,"per_second":30,"total":3,"answers":[
		{"federation":"fed","kind":"svc","namespace":"shop","name":"cart","scope":"global","outcome":"success","per_second":20},
		{"federation":"fed","kind":"ing","namespace":"shop","name":"web","scope":"zonal","outcome":"fallback","per_second":4},
		{"scope":"none","outcome":"nxdomain","per_second":6}]}`
	const second = `{"seconds":0.1,"per_second":10,"total":1,"answers":[
		{"federation":"fed","kind":"svc","namespace":"shop","name":"cart","scope":"global","outcome":"success","per_second":10}]}`
	var asked atomic.Value
	serve := func(body string, lost int32) string {
		var n atomic.Int32
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Store(r.URL.String())
			if lost > 0 && n.Add(1)%2 == 0 {
				http.Error(w, `{"error":"this configuration is being replaced; ask again"}`, http.StatusServiceUnavailable)
				return
			}
			fmt.Fprint(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	a, b := serve(first, 0), serve(second, 0)
	run := func(ctx context.Context, args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := Run(ctx, Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Version: "test", Now: time.Now}, append([]string{"top", "--interval", "100ms"}, args...))
		return out.String(), errs.String(), code
	}
	out, errs, code := run(t.Context(), "--server", a, "--server", b, "--once", "--rows", "2")
	const want = `FEDERATION  SERVICE       SCOPE   OUTCOME   A SECOND  SHARE
fed         shop/cart     global  success   30.0      75%
-           -             none    nxdomain  6.0       15%
all                                         40.0
1 more; --rows says how many are shown
`
	if trimmed := strings.ReplaceAll(strings.ReplaceAll(out, "    \n", "\n"), " \n", "\n"); code != 0 || errs != "" || fields(trimmed) != fields(want) {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, out, errs, want)
	}
	if _, errs, code = run(t.Context(), "--server", a, "--once", "--federation", "fed", "-n", "shop"); code != 0 || asked.Load() != "/api/v1/traffic?federation=fed&limit=10000&namespace=shop&seconds=0.1" {
		t.Errorf("exit %d, asked %s\n%s", code, asked.Load(), errs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var tables countingWriter
	go func() {
		tables.reached(3)
		cancel()
	}()
	var said bytes.Buffer
	env := Env{Stdout: &tables, Stderr: &said, Getenv: func(string) string { return "" }, Version: "test", Now: time.Now}
	if code := Run(ctx, env, []string{"top", "--interval", "100ms", "--server", serve(second, 1)}); code != 0 || said.Len() > 0 {
		t.Errorf("a server that is away every other time: exit %d\n%s", code, said.String())
	}
	for args, want := range map[string]string{
		"--server http://" + dead(t):     "connection refused",
		"--interval 11s --server " + a:   "--interval 11s is too long; 10s or shorter",
		"--rows 0 --server " + a:         "--rows 0 shows nothing",
		"--server " + serve("<html>", 0): "is none of fedns's reports",
	} {
		if _, errs, code := run(t.Context(), strings.Fields(args)...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s, want %q", args, code, errs, want)
		}
	}
}

// fields are the words of a table.
func fields(s string) string { return strings.Join(strings.Fields(s), " ") }

// A countingWriter counts the tables that are written to it.
type countingWriter struct {
	mu   sync.Mutex
	n    int
	more sync.Cond
}

func (w *countingWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n += bytes.Count(b, []byte("A SECOND"))
	if w.more.L != nil {
		w.more.Broadcast()
	}
	return len(b), nil
}

func (w *countingWriter) reached(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.more.L = &w.mu
	for w.n < n {
		w.more.Wait()
	}
}
