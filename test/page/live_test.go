package page

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/page"
	"github.com/fedns/fedns/test/framework/server"
)

var changes = flag.Int("changes", 15, "after how many changes the memory of a page is looked at, once more after twice as many")

// A proxy stands between the browser and fedns, and knows how many streams are open.
type proxy struct {
	*httptest.Server
	open, ever atomic.Int64
	broken     atomic.Bool // it says 502, as proxies do whose server is gone
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if r.URL.Path == page.Live {
			p.open.Add(1)
			p.ever.Add(1)
			defer p.open.Add(-1)
		}
		defer func() { _ = recover() }() // a stream that is cut off
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	t.Cleanup(p.CloseClientConnections)
	return p
}

// await waits for so many streams.
func (p *proxy) await(t *testing.T, n int64, what string) {
	t.Helper()
	server.Eventually(t, time.Minute, fmt.Sprintf("%s: %d streams are open", what, n), func() bool { return p.open.Load() == n })
}

// seen tells the page whether anybody sees it.
func (w *tab) seen(is bool) {
	w.t.Helper()
	w.eval(nil, fmt.Sprintf("Object.defineProperty(document, 'hidden', { value: %v, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))", !is))
}

const isLive = "document.getElementById('live').textContent === 'live'"

// A page holds one stream, and none when it has been left or nobody sees it: a browser has six connections to a
// server, and the seventh page would wait. It gets over whatever ends a stream.
func TestStreams(t *testing.T) {
	b := openBrowser(t)
	w := newWorld(t)
	up := func(is bool) {
		w.cluster("eu", clusterOf("europe-west1", shop("web", "192.0.2.1", is, "europe-west1"))...)
	}
	up(true)
	w.start([]string{"eu"}, "")
	between := newProxy(t, w.status)
	p := b.tab(t, between.URL)
	p.size(1280, 900, false)

	for i := range 12 {
		p.open([]string{"/", "/events", "/why?name=shop/web"}[i%3])
		p.until("it is live", isLive)
	}
	p.open("/")
	p.until("it is live", isLive)
	between.await(t, 1, "after a walk")
	p.eval(nil, "history.back()")
	p.until("it is the one before", "location.pathname !== '/' && "+isLive)
	between.await(t, 1, "after a step back")
	p.open("/")

	p.seen(false)
	between.await(t, 0, "nobody sees it")
	up(false)
	p.seen(true)
	p.says("shop/web in eu: no ready endpoint")
	between.await(t, 1, "somebody sees it")

	// A proxy says something else than the stream.
	p.bears = func(s string) bool { return strings.Contains(s, "502") || strings.Contains(s, "ERR_") }
	between.broken.Store(true)
	between.CloseClientConnections()
	p.says("not live since")
	up(true)
	between.broken.Store(false)
	p.until("it is live again, and up to date", isLive+" && document.body.innerText.includes('All is well')")
	between.await(t, 1, "after a proxy's fault")

	// Nothing comes any more, and nobody says that the connection has gone.
	ever := between.ever.Load()
	p.eval(nil, "window.jump = 0; performance.now = (was => () => was() + window.jump)(performance.now.bind(performance))")
	server.Eventually(t, time.Minute, "it asks again", func() bool {
		p.eval(nil, "window.jump += 60e3") // once more if something came just then
		time.Sleep(2 * time.Second)
		return between.ever.Load() > ever
	})
	between.await(t, 1, "after a silence")
	p.until("it is live", isLive)

	// The browser's clock is wrong: spans of time are the server's.
	up(false)
	p.says("shop/web in eu: no ready endpoint")
	p.eval(nil, "Date.now = (was => () => was() + 86400e3)(Date.now.bind(Date))")
	p.seen(false)
	p.seen(true)
	p.until("a clock that jumps by a day changes no age", "(e => e && /^[0-9ms]+$/.test(e.textContent))(document.querySelector('#sum time[data-since]')) && "+isLive)
	for _, e := range []string{"/live", "/live?page=/static/page.js", "/live?page=https://example.com/"} {
		resp, err := http.Get(w.status + e)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", e, resp.Status)
		}
	}
}

// What a tab holds doesn't grow with what has changed: an hour of a change a second is -changes 3600.
func TestMemory(t *testing.T) {
	b := openBrowser(t)
	w := newWorld(t)
	n := 0
	change := func(p *tab) {
		n++
		w.cluster("eu", clusterOf("europe-west1", shop("web", "192.0.2.1", n%2 == 0, "europe-west1"), shop("api", "192.0.2.3", true, "europe-west1"))...)
		if p != nil {
			says := "All is well"
			if n%2 == 1 {
				says = "shop/web in eu: no ready endpoint"
			}
			p.says(says)
		}
	}
	n = -1
	change(nil)
	w.start([]string{"eu"}, "")
	p := b.tab(t, w.status)
	p.open("/")
	p.until("it is live", isLive)
	p.do("HeapProfiler.enable", nil)
	look := func() (heap float64, nodes, listeners int) {
		t.Helper()
		p.do("HeapProfiler.collectGarbage", nil)
		var usage struct{ UsedSize float64 }
		p.into(&usage, p.do("Runtime.getHeapUsage", nil))
		var dom struct{ Nodes, JsEventListeners int }
		p.into(&dom, p.do("Memory.getDOMCounters", nil))
		return usage.UsedSize / 1e6, dom.Nodes, dom.JsEventListeners
	}
	for range 8 { // what is compiled and cached once
		change(p)
	}
	run := func(k int) {
		for range k {
			change(p)
		}
	}
	run(*changes)
	heap, nodes, listeners := look()
	run(*changes)
	heap2, nodes2, listeners2 := look()
	t.Logf("after %d changes %.2f MB, %d nodes, %d listeners; after %d %.2f MB, %d nodes, %d listeners", *changes, heap, nodes, listeners, 2**changes, heap2, nodes2, listeners2)
	if heap2 > heap+0.3 || nodes2 > nodes+200 || listeners2 > listeners {
		t.Error("it grows")
	}
}
