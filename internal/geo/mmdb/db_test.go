package mmdb

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/test/framework/geotest"
)

var city, land = geotest.City, geotest.Land

// database is the bytes of one, by networks.
func database(t testing.TB, o mmdbwriter.Options, networks map[string]mmdbtype.DataType) []byte {
	t.Helper()
	o.IncludeReservedNetworks = true
	tree, err := mmdbwriter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, cidr := range slices.Sorted(maps.Keys(networks)) {
		_, n, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(n, networks[cidr]); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPlaces(t *testing.T) {
	paris := geo.Point{Lat: 48.8566, Lon: 2.3522}
	france, _ := geo.CenterOfCountry("FR")
	europe, _ := geo.CenterOfContinent("EU")
	at := func(lat, lon mmdbtype.DataType) mmdbtype.Map {
		r := land("FR", "EU")
		r["location"] = mmdbtype.Map{"latitude": lat, "longitude": lon}
		return r
	}
	f := func(v float64) mmdbtype.DataType { return mmdbtype.Float64(v) }
	for i, tt := range []struct {
		name   string
		record mmdbtype.Map
		want   geo.Place
	}{
		{"coordinates", city("FR", "EU", 48.8566, 2.3522), geo.Place{Point: paris, Source: geo.City}},
		{"coordinates and nothing else", mmdbtype.Map{"location": city("", "", 48.8566, 2.3522)["location"]}, geo.Place{Point: paris, Source: geo.City}},
		{"country", land("FR", "EU"), geo.Place{Point: france, Source: geo.Country}},
		{"continent", land("", "EU"), geo.Place{Point: europe, Source: geo.Continent}},
		{"a country that is none", land("A1", "EU"), geo.Place{Point: europe, Source: geo.Continent}},
		{"registered only", land("", ""), geo.Place{}},
		{"unheard of", land("ZZ", "XX"), geo.Place{}},
		{"empty", mmdbtype.Map{}, geo.Place{}},
		{"half a location", mmdbtype.Map{"location": mmdbtype.Map{"latitude": mmdbtype.Float64(48)}, "country": land("FR", "")["country"]}, geo.Place{Point: france, Source: geo.Country}},
		{"no coordinates", mmdbtype.Map{"location": mmdbtype.Map{"time_zone": mmdbtype.String("Europe/Paris")}, "continent": land("", "EU")["continent"]}, geo.Place{Point: europe, Source: geo.Continent}},
		{"off the earth", at(f(91), f(0)), geo.Place{Point: france, Source: geo.Country}},
		{"not a number", at(f(math.NaN()), f(0)), geo.Place{Point: france, Source: geo.Country}},
		{"without end", at(f(0), f(math.Inf(-1))), geo.Place{Point: france, Source: geo.Country}},
		{"in the sea", at(f(0), f(0)), geo.Place{Point: france, Source: geo.Country}},
		{"single precision", at(mmdbtype.Float32(48.5), mmdbtype.Float32(2.25)), geo.Place{Point: geo.Point{Lat: 48.5, Lon: 2.25}, Source: geo.City}},
	} {
		db, err := Read(database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City", RecordSize: 24 + 4*(i%3)}, map[string]mmdbtype.DataType{"192.0.2.0/24": tt.record}))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		place, network := db.Lookup(netip.MustParseAddr("192.0.2.7"))
		if place != tt.want || network != netip.MustParsePrefix("192.0.2.0/24") {
			t.Errorf("%s: %v in %v, want %v", tt.name, place, network, tt.want)
		}
		n := 0
		for network, place := range db.Each {
			n++
			if network != netip.MustParsePrefix("192.0.2.0/24") || place != tt.want {
				t.Errorf("%s: %v is in %v, want %v", tt.name, network, place, tt.want)
			}
		}
		if known := tt.want.Source != geo.Unknown; known != (n == 1) || db.Networks() != 1 {
			t.Errorf("%s: %d networks of %d", tt.name, n, db.Networks())
		}
	}
}

func TestNames(t *testing.T) {
	name := func(s string) mmdbtype.Map {
		return mmdbtype.Map{"en": mmdbtype.String(s), "de": mmdbtype.String("irgendwo")}
	}
	paris := city("FR", "EU", 48.8566, 2.3522)
	paris["city"] = mmdbtype.Map{"names": name("Paris"), "confidence": mmdbtype.Uint16(50)} // as in an Enterprise database
	paris["subdivisions"] = mmdbtype.Slice{
		mmdbtype.Map{"iso_code": mmdbtype.String("IDF"), "names": name("Île-de-France")},
		mmdbtype.Map{"iso_code": mmdbtype.String("75"), "names": name("Paris Department")},
	}
	codes := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("FR")}, "continent": mmdbtype.Map{"code": mmdbtype.String("EU")}}
	homemade := city("FR", "EU", 48.8566, 2.3522)
	homemade["city"] = mmdbtype.String("Paris")
	data := database(t, mmdbwriter.Options{DatabaseType: "GeoIP2-City"}, map[string]mmdbtype.DataType{
		"192.0.2.0/25": paris, "192.0.2.128/25": land("FR", "EU"), "198.51.100.0/25": land("", "EU"), "198.51.100.128/25": codes, "203.0.113.0/24": homemade,
	})
	db, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		asked string
		want  Names
	}{
		{"192.0.2.1", Names{"Paris", "Île-de-France", "A country", "A continent"}},
		{"2002:c000:201::1", Names{"Paris", "Île-de-France", "A country", "A continent"}},
		{"192.0.2.129", Names{"", "", "A country", "A continent"}},
		{"198.51.100.1", Names{"", "", "", "A continent"}},
		{"198.51.100.129", Names{"", "", "FR", "EU"}},
		{"8.8.8.8", Names{}},
	} {
		if got, err := db.Names(netip.MustParseAddr(tt.asked)); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", tt.asked, got, err, tt.want)
		}
	}
	// Names of another type are an error for who wants them, and not for who is placed.
	at := netip.MustParseAddr("203.0.113.1")
	if place, _ := db.Lookup(at); place.Source != geo.City {
		t.Error("without names it is", place)
	}
	if names, err := db.Names(at); err == nil {
		t.Errorf("a city that is a word: %q", names)
	}
	four, err := Read(database(t, mmdbwriter.Options{DatabaseType: "GeoIP2-City", IPVersion: 4}, map[string]mmdbtype.DataType{"192.0.2.0/24": paris}))
	if err != nil {
		t.Fatal(err)
	}
	if names, err := four.Names(netip.MustParseAddr("2001:db8::1")); names != (Names{}) || err == nil {
		t.Errorf("IPv6 in a database of IPv4: %q, %v", names, err)
	}
}

