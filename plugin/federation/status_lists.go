package federation

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/report"
	"github.com/fedns/fedns/internal/topology"
)

// clusters answers /api/v1/clusters.
func (s *status) clusters(ctx context.Context, _ url.Values) (any, error) {
	out := report.Clusters{Isolated: []string{}, Clusters: []report.Cluster{}}
	for i, st := range s.stanzas {
		all, isolated, ok := s.f.pipe.Clusters(ctx, i)
		if !ok {
			return nil, errEnded
		}
		if isolated {
			out.Isolated = append(out.Isolated, st.name)
		}
		// Not what the table holds, which is shown a moment later: what is answered.
		answers := answering(s.f.board.Load().Federations[i])
		for _, m := range all {
			c := report.Cluster{
				Federation: st.name, Cluster: string(m.Name), Source: m.Origin, Listed: m.Listed, Silent: m.Silent,
				SilentSeconds: m.Quiet.Seconds(), Reason: m.Reason, ViewAgeSeconds: age(m.Heard), Places: places(m.Places), Shards: []report.Tally{},
				Answers: answers[m.Index], TTL: m.Lifetime.Own,
			}
			if m.Shadowed {
				c.Warning = fmt.Sprintf("namespace %q has the federation's name, and its pods' short names lead here", st.name)
			}
			if m.Lifetime.Default {
				c.TTL = max(c.TTL, st.ttl)
			}
			if m.Order != nil {
				c.Order = m.Order.String()
			}
			for t, n := range m.Shards {
				c.Shards = append(c.Shards, report.Tally{Verdict: t.State.String(), Reason: string(t.Why), Stale: t.Stale, Count: n})
			}
			slices.SortFunc(c.Shards, func(a, b report.Tally) int {
				return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Reason, b.Reason))
			})
			out.Clusters = append(out.Clusters, c)
		}
	}
	return out, nil
}

// answering counts the services, and hosts, that are answered with each cluster, by
// index.
func answering(f *names.Federation) map[int]int {
	out := map[int]int{}
	var seen []uint16
	for _, all := range []iter.Seq[*names.Service]{f.Services(), f.Hosts()} {
		for svc := range all {
			seen = seen[:0]
			for _, x := range svc.Shards {
				if !slices.Contains(seen, x.Cluster) {
					seen = append(seen, x.Cluster)
					out[int(x.Cluster)]++
				}
			}
		}
	}
	return out
}

// age is how long ago something was, in seconds; nil if it never was.
func age(at time.Time) *float64 {
	if at.IsZero() {
		return nil
	}
	s := max(time.Since(at), 0).Seconds()
	return &s
}

func places[P topology.Place | topology.Scope](ps []P) []report.Place {
	out := make([]report.Place, 0, len(ps))
	for _, p := range ps {
		out = append(out, report.Place(topology.Place(p)))
	}
	return out
}

const (
	// A page of services is a screenful for a person, and at most what a program
	// takes in at once without either side noticing.
	usualPage   = 100
	largestPage = 10000
)

// services answers /api/v1/services.
func (s *status) services(_ context.Context, v url.Values) (any, error) {
	n, err := limit(v, usualPage, largestPage)
	if err != nil {
		return nil, err
	}
	snapshot := s.f.board.Load()
	out := report.Services{Serial: snapshot.Serial, Services: []report.Service{}}
	type entry struct {
		at         string // its place in the order, and in a cursor
		federation int
		service    *names.Service
	}
	var all []entry
	for i, f := range snapshot.Federations {
		if v.Has("federation") && v.Get("federation") != f.Name {
			continue
		}
		for svc := range every(f) {
			k := svc.Key
			if v.Has("namespace") && v.Get("namespace") != k.Namespace {
				continue
			}
			out.Total++
			if at := strings.Join([]string{f.Name, k.Namespace, k.Name, k.Kind.String()}, "/"); at > v.Get("after") {
				all = append(all, entry{at, i, svc})
			}
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.at, b.at) })
	if len(all) > n {
		all = all[:n]
		out.Next = all[n-1].at
	}
	for _, e := range all {
		out.Services = append(out.Services, s.service(snapshot, e.federation, e.service))
	}
	return out, nil
}

