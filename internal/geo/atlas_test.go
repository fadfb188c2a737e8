package geo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// world is ten regions of three clouds, by short names.
var world = map[string]string{
	"va": "us-east-1", "or": "us-west-2", "be": "europe-west1", "se": "eu-north-1", "jp": "asia-northeast1",
	"sg": "southeastasia", "au": "australiaeast", "br": "southamerica-east1", "za": "africa-south1", "in": "centralindia",
}

func worldAtlas(t testing.TB, within ...int) *Atlas {
	regions := map[string]Place{}
	for short, name := range world {
		r, ok := Region(name)
		if !ok {
			t.Fatal(name)
		}
		regions[short] = Place{r.Point, Cloud}
	}
	return NewAtlas(regions, within...)
}

// order writes a ranking as the names of its regions.
func order(a *Atlas, r Ranking) string {
	var out []string
	for _, i := range r.Order() {
		out = append(out, a.Regions()[i])
	}
	return strings.Join(out, " ")
}

func reaches(r Ranking, percent int) string {
	var out strings.Builder
	for i := range r.Order() {
		fmt.Fprint(&out, r.Reach(i, percent))
	}
	return out.String()
}

// TestRanking has its rows from testdata/ranking.py, which shares no code and no formula
// with the package: it computes angles between vectors, and keeps a client only if the
// ellipsoid gives the same order.
func TestRanking(t *testing.T) {
	rows := []struct {
		client string
		at     Point
		order  string
		reach  string // within 5 %, for each place in the order
		km     float64
	}{
		{"Paris", Point{48.8566, 2.3522}, "be se va in or za br jp sg au", "0123457789", 206},
		{"London", Point{51.5074, -0.1278}, "be se va in or za br jp sg au", "0123467789", 300},
		{"Madrid", Point{40.4168, -3.7038}, "be se va in za br or jp sg au", "0123566789", 1259},
		{"Rome", Point{41.9028, 12.4964}, "be se in va za or br jp sg au", "0123467889", 1160},
		{"Reykjavik", Point{64.1466, -21.9426}, "se be va or in jp br za sg au", "1123556789", 2135},
		{"Helsinki", Point{60.1699, 24.9384}, "se be in va or jp sg za br au", "0123557789", 396},
		{"Warsaw", Point{52.2297, 21.0122}, "se be in va or jp za sg br au", "0123666789", 810},
		{"Istanbul", Point{41.0082, 28.9784}, "se be in za va sg jp or br au", "1123566789", 2174},
		{"Moscow", Point{55.7558, 37.6173}, "se be in jp va sg or za br au", "0124466789", 1227},
		{"Novosibirsk", Point{55.0084, 82.9357}, "se in jp be sg or va za au br", "0123456789", 3782},
		{"Vladivostok", Point{43.1155, 131.8855}, "jp sg in se or be au va za br", "0123466789", 1064},
		{"Cairo", Point{30.0444, 31.2357}, "be se in za sg va jp br or au", "0123466789", 3215},
		{"Lagos", Point{6.5244, 3.3792}, "za be se br in va sg or jp au", "0123456789", 4508},
		{"Nairobi", Point{-1.2921, 36.8219}, "za in be se sg br jp au va or", "0123456889", 2924},
		{"Johannesburg", Point{-26.2041, 28.0473}, "za in br sg be se au va jp or", "0124456889", 1},
		{"Cape Town", Point{-33.9249, 18.4241}, "za br in be sg se au va jp or", "0124456789", 1262},
		{"Antananarivo", Point{-18.8792, 47.5079}, "za in sg be se br au jp va or", "0124466789", 2155},
		{"Dakar", Point{14.7167, -17.4677}, "be br se va za in or sg jp au", "0124466889", 4411},
		{"Casablanca", Point{33.5731, -7.5898}, "be se va br za in or jp sg au", "0124456889", 2094},
		{"Tehran", Point{35.6892, 51.3890}, "in se be sg za jp va or br au", "0123556789", 2918},
		{"Dubai", Point{25.2048, 55.2708}, "in se be sg za jp va au or br", "0123456999", 2055},
		{"Karachi", Point{24.8607, 67.0011}, "in sg se be jp za au va or br", "0123556889", 999},
		{"Mumbai", Point{19.0760, 72.8777}, "in sg se jp be za au or va br", "0125556889", 120},
		{"Delhi", Point{28.6139, 77.2090}, "in sg se jp be za au or va br", "0133456889", 1173},
		{"Colombo", Point{6.9271, 79.8612}, "in sg za jp se be au or br va", "0133466999", 1444},
		{"Dhaka", Point{23.8103, 90.4125}, "in sg jp se be za au or va br", "0123466789", 1813},
		{"Kathmandu", Point{27.7172, 85.3240}, "in sg jp se be za au or va br", "0123456789", 1554},
		{"Almaty", Point{43.2220, 76.8512}, "in se jp sg be za or va au br", "0144456789", 2761},
		{"Bangkok", Point{13.7563, 100.5018}, "sg in jp au se za be or va br", "0123466789", 1427},
		{"Hanoi", Point{21.0278, 105.8342}, "sg in jp au se be za or va br", "0124456789", 2199},
		{"Singapore", Point{1.3521, 103.8198}, "sg in jp au za se be or va br", "0123456799", 0},
		{"Jakarta", Point{-6.2088, 106.8456}, "sg in au jp za se be or br va", "0123456799", 905},
		{"Manila", Point{14.5995, 120.9842}, "sg jp in au se be or za va br", "0123477789", 2393},
		{"Hong Kong", Point{22.3193, 114.1694}, "sg jp in au se be or za va br", "0123457789", 2586},
		{"Beijing", Point{39.9042, 116.4074}, "jp sg in se be au or va za br", "0123466789", 2093},
		{"Seoul", Point{37.5665, 126.9780}, "jp sg in se au or be va za br", "0123566789", 1153},
		{"Tokyo", Point{35.6762, 139.6503}, "jp sg in au or se be va za br", "0125556789", 4},
		{"Taipei", Point{25.0330, 121.5654}, "jp sg in au se be or za va br", "0123466789", 2098},
		{"Perth", Point{-31.9505, 115.8605}, "au sg in jp za se br be or va", "0124467789", 3291},
		{"Darwin", Point{-12.4634, 130.8456}, "au sg jp in za se or be va br", "0123466799", 3149},
		{"Sydney", Point{-33.8688, 151.2093}, "au sg jp in za or br se va be", "0123456889", 0},
		{"Auckland", Point{-36.8509, 174.7645}, "au sg jp or br in za va se be", "0123666789", 2156},
		{"Suva", Point{-18.1248, 178.4501}, "au jp sg or in va br za se be", "0123556789", 3220},
		{"Honolulu", Point{21.3069, -157.8583}, "or jp va au sg se be in br za", "0123556889", 4398},
		{"Papeete", Point{-17.5516, -149.5585}, "au or jp va br sg za se in be", "0133459999", 6120},
		{"Anchorage", Point{61.2181, -149.9003}, "or va jp se be in sg au br za", "0223466789", 2587},
		{"Vancouver", Point{49.2827, -123.1207}, "or va se jp be br in au sg za", "0134458889", 461},
		{"Los Angeles", Point{34.0522, -118.2437}, "or va jp se be br au in sg za", "0144456889", 1317},
		{"Denver", Point{39.7392, -104.9903}, "or va se be br jp au in sg za", "0133557789", 1376},
		{"Chicago", Point{41.8781, -87.6298}, "va or be se br jp in za au sg", "0133456799", 913},
		{"Dallas", Point{32.7767, -96.7970}, "va or be se br jp au in za sg", "0144457889", 1868},
		{"New York", Point{40.7128, -74.0060}, "va or be se br jp in za sg au", "0123457799", 351},
		{"Miami", Point{25.7617, -80.1918}, "va or br be se jp za in au sg", "0123456889", 1498},
		{"Toronto", Point{43.6532, -79.3832}, "va or be se br jp in za sg au", "0123456799", 537},
		{"Mexico City", Point{19.4326, -99.1332}, "va or br be se jp au za in sg", "0124456789", 3011},
		{"Bogota", Point{4.7110, -74.0721}, "va br or be se za jp au in sg", "0123457789", 3833},
		{"Lima", Point{-12.0464, -77.0428}, "br va or be za se au jp in sg", "0124456789", 3455},
		{"Santiago", Point{-33.4489, -70.6693}, "br va za or au be se in sg jp", "0123556889", 2586},
		{"Buenos Aires", Point{-34.6037, -58.3816}, "br za va or be au se in sg jp", "0224556789", 1675},
		{"Brasilia", Point{-15.7939, -47.8828}, "br va za be or se in au sg jp", "0123557789", 872},
		{"Recife", Point{-8.0476, -34.8770}, "br va za be se or in au sg jp", "0223456889", 2131},
		{"Longyearbyen", Point{78.2232, 15.6267}, "se be va or jp in sg za br au", "0133456889", 2103},
		{"McMurdo", Point{-77.8419, 166.6863}, "au za br sg in jp or va be se", "0223457799", 4947},
		{"South Pole", Point{-90, 0}, "au za br sg in jp va or be se", "0223466889", 6241},
		{"North Pole", Point{90, 0}, "se be or va jp in sg br za au", "0123456889", 3410},
		{"Date line east", Point{0, 180}, "au jp or sg va in se br be za", "0123456889", 4816},
		{"Date line west", Point{0, -180}, "au jp or sg va in se br be za", "0123456889", 4816},
		{"Null Island", Point{0, 0}, "za be br se in va sg or jp au", "0223456789", 4185},
		{"Stanley", Point{-51.7963, -57.8580}, "br za au va or be se sg in jp", "0133558889", 3284},
		{"Reunion", Point{-20.8789, 55.4481}, "za in sg au be se br jp va or", "0125556789", 2849},
		{"Ulaanbaatar", Point{47.8864, 106.9057}, "jp in sg se be or au va za br", "0123457789", 3008},
		{"Samarkand", Point{39.6270, 66.9750}, "in se be sg jp za or va au br", "0123457789", 2438},
	}
	a := worldAtlas(t, 5)
	for _, tt := range rows {
		r := a.Rank(tt.at)
		if got := order(a, r); got != tt.order {
			t.Errorf("%s: %s, want %s", tt.client, got, tt.order)
		}
		if got := reaches(r, 5); got != tt.reach {
			t.Errorf("%s: %s reach %s, want %s", tt.client, tt.order, got, tt.reach)
		}
		if got := r.Legs(tt.at)[0].KM; math.Abs(got-tt.km) > 0.51 {
			t.Errorf("%s: %v km, want %v", tt.client, got, tt.km)
		}
	}
	if len(rows) < 40 {
		t.Error("too few rows")
	}
}

