package status

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// The span of time for which answers are counted: no shorter than what it takes to ask again, and
// well within timeout.
const (
	shortestLook = 100 * time.Millisecond
	longestLook  = 10 * time.Second
	usualLook    = time.Second
)

// traffic answers /api/v1/traffic.
func (s *Status) traffic(ctx context.Context, v url.Values) (any, error) {
	most, err := limit(v, 100, 10000)
	if err != nil {
		return nil, err
	}
	span := usualLook
	if v.Has("seconds") {
		n, err := strconv.ParseFloat(v.Get("seconds"), 64)
		if err != nil || !(n >= shortestLook.Seconds() && n <= longestLook.Seconds()) { // NaN is neither
			return nil, bad("seconds: %q is not a number from %g to %g", v.Get("seconds"), shortestLook.Seconds(), longestLook.Seconds())
		}
		span = time.Duration(n * float64(time.Second))
	}
	if f := v.Get("federation"); v.Has("federation") && !slices.ContainsFunc(s.Federations, func(st FederationConfig) bool { return st.Name == f }) {
		return nil, bad("there is no federation %q", f)
	}
	began := time.Now()
	end := s.Block.Traffic.Look()
	over := time.NewTimer(span)
	defer over.Stop()
	select {
	case <-over.C:
	case <-s.ended: // what was counted until then is so all the same
	case <-ctx.Done():
	}
	counted := end()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return trafficOf(counted, time.Since(began), v, most), nil
}

// trafficOf is what has been counted for some time, the busiest first.
func trafficOf(counted map[zone.Counted]uint64, span time.Duration, v url.Values, most int) report.Traffic {
	out := report.Traffic{Seconds: span.Seconds(), Answers: []report.Answers{}}
	for c, n := range counted {
		if v.Has("federation") && c.Federation != v.Get("federation") || v.Has("namespace") && c.Key.Namespace != v.Get("namespace") {
			continue
		}
		row := report.Answers{Federation: c.Federation, Namespace: c.Key.Namespace, Name: c.Key.Name, PerSecond: float64(n) / span.Seconds()}
		row.Outcome, row.Scope = c.Labels()
		if c.Federation != "" {
			row.Kind = c.Key.Kind.String()
		}
		out.PerSecond += row.PerSecond
		out.Answers = append(out.Answers, row)
	}
	slices.SortFunc(out.Answers, func(a, b report.Answers) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.Federation, b.Federation), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Outcome, b.Outcome))
	})
	out.Total = len(out.Answers)
	out.Answers = out.Answers[:min(most, len(out.Answers))]
	return out
}
