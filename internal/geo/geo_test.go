package geo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func TestParsePoint(t *testing.T) {
	for _, tt := range []struct {
		lat, lon string
		want     Point
		err      string
	}{
		{"60.17", "24.94", Point{60.17, 24.94}, ""},
		{"-33.87", "+151.21", Point{-33.87, 151.21}, ""},
		{"90", "-180", Point{90, -180}, ""},
		{"-90.000", "180", Point{-90, 180}, ""},
		{"0", "1e2", Point{0, 100}, ""},
		{"90.0001", "0", Point{}, "latitude 90.0001 is not between -90 and 90 degrees; it comes before the longitude"},
		{"139.69", "35.68", Point{}, "latitude 139.69 is not between -90 and 90 degrees; it comes before the longitude"},
		{"0", "-180.5", Point{}, "longitude -180.5 is not between -180 and 180 degrees"},
		{"NaN", "0", Point{}, `latitude "NaN" is not a number of degrees, such as 60.17 or -24.94`},
		{"0", "-Inf", Point{}, `longitude "-Inf" is not a number of degrees, such as 60.17 or -24.94`},
		{"1e999", "0", Point{}, `latitude "1e999" is not a number of degrees, such as 60.17 or -24.94`},
		{"", "0", Point{}, `latitude "" is not a number of degrees, such as 60.17 or -24.94`},
		{"60,17", "24,94", Point{}, `latitude "60,17" is not a number of degrees, such as 60.17 or -24.94`},
		{"0", "24.94E", Point{}, `longitude "24.94E" is not a number of degrees, such as 60.17 or -24.94`},
	} {
		got, err := ParsePoint(tt.lat, tt.lon)
		if got != tt.want || errorText(err) != tt.err {
			t.Errorf("%q %q: %v, %v; want %v, %s", tt.lat, tt.lon, got, err, tt.want, tt.err)
		}
	}
}

func FuzzParsePoint(f *testing.F) {
	f.Add("60.17", "24.94")
	f.Add("-90", "180")
	f.Add("nan", "0x1p-2")
	f.Fuzz(func(t *testing.T, lat, lon string) {
		p, err := ParsePoint(lat, lon)
		if err != nil {
			if p != (Point{}) || !strings.Contains(err.Error(), "itude ") {
				t.Errorf("%v with error %v", p, err)
			}
			return
		}
		if !p.Valid() {
			t.Errorf("%v is not on the earth", p)
		}
		again := strings.Fields(p.String())
		if q, err := ParsePoint(again[0], again[1]); q != p || err != nil {
			t.Errorf("%v is written %q and read as %v, %v", p, again, q, err)
		}
	})
}

func TestValid(t *testing.T) {
	for _, p := range []Point{{90.1, 0}, {-91, 0}, {0, 180.1}, {0, -181}, {math.NaN(), 0}, {0, math.NaN()}, {math.Inf(1), 0}, {0, math.Inf(-1)}} {
		if p.Valid() {
			t.Errorf("%v is valid", p)
		}
	}
	if got := fmt.Sprint(Place{Point{48.8566, -2.3522}, City}, Place{}); got != "{48.8566 -2.3522 city} {0 0 unknown}" {
		t.Error(got)
	}
}

func TestDistance(t *testing.T) {
	const half = math.Pi * earthRadius
	for _, tt := range []struct {
		name string
		p, q Point
		want float64
	}{
		{"nowhere", Point{48, 2}, Point{48, 2}, 0},
		{"a degree of the equator", Point{0, 10}, Point{0, 11}, half / 180},
		{"a degree of a meridian", Point{70, 10}, Point{71, 10}, half / 180},
		{"from pole to pole", Point{90, 33}, Point{-90, -120}, half},
		{"poles have no longitude", Point{90, 33}, Point{90, -120}, 0},
		{"over the date line", Point{0, 179.5}, Point{0, -179.5}, half / 180},
		{"one line, two names", Point{12, 180}, Point{12, -180}, 0},
		{"antipodes", Point{41.3, -72.5}, Point{-41.3, 107.5}, half},
		{"a meter", Point{50, 8}, Point{50 + 180/half/1000, 8}, 0.001},
		{"Heathrow to Kennedy, as flight tables have it", Point{51.4700, -0.4543}, Point{40.6413, -73.7781}, 5540},
	} {
		for _, got := range []float64{Distance(tt.p, tt.q), Distance(tt.q, tt.p)} {
			if math.Abs(got-tt.want) > max(1e-6, tt.want*1e-3) || math.IsNaN(got) {
				t.Errorf("%s: %v km, want %v", tt.name, got, tt.want)
			}
		}
	}
}