func TestTies(t *testing.T) {
	paris, lyon := Place{Point{48.86, 2.35}, Location}, Place{Point{45.76, 4.84}, Location}
	a := NewAtlas(map[string]Place{"lyon": lyon, "paris-b": paris, "paris-a": paris, "void": {}, "abyss": {Point: paris.Point}}, 5, 0, 10000)
	if got := strings.Join(a.Unlocated(), " "); got != "abyss void" {
		t.Error("unlocated:", got)
	}
	for _, tt := range []struct {
		name    string
		ranking Ranking
		order   string
		within5 string
		farther string
	}{
		{"in Paris", a.Rank(paris.Point), "paris-a paris-b lyon abyss void", "11234", "11234"},
		{"near Paris", a.Rank(Point{48.8, 2.3}), "paris-a paris-b lyon abyss void", "11234", "22234"},
		{"in Lyon", a.Rank(lyon.Point), "lyon paris-a paris-b abyss void", "02234", "02234"},
		{"nets of paris-b", from(a, "paris-b"), "paris-b paris-a lyon abyss void", "01234", "01234"},
		{"nets of lyon", from(a, "lyon"), "lyon paris-a paris-b abyss void", "02234", "02234"},
		{"nets of the void", from(a, "void"), "void abyss lyon paris-a paris-b", "01234", "01234"},
	} {
		if got := order(a, tt.ranking); got != tt.order {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.order)
		}
		if got := reaches(tt.ranking, 5); got != tt.within5 {
			t.Errorf("%s: within 5 %%: %s, want %s", tt.name, got, tt.within5)
		}
		if got := reaches(tt.ranking, 10000); got != tt.farther {
			t.Errorf("%s: within 10000 %%: %s, want %s", tt.name, got, tt.farther)
		}
		// Nobody said that the atlas should know of 7 %.
		if got := reaches(tt.ranking, 7); got != "01234" {
			t.Errorf("%s: within 7 %%: %s", tt.name, got)
		}
	}
	if _, ok := a.RankFrom("rome"); ok {
		t.Error("rome is ranked")
	}
	if p, ok := a.Place("lyon"); p != lyon || !ok {
		t.Error("lyon is at", p)
	}
	if _, ok := a.Place("rome"); ok {
		t.Error("rome is somewhere")
	}

	legs := from(a, "lyon").Legs(lyon.Point)
	if len(legs) != 5 || legs[1].Region != "paris-a" || legs[1].Place != paris || math.Abs(legs[1].KM-392) > 1 || legs[4] != (Leg{Region: "void"}) {
		t.Errorf("legs: %+v", legs)
	}
	if none := (Ranking{}); none.Order() != nil || none.Legs(paris.Point) != nil {
		t.Error("the zero ranking ranks something")
	}
}

