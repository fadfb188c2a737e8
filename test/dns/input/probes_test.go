package input

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// Three tenants write 600 annotations that have one server probed, at this host: nothing
// reaches it unless an operator lets annotations count, and that address be probed; and then
// no more than is made at one address, of which each has the same part.
func TestProbesOfTenants(t *testing.T) {
	var mu sync.Mutex
	reached := map[string]int{}
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		reached[r.Host]++
	}))
	defer sink.Close()
	seen := func() (all int, of map[string]int) {
		mu.Lock()
		defer mu.Unlock()
		for _, n := range reached {
			all += n
		}
		return all, maps.Clone(reached)
	}
	dir := t.TempDir()
	objects := []vector.Object{vector.Node("n", "eu", "eu-a")}
	for i := range 600 {
		ns, name := fmt.Sprint("tenant", i%3), fmt.Sprint("web", i)
		s := vector.Service(ns, name, "192.0.2.1")
		s["metadata"].(vector.Object)["annotations"] = vector.Object{
			"fedns.io/probe":         fmt.Sprintf("http /%d interval 1s host %s", i, ns),
			"fedns.io/probe-address": strings.TrimPrefix(sink.URL, "http://"),
		}
		objects = append(objects, s, vector.Slice(ns, name, true, "eu-a"))
	}
	vector.WriteManifest(t, filepath.Join(dir, "all.json"), objects...)
	for _, tt := range []struct {
		probe, said string
	}{
		{"", "says by annotations how it is to be probed, which don't count"},
		{"probe none", "says by annotations how it is to be probed, which don't count"},
		{"probe none annotations on", "a loopback address; it isn't"},
		{"probe none annotations on ports 80 allow 127.0.0.0/8", "a port that isn't probed"},
		{"probe none annotations on paths /healthz* allow 127.0.0.0/8", "a path that isn't asked for"},
	} {
		s := server.Start(t, block(folder(dir)+tt.probe))
		s.WaitReady(t)
		server.Eventually(t, 20*time.Second, tt.probe+": it is said", func() bool {
			return strings.Contains(s.Log(), tt.said) && s.Metric(t, `coredns_federation_notices_total{cluster="c",federation="fed",kind="probe"}`) > 0
		})
		time.Sleep(2 * time.Second) // in which a probe would have come to each
		if n := s.Metric(t, "coredns_federation_probe_targets"); n != 0 {
			t.Errorf("%s: %v targets are probed", tt.probe, n)
		}
		s.Stop()
		if all, _ := seen(); all != 0 {
			t.Fatalf("%s: %d probes reached the server", tt.probe, all)
		}
	}
	began := time.Now()
	s := server.Start(t, block(folder(dir)+"probe none annotations on allow 127.0.0.0/8"))
	server.Eventually(t, time.Minute, "probes come", func() bool { all, _ := seen(); return all >= 120 })
	all, of := seen()
	took := time.Since(began).Seconds()
	t.Logf("%d probes in %.1f s: %v", all, took, of)
	if most := 20 * 1.3 * (took + 1); float64(all) > most {
		t.Errorf("%d probes in %.1f s reached one server", all, took)
	}
	for ns, n := range of {
		if n < all/6 || n > all/2 {
			t.Errorf("%s has %d of %d probes", ns, n, all)
		}
	}
	if !strings.Contains(s.Log(), "asks for more probes than are made") {
		t.Error("nobody says that probes are made less often")
	}
}
