// Package topology says where the clusters of a federation stand: which regions
// and zones there are, and so which scopes its names can have.
//
// A Map is fixed once made. It does not know services or health.
package topology

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"unique"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// A ClusterName names one member.
type ClusterName string

// A Place is a region and, within it, a zone: DNS labels in lower case, or ""
// where it isn't known. A zone without a region has no name (section 2 of the
// names: a zone's name stands under its region's).
type Place struct{ Region, Zone string }

// Compare orders places by region, then zone.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Region, q.Region), cmp.Compare(p.Zone, q.Zone))
}

// Canonical is the same place, spelled with the same bytes of memory wherever it is
// met: there are a handful of places to hundreds of thousands of shards, and to
// compare two then takes no look at the letters.
func (p Place) Canonical() Place {
	return Place{unique.Make(p.Region).Value(), unique.Make(p.Zone).Value()}
}

// A Scope is what a name speaks of: a zone, a region, or with neither the whole
// federation.
type Scope struct{ Region, Zone string }

// Global is the scope of the whole federation.
var Global = Scope{}

// Width says how wide a scope is, in the words that metrics and logs use.
func (s Scope) Width() Width {
	switch {
	case s.Zone != "":
		return Zonal
	case s.Region != "":
		return Regional
	}
	return Worldwide
}

// Up is the next wider scope: zone, region, global. Global is its own.
func (s Scope) Up() Scope {
	if s.Zone != "" {
		return Scope{Region: s.Region}
	}
	return Global
}

// Holds says whether a shard at p belongs to the scope.
func (s Scope) Holds(p Place) bool {
	return (s.Region == "" || s.Region == p.Region) && (s.Zone == "" || s.Zone == p.Zone)
}

func (s Scope) String() string { return string(s.Append(nil)) }

// Append adds the words that say which scope it is.
func (s Scope) Append(b []byte) []byte {
	switch s.Width() {
	case Zonal:
		b = append(b, "zone "...)
		b = append(b, s.Zone...)
		b = append(b, " of region "...)
		return append(b, s.Region...)
	case Regional:
		b = append(b, "region "...)
		return append(b, s.Region...)
	}
	return append(b, "the federation"...)
}

// Width is the kind of a scope.
type Width uint8

// The widths, from the widest.
const (
	Worldwide Width = iota
	Regional
	Zonal
	Nowhere // narrower than any scope
)

func (w Width) String() string { return [...]string{"global", "regional", "zonal", "nowhere"}[w] }

// A Map holds every known scope of one federation.
type Map struct {
	regions map[string]Place // canonical, without a zone
	zones   map[Place]Place  // canonical
	short   map[string]Place // by zone, where one region has it; canonical
	labels  []string         // of regions and zones, sorted
}

// New makes the map of the places of all members. A zone that stands in two
// regions, or has a region's name, gets no short form.
func New(places []Place) *Map {
	m := &Map{regions: map[string]Place{}, zones: map[Place]Place{}, short: map[string]Place{}}
	twice := map[string]bool{}
	for _, p := range places {
		if p.Region == "" {
			continue
		}
		p = p.Canonical()
		m.regions[p.Region] = Place{Region: p.Region}
		if _, known := m.zones[p]; p.Zone == "" || known {
			continue
		}
		m.zones[p] = p
		if _, ok := m.short[p.Zone]; ok {
			twice[p.Zone] = true
		}
		m.short[p.Zone] = p
	}
	m.labels = slices.AppendSeq(slices.Collect(maps.Keys(m.regions)), maps.Keys(m.short))
	slices.Sort(m.labels)
	m.labels = slices.Compact(m.labels)
	for z := range m.short {
		if _, region := m.regions[z]; twice[z] || region {
			delete(m.short, z)
		}
	}
	return m
}

// Around are the labels of regions and zones that are right before a label and right behind it; "": there is none.
func (m *Map) Around(label string) (before, behind string) {
	i, own := slices.BinarySearch(m.labels, label)
	if i > 0 {
		before = m.labels[i-1]
	}
	if own {
		i++
	}
	if i < len(m.labels) {
		behind = m.labels[i]
	}
	return before, behind
}

// Scope finds the scope that labels of a name spell: "ZONE.REGION", "REGION" or
// the short "ZONE". ok is false where no member is there.
func (m *Map) Scope(labels ...string) (s Scope, ok bool) {
	switch len(labels) {
	case 0:
		return Global, true
	case 1:
		if p, ok := m.regions[labels[0]]; ok {
			return Scope(p), true
		}
		p, ok := m.short[labels[0]]
		return Scope(p), ok
	case 2:
		p, ok := m.zones[Place{Region: labels[1], Zone: labels[0]}]
		return Scope(p), ok
	}
	return Scope{}, false
}

// Scopes lists every known scope, the global one first, then each region before
// its zones.
func (m *Map) Scopes() []Scope {
	out := make([]Scope, 0, 1+len(m.regions)+len(m.zones))
	out = append(out, Global)
	for r := range m.regions {
		out = append(out, Scope{Region: r})
	}
	for p := range m.zones {
		out = append(out, Scope(p))
	}
	slices.SortFunc(out, func(a, b Scope) int { return Place(a).Compare(Place(b)) })
	return out
}

// Short says whether the zone of s can be spelled without its region.
func (m *Map) Short(s Scope) bool { return s.Zone != "" && m.short[s.Zone].Region == s.Region }

// Clashes lists the names that are a zone's and a region's at once.
func (m *Map) Clashes() []string {
	var out []string
	for p := range m.zones {
		if _, ok := m.regions[p.Zone]; ok && !slices.Contains(out, p.Zone) {
			out = append(out, p.Zone)
		}
	}
	slices.Sort(out)
	return out
}

// Label makes a part of a name of the value of a topology label: one DNS label
// in lower case, and none of the words that mark where a scope begins.
func Label(value string) (string, error) {
	l, err := dnsname.Label(value)
	if err != nil {
		return "", err
	}
	if l == "svc" || l == "ing" {
		return "", fmt.Errorf("%q can't name a region or a zone: names use the label for services or ingresses", value)
	}
	return l, nil
}
