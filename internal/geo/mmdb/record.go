package mmdb

import "github.com/fedns/fedns/internal/geo"

// A record is what is read of a network. There are two countries more: where it was
// registered, which is a matter of paper, and which one its users represent, such as a
// base's, which is not where they are either.
type record struct {
	Continent struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"continent"`
	Country struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Location struct {
		Lat *float64 `maxminddb:"latitude"`
		Lon *float64 `maxminddb:"longitude"`
	} `maxminddb:"location"`
}

// place is the most exact place that the record gives. Coordinates that are not on the
// earth are none, and so are 0 0, which is in the sea, and in a database a way to say
// that nothing is known.
func (r *record) place() geo.Place {
	if lat, lon := r.Location.Lat, r.Location.Lon; lat != nil && lon != nil {
		if p := (geo.Point{Lat: *lat, Lon: *lon}); p.Valid() && p != (geo.Point{}) {
			return geo.Place{Point: p, Source: geo.City}
		}
	}
	if p, ok := geo.CenterOfCountry(r.Country.Code); ok {
		return geo.Place{Point: p, Source: geo.Country}
	}
	if p, ok := geo.CenterOfContinent(r.Continent.Code); ok {
		return geo.Place{Point: p, Source: geo.Continent}
	}
	return geo.Place{}
}
