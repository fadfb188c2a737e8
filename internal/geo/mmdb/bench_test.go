package mmdb

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/test/framework/geotest"
)

// half is a City database of half a million networks.
var half = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	if err := geotest.Write(&b, geotest.Networks(geotest.HalfV4, geotest.HalfV6)); err != nil {
		panic(err)
	}
	return b.Bytes()
})

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
