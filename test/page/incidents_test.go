package page

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// Somebody who knows nothing of a federation is told that something is wrong, and begins at the first page:
// what are the clicks to the cause, and to what to do? Three at most.
func TestIncidents(t *testing.T) {
	b := openBrowser(t)
	for _, tt := range []struct {
		name  string
		wreck func(*testing.T, *world)
		first []string   // that the first page says
		walk  [][]string // what is clicked, within what, and what is said then
	}{
		{"a dead API", func(t *testing.T, w *world) {
			w.cluster("eu", clusterOf("europe-west1", shop("web", "192.0.2.1", true, "europe-west1"))...)
			w.cluster("us", clusterOf("us-central1", shop("web", "192.0.2.2", true, "us-central1"))...)
			a, source := w.api("asia", "asia-east1", shop("web", "203.0.113.1", true, "asia-east1")...)
			w.start([]string{"eu", "us"}, source+"  heartbeat 300ms 1s")
			a.Fail(func(string, string) int { return http.StatusServiceUnavailable })
		}, []string{"Cluster asia is silent", "Next its shards are withdrawn, but for those whose probes pass: in", "see whether its API is up and reachable from here", "kubectl --context asia get --raw /readyz"},
			[][]string{{"#sum", "What happened", "cluster asia", "silent"}}},
		{"a drained zone that was forgotten", func(t *testing.T, w *world) {
			w.write("overrides", `drain zone/europe-west1-a reason "disk swap"`+"\n")
			w.cluster("eu", clusterOf("europe-west1", shop("web", "192.0.2.1", true, "europe-west1"))...)
			w.cluster("us", clusterOf("us-central1", shop("web", "192.0.2.2", true, "us-central1"))...)
			w.start([]string{"eu", "us"}, "")
		}, []string{"Drained: zone/europe-west1-a", "Why disk swap", "has somebody forgotten it?", "fedctl undrain zone/europe-west1-a"},
			[][]string{{"#services", "shop/web", "drained: disk swap"}}},
		{"a host conflict", func(t *testing.T, w *world) {
			w.cluster("eu", append(clusterOf("europe-west1"),
				vector.Service("shop", "web", "192.0.2.82"), vector.Slice("shop", "web", true, "europe-west1-a"), vector.With(vector.Ingress("shop", "web", "192.0.2.80", [2]string{"www.example.com", "web"}), "creationTimestamp", "2020-01-01T00:00:00Z"),
				vector.Service("other", "web", "192.0.2.83"), vector.Slice("other", "web", true, "europe-west1-a"), vector.With(vector.Ingress("other", "web", "192.0.2.81", [2]string{"www.example.com", "web"}), "creationTimestamp", "2021-01-01T00:00:00Z"))...)
			w.start([]string{"eu"}, "")
		}, []string{"Host www.example.com is claimed more than once", "namespace shop holds it; namespace other is refused", "take the host out of the Ingress or route that shouldn't have it, in namespace other"},
			[][]string{{"#sum", "Why", "Who claims the host", "namespace other of federation fed is refused"}}},
		{"a probe that lies", func(t *testing.T, w *world) {
			w.cluster("eu", clusterOf("europe-west1", shop("web", "192.0.2.1", true, "europe-west1"))...)
			w.start([]string{"eu"}, "  probe tcp interval 1s timeout 500ms fall 2")
		}, []string{"Nothing is answered for shop/web", "shop/web in eu: probe fails", "their endpoints are ready (1 of 1)", "compare the probe"},
			[][]string{{"#services", "shop/web", "probe failing", "tcp", "1 ready endpoint"}}},
		{"a guard that holds", func(t *testing.T, w *world) {
			all := func(ready bool) []vector.Object {
				list := clusterOf("europe-west1")
				for _, name := range strings.Fields("a b c d e f") {
					list = append(list, shop(name, "192.0.2."+string('0'+name[0]-'a'+1), ready, "europe-west1")...)
				}
				return list
			}
			w.cluster("eu", all(true)...)
			w.start([]string{"eu"}, "  guard 50% 10m 2")
			w.cluster("eu", all(false)...)
		}, []string{"The guard holds withdrawals of 6 services back", "of clusters eu (6)", "Next addresses that are still gone are withdrawn: in", "see why so many go at once"},
			[][]string{{"#services", "shop/a", "kept by the guard, for now: no ready endpoint"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.wreck(t, w)
			p := b.tab(t, w.status)
			p.size(1280, 900, false)
			p.open("/")
			p.says(tt.first...)
			if len(tt.walk) > 3 {
				t.Errorf("%d clicks", len(tt.walk))
			}
			for _, c := range tt.walk {
				p.click(c[0], c[1])
				p.says(c[2:]...)
			}
		})
	}
}
