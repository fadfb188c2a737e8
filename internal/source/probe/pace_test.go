package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// wants are n targets that a namespace of a member wants, from the first-th on.
func wants(t testing.TB, member, namespace string, first, n int, words string) (out []Request) {
	for i := range n {
		out = append(out, Request{Target: target(t, first+i, words), Requester: Requester{"prod", member, namespace}, Rates: DefaultRates, Free: true})
	}
	return out
}

// every gives how often the targets of each payer are probed, and the rate of each.
func every(jobs []Job) (at map[Requester]time.Duration, rate map[Requester]float64) {
	at, rate = map[Requester]time.Duration{}, map[Requester]float64{}
	for _, j := range jobs {
		at[j.Requester] = max(at[j.Requester], j.Every)
		rate[j.Requester] += perSecond(j.Every)
	}
	return at, rate
}

func TestPace(t *testing.T) {
	greedy, modest, other := Requester{"prod", "c", "greedy"}, Requester{"prod", "c", "modest"}, Requester{"prod", "d", "other"}
	join := func(lists ...[]Request) (out []Request) {
		for _, l := range lists {
			out = append(out, l...)
		}
		return out
	}
	at := func(ws []Request, addr string) []Request { // each at a port of its own of one address
		for i := range ws {
			ws[i].Addr = netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(i+1))
		}
		return ws
	}
	var crowd []Request
	for i := range 20 { // 2,000 a second of one member
		crowd = append(crowd, wants(t, "c", fmt.Sprint("ns", i), 10_000+200*i, 200, "tcp")...)
	}
	var crowds []Request
	for m := range 9 { // 9,000 a second of nine members, each of which may have 1,000
		for i := range 10 {
			crowds = append(crowds, wants(t, fmt.Sprint("m", m), fmt.Sprint("ns", i), 20_000*(m+1)+200*i, 200, "tcp")...)
		}
	}
	for _, tt := range []struct {
		name  string
		wants []Request
		want  map[Requester]time.Duration
	}{
		{"within all rates", join(wants(t, "c", "modest", 1, 500, "tcp"), wants(t, "d", "other", 1000, 500, "tcp")),
			map[Requester]time.Duration{modest: 2 * time.Second, other: 2 * time.Second}},
		{"one namespace asks for twice its rate", join(wants(t, "c", "greedy", 1, 1000, "tcp"), wants(t, "c", "modest", 5000, 10, "tcp")),
			map[Requester]time.Duration{greedy: 4 * time.Second, modest: 2 * time.Second}},
		{"600 at one address, and one", join(at(wants(t, "c", "greedy", 1, 600, "tcp interval 1s"), "192.0.2.1"), at(wants(t, "c", "modest", 1, 1, "http"), "192.0.2.1")),
			map[Requester]time.Duration{greedy: 30769230 * time.Microsecond, modest: 2 * time.Second}},
		{"one member asks for twice its rate", join(crowd, wants(t, "c", "modest", 1, 10, "tcp"), wants(t, "d", "other", 100, 100, "tcp")),
			map[Requester]time.Duration{modest: 2 * time.Second, other: 2 * time.Second, {"prod", "c", "ns7"}: 4020100 * time.Microsecond}},
		{"all ask for nine fifths", join(crowds, wants(t, "c", "modest", 1, 10, "tcp"), wants(t, "d", "other", 100, 100, "tcp")),
			map[Requester]time.Duration{modest: 2 * time.Second, other: 2 * time.Second, {"prod", "m3", "ns7"}: 3640040 * time.Microsecond}},
		{"what two want costs the one who asks for less", join(wants(t, "c", "greedy", 1, 1000, "tcp"), wants(t, "c", "modest", 1, 10, "tcp")),
			map[Requester]time.Duration{greedy: 3960 * time.Millisecond, modest: 2 * time.Second}},
	} {
		got, _ := every(Pace(tt.wants))
		for p, d := range tt.want {
			if (got[p] - d).Abs() > time.Millisecond {
				t.Errorf("%s: %v is probed every %s, want %s", tt.name, p, got[p], d)
			}
		}
	}
}

// Whatever is wanted, the rates hold, nothing is probed more often than it says, each target
// once, and who asks for little isn't slowed by others.
func TestPaceHolds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rates := Rates{Namespace: 20, Member: 30, Address: 5}
		var ws []Request
		draw := rapid.IntRange(0, 400).Draw(r, "wants")
		for range draw {
			ws = append(ws, Request{
				Target:    target(t, rapid.IntRange(0, 30).Draw(r, "addr"), rapid.SampledFrom([]string{"tcp", "tcp interval 1s", "http", "http /x interval 10s"}).Draw(r, "spec")),
				Requester: Requester{"prod", rapid.SampledFrom([]string{"a", "b"}).Draw(r, "member"), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(r, "namespace")},
				Rates:     rates,
			})
		}
		jobs := Pace(ws)
		seen := map[Target]bool{}
		member, addr := map[string]float64{}, map[netip.Addr]float64{}
		_, namespace := every(jobs)
		for _, j := range jobs {
			if seen[j.Target] || j.Every < j.Spec.Interval {
				r.Fatalf("%+v", j)
			}
			seen[j.Target] = true
			member[j.Requester.Member] += perSecond(j.Every)
			addr[j.Addr.Addr()] += perSecond(j.Every)
		}
		for _, w := range ws {
			if !seen[w.Target] {
				r.Fatalf("%v isn't probed", w.Target)
			}
		}
		const off = 1.0001
		for p, n := range namespace {
			if n > rates.Namespace*off {
				r.Fatalf("%v: %v probes a second", p, n)
			}
		}
		for m, n := range member {
			if n > rates.Member*off {
				r.Fatalf("%s: %v probes a second", m, n)
			}
		}
		for a, n := range addr {
			if n > rates.Address*off {
				r.Fatalf("%s: %v probes a second", a, n)
			}
		}
		quiet := Request{Target: target(t, 1000, "tcp"), Requester: Requester{"prod", "a", "quiet"}, Rates: rates}
		for _, j := range Pace(append(ws, quiet)) {
			if j.Target == quiet.Target && j.Every != 2*time.Second {
				r.Fatalf("who asks for one probe every 2 s has one every %s", j.Every)
			}
		}
	})
}

