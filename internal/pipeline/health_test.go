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

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/topology"
)

// trio runs a federation of three clusters a, b and c with a shard of web each,
// 192.0.2.1 to .3; its end can be called before the test's.
func trio(t *testing.T, f Federation, listed bool) (p *Pipeline, sources []*script, l *log, end func()) {
	t.Helper()
	l = &log{}
	f.Name = "fed"
	for i := range 3 {
		s := newScript()
		sources = append(sources, s)
		name := string(rune('a' + i))
		f.Members = append(f.Members, Member{Cluster: shard.Cluster{Name: topology.ClusterName(name), Region: name}, Source: s, Identity: name})
	}
	p = New([]Federation{f}, slog.New(slog.NewTextHandler(l, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	end = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(end)
	synctest.Wait()
	if listed {
		for i, s := range sources {
			s.say <- append(nothing[:4:4], service("192.0.2."+string(rune('1'+i))), slice(true))
		}
		time.Sleep(minGap)
		synctest.Wait()
	}
	return p, sources, l, end
}

func wantUp(t *testing.T, p *Pipeline, when string, want int) {
	t.Helper()
	synctest.Wait()
	if got := up(p); got != want {
		t.Errorf("%s: %d addresses, want %d", when, got, want)
	}
}

// A silent cluster's shards stay until the hold is over, and go then without
// anybody saying another word.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, _, _ := trio(t, Federation{Policy: shard.Policy{Hold: time.Minute}}, true)
		s[0].say <- []shard.Change{shard.Silent{For: 5 * time.Second}}
		time.Sleep(55*time.Second - time.Millisecond)
		wantUp(t, p, "within the hold", 3)
		time.Sleep(time.Millisecond + minGap)
		wantUp(t, p, "after it", 2)
		s[0].say <- []shard.Change{shard.Fresh{}}
		time.Sleep(minGap)
		wantUp(t, p, "fresh again", 3)
	})
}

// An operator's order is taken from the file, followed while it changes, and ends
// by the clock.
func TestOverrideFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "overrides")
		write := func(text string) {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * overridePoll)
		}
		p, _, l, _ := trio(t, Federation{Overrides: file}, true)
		wantUp(t, p, "without a file", 3)
		write("drain cluster/a until " + time.Now().Add(time.Minute).Format(time.RFC3339) + " reason \"upgrade\"\n")
		wantUp(t, p, "drained", 2)
		write("drain everything\n")
		wantUp(t, p, "a file that doesn't parse", 2)
		if want := "line 1: \\\"everything\\\" is none of"; !strings.Contains(l.String(), want) {
			t.Errorf("no line says %s:\n%s", want, l)
		}
		time.Sleep(time.Minute)
		wantUp(t, p, "expired", 3)
		if !strings.Contains(l.String(), "override has expired: drain cluster/a") {
			t.Errorf("nobody says that it is over:\n%s", l)
		}
		write("down region/b reason \"fire\"")
		wantUp(t, p, "another", 2)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * overridePoll)
		wantUp(t, p, "the file is gone", 3)
	})
}

// A server that starts while every API is down answers from the state on disk at
// once, marks it stale, and lets it go when the hold is over; only when that is
// most of the clusters is it isolation, and all stays.
func TestColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := Federation{State: dir, Policy: shard.Policy{Hold: time.Minute}}
		_, s, _, end := trio(t, f, true)
		time.Sleep(time.Second)
		s[1].say <- []shard.Change{slice(false)} // a change behind the base
		time.Sleep(minGap)
		synctest.Wait()
		end()

		p, s, l, end := trio(t, f, false)
		if !ready(p) {
			t.Error("not ready at once")
		}
		if wantUp(t, p, "at once", 2); t.Failed() {
			text, _ := os.ReadFile(filepath.Join(dir, "fed.state"))
			t.Fatalf("%s\n%s", l, text)
		}
		if q := p.Board().Load().Federations[0].Service(web).Silent; len(q) != 3 || !q[0].Stale {
			t.Errorf("silent: %v", q)
		}
		if !strings.Contains(l.String(), "answers from the state on disk") || strings.Contains(l.String(), "isolated") {
			t.Errorf("the log says\n%s", l)
		}
		for _, i := range []int{1, 2} {
			s[i].say <- append(nothing[:4:4], service("192.0.2.9"), slice(true), shard.Fresh{})
		}
		time.Sleep(minGap)
		wantUp(t, p, "two are back", 3)
		time.Sleep(time.Minute)
		wantUp(t, p, "the third's hold is over", 2)
		end()

		if err := os.WriteFile(filepath.Join(dir, "fed.state"), []byte("garbage\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		p, _, l, _ = trio(t, f, true)
		wantUp(t, p, "the state is damaged", 3)
		if !strings.Contains(l.String(), "set aside") {
			t.Errorf("the log says\n%s", l)
		}
	})
}

// A folder that can't be written to costs the persistence only, and is tried again.
func TestStateNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		p, s, l, _ := trio(t, Federation{State: dir}, true)
		time.Sleep(time.Second)
		s[0].say <- []shard.Change{slice(false)}
		time.Sleep(minGap)
		wantUp(t, p, "without a disk", 2)
		if n := strings.Count(l.String(), "its state can't be kept"); n != 1 {
			t.Errorf("said %d times:\n%s", n, l)
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * stateRetry)
		synctest.Wait()
		if !strings.Contains(l.String(), "can be kept again") {
			t.Errorf("not tried again:\n%s", l)
		}
		if _, err := os.Stat(filepath.Join(dir, "fed.state")); err != nil {
			t.Error(err)
		}
	})
}
