// Package mmdb reads databases of where networks are, in MaxMind's format, for package
// geo to rank regions by.
//
// A database is read into memory whole. To map the file would need less, but then a
// file that is rewritten in place, as cp and curl do, takes the process down (SIGBUS)
// or changes under its eyes. All of it is looked at once, before any of it is used:
// what is broken gives an error then, and never later.
package mmdb

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/inputfile"
)

// A DB is a database of where networks are. It never changes, and any number of
// readers may use it at once.
type DB struct {
	reader   *maxminddb.Reader
	places   map[uintptr]geo.Place // by the offset of a record; those that are known
	networks int
}

// Open reads a database from a file.
func Open(path string) (*DB, error) {
	data, err := inputfile.Read(path, inputfile.Database)
	if err != nil {
		return nil, err
	}
	db, err := Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return db, nil
}

// Read reads a database from its bytes, which must not change as long as it is used.
func Read(data []byte) (*DB, error) {
	reader, err := maxminddb.OpenBytes(data, maxminddb.DisableStringCache()) // no record is decoded twice
	if err != nil {
		return nil, fmt.Errorf("not a MaxMind database, or not all of it: %w", err)
	}
	db := &DB{reader: reader, places: map[uintptr]geo.Place{}}
	if err := db.learn(data); err != nil {
		return nil, fmt.Errorf("%s database: broken: %w", db.Type(), err)
	}
	if len(db.places) == 0 && !ofPlaces(db.Type()) {
		return nil, fmt.Errorf("%s database: doesn't say where networks are; those named City, Enterprise or Country do", db.Type())
	}
	return db, nil
}

// ofPlaces says whether databases of a type are of places, though this one may have none.
func ofPlaces(kind string) bool {
	for _, word := range []string{"City", "Enterprise", "Country"} {
		if strings.Contains(kind, word) {
			return true
		}
	}
	return false
}

// Type is the type of the database, such as GeoLite2-City.
func (db *DB) Type() string { return db.reader.Metadata.DatabaseType }

// Built is when the database was made. How old is too old, its user knows.
func (db *DB) Built() time.Time { return db.reader.Metadata.BuildTime() }

// Networks is how many networks the database has.
func (db *DB) Networks() int { return db.networks }

// Places is how many different records of it say where their networks are.
func (db *DB) Places() int { return len(db.places) }

// Lookup finds the place of an address, or of the IPv4 address that it holds (see
// geo.Embedded), and the database's network it is in. It is for explanations: answers
// are found by a geo.Table.
func (db *DB) Lookup(a netip.Addr) (geo.Place, netip.Prefix) {
	r := db.reader.Lookup(geo.Embedded(a))
	if r.Err() != nil { // an IPv6 address, and the database has only IPv4
		return geo.Place{}, netip.Prefix{}
	}
	return db.places[r.Offset()], r.Prefix()
}

// Each lists the networks whose place is known, in order, IPv4 before IPv6.
func (db *DB) Each(yield func(netip.Prefix, geo.Place) bool) {
	for result := range db.reader.Networks(db.options()...) {
		place, ok := db.places[result.Offset()]
		if !ok {
			continue
		}
		prefix := result.Prefix()
		if prefix.Addr().Is4In6() { // what counts is said of IPv4 itself
			continue
		}
		// IPv4 is kept in ::/96, and a network around that is one of all of it.
		if prefix.Bits() < 96 && prefix.Addr() == netip.IPv6Unspecified() && !yield(netip.PrefixFrom(netip.IPv4Unspecified(), 0), place) {
			return
		}
		if !yield(prefix, place) {
			return
		}
	}
}

// learn goes through the database and finds out which places its records stand for.
func (db *DB) learn(data []byte) error {
	m := &db.reader.Metadata
	if m.BinaryFormatMajorVersion != 2 || m.IPVersion != 4 && m.IPVersion != 6 {
		return fmt.Errorf("format version %d of IPv%d; 2 of IPv4 or IPv6 is known", m.BinaryFormatMajorVersion, m.IPVersion)
	}
	if err := walk(data, m); err != nil {
		return err
	}
	seen := map[uintptr]bool{}
	var r record // one for all
	for result := range db.reader.Networks(db.options()...) {
		if err := result.Err(); err != nil {
			return err
		}
		db.networks++
		offset := result.Offset()
		if seen[offset] {
			continue
		}
		seen[offset] = true
		r = record{}
		if err := read(&r, result); err != nil {
			return fmt.Errorf("record of %v: %w", result.Prefix(), err)
		}
		if p := place(&r); p.Source != geo.Unknown {
			db.places[offset] = p
		}
	}
	return nil
}

// options are those for all networks. IPv6 databases have IPv4 in more than one place,
// which the reader leaves out where it meets the root of IPv4 again. But if all of
// IPv4 is one network, that root is a record, and with it the reader would leave out
// every network of IPv6 that has the same one. Then the aliases are just a few.
func (db *DB) options() []maxminddb.NetworksOption {
	all := db.reader.Lookup(netip.IPv4Unspecified()).Prefix()
	if db.reader.Metadata.IPVersion == 6 && (all.Bits() == 0 || all.Addr().Is6()) {
		return []maxminddb.NetworksOption{maxminddb.IncludeAliasedNetworks()}
	}
	return nil
}