func (s *status) service(snapshot *names.Snapshot, federation int, svc *names.Service) report.Service {
	out := report.Service{
		Federation: snapshot.Federations[federation].Name, Kind: svc.Key.Kind.String(), Namespace: svc.Key.Namespace, Name: svc.Key.Name,
		Addresses: []report.Address{}, Ports: []report.Port{}, TTL: svc.TTL, Down: svc.Down, Silent: len(svc.Silent) > 0, Note: svc.Note,
	}
	if d := s.f.home(federation); d != nil {
		out.Global = spell(d, out.Federation, svc.Key, topology.Global)
	}
	for _, a := range svc.Shards {
		out.Addresses = append(out.Addresses, report.Address{Address: a.Addr.String(), Place: report.Place(a.Place)})
	}
	for _, p := range svc.Ports {
		out.Ports = append(out.Ports, report.Port{Name: p.Name, Protocol: p.Proto, Number: p.Number})
	}
	return out
}

// every lists the services of a federation and its hosts.
func every(f *names.Federation) iter.Seq[*names.Service] {
	return func(yield func(*names.Service) bool) {
		for _, list := range [...]iter.Seq[*names.Service]{f.Services(), f.Hosts()} {
			for svc := range list {
				if !yield(svc) {
					return
				}
			}
		}
	}
}

// home is the first domain that a federation stands under.
func (f *Federation) home(federation int) *domain {
	for _, d := range f.domains {
		for _, m := range d.members {
			if m.Index == federation {
				return d
			}
		}
	}
	return nil
}

// spell gives the name of a service in a scope.
func spell(d *domain, federation string, k names.Key, scope topology.Scope) string {
	if k.Kind == names.Host {
		return k.Name + "."
	}
	p := answer.Path{Service: k.Name, Namespace: k.Namespace, Federation: federation, Kind: k.Kind}
	return p.Host(scope) + "." + string(d.name)
}

// snapshot answers /api/v1/snapshot.
func (s *status) snapshot(ctx context.Context, _ url.Values) (any, error) {
	now := time.Now()
	snapshot := s.f.board.Load()
	out := report.Snapshot{Serial: snapshot.Serial, Services: snapshot.Size(), Federations: []report.Federation{}, Versions: versions()}
	if host, err := os.Hostname(); err == nil {
		out.Host = host
	}
	for i, st := range s.stanzas {
		isolated, held, ok := s.f.pipe.Trouble(ctx, i)
		if !ok {
			return nil, errEnded
		}
		f := snapshot.Federations[i]
		r := report.Federation{
			Federation: st.name, Domains: st.zones, Clusters: []string{}, Scopes: places(f.Map.Scopes()[1:]), Services: f.Size(), Hosts: f.HostCount(),
			Heard: f.Heard, Settled: f.Settled, Isolated: isolated, GuardHeldServices: held, Overrides: []report.Order{},
		}
		for _, c := range s.f.clusters(&st, i) {
			r.Clusters = append(r.Clusters, string(c.Name))
		}
		if st.override != "" {
			r.OverridesFile = st.override
			if abs, err := filepath.Abs(st.override); err == nil {
				r.OverridesFile = abs
			}
			orders, err := st.orders(now)
			if err != nil {
				r.OverridesError = err.Error()
			}
			r.OverridesDigest = st.digest()
			for _, o := range orders {
				r.Overrides = append(r.Overrides, report.OrderOf(o, now))
			}
		}
		r.InForce, out.Serial, ok = s.inForce(ctx, i, now)
		if !ok {
			return nil, errEnded
		}
		out.Federations = append(out.Federations, r)
	}
	return out, nil
}

// Version is that of the program, which sets it before the start; Go's own idea of it
// isn't one, unless it was fetched as a module.
var Version = "devel"

// versions says what this program is made of.
func versions() map[string]string {
	out := map[string]string{"fedns": Version, "go": runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/coredns/coredns", "github.com/miekg/dns", "k8s.io/client-go":
			out[m.Path[strings.LastIndexByte(m.Path, '/')+1:]] = m.Version
		}
	}
	return out
}
