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

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/table"
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
	p = New([]Federation{f}, Static{}, slog.New(slog.NewTextHandler(l, nil)))
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

// A path of the file or of the state that is wrong, or where nothing is yet, is never
// passed over in silence.
func TestPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			f    Federation
			want string
			ends string
		}{
			{Federation{Overrides: file, OverridesAt: "Corefile:7"}, "", ""},
			{Federation{Overrides: dir + "/orders", OverridesAt: "Corefile:7"}, "level=INFO msg=\"federation fed: overrides " + dir + "/orders (Corefile:7): the file isn't there; it is read once it is", ""},
			{Federation{Overrides: dir + "/no/orders", OverridesAt: "Corefile:7"}, "level=WARN msg=\"federation fed: overrides " + dir + "/no/orders (Corefile:7): neither the file nor its folder " + dir + "/no is there", ""},
			{Federation{Overrides: dir, OverridesAt: "Corefile:7"}, "level=ERROR msg=\"overrides " + dir + ": read " + dir + ": is a directory, not a regular file; until it can be read, it orders nothing (Corefile:7)", ""},
			{Federation{State: dir + "/a/b", StateAt: "Corefile:7"}, "level=INFO msg=\"federation fed: neither the folder of its state, " + dir + "/a/b, nor a state was there; both are made (Corefile:7)", "fed.state"},
			{Federation{State: dir, StateAt: "Corefile:7"}, "level=INFO msg=\"federation fed: there was no state of it in " + dir + "; one is made (Corefile:7)", "fed.state"},
			{Federation{State: dir, StateAt: "Corefile:7"}, "msg=\"federation fed: answers from the state on disk", "fed.state"},
			{Federation{State: file + "/state", StateAt: "Corefile:7"}, "level=ERROR msg=\"federation fed: its state can't be kept: mkdir " + file + ": not a directory (Corefile:7); it needs a folder, not a file", ""},
		} {
			_, _, l, end := trio(t, tt.f, true)
			time.Sleep(2 * stateRetry)
			synctest.Wait()
			end()
			if tt.want == "" && strings.Contains(l.String(), "overrides") || strings.Count(l.String(), tt.want) != 1 && tt.want != "" {
				t.Errorf("overrides %s, state %s: the log doesn't say, once, %s:\n%s", tt.f.Overrides, tt.f.State, tt.want, l)
			}
			if _, err := os.Stat(filepath.Join(tt.f.State, tt.ends)); tt.ends != "" && err != nil {
				t.Error(err)
			}
		}
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
		if q := p.Current().Load().Federations[0].Service(web).Silent; len(q) != 3 || !q[0].Stale {
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
// Each publication that isn't kept is counted, and the trouble said once.
func TestStateNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(dir, nil, 0o644); err != nil { // a file in its place
			t.Fatal(err)
		}
		errors := measured(t, "state_errors_total")
		p, s, l, _ := trio(t, Federation{State: dir}, true)
		time.Sleep(time.Second)
		s[0].say <- []shard.Change{slice(false)}
		time.Sleep(minGap)
		wantUp(t, p, "without a disk", 2)
		wantFailing(t, true)
		const changes = 21
		for i := range changes {
			s[0].say <- []shard.Change{slice(i%2 == 0)}
			time.Sleep(minGap)
			synctest.Wait()
		}
		time.Sleep(3 * stateRetry)
		synctest.Wait()
		if n := strings.Count(l.String(), "its state can't be kept"); n != 1 {
			t.Errorf("said %d times:\n%s", n, l)
		}
		if n := measured(t, "state_errors_total") - errors; n < changes {
			t.Errorf("%v errors for %d changes", n, changes)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
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
		wantFailing(t, false)
	})
}

func wantFailing(t *testing.T, want bool) {
	t.Helper()
	if got := measured(t, "state_failing"); got != bit(want) {
		t.Errorf("state_failing %v, want %v", got, want)
	}
}

