package geo

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// An Atlas holds the regions of a federation and where they are. It never changes.
type Atlas struct {
	names  []string // sorted; rankings speak of regions by their index
	places []Place
	within []int // sorted

	located int // regions whose place is known
}

// NewAtlas makes an atlas of regions by their names. One whose place is unknown
// belongs in it all the same. Within are the tolerances, in percent, that rankings
// are to know (see Reach): each makes them differ more often, and so the blocks of a
// Table narrower.
func NewAtlas(regions map[string]Place, within ...int) *Atlas {
	if len(regions) > math.MaxUint16 {
		panic(fmt.Sprintf("geo: an atlas has room for %d regions, not for %d", math.MaxUint16, len(regions)))
	}
	if len(within) > 0 && slices.Min(within) < 0 {
		panic(fmt.Sprintf("geo: a tolerance of %d percent is negative", slices.Min(within)))
	}
	a := &Atlas{names: slices.Sorted(maps.Keys(regions)), within: slices.Compact(slices.Sorted(slices.Values(within)))}
	for _, name := range a.names {
		place := regions[name]
		if place.Source != Unknown && !place.Point.Valid() {
			panic(fmt.Sprintf("geo: region %q is at %v, which is not on the earth", name, place.Point))
		}
		a.places = append(a.places, place)
		if place.Source != Unknown {
			a.located++
		}
	}
	return a
}

// Regions lists the names of all regions, sorted. It is the atlas's own: don't change it.
func (a *Atlas) Regions() []string { return a.names }

// Place is where a region is.
func (a *Atlas) Place(region string) (p Place, ok bool) {
	i, ok := slices.BinarySearch(a.names, region)
	if !ok {
		return Place{}, false
	}
	return a.places[i], true
}

// Unlocated lists the regions whose place is unknown, sorted.
func (a *Atlas) Unlocated() []string {
	var out []string
	for i, p := range a.places {
		if p.Source == Unknown {
			out = append(out, a.names[i])
		}
	}
	return out
}

// A Ranking is the order in which a client tries the regions: the closest first,
// equally close ones by name, and last, also by name, those whose place is unknown.
// The zero value ranks nothing: it is that of a client whose place is unknown.
//
// Distances are no part of it. Where two clients have the same ranking, they get the
// same answers, whatever shards are up.
type Ranking struct {
	atlas *Atlas
	// The order, as indexes; then for each tolerance as many numbers again: how far each
	// place in the order reaches.
	cells []uint16
}

// Rank ranks the regions for a client at a point.
func (a *Atlas) Rank(from Point) Ranking {
	return Ranking{a, a.appendRanking(nil, nobody, from, true)}
}

// RankFrom ranks the regions for a client that is in one: that one first, alone, even
// if another is at the same place, then the others as seen from it. Where it is
// unknown, they follow by name.
func (a *Atlas) RankFrom(region string) (r Ranking, ok bool) {
	i, ok := slices.BinarySearch(a.names, region)
	if !ok {
		return Ranking{}, false
	}
	return Ranking{a, a.appendRanking(nil, i, a.places[i].Point, a.places[i].Source != Unknown)}, true
}

// cells is how many numbers a ranking is made of.
func (a *Atlas) cells() int { return len(a.names) * (1 + len(a.within)) }

// nobody is no region's index.
const nobody = -1

// A candidate is a region that is being ranked.
type candidate struct {
	index  int
	tier   tier
	meters float64 // rounded: what differs by less depends on how a processor rounds
}

// A tier comes before the next one whatever the distances.
type tier uint8

const (
	home  tier = iota // the client is in it
	near              // its distance is known
	apart             // it isn't
)

// appendRanking adds a ranking's cells. In is the region that the client is in, or
// nobody; located says whether from is a place at all.
func (a *Atlas) appendRanking(cells []uint16, in int, from Point, located bool) []uint16 {
	list := make([]candidate, len(a.places))
	for i, p := range a.places {
		c := candidate{index: i, tier: apart}
		switch {
		case i == in:
			c.tier = home
		case located && p.Source != Unknown:
			c.tier = near
			c.meters = math.Round(1000 * Distance(from, p.Point))
		}
		list[i] = c
	}
	slices.SortFunc(list, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(x.tier, y.tier), cmp.Compare(x.meters, y.meters), cmp.Compare(x.index, y.index))
	})
	for _, c := range list {
		cells = append(cells, uint16(c.index))
	}
	for _, percent := range a.within {
		reach := 0
		for i, c := range list {
			// Whatever one place reaches, the next and further one does too.
			reach = max(reach, i)
			for reach+1 < len(list) && c.within(list[reach+1], percent) {
				reach++
			}
			cells = append(cells, uint16(reach))
		}
	}
	return cells
}

// within says whether another region, further away, is so by percent at most.
func (c candidate) within(further candidate, percent int) bool {
	return c.tier == near && further.tier == near && 100*further.meters <= float64(100+percent)*c.meters
}

// Order lists the regions as indexes into the atlas's Regions. It is the ranking's
// own: don't change it.
func (r Ranking) Order() []uint16 {
	if r.atlas == nil {
		return nil
	}
	return r.cells[:len(r.atlas.names):len(r.atlas.names)]
}

// Reach is the place in the order of the last region that is no more than some
// percent further away than the one at place i: all those between them aren't either.
//
// It knows the tolerances that the atlas was made with. Of others, which may come up
// with a service's annotation before there is an atlas for it, it knows nothing, and
// reaches no further than i.
func (r Ranking) Reach(i, percent int) int {
	t := slices.Index(r.atlas.within, percent)
	if t < 0 {
		return i
	}
	return int(r.cells[(1+t)*len(r.atlas.names)+i])
}

// A Leg is one line of an explanation: a region, and how far it is.
type Leg struct {
	Region string
	Place  Place
	KM     float64 // 0 where Place is unknown
}

// Legs is the order with the distances from where the client is, which a ranking
// itself doesn't know.
func (r Ranking) Legs(from Point) []Leg {
	var out []Leg
	for _, i := range r.Order() {
		leg := Leg{Region: r.atlas.names[i], Place: r.atlas.places[i]}
		if leg.Place.Source != Unknown {
			leg.KM = Distance(from, leg.Place.Point)
		}
		out = append(out, leg)
	}
	return out
}
