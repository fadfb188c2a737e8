package faults

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// A mood is how a proxy treats who calls.
type mood string

const (
	kind     mood = "passes everything on"
	throttle mood = "429 to everything"
	expire   mood = "every watch ends with 410 Gone after 200ms"
	slow     mood = "every list takes 3s, watches broken"
	tardy    mood = "lists of slices take their time"
	distrust mood = "nobody's token is known"
)

// A proxy stands before a real API server, and can be in a mood.
type proxy struct {
	member
	*httptest.Server

	slices time.Duration // what lists of slices take, when it is tardy

	mu      sync.Mutex // guards the rest
	mood    mood
	now     context.Context // ends with the mood, and calls with it
	end     context.CancelFunc
	watches map[string]int // under way, by path and query
}

func newProxy(t *testing.T, c *cluster.Cluster) *proxy {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.ReadOnly(t))
	if err != nil {
		t.Fatal(err)
	}
	far, err := url.Parse(config.Clusters[c.Name].Server)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(config.Clusters[c.Name].CertificateAuthorityData) {
		t.Fatal("no certificate in the kubeconfig")
	}
	p := &proxy{watches: map[string]int{}}
	p.now, p.end = context.WithCancel(t.Context())
	on := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(far) },
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true},
		FlushInterval: -1, // watches are read as they come
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, on) }))
	p.EnableHTTP2 = true
	p.StartTLS()
	t.Cleanup(func() { p.feel(t, kind); p.CloseClientConnections(); p.Close() })
	config.Clusters[c.Name].Server = p.URL
	config.Clusters[c.Name].CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	out := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, out); err != nil {
		t.Fatal(err)
	}
	p.member = kubeconfig(c.Name, out)
	return p
}

// feel changes the mood, and ends all that is under way, watches included.
func (p *proxy) feel(t *testing.T, m mood) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	p.mood = m
	p.now, p.end = context.WithCancel(context.Background())
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request, on http.Handler) {
	p.mu.Lock()
	m, now := p.mood, p.now
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(now, cancel)()
	q := r.URL.Query()
	watch := q.Get("watch") == "true" || q.Get("watch") == "1"
	status := func(code int, reason, message string) string {
		return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":%q,"reason":%q,"code":%d}`, message, reason, code)
	}
	say := func(code int, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintln(w, text)
	}
	switch {
	case m == throttle:
		say(http.StatusTooManyRequests, status(429, "TooManyRequests", "the server is busy"))
		return
	case m == expire && watch:
		// In the open stream, behind real events; JSON, so that it can be written here.
		r.Header.Set("Accept", strings.ReplaceAll(r.Header.Get("Accept"), "application/vnd.kubernetes.protobuf", "application/json"))
		defer time.AfterFunc(200*time.Millisecond, cancel).Stop()
		defer func() {
			if e := recover(); e != nil {
				if err, is := e.(error); !is || !errors.Is(err, http.ErrAbortHandler) {
					panic(e)
				}
			}
			fmt.Fprintln(w, `{"type":"ERROR","object":`+status(410, "Expired", "too old resource version")+`}`)
		}()
	case (m == slow && strings.HasPrefix(r.URL.Path, "/api") || m == tardy && strings.HasSuffix(r.URL.Path, "/endpointslices")) &&
		(!watch || q.Get("sendInitialEvents") == "true"):
		takes := p.slices
		if m == slow {
			takes = 3 * time.Second
		}
		select {
		case <-time.After(takes): // it is that slow
		case <-ctx.Done():
			panic(http.ErrAbortHandler)
		}
	case m == distrust:
		r.Header.Set("Authorization", "Bearer forgotten")
	}
	if watch {
		what := r.URL.Path + "?" + r.URL.RawQuery
		p.count(what, 1)
		defer p.count(what, -1)
	}
	on.ServeHTTP(w, r.WithContext(ctx))
}