// measured is the value of a counter or gauge of the federation; 0 if there is none.
func measured(t *testing.T, name string) float64 {
	t.Helper()
	all, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == "coredns_federation_"+name {
			m := f.Metric[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return 0
}

// A file that is removed while the server runs, with its folder or without, is missed
// without anything happening, and written anew at once; that is said once, and once
// when it is over. A server that starts then knows it all.
func TestStateLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		file := filepath.Join(dir, "fed.state")
		f := Federation{State: dir, Policy: shard.Policy{Hold: time.Minute}}
		_, s, l, end := trio(t, f, true)
		times := 0
		for _, lose := range []func(string) error{os.Remove, func(string) error { return os.RemoveAll(dir) }, func(string) error { return os.Truncate(file, 10) }} {
			time.Sleep(checkPeriod)
			synctest.Wait()
			if err := lose(file); err != nil {
				t.Fatal(err)
			}
			times++
			time.Sleep(checkPeriod + time.Millisecond)
			synctest.Wait()
			if n := strings.Count(l.String(), "it is written anew"); n != times {
				t.Errorf("said %d times, want %d:\n%s", n, times, l)
			}
			if n := strings.Count(l.String(), "can be kept again"); n != times {
				t.Errorf("over %d times, want %d:\n%s", n, times, l)
			}
			wantFailing(t, false)
		}
		s[1].say <- []shard.Change{slice(false)}
		time.Sleep(minGap)
		synctest.Wait()
		end()
		p, _, l, _ := trio(t, f, false)
		wantUp(t, p, "after a restart", 2)
		if strings.Contains(l.String(), "can't") {
			t.Errorf("the log says\n%s", l)
		}
	})
}

// Two servers that keep their state in one file don't go on taking it from each other
// as fast as they can, nor say so each time.
func TestStateOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "fed.state")
		_, _, l, _ := trio(t, Federation{State: dir}, true)
		time.Sleep(2 * quarrel)
		for range 100 { // the other one
			if err := os.WriteFile(file, []byte("something else"), 0o644); err != nil {
				t.Fatal(err)
			}
			time.Sleep(checkPeriod)
		}
		synctest.Wait()
		if n := strings.Count(l.String(), "its state can't be kept"); n != losses+1 || !strings.Contains(l.String(), "does another server keep its state there?") {
			t.Errorf("said %d times:\n%s", n, l)
		}
		wantFailing(t, true)
		time.Sleep(2 * quarrel)
		synctest.Wait()
		if n := strings.Count(l.String(), "can be kept again"); n != losses+1 {
			t.Errorf("over %d times:\n%s", n, l)
		}
		wantFailing(t, false)
	})
}

// During a reload there are two pipelines of one file: the newer one writes, and the
// older one does again should it stay.
func TestStateOfReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := Federation{State: dir}
		_, s, l, endOld := trio(t, f, true)
		_, t2, l2, endNew := trio(t, f, true)
		for range 10 {
			s[0].say <- []shard.Change{slice(false)}
			t2[0].say <- []shard.Change{slice(true)}
			time.Sleep(checkPeriod)
			synctest.Wait()
		}
		endNew()
		s[0].say <- []shard.Change{slice(false)}
		time.Sleep(2 * checkPeriod)
		synctest.Wait()
		endOld()
		for _, text := range []string{l.String(), l2.String()} {
			if strings.Contains(text, "its state") {
				t.Errorf("the log says\n%s", text)
			}
		}
		p, _, _, _ := trio(t, f, false)
		wantUp(t, p, "as the older one knew it", 2)
	})
}

// Of a damaged state, what is whole is answered; a name that isn't there may be one that
// was lost, until its cluster has been listed again or had its time. A restart in between
// knows that, too.
func TestColdStartDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "fed.state")
		f := Federation{State: dir, Policy: shard.Policy{Hold: time.Minute}}
		_, _, _, end := trio(t, f, true)
		time.Sleep(time.Second)
		end()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(string(text), "192.0.2.2")
		text[at] ^= 1
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			p, s, l, end := trio(t, f, false)
			wantUp(t, p, "with what is whole", 2)
			if said := strings.Contains(l.String(), "checksum is wrong"); said != (i == 0) || said && !strings.Contains(l.String(), "level=ERROR") {
				t.Errorf("the log says\n%s", l)
			}
			fed := p.Current().Load().Federations[0]
			if ready(p) || fed.Settled {
				t.Error("it is ready")
			}
			if i == 0 {
				time.Sleep(time.Second)
				end()
				continue
			}
			for i := range s {
				s[i].say <- append(nothing[:4:4], service("192.0.2."+string(rune('1'+i))), slice(true), shard.Fresh{})
			}
			time.Sleep(minGap)
			wantUp(t, p, "listed again", 3)
			if !ready(p) || !p.Current().Load().Federations[0].Settled {
				t.Error("it isn't ready")
			}
			time.Sleep(time.Second)
			end()
		}
		p, _, _, _ := trio(t, f, false)
		wantUp(t, p, "from the file after that", 3)
		if !ready(p) {
			t.Error("it still doubts")
		}
	})
}

