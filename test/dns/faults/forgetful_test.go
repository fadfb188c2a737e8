package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// An API server comes back with an empty etcd: the guard holds, and says so (log,
// metric, EDE); after its time the truth is served.
func forgetful(t *testing.T, w *world) {
	for i := range 12 { // so that most of all addresses are in paris
		w.paris.Expose(t, "shop", fmt.Sprint("g", i), fmt.Sprint("192.0.2.", 100+i))
		w.paris.Slice(t, "shop", fmt.Sprint("g", i), "eu-a", true)
	}
	// With a user who may read what isn't there: others are forbidden to, and learn
	// nothing.
	// Longer than a busy machine may take to read what is logged.
	const guard = 12 * time.Second
	s := start(t, corefile(strings.Replace(patient, "50% 3s", "50% "+guard.String(), 1), kubeconfig("paris", w.paris.Kubeconfig), w.members[1], w.members[2]))
	names := []string{"g1", "g1.eu", "g1.eu-a", "web", "web.eu-a", "web.no-a"}
	e := look(t, s, names...)
	w.paris.Kill(t)
	w.paris.StartOn(t, cluster.New(t))
	begin := time.Now()
	line := s.logs(t, 15*time.Second, "guard: ")
	held := time.Now()
	if n := s.metric(t, "guard_held_services"); n < 12 {
		t.Errorf("guard_held_services %v, want all of paris", n)
	}
	server.Eventually(t, time.Second, "EDE names the guard", func() bool { return strings.Contains(fmt.Sprint(s.ask("g1").ede), "guard") })
	ede := s.ask("g1").ede
	until(held.Add(3 * time.Second))
	e.unchanged(t, names...)
	s.becomes(t, guard+5*time.Second, "g1", "NXDOMAIN")
	took := time.Since(held)
	s.becomes(t, time.Second, "web", "192.0.2.2 192.0.2.3")
	if took < guard/2 {
		t.Errorf("the truth is served after %v, want %v", took, guard)
	}
	server.Eventually(t, time.Second, "nothing is held", func() bool { return s.metric(t, "guard_held_services") == 0 })
	s.logs(t, time.Second, "guard: nothing is held back any more")
	e.unchanged(t, "web.no-a")
	row(t, "API server back with an empty etcd", "guard holds 12s (log, metric, EDE), then the truth",
		fmt.Sprintf("%d answers; %q; EDE %q; noticed %v after it was ready", e.questions(), line[strings.Index(line, "guard"):], ede, held.Sub(begin).Round(time.Millisecond)), took)
}
