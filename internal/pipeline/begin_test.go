package pipeline

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// A slow resolver takes its time for every answer.
type slow struct {
	*hosts
	takes time.Duration
}

func (s slow) Lookup(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	select {
	case <-time.After(s.takes):
		return s.hosts.Lookup(ctx, name)
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

func balancer(takes time.Duration) slow {
	return slow{&hosts{answers: map[string]answer{"lb.example.": {addrs: []string{"192.0.2.7"}, ttl: time.Hour}}}, takes}
}

// held says whether answers about web are held up.
func held(p *Pipeline) bool {
	s := p.Current().Load().Federations[0].Service(web)
	return s != nil && len(s.Awaits) > 0 && s.Awaits[0].Hold
}

// unsure says whether something isn't known of web.
func unsure(p *Pipeline) bool {
	s := p.Current().Load().Federations[0].Service(web)
	return s != nil && len(s.Awaits) > 0
}

func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// A server isn't ready before load balancers' names have been looked up, for as long as
// a cluster may take to be listed.
func TestReadyWhenLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			takes time.Duration
			fails bool
			at    time.Duration // when it is ready
			up    int
		}{
			{"at once", 0, false, 0, 1},
			{"a second", time.Second, false, time.Second, 1},
			{"nine seconds", 9 * time.Second, false, 9 * time.Second, 1},
			{"for ever", time.Hour, false, StartupWait, 0},
			{"the resolver fails", 0, true, StartupWait, 0},
		} {
			r := balancer(tt.takes)
			if tt.fails {
				r.set("lb.example.", answer{err: errors.New("refused")})
			}
			a := newScript()
			p, l := start(t, r, nil, a)
			a.say <- append(nothing[:4:4], service("", "lb.example."), slice(true))
			if tt.at > 0 {
				if after(tt.at - minGap); ready(p) || !held(p) {
					t.Errorf("%s: before: ready %v, held %v", tt.name, ready(p), held(p))
				}
			}
			after(3 * minGap)
			if !ready(p) || held(p) || up(p) != tt.up {
				t.Errorf("%s: ready %v, held %v, %d addresses", tt.name, ready(p), held(p), up(p))
			}
			if late := tt.at == StartupWait; unsure(p) != late || strings.Contains(l.String(), "not everything is known within 10s") != late {
				t.Errorf("%s: unsure %v:\n%s", tt.name, unsure(p), l)
			}
			after(StartupWait)
		}
	})
}

// A resolver that comes up a moment later isn't waited for any longer than that.
func TestLookedUpAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := balancer(0)
		r.set("lb.example.", answer{err: errors.New("refused")})
		a := newScript()
		p, _ := start(t, r, nil, a)
		a.say <- append(nothing[:4:4], service("", "lb.example."), slice(true))
		after(500 * time.Millisecond)
		r.set("lb.example.", answer{addrs: []string{"192.0.2.7"}, ttl: time.Hour})
		if after(time.Second); !ready(p) || up(p) != 1 {
			t.Errorf("ready %v, %d addresses", ready(p), up(p))
		}
	})
}

// What has an answer isn't waited for: probes of a Service without a port to probe.
func TestNothingToProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, _, _ := trio(t, Federation{Policy: shard.Policy{Probe: "tcp"}}, true)
		_ = s
		if after(3 * minGap); !ready(p) || unsure(p) {
			t.Errorf("ready %v, unsure %v", ready(p), unsure(p))
		}
	})
}

// A reload holds nothing up that was answered before, and passes on what was learned;
// one of a server that wasn't ready waits as that did.
func TestReloadInTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newScript()
		p, _ := start(t, balancer(time.Second), nil, a)
		a.say <- append(nothing[:4:4], service("", "lb.example."), slice(true))
		after(minGap)
		early := p.Export(t.Context())
		if heir, _ := start(t, balancer(time.Hour), &early, newScript()); ready(heir) || !held(heir) {
			t.Errorf("the heir of one that isn't ready: ready %v, held %v", ready(heir), held(heir))
		}
		after(time.Second)
		estate := p.Export(t.Context())
		if heir, _ := start(t, balancer(time.Hour), &estate, newScript()); !ready(heir) || up(heir) != 1 || unsure(heir) {
			t.Errorf("the heir: ready %v, %d addresses, unsure %v", ready(heir), up(heir), unsure(heir))
		}
	})
}

// A state on disk is answered from at once, whatever the resolver does; what it doesn't
// know waits.
func TestStateInTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := Federation{State: dir, Resolver: balancer(0), Policy: shard.Policy{Hold: time.Minute}}
		p, s, _, end := trio(t, f, true)
		s[0].say <- []shard.Change{service("", "lb.example.")}
		if after(time.Second); up(p) != 3 {
			t.Fatalf("%d addresses", up(p))
		}
		end()
		f.Resolver = balancer(time.Hour)
		p, s, _, _ = trio(t, f, false)
		if !ready(p) || held(p) || !unsure(p) || up(p) != 3 {
			t.Errorf("ready %v, held %v, unsure %v, %d addresses", ready(p), held(p), unsure(p), up(p))
		}
		for i := range s {
			s[i].say <- append(nothing[:4:4], service("192.0.2.9"), slice(true), shard.Fresh{})
		}
		if after(minGap); unsure(p) {
			t.Error("unsure of what nobody needs any more")
		}
	})
}

// What operators order holds from the first answer on.
func TestOrdersInTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "overrides")
		if err := os.WriteFile(file, []byte("drain cluster/a reason \"x\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		p, _, _, _ := trio(t, Federation{Overrides: file}, true)
		if up(p) != 2 {
			t.Errorf("%d addresses", up(p))
		}
	})
}