// Answers stay short-lived for half an hour after a shard came or went, whatever becomes of
// the server meanwhile: a reload, a restart with what was kept, and one later still.
func TestRecentOutlives(t *testing.T) {
	for _, tt := range []struct {
		name string
		next func(t *testing.T, f Federation, p *Pipeline, end func()) (*Pipeline, []*script)
	}{
		{"reload", func(t *testing.T, f Federation, p *Pipeline, end func()) (*Pipeline, []*script) {
			state := p.Export(t.Context())
			f.State = ""
			var sources []*script
			for i := range 3 {
				sources = append(sources, newScript())
				f.Members[i].Source = sources[i]
			}
			p, _ = run(t, f, state)
			return p, sources
		}},
		{"restart", func(t *testing.T, f Federation, _ *Pipeline, end func()) (*Pipeline, []*script) {
			end()
			f.Members = nil
			next, s, _, _ := trio(t, f, false)
			return next, s
		}},
		{"restart from a base", func(t *testing.T, f Federation, _ *Pipeline, end func()) (*Pipeline, []*script) {
			end()
			f.Members = nil
			_, s, _, end := trio(t, f, false)
			for i, ready := range []bool{true, false, true} { // and it writes one
				s[i].say <- append(nothing[:4:4], service("192.0.2."+string(rune('1'+i))), slice(ready), shard.Fresh{})
			}
			time.Sleep(time.Second)
			end()
			next, s, _, _ := trio(t, f, false)
			return next, s
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := Federation{Name: "fed", State: t.TempDir()}
				p, s, _, end := trio(t, f, true)
				time.Sleep(time.Second)
				s[1].say <- []shard.Change{slice(false)}
				time.Sleep(minGap)
				synctest.Wait()
				until := Now() + table.Settling
				for i := range 3 {
					f.Members = append(f.Members, Member{Cluster: shard.Cluster{Name: topology.ClusterName(rune('a' + i)), Region: string(rune('a' + i))}, Identity: string(rune('a' + i))})
				}
				time.Sleep(10 * time.Minute)
				p, s = tt.next(t, f, p, end)
				for i, ready := range []bool{true, false, true} {
					s[i].say <- append(nothing[:4:4], service("192.0.2."+string(rune('1'+i))), slice(ready), shard.Fresh{})
				}
				time.Sleep(minGap)
				wantUp(t, p, "afterwards", 2)
				recent := p.Current().Load().Federations[0].Service(web).Recent
				if len(recent) != 1 || recent[0].Place.Region != "b" || (recent[0].Until-until).Abs() > time.Second {
					t.Errorf("recent: %v, want b until %v", recent, until)
				}
				time.Sleep(21 * time.Minute)
				s[0].say <- []shard.Change{service("192.0.2.99")}
				time.Sleep(minGap)
				synctest.Wait()
				for _, r := range p.Current().Load().Federations[0].Service(web).Recent {
					if r.Place.Region == "b" {
						t.Errorf("half an hour later: %v", r)
					}
				}
			})
		})
	}
}

// That a cluster is silent is shown also where it has no service that would be answered otherwise.
func TestSilenceOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newScript(), newScript()
		p, _ := start(t, &hosts{}, nil, a, b)
		a.say <- nothing
		b.say <- nothing
		time.Sleep(minGap)
		synctest.Wait()
		for _, silent := range []bool{true, false} {
			if silent {
				a.say <- []shard.Change{shard.Silent{For: time.Second}}
			} else {
				a.say <- []shard.Change{shard.Fresh{}}
			}
			time.Sleep(minGap)
			synctest.Wait()
			if got := p.stats.Load().members[0][0].silent; got != silent {
				t.Errorf("silent is shown as %v, want %v", got, silent)
			}
		}
	})
}