// TestAntipodes: where rounding leads beyond half the way around.
func TestAntipodes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		p := randomPoint(r)
		q := Point{-p.Lat, p.Lon - 180}
		if got := Distance(p, q); math.Abs(got-math.Pi*earthRadius) > 1e-3 || math.IsNaN(got) {
			t.Fatalf("from %v to %v: %v km", p, q, got)
		}
	}
}

// TestClouds: what is said of the table holds.
func TestClouds(t *testing.T) {
	label := regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	names := map[string]bool{}
	cities := map[string]Point{}
	count := map[string]int{}
	for i, r := range Regions() {
		if !label.MatchString(r.Name) || len(r.Name) > 63 {
			t.Errorf("%s is no DNS label", r.Name)
		}
		if names[r.Name] {
			t.Errorf("%s is there twice", r.Name)
		}
		names[r.Name] = true
		if !r.Point.Valid() || r.Point == (Point{}) || r.City == "" {
			t.Errorf("%s: %s at %v", r.Name, r.City, r.Point)
		}
		if p, ok := cities[r.City]; ok && p != r.Point {
			t.Errorf("%s: %s is at %v, and at %v for another region", r.Name, r.City, r.Point, p)
		}
		cities[r.City] = r.Point
		count[r.Provider]++
		if found, ok := Region(r.Name); found != r || !ok {
			t.Errorf("%s is not found", r.Name)
		}
		if i > 0 && Regions()[i-1].Name >= r.Name {
			t.Errorf("%s is out of order", r.Name)
		}
	}
	if count["AWS"] != 39 || count["Google"] != 43 || count["Azure"] != 71 || len(count) != 3 {
		t.Errorf("regions: %v", count)
	}
	for a, p := range cities {
		for b, q := range cities {
			if d := Distance(p, q); a < b && d < 20 {
				t.Errorf("%s and %s are %.0f km apart", a, b, d)
			}
		}
	}
	if _, ok := Region("us-central2"); ok {
		t.Error("us-central2 is found")
	}
}

func TestCenters(t *testing.T) {
	if len(countries) != 249+1 || len(continents) != 7 {
		t.Errorf("%d countries, %d continents", len(countries), len(continents))
	}
	seen := map[Point]string{}
	for code, p := range countries {
		if len(code) != 2 || !p.Valid() || p == (Point{}) {
			t.Errorf("%s is at %v", code, p)
		}
		if seen[p] != "" {
			t.Errorf("%s and %s are one place", code, seen[p])
		}
		seen[p] = code
	}
	// A sign or an order that's wrong is one of these on another continent.
	for country, continent := range map[string]string{
		"US": "NA", "CA": "NA", "MX": "NA", "BR": "SA", "AR": "SA", "PE": "SA", "DE": "EU", "FR": "EU", "SE": "EU", "RO": "EU",
		"NG": "AF", "CD": "AF", "ZM": "AF", "KE": "AF", "CN": "AS", "MN": "AS", "KZ": "AS", "IN": "AS", "AU": "OC", "AQ": "AN",
	} {
		p, _ := CenterOfCountry(country)
		closest := ""
		for code, q := range continents {
			if closest == "" || Distance(p, q) < Distance(p, continents[closest]) {
				closest = code
			}
		}
		if closest != continent {
			t.Errorf("%s is closest to %s", country, closest)
		}
	}
	if _, ok := CenterOfCountry("ZZ"); ok {
		t.Error("ZZ is a country")
	}
	if p, ok := CenterOfContinent("EU"); !ok || p != (Point{48.7, 9.1}) {
		t.Error("Europe is at", p)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
