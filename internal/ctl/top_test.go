package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
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
	} {
		if _, errs, code := run(strings.Fields(args)...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s, want %q", args, code, errs, want)
		}
	}
}
