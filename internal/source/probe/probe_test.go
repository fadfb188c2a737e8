package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/fedns/fedns/internal/health"
)

var errDown = failure("down")

// target is the n-th one, probed as words say.
func target(t testing.TB, n int, words string) Target {
	t.Helper()
	s, err := Parse(strings.Fields(words))
	if err != nil {
		t.Fatal(err)
	}
	return s.At(netip.AddrFrom4([4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)}), 80)
}

// set has targets probed as often as they say, all for one payer. They are of this host.
func set(p *Prober, targets []Target) {
	var jobs []Job
	for _, x := range targets {
		jobs = append(jobs, Job{Target: x, Every: x.Spec.Interval, Free: true})
	}
	p.Set(jobs)
}

// A stage is the other side of a prober: what the targets do, and what was
// reported of them.
type stage struct {
	mu      sync.Mutex // guards the rest
	act     func(ctx context.Context, t Target) error
	asked   map[Target][]time.Time
	reports []string
}

func (s *stage) check(ctx context.Context, t Target) error {
	s.mu.Lock()
	s.asked[t] = append(s.asked[t], time.Now())
	act := s.act
	s.mu.Unlock()
	return act(ctx, t)
}

func (s *stage) become(act func(context.Context, Target) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.act = act
}

func (s *stage) report(t Target, r Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, strings.TrimSpace(fmt.Sprintf("%s %s %s", t.Addr.Addr(), r.State, r.Why)))
}

func (s *stage) silent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reports) == 0
}

// reported gives the reports since the last call.
func (s *stage) reported() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.reports, ", ")
	s.reports = nil
	return out
}

func (s *stage) times(t Target) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[t]
}

// await waits until t has been probed n more times.
func (s *stage) await(t Target, n int) {
	for n += len(s.times(t)); len(s.times(t)) < n; {
		settle(tick)
	}
}

func pass(context.Context, Target) error { return nil }
func fail(context.Context, Target) error { return errDown }

func hang(ctx context.Context, _ Target) error {
	<-ctx.Done()
	return ctx.Err()
}

// start runs a prober inside a bubble, against a stage where all passes.
func start(t *testing.T) (*Prober, *stage) {
	t.Helper()
	s := &stage{act: pass, asked: map[Target][]time.Time{}}
	p := New(s.report)
	p.check = s.check
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return p, s
}

func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestFallAndRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := start(t)
		a := target(t, 1, "tcp fall 3 rise 2")
		set(p, []Target{a})
		if r, ok := p.Result(a); !ok || r != (Result{}) {
			t.Errorf("before the first probe: %+v, %v", r, ok)
		}
		settle(2 * time.Second)
		if got := s.reported(); got != "127.0.0.1 passing" {
			t.Errorf("reported %q", got)
		}
		settle(time.Minute)
		s.become(fail)
		s.await(a, 2)
		if got := s.reported(); got != "" {
			t.Errorf("after two failures: %q", got)
		}
		if r, _ := p.Result(a); r.State != health.Passing || r.Why != "down" {
			t.Errorf("after two failures: %+v", r)
		}
		s.await(a, 1)
		if got := s.reported(); got != "127.0.0.1 failing down" {
			t.Errorf("after three failures: %q", got)
		}
		since, _ := p.Result(a)
		settle(time.Minute)
		if r, _ := p.Result(a); r.Since != since.Since || !r.At.After(since.At) {
			t.Errorf("%+v, then %+v", since, r)
		}
		s.become(pass)
		s.await(a, 1)
		if got := s.reported(); got != "" {
			t.Errorf("after one pass: %q", got)
		}
		s.await(a, 1)
		if got := s.reported(); got != "127.0.0.1 passing" {
			t.Errorf("after two passes: %q", got)
		}
	})
}

// A target that has just been added isn't withdrawn for one lost packet, and one
// that takes its time to answer is probed one at a time.
func TestFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := start(t)
		s.become(hang)
		a := target(t, 1, "tcp fall 2 timeout 2s")
		set(p, []Target{a})
		settle(4 * time.Second)
		if r, _ := p.Result(a); r.State != health.Unprobed || r.Why != "timeout" {
			t.Errorf("after one timeout: %+v", r)
		}
		settle(4 * time.Second)
		if got := s.reported(); got != "127.0.0.1 failing timeout" {
			t.Errorf("reported %q", got)
		}
		for i, at := range s.times(a)[1:] {
			if gap := at.Sub(s.times(a)[i]); gap < 2*time.Second {
				t.Errorf("the next probe begins after %v, while the last is under way", gap)
			}
		}
	})
}

// This server is out of file descriptors: that is no shard's fault.
func TestLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := start(t)
		a := target(t, 1, "tcp fall 1")
		set(p, []Target{a})
		settle(2 * time.Second)
		before, was := value(locals), value(failures)
		known, _ := p.Result(a)
		s.become(func(context.Context, Target) error { return syscall.EMFILE })
		settle(time.Minute)
		if got := s.reported(); got != "127.0.0.1 passing" {
			t.Errorf("reported %q", got)
		}
		r, _ := p.Result(a)
		if r.State != health.Passing || r.At.Sub(known.At) > 3*time.Second || r.Local != "too many open files" {
			t.Errorf("%+v", r)
		}
		if l, f := value(locals)-before, value(failures)-was; l < 20 || f != 0 {
			t.Errorf("%v counted as local and %v as failed", l, f)
		}
		s.become(pass)
		settle(3 * time.Second)
		if r, _ := p.Result(a); r.Local != "" {
			t.Errorf("%+v", r)
		}
	})
}

