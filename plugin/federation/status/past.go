package status

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// unix is a moment in Unix seconds, with their fraction.
func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// moment reads at: a moment that has passed, in Unix seconds; zero: now.
func moment(v url.Values) (time.Time, error) {
	if v.Get("at") == "" {
		return time.Time{}, nil
	}
	return instant("at", v.Get("at"))
}

func instant(name, text string) (time.Time, error) {
	if s, err := strconv.ParseFloat(text, 64); err == nil && s > 0 && s < 1e11 {
		return time.UnixMilli(int64(math.Round(s * 1000))), nil
	}
	return time.Time{}, bad("%s: %q is not a moment in Unix seconds", name, text)
}

// past is what was answered at a moment.
func (s *Status) past(at time.Time) (*snapshot.Snapshot, error) {
	old := s.Pipe.History().At(at)
	if old == nil {
		return nil, (&fault{code: http.StatusNotFound, text: "what was answered at " + at.UTC().Format(time.RFC3339) + " isn't known"}).with("of the last day the events are: events?until=" + strconv.FormatInt(at.Unix(), 10))
	}
	same := len(old.Federations) == len(s.Federations)
	for i := range old.Federations {
		same = same && old.Federations[i].Name == s.Federations[i].Name
	}
	if !same {
		return nil, &fault{code: http.StatusNotFound, text: "what was answered at " + at.UTC().Format(time.RFC3339) + " was of another configuration"}
	}
	return old, nil
}

// eventsUntil are those that are known until a moment.
func (s *Status) eventsUntil(at time.Time) []report.Event {
	all, _, _ := s.Pipe.History().Events(0)
	i, _ := slices.BinarySearchFunc(all, unix(at), func(e report.Event, at float64) int {
		if e.At <= at {
			return -1
		}
		return 1
	})
	return all[:i]
}

// clustersAt takes back what has changed since a moment.
func (s *Status) clustersAt(now report.Clusters, at time.Time) (any, error) {
	old, err := s.past(at)
	if err != nil {
		return nil, err
	}
	all, _, _ := s.Pipe.History().Events(0)
	until := len(s.eventsUntil(at))
	type member struct{ federation, cluster string }
	last := map[member]report.Event{}
	for _, e := range all[:until] {
		if e.Kind == report.EventCluster {
			last[member{e.Federation, e.Cluster}] = e
		}
	}
	gone := map[member]bool{}
	for _, e := range slices.Backward(all[until:]) {
		if e.Kind != report.EventCluster {
			continue
		}
		k := member{e.Federation, e.Cluster}
		i := slices.IndexFunc(now.Clusters, func(c report.Cluster) bool { return c.Federation == e.Federation && c.Cluster == e.Cluster })
		switch {
		case e.To == "left" && i < 0:
			now.Clusters = append(now.Clusters, report.Cluster{Federation: e.Federation, Cluster: e.Cluster, Places: []report.Place{}, Shards: []report.Tally{}, Listed: true})
			delete(gone, k)
		case i < 0:
		case e.To == "member":
			gone[k] = true
		case e.To == "left":
			delete(gone, k)
		case e.To == "listed":
			now.Clusters[i].Listed = false
		default:
			now.Clusters[i].Silent = e.To == "heard"
		}
	}
	now.Clusters = slices.DeleteFunc(now.Clusters, func(c report.Cluster) bool { return gone[member{c.Federation, c.Cluster}] })
	for f, st := range s.Federations {
		answers := answering(old.Federations[f])
		for i, c := range st.Members() {
			for j := range now.Clusters {
				if m := &now.Clusters[j]; m.Federation == st.Name && m.Cluster == string(c.Name) {
					m.Answers = answers[i]
				}
			}
		}
	}
	for i := range now.Clusters {
		c := &now.Clusters[i]
		c.Shards, c.ViewAgeSeconds, c.HoldLeftSeconds, c.Order, c.Warning, c.SilentSeconds = []report.Tally{}, nil, nil, "", "", 0
		e, known := last[member{c.Federation, c.Cluster}]
		if !c.Silent {
			c.Reason = ""
		} else if known {
			c.Reason, c.SilentSeconds = e.Reason, unix(at)-e.At
		}
	}
	slices.SortFunc(now.Clusters, func(a, b report.Cluster) int {
		return cmp.Or(cmp.Compare(a.Federation, b.Federation), cmp.Compare(a.Cluster, b.Cluster))
	})
	return now, nil
}

// A verdict is what a shard had come to.
type verdict struct {
	to, reason string
	at         float64
}

// verdicts are what shards had come to at a moment, by service and cluster, as far as the events
// tell.
func (s *Status) verdicts(federation string, at time.Time) map[string]map[string]verdict {
	out := map[string]map[string]verdict{}
	for _, e := range s.eventsUntil(at) {
		if e.Kind != report.EventShard || e.Federation != federation {
			continue
		}
		for _, svc := range e.Services {
			if out[svc] == nil {
				out[svc] = map[string]verdict{}
			}
			out[svc][e.Cluster] = verdict{e.To, e.Reason, e.At}
		}
	}
	return out
}

