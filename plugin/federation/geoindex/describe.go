package geoindex

import (
	"net/netip"
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/geo"
)

// Describe says where a client is, how that is known, and what follows.
func (l *Index) Describe(a netip.Addr) report.Client {
	out := report.Client{Address: a.String(), Note: "where it is isn't known, so it gets every shard"}
	t := l.now.Load()
	if t == nil {
		return out
	}
	plain := a.Unmap().WithZone("")
	table := t.of(plain)
	id, length := table.Lookup(plain)
	if p, err := plain.Prefix(length); err == nil {
		out.Block = p.String()
	}
	ranking := table.Ranking(id)
	if len(ranking.Order()) == 0 {
		return out
	}
	var at geo.Point
	if n, ok := t.table.Net(plain); ok {
		place, _ := t.atlas.Place(n.Region)
		at, out.Source = place.Point, geo.Nets.String()
		out.Note = "in " + n.Region + ", by nets " + n.Prefix.String()
	} else if t.db != nil {
		place, network := t.db.Lookup(plain)
		at, out.Source, out.Location = place.Point, place.Source.String(), place.Point.String()
		out.Note = "at " + out.Location + ", by the " + out.Source + " of " + network.String()
		if names, err := t.db.Names(plain); err != nil {
			out.Note += ", whose names can't be read: " + err.Error()
		} else {
			out.City, out.Subdivision, out.Country, out.Continent = names.City, names.Subdivision, names.Country, names.Continent
		}
	}
	for _, leg := range ranking.Legs(at) {
		r := report.Leg{Region: leg.Region}
		if leg.Place.Source != geo.Unknown {
			r.KM, r.Source = int(leg.KM), leg.Place.Source.String()
		}
		out.Ranking = append(out.Ranking, r)
	}
	return out
}

// InUse is the database that clients are placed by now; nil: none is configured.
func (l *Index) InUse() *report.GeoDatabase {
	if l.Database == "" {
		return nil
	}
	out := &report.GeoDatabase{File: l.Database}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db != nil {
		out.Type, out.Built, out.Networks = l.db.Type(), l.db.Built().Unix(), l.db.Networks()
		out.AgeSeconds = time.Since(l.db.Built()).Seconds()
	}
	return out
}

// A Viewer is a kind of client: of a region, by its name, or one that nobody can place.
type Viewer struct {
	Name   string
	Client answer.Client
}

// Viewers are one for each region of the federation, and one from nowhere.
func (l *Index) Viewers() []Viewer {
	out := []Viewer{}
	if t := l.now.Load(); t != nil && l.Configured() {
		for _, r := range t.atlas.Regions() {
			if ranking, ok := t.atlas.RankFrom(r); ok {
				out = append(out, Viewer{r, answer.Client{Ranking: ranking, Regions: t.atlas.Regions(), Within: t.within}})
			}
		}
	}
	return append(out, Viewer{report.NobodyKnows, answer.Client{}})
}