// count adds n to the watches under way of one question.
func (p *proxy) count(what string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watches[what] += n; p.watches[what] == 0 {
		delete(p.watches, what)
	}
}

// watched is the questions that are watched now.
func (p *proxy) watched() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.watches))
}

// Watches return 410 Gone, everything returns 429, lists are slow, credentials are
// revoked and restored: nothing is withdrawn, and the metric names it.
func refusing(t *testing.T, w *world) {
	p := newProxy(t, w.oslo)
	s := start(t, corefile(patient, w.members[0], w.members[1], p.member))
	s.fresh(t, healed)
	errors := func(reasons string) (n float64) {
		for r := range strings.SplitSeq(reasons, " or ") {
			n += s.metric(t, "cluster_errors_total", `cluster="oslo"`, fmt.Sprintf("reason=%q", r))
		}
		return n
	}
	names := []string{"web", "web.no-a", "live.no-a", "web.eu-a"}
	for i, r := range []struct {
		mood   mood
		reason string
	}{
		{throttle, "throttled"},
		{expire, "gone"},
		{slow, "closed or unreachable"}, // the broken watches are, as the break may fall
		{distrust, "unauthorized"},
		{"revoked", "forbidden"},
	} {
		t.Run(string(r.mood), func(t *testing.T) {
			e := look(t, s, names...)
			before := errors(r.reason)
			began := time.Now()
			if r.mood == "revoked" {
				w.oslo.Revoke(t)
				p.feel(t, kind) // the open watches would go on
			} else {
				p.feel(t, r.mood)
			}
			server.Eventually(t, 5*time.Second, fmt.Sprintf("errors of reason %q are counted", r.reason), func() bool { return errors(r.reason) > before })
			until(began.Add(2500 * time.Millisecond))
			if n := errors(r.reason) - before; n > 200 {
				t.Errorf("%v errors in %v: nobody should be asked that often who refuses", n, time.Since(began))
			}
			seen := fmt.Sprintf("silent %v, %s counted %v times", s.metric(t, "cluster_silent") == 1, r.reason, errors(r.reason)-before)
			// A new address, of which fedns learns when it can.
			fresh := fmt.Sprint("192.0.2.", 31+i)
			if err := move(t, w.oslo, "live", fresh); err != nil {
				t.Fatal(err)
			}
			e.unchanged(t, "web", "web.no-a", "web.eu-a")
			if r.mood == "revoked" {
				w.oslo.Restore(t)
			} else if r.mood != slow { // which is survived without a change of mood
				p.feel(t, kind)
			}
			mended := time.Now()
			// client-go's reflectors back off up to 10 s; the end of a silence cuts that short.
			s.becomes(t, 15*time.Second, "live.no-a", fresh)
			took := time.Since(mended)
			s.fresh(t, 15*time.Second, names...)
			e.unchanged(t, "web", "web.no-a", "web.eu-a")
			server.Eventually(t, time.Second, "the eye sees it as well", func() bool { return len(e.whats("live.no-a")) > 1 })
			if h := e.whats("live.no-a"); len(h) != 2 {
				t.Errorf("live.no-a: %s", timeline(h))
			}
			row(t, string(r.mood), fmt.Sprintf("no wrong withdrawal; cluster_errors_total{reason=%q}", r.reason),
				fmt.Sprintf("%d answers, 0 wrong; %s; the change made meanwhile came %v after", e.questions(), seen, took.Round(time.Millisecond)), time.Since(began))
			p.feel(t, kind)
			s.fresh(t, 15*time.Second)
			defer func() {
				if t.Failed() {
					t.Logf("watched at the end:\n%s", strings.Join(p.watched(), "\n"))
				}
			}()
			server.Eventually(t, 15*time.Second, "everything is watched again", func() bool { return len(p.watched()) == 6 }) // slices by three watches
		})
	}
	if err := move(t, w.oslo, "live", sites[2].live); err != nil {
		t.Fatal(err)
	}
	s.becomes(t, healed, "live.no-a", sites[2].live)
}