func TestFamilies(t *testing.T) {
	paris := city("FR", "EU", 48.8566, 2.3522)
	for _, tt := range []struct {
		version  int
		network  string
		asked    string
		want     geo.Source
		wantFrom string
	}{
		{4, "192.0.0.0/8", "192.0.2.1", geo.City, "192.0.0.0/8"},
		{4, "192.0.0.0/8", "::ffff:192.0.2.1", geo.City, "192.0.0.0/8"},
		{4, "192.0.0.0/8", "2002:c000:201::1", geo.City, "192.0.0.0/8"},
		{4, "0.0.0.0/0", "2001:db8::1", geo.Unknown, "invalid Prefix"},
		{6, "192.0.0.0/8", "192.0.2.1", geo.City, "192.0.0.0/8"},
		{6, "192.0.0.0/8", "10.0.0.1", geo.Unknown, "0.0.0.0/1"},
		{6, "2001:db8::/32", "2001:db8::1%eth0", geo.City, "2001:db8::/32"},
	} {
		db, err := Read(database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City", IPVersion: tt.version}, map[string]mmdbtype.DataType{tt.network: paris}))
		if err != nil {
			t.Fatal(err)
		}
		if place, from := db.Lookup(netip.MustParseAddr(tt.asked)); place.Source != tt.want || from.String() != tt.wantFrom {
			t.Errorf("IPv%d, %s: %s is at %v in %v, want %v in %s", tt.version, tt.network, tt.asked, place, from, tt.want, tt.wantFrom)
		}
	}
}

// TestEachStops where it is told to, before each of the networks.
func TestEachStops(t *testing.T) {
	paris := city("FR", "EU", 48.8566, 2.3522)
	db, err := Read(database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City", DisableIPv4Aliasing: true}, map[string]mmdbtype.DataType{"::/1": paris, "8000::/2": paris}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"0.0.0.0/0", "::/1", "8000::/2"}
	for n := range len(want) {
		var got []string
		for network := range db.Each {
			got = append(got, network.String())
			if len(got) > n {
				break
			}
		}
		if !slices.Equal(got, want[:n+1]) {
			t.Errorf("the first %d: %v", n+1, got)
		}
	}
}

func TestKinds(t *testing.T) {
	one := func(r mmdbtype.DataType) map[string]mmdbtype.DataType {
		return map[string]mmdbtype.DataType{"192.0.2.0/24": r}
	}
	built := time.Date(2026, 10, 6, 12, 0, 0, 0, time.UTC)
	no := "database: doesn't say where networks are; those named City, Enterprise or Country do"
	for _, tt := range []struct {
		kind     string
		networks map[string]mmdbtype.DataType
		err      string
	}{
		{"GeoLite2-City", one(city("FR", "EU", 48, 2)), ""},
		{"GeoIP2-City-Europe", one(city("FR", "EU", 48, 2)), ""},
		{"GeoIP2-Enterprise", one(city("FR", "EU", 48, 2)), ""},
		{"GeoLite2-Country", one(land("FR", "EU")), ""},
		{"DBIP-City-Lite", one(city("FR", "EU", 48, 2)), ""},
		{"GeoIP2-City", one(land("", "")), ""}, // no place, but of the right kind
		{"GeoIP2-Country", nil, ""},
		{"Our-Offices", one(city("FR", "EU", 48, 2)), ""},
		{"GeoLite2-ASN", one(mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64496), "autonomous_system_organization": mmdbtype.String("Example")}), "GeoLite2-ASN " + no},
		{"GeoIP2-ISP", one(mmdbtype.Map{"isp": mmdbtype.String("Example"), "mobile_country_code": mmdbtype.String("208")}), "GeoIP2-ISP " + no},
		{"GeoIP2-Domain", one(mmdbtype.Map{"domain": mmdbtype.String("example.com")}), "GeoIP2-Domain " + no},
		{"GeoIP2-Connection-Type", one(mmdbtype.Map{"connection_type": mmdbtype.String("Corporate")}), "GeoIP2-Connection-Type " + no},
		{"GeoIP2-Anonymous-IP", one(mmdbtype.Map{"is_anonymous": mmdbtype.Bool(true)}), "GeoIP2-Anonymous-IP " + no},
		{"Something", nil, "Something " + no},
		{"A list", one(mmdbtype.Slice{mmdbtype.String("FR")}), "A list database: broken: record of 192.0.2.0/24: "},
		{"ipinfo country", one(mmdbtype.Map{"country": mmdbtype.String("FR")}), "ipinfo country database: broken: record of 192.0.2.0/24: "},
	} {
		db, err := Read(database(t, mmdbwriter.Options{DatabaseType: tt.kind, BuildEpoch: built.Unix()}, tt.networks))
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.err)) {
			t.Errorf("%s: %v, want %s", tt.kind, err, tt.err)
		}
		if err == nil && (db.Type() != tt.kind || !db.Built().Equal(built) || db.Networks() != len(tt.networks)) {
			t.Errorf("%s: a %s of %d networks, built %v", tt.kind, db.Type(), db.Networks(), db.Built())
		}
	}
}

