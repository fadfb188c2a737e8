package geodb

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/fedns/fedns/internal/geo"
)

// half is a City database of half a million networks and thirty thousand cities, most
// of them beside others of their country.
var half = sync.OnceValue(func() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	cities := make([]mmdbtype.Map, 30_000)
	for i := range cities {
		lat, lon := math.Asin(2*r.Float64()-1)*180/math.Pi, 360*r.Float64()-180
		cities[i] = city("FR", "EU", math.Round(1e4*lat)/1e4, math.Round(1e4*lon)/1e4)
		cities[i]["city"].(mmdbtype.Map)["geoname_id"] = mmdbtype.Uint32(i)
		cities[i]["city"].(mmdbtype.Map)["names"].(mmdbtype.Map)["en"] = mmdbtype.String(fmt.Sprint("City ", i))
	}
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", IncludeReservedNetworks: true, BuildEpoch: 1,
		KeyGenerator: identity{}})
	if err != nil {
		panic(err)
	}
	insert := func(a []byte, ones int) {
		n := &net.IPNet{IP: a, Mask: net.CIDRMask(ones, 8*len(a))}
		if err := tree.Insert(n, cities[r.IntN(len(cities))]); err != nil {
			panic(err)
		}
	}
	for v, i := uint32(1<<24), 0; i < 350_000; i++ {
		ones := 19 + r.IntN(7)
		size := uint32(1) << (32 - ones)
		v = (v + size - 1) &^ (size - 1)
		insert(binary.BigEndian.AppendUint32(nil, v), ones)
		v += size
	}
	for v, i := uint64(0x2a00)<<48, 0; i < 150_000; i++ {
		ones := 32 + r.IntN(17)
		insert(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, v), 0), ones)
		v += 1 << 32
	}
	var b writer
	if _, err := tree.WriteTo(&b); err != nil {
		panic(err)
	}
	return b
})

type writer []byte

func (w *writer) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }

// identity tells records apart by their city.
type identity struct{}

func (identity) Key(v mmdbtype.DataType) ([]byte, error) {
	return binary.BigEndian.AppendUint32(nil, uint32(v.(mmdbtype.Map)["city"].(mmdbtype.Map)["geoname_id"].(mmdbtype.Uint32))), nil
}

func BenchmarkRead(b *testing.B) {
	data := half()
	var db *DB
	before := heap()
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if db, err = Read(data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(data)), "bytes/file")
	b.ReportMetric(float64(heap()-before), "bytes/beside")
	b.ReportMetric(float64(db.Networks()), "networks")
}

func BenchmarkBuild(b *testing.B) {
	db, err := Read(half())
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		regions int
		within  []int
	}{{4, nil}, {10, nil}, {10, []int{5}}, {40, []int{5}}} {
		b.Run(fmt.Sprint(bb.regions, " regions, within ", bb.within), func(b *testing.B) {
			places := map[string]geo.Place{}
			for i, r := range geo.Regions() {
				if len(places) < bb.regions && i%3 == 0 {
					places[r.Name] = geo.Place{Point: r.Point, Source: geo.Cloud}
				}
			}
			atlas := geo.NewAtlas(places, bb.within...)
			var table *geo.Table
			before := heap()
			b.ReportAllocs()
			for b.Loop() {
				if table, err = geo.Build(atlas, nil, db.Each); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(heap()-before), "bytes/table")
			b.ReportMetric(float64(table.Rankings()), "rankings")
			if id, _ := table.Lookup(netip.MustParseAddr("1.0.0.1")); id == 0 {
				b.Error("nothing is known")
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
