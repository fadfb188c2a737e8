package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A script is a source that reports what a test tells it to.
type script struct {
	say chan []shard.Change
}

func newScript() *script { return &script{say: make(chan []shard.Change)} }

func (s *script) Run(ctx context.Context, report func(...shard.Change)) {
	for {
		select {
		case c := <-s.say:
			report(c...)
		case <-ctx.Done():
			return
		}
	}
}

func (s *script) Heard() time.Time { return time.Time{} }

var (
	web     = snapshot.Key{Namespace: "shop", Name: "web"}
	nothing = []shard.Change{shard.ServiceList{Kind: snapshot.Svc}, shard.ServiceList{Kind: snapshot.Ing}, shard.SliceList{}, shard.NodeList{}}
)

func service(addr string, hosts ...string) shard.Change {
	s := (&shard.Service{Key: web, Balancer: true}).Extend(shard.Extras{Hosts: hosts})
	if addr != "" {
		s.Addrs = []netip.Addr{netip.MustParseAddr(addr)}
	}
	return shard.ServiceSet{Service: s}
}

func slice(ready bool) shard.Change {
	return shard.SliceSet{Slice: &shard.Slice{Key: shard.SliceKey{Namespace: "shop", Name: "web-x"}, Service: "web", Endpoints: []shard.Endpoint{{Ready: ready}}}}
}

// start runs a pipeline of one federation inside a bubble; the sources and the
// log are the test's.
func start(t *testing.T, r Resolver, estate *State, sources ...*script) (*Pipeline, *log) {
	t.Helper()
	f := Federation{Name: "fed", Resolver: r}
	for i, s := range sources {
		name := string(rune('a' + i))
		f.Members = append(f.Members, Member{Cluster: shard.Cluster{Name: topology.ClusterName("cluster-" + name)}, Source: s, Identity: name})
	}
	var estates []State
	if estate != nil {
		estates = append(estates, *estate)
	}
	return run(t, f, estates...)
}

// run runs a pipeline of a federation inside a bubble.
func run(t *testing.T, f Federation, estates ...State) (*Pipeline, *log) {
	t.Helper()
	l := &log{}
	p := New([]Federation{f}, Static{}, slog.New(slog.NewTextHandler(l, nil)))
	for _, s := range estates {
		p.Import(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	synctest.Wait()
	return p, l
}

func up(p *Pipeline) int {
	s := p.Current().Load().Federations[0].Service(web)
	if s == nil {
		return -1
	}
	return len(s.Shards)
}

func ready(p *Pipeline) bool {
	select {
	case <-p.Ready():
		return true
	default:
		return false
	}
}

// The first change after a quiet moment is shown at once; those that follow
// within 20 ms are shown together at their end.
func TestCoalescing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newScript()
		p, _ := start(t, nil, nil, a)
		a.say <- nothing
		synctest.Wait()
		time.Sleep(time.Second)
		began := time.Now()
		a.say <- []shard.Change{service("192.0.2.1"), slice(true)}
		synctest.Wait()
		if up(p) != 1 || time.Since(began) != 0 {
			t.Fatalf("%d shards after %v; the first change is shown at once", up(p), time.Since(began))
		}
		serial, shows := p.Current().Load(), 0
		for i := range 100 { // 10 ms apart, for a second
			a.say <- []shard.Change{slice(i%2 == 1)}
			synctest.Wait()
			if now := p.Current().Load(); now != serial {
				serial = now
				shows++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if shows < 40 || shows > 50 {
			t.Errorf("%d snapshots in a second of churn, want at most one per 20 ms", shows)
		}
		time.Sleep(minGap)
		if up(p) != 1 {
			t.Error("the last change of the churn is not shown")
		}
	})
}

// One unreachable cluster never holds the others up.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, dead := newScript(), newScript()
		p, l := start(t, nil, nil, a, dead)
		a.say <- append(nothing, service("192.0.2.1"), slice(true))
		time.Sleep(minGap)
		synctest.Wait()
		if up(p) != 1 {
			t.Fatal("the other cluster waits")
		}
		if ready(p) {
			t.Fatal("ready before the grace is over")
		}
		time.Sleep(StartupWait)
		synctest.Wait()
		if !ready(p) || !p.Current().Load().Federations[0].Settled {
			t.Fatal("not ready after the grace")
		}
		if !strings.Contains(l.String(), "cluster cluster-b: not listed within 10s") {
			t.Errorf("nobody is told: %s", l)
		}
		dead.say <- append(nothing, service("192.0.2.2"), slice(true)) // a late riser
		time.Sleep(minGap)
		synctest.Wait()
		if up(p) != 2 {
			t.Error("a cluster that comes late isn't answered")
		}
	})
}

