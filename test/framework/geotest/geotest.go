// Package geotest makes databases of where networks are, for tests and for the race.
package geotest

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/fedns/fedns/internal/geo"
)

// City is the record of a network in a city. The layouts are those that MaxMind
// documents: what we don't read is there as well.
func City(country, continent string, lat, lon float64) mmdbtype.Map {
	r := Land(country, continent)
	r["city"] = mmdbtype.Map{"geoname_id": mmdbtype.Uint32(1), "names": mmdbtype.Map{"en": mmdbtype.String("A city")}}
	r["location"] = mmdbtype.Map{
		"accuracy_radius": mmdbtype.Uint16(20), "time_zone": mmdbtype.String("Europe/Paris"),
		"latitude": mmdbtype.Float64(lat), "longitude": mmdbtype.Float64(lon),
	}
	return r
}

// Land is the record of a network of which no more is known than the country, or the
// continent if that is "".
func Land(country, continent string) mmdbtype.Map {
	r := mmdbtype.Map{
		"registered_country":  mmdbtype.Map{"iso_code": mmdbtype.String("US"), "geoname_id": mmdbtype.Uint32(6252001)},
		"represented_country": mmdbtype.Map{"iso_code": mmdbtype.String("US"), "type": mmdbtype.String("military")},
	}
	if country != "" {
		r["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(country), "names": mmdbtype.Map{"en": mmdbtype.String("A country")}}
	}
	if continent != "" {
		r["continent"] = mmdbtype.Map{"code": mmdbtype.String(continent), "names": mmdbtype.Map{"en": mmdbtype.String("A continent")}}
	}
	return r
}

// A Network is a network of a database, and where it is.
type Network struct {
	Prefix netip.Prefix
	At     geo.Point
}

// The size of a real database of cities, about.
const (
	HalfV4 = 350_000
	HalfV6 = 150_000
	cities = 30_000
)

// Networks makes up networks, the same ones every time, each in one of thirty thousand
// cities: of IPv4 one behind the other from 1.0.0.0 on, of IPv6 one in each /32 from
// 2a00:: on. They are in order, and none holds another.
func Networks(v4, v6 int) []Network {
	r := rand.New(rand.NewPCG(1, 2))
	places := make([]geo.Point, cities)
	for i := range places {
		lat, lon := math.Asin(2*r.Float64()-1)*180/math.Pi, 360*r.Float64()-180
		places[i] = geo.Point{Lat: math.Round(1e4*lat) / 1e4, Lon: math.Round(1e4*lon) / 1e4}
	}
	out := make([]Network, 0, v4+v6)
	for v := uint32(1 << 24); len(out) < v4; {
		ones := 19 + r.IntN(7)
		size := uint32(1) << (32 - ones)
		v = (v + size - 1) &^ (size - 1)
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], v)
		out = append(out, Network{netip.PrefixFrom(netip.AddrFrom4(a), ones), places[r.IntN(cities)]})
		v += size
	}
	for v := uint64(0x2a00) << 48; len(out) < v4+v6; v += 1 << 32 {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], v)
		ones := 32 + r.IntN(17)
		out = append(out, Network{netip.PrefixFrom(netip.AddrFrom16(a), ones), places[r.IntN(cities)]})
	}
	return out
}

// Write writes a database of cities.
func Write(w io.Writer, networks []Network) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", IncludeReservedNetworks: true, KeyGenerator: byCity{}})
	if err != nil {
		return err
	}
	records := map[geo.Point]mmdbtype.Map{}
	for _, n := range networks {
		record, ok := records[n.At]
		if !ok {
			id := len(records)
			record = City("FR", "EU", n.At.Lat, n.At.Lon)
			record["city"] = mmdbtype.Map{"geoname_id": mmdbtype.Uint32(id), "names": mmdbtype.Map{"en": mmdbtype.String(fmt.Sprint("City ", id))}}
			records[n.At] = record
		}
		a := n.Prefix.Addr()
		if err := tree.Insert(&net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(n.Prefix.Bits(), a.BitLen())}, record); err != nil {
			return fmt.Errorf("network %v: %w", n.Prefix, err)
		}
	}
	_, err = tree.WriteTo(w)
	return err
}

// byCity tells records apart by their city: to read them whole takes minutes.
type byCity struct{}

func (byCity) Key(v mmdbtype.DataType) ([]byte, error) {
	return binary.BigEndian.AppendUint32(nil, uint32(v.(mmdbtype.Map)["city"].(mmdbtype.Map)["geoname_id"].(mmdbtype.Uint32))), nil
}