// A tenant has 5,000 targets that never answer, for as long as a probe may take. Those of
// others are probed as if it weren't there.
func TestOthersDontWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := start(t)
		var ws []Request
		for i := range 3 {
			ws = append(ws, wants(t, "c", fmt.Sprint("hostile", i), 10_000*(i+1), 5000, "tcp interval 10m timeout 10m")...)
		}
		mine := wants(t, "c", "shop", 1, 20, "tcp")
		s.become(func(ctx context.Context, x Target) error {
			if x.Spec.Timeout == 10*time.Minute {
				return hang(ctx, x)
			}
			return nil
		})
		p.Set(Pace(append(ws, mine...)))
		settle(20 * time.Minute) // each of theirs has had its time twice
		hostile := 0
		for _, w := range ws {
			hostile += len(s.times(w.Target))
		}
		if hostile < 3*500 {
			t.Errorf("the others were probed %d times", hostile)
		}
		for _, w := range mine {
			at := s.times(w.Target)
			for i := range at[1:] {
				if gap := at[i+1].Sub(at[i]); gap > 2200*time.Millisecond+2*tick {
					t.Fatalf("%v passed between two probes", gap)
				}
			}
			if len(at) < 583 {
				t.Errorf("probed %d times in 20 minutes", len(at))
			}
		}
	})
}

// 600 targets of three namespaces are one server: what reaches it is within the rate of an
// address, and each namespace has its part.
func TestSink(t *testing.T) {
	var mu sync.Mutex
	reached := map[string]int{}
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		reached[r.Host]++
	}))
	defer sink.Close()
	at := sink.Listener.Addr().(*net.TCPAddr).AddrPort()
	var ws []Request
	for n, count := range map[string]int{"a": 590, "b": 8, "c": 2} {
		for i := range count {
			s, err := Parse([]string{"http", fmt.Sprint("/", i), "host", n, "interval", "1s"})
			if err != nil {
				t.Fatal(err)
			}
			ws = append(ws, Request{Target: s.At(at.Addr(), at.Port()), Requester: Requester{"prod", "m", n}, Rates: DefaultRates, Free: true})
		}
	}
	p := New(func(Target, Result) {})
	p.Set(Pace(ws))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	began := time.Now()
	wg.Go(func() { p.Run(ctx) })
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		mu.Lock()
		done := reached["c"] >= 10
		mu.Unlock()
		if done {
			break
		}
	}
	took := time.Since(began)
	cancel()
	wg.Wait()
	all := reached["a"] + reached["b"] + reached["c"]
	t.Logf("%v in %s", reached, took)
	// One more second of each, for where in their interval they began.
	if most := DefaultRates.Address * (took.Seconds() + 1) * 1.2; float64(all) > most {
		t.Errorf("%d probes in %s reached one server, want at most %v", all, took, most)
	}
	if reached["c"] < 10 || reached["b"] < 4*reached["c"]/2 {
		t.Errorf("reached by %v: those who ask for little wait for those who ask for much", reached)
	}
}

// Whatever leads there, nothing is sent to an address that is refused: it is asked by the
// address that was looked at, and what it says of another isn't followed.
func TestNothingReachesRefused(t *testing.T) {
	var reached atomic.Int64
	own := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer own.Close()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, own.URL, http.StatusFound)
	}))
	defer front.Close()
	ask := func(url string, free bool) (probed bool) {
		s, err := Parse([]string{"http", "/", "200-399", "host", "rebound.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		at := netip.MustParseAddrPort(url[len("http://"):])
		p := New(func(Target, Result) {})
		e := &entry{target: s.At(at.Addr(), at.Port()), payer: &payer{}}
		p.probe(t.Context(), &flight{e, e.payer, free})
		return e.result.Local == ""
	}
	if ask(own.URL, false) || reached.Load() != 0 {
		t.Errorf("an address of this server was probed, and reached %d times", reached.Load())
	}
	if !ask(front.URL, true) || reached.Load() != 0 {
		t.Errorf("a redirect was followed %d times", reached.Load())
	}
	if !ask(own.URL, true) || reached.Load() != 1 {
		t.Errorf("what an operator allows was reached %d times", reached.Load())
	}
}