// A reload while an API is down loses nothing: the next pipeline begins with what
// the last one knew, and its serial goes on.
func TestInherit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newScript()
		r := &hosts{answers: map[string]answer{"lb.example.": {addrs: []string{"192.0.2.7"}, ttl: time.Hour}}}
		p, _ := start(t, r, nil, a)
		a.say <- append(nothing, service("192.0.2.1", "lb.example."), slice(true))
		time.Sleep(time.Second)
		for i := range 100 { // the serial runs ahead of the clock
			a.say <- []shard.Change{slice(i%2 == 1)}
			time.Sleep(minGap)
		}
		estate := p.Export(t.Context())
		dead := newScript()
		heir, _ := start(t, &hosts{}, &estate, dead)
		if !ready(heir) || up(heir) != 2 {
			t.Errorf("the heir is ready: %v, and knows %d addresses, want 2", ready(heir), up(heir))
		}
		was := p.Current().Load().Version
		if is := heir.Current().Load().Version; is.Serial != was.Serial || is.Due != was.Due {
			t.Errorf("version went from %+v to %+v", was, is)
		}
		dead.say <- nothing // the API is back, and says that the service is gone
		time.Sleep(minGap)
		synctest.Wait()
		if up(heir) != -1 {
			t.Error("the first listing doesn't replace what was inherited")
		}
		if is := heir.Current().Load().Version; int32(is.Due-was.Due) < 0 || is.Digest == was.Digest {
			t.Errorf("version went from %+v to %+v", was, is)
		}
	})
}

func TestHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newScript()
		r := &hosts{answers: map[string]answer{"lb.example.": {addrs: []string{"192.0.2.7", "2001:db8::7"}, ttl: time.Minute}}}
		p, l := start(t, r, nil, a)
		a.say <- append(nothing, service("", "lb.example."), slice(true))
		settle := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		settle(time.Second)
		if up(p) != 2 {
			t.Fatalf("%d addresses", up(p))
		}
		// What isn't heard of one family takes nothing of it out; what the other says counts.
		half := errors.New("resolver 192.0.2.53: SERVFAIL for lb.example AAAA")
		r.set("lb.example.", answer{addrs: []string{"192.0.2.6", "192.0.2.7"}, ttl: time.Minute, err: half})
		if settle(time.Minute); up(p) != 3 {
			t.Errorf("%d addresses, with no answer for AAAA", up(p))
		}
		if n := strings.Count(l.String(), half.Error()); n != 1 {
			t.Errorf("that the half failed is logged %d times", n)
		}
		r.set("lb.example.", answer{addrs: []string{"2001:db8::7"}, ttl: time.Minute, err: half})
		if settle(time.Minute); up(p) != 3 {
			t.Errorf("%d addresses, with no answer for A", up(p))
		}
		r.set("lb.example.", answer{addrs: []string{"192.0.2.7", "2001:db8::7"}, ttl: time.Minute})
		if settle(6 * time.Second); up(p) != 2 {
			t.Errorf("%d addresses, when both answer again", up(p))
		}
		r.set("lb.example.", answer{addrs: []string{"192.0.2.8"}, ttl: time.Second})
		if settle(30 * time.Second); up(p) != 2 {
			t.Error("looked up again before the TTL was over")
		}
		if settle(31 * time.Second); up(p) != 1 {
			t.Error("not looked up again when the TTL was over")
		}
		r.set("lb.example.", answer{err: errors.New("resolver 192.0.2.53: i/o timeout")})
		if settle(time.Hour); up(p) != 1 {
			t.Error("a resolver's failure has taken the address out")
		}
		if n := strings.Count(l.String(), "i/o timeout"); n != 1 {
			t.Errorf("the failure is logged %d times", n)
		}
		r.set("lb.example.", answer{err: ErrNoHost})
		if settle(time.Minute); up(p) != 0 {
			t.Error("a hostname without address is still answered")
		}
		r.set("lb.example.", answer{addrs: []string{"192.0.2.9"}, ttl: 0})
		if settle(time.Minute); up(p) != 1 {
			t.Error("a hostname that resolves again isn't answered")
		}
		before := r.count()
		if settle(time.Minute); r.count()-before > 13 {
			t.Errorf("a TTL of 0 is looked up %d times a minute", r.count()-before)
		}
		a.say <- []shard.Change{service("192.0.2.1")}
		settle(time.Minute)
		before = r.count()
		if settle(time.Hour); r.count() != before {
			t.Error("a hostname nobody needs is looked up")
		}
	})
}

func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newScript()
		p, _ := start(t, nil, nil, a)
		a.say <- nothing
		time.Sleep(time.Minute)
		before := p.Current().Load().Serial
		p.UpdateStatic(t.Context(), Static{Digest: 7})
		synctest.Wait()
		after := p.Current().Load().Serial
		if after == before {
			t.Error("the serial stays when the static records change")
		}
		time.Sleep(time.Minute)
		last := p.Current().Load().Serial
		if p.UpdateStatic(t.Context(), Static{Digest: 7}); last != after+1 {
			t.Errorf("serial %d, and %d in the end", after, last)
		}
		time.Sleep(time.Minute)
		if is := p.Current().Load().Serial; is != last {
			t.Error("the serial moves when a file is written again as it was")
		}
	})
}

