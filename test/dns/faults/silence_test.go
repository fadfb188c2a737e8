package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
)

// SIGSTOP of one API server, its shards alive: no answer changes until hold, and
// then it is gone. SIGCONT: fresh again within 5 s.
func stoppedWithdraw(t *testing.T, w *world) {
	s := start(t, corefile(health+" silence withdraw\n", w.members...))
	e := look(t, s, "web.no-a", "web", "web.eu-a")
	stopped := time.Now()
	w.oslo.Pause()
	defer w.oslo.Resume()
	s.becomes(t, hold+2*time.Second, "web.no-a", "→ no → global → 192.0.2.1 192.0.2.2")
	s.becomes(t, time.Second, "web", "192.0.2.1 192.0.2.2")
	server.Eventually(t, time.Second, "the eye sees it as well", func() bool { return len(e.whats("web.no-a")) > 1 && len(e.whats("web")) > 1 })
	e.unchanged(t, "web.eu-a")
	var gone time.Duration
	for _, n := range []string{"web.no-a", "web"} {
		h := e.whats(n)
		if len(h) != 2 {
			t.Fatalf("%s: changed %d times, want one withdrawal: %s", n, len(h)-1, timeline(h))
		}
		// Hold is counted from the last beat, a period before the stop, and more on a busy machine.
		if gone = h[1].at.Sub(stopped); gone < hold/2 || gone > hold+busy {
			t.Errorf("%s: withdrawn after %v, want %v", n, gone, hold)
		}
		markedStale(t, e, n, stopped, h[1].at)
	}
	row(t, "SIGSTOP of one API server, shards alive, silence withdraw", "0 answers changed until hold (3s), then withdrawn",
		fmt.Sprintf("%d answers, 0 changed before, then withdrawn", e.questions()), gone)

	w.oslo.Resume()
	took := s.becomes(t, healed, "web.no-a", "192.0.2.3")
	took += s.fresh(t, healed-took, "web", "web.no-a")
	e.unchanged(t, "web.eu-a")
	row(t, "SIGCONT", "fresh again within 5s", "fresh", took)
}

// markedStale says that a name's answers were stale, with the degraded TTL, from
// when the API server had to be found silent until a moment.
func markedStale(t *testing.T, e *eye, short string, stopped, end time.Time) {
	t.Helper()
	for _, g := range e.history(short) {
		if !g.stale() || g.ttl != degraded {
			continue
		}
		if after := g.at.Sub(stopped); after > timeout+busy {
			t.Errorf("%s: stale after %v, want %v", short, after, timeout)
		}
		return
	}
	t.Errorf("%s: never stale (EDE 3) with TTL %d until %v: %s", short, degraded, end.Sub(stopped), timeline(e.history(short)))
}

// SIGSTOP of one API server, its shards alive, silence keep: no answer changes,
// after hold either; EDE 3 and the degraded TTL are there.
func stoppedKeep(t *testing.T, w *world) {
	s := start(t, corefile(health+" silence keep\n", w.members...))
	stays(t, w, s, "SIGSTOP of one API server, shards alive, silence keep", "web", "web.no-a", "web.eu-a")
}

// The same with probes on, silence withdraw: no answer changes at all, and EDE 3
// (Stale Answer) is present while the cluster is silent.
func stoppedProbed(t *testing.T, w *world) {
	s := start(t, corefile(health+w.probes(), w.members...))
	w.probed(t, s)
	stays(t, w, s, "SIGSTOP of one API server, shards alive, probes pass", "live", "live.no-a", "web", "web.no-a", "live.eu-a")
}

// stays stops an API server for longer than hold: of the names, the last is about
// others only.
func stays(t *testing.T, w *world, s running, fault string, shorts ...string) {
	t.Helper()
	e := look(t, s, shorts...)
	stopped := time.Now()
	w.oslo.Pause()
	defer w.oslo.Resume()
	until(stopped.Add(hold + 1500*time.Millisecond))
	about := shorts[:len(shorts)-1]
	for _, n := range about {
		markedStale(t, e, n, stopped, time.Now())
		if g := e.last(n); !g.stale() || g.ttl != degraded {
			t.Errorf("%s: after hold %v, want EDE 3 and TTL %d", n, g.answer, degraded)
		}
	}
	e.unchanged(t, shorts...)
	row(t, fault, "0 answers changed at all, EDE 3 and TTL 30 while silent",
		fmt.Sprintf("%d answers, 0 changed; %v", e.questions(), e.last(about[len(about)-1]).answer), time.Since(stopped))
	w.oslo.Resume()
	took := s.fresh(t, healed, about...)
	e.unchanged(t, shorts...)
	row(t, "SIGCONT", "fresh again within 5s", "fresh", took)
}

// SIGKILL of one API server, its shards dead too, probes on: withdrawn within fall
// x interval + timeout.
func dead(t *testing.T, w *world) {
	s := start(t, corefile(health+w.probes(), w.members...))
	w.probed(t, s)
	e := look(t, s, "live", "live.no-a", "live.eu-a")
	at := time.Now()
	w.shards[sites[2].live].close()
	defer w.shards[sites[2].live].open(t)
	w.oslo.Kill(t)
	defer w.oslo.Start(t)
	withdrawn(t, s, e, at, "SIGKILL of one API server, its shards dead (refuse)")
}