// broken is a database to be broken.
func broken(t testing.TB) []byte {
	return database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City", RecordSize: 24, BuildEpoch: 1}, map[string]mmdbtype.DataType{
		"1.0.0.0/8": city("FR", "EU", 48, 2), "192.0.2.0/24": land("JP", "AS"), "198.51.100.0/25": land("", "AF"),
		"2a00::/12": city("DE", "EU", 50, 8), "2001:db8::/32": land("", ""),
	})
}

func TestTruncated(t *testing.T) {
	whole := broken(t)
	if _, err := Read(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if db, err := Read(whole[:n:n]); err == nil {
			t.Errorf("the first %d bytes of %d are good: %v", n, len(whole), db)
		}
	}
	for _, tt := range []struct{ name, data, err string }{
		{"nothing", "", "not a MaxMind database, or not all of it: "},
		{"a page", "<html>404 Not Found</html>", "not a MaxMind database, or not all of it: "},
		{"the end", string(whole[len(whole)-150:]), "not a MaxMind database, or not all of it: "},
		{"another version", strings.Replace(string(whole), "binary_format_major_version\xa1\x02", "binary_format_major_version\xa1\x03", 1), "GeoLite2-City database: broken: format version 3 of IPv6; 2 of IPv4 or IPv6 is known"},
		{"odd records", strings.Replace(string(whole), "record_size\xa1\x18", "record_size\xa1\x14", 1), ""},
		{"another protocol", strings.Replace(string(whole), "ip_version\xa1\x06", "ip_version\xa1\x07", 1), "GeoLite2-City database: broken: format version 2 of IPv7; 2 of IPv4 or IPv6 is known"},
	} {
		if _, err := Read([]byte(tt.data)); err == nil || !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.err)
		}
	}
}