// A dated source knows when its objects were changed.
type dated struct {
	*script
	at time.Time
}

func (d *dated) Changed() time.Time { return d.at }

// The serial is a function of what is answered and of when that was changed: servers that
// learn it within a second say the same, however often they publish.
func TestSerialsAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(900 * time.Millisecond) // the end of a second
		one, two := newScript(), newScript()
		a, _ := start(t, nil, nil, one)
		b, _ := start(t, nil, nil, two)
		same := func(what string) {
			t.Helper()
			time.Sleep(5 * time.Second)
			if x, y := a.Current().Load().Version, b.Current().Load().Version; x.Serial != y.Serial || x.Pending() || x.Digest != y.Digest {
				t.Errorf("%s: %+v and %+v", what, x, y)
			}
		}
		one.say <- append(nothing, service("192.0.2.1"), slice(true))
		two.say <- append(nothing, service("192.0.2.1"), slice(true))
		same("at the start")
		was := a.Current().Load().Serial
		for i := range 9 { // one sees each, the other the last only
			one.say <- []shard.Change{slice(i%2 == 1)}
			time.Sleep(minGap)
		}
		one.say <- []shard.Change{service("192.0.2.2"), slice(true)}
		two.say <- []shard.Change{service("192.0.2.2"), slice(true)}
		same("after a burst")
		if is := a.Current().Load().Serial; int32(is-was) <= 0 {
			t.Errorf("serial went from %d to %d", was, is)
		}
	})
}

// A restart doesn't move the serial if nothing has changed: by what the disk knows, and
// without a disk by when the objects and the configuration were changed.
func TestSerialStays(t *testing.T) {
	for _, kept := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			dir, made := "", time.Now().Add(-time.Hour)
			if kept {
				dir, made = t.TempDir(), time.Time{}
			}
			source := &dated{script: newScript(), at: made}
			run := func(beside Static, changes ...shard.Change) snapshot.Version {
				t.Helper()
				p := New([]Federation{{Name: "fed", State: dir, Members: []Member{{Cluster: shard.Cluster{Name: "a"}, Source: source, Identity: "a"}}}}, beside, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { p.Run(ctx) })
				synctest.Wait()
				early := p.Current().Load().Serial
				source.say <- append(slices.Clone(changes), shard.Fresh{})
				time.Sleep(time.Minute)
				v := p.Current().Load().Version
				if !ready(p) || v.Pending() || int32(v.Serial-early) < 0 {
					t.Errorf("ready %v, from %d to %+v", ready(p), early, v)
				}
				cancel()
				wg.Wait()
				return v
			}
			beside := Static{Digest: 1, Made: made}
			web := append(slices.Clone(nothing), service("192.0.2.1"), slice(true))
			first := run(beside, web...)
			if again := run(beside, web...); again.Serial != first.Serial {
				t.Errorf("kept %v: serial went from %d to %d, and nothing has changed", kept, first.Serial, again.Serial)
			}
			if !kept {
				source.at = time.Now()
			}
			other := run(beside, append(slices.Clone(nothing), service("192.0.2.2"), slice(true))...)
			if int32(other.Serial-first.Serial) <= 0 {
				t.Errorf("kept %v: serial went from %d to %d while an address changed", kept, first.Serial, other.Serial)
			}
			if !kept {
				beside.Made = time.Now()
			}
			beside.Digest++
			if next := run(beside, append(slices.Clone(nothing), service("192.0.2.2"), slice(true))...); int32(next.Serial-other.Serial) <= 0 {
				t.Errorf("kept %v: serial went from %d to %d while the configuration changed", kept, other.Serial, next.Serial)
			}
		})
	}
}

// A change of state is logged by name, at once.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newScript()
		_, l := start(t, nil, nil, a)
		a.say <- append(nothing, service("192.0.2.1"), slice(true))
		time.Sleep(time.Second)
		a.say <- []shard.Change{slice(false)}
		synctest.Wait()
		if want := "shard shop/web in cluster-a: down (no ready endpoint)"; !strings.Contains(l.String(), want) {
			t.Errorf("no line says %q:\n%s", want, l)
		}
	})
}

// answer and hosts are a pretend resolver.
type answer struct {
	addrs []string
	ttl   time.Duration
	err   error
}

type hosts struct {
	mu      sync.Mutex // guards the rest
	answers map[string]answer
	asked   int
}

func (h *hosts) set(name string, a answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[name] = a
}

func (h *hosts) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

func (h *hosts) Lookup(_ context.Context, name string) ([]netip.Addr, time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	a, ok := h.answers[name]
	if !ok {
		return nil, 0, errors.New("this resolver is dead")
	}
	var out []netip.Addr
	for _, s := range a.addrs {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, a.ttl, a.err
}

// A log is what was logged, readable while it is written.
type log struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
