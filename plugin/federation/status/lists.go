package status

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// Clusters answers /api/v1/clusters.
func (s *Status) Clusters(ctx context.Context, v url.Values) (any, error) {
	at, err := moment(v)
	if err != nil {
		return nil, err
	}
	out, err := s.clusters(ctx)
	if err != nil || at.IsZero() {
		return out, err
	}
	return s.clustersAt(out, at)
}

func (s *Status) clusters(ctx context.Context) (report.Clusters, error) {
	out := report.Clusters{Isolated: []string{}, Clusters: []report.Cluster{}}
	for i, st := range s.Federations {
		all, isolated, ok := s.Pipe.Clusters(ctx, i)
		if !ok {
			return out, errEnded
		}
		if isolated {
			out.Isolated = append(out.Isolated, st.Name)
		}
		// Not what the table holds, which is shown a moment later: what is answered.
		answers := answering(s.Block.Current.Load().Federations[i])
		for _, m := range all {
			c := report.Cluster{
				Federation: st.Name, Cluster: string(m.Name), Source: m.Origin, Listed: m.Listed, Silent: m.Silent,
				SilentSeconds: m.SilentFor.Seconds(), Reason: m.Reason, Version: m.Version, ViewAgeSeconds: age(m.Heard), Places: places(m.Places), Shards: []report.Tally{},
				Answers: answers[m.Index], TTL: m.Lifetime.Own,
			}
			if m.HoldLeft != nil {
				left := m.HoldLeft.Seconds()
				c.HoldLeftSeconds = &left
			}
			if m.Shadowed {
				c.Warning = fmt.Sprintf("namespace %q has the federation's name, and its pods' short names lead here", st.Name)
			}
			if m.Lifetime.Default {
				c.TTL = max(c.TTL, st.TTL)
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
func answering(f *snapshot.Federation) map[int]int {
	out := map[int]int{}
	var seen []uint16
	for svc := range f.All() {
		seen = seen[:0]
		for _, x := range svc.Shards {
			if !slices.Contains(seen, x.Cluster) {
				seen = append(seen, x.Cluster)
				out[int(x.Cluster)]++
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

// texts are addresses as they are written.
func texts(addrs []netip.Addr) []string {
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

const (
	// A page of services is a screenful for a person, and at most what a program
	// takes in at once without either side noticing.
	usualPage   = 100
	largestPage = 10000
)

// A serviceFilter says which services are wanted.
type serviceFilter struct {
	federation, namespace *string // nil: of any
	healthy               *bool
	text, after           string
}

func serviceFilterOf(v url.Values) (f serviceFilter, err error) {
	for name, into := range map[string]**string{"federation": &f.federation, "namespace": &f.namespace} {
		if v.Has(name) {
			text := v.Get(name)
			*into = &text
		}
	}
	for name, is := range map[string]bool{"unhealthy": false, "healthy": true} {
		if !v.Has(name) {
			continue
		}
		yes, err := strconv.ParseBool(cmp.Or(v.Get(name), "true"))
		if err != nil {
			return f, bad("%s: %q is neither true nor false", name, v.Get(name))
		}
		if yes {
			f.healthy = &is
		}
	}
	f.text, f.after = strings.ToLower(v.Get("text")), v.Get("after")
	if len(f.text) > longestFilter {
		return f, bad("text: is longer than %d bytes", longestFilter)
	}
	return f, nil
}

func (f *serviceFilter) takes(k snapshot.Key, healthy bool) bool {
	return (f.namespace == nil || *f.namespace == k.Namespace) && (f.healthy == nil || *f.healthy == healthy) &&
		(f.text == "" || strings.Contains(k.Namespace+"/"+k.Name, f.text))
}

// services answers /api/v1/services: those that are answered, and those that a cluster
// has and that aren't known well enough for that yet.
func (s *Status) services(ctx context.Context, v url.Values) (any, error) {
	n, err := limit(v, usualPage, largestPage)
	if err != nil {
		return nil, err
	}
	wanted, err := serviceFilterOf(v)
	if err != nil {
		return nil, err
	}
	at, err := moment(v)
	if err != nil {
		return nil, err
	}
	if !at.IsZero() {
		return s.servicesAt(ctx, wanted, n, at)
	}
	current := s.Block.Current.Load()
	out := report.Services{Serial: current.Serial, Services: []report.Service{}}
	page := listing{wanted: wanted, into: &out}
	for i, f := range current.Federations {
		if wanted.federation != nil && *wanted.federation != f.Name {
			continue
		}
		rows, ok := s.Pipe.ServicesUp(ctx, i)
		if !ok {
			return nil, errEnded
		}
		seen := map[snapshot.Key]*snapshot.Service{}
		for svc := range f.All() {
			seen[svc.Key] = svc
		}
		for k := range rows {
			if seen[k] == nil {
				seen[k] = &snapshot.Service{Key: k, Down: "not every cluster that has it has been listed yet"}
			}
		}
		for k, svc := range seen {
			page.add(f.Name, i, svc, rows[k])
		}
	}
	all := page.first(n)
	for _, e := range all {
		out.Services = append(out.Services, s.service(current, e.federation, e.service))
	}
	return out, s.pieces(ctx, all, out.Services)
}

// A listed is a service on its way into a page.
type listed struct {
	at         string // its place in the order, and in a cursor
	federation int
	service    *snapshot.Service
}

// A listing gathers the services that are asked for, for one page of them.
type listing struct {
	wanted serviceFilter
	into   *report.Services // has how many there are, and where the next page begins
	all    []listed
}

// add takes a service in, if it is asked for; well says how it stands.
func (l *listing) add(federation string, i int, svc *snapshot.Service, well bool) {
	k := svc.Key
	if !l.wanted.takes(k, well) {
		return
	}
	l.into.Total++
	if at := strings.Join([]string{federation, k.Namespace, k.Name, k.Kind.String()}, "/"); at > l.wanted.after {
		l.all = append(l.all, listed{at, i, svc})
	}
}

// first are the first n, in their order.
func (l *listing) first(n int) []listed {
	slices.SortFunc(l.all, func(a, b listed) int { return cmp.Compare(a.at, b.at) })
	if len(l.all) > n {
		l.all = l.all[:n]
		l.into.Next = l.all[n-1].at
	}
	return l.all
}

// pieces adds to each service of a page what its shards are.
func (s *Status) pieces(ctx context.Context, page []listed, into []report.Service) error {
	now, wall := pipeline.Now(), time.Now()
	for i := range s.Federations {
		var keys []snapshot.Key
		var at []int
		for j, e := range page {
			if e.federation == i {
				keys, at = append(keys, e.service.Key), append(at, j)
			}
		}
		if len(keys) == 0 {
			continue
		}
		es, ok := s.Pipe.ExplainAll(ctx, i, keys)
		if !ok {
			return errEnded
		}
		file, _ := s.Federations[i].Overrides.Orders(wall) // as for explain
		all := orders(append(registered(s.Federations[i].Registry, wall), file...))
		for j, e := range es {
			svc := &into[at[j]]
			svc.Healthy = len(e.Shards) > 0
			for k := range e.Shards {
				x := &e.Shards[k]
				svc.Healthy = svc.Healthy && x.Verdict.State == health.Up && !x.Verdict.Stale
				ago := max(now-x.Since, 0)
				piece := report.ServiceShard{
					Cluster: string(x.Cluster), Verdict: x.Verdict.State.String(), Reason: string(x.Verdict.Why), Stale: x.Verdict.Stale,
					Since: wall.Add(-ago).Unix(), SinceSeconds: ago.Seconds(),
					Places: places(x.Places), Addresses: texts(x.Addrs), Endpoints: x.Evidence.Endpoints,
				}
				if o := all.about(keys[j], x); o != nil {
					piece.Order = o.String()
				}
				svc.Shards = append(svc.Shards, piece)
			}
		}
	}
	return nil
}

func (s *Status) service(current *snapshot.Snapshot, federation int, svc *snapshot.Service) report.Service {
	out := report.Service{
		Federation: current.Federations[federation].Name, Kind: svc.Key.Kind.String(), Namespace: svc.Key.Namespace, Name: svc.Key.Name,
		Addresses: []report.Address{}, Ports: []report.Port{}, TTL: svc.TTL, Down: svc.Down, Silent: len(svc.Silent) > 0, Note: svc.Note,
		Shards: []report.ServiceShard{},
	}
	if d := s.Block.Home(federation); d != nil {
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

// spell gives the name of a service in a scope.
func spell(d *zone.Domain, federation string, k snapshot.Key, scope topology.Scope) string {
	if k.Kind == snapshot.Host {
		return k.Name + "."
	}
	p := answer.Path{Service: k.Name, Namespace: k.Namespace, Federation: federation, Kind: k.Kind}
	return p.Host(scope) + "." + string(d.Name)
}

// fewContested is how many hosts a snapshot names that several claim.
const fewContested = 20

// snapshot answers /api/v1/snapshot.
func (s *Status) snapshot(ctx context.Context, _ url.Values) (any, error) {
	now := time.Now()
	current := s.Block.Current.Load()
	out := report.Snapshot{Serial: current.Serial, Services: current.Size(), Publication: current.Publication, Federations: []report.Federation{}, Versions: Versions()}
	if host, err := os.Hostname(); err == nil {
		out.Host = host
	}
	out.Signing, out.Publishing = s.Signing(now), s.Publishing()
	if begin := s.Pipe.History().Begin(); !begin.IsZero() {
		out.Begin = unix(begin)
	}
	claims, _, ok := s.Pipe.Contested(ctx, fewContested)
	if !ok {
		return nil, errEnded
	}
	for _, host := range slices.Sorted(maps.Keys(claims)) {
		out.Contested = append(out.Contested, hostOf(host, claims[host]))
	}
	for i, st := range s.Federations {
		trouble, ok := s.Pipe.Trouble(ctx, i)
		if !ok {
			return nil, errEnded
		}
		f := current.Federations[i]
		r := report.Federation{
			Federation: st.Name, Domains: st.Domains, Clusters: []string{}, Scopes: places(f.Map.Scopes()[1:]), Services: f.Size(), Hosts: f.HostCount(),
			Heard: f.Heard, Settled: f.Settled, Isolated: trouble.Isolated, GuardHeldServices: trouble.Held, GuardLeftSeconds: trouble.GuardLeft.Seconds(),
			HoldSeconds: st.Policy.Hold.Seconds(), Keep: st.Policy.Keep, TTL: st.TTL, Overrides: []report.Order{},
		}
		for _, c := range st.Members() {
			r.Clusters = append(r.Clusters, string(c.Name))
		}
		if st.Overrides != "" {
			r.OverridesFile = st.Overrides.Path()
			orders, err := st.Overrides.Orders(now)
			if err != nil {
				r.OverridesError = err.Error()
			}
			r.OverridesDigest = st.Overrides.digest()
			for _, o := range orders {
				r.Overrides = append(r.Overrides, report.OrderOf(o, now))
			}
		}
		if b := st.Registry; b != nil {
			r.Server = b.ServerName()
		}
		r.Geo = s.Block.Geo[i].InUse()
		for _, scope := range f.Map.Scopes() {
			if scope.Region != "" && scope.Zone == "" {
				r.Regions = append(r.Regions, s.region(i, scope.Region))
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

// region says where a region is.
func (s *Status) region(federation int, name string) report.Region {
	out := report.Region{Region: name}
	if at := s.Block.Geo[federation].Region(name); at.Source != geo.Unknown {
		out.Location, out.Source = fmt.Sprintf("%.4f %.4f", at.Point.Lat, at.Point.Lon), at.Source.String()
	}
	return out
}

// Version is that of the program, which sets it before the start; Go's own idea of it
// isn't one, unless it was fetched as a module.
var Version = "devel"

// Versions says what this program is made of.
func Versions() map[string]string {
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