// SIGSTOP of one API server, its shards hang as well, probes on: withdrawn within
// fall x interval + timeout, although nothing comes back.
func hanging(t *testing.T, w *world) {
	s := start(t, corefile(health+w.probes(), w.members...))
	w.probed(t, s)
	e := look(t, s, "live", "live.no-a", "live.eu-a")
	at := time.Now()
	w.shards[sites[2].live].hang(t)
	defer func() { w.shards[sites[2].live].close(); w.shards[sites[2].live].open(t) }()
	w.oslo.Pause()
	defer w.oslo.Resume()
	withdrawn(t, s, e, at, "SIGSTOP of one API server, its shards hang")
	w.oslo.Resume()
	s.fresh(t, healed)
	if g := s.ask("live.no-a"); g.what != "→ no → global → 127.83.0.1 127.83.0.2" {
		t.Errorf("its API is back, its shards aren't: %v", g)
	}
}

func withdrawn(t *testing.T, s running, e *eye, at time.Time, fault string) {
	t.Helper()
	const limit = fall*probing*11/10 + period // up to a tenth later each, and the timeout
	s.becomes(t, limit+3*time.Second, "live.no-a", "→ no → global → 127.83.0.1 127.83.0.2")
	server.Eventually(t, time.Second, "the eye sees it as well", func() bool { return len(e.whats("live.no-a")) > 1 && len(e.whats("live")) > 1 })
	took := e.whats("live.no-a")[1].at.Sub(at)
	if took > limit+busy {
		t.Errorf("withdrawn after %v, want at most %v and %v for scheduling", took, limit, busy)
	}
	if h := e.whats("live"); len(h) != 2 || h[1].what != "127.83.0.1 127.83.0.2" {
		t.Errorf("live: %s", timeline(h))
	}
	e.unchanged(t, "live.eu-a")
	row(t, fault+", probes on", fmt.Sprintf("withdrawn within 3 x 1.1s + 200ms (and %v for scheduling)", busy), "withdrawn", took)
}

// All API servers stopped: no answer changes, after hold either; isolation is
// visible; recovery is clean.
func allStopped(t *testing.T, w *world) {
	s := start(t, corefile(health, w.members...))
	isolated(t, s, "all API servers stopped",
		func() {
			for _, c := range w.clusters {
				c.Pause()
			}
		}, func() {
			for _, c := range w.clusters {
				c.Resume()
			}
		})
}

// All API servers stopped for longer than hold, and one comes back a second after
// the others: no answer changes. It was this server that was cut off, so that the
// last one's silence is only worth what came after the isolation.
func oneLater(t *testing.T, w *world) {
	s := start(t, corefile(health, w.members...))
	names := []string{"web", "web.no-a", "web.eu-a"}
	e := look(t, s, names...)
	for _, c := range w.clusters {
		c.Pause()
		defer c.Resume()
	}
	until(time.Now().Add(hold + 1500*time.Millisecond))
	began := time.Now()
	w.paris.Resume()
	w.lyon.Resume()
	server.Eventually(t, healed, "two of three are fresh", func() bool { return s.metric(t, "cluster_silent") == 1 })
	until(time.Now().Add(time.Second))
	w.oslo.Resume()
	s.fresh(t, healed, names...)
	e.unchanged(t, names...)
	row(t, "all API servers stopped beyond hold, one back 1s after the others", "0 answers changed",
		fmt.Sprintf("%d changes of web.no-a", len(e.whats("web.no-a"))-1), time.Since(began))
}

// isolated cuts a server off from all clusters for longer than hold.
func isolated(t *testing.T, s running, fault string, cut, mend func()) {
	t.Helper()
	names := []string{"web", "web.no-a", "web.eu-a", "web.eu", "live"}
	e := look(t, s, names...)
	began := time.Now()
	cut()
	defer mend()
	server.Eventually(t, timeout+2*time.Second, "isolated in the metrics", func() bool { return s.metric(t, "isolated") == 1 })
	visible := time.Since(began)
	line := s.logs(t, time.Second, "isolated: ")
	until(began.Add(hold + 1500*time.Millisecond))
	for _, n := range names {
		if g := e.last(n); !g.stale() || g.ttl != degraded {
			t.Errorf("%s: after hold %v, want EDE 3 and TTL %d", n, g.answer, degraded)
		}
	}
	if s.metric(t, "isolated") != 1 {
		t.Error("no longer isolated, by the metrics")
	}
	e.unchanged(t, names...)
	row(t, fault, "0 answers changed even after hold; isolation in metric and log",
		fmt.Sprintf("%d answers, 0 changed; isolated after %v; %q", e.questions(), visible.Round(time.Millisecond), line[strings.Index(line, "isolated"):]), time.Since(began))

	mend()
	took := s.fresh(t, healed, names...)
	server.Eventually(t, time.Second, "not isolated in the metrics", func() bool { return s.metric(t, "isolated") == 0 })
	s.logs(t, time.Second, "no longer isolated")
	e.unchanged(t, names...)
	for _, n := range names {
		if g := s.ask(n); g.ttl != 180 || len(g.ede) > 0 {
			t.Errorf("%s: afterwards %v, want TTL 180 and no EDE: nothing came or went", n, g)
		}
	}
	row(t, fault+": back", "fresh within 5s, metric 0, 0 answers changed, normal TTL", "so", took)
}