// The end of the prober is nobody's failure.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := start(t)
		s.become(hang)
		a := target(t, 1, "tcp fall 1 interval 1h timeout 1h")
		set(p, []Target{a})
		settle(time.Hour)
		t.Cleanup(func() { // after Run
			if got := s.reported(); got != "" || len(s.times(a)) != 1 {
				t.Errorf("probed %d times, reported %q", len(s.times(a)), got)
			}
		})
	})
}

func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := start(t)
		gauge := value(held)
		a, b, other := target(t, 1, "tcp"), target(t, 2, "tcp"), target(t, 1, "http")
		set(p, []Target{a, b, a, {Addr: a.Addr}})
		settle(20 * time.Second)
		if n := len(s.times(a)); n > 12 {
			t.Errorf("a target that two names share is probed %d times in 20 s", n)
		}
		if got := value(held) - gauge; got != 2 {
			t.Errorf("the gauge shows %v targets", got)
		}
		known, _ := p.Result(a)
		set(p, []Target{other, a})
		if r, ok := p.Result(a); !ok || r != known {
			t.Errorf("a target that stays is known as %+v", r)
		}
		if _, ok := p.Result(b); ok {
			t.Error("a target that is gone isn't forgotten")
		}
		settle(time.Second / 2)
		gone := len(s.times(b))
		settle(time.Minute)
		if len(s.times(b)) != gone || len(s.times(other)) < 25 || len(s.times(a)) < 25 {
			t.Errorf("probed %d more times after it was gone, %d of another kind, %d", len(s.times(b))-gone, len(s.times(other)), len(s.times(a)))
		}
		s.reported()
		s.become(func(ctx context.Context, _ Target) error { // ends after its target is gone
			time.Sleep(time.Second)
			return errDown
		})
		c := target(t, 3, "tcp fall 1")
		set(p, []Target{c})
		s.await(c, 1)
		set(p, nil)
		settle(time.Minute)
		if got := s.reported(); got != "" || len(s.times(c)) != 1 {
			t.Errorf("of a target that is gone: probed %d times, reported %q", len(s.times(c)), got)
		}
		if got := value(held) - gauge; got != 0 {
			t.Errorf("the gauge shows %v targets of none", got)
		}
	})
}

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := start(t)
		began := time.Now()
		var targets []Target
		for n := range 1000 {
			targets = append(targets, target(t, n, "tcp"))
		}
		set(p, targets)
		settle(time.Minute)
		var early, apart int
		for _, x := range targets {
			at := s.times(x)
			if at[0].Sub(began) < time.Second {
				early++
			}
			for i := range at[1:] {
				gap := at[i+1].Sub(at[i])
				if gap < 1800*time.Millisecond || gap > 2200*time.Millisecond+tick {
					t.Fatalf("%v between two probes", gap)
				}
				if (gap - 2*time.Second).Abs() > 100*time.Millisecond {
					apart++
				}
			}
		}
		if early < 400 || early > 600 {
			t.Errorf("%d of 1000 targets begin in the first half of the interval", early)
		}
		if apart < 10000 || apart > 20000 {
			t.Errorf("%d of some 29,000 intervals are off by more than a twentieth", apart)
		}
	})
}

// 4,000 addresses go dark, each for longer than the bound allows: what is under way stays bounded, and
// what answers is still probed, though late.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := start(t)
		before := value(lates)
		var mu sync.Mutex
		var now, most int
		alive := target(t, 1, "tcp timeout 2s")
		s.become(func(ctx context.Context, x Target) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			defer func() {
				mu.Lock()
				now--
				mu.Unlock()
			}()
			if x == alive {
				return nil
			}
			return hang(ctx, x)
		})
		targets := []Target{alive}
		for n := range 4000 {
			targets = append(targets, target(t, 2+n, "tcp timeout 2s"))
		}
		set(p, targets)
		settle(20 * time.Second)
		if most != crowd {
			t.Errorf("%d under way at once, want %d", most, crowd)
		}
		// Everyone's turn comes every 4 s: 4,000 probes of 2 s, 2,048 at a time.
		for _, x := range targets {
			if n := len(s.times(x)); n < 4 {
				t.Errorf("%v was probed %d times in 20 s", x, n)
			}
		}
		if r, _ := p.Result(alive); r.State != health.Passing {
			t.Errorf("%+v", r)
		}
		if n := value(lates) - before; n < 4000 {
			t.Errorf("%v probes counted as late", n)
		}
		s.become(pass)
		settle(20 * time.Second)
		n := value(lates)
		settle(20 * time.Second)
		if value(lates) != n {
			t.Error("still late when all is well")
		}
	})
}

// The world changes while probes are under way and somebody looks.
func TestTogether(t *testing.T) {
	s := &stage{asked: map[Target][]time.Time{}, act: func(_ context.Context, x Target) error {
		if x.Addr.Addr().As4()[3]%2 == 0 {
			return errors.New("odd, or rather not")
		}
		return nil
	}}
	p := New(s.report)
	p.check = s.check
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				var ts []Target
				for k := range 50 {
					ts = append(ts, target(t, (n+i+k)%256, "tcp interval 1s fall 1"))
				}
				set(p, ts)
				p.Result(ts[n%50])
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); s.silent() && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	if s.reported() == "" {
		t.Error("nothing was reported")
	}
}

// value is what a counter or a gauge shows.
func value(m prometheus.Metric) float64 {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		panic(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}
