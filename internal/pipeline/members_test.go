package pipeline

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/topology"
)

// A parrot is a source that may go on talking after it has been told to end.
type parrot struct {
	runs   int
	report func(...shard.Change)
	ended  bool
}

func (p *parrot) Run(ctx context.Context, report func(...shard.Change)) {
	p.runs++
	p.report = report
	<-ctx.Done()
	p.ended = true
}

func (p *parrot) Heard() time.Time { return time.Now() }

// of is a member that a registry tells of.
func of(name string, s Source) Member {
	return Member{Cluster: shard.Cluster{Name: topology.ClusterName(name), Region: name}, Source: s, Identity: "registered " + name, Origin: "registry"}
}

func full(addr string) []shard.Change {
	return append(nothing[:4:4], service(addr), slice(true))
}

func enlist(t *testing.T, p *Pipeline, orders []override.Order, ms ...Member) {
	t.Helper()
	if !p.Members(t.Context(), 0, ms, orders, true) {
		t.Fatal("the pipeline has ended")
	}
	time.Sleep(minGap)
	synctest.Wait()
}

// Members join and leave while the others go on as if nothing were: their sources,
// their silence, what is answered of them.
func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, l, _ := trio(t, Federation{Policy: shard.Policy{Hold: time.Minute}}, true)
		s[0].say <- []shard.Change{shard.Silent{}}
		time.Sleep(30 * time.Second)
		serial := p.Current().Load().Serial
		enlist(t, p, nil)
		if wantUp(t, p, "a registry without members", 3); p.Current().Load().Serial != serial {
			t.Error("something was published for nothing")
		}

		d, left := &parrot{}, false
		m := of("d", d)
		m.OnLeave = func() { left = true }
		enlist(t, p, nil, m)
		wantUp(t, p, "d has joined", 3)
		if p.Current().Load().Federations[0].Settled {
			t.Error("names that only d may have are said not to be")
		}
		d.report(full("192.0.2.4")...)
		time.Sleep(minGap)
		if wantUp(t, p, "d is listed", 4); !p.Current().Load().Federations[0].Settled {
			t.Error("not settled")
		}
		serial = p.Current().Load().Serial
		enlist(t, p, nil, m)
		if p.Current().Load().Serial != serial || d.runs != 1 {
			t.Errorf("told the same again: serial %d to %d, run %d times", serial, p.Current().Load().Serial, d.runs)
		}

		m.Region = "elsewhere"
		enlist(t, p, nil, m)
		if f := p.Current().Load().Federations[0]; !hasRegion(f.Map, "elsewhere") || hasRegion(f.Map, "d") || d.runs != 1 {
			t.Errorf("it is elsewhere: %v", f.Map.Scopes())
		}
		wantUp(t, p, "it is elsewhere", 4)

		enlist(t, p, nil)
		if wantUp(t, p, "d has left", 3); !d.ended || !left {
			t.Error("its source goes on")
		}
		e := of("e", &parrot{})
		enlist(t, p, nil, e) // in the place of d
		for range 100 {      // whether what comes late is sent at all is a matter of luck
			d.report(full("192.0.2.66")...)
		}
		time.Sleep(minGap)
		wantUp(t, p, "d is still talking", 3)
		for _, text := range metrics(t) {
			if strings.Contains(text, `"d"`) {
				t.Errorf("a metric is left of d: %s", text)
			}
		}

		time.Sleep(StartupWait)
		synctest.Wait()
		if !p.Current().Load().Federations[0].Settled || !strings.Contains(l.String(), "cluster e: not listed within 10s; going on without it") {
			t.Errorf("e is waited for without end:\n%s", l)
		}
		time.Sleep(20 * time.Second)
		wantUp(t, p, "the hold of a, which nobody has touched, is over", 2)
	})
}

func hasRegion(m *topology.Map, region string) bool {
	_, ok := m.Scope(region)
	return ok
}

// metrics is what there is of this package.
func metrics(t *testing.T) (out []string) {
	t.Helper()
	all, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.Metric {
			out = append(out, f.GetName()+" "+m.String())
		}
	}
	return out
}

// Those that a registry told of before are there from the beginning, and those that
// it may tell of are waited for, for a while.
func TestBegin(t *testing.T) {
	for _, listed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			known := &parrot{}
			p := New([]Federation{{Name: "fed"}}, Static{}, slog.New(slog.NewTextHandler(&log{}, nil)))
			drain := override.Order{Action: override.Drain, Subject: override.Subject{Kind: override.Cluster, Name: "known"}, Reason: "x"}
			p.Begin(0, []Member{of("known", known)}, []override.Order{drain}, listed)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { p.Run(ctx) })
			defer func() { cancel(); wg.Wait() }()
			synctest.Wait()
			known.report(full("192.0.2.1")...)
			time.Sleep(minGap)
			wantUp(t, p, "drained", 0)
			p.Members(t.Context(), 0, []Member{of("known", known)}, []override.Order{drain}, listed) // news of the same
			if time.Sleep(minGap); ready(p) != listed {
				t.Errorf("listed %v: ready %v", listed, ready(p))
			}
			if !listed {
				time.Sleep(StartupWait)
				synctest.Wait()
			}
			if !ready(p) {
				t.Error("still not ready")
			}
			enlist(t, p, nil, of("known", known))
			wantUp(t, p, "not drained any more", 1)
			if known.runs != 1 {
				t.Errorf("its source runs %d times", known.runs)
			}
		})
	}
}

// What a registry orders holds beside the file, whose word is the last.
func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "overrides")
		p, _, _, _ := trio(t, Federation{Overrides: file}, true)
		drain := func(name string) override.Order {
			return override.Order{Action: override.Drain, Subject: override.Subject{Kind: override.Cluster, Name: name}, Reason: "x"}
		}
		enlist(t, p, []override.Order{drain("a"), drain("b")})
		wantUp(t, p, "a and b are drained", 1)
		if err := os.WriteFile(file, []byte("up cluster/a reason \"no\"\ndown cluster/c reason \"fire\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * overridePoll)
		wantUp(t, p, "a is forced up, c down", 1)
		enlist(t, p, []override.Order{drain("a")})
		wantUp(t, p, "b is back", 2)
	})
}

// One that has left is forgotten on disk too: when it joins again, nothing is known
// of it.
func TestForgottenOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p, _, _, end := trio(t, Federation{State: dir}, true)
		d := &parrot{}
		enlist(t, p, nil, of("d", d))
		d.report(full("192.0.2.4")...)
		time.Sleep(minGap)
		wantUp(t, p, "d is listed", 4)
		enlist(t, p, nil)
		time.Sleep(markPeriod)
		synctest.Wait()
		end()
		text, err := os.ReadFile(filepath.Join(dir, "fed.state"))
		if err != nil || strings.Contains(string(text), "192.0.2.4") || !strings.Contains(string(text), "192.0.2.3") {
			t.Errorf("%v\n%s", err, text)
		}
	})
}
