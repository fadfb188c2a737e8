package page

import (
	"context"
	"net/url"
	"slices"

	"github.com/fedns/fedns/internal/api/report"
)

// fewEvents is how many are on a page.
const fewEvents = "200"

// An eventsView is what has happened.
type eventsView struct {
	Frame
	Text, Kind, Cluster string
	Clusters            []string
	Events              []report.Event // the newest first
	All                 bool           // there are no others
}

// Kinds are those that can be chosen.
func (eventsView) Kinds() []string { return report.EventKinds }

func happened(ctx context.Context, p *Page, v url.Values) (any, error) {
	f, snap, err := p.frame(ctx, "events", "What happened", v)
	if err != nil {
		return nil, err
	}
	out := eventsView{Frame: f, Text: v.Get("text"), Kind: v.Get("kind"), Cluster: v.Get("cluster")}
	for _, fed := range snap.Federations {
		for _, c := range fed.Clusters {
			if !slices.Contains(out.Clusters, c) {
				out.Clusters = append(out.Clusters, c)
			}
		}
	}
	until := ""
	if f.At > 0 {
		until = stamp(f.At)
	}
	all, err := ask[report.Events](ctx, p, "events", "text", out.Text, "kind", out.Kind, "cluster", out.Cluster, "service", v.Get("service"), "until", until, "limit", fewEvents)
	if err != nil {
		return nil, err
	}
	slices.Reverse(all.Events)
	out.Events, out.All = all.Events, len(all.Events) < 200
	return out, nil
}
