package page

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fedns/fedns/internal/api/report"
)

const (
	// fewBad and fewGood are how many services are on a page: what isn't well is worth scrolling
	// for, what is can be searched.
	fewBad  = 200
	fewGood = "100"
	// sampled is how many services that aren't well are looked at for what they have in common.
	sampled = "2000"
)

// A nowView is what stands now, or stood at a moment.
type nowView struct {
	Frame
	Troubles []Trouble
	Regions  []region
	Spots    []spot
	Unplaced []string // regions that nobody knows the place of
	Bad      report.Services
	Good     report.Services
	Healthy  int
	Text     string
	Peers    report.Peers
	Isolated []string
}

// A region is one with its clusters.
type region struct {
	Name     string
	Clusters []clusterRow
}

// A clusterRow is a cluster as a row of a table.
type clusterRow struct {
	report.Cluster
	State    string // fresh, silent, drained, new
	Up, Down int
	Since    float64
	Leads    string // where the names of its region lead
}

// A spot is a region on the map.
type spot struct {
	Name, State string
	X, Y        int
	TextX       int
	Anchor      string
	Lead        []*spot // where its clients are led, if not here
}

func now(ctx context.Context, p *Page, v url.Values) (any, error) {
	f, snap, err := p.frame(ctx, "now", "Now", v)
	if err != nil {
		return nil, err
	}
	out := nowView{Frame: f, Text: v.Get("text")}
	at := ""
	if f.At > 0 {
		at = stamp(f.At)
	}
	clusters, err := ask[report.Clusters](ctx, p, "clusters", "at", at)
	if err != nil {
		return nil, err
	}
	sample, err := ask[report.Services](ctx, p, "services", "at", at, "unhealthy", "true", "limit", sampled)
	if err != nil {
		return nil, err
	}
	if out.Bad = sample; out.Text != "" {
		if out.Bad, err = ask[report.Services](ctx, p, "services", "at", at, "unhealthy", "true", "limit", sampled, "text", out.Text); err != nil {
			return nil, err
		}
	}
	out.Bad.Services = slices.Clone(out.Bad.Services)
	worstFirst(out.Bad.Services)
	out.Bad.Services = out.Bad.Services[:min(len(out.Bad.Services), fewBad)]
	if out.Good, err = ask[report.Services](ctx, p, "services", "at", at, "healthy", "true", "limit", fewGood, "text", out.Text, "after", v.Get("after")); err != nil {
		return nil, err
	}
	out.Healthy = out.Good.Total
	if out.Peers, err = ask[report.Peers](ctx, p, "peers"); err != nil {
		return nil, err
	}
	var events []report.Event // of the kinds that troubles are told by: there may be ten thousand others
	for _, kind := range []string{report.EventOrder, report.EventNotice} {
		some, err := ask[report.Events](ctx, p, "events", "limit", "10000", "until", at, "kind", kind)
		if err != nil {
			return nil, err
		}
		events = append(events, some.Events...)
	}
	moment := f.Time
	if f.At > 0 {
		moment = f.At
		for i := range snap.Federations { // what only is of now
			x := &snap.Federations[i]
			x.InForce, x.GuardHeldServices, x.Isolated, x.OverridesError = ordersAt(events, x.Federation), 0, false, ""
		}
		snap.Contested = nil
	}
	out.Isolated = clusters.Isolated
	out.Troubles = troubles(&state{moment, snap, clusters, sample, events})
	out.Regions = regionsOf(clusters.Clusters, moment)
	out.Spots, out.Unplaced = spots(snap.Federations, out.Regions)
	return out, nil
}

// ordersAt are those that were in force, as the events have it.
func ordersAt(events []report.Event, federation string) (out []report.Order) {
	for _, e := range events {
		if e.Kind != report.EventOrder || e.Federation != federation {
			continue
		}
		if e.To != "in force" {
			out = slices.DeleteFunc(out, func(o report.Order) bool { return o.Line == e.Reason })
			continue
		}
		action, rest, _ := strings.Cut(e.Reason, " ")
		subject, reason, _ := strings.Cut(rest, " ")
		out = append(out, report.Order{Action: action, Subject: subject, Reason: reason, Line: e.Reason})
	}
	return out
}

