package names

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/fedns/fedns/internal/topology"
)

func shard(region, zone, addr string) Shard {
	return Shard{Place: topology.Place{Region: region, Zone: zone}, Addr: netip.MustParseAddr(addr)}
}

// An address that stands in several zones counts once in the wider scopes.
func TestFreeze(t *testing.T) {
	in := []Shard{
		shard("us", "b", "192.0.2.1"), shard("us", "a", "192.0.2.1"), shard("us", "a", "192.0.2.1"),
		shard("eu", "a", "192.0.2.2"), shard("us", "a", "192.0.2.2"), shard("", "", "192.0.2.3"),
	}
	want := (&Service{Shards: append([]Shard(nil), in...)}).Freeze()
	for _, tt := range []struct {
		scope topology.Scope
		n     int
	}{
		{topology.Global, 3},
		{topology.Scope{Region: "us"}, 2},
		{topology.Scope{Region: "us", Zone: "a"}, 2},
		{topology.Scope{Region: "us", Zone: "b"}, 1},
		{topology.Scope{Region: "eu"}, 1},
		{topology.Scope{Region: "asia"}, 0},
	} {
		n := 0
		for _, s := range want.In(tt.scope) {
			if s.Widest <= tt.scope.Width() {
				n++
			}
		}
		if n != tt.n {
			t.Errorf("%v: %d addresses, want %d", tt.scope, n, tt.n)
		}
	}
	for range 50 { // steady state has no history
		rand.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		if got := (&Service{Shards: append([]Shard(nil), in...)}).Freeze(); !reflect.DeepEqual(got, want) {
			t.Fatalf("the order of the input shows:\n got %v\nwant %v", got, want)
		}
	}
}

// A federation edited many times is the one a plain map describes, and no edit
// shows in the states before it.
func TestEdit(t *testing.T) {
	f := NewFederation("fed")
	model := map[Key]*Service{}
	type state struct {
		f    *Federation
		size int
	}
	var past []state
	for i := range 2000 {
		e := f.Edit()
		for range 1 + rand.IntN(5) {
			k := Key{Namespace: fmt.Sprint("ns", rand.IntN(10)), Name: fmt.Sprint("s", rand.IntN(200)), Kind: Kind(rand.IntN(2))}
			if rand.IntN(2) == 0 {
				delete(model, k)
				e.Remove(k)
				continue
			}
			s := &Service{Key: k, TTL: uint32(i)}
			model[k] = s
			e.Set(s)
		}
		f = e.Done()
		past = append(past, state{f, len(model)})
	}
	spaces, kinds := map[space]int{}, map[Kind]int{}
	for k, s := range model {
		if f.Service(k) != s {
			t.Fatalf("%v: %v, want %v", k, f.Service(k), s)
		}
		spaces[space{k.Namespace, k.Kind}]++
		kinds[k.Kind]++
	}
	n := 0
	for s := range f.Services() {
		if model[s.Key] != s {
			t.Fatalf("%v is still there", s.Key)
		}
		n++
	}
	if n != len(model) {
		t.Fatalf("%d services, want %d", n, len(model))
	}
	for _, k := range Kinds {
		if f.Kind(k) != (kinds[k] > 0) {
			t.Errorf("kind %v: %v", k, f.Kind(k))
		}
		for i := range 11 {
			ns := fmt.Sprint("ns", i)
			if f.Namespace(k, ns) != (spaces[space{ns, k}] > 0) {
				t.Errorf("namespace %s: %v", ns, f.Namespace(k, ns))
			}
		}
	}
	for i, p := range past {
		n := 0
		for range p.f.Services() {
			n++
		}
		if n != p.size || p.f.Size() != p.size {
			t.Fatalf("state %d has %d services (and says %d), had %d", i, n, p.f.Size(), p.size)
		}
	}
}

func TestSerial(t *testing.T) {
	var s *Snapshot
	for i, tt := range []struct {
		now  int64
		want uint32
	}{
		{1000, 1000},
		{1000, 1001}, // two changes in a second
		{1000, 1002},
		{1001, 1003}, // the clock has not caught up
		{1010, 1010},
		{900, 1011}, // the clock was set back
	} {
		s = s.Next(tt.now, nil)
		if s.Serial != tt.want {
			t.Fatalf("step %d: serial %d, want %d", i, s.Serial, tt.want)
		}
	}
	near := &Snapshot{Serial: 1<<32 - 1}
	if got := near.Next(1<<32-5, nil).Serial; got != 1 {
		t.Errorf("serial after the last is %d, want 1: 0 is left out", got)
	}
}

func BenchmarkEdit(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n, "_services"), func(b *testing.B) {
			e := NewFederation("fed").Edit()
			keys := make([]Key, n)
			for i := range keys {
				keys[i] = Key{Namespace: fmt.Sprint("ns", i%20), Name: fmt.Sprint("svc", i)}
				e.Set(&Service{Key: keys[i]})
			}
			f := e.Done()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e := f.Edit()
				e.Set(&Service{Key: keys[i%n]})
				f = e.Done()
			}
		})
	}
}