// A hostname that is new in a server that is ready holds nothing up, and is answered as
// soon as it is known.
func TestHostnameLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newScript()
		p, _ := start(t, balancer(time.Second), nil, a)
		a.say <- append(nothing[:4:4], shard.ServiceList{Kind: snapshot.Svc})
		after(time.Second)
		a.say <- []shard.Change{service("", "lb.example."), slice(true)}
		if after(minGap); !ready(p) || held(p) || !unsure(p) {
			t.Errorf("ready %v, held %v, unsure %v", ready(p), held(p), unsure(p))
		}
		if after(time.Second + minGap); up(p) != 1 || unsure(p) {
			t.Errorf("%d addresses, unsure %v", up(p), unsure(p))
		}
	})
}

// What isn't known holds answers up for ten seconds, has them be short-lived after that, and no longer
// than it isn't known: whichever kind of thing it is. A route is waited for no longer than some minutes.
func TestBeginningOfKinds(t *testing.T) {
	const shop = "shop.example.com"
	gate := &shard.Frontend{
		Key:       shard.FrontendKey{Kind: shard.Gateway, Namespace: "shop", Name: "gw"},
		Object:    &shard.Service{Key: snapshot.Key{Namespace: "shop", Name: "gw", Kind: snapshot.Ing}, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.8")}},
		Listeners: []shard.Listener{{Name: "http", Port: 80, From: shard.Selected}},
	}
	route := func(w shard.ParentStatus) shard.Change {
		return shard.FrontendSet{Frontend: &shard.Frontend{
			Key: shard.FrontendKey{Kind: shard.HTTPRoute, Namespace: "shop", Name: "r"}, Object: &shard.Service{Key: snapshot.Key{Namespace: "shop", Name: "r", Kind: snapshot.Ing}},
			Hostnames: []string{shop}, Parents: []shard.Parent{{Namespace: "shop", Name: "gw", Status: w}},
		}}
	}
	ingress := shard.ServiceSet{Service: (&shard.Service{
		Key: snapshot.Key{Namespace: "shop", Name: "ing", Kind: snapshot.Ing}, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.9")},
	}).Route(shard.Routing{Claims: []shard.Claim{{Host: shop}}})}
	plain := []shard.Change{service("192.0.2.1"), slice(true), ingress}
	for _, tt := range []struct {
		name   string
		f      Federation
		first  []shard.Change
		silent bool // another cluster says nothing
		host   bool // it is about a host, not a service
		heard  []shard.Change
		given  time.Duration // how long it is waited for at most; 0: for ever
	}{
		{"a cluster", Federation{}, []shard.Change{}, true, false, nil, 0},
		{"the registry", Federation{expects: true}, []shard.Change{}, false, false, nil, 0},
		{"a hostname", Federation{Resolver: balancer(time.Hour)}, append(plain[1:2:2], service("", "lb.example.")), false, false, []shard.Change{service("192.0.2.1")}, 0},
		{"a hostname beside an address", Federation{Resolver: balancer(time.Hour)}, append(plain[1:2:2], service("192.0.2.1", "lb.example.")), false, false, []shard.Change{service("192.0.2.1")}, 0},
		{"a route", Federation{}, append(plain[:3:3], shard.FrontendSet{Frontend: gate}, route(shard.AwaitingController)), false, true, []shard.Change{route(shard.Accepted)}, word},
		{"a route that is rejected", Federation{}, append(plain[:3:3], shard.FrontendSet{Frontend: gate}, route(shard.AwaitingController)), false, true, []shard.Change{route(shard.Rejected)}, word},
	} {
		for _, heard := range []bool{true, false} {
			if heard && tt.heard == nil {
				continue // as other tests tell
			}
			synctest.Test(t, func(t *testing.T) {
				f := tt.f
				f.Name, f.Hosts = "fed", func(host string, _ bool) (bool, string) { return strings.HasSuffix(host, ".example.com"), "" }
				a := newScript()
				f.Members = []Member{{Cluster: shard.Cluster{Name: "a"}, Source: a, Identity: "a"}}
				if tt.silent {
					f.Members = append(f.Members, Member{Cluster: shard.Cluster{Name: "b"}, Source: newScript(), Identity: "b"})
				}
				p, l := run(t, f)
				a.say <- append(nothing[:4:4], tt.first...)
				standing := func() string {
					of := p.Current().Load().Federations[0]
					list := slices.Clone(of.Unlisted)
					s := of.Service(web)
					if tt.host {
						s = of.Host(shop)
					}
					if s != nil {
						list = append(list, s.Awaits...)
					}
					out := "known"
					for _, w := range list {
						if out = "short"; w.Hold {
							return "held"
						}
					}
					return out
				}
				check := func(when, want string, isReady bool) {
					t.Helper()
					if got := standing(); got != want || ready(p) != isReady {
						t.Errorf("%s, heard %v, %s: %s, ready %v; not %s, %v\n%s", tt.name, heard, when, got, ready(p), want, isReady, l)
					}
				}
				after(time.Second)
				check("at the start", "held", false)
				after(StartupWait - time.Second - minGap)
				check("just before ten seconds", "held", false)
				after(3 * minGap)
				check("after ten seconds", "short", true)
				if after(4 * time.Minute); heard {
					a.say <- tt.heard
					after(3 * minGap)
					check("when it is known", "known", true)
				} else {
					check("after four minutes", "short", true)
				}
				after(2 * time.Minute)
				if want := map[bool]string{true: "known", false: "short"}[heard || tt.given > 0]; standing() != want {
					check("after six minutes", want, true)
				}
				if gave := strings.Contains(l.String(), "no controller has said within 5m0s"); gave != (tt.given > 0 && !heard) {
					t.Errorf("%s, heard %v: the log:\n%s", tt.name, heard, l)
				}
			})
		}
	}
}