func TestChildren(t *testing.T) {
	node := []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}
	for size, want := range map[int][2]int{24: {0x012345, 0x6789ab}, 28: {0x6012345, 0x789abcd}, 32: {0x01234567, 0x89abcdef}} {
		if left, right := children(node[:size/4], size); left != want[0] || right != want[1] {
			t.Errorf("%d bits: %x and %x, want %x", size, left, right, want)
		}
	}
}

// TestLoops: a tree that leads back into itself is an error, and has an end: one that is gone
// through at each of its meetings hasn't.
func TestLoops(t *testing.T) {
	whole := broken(t)
	r, err := maxminddb.OpenBytes(whole)
	if err != nil {
		t.Fatal(err)
	}
	for node := range int(r.Metadata.NodeCount) {
		for side := range 2 {
			for _, to := range []int{0, node / 2, node} {
				data := slices.Clone(whole)
				copy(data[6*node+3*side:], []byte{byte(to >> 16), byte(to >> 8), byte(to)})
				endless := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("node %d leads to %d: still being read", node, to)) })
				db, err := Read(data)
				endless.Stop()
				if err == nil && to == node {
					t.Errorf("node %d leads to itself: %d networks", node, db.Networks())
				}
			}
		}
	}
}

// TestWeb: a hundred nodes that meet again one after the other have 2^100 ends.
func TestWeb(t *testing.T) {
	data := broken(t)
	r, err := maxminddb.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	for node := range byte(100) {
		copy(data[6*int(node):], []byte{0, 0, node + 1, 0, 0, node + 1})
	}
	end := byte(r.Metadata.NodeCount) // nothing is known
	copy(data[6*100:], []byte{0, 0, end, 0, 0, end})
	if _, err := Read(data); err == nil || !strings.HasSuffix(err.Error(), "broken: its search tree grows together too often") {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	whole := broken(f)
	f.Add(whole)
	for i := 0; i < len(whole); i += 7 {
		data := slices.Clone(whole)
		data[i] ^= 0x41
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { use(t, data) })
}

// TestFlips is what FuzzRead does, always.
func TestFlips(t *testing.T) {
	whole := broken(t)
	r := rand.New(rand.NewPCG(1, 2))
	good := 0
	for range 5_000 {
		data := slices.Clone(whole)
		for range 1 + r.IntN(3) {
			data[r.IntN(len(data))] = byte(r.Uint32())
		}
		if use(t, data) {
			good++
		}
	}
	if good == 0 || good == 5_000 {
		t.Errorf("%d of 5000 are good", good)
	}
}

// use does with a database whatever can be done: either Read finds what is wrong, or
// nothing is.
func use(t *testing.T, data []byte) bool {
	db, err := Read(data)
	if err != nil {
		return false
	}
	n := 0
	for network, place := range db.Each {
		n++
		if !network.IsValid() || !place.Point.Valid() || place.Source == geo.Unknown {
			t.Fatalf("%v is at %v", network, place)
		}
	}
	if n > 4*db.Networks()+4 {
		t.Fatalf("%d networks of %d", n, db.Networks())
	}
	db.Lookup(netip.MustParseAddr("192.0.2.1"))
	db.Lookup(netip.MustParseAddr("2001:db8::1"))
	_, _ = db.Names(netip.MustParseAddr("192.0.2.1")) // it may well be an error, and no more
	return true
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(dir, "short.mmdb")
	if err := os.WriteFile(short, broken(t)[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.mmdb")
	for path, want := range map[string]string{
		missing: missing + ": no such file or directory",
		dir:     dir + ": is a directory, not a regular file",
		pipe:    pipe + ": is a named pipe, not a regular file",
		short:   short + ": not a MaxMind database, or not all of it: ",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if _, err := Open(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestWhole makes tables of databases of all layouts, and asks for the edges of every
// block of the table and every network of the database: what the database's own reader
// says of the address is where its ranking is from.
func TestWhole(t *testing.T) {
	regions := map[string]geo.Place{}
	for _, name := range []string{"us-east-1", "us-west-2", "europe-west1", "asia-northeast1", "southeastasia", "southamerica-east1"} {
		r, _ := geo.Region(name)
		regions[name] = geo.Place{Point: r.Point, Source: geo.Cloud}
	}
	regions["onprem"] = geo.Place{}
	atlas := geo.NewAtlas(regions, 5)
	r := rand.New(rand.NewPCG(1, 2))
	records := []mmdbtype.DataType{
		land("", ""), land("FR", "EU"), land("JP", "AS"), land("", "SA"), land("A2", ""),
		city("US", "NA", 40.7, -74), city("DE", "EU", 50.1, 8.7), city("SG", "AS", 1.35, 103.8),
	}
	for _, tt := range []struct {
		name string
		mmdbwriter.Options
		networks []string // beside random ones
	}{
		{"IPv6, 24 bits", mmdbwriter.Options{RecordSize: 24}, nil},
		{"IPv6, 28 bits", mmdbwriter.Options{RecordSize: 28}, nil},
		{"IPv6, 32 bits", mmdbwriter.Options{RecordSize: 32}, nil},
		{"IPv4, 24 bits", mmdbwriter.Options{RecordSize: 24, IPVersion: 4}, nil},
		{"IPv4, 28 bits", mmdbwriter.Options{RecordSize: 28, IPVersion: 4}, nil},
		{"IPv4, 32 bits", mmdbwriter.Options{RecordSize: 32, IPVersion: 4}, nil},
		{"no aliases", mmdbwriter.Options{DisableIPv4Aliasing: true}, nil},
		{"words of 6to4, Teredo and mapped", mmdbwriter.Options{DisableIPv4Aliasing: true}, []string{"2002:c000::/24", "2001:0:c000::/40", "::ffff:c000:0/104"}},
		{"all of IPv4", mmdbwriter.Options{DisableIPv4Aliasing: true}, []string{"0.0.0.0/0"}},
		{"all of IPv6", mmdbwriter.Options{DisableIPv4Aliasing: true}, []string{"::/0"}},
		{"a lot, IPv4 and more", mmdbwriter.Options{DisableIPv4Aliasing: true}, []string{"::/3"}},
		{"all of IPv4, with aliases", mmdbwriter.Options{}, []string{"0.0.0.0/0"}},
		{"all of it, with aliases", mmdbwriter.Options{}, []string{"::/0"}},
	} {
		asked := 0
		for round := range 8 {
			networks := map[string]mmdbtype.DataType{}
			for range []int{0, 1, 5, 60}[round%4] {
				if n := randomNetwork(r, tt.IPVersion == 4); !held(n) {
					networks[n.String()] = records[r.IntN(len(records))]
				}
			}
			for _, n := range tt.networks {
				networks[n] = records[1+r.IntN(3)]
			}
			if round < 4 && len(tt.networks) > 0 { // the record that IPv4 has, once more
				networks["2a00::/12"] = networks[tt.networks[0]]
			}
			tt.DatabaseType = "GeoLite2-City"
			data := database(t, tt.Options, networks)
			db, err := Read(data)
			if err != nil {
				t.Fatalf("%s: %v: %v", tt.name, networks, err)
			}
			reader, err := maxminddb.OpenBytes(data)
			if err != nil {
				t.Fatal(err)
			}
			nets := []geo.Net{
				{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Region: "onprem"},
				{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Region: "us-east-1"},
				{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Region: "us-west-2"},
				{Prefix: netip.MustParsePrefix("192.0.2.0/25")},
			}
			if round%2 == 0 {
				nets = nil
			}
			table, err := geo.Build(atlas, nets, db.Each)
			if err != nil {
				t.Fatal(err)
			}
			ask := func(block netip.Prefix) {
				first, last := edges(block)
				for _, a := range []netip.Addr{first, last} {
					if a.Is6() && netip.MustParsePrefix("::/96").Contains(a) {
						continue // the reader takes these for IPv4
					}
					asked++
					id, _ := table.Lookup(a)
					want := ranking(atlas, nets, reader, a)
					if got := fmt.Sprint(table.Ranking(id).Legs(geo.Point{})); got != fmt.Sprint(want.Legs(geo.Point{})) {
						t.Fatalf("%s: %v\n%v: %v, want %v", tt.name, networks, a, got, want.Legs(geo.Point{}))
					}
				}
			}
			for block := range table.Blocks() {
				ask(block)
			}
			for result := range reader.Networks(maxminddb.IncludeNetworksWithoutData(), maxminddb.IncludeAliasedNetworks()) {
				ask(result.Prefix())
				place, network := db.Lookup(result.Prefix().Addr())
				if e := result.Prefix().Addr(); geo.Embedded(e) == e && (network != reader.Lookup(e).Prefix() || place != placeOf(reader, e)) {
					t.Fatalf("%s: %v: %v in %v", tt.name, networks, place, network)
				}
			}
		}
		if asked < 40 {
			t.Errorf("%s: asked for %d addresses", tt.name, asked)
		}
	}
}

// ranking is what an address should have, by the database's own reader.
func ranking(atlas *geo.Atlas, nets []geo.Net, reader *maxminddb.Reader, a netip.Addr) geo.Ranking {
	a = geo.Embedded(a)
	longest, region := -1, ""
	for _, n := range nets {
		if n.Prefix.Contains(a) && n.Prefix.Bits() > longest {
			longest, region = n.Prefix.Bits(), n.Region
		}
	}
	if longest >= 0 {
		r, _ := atlas.RankFrom(region)
		return r
	}
	if p := placeOf(reader, a); p.Source != geo.Unknown {
		return atlas.Rank(p.Point)
	}
	return geo.Ranking{}
}

// placeOf reads a record in another way than Read does.
func placeOf(reader *maxminddb.Reader, a netip.Addr) geo.Place {
	result := reader.Lookup(a)
	if result.Err() != nil || !result.Found() {
		return geo.Place{}
	}
	var lat, lon float64
	var country, continent string
	if result.DecodePath(&lat, "location", "latitude") == nil && result.DecodePath(&lon, "location", "longitude") == nil && (lat != 0 || lon != 0) {
		return geo.Place{Point: geo.Point{Lat: lat, Lon: lon}, Source: geo.City}
	}
	_ = result.DecodePath(&country, "country", "iso_code")
	if p, ok := geo.CenterOfCountry(country); ok {
		return geo.Place{Point: p, Source: geo.Country}
	}
	_ = result.DecodePath(&continent, "continent", "code")
	if p, ok := geo.CenterOfContinent(continent); ok {
		return geo.Place{Point: p, Source: geo.Continent}
	}
	return geo.Place{}
}

func randomNetwork(r *rand.Rand, only4 bool) netip.Prefix {
	near := []string{"10.0.0.0", "192.0.2.0", "0.0.0.0", "2001:db8::", "2a00::", "2003::"}
	if only4 {
		near = near[:3]
	}
	b := netip.MustParseAddr(near[r.IntN(len(near))]).AsSlice()
	for range 3 {
		i := r.IntN(8 * len(b))
		b[i/8] ^= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	p, _ := a.Prefix(8 + r.IntN(a.BitLen()-8+1))
	return p
}

// held says whether addresses of a network hold IPv4 ones, or the writer says so.
func held(p netip.Prefix) bool {
	for _, cidr := range []string{"::/64", "64:ff9b::/96", "2001::/32", "2002::/16"} {
		if netip.MustParsePrefix(cidr).Overlaps(p) {
			return true
		}
	}
	return false
}

func edges(p netip.Prefix) (first, last netip.Addr) {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ = netip.AddrFromSlice(b)
	return p.Addr(), last
}