// servicesAt are those that were answered at a moment.
func (s *Status) servicesAt(ctx context.Context, wanted serviceFilter, n int, at time.Time) (any, error) {
	old, err := s.past(at)
	if err != nil {
		return nil, err
	}
	out := report.Services{Serial: old.Serial, Services: []report.Service{}}
	page := listing{wanted: wanted, into: &out}
	known := make([]map[string]map[string]verdict, len(old.Federations))
	for i, f := range old.Federations {
		if wanted.federation != nil && *wanted.federation != f.Name {
			continue
		}
		known[i] = s.verdicts(f.Name, at)
		for svc := range f.All() {
			page.add(f.Name, i, svc, s.wellAt(svc, known[i]))
		}
	}
	names, err := s.clusterNames(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range page.first(n) {
		svc := s.service(old, e.federation, e.service)
		svc.Healthy = s.wellAt(e.service, known[e.federation])
		svc.Shards = piecesAt(e.service, names[e.federation], known[e.federation][pipeline.Spell(e.service.Key)], unix(at))
		out.Services = append(out.Services, svc)
	}
	return out, nil
}

// wellAt says whether nothing is known against a service at a moment.
func (s *Status) wellAt(svc *snapshot.Service, known map[string]map[string]verdict) bool {
	if len(svc.Shards) == 0 || len(svc.Silent) > 0 {
		return false
	}
	for _, v := range known[pipeline.Spell(svc.Key)] {
		if v.to != "up" && v.reason != "gone" {
			return false
		}
	}
	return true
}

// clusterNames are those of the members of each federation, by index in snapshots.
func (s *Status) clusterNames(ctx context.Context) ([]map[int]topology.ClusterName, error) {
	out := make([]map[int]topology.ClusterName, len(s.Federations))
	for i := range s.Federations {
		all, _, ok := s.Pipe.Clusters(ctx, i)
		if !ok {
			return nil, errEnded
		}
		out[i] = map[int]topology.ClusterName{}
		for _, c := range all {
			out[i][c.Index] = c.Name
		}
	}
	return out, nil
}

// piecesAt are the shards of a service as they were: those that were answered, and those of which
// the events say what had become of them.
func piecesAt(svc *snapshot.Service, names map[int]topology.ClusterName, known map[string]verdict, at float64) []report.ServiceShard {
	out := []report.ServiceShard{}
	by := map[string]int{}
	for _, x := range svc.Shards {
		name := string(names[int(x.Cluster)])
		i, there := by[name]
		if !there {
			i = len(out)
			by[name] = i
			out = append(out, report.ServiceShard{Cluster: name, Verdict: "up", Reason: "answered then", Places: []report.Place{}, Addresses: []string{}})
			if v, ok := known[name]; ok {
				out[i].Reason, out[i].Since, out[i].SinceSeconds = v.reason, int64(v.at), at-v.at
			}
		}
		if p := report.Place(x.Place); !slices.Contains(out[i].Places, p) {
			out[i].Places = append(out[i].Places, p)
		}
		if a := x.Addr.String(); !slices.Contains(out[i].Addresses, a) {
			out[i].Addresses = append(out[i].Addresses, a)
		}
		for _, q := range svc.Silent {
			out[i].Stale = out[i].Stale || q.Stale && q.Place == x.Place
		}
	}
	for name, v := range known {
		if _, there := by[name]; !there && v.reason != "gone" {
			out = append(out, report.ServiceShard{Cluster: name, Verdict: v.to, Reason: v.reason, Since: int64(v.at), SinceSeconds: at - v.at, Places: []report.Place{}, Addresses: []string{}})
		}
	}
	slices.SortFunc(out, func(a, b report.ServiceShard) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return out
}

// explainPast explains what a name was answered with at a moment. Evidence isn't kept: what shards had
// come to is told as the events have it.
func (s *Status) explainPast(ctx context.Context, asked explainRequest, at time.Time) (any, error) {
	old, err := s.past(at)
	if err != nil {
		return nil, err
	}
	if len(asked.lost) > 0 {
		return nil, bad("without: is of now; it can't be asked of a moment that has passed")
	}
	out := report.Explanation{Name: asked.name, Word: asked.word, Type: typeText(asked.qtype), Serial: old.Serial, At: unix(at)}
	q, labels := s.query(asked, old)
	if q == nil {
		out.Is, out.About = report.IsElsewhere, "in none of the domains of this server block; another block or plugin answers, or REFUSED"
		return out, nil
	}
	out.Domain = string(q.Domain.Name)
	m, label := wire(s.context(ctx), q, labels)
	out.Reply = Replied(m, label)
	a := addressed(q, labels)
	out.Is, out.About, out.Why = s.kind(q, labels, &a, label)
	out.Note = "as it was then: static records and the configuration are those of now"
	if out.Is != report.IsService && out.Is != report.IsPort && out.Is != report.IsHost {
		return out, nil
	}
	for c := range a.Chain() {
		out.Chain = append(out.Chain, absolute(q, a.Path.At(c)))
	}
	out.Service = &report.Subject{
		Federation: a.Federation.Name, Kind: a.Service.Key.Kind.String(), Namespace: a.Service.Key.Namespace, Name: a.Service.Key.Name,
		Scope: a.Place(), Place: report.Place(a.Scope),
	}
	names, err := s.clusterNames(ctx)
	if err != nil {
		return nil, err
	}
	replied := addresses(m)
	known := s.verdicts(a.Federation.Name, at)[pipeline.Spell(a.Service.Key)]
	for _, p := range piecesAt(a.Service, names[a.Index], known, unix(at)) {
		sh := report.Shard{Cluster: p.Cluster, Verdict: p.Verdict, Reason: p.Reason, Stale: p.Stale, Places: p.Places, Addresses: p.Addresses, Evidence: report.Evidence{Probe: "not kept"}}
		sh.InScope = slices.ContainsFunc(p.Places, func(at report.Place) bool { return a.Scope.Holds(topology.Place(at)) })
		for addr := range replied {
			sh.InAnswer = sh.InAnswer || slices.Contains(p.Addresses, addr.String())
		}
		sh.Rule = "not in the answer then: " + p.Reason
		switch {
		case sh.InAnswer:
			sh.Rule = "in the answer then"
		case p.Verdict == "up":
			sh.Rule = "up then, and not where the answer came from"
		}
		out.Shards = append(out.Shards, sh)
	}
	return out, nil
}
