package mmdb

import (
	"cmp"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/fedns/fedns/internal/geo"
)

// The ways in a record to what makes a place. There are two countries more: where the
// network was registered, which is a matter of paper, and which one its users represent,
// such as a base's, which is not where they are either.
var (
	latitude  = []any{"location", "latitude"}
	longitude = []any{"location", "longitude"}
	country   = []any{"country", "iso_code"}
	continent = []any{"continent", "code"}
)

// A shape is what must be maps of a record, if it is there: to read it goes through all of
// them to their ends, which a way that leads to one value doesn't.
type shape struct {
	Location  struct{} `maxminddb:"location"`
	Country   struct{} `maxminddb:"country"`
	Continent struct{} `maxminddb:"continent"`
}

// A record is what is used of one, as MaxMind documents those of cities. Records of all databases that have places
// are such, with less in them or with more. Sizes are bounded as in MaxMind's own reader.
type record struct {
	Location     location `maxminddb:"location"`
	Country      area     `maxminddb:"country"`
	Continent    area     `maxminddb:"continent"`
	City         area     `maxminddb:"city"`
	Subdivisions []area   `maxminddb:"subdivisions,maxsize:32"`
}

type location struct {
	Latitude  *float64 `maxminddb:"latitude"`
	Longitude *float64 `maxminddb:"longitude"`
}

// An area has one of the codes, or none.
type area struct {
	ISOCode string `maxminddb:"iso_code,maxsize:16"`
	Code    string `maxminddb:"code,maxsize:16"`
	Names   struct {
		English string `maxminddb:"en,maxsize:1024"`
	} `maxminddb:"names"`
}

// read reads of a network's record what makes its place, and no more: names in eight
// languages, of which a database has thousands, would take longer than all the rest. So
// what is used for nothing may be of another type than MaxMind's, as in databases that
// are made at home.
func read(r *record, from maxminddb.Result) error {
	return cmp.Or(
		from.Decode(new(shape)),
		from.DecodePath(&r.Location.Latitude, latitude...),
		from.DecodePath(&r.Location.Longitude, longitude...),
		from.DecodePath(&r.Country.ISOCode, country...),
		from.DecodePath(&r.Continent.Code, continent...),
	)
}

// place is the most exact place that a record gives. Coordinates that are not on the
// earth are none, and so are 0 0, which is in the sea, and in a database a way to say
// that nothing is known.
func place(r *record) geo.Place {
	if at := r.Location; at.Latitude != nil && at.Longitude != nil {
		if p := (geo.Point{Lat: *at.Latitude, Lon: *at.Longitude}); p.Valid() && p != (geo.Point{}) {
			return geo.Place{Point: p, Source: geo.City}
		}
	}
	if p, ok := geo.CenterOfCountry(r.Country.ISOCode); ok {
		return geo.Place{Point: p, Source: geo.Country}
	}
	if p, ok := geo.CenterOfContinent(r.Continent.Code); ok {
		return geo.Place{Point: p, Source: geo.Continent}
	}
	return geo.Place{}
}

// Names are what the surroundings of a place are called in English, the smallest first;
// "": the database doesn't say. A country or continent without a name has its code.
type Names struct{ City, Subdivision, Country, Continent string }

// Names finds what the place of an address is called, as Lookup finds where it is. Lookup reads
// none of that, so only this finds out if it isn't of the form that MaxMind documents.
func (db *DB) Names(a netip.Addr) (Names, error) {
	var r record
	if err := db.reader.Lookup(geo.Embedded(a)).Decode(&r); err != nil {
		return Names{}, err
	}
	n := Names{
		City:      r.City.Names.English,
		Country:   cmp.Or(r.Country.Names.English, r.Country.ISOCode),
		Continent: cmp.Or(r.Continent.Names.English, r.Continent.Code),
	}
	if len(r.Subdivisions) > 0 { // the largest one
		n.Subdivision = r.Subdivisions[0].Names.English
	}
	return n, nil
}
