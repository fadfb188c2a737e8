// Package page looks at the status page as people do: in a browser, by roles and text, with a
// keyboard, and without scripts.
package page

import (
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/fakeapi"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

var update = flag.Bool("update", false, "make the pictures in docs/page anew")

// axe finds what keeps people from a page that they can't see, or not well: axe-core, MPL-2.0.
//
//go:embed testdata/axe.min.js
var axe string

// A world is clusters as folders, and a fedns over them.
type world struct {
	t      *testing.T
	dir    string
	status string
	*server.Server
}

func (w *world) cluster(name string, objects ...vector.Object) {
	w.t.Helper()
	vector.WriteManifest(w.t, filepath.Join(w.dir, name, "objects.json"), objects...)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// start starts fedns over some clusters; options are lines of its stanza, in which DIR is the world's folder.
func (w *world) start(clusters []string, options string) {
	w.t.Helper()
	port := vector.Port(w.t)
	w.status = fmt.Sprint("http://127.0.0.1:", port)
	w.Server = server.Start(w.t, "example.com:PORT {\n bind ADDR\n federation fed {\n"+server.Members(w.dir, clusters...)+
		strings.ReplaceAll(options, "DIR", w.dir)+fmt.Sprintf("\n  overrides %s/overrides\n  status 127.0.0.1:%d\n }\n ready READY\n errors\n}\n", w.dir, port))
}

func newWorld(t *testing.T) *world { return &world{t: t, dir: t.TempDir()} }

// shop is a service at an address of a cluster.
func shop(name, addr string, ready bool, region string) []vector.Object {
	return []vector.Object{vector.Service("shop", name, addr), vector.Slice("shop", name, ready, region+"-a")}
}

func clusterOf(region string, objects ...[]vector.Object) []vector.Object {
	return append([]vector.Object{vector.Node("n", region, region+"-a")}, slices.Concat(objects...)...)
}

// api is a cluster with an API that can be silenced.
func (w *world) api(name, region string, objects ...vector.Object) (*fakeapi.API, string) {
	w.t.Helper()
	a := fakeapi.New(w.t, builtin.Services, builtin.EndpointSlices, builtin.Nodes, builtin.Ingresses, builtin.Namespaces)
	c := a.Client()
	namespace := vector.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": vector.Object{"name": "shop"}}
	for _, o := range append([]vector.Object{namespace, vector.Node("n", region, region+"-a")}, objects...) {
		text, err := json.Marshal(o)
		if err != nil {
			w.t.Fatal(err)
		}
		x := &kube.Object{}
		if err := x.UnmarshalJSON(text); err != nil {
			w.t.Fatal(err)
		}
		k, ok := builtin.Find(x.GetAPIVersion(), x.GetKind())
		switch x.GetKind() {
		case "Node":
			k, ok = builtin.Nodes, true
		case "EndpointSlice":
			k, ok = builtin.EndpointSlices, true
		}
		if !ok {
			w.t.Fatalf("%s: no such kind", x.GetKind())
		}
		if _, _, err := c.Apply(w.t.Context(), k, x, kube.How{Manager: "test", Force: true}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.write(name+".kubeconfig", string(a.Kubeconfig()))
	return a, "  cluster " + name + " {\n   kubeconfig DIR/" + name + ".kubeconfig\n   region " + region + "\n   zones " + region + "-a\n  }\n"
}

// The page shows what stands, why, and what has happened; a change is on it without a reload; keys and
// screen readers have all of it, and so has who has no scripts.
func TestPage(t *testing.T) {
	b := openBrowser(t)
	w := newWorld(t)
	w.cluster("eu", clusterOf("europe-west1", shop("web", "192.0.2.1", true, "europe-west1"), shop("api", "192.0.2.3", true, "europe-west1"))...)
	w.cluster("us", clusterOf("us-central1", shop("web", "198.51.100.1", true, "us-central1"))...)
	asia, source := w.api("asia", "asia-east1", shop("web", "203.0.113.1", true, "asia-east1")...)
	w.start([]string{"eu", "us"}, source+"  heartbeat 300ms 1s\n  hold 10m\n  state DIR/state")
	p := b.tab(t, w.status)
	p.size(1280, 900, false)

	p.open("/")
	p.says("All is well", "asia-east1", "Servers", "v1.36.0")
	roles := p.roles()
	for _, want := range []string{"navigation Views", "link Now", "link Why", "link What happened", "main ", "heading Clusters", "heading Services", "heading Servers", "rowheader us", "slider As it was at", "searchbox Namespace or name", "image Map of the regions; the table below says the same"} {
		if !slices.ContainsFunc(roles, func(r string) bool { return strings.HasPrefix(r, want) }) {
			t.Errorf("a screen reader doesn't tell of %q but\n%s", want, strings.Join(roles, "\n"))
		}
	}
	p.until("it is live", isLive)
	p.eval(nil, "window.same = true; document.getElementById('text').focus()")

	// A change of a manifest.
	p.eval(nil, "window.seen = 0; new MutationObserver(() => { if (!window.seen && document.body.innerText.includes('shop/web in us: no ready endpoint')) window.seen = Date.now(); }).observe(document.body, { subtree: true, childList: true, characterData: true })")
	w.cluster("us", clusterOf("us-central1", shop("web", "198.51.100.1", false, "us-central1"))...)
	p.says("1 thing to look at", "shop/web in us: no ready endpoint")
	var seen float64
	p.eval(&seen, "window.seen")
	t.Logf("on the page %.0f ms after it was in the answers", seen-w.lastEvent(t)*1000)

	// An order.
	reason := "<b onclick=alert(1)>rack</b> 3" // anybody's text
	if *update {
		reason = "rack 3 has no power"
	}
	w.write("overrides", fmt.Sprintf("drain region/europe-west1 reason %q\n", reason))
	p.says("Drained: region/europe-west1", reason, "fedctl undrain region/europe-west1", "to asia-east1")

	// A cluster that is silenced, and heard again.
	asia.Fail(func(string, string) int { return http.StatusServiceUnavailable })
	p.says("Cluster asia is silent", "its shards are withdrawn, but for those whose probes pass")
	asia.Fail(nil)
	p.until("it is heard again", "!document.body.innerText.includes('Cluster asia is silent')")
	var same bool
	var focus string
	p.eval(&same, "window.same === true")
	p.eval(&focus, "document.activeElement.id")
	if !same || focus != "text" {
		t.Errorf("the page was loaded anew (%v), or the focus went to %q", !same, focus)
	}

	// The server dies and returns.
	p.bears = func(s string) bool { return strings.Contains(s, "ERR_") }
	w.Stop()
	p.says("not live since")
	w.Restart(t)
	p.until("it is live again", isLive)
	p.bears = nil
	p.says("Drained: region/europe-west1")

	// Why, by keys alone.
	p.open("/why")
	p.eval(nil, "document.getElementById('name').focus()")
	p.do("Input.insertText", object{"text": "service/shop/web"})
	p.eval(nil, "window.old = true")
	p.press("Enter")
	p.until("it is explained", "!window.old && document.querySelector('#answer')")
	p.says("web.shop.fed.svc.example.com", ";; status: NOERROR", "203.0.113.1", "not in the answer: no ready endpoint", "drained: "+reason)
	p.open("/why?name=web.shop.fed.svc.us-central1.example.com")
	p.says("region web.shop.fed.svc.us-central1.example.com", "everywhere web.shop.fed.svc.example.com answers")
	p.open("/why?name=service/shop/api&take=cluster/eu")
	p.says("What would change", "To type", "fedctl down cluster/eu --reason 'what if' --dry-run", "Without eu")
	p.open("/why?name=service/shop/web&take=cluster/asia")
	p.says("1 service would have no address anywhere")
	p.open("/why?name=service/shop/nothing")
	p.says("there is no service/shop/nothing")
	p.open("/why?name=" + strings.Repeat("%3Cscript%3Ealert(1)%3C/script%3E", 5))
	p.says("<script>alert(1)</script>")

	// What happened, with what was before.
	p.open("/events?service=shop/web")
	p.says("shop/web in us", "no ready endpoint", "web.shop.fed.svc.us-central1.example.com")
	p.open("/events")
	p.says("cluster asia", "in force")
	var told string
	if p.eval(&told, "[...document.querySelectorAll('#events tbody tr')].filter(r => r.querySelector('th').innerText.startsWith('cluster ')).map(r => r.querySelector('th').innerText.trim() + ' ' + r.querySelector('.state').innerText.trim()).join(', ')"); told != "cluster asia heard, cluster asia silent" {
		t.Errorf("after a restart of the server, in which nobody fell silent, it has happened that %s", told)
	}
	p.eval(nil, "document.getElementById('kind').value = 'order'; document.getElementById('kind').dispatchEvent(new Event('input', { bubbles: true }))")
	p.until("only orders are shown, at an address of their own", "location.search === '?kind=order' && [...document.querySelectorAll('#events tbody th')].every(e => e.innerText === 'order')")

	// Every place where keys get to can be seen, and they get everywhere.
	p.open("/")
	var reached []string
	for range 60 {
		p.press("Tab")
		var at struct {
			Name string
			Seen bool
		}
		p.eval(&at, "(() => { const e = document.activeElement, r = e.getBoundingClientRect(); return { Name: e === document.body ? '' : e.id || e.innerText || e.getAttribute('aria-label') || e.tagName, Seen: r.width > 0 && r.height > 0 && getComputedStyle(e).outlineStyle !== 'none' }; })()")
		if at.Name == "" { // once around
			break
		}
		if reached = append(reached, at.Name); !at.Seen {
			t.Errorf("%q has the focus, and nobody sees it", at.Name)
		}
	}
	for _, want := range []string{"To the content", "Now", "Why", "What happened", "at", "text", "Filter", "shop/web"} {
		if !slices.Contains(reached, want) {
			t.Errorf("keys don't get to %q but to %q", want, reached)
		}
	}

	// As it was: only what the server that runs now has answered is known.
	w.cluster("us", clusterOf("us-central1", shop("web", "198.51.100.1", true, "us-central1"))...)
	p.until("it is up again", "!document.body.innerText.includes('shop/web in us: no ready endpoint')")
	at := w.lastEvent(t)
	p.open(fmt.Sprintf("/?at=%.3f", at-0.001))
	p.says("This is how it was at", "Back to now")
	p.open(fmt.Sprintf("/why?name=shop/web&at=%.3f", at-0.001))
	p.says("This is how it was at", "203.0.113.1")
	p.bears = func(s string) bool { return strings.Contains(s, "404") }
	p.open("/?at=1000000000")
	p.says("isn't known")
	p.bears = nil

	// For everybody, in both colours; and at each width nothing is cut off.
	views := []string{"/", "/why?name=service/shop/web&take=cluster/asia", "/events"}
	for _, dark := range []bool{false, true} {
		for _, v := range views {
			p.size(1280, 900, dark)
			p.open(v)
			p.accessible(fmt.Sprintf("%s, dark %v", v, dark))
		}
	}
	for _, width := range []int{390, 1280, 2560} {
		p.size(width, map[int]int{390: 844, 1280: 900, 2560: 1440}[width], false)
		for i, v := range views {
			p.open(v)
			p.until("it is live", isLive)
			var over int
			if p.eval(&over, "Math.max(document.documentElement.scrollWidth - innerWidth, ...[...document.querySelectorAll('.scroll, pre')].map(e => e.scrollWidth - e.clientWidth))"); over > 0 {
				var wide []string
				p.eval(&wide, "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('pre')).map(e => e.tagName + '.' + e.className + '#' + e.id)")
				t.Errorf("%s is %d pixels wider than %d: %v", v, over, width, wide)
			}
			if *update {
				w.keep(fmt.Sprintf("%s-%d.png", []string{"now", "why", "events"}[i], width), p.shot())
			}
		}
	}

	// Without scripts.
	p.size(1280, 900, false)
	p.do("Emulation.setScriptExecutionDisabled", object{"value": true})
	for v, want := range map[string]string{"/": "Drained: region/europe-west1", "/why?name=shop/web": ";; status: NOERROR", "/events?kind=order": "in force"} {
		p.do("Page.navigate", object{"url": w.status + v})
		server.Eventually(t, time.Minute, v+" without scripts says "+want, func() bool {
			return slices.ContainsFunc(p.roles(), func(r string) bool { return strings.Contains(r, want) })
		})
	}
}

// accessible has axe look at the page.
func (w *tab) accessible(what string) {
	w.t.Helper()
	w.eval(nil, axe)
	var found []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	w.eval(&found, "axe.run().then(r => r.violations.map(v => ({ ID: v.id, Help: v.help, Nodes: v.nodes.map(n => ({ HTML: n.html, FailureSummary: n.failureSummary })) })))")
	for _, v := range found {
		w.t.Errorf("%s: %s: %s: %+v", what, v.ID, v.Help, v.Nodes)
	}
}

// lastEvent is when something happened last, in Unix seconds.
func (w *world) lastEvent(t *testing.T) float64 {
	t.Helper()
	var all struct{ Events []struct{ At float64 } }
	w.get("/api/v1/events?limit=1", &all)
	if len(all.Events) == 0 {
		t.Fatal("nothing has happened")
	}
	return all.Events[0].At
}

func (w *world) get(path string, into any) {
	w.t.Helper()
	resp, err := http.Get(w.status + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		w.t.Fatal(err)
	}
}

// keep writes a picture.
func (w *world) keep(name string, png []byte) {
	w.t.Helper()
	dir := filepath.Join(vector.Root(), "docs", "page")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// Ten thousand services are no more to look at than ten: what isn't well comes first, the rest is folded.
func TestManyServices(t *testing.T) {
	b := openBrowser(t)
	w := newWorld(t)
	objects := clusterOf("europe-west1")
	for i := range 10_000 {
		name := fmt.Sprintf("s%05d", i)
		objects = append(objects, vector.Service("many", name, fmt.Sprintf("198.18.%d.%d", i/250, i%250+1)), vector.Slice("many", name, i != 7777, "europe-west1-a"))
	}
	w.cluster("eu", objects...)
	w.start([]string{"eu"}, "")
	p := b.tab(t, w.status)
	p.size(1280, 900, false)
	p.open("/")
	p.says("many/s07777 in eu: no ready endpoint", "Not well: 1", "Well: 9,999")
	var first, heap float64
	p.shot() // has it painted
	p.until("it is painted", "performance.getEntriesByName('first-contentful-paint').length")
	p.eval(&first, "performance.getEntriesByName('first-contentful-paint')[0].startTime")
	p.eval(&heap, "performance.memory.usedJSHeapSize / 1048576")
	var rows int
	if p.eval(&rows, "document.querySelectorAll('#services tbody tr').length"); rows > 400 {
		t.Errorf("%d rows", rows)
	}
	t.Logf("first paint after %.0f ms, %.1f MB", first, heap)
	p.until("it is live", isLive)
	p.eval(nil, "window.seen = 0; new MutationObserver(() => { if (!window.seen && document.getElementById('sum').textContent.includes('s04444')) window.seen = Date.now(); }).observe(document.body, { subtree: true, childList: true })")
	objects[1+2*4444+1] = vector.Slice("many", "s04444", false, "europe-west1-a")
	w.cluster("eu", objects...)
	p.says("Not well: 2", "Well: 9,998")
	var seen float64
	p.until("the change is seen", "window.seen")
	p.eval(&seen, "window.seen")
	t.Logf("a change of one of 10,000 is on the page %.0f ms after it was in the answers", seen-w.lastEvent(t)*1000)
	p.eval(nil, "document.getElementById('text').value = 's0123'; document.getElementById('text').dispatchEvent(new Event('input', { bubbles: true }))")
	p.until("ten are left", "document.getElementById('good').innerText.includes('Well: 10') && document.getElementById('good').open")
}