func from(a *Atlas, region string) Ranking {
	r, _ := a.RankFrom(region)
	return r
}

// TestReach compares with every pair of distances.
func TestReach(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		regions := map[string]Place{}
		for i := range 1 + r.IntN(12) {
			regions[fmt.Sprint("r", i)] = Place{randomPoint(r), Location}
		}
		a := NewAtlas(regions, 25, 5)
		at := randomPoint(r)
		ranking := a.Rank(at)
		legs := ranking.Legs(at)
		if !slices.IsSortedFunc(legs, func(x, y Leg) int { return int(1000 * (x.KM - y.KM)) }) {
			t.Fatal("out of order:", legs)
		}
		for i, near := range legs {
			for _, percent := range []int{5, 25} {
				want := i
				for j := i; j < len(legs); j++ {
					if legs[j].KM <= near.KM*(1+float64(percent)/100) {
						want = j
					}
				}
				if got := ranking.Reach(i, percent); got != want {
					t.Errorf("within %d %% of %v: to %d, want %d of %v", percent, near, got, want, legs)
				}
			}
		}
	}
}

func randomPoint(r *rand.Rand) Point {
	return Point{math.Asin(2*r.Float64()-1) * 180 / math.Pi, 360*r.Float64() - 180}
}

// TestBrokenPromises: these are for the caller to prevent.
func TestBrokenPromises(t *testing.T) {
	for name, f := range map[string]func(){
		"a region off the earth": func() { NewAtlas(map[string]Place{"a": {Point{91, 0}, Location}}) },
		"a negative tolerance":   func() { NewAtlas(nil, 5, -1) },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "geo: ") {
					t.Errorf("%s: %v", name, s)
				}
			}()
			f()
		}()
	}
}

func BenchmarkRank(b *testing.B) {
	a := worldAtlas(b, 5)
	r := rand.New(rand.NewPCG(1, 2))
	var cells []uint16
	b.ReportAllocs()
	for b.Loop() {
		cells = a.appendRanking(cells[:0], nobody, randomPoint(r), true)
	}
}
