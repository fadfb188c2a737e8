// Package geo ranks the regions of a federation by their distance from a client.
//
// An Atlas holds where the regions are, and a Ranking the order in which a client
// somewhere should try them. A Table says for every address which ranking is its
// own, and how wide the block of addresses is that shares it: compiled once, when a
// database of networks is read, so that an answer costs neither a decoded record
// nor a distance.
//
// The package knows nothing of files, formats or health. Where networks are comes
// in as a sequence, and where clouds keep their regions is a table of its own.
package geo

import (
	"fmt"
	"math"
	"strconv"
)

// A Point is a place on the earth, in degrees: north and east are positive.
type Point struct{ Lat, Lon float64 }

// ParsePoint reads a latitude and a longitude in decimal degrees.
func ParsePoint(lat, lon string) (Point, error) {
	var p Point
	var err error
	if p.Lat, err = degrees(lat); err != nil {
		return Point{}, fmt.Errorf("latitude %w", err)
	}
	if p.Lon, err = degrees(lon); err != nil {
		return Point{}, fmt.Errorf("longitude %w", err)
	}
	switch {
	case math.Abs(p.Lat) > 90:
		return Point{}, fmt.Errorf("latitude %s is not between -90 and 90 degrees; it comes before the longitude", lat)
	case math.Abs(p.Lon) > 180:
		return Point{}, fmt.Errorf("longitude %s is not between -180 and 180 degrees", lon)
	}
	return p, nil
}

func degrees(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number of degrees, such as 60.17 or -24.94", s)
	}
	return v, nil
}

// Valid says whether the point is on the earth.
func (p Point) Valid() bool {
	return math.Abs(p.Lat) <= 90 && math.Abs(p.Lon) <= 180 // NaN is neither
}

func (p Point) String() string {
	return strconv.FormatFloat(p.Lat, 'f', -1, 64) + " " + strconv.FormatFloat(p.Lon, 'f', -1, 64)
}

// earthRadius is the mean radius R1 of the GRS 80 ellipsoid, in km (Moritz, Geodetic
// Reference System 1980). A sphere of it is at most 0.6 % off the real distances.
const earthRadius = 6371.0088

// Distance is the length of the great circle between two points, in km.
//
// It is the haversine formula (Sinnott, Virtues of the Haversine, 1984): the shorter
// one with the arc cosine can't tell points apart that are closer than some meters,
// and these are where ties between regions of one metropolis are decided.
func Distance(p, q Point) float64 {
	const radian = math.Pi / 180
	north := math.Sin((q.Lat - p.Lat) * radian / 2)
	east := math.Sin((q.Lon - p.Lon) * radian / 2)
	h := north*north + math.Cos(p.Lat*radian)*math.Cos(q.Lat*radian)*east*east
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1))) // rounding can lead above 1 at the antipodes
}

// A Place is a point, and how it is known.
type Place struct {
	Point  Point
	Source Source
}

// A Source is how a place is known. The zero value is that it isn't.
type Source uint8

// The sources of a client's place, from the coarsest, and of a region's.
const (
	Unknown   Source = iota
	Continent        // the middle of the continent that the database names
	Country          // the middle of the country that the database names
	City             // the database's own coordinates
	Nets             // an operator's word that the network is in a region
	Location         // an operator's word where the region is
	Cloud            // the table of the big clouds' regions
)

func (s Source) String() string {
	return [...]string{"unknown", "continent", "country", "city", "nets", "location", "cloud"}[s]
}