// worstFirst sorts services that aren't well.
func worstFirst(list []report.Service) {
	grade := func(s *report.Service) int {
		up := 0
		for _, x := range s.Shards {
			if x.Verdict == "up" {
				up++
			}
		}
		switch {
		case len(s.Addresses) == 0:
			return 0
		case up < len(s.Shards):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(a, b report.Service) int { return grade(&a) - grade(&b) })
}

// regionsOf puts clusters into their regions, those without one last.
func regionsOf(clusters []report.Cluster, now float64) (out []region) {
	for _, c := range clusters {
		row := clusterRow{Cluster: c, State: "fresh"}
		for _, t := range c.Shards {
			if t.Verdict == "up" {
				row.Up += t.Count
			} else {
				row.Down += t.Count
			}
		}
		switch {
		case c.Silent:
			row.State, row.Since = "silent", now-c.SilentSeconds
		case !c.Listed:
			row.State = "new"
		case strings.HasPrefix(c.Order, "drain ") || strings.HasPrefix(c.Order, "down "):
			row.State = "drained"
		}
		names := []string{}
		for _, p := range c.Places {
			if !slices.Contains(names, p.Region) {
				names = append(names, p.Region)
			}
		}
		if len(names) == 0 {
			names = []string{""}
		}
		for _, name := range names {
			i := slices.IndexFunc(out, func(r region) bool { return r.Name == name })
			if i < 0 {
				i = len(out)
				out = append(out, region{Name: name})
			}
			out[i].Clusters = append(out[i].Clusters, row)
		}
	}
	for i := range out {
		for j := range out[i].Clusters {
			out[i].Clusters[j].Leads = leading(out, i, j)
		}
	}
	slices.SortFunc(out, func(a, b region) int {
		return cmp.Or(cmp.Compare(min(len(b.Name), 1), min(len(a.Name), 1)), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// leading is where the names of a region lead its clients who are nearest to one of its clusters.
func leading(all []region, i, j int) string {
	answers := func(c clusterRow) bool { return c.Answers > 0 }
	switch {
	case answers(all[i].Clusters[j]):
		return "here"
	case all[i].Name != "" && slices.ContainsFunc(all[i].Clusters, answers):
		return "within the region"
	}
	var others []string
	for _, r := range all {
		if r.Name != "" && slices.ContainsFunc(r.Clusters, answers) && !slices.Contains(others, r.Name) {
			others = append(others, r.Name)
		}
	}
	switch {
	case len(others) > 2:
		return fmt.Sprintf("to %d other regions", len(others))
	case len(others) > 0:
		slices.Sort(others)
		return "to " + strings.Join(others, ", ")
	}
	return "nowhere"
}

// spots puts regions on the map. Names that would hide each other are moved apart by whoever reads
// the table below: the map shows where trouble is, the table what.
func spots(federations []report.Federation, regions []region) (out []spot, unplaced []string) {
	for _, r := range regions {
		if r.Name == "" {
			continue
		}
		at := ""
		for _, f := range federations {
			for _, x := range f.Regions {
				if x.Region == r.Name && x.Location != "" {
					at = x.Location
				}
			}
		}
		north, east, ok := strings.Cut(at, " ")
		lat, err1 := strconv.ParseFloat(north, 64)
		lon, err2 := strconv.ParseFloat(east, 64)
		if !ok || err1 != nil || err2 != nil {
			unplaced = append(unplaced, r.Name)
			continue
		}
		s := spot{Name: r.Name, X: int((lon + 180) / 360 * 1000), Y: int((90 - lat) / 180 * 500), State: "fresh", Anchor: "start"}
		if s.TextX = s.X + 11; s.X > 820 {
			s.TextX, s.Anchor = s.X-11, "end"
		}
		well := 0
		for _, c := range r.Clusters {
			if c.State == "fresh" && c.Answers > 0 {
				well++
			}
		}
		switch {
		case well == 0:
			s.State = "silent"
		case well < len(r.Clusters):
			s.State = "drained"
		}
		out = append(out, s)
	}
	for i := range out {
		if out[i].State == "silent" {
			out[i].Lead = others(out)
		}
	}
	return out, unplaced
}

// others are the spots that answer: the names of one that doesn't lead up, to all of them.
func others(all []spot) (out []*spot) {
	for i := range all {
		if all[i].State != "silent" {
			out = append(out, &all[i])
		}
	}
	return out
}
